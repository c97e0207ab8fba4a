//! Why there is no token for a call.

use super::record::UnreadableRecord;
use super::state::login_command;
use crate::error::{Classify, ErrorKind};
use crate::types::ServerName;
use crate::vault::VaultError;

#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    #[error("server {0} is not configured")]
    UnknownServer(ServerName),
    #[error("{server} needs you to sign in: {reason}")]
    NeedsLogin { server: ServerName, reason: String },
    /// The last refresh failed in a way that may pass, and no token is left that still works.
    #[error("{server} has no valid token just now: {reason}")]
    Backoff { server: ServerName, reason: String },
    #[error("{server} cannot be refreshed: the authorization server gave no refresh token")]
    NotRefreshable { server: ServerName },
    #[error("{server} refused a token that was issued a moment ago")]
    FreshTokenRefused { server: ServerName },
    #[error("{server} refuses the fixed headers it was added with")]
    StaticRefused { server: ServerName },
    #[error("{server} does not use OAuth: there is nothing to {action}")]
    NotOAuth {
        server: ServerName,
        action: &'static str,
    },
    #[error("the token of {server} was not refreshed in time")]
    TimedOut { server: ServerName },
    #[error("the credential of {server} cannot be stored")]
    Vault {
        server: ServerName,
        #[source]
        source: VaultError,
    },
    #[error("what the vault holds for {server} cannot be used")]
    Record {
        server: ServerName,
        #[source]
        source: UnreadableRecord,
    },
    /// Found at the end of a sign-in.
    #[error("{0} was removed or changed meanwhile")]
    Changed(ServerName),
    #[error("the daemon is stopping")]
    Stopping,
}

impl CredentialError {
    pub(super) fn logged_out(server: &ServerName, reason: Option<String>) -> Self {
        Self::NeedsLogin {
            server: server.clone(),
            reason: reason.unwrap_or_else(|| "nobody has signed in".to_owned()),
        }
    }
}

impl Classify for CredentialError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownServer(_) => ErrorKind::NotFound,
            Self::NeedsLogin { .. }
            | Self::FreshTokenRefused { .. }
            | Self::StaticRefused { .. } => ErrorKind::NeedsLogin,
            Self::Backoff { .. } | Self::Stopping => ErrorKind::Unavailable,
            Self::NotOAuth { .. } | Self::NotRefreshable { .. } | Self::Changed(_) => {
                ErrorKind::Conflict
            }
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Vault { source, .. } => source.kind(),
            Self::Record { .. } => ErrorKind::Conflict,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownServer(_) => Some("mcpbridgectl list shows the configured servers".into()),
            Self::NeedsLogin { server, .. }
            | Self::Changed(server)
            | Self::NotRefreshable { server }
            | Self::FreshTokenRefused { server } => {
                Some(format!("run `{}`", login_command(server, &[])))
            }
            Self::StaticRefused { server } => Some(format!(
                "remove it and add it again with a working token: `mcpbridgectl remove {server}`"
            )),
            Self::Backoff { server, .. } | Self::TimedOut { server } => Some(format!(
                "it is tried again by itself; `mcpbridgectl show {server}` tells when"
            )),
            Self::Record { .. } => Some(
                "install the version that wrote it, or remove the server and add it again".into(),
            ),
            Self::NotOAuth { .. } | Self::Stopping => None,
            Self::Vault { source, .. } => source.hint(),
        }
    }
}
