//! Exchanges with an authorization server's endpoints: what `oauth` words, sent by `net`.

use jiff::{SignedDuration, Timestamp};
use url::Url;

use super::record::{ClientRecord, CredentialRecord, Tokens};
use crate::error::{Classify, ErrorKind, chain};
use crate::net::{self, AddressPolicy, NetError, display_url};
use crate::oauth::client::AuthMethod;
use crate::oauth::error::ErrorCode;
use crate::oauth::registration::{RegistrationError, RegistrationRequest};
use crate::oauth::revocation::{self, TokenKind};
use crate::oauth::token::{self, Grant, TokenEndpoint, TokenError, TokenResponse};
use crate::types::Secret;

/// How to reach the endpoints of one authorization server.
#[derive(Clone, Copy)]
pub(super) struct Reach<'a> {
    pub(super) net: &'a net::Client,
    pub(super) policy: AddressPolicy,
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("the registration endpoint cannot be reached")]
    Net(#[source] NetError),
    #[error(transparent)]
    Registration(#[from] RegistrationError),
}

impl Classify for RegisterError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Net(error) => error.kind(),
            Self::Registration(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Net(error) => error.hint(),
            Self::Registration(error) => error.hint(),
        }
    }
}

/// Whether the server does not know the client, or not any more.
pub(super) fn client_is_unknown(error: &TokenError) -> bool {
    matches!(
        error.code(),
        Some(ErrorCode::InvalidClient | ErrorCode::UnauthorizedClient)
    )
}

/// Whether the server has ended the grant: the only answer that ends a sign-in.
pub(super) fn grant_is_dead(error: &TokenError) -> bool {
    matches!(error.code(), Some(ErrorCode::InvalidGrant))
}

/// A code with all that proves it is ours.
pub(super) struct CodeExchange<'a> {
    pub(super) endpoint: &'a Url,
    pub(super) client: &'a ClientRecord,
    pub(super) resource: Option<&'a str>,
    pub(super) code: &'a Secret,
    pub(super) verifier: &'a Secret,
    /// As requested: granted unless the answer says otherwise (RFC 6749 §5.1).
    pub(super) scopes: &'a [String],
}

impl Reach<'_> {
    pub(super) async fn exchange_code(
        self,
        exchange: &CodeExchange<'_>,
        now: Timestamp,
    ) -> Result<Tokens, TokenError> {
        let grant = Grant::AuthorizationCode {
            code: exchange.code,
            verifier: exchange.verifier,
            redirect_uri: &exchange.client.redirect_uri,
        };
        let answer = self
            .token(exchange.endpoint, exchange.client, exchange.resource, grant)
            .await?;
        Ok(tokens(answer, exchange.scopes, None, now))
    }

    /// New tokens for the record's refresh token. A server that does not rotate sends no new one,
    /// and the old one stays.
    pub(super) async fn refresh(
        self,
        record: &CredentialRecord,
        refresh_token: &Secret,
        now: Timestamp,
    ) -> Result<Tokens, TokenError> {
        let resource = record.resource.as_deref();
        let grant = Grant::RefreshToken { refresh_token };
        let answer = self
            .token(&record.token_endpoint, &record.client, resource, grant)
            .await?;
        Ok(tokens(
            answer,
            &record.tokens.scopes,
            Some(refresh_token),
            now,
        ))
    }

    async fn token(
        self,
        endpoint: &Url,
        client: &ClientRecord,
        resource: Option<&str>,
        grant: Grant<'_>,
    ) -> Result<TokenResponse, TokenError> {
        let identity = client.identity();
        let sent = sent_secrets(client, &grant);
        let endpoint = TokenEndpoint {
            url: endpoint,
            client: &identity,
            resource,
        };
        let (net, policy) = (self.net.clone(), self.policy);
        let send = move |request| {
            let net = net.clone();
            async move { net.send(policy, request).await }
        };
        token::request(endpoint, grant, send)
            .await
            .map_err(|error| without_echo(error, &sent))
    }

    pub(super) async fn register(
        self,
        endpoint: &Url,
        redirect_uri: &str,
        scopes: &[String],
        supported: &[AuthMethod],
    ) -> Result<ClientRecord, RegisterError> {
        let request = RegistrationRequest::new(endpoint, redirect_uri, scopes, supported)?;
        let response = self
            .net
            .send(self.policy, request.to_http())
            .await
            .map_err(RegisterError::Net)?;
        let client = request.parse(&response)?;
        Ok(ClientRecord {
            id: client.identity.client_id,
            secret: client.identity.client_secret,
            auth_method: client.identity.auth_method,
            dynamic: true,
            redirect_uri: redirect_uri.to_owned(),
            registration_access_token: client.registration_access_token,
            registration_client_uri: client.registration_client_uri,
        })
    }

    /// Revokes what can be revoked; None when all went well or nothing is offered. The answer is a
    /// line for the person.
    ///
    /// A server should drop the access token with the refresh token (RFC 7009 §2.1) but need not, and
    /// may not be able to revoke it: asking for that as well is for nobody to know.
    pub(super) async fn revoke(self, record: &CredentialRecord) -> Option<String> {
        let endpoint = record.revocation_endpoint.as_ref()?;
        let access = (&record.tokens.access_token, TokenKind::Access);
        let refresh = record.tokens.refresh_token.as_ref();
        let first = refresh.map_or(access, |token| (token, TokenKind::Refresh));
        let problem = match self.revoke_one(endpoint, record, first).await {
            Ok(()) if refresh.is_some() => {
                let _ = self.revoke_one(endpoint, record, access).await;
                return None;
            }
            Ok(()) => return None,
            Err(problem) => problem,
        };
        let endpoint = display_url(endpoint);
        Some(format!(
            "the tokens are forgotten here, but {endpoint} did not revoke them: {problem}"
        ))
    }

    async fn revoke_one(
        self,
        endpoint: &Url,
        record: &CredentialRecord,
        (token, kind): (&Secret, TokenKind),
    ) -> Result<(), String> {
        let request = revocation::request(endpoint, &record.client.identity(), token, kind);
        match self.net.send(self.policy, request).await {
            Ok(response) if response.status.is_success() => Ok(()),
            Ok(response) => Err(format!("status {}", response.status.as_u16())),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// What a token request tells the server in confidence.
fn sent_secrets(client: &ClientRecord, grant: &Grant<'_>) -> Vec<Secret> {
    let mut sent: Vec<Secret> = client.secret.iter().cloned().collect();
    match grant {
        Grant::AuthorizationCode { code, verifier, .. } => {
            sent.extend([(*code).clone(), (*verifier).clone()]);
        }
        Grant::RefreshToken { refresh_token } => sent.push((*refresh_token).clone()),
        Grant::ClientCredentials { .. } => {}
    }
    sent
}

/// Descriptions are shown and logged, and some servers repeat in them what they refuse. A long one
/// is cut, so the beginning of a secret counts.
fn without_echo(mut error: TokenError, sent: &[Secret]) -> TokenError {
    let start = |secret: &Secret| secret.expose().chars().take(12).collect::<String>();
    if let TokenError::Refused { error, .. } = &mut error {
        let echoes = |text: &str| sent.iter().any(|secret| text.contains(&start(secret)));
        if error.description.as_deref().is_some_and(echoes) {
            error.description = None;
        }
        if echoes(error.code.as_str()) {
            error.code = ErrorCode::Other("an error that repeats a secret".to_owned());
        }
    }
    error
}

fn tokens(
    answer: TokenResponse,
    requested: &[String],
    previous: Option<&Secret>,
    now: Timestamp,
) -> Tokens {
    let expires_at = answer
        .expires_in
        .and_then(|lifetime| SignedDuration::try_from(lifetime).ok())
        .and_then(|lifetime| now.checked_add(lifetime).ok());
    Tokens {
        access_token: answer.access_token,
        refresh_token: answer.refresh_token.or_else(|| previous.cloned()),
        scopes: answer.scopes.unwrap_or_else(|| requested.to_vec()),
        issued_at: now,
        expires_at,
    }
}
