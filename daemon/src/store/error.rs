//! What can go wrong with `state.db`, and what a person does about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use crate::error::{Classify, ErrorKind};

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} cannot be opened", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is damaged or no database", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("{} was written by a newer version (format {found}, this program knows {known})", path.display())]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error("{} cannot be used", path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the work on state.db failed")]
    Refused(#[from] rusqlite::Error),
    #[error("state.db does not take the change")]
    NotCommitted(#[source] Arc<rusqlite::Error>),
    #[error("the work on state.db was interrupted")]
    Interrupted,
}

impl StoreError {
    /// An error that came up while opening `path`.
    pub(super) fn at(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, source }
            }
            _ => Self::Unusable { path, source },
        }
    }
}

impl Classify for StoreError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::File { .. }
            | Self::Unusable { .. }
            | Self::Refused(_)
            | Self::NotCommitted(_) => ErrorKind::Unavailable,
            Self::Damaged { .. } | Self::Newer { .. } => ErrorKind::InvalidInput,
            Self::Interrupted => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Damaged { path, .. } => Some(format!(
                "it holds approvals, pinned tools, conversations and the audit log, no sign-ins; move it \
                 away to begin anew: mv '{0}' '{0}.damaged'",
                path.display()
            )),
            Self::Newer { .. } => Some("use the newer version again".to_owned()),
            Self::File { .. } | Self::Unusable { .. } => {
                Some("check its owner and mode, and the space on the disk".to_owned())
            }
            Self::Refused(_) | Self::NotCommitted(_) => {
                Some("check the space on the disk and the daemon's log".to_owned())
            }
            Self::Interrupted => None,
        }
    }
}
