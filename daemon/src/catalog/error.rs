//! Why a change is not approved.

use crate::error::{Classify, ErrorKind};
use crate::store::StoreError;
use crate::types::ServerName;

#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error("nothing about {what} of {server} waits for approval")]
    NotHeld { server: ServerName, what: String },
    #[error("{what} of {server} changed again after it was shown")]
    ChangedAgain { server: ServerName, what: String },
    #[error("{what} of {server} cannot be approved: {why}")]
    Unpinnable {
        server: ServerName,
        what: String,
        why: String,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the change of the catalog was interrupted")]
    Interrupted,
}

impl Classify for CatalogError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotHeld { .. } => ErrorKind::NotFound,
            Self::ChangedAgain { .. } | Self::Unpinnable { .. } => ErrorKind::Conflict,
            Self::Store(error) => error.kind(),
            Self::Interrupted => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotHeld { server, .. } | Self::ChangedAgain { server, .. } => Some(format!(
                "`mcpbridgectl tools {server} --changes` shows what waits"
            )),
            Self::Unpinnable { .. } => Some("each call of it can be approved by itself".to_owned()),
            Self::Store(error) => error.hint(),
            Self::Interrupted => None,
        }
    }
}
