//! What does this server need? The look-ups of MCP authorization, in their order.
//!
//! Documents are judged in `oauth::discovery`; here they are fetched. A server in trouble ends the
//! search: taking its silence for absence could send a person to the wrong place.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use crate::config::ServerConfig;
use crate::error::{Classify, ErrorKind};
use crate::net::{self, AddressPolicy, NetError, display_url};
use crate::oauth::challenge::{BearerChallenge, bearer_challenge};
use crate::oauth::discovery::{
    self, AuthorizationServerMetadata, Lookup, ProtectedResourceMetadata, legacy_issuer,
    resource_metadata_urls, server_metadata_urls,
};

/// Any MCP server answers this, or says that it wants a token first.
const HANDSHAKE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"mcp-oauth-bridge","version":"1"}}}"#;

/// Servers that shake hands with anybody ask for a token here, and say for which scope.
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;

#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    #[error("the server cannot be reached")]
    Probe(#[source] NetError),
    #[error("metadata cannot be fetched")]
    Fetch(#[source] NetError),
    #[error("the metadata cannot be used")]
    Metadata(#[from] discovery::DiscoveryError),
    #[error("{url} is in trouble (HTTP status {status})")]
    Trouble { url: String, status: u16 },
    #[error("{url} is no MCP server: it answered with HTTP status {status}")]
    NotMcp { url: String, status: u16 },
    #[error("resource_metadata in the challenge is not a URL: {0:?}")]
    BadMetadataUrl(String),
    #[error("the authorization server {0} publishes no metadata")]
    NoMetadata(String),
}

impl Classify for DiscoverError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Probe(error) | Self::Fetch(error) => error.kind(),
            Self::Metadata(error) => error.kind(),
            Self::Trouble { .. } => ErrorKind::Unavailable,
            Self::NotMcp { .. } | Self::BadMetadataUrl(_) | Self::NoMetadata(_) => {
                ErrorKind::UpstreamFault
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Probe(error) | Self::Fetch(error) => error.hint(),
            Self::Metadata(error) => error.hint(),
            Self::NotMcp { .. } => {
                Some("check the URL; MCP endpoints often end in /mcp".to_owned())
            }
            Self::NoMetadata(_) => {
                Some("if another issuer is right, add the server with --issuer".to_owned())
            }
            Self::Trouble { .. } | Self::BadMetadataUrl(_) => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Found {
    /// The server answers without a token.
    Open,
    Protected(Box<Protected>),
}

/// All a sign-in needs to know.
#[derive(Debug)]
pub(super) struct Protected {
    pub(super) server: AuthorizationServerMetadata,
    /// None for servers older than RFC 9728.
    pub(super) resource: Option<ProtectedResourceMetadata>,
    pub(super) challenge: Option<BearerChallenge>,
}

pub(super) async fn discover(
    net: &net::Client,
    policy: AddressPolicy,
    config: &ServerConfig,
) -> Result<Found, DiscoverError> {
    let look = Look { net, policy };
    let probe = look.probe(&config.url, HANDSHAKE).await?;
    let mut challenge = bearer_challenge(&probe.headers);
    let resource = look.resource(&config.url, challenge.as_ref()).await?;
    let refused = matches!(
        probe.status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN
    );
    if resource.is_none() && !refused && config.oauth.issuer.is_none() {
        let url = display_url(&config.url);
        let status = probe.status.as_u16();
        return match probe.status {
            status if status.is_success() => Ok(Found::Open),
            // What servers of the 2026-07-28 form say to the older handshake.
            StatusCode::BAD_REQUEST => Ok(Found::Open),
            StatusCode::NOT_FOUND if looks_like_json_rpc(&probe.body) => Ok(Found::Open),
            code if code.is_server_error() => Err(DiscoverError::Trouble { url, status }),
            _ => Err(DiscoverError::NotMcp { url, status }),
        };
    }
    if !refused {
        let list = look.probe(&config.url, LIST).await?;
        challenge = bearer_challenge(&list.headers);
    }
    let named = resource
        .as_ref()
        .and_then(|resource| resource.authorization_servers.first());
    let server = match config.oauth.issuer.as_ref().or(named) {
        Some(issuer) => look
            .server(issuer)
            .await?
            .ok_or_else(|| DiscoverError::NoMetadata(crate::oauth::error::clean(issuer)))?,
        // No issuer is named: the rules of MCP 2025-03-26.
        None => match look.server(&legacy_issuer(&config.url)).await? {
            Some(server) => server,
            None => AuthorizationServerMetadata::legacy_defaults(&config.url)?,
        },
    };
    Ok(Found::Protected(Box::new(Protected {
        server,
        resource,
        challenge,
    })))
}

fn looks_like_json_rpc(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body)
        .is_ok_and(|body| body.get("jsonrpc").is_some())
}

struct Look<'a> {
    net: &'a net::Client,
    policy: AddressPolicy,
}

impl Look<'_> {
    async fn probe(&self, url: &Url, message: &str) -> Result<net::Response, DiscoverError> {
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(header::ACCEPT, accept)
            .header(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )
            .body(message.as_bytes().to_vec())
            .map_err(|_| DiscoverError::NotMcp {
                url: display_url(url),
                status: 0,
            })?;
        self.net
            .send(self.policy, request)
            .await
            .map_err(DiscoverError::Probe)
    }

    /// The metadata the challenge names, else the path form, else the root form.
    async fn resource(
        &self,
        server: &Url,
        challenge: Option<&BearerChallenge>,
    ) -> Result<Option<ProtectedResourceMetadata>, DiscoverError> {
        let urls = match challenge.and_then(|challenge| challenge.resource_metadata.as_deref()) {
            Some(text) => vec![
                Url::parse(text)
                    .map_err(|_| DiscoverError::BadMetadataUrl(crate::oauth::error::clean(text)))?,
            ],
            None => resource_metadata_urls(server),
        };
        let read = |document: &[u8]| ProtectedResourceMetadata::parse(document, server);
        self.first(&urls, read).await
    }

    async fn server(
        &self,
        issuer: &str,
    ) -> Result<Option<AuthorizationServerMetadata>, DiscoverError> {
        let urls = server_metadata_urls(issuer)?;
        let read = |document: &[u8]| AuthorizationServerMetadata::parse(document, issuer);
        self.first(&urls, read).await
    }

    /// The first of `urls` that has a document. A document that cannot be used ends the search.
    async fn first<T>(
        &self,
        urls: &[Url],
        read: impl Fn(&[u8]) -> Result<T, discovery::DiscoveryError>,
    ) -> Result<Option<T>, DiscoverError> {
        for url in urls {
            let response = self
                .net
                .get_following(self.policy, url, HeaderMap::new())
                .await
                .map_err(DiscoverError::Fetch)?;
            match Lookup::of(&response) {
                Lookup::Found(document) => return Ok(Some(read(document)?)),
                Lookup::Absent => {}
                Lookup::Unavailable => {
                    let status = response.status.as_u16();
                    return Err(DiscoverError::Trouble {
                        url: display_url(url),
                        status,
                    });
                }
            }
        }
        Ok(None)
    }
}
