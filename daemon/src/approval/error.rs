//! Why a question was not taken, not decided, or an approval not used.

use std::sync::Arc;

use jiff::Timestamp;

use super::item::Item;
use crate::error::{Classify, ErrorKind};
use crate::mcp::canonical::CanonicalError;
use crate::store::StoreError;
use crate::types::{ApprovalId, ServerName};

#[derive(Debug, Clone, thiserror::Error)]
pub enum ApprovalError {
    #[error("{limit} calls wait for a decision already, and there is room for no more")]
    Full { limit: usize },
    #[error("{limit} calls of this caller wait for a decision already, and it may have no more")]
    CallerFull { limit: usize },
    #[error("the calls that wait for a decision take all memory there is for them")]
    NoRoom,
    #[error("there is no approval {0}")]
    NotFound(String),
    #[error("{prefix} is the beginning of several approvals")]
    Ambiguous { prefix: String },
    #[error("there is no grant {0}")]
    NoGrant(String),
    #[error("{} was already {}", _0.id, _0.standing())]
    AlreadyDecided(Arc<Item>),
    #[error("{id} cannot be decided by the client that asks")]
    TooWeak { id: ApprovalId },
    #[error("the arguments of {id} cannot be changed")]
    NotEditable { id: ApprovalId },
    #[error("the changed arguments cannot be sent: {why}")]
    Arguments {
        why: String,
        #[source]
        source: Option<CanonicalError>,
    },
    #[error("the definition of {tool} is not known, so it can be approved only once")]
    UnknownTool { server: ServerName, tool: String },
    #[error("an approval lasts from one second to {limit} days")]
    Duration { limit: u32 },
    #[error("{limit} grants exist already, and there is room for no more")]
    TooManyGrants { limit: usize },
    #[error("the reason is longer than {limit} characters")]
    Reason { limit: usize },
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("the decision is not recorded, so it does not count")]
    Store(#[source] Arc<StoreError>),
    #[error("this machine has no random numbers")]
    NoRandomness,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    #[error("this needs the approval PIN")]
    Required,
    #[error("the approval PIN is wrong; {tries_left} more tries before it is locked")]
    Wrong { tries_left: u32 },
    #[error("after wrong tries the approval PIN is locked until {until}")]
    Locked { until: Timestamp },
    #[error("a PIN has {min} to {max} characters, none of them a control character")]
    Unusable { min: usize, max: usize },
    #[error("no approval PIN is set")]
    NotSet,
}

/// An approval that this call cannot use.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClaimError {
    /// It has another state by now, which the item says.
    #[error("{}", unusable(_0))]
    Unclaimable(Arc<Item>),
    #[error("that the call begins could not be recorded, so it was not sent")]
    Store(#[source] Arc<StoreError>),
}

fn unusable(item: &Item) -> String {
    use super::item::State;
    match item.state {
        State::Pending => "nobody has decided yet".to_owned(),
        State::Executing | State::Done | State::Failed | State::OutcomeUnknown => {
            "the approval was used by a repetition of this call, and it counts once".to_owned()
        }
        _ => format!("the call was {}", item.standing()),
    }
}

impl From<Arc<StoreError>> for ApprovalError {
    fn from(error: Arc<StoreError>) -> Self {
        Self::Store(error)
    }
}

impl From<StoreError> for ApprovalError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Classify for ApprovalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Full { .. } | Self::CallerFull { .. } | Self::NoRoom => ErrorKind::Unavailable,
            Self::TooManyGrants { .. } => ErrorKind::Unavailable,
            Self::NotFound(_) | Self::NoGrant(_) => ErrorKind::NotFound,
            Self::Ambiguous { .. } | Self::Arguments { .. } => ErrorKind::InvalidInput,
            Self::Duration { .. } | Self::Reason { .. } => ErrorKind::InvalidInput,
            Self::AlreadyDecided(_) | Self::UnknownTool { .. } => ErrorKind::Conflict,
            Self::NotEditable { .. } => ErrorKind::Conflict,
            Self::TooWeak { .. } => ErrorKind::Denied,
            Self::Pin(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::NoRandomness => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } | Self::CallerFull { .. } | Self::NoRoom => {
                Some("decide some first: `mcpbridgectl approvals`".to_owned())
            }
            Self::NotFound(_) => Some("`mcpbridgectl approvals list --all` shows them".to_owned()),
            Self::Ambiguous { .. } => Some("give more of its id".to_owned()),
            Self::NoGrant(_) | Self::TooManyGrants { .. } => {
                Some("`mcpbridgectl approvals grants` shows them".to_owned())
            }
            Self::UnknownTool { server, .. } => Some(format!(
                "`mcpbridgectl tools {server}` makes its tools known; then it can be approved for longer"
            )),
            Self::Pin(error) => error.hint(),
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }
}

impl Classify for PinError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Required | Self::Wrong { .. } | Self::Locked { .. } => ErrorKind::Denied,
            Self::Unusable { .. } => ErrorKind::InvalidInput,
            Self::NotSet => ErrorKind::Conflict,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Locked { .. } => Some("calls can still be denied without it".to_owned()),
            Self::NotSet => Some("`mcpbridgectl approvals pin set` sets one".to_owned()),
            _ => None,
        }
    }
}

impl Classify for ClaimError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unclaimable(_) => ErrorKind::Denied,
            Self::Store(error) => error.kind(),
        }
    }
}
