//! Why something is not kept, or not given out.

use crate::error::{Classify, ErrorKind};
use crate::store::StoreError;

/// Of an id, which clients and models choose.
const ID_SHOWN: usize = 128;

#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    #[error("{what} of {bytes} bytes is larger than the {limit} that are kept")]
    TooLarge {
        what: &'static str,
        bytes: usize,
        limit: usize,
    },
    #[error("there are more {what} than the {limit} that are kept together")]
    TooMany { what: &'static str, limit: usize },
    #[error("the conversation is longer than {limit} {unit}")]
    TooLong { limit: usize, unit: &'static str },
    #[error("the id {:?} is taken", cut(.0))]
    Taken(String),
    #[error("the approval request {:?} was answered already", cut(.0))]
    Used(String),
    #[error("there is no open approval request {:?}", cut(.0))]
    Unknown(String),
    #[error("the approval request {:?} has expired", cut(.0))]
    Expired(String),
    #[error("the run is over, or goes on elsewhere")]
    RunOver,
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn cut(id: &str) -> &str {
    &id[..id.floor_char_boundary(ID_SHOWN)]
}

impl Classify for ConversationError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::TooLong { .. } => {
                ErrorKind::InvalidInput
            }
            Self::Unknown(_) | Self::Expired(_) => ErrorKind::NotFound,
            Self::Taken(_) | Self::Used(_) | Self::RunOver => ErrorKind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::TooLong { .. } => Some("begin a new conversation".to_owned()),
            Self::Used(_) => Some(
                "an approval counts once; leave it out, or let the model make the call again"
                    .to_owned(),
            ),
            Self::Unknown(_) | Self::Expired(_) => Some(
                "answer requests of the latest response, with the same credential, or let the model \
                 make the call again"
                    .to_owned(),
            ),
            Self::Store(error) => error.hint(),
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::Taken(_) | Self::RunOver => None,
        }
    }
}
