//! Protected resource metadata (RFC 9728): which resource this is, and who guards it.

use serde::Deserialize;
use url::Url;

use super::{DiscoveryError, has_path, well_known};
use crate::net::display_url;
use crate::oauth::error::clean;

const WELL_KNOWN: &str = "oauth-protected-resource";

/// Where to look when the challenge names no metadata: the path form, then the root.
pub fn resource_metadata_urls(server: &Url) -> Vec<Url> {
    let mut urls = Vec::with_capacity(2);
    if has_path(server) || server.query().is_some() {
        let mut url = well_known(server, WELL_KNOWN, server.path());
        url.set_query(server.query());
        urls.push(url);
    }
    urls.push(well_known(server, WELL_KNOWN, ""));
    urls
}

/// A checked document: its `resource` covers the server it was fetched for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ProtectedResourceMetadata {
    /// Verbatim, to be sent as the `resource` parameter.
    pub resource: String,
    /// Issuers, the server's preferred one first. Empty on servers older than the requirement; the
    /// server's origin is then the issuer, as before RFC 9728.
    #[serde(default)]
    pub authorization_servers: Vec<String>,
    #[serde(default)]
    pub scopes_supported: Option<Vec<String>>,
}

impl ProtectedResourceMetadata {
    pub fn parse(document: &[u8], server: &Url) -> Result<Self, DiscoveryError> {
        let what = "the protected resource metadata";
        let metadata: Self = serde_json::from_slice(document)
            .map_err(|source| DiscoveryError::Malformed { what, source })?;
        if !covers(&metadata.resource, server) {
            return Err(DiscoveryError::ResourceMismatch {
                resource: clean(&metadata.resource),
                server: display_url(server),
            });
        }
        Ok(metadata)
    }
}

/// Whether a token for `resource` may be sent to `server`: same origin, and a path that is the
/// server's own or a parent of it. A token for anything else belongs to someone else.
pub fn covers(resource: &str, server: &Url) -> bool {
    let Ok(resource) = Url::parse(resource) else {
        return false;
    };
    if resource.origin() != server.origin() || resource.fragment().is_some() {
        return false;
    }
    if resource.query().is_some() && resource.query() != server.query() {
        return false;
    }
    let parent = resource.path().trim_end_matches('/');
    match server.path().strip_prefix(parent) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(server: &str) -> Vec<String> {
        let server = Url::parse(server).unwrap();
        resource_metadata_urls(&server)
            .into_iter()
            .map(String::from)
            .collect()
    }

    #[test]
    fn the_path_form_is_tried_before_the_root() {
        let root = "https://h.example/.well-known/oauth-protected-resource";
        assert_eq!(urls("https://h.example"), [root]);
        assert_eq!(urls("https://h.example/"), [root]);
        assert_eq!(
            urls("https://h.example/a/mcp"),
            [format!("{root}/a/mcp"), root.to_owned()]
        );
        assert_eq!(
            urls("https://h.example/mcp/"),
            [format!("{root}/mcp"), root.to_owned()]
        );
        assert_eq!(
            urls("https://h.example/mcp?t=1"),
            [format!("{root}/mcp?t=1"), root.to_owned()]
        );
    }

    #[test]
    fn a_resource_covers_its_own_path_and_what_is_below() {
        let table = [
            ("https://h.example", "https://h.example/mcp", true),
            ("https://h.example/", "https://h.example/mcp", true),
            ("https://h.example/mcp", "https://h.example/mcp", true),
            ("https://h.example/mcp/", "https://h.example/mcp", true),
            ("https://h.example/mcp", "https://h.example/mcp/", true),
            ("https://h.example/mcp", "https://h.example/mcp/v1", true),
            ("https://H.example:443/mcp", "https://h.example/mcp", true),
            ("https://h.example/mc", "https://h.example/mcp", false),
            ("https://h.example/mcp/v1", "https://h.example/mcp", false),
            ("https://evil.example/mcp", "https://h.example/mcp", false),
            ("http://h.example/mcp", "https://h.example/mcp", false),
            ("https://h.example:8443/mcp", "https://h.example/mcp", false),
            ("https://h.example/mcp#x", "https://h.example/mcp", false),
            ("https://h.example/mcp?a=1", "https://h.example/mcp", false),
            (
                "https://h.example/mcp?a=1",
                "https://h.example/mcp?a=1",
                true,
            ),
            ("urn:mcp", "https://h.example/mcp", false),
            ("", "https://h.example/mcp", false),
        ];
        for (resource, server, expected) in table {
            let server = Url::parse(server).unwrap();
            assert_eq!(
                covers(resource, &server),
                expected,
                "{resource} for {server}"
            );
        }
    }

    #[test]
    fn a_document_for_another_server_is_refused() {
        let server = Url::parse("https://h.example/mcp").unwrap();
        let parse = |json: &str| ProtectedResourceMetadata::parse(json.as_bytes(), &server);
        let good = r#"{"resource":"https://h.example","authorization_servers":["https://as.example/"],
            "scopes_supported":["a"],"x":1}"#;
        let metadata = parse(good).unwrap();
        assert_eq!(metadata.resource, "https://h.example");
        assert_eq!(metadata.authorization_servers, ["https://as.example/"]);
        let error = parse(r#"{"resource":"https://evil.example/mcp"}"#).unwrap_err();
        assert!(
            matches!(error, DiscoveryError::ResourceMismatch { .. }),
            "{error}"
        );
        assert!(matches!(parse("[]"), Err(DiscoveryError::Malformed { .. })));
        assert!(matches!(parse("{}"), Err(DiscoveryError::Malformed { .. })));
    }
}
