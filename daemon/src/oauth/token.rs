//! The token endpoint: requests for the three grants, through the `oauth2` crate.
//!
//! `oauth2` builds the requests and reads strictly conforming answers; [`super::token_response`]
//! makes answers conform first, because many deployed servers' do not.

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use oauth2::basic::{BasicClient, BasicTokenResponse};
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret, HttpRequest,
    HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope,
    TokenResponse as _, TokenUrl,
};
use url::Url;

use super::client::ClientIdentity;
use super::error::{ErrorCode, OAuthError};
use super::token_response::normalise;
use crate::error::{Classify, ErrorKind};
use crate::net::{NetError, Response};
use crate::types::Secret;

/// Where tokens come from, and for whom and what.
#[derive(Debug, Clone, Copy)]
pub struct TokenEndpoint<'a> {
    pub url: &'a Url,
    pub client: &'a ClientIdentity,
    /// RFC 8707, the same text as in the authorization request.
    pub resource: Option<&'a str>,
}

#[derive(Debug)]
pub enum Grant<'a> {
    AuthorizationCode {
        code: &'a Secret,
        verifier: &'a Secret,
        redirect_uri: &'a str,
    },
    RefreshToken {
        refresh_token: &'a Secret,
    },
    ClientCredentials {
        scopes: &'a [String],
    },
}

/// A usable answer. The token is a Bearer token whatever the server calls it, and safe to put into
/// a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenResponse {
    pub access_token: Secret,
    /// None when the server does not say, or says zero.
    pub expires_in: Option<Duration>,
    /// None keeps the one that was used.
    pub refresh_token: Option<Secret>,
    /// None means: as requested.
    pub scopes: Option<Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The answer never came, or not completely: the grant may have been used.
    #[error("the token request failed")]
    Transport(#[source] NetError),
    #[error("{host} refused the token request: {error}")]
    Refused { host: String, error: OAuthError },
    #[error("{host} answered the token request with status {status}")]
    Status { host: String, status: u16 },
    #[error("{host} answered {content_type}, not JSON, to the token request")]
    NotJson { host: String, content_type: String },
    #[error("{host} answered the token request with an unusable token: {reason}")]
    Unusable { host: String, reason: &'static str },
    #[error("the token request could not be built: {0}")]
    Request(&'static str),
}

impl TokenError {
    /// The server's error code, which decides whether a grant is dead (`invalid_grant`), the client
    /// is unknown (`invalid_client`), or it is worth trying again.
    pub fn code(&self) -> Option<&ErrorCode> {
        match self {
            Self::Refused { error, .. } => Some(&error.code),
            _ => None,
        }
    }
}

impl Classify for TokenError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Transport(error) => error.kind(),
            Self::Refused { error, .. } => match error.code {
                ErrorCode::InvalidGrant => ErrorKind::NeedsLogin,
                ErrorCode::ServerError | ErrorCode::TemporarilyUnavailable => {
                    ErrorKind::Unavailable
                }
                _ => ErrorKind::UpstreamFault,
            },
            Self::Status { status, .. } if *status >= 500 || *status == 429 => {
                ErrorKind::Unavailable
            }
            Self::Status { .. } | Self::NotJson { .. } | Self::Unusable { .. } => {
                ErrorKind::UpstreamFault
            }
            Self::Request(_) => ErrorKind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Transport(error) => error.hint(),
            Self::Refused { error, .. } if error.code == ErrorCode::InvalidTarget => Some(
                "If this server does not know resource indicators, add it with --resource none."
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Sends one token request with `send` and reads the answer. Never repeats it: a code and, with
/// rotation, a refresh token are good for one use. The future that `send` returns should own what it
/// uses (clone the HTTP client into it), or the compiler cannot prove this one `Send`.
pub async fn request<S, F>(
    endpoint: TokenEndpoint<'_>,
    grant: Grant<'_>,
    send: S,
) -> Result<TokenResponse, TokenError>
where
    S: Fn(http::Request<Vec<u8>>) -> F + Sync,
    F: Future<Output = Result<Response, NetError>> + Send,
{
    let host = endpoint.url.host_str().unwrap_or_default();
    let http = Exchange { host, send };
    let client = oauth_client(&endpoint)?;
    // Every request carries the resource, refreshes too (MCP: "whether or not the server supports it").
    macro_rules! send {
        ($request:expr) => {{
            let mut request = $request;
            if let Some(resource) = endpoint.resource {
                request = request.add_extra_param("resource", resource);
            }
            request.request_async(&http).await
        }};
    }
    let answer = match grant {
        Grant::AuthorizationCode {
            code,
            verifier,
            redirect_uri,
        } => {
            let redirect = RedirectUrl::new(redirect_uri.to_owned())
                .map_err(|_| TokenError::Request("the redirect URI is not a URL"))?;
            send!(
                client
                    .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
                    .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
                    .set_redirect_uri(Cow::Owned(redirect))
            )
        }
        Grant::RefreshToken { refresh_token } => {
            let token = RefreshToken::new(refresh_token.expose().to_owned());
            send!(client.exchange_refresh_token(&token))
        }
        Grant::ClientCredentials { scopes } => {
            let scopes = scopes.iter().cloned().map(Scope::new);
            send!(client.exchange_client_credentials().add_scopes(scopes))
        }
    };
    read(host, answer)
}

/// `send` with [`normalise`] behind it, in the form that `oauth2` takes.
struct Exchange<'a, S> {
    host: &'a str,
    send: S,
}

impl<'c, S, F> AsyncHttpClient<'c> for Exchange<'_, S>
where
    S: Fn(http::Request<Vec<u8>>) -> F + Sync,
    F: Future<Output = Result<Response, NetError>> + Send + 'c,
{
    type Error = TokenError;
    // Boxed, as the compiler cannot see through `oauth2`'s own future that this one is `Send`.
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, TokenError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        let answer = (self.send)(request);
        Box::pin(async { normalise(self.host, &answer.await.map_err(TokenError::Transport)?) })
    }
}

type ConfiguredClient = BasicClient<
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

fn oauth_client(endpoint: &TokenEndpoint<'_>) -> Result<ConfiguredClient, TokenError> {
    let url = TokenUrl::new(endpoint.url.as_str().to_owned())
        .map_err(|_| TokenError::Request("the token endpoint is not a URL"))?;
    let client = BasicClient::new(ClientId::new(endpoint.client.client_id.clone()));
    let client = match endpoint.client.credentials() {
        Some((secret, in_header)) => client
            .set_client_secret(ClientSecret::new(secret.expose().to_owned()))
            .set_auth_type(if in_header {
                AuthType::BasicAuth
            } else {
                AuthType::RequestBody
            }),
        None => client.set_auth_type(AuthType::RequestBody),
    };
    Ok(client.set_token_uri(url))
}

type Answer =
    Result<BasicTokenResponse, RequestTokenError<TokenError, oauth2::basic::BasicErrorResponse>>;

fn read(host: &str, answer: Answer) -> Result<TokenResponse, TokenError> {
    let tokens = answer.map_err(|error| match error {
        RequestTokenError::Request(error) => error,
        // Normalised answers parse, so this is a field that `normalise` does not know. The crate's
        // own error holds the body, token included, and is dropped.
        _ => TokenError::Unusable {
            host: host.to_owned(),
            reason: "it could not be read",
        },
    })?;
    Ok(TokenResponse {
        access_token: Secret::new(tokens.access_token().secret()),
        expires_in: tokens.expires_in(),
        refresh_token: tokens
            .refresh_token()
            .map(|token| Secret::new(token.secret())),
        scopes: tokens.scopes().map(|scopes| {
            scopes
                .iter()
                .map(|scope| scope.as_str().to_owned())
                .collect()
        }),
    })
}

#[cfg(test)]
mod tests;
