//! What is known about a credential, for people and for the proxy. No token text is in here except
//! inside [`Authorization`], whose headers are marked sensitive.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::types::{ServerName, shell_word};

/// The life of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody signed in, or somebody signed out.
    LoggedOut,
    /// Usable. Servers that need no OAuth are always here.
    Active,
    /// A refresh is under way; the old token still serves while it lasts.
    Refreshing,
    /// The last refresh failed in a way that may pass; the old token still serves while it lasts.
    Backoff,
    /// Only a person can help.
    NeedsLogin,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::Active => "active",
            Self::Refreshing => "refreshing",
            Self::Backoff => "backoff",
            Self::NeedsLogin => "needs_login",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub state: State,
    /// Why, when there is something to say.
    pub reason: Option<String>,
    pub issuer: Option<String>,
    pub resource: Option<String>,
    pub client_id: Option<String>,
    pub scopes: Vec<String>,
    pub expires_at: Option<Timestamp>,
    pub next_refresh_at: Option<Timestamp>,
    pub last_refreshed_at: Option<Timestamp>,
    pub refreshable: bool,
}

impl Status {
    /// A status without OAuth details.
    pub fn plain(state: State, reason: Option<String>) -> Self {
        Self {
            state,
            reason,
            issuer: None,
            resource: None,
            client_id: None,
            scopes: Vec::new(),
            expires_at: None,
            next_refresh_at: None,
            last_refreshed_at: None,
            refreshable: false,
        }
    }

    /// The command that helps, if a person has to act.
    pub fn remedy(&self, server: &ServerName) -> Option<String> {
        match self.state {
            State::LoggedOut | State::NeedsLogin => Some(login_command(server, &[])),
            State::Backoff => Some(format!("mcpbridgectl refresh {server}")),
            State::Active | State::Refreshing => None,
        }
    }
}

/// The command with which a person signs in, asking for `scopes` in addition to the present ones.
/// Servers choose the scopes, so each is quoted.
pub fn login_command(server: &ServerName, scopes: &[String]) -> String {
    let mut command = format!("mcpbridgectl login {server}");
    for scope in scopes {
        command.push_str(" --scope ");
        command.push_str(&shell_word(scope));
    }
    command
}

/// Which token an [`Authorization`] carries, so that a refusal can be tied to that very token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenId(pub(super) u64);

/// What to add to an upstream request.
#[derive(Debug, Clone)]
pub struct Authorization {
    pub headers: Arc<[(HeaderName, HeaderValue)]>,
    /// None when nothing could be refreshed: no OAuth, fixed headers.
    pub token: Option<TokenId>,
}
