//! `config.json`: the settings a person edits, and the servers `mcpbridgectl` adds.
//!
//! Invariants: an unreadable or invalid file is an error that names the place and is never
//! overwritten; an edit changes only what it is about and keeps the order of everything else; no
//! secret is in this file (client secrets and header values live in the vault).

mod ai;
mod edit;
mod load;
mod objects;
mod rules;
mod schema;
mod text;
mod validate;

use std::io;
use std::path::PathBuf;

pub use ai::{AiConfig, Api, VendorConfig};
pub use edit::{remove_server, set_policy, upsert_server, write_default};
pub use load::{load, reload};
pub use rules::{
    CallerRule, Hint, InvalidCaller, InvalidHint, PolicyConfig, Predicate, RuleConfig,
};
pub use schema::{
    ApprovalsConfig, AuditArguments, AuditConfig, AuthMode, Config, OAuthConfig, ResourceSetting,
    ServerConfig,
};
pub use validate::InvalidSetting;

use crate::error::{Classify, ErrorKind};
use crate::types::ServerName;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}:{line}:{column}: not valid JSON: {reason}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        column: usize,
        reason: String,
    },
    #[error("{}:{line}:{column}: unknown key {key:?}", path.display())]
    UnknownKey {
        path: PathBuf,
        line: usize,
        column: usize,
        /// Dotted path from the top of the file.
        key: String,
        /// The known key that is spelled most alike, if any is.
        nearest: Option<String>,
    },
    #[error("{}:{line}:{column}: {key}: {reason}", path.display())]
    Value {
        path: PathBuf,
        line: usize,
        column: usize,
        key: String,
        reason: String,
    },
    #[error("{} is gone", .0.display())]
    Gone(PathBuf),
    #[error("{}: written by a newer version (format {version}, this one reads {})", path.display(), schema::VERSION)]
    Newer { path: PathBuf, version: String },
    #[error("{}", path.display())]
    Setting {
        path: PathBuf,
        #[source]
        source: InvalidSetting,
    },
    /// A value handed to an edit, not one found in the file.
    #[error("{0}")]
    Refused(InvalidSetting),
    #[error("there is no server named {0}")]
    UnknownServer(ServerName),
    #[error("{} cannot be changed by a command", .0.display())]
    NotEdited(PathBuf),
    #[error("{} cannot be written; it is unchanged", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Classify for ConfigError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { .. } | Self::Write { .. } => ErrorKind::Unavailable,
            Self::Syntax { .. }
            | Self::UnknownKey { .. }
            | Self::Value { .. }
            | Self::Gone(_)
            | Self::Newer { .. }
            | Self::Setting { .. }
            | Self::NotEdited(_) => ErrorKind::Conflict,
            Self::Refused(_) => ErrorKind::InvalidInput,
            Self::UnknownServer(_) => ErrorKind::NotFound,
        }
    }

    fn hint(&self) -> Option<String> {
        const FIX: &str = "fix the file or move it away; the daemon never overwrites it";
        match self {
            Self::Read { .. } => Some(
                "make the file readable for the user that runs mcpbridged, or move it away"
                    .to_owned(),
            ),
            Self::UnknownKey {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean {nearest:?}? {FIX}")),
            Self::Syntax { .. }
            | Self::UnknownKey { .. }
            | Self::Value { .. }
            | Self::Setting { .. } => Some(FIX.to_owned()),
            Self::Gone(_) => Some(
                "put the file back, or go on without servers: `mcpbridgectl restart`".to_owned(),
            ),
            Self::Newer { .. } => Some(
                "install the version that wrote the file, or move the file away to start afresh"
                    .to_owned(),
            ),
            Self::NotEdited(_) => Some("make the change in the file".to_owned()),
            Self::Refused(_) => None,
            Self::UnknownServer(_) => Some("`mcpbridgectl list` shows the servers".to_owned()),
            Self::Write { .. } => {
                Some("check the free space and the permissions of its directory".to_owned())
            }
        }
    }
}
