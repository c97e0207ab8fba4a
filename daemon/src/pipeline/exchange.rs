//! One exchange with a server, including the second try after a 401.
//!
//! A 401 is given before a server acts, so a call may be sent again, once, with a newer token.
//! Nothing else is ever sent again: the call may have run.

use std::sync::PoisonError;

use http::{HeaderMap, Response, StatusCode};
use hyper::body::{Body, Incoming};

use super::Inner;
use super::error::CallError;
use crate::config::AuthMode;
use crate::credentials::{Authorization, CredentialError};
use crate::oauth::challenge::{BearerChallenge, bearer_challenge};
use crate::registry::Server;
use crate::types::ServerName;
use crate::upstream::Outgoing;

/// Of the scopes a server asks for: they are repeated in every answer and log line.
const MAX_SCOPES: usize = 64;

/// What is sent, and to whom.
#[derive(Clone, Copy)]
pub(super) struct Aimed<'a> {
    pub(super) server: &'a Server,
    pub(super) outgoing: &'a Outgoing,
    /// `server/discover`: the question by which clients find out a server's era.
    pub(super) is_probe: bool,
}

/// Sends it with `authorization`, what [`Inner::authorize`] gave.
pub(super) async fn exchange(
    inner: &Inner,
    aimed: Aimed<'_>,
    authorization: Authorization,
) -> Result<Response<Incoming>, CallError> {
    let name = &aimed.server.name;
    let url = &aimed.server.config.url;
    let response = inner
        .upstream
        .send(aimed.outgoing, &authorization.headers)
        .await?;
    if response.status() != StatusCode::UNAUTHORIZED {
        return accept(aimed, response);
    }
    drop(response);
    // Some servers refuse the probe with a token that works for everything else; then the token is
    // not worth a refresh, and the client learns the era from `initialize`. Where there is nothing to
    // refresh, `initialize` has to show whether the token is at fault.
    let replaceable = || inner.credentials.status(name).refreshable;
    if aimed.is_probe && (inner.refuses_discover(name) || !replaceable()) {
        return Err(CallError::NoDiscovery(name.clone()));
    }
    let response = match authorization.token {
        None => None,
        Some(refused) => match inner
            .credentials
            .authorization(name, url, Some(refused))
            .await
        {
            Ok(newer) => Some(inner.upstream.send(aimed.outgoing, &newer.headers).await?),
            Err(CredentialError::FreshTokenRefused { .. }) if aimed.is_probe => None,
            Err(error) => return Err(error.into()),
        },
    };
    match response {
        Some(response) if response.status() != StatusCode::UNAUTHORIZED => accept(aimed, response),
        _ if aimed.is_probe => {
            inner.remember_refusal(name);
            Err(CallError::NoDiscovery(name.clone()))
        }
        _ => Err(unauthorized(aimed.server)),
    }
}

/// What a 401 means depends on what was sent.
fn unauthorized(server: &Server) -> CallError {
    let name = server.name.clone();
    match server.config.auth {
        AuthMode::Oauth => CallError::Unauthorized(name),
        AuthMode::Static => CredentialError::StaticRefused { server: name }.into(),
        AuthMode::None => CallError::WantsCredential(name),
    }
}

/// Lets an answer pass unless a client must not see it: it would start OAuth against us on a
/// challenge, and follow a redirect past us.
fn accept(aimed: Aimed<'_>, response: Response<Incoming>) -> Result<Response<Incoming>, CallError> {
    let name = &aimed.server.name;
    let status = response.status();
    if status == StatusCode::FORBIDDEN {
        return Err(match missing_scopes(response.headers()) {
            Some(scopes) => CallError::InsufficientScope {
                server: name.clone(),
                scopes,
            },
            None if aimed.is_probe => CallError::NoDiscovery(name.clone()),
            None => CallError::Forbidden(name.clone()),
        });
    }
    if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
        return Err(CallError::Redirected {
            server: name.clone(),
            status: status.as_u16(),
        });
    }
    // 101: the connection would speak another protocol from here on, past every check.
    if status.is_informational() {
        return Err(CallError::Unasked {
            server: name.clone(),
            status: status.as_u16(),
        });
    }
    // Seen from older servers: an empty success to a request they do not know.
    if aimed.is_probe && status.is_success() && response.body().is_end_stream() {
        return Err(CallError::NoDiscovery(name.clone()));
    }
    Ok(response)
}

impl Inner {
    /// The credential for a call of `server`. Nothing has been sent as long as this waits.
    pub(super) async fn authorize(&self, server: &Server) -> Result<Authorization, CallError> {
        let url = &server.config.url;
        Ok(self
            .credentials
            .authorization(&server.name, url, None)
            .await?)
    }

    fn refuses_discover(&self, server: &ServerName) -> bool {
        self.refuse_discover
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(server)
    }

    fn remember_refusal(&self, server: &ServerName) {
        let mut servers = self
            .refuse_discover
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        servers.insert(server.clone());
    }
}

/// The scopes an `insufficient_scope` challenge asks for (RFC 6750 §3.1).
fn missing_scopes(headers: &HeaderMap) -> Option<Vec<String>> {
    let challenge = bearer_challenge(headers).filter(BearerChallenge::is_insufficient_scope)?;
    let scopes = challenge.scope.unwrap_or_default();
    let scopes = scopes.split_ascii_whitespace().map(str::to_owned);
    Some(scopes.take(MAX_SCOPES).collect())
}
