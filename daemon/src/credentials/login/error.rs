//! How a sign-in fails.

use std::sync::Arc;

use super::CONSENT_LIMIT;
use crate::credentials::discover::DiscoverError;
use crate::credentials::error::CredentialError;
use crate::credentials::grant::RegisterError;
use crate::credentials::state::login_command;
use crate::error::{Classify, ErrorKind};
use crate::oauth::callback::CallbackError;
use crate::oauth::discovery::DiscoveryError;
use crate::oauth::pkce::NoRandomness;
use crate::oauth::registration::RegistrationError;
use crate::oauth::token::TokenError;
use crate::types::ServerName;

#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("the sign-in cannot begin")]
    Discovery(#[from] DiscoverError),
    #[error("there is no client to sign in with")]
    Client(#[from] RegistrationError),
    #[error("no client could be registered")]
    Register(#[from] RegisterError),
    #[error("the authorization request cannot be made")]
    Request(#[from] DiscoveryError),
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    #[error("the browser's answer is refused")]
    Callback(#[from] CallbackError),
    #[error("the authorization server gave no token for the code")]
    Exchange(#[source] TokenError),
    #[error("nobody consented within {} minutes", CONSENT_LIMIT.as_secs() / 60)]
    Expired { server: ServerName },
    /// A server in trouble can look like one that is open to all.
    #[error("{server} asks for no sign-in just now; the present one is kept")]
    Open { server: ServerName },
    #[error("the sign-in was given up")]
    Cancelled,
    #[error("the new sign-in cannot be put into use")]
    Store(#[from] CredentialError),
}

impl Classify for LoginError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Discovery(error) => error.kind(),
            Self::Client(error) => error.kind(),
            Self::Register(error) => error.kind(),
            Self::Request(error) => error.kind(),
            Self::Randomness(error) => error.kind(),
            Self::Callback(error) => error.kind(),
            Self::Exchange(error) => error.kind(),
            Self::Expired { .. } => ErrorKind::TimedOut,
            Self::Open { .. } => ErrorKind::Conflict,
            Self::Cancelled => ErrorKind::Unavailable,
            Self::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Discovery(error) => error.hint(),
            Self::Client(error) => error.hint(),
            Self::Register(error) => error.hint(),
            Self::Request(error) => error.hint(),
            Self::Callback(error) => error.hint(),
            Self::Exchange(error) => error.hint(),
            Self::Expired { server } => Some(format!(
                "run `{}`; if the browser showed an error, that registers a new client",
                login_command(server, &[])
            )),
            Self::Open { server } => Some(format!(
                "if it is meant to be open now, run `mcpbridgectl logout {server}` first"
            )),
            Self::Store(error) => error.hint(),
            Self::Randomness(_) | Self::Cancelled => None,
        }
    }
}

/// A failed sign-in is shown to everyone who waits for it.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct SharedLoginError(#[from] Arc<LoginError>);

impl Classify for SharedLoginError {
    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }

    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}
