//! What can be wrong with a change of the configured servers.

use crate::config::ConfigError;
use crate::error::{Classify, ErrorKind};
use crate::types::ServerName;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("server {0} is not configured")]
    UnknownServer(String),
    #[error("server {name} exists with other settings: {difference} differs")]
    Exists {
        name: ServerName,
        difference: &'static str,
    },
    #[error("server {server} has no rule for {rule}")]
    UnknownRule { server: ServerName, rule: String },
    #[error("{field}: {reason}")]
    Rule { field: &'static str, reason: String },
    #[error("config.json was changed at the same time")]
    Crossed,
    #[error("the change is not stored")]
    Config(#[from] ConfigError),
    #[error("the configuration could not be written")]
    Interrupted,
}

impl Classify for RegistryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownServer(_) | Self::UnknownRule { .. } => ErrorKind::NotFound,
            Self::Exists { .. } | Self::Crossed => ErrorKind::Conflict,
            Self::Rule { .. } => ErrorKind::InvalidInput,
            Self::Config(error) => error.kind(),
            Self::Interrupted => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownServer(_) => Some("mcpbridgectl list shows the configured servers".into()),
            Self::Exists { name, .. } => Some(format!(
                "use another name, or remove the present one: `mcpbridgectl remove {name}`"
            )),
            Self::UnknownRule { server, .. } => {
                Some(format!("mcpbridgectl policy list {server} shows the rules"))
            }
            Self::Crossed => Some("repeat the command".into()),
            Self::Config(error) => error.hint(),
            Self::Rule { .. } | Self::Interrupted => None,
        }
    }
}
