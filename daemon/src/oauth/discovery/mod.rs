//! From a server's URL to the endpoints of its authorization server.
//!
//! The order of look-ups is the caller's loop; here are the URLs to try, what counts as an answer,
//! and what must be true of a document before anything in it is used.

mod resource;
mod server;

use url::{Host, Url};

pub use resource::{ProtectedResourceMetadata, covers, resource_metadata_urls};
pub use server::{AuthorizationServerMetadata, legacy_issuer, server_metadata_urls};

use crate::error::{Classify, ErrorKind};
use crate::net::{Response, display_url};
use crate::types::is_confidential;

/// What an answer to a metadata request means for the search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// A document, to be parsed; if it is bad the search ends there.
    Found(&'a [u8]),
    /// Nothing here: try the next URL.
    Absent,
    /// The server is in trouble. This is not absence: falling through to another document or to
    /// default endpoints because of it could send a person to the wrong place.
    Unavailable,
}

impl<'a> Lookup<'a> {
    pub fn of(response: &'a Response) -> Self {
        let status = response.status;
        if status.is_server_error() || status.as_u16() == 429 {
            return Self::Unavailable;
        }
        // Sites that answer every path with their start page answer 200 here as well.
        let body = response.body.trim_ascii_start();
        if status.is_success() && body.starts_with(b"{") {
            Self::Found(body)
        } else {
            Self::Absent
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("{what} is not valid JSON of the expected form")]
    Malformed {
        what: &'static str,
        #[source]
        source: serde_json::Error,
    },
    #[error("the protected resource metadata is for {resource}, which does not cover {server}")]
    ResourceMismatch { resource: String, server: String },
    #[error("the authorization server metadata names the issuer {found:?} instead of {expected:?}")]
    IssuerMismatch { expected: String, found: String },
    #[error("{field} is {value:?}, which cannot be used: {reason}")]
    BadUrl {
        field: &'static str,
        value: String,
        reason: &'static str,
    },
    #[error("the authorization server metadata has no {0}")]
    Missing(&'static str),
    #[error("the authorization server {issuer} supports PKCE only with {methods:?}, not with S256")]
    NoS256 {
        issuer: String,
        methods: Vec<String>,
    },
    #[error("the authorization server {issuer} does not say whether it supports PKCE with S256")]
    S256NotStated { issuer: String },
}

impl Classify for DiscoveryError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::UpstreamFault
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::S256NotStated { .. } => Some(
                "If it is known to (Entra ID and Amazon Cognito are), set \
                 \"oauth\": { \"assume_s256\": true } for this server in config.json."
                    .to_owned(),
            ),
            Self::IssuerMismatch { found, .. } => Some(format!(
                "If {found} is the right authorization server, add the server with --issuer {found}."
            )),
            Self::ResourceMismatch { resource, .. } => Some(format!(
                "Check the server's URL; its metadata is for {resource}."
            )),
            _ => None,
        }
    }
}

/// Checks a URL that a document or a person names before it is used for anything.
fn endpoint(field: &'static str, value: &str) -> Result<Url, DiscoveryError> {
    let bad = |reason| DiscoveryError::BadUrl {
        field,
        value: super::error::clean(value),
        reason,
    };
    let url = Url::parse(value).map_err(|_| bad("it is not an absolute URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("only http and https URLs are opened"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it carries a user name or password"));
    }
    if url.fragment().is_some() {
        return Err(bad("it has a fragment"));
    }
    if !is_confidential(&url) {
        return Err(bad("https is required outside this machine"));
    }
    Ok(url)
}

/// RFC 8414 §2: an issuer has neither query nor fragment.
fn issuer_url(value: &str) -> Result<Url, DiscoveryError> {
    let url = endpoint("issuer", value)?;
    if url.query().is_some() {
        return Err(DiscoveryError::BadUrl {
            field: "issuer",
            value: display_url(&url),
            reason: "it has a query",
        });
    }
    Ok(url)
}

/// `/.well-known/<name>` put between host and path, RFC 8615 with RFC 8414 §3.1 and RFC 9728 §3.1.
fn well_known(base: &Url, name: &str, path: &str) -> Url {
    let mut url = base.clone();
    url.set_fragment(None);
    url.set_query(None);
    url.set_path(&format!(
        "/.well-known/{name}{}",
        path.trim_end_matches('/')
    ));
    url
}

fn has_path(url: &Url) -> bool {
    !url.path().trim_end_matches('/').is_empty()
}

/// `scheme://host[:port]`, as the 2025-03-26 rules and origin-wide resources spell it.
fn origin(url: &Url) -> String {
    let host = url
        .host()
        .map(|host: Host<&str>| host.to_string())
        .unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn trouble_is_not_absence_and_a_start_page_is() {
        let table = [
            (200, r#" {"issuer":"x"}"#, "found"),
            (200, "<!doctype html>", "absent"),
            (200, "", "absent"),
            (404, r#"{"error":"no"}"#, "absent"),
            (401, "", "absent"),
            (302, "", "absent"),
            (500, r#"{"issuer":"x"}"#, "unavailable"),
            (429, "", "unavailable"),
        ];
        for (status, body, expected) in table {
            let response = Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: body.into(),
                url: Url::parse("https://as.example").unwrap(),
            };
            let lookup = match Lookup::of(&response) {
                Lookup::Found(_) => "found",
                Lookup::Absent => "absent",
                Lookup::Unavailable => "unavailable",
            };
            assert_eq!(lookup, expected, "{status} {body}");
        }
    }

    #[test]
    fn only_plain_absolute_https_urls_become_endpoints() {
        for good in [
            "https://as.example/a?b=c",
            "http://localhost:1/a",
            "http://[::1]:1",
        ] {
            assert!(endpoint("token_endpoint", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/authorize",
            "//as.example/a",
            "javascript:alert(1)",
            "java\nscript:alert(1)",
            "file:///etc/passwd",
            "data:text/html,x",
            "ms-msdt:/id",
            "$(touch /tmp/x)",
            "-h; rm -rf ~",
            "http://as.example/a",
            "https://user:pw@as.example/",
            "https://as.example/#x",
            "https://",
        ] {
            let error = endpoint("authorization_endpoint", bad)
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("authorization_endpoint is"),
                "{bad}: {error}"
            );
            assert!(!error.contains('\n'));
        }
    }
}
