//! Authorization server metadata (RFC 8414, OpenID Connect Discovery, RFC 9207, CIMD).

use serde::Deserialize;
use url::Url;

use super::{DiscoveryError, endpoint, has_path, issuer_url, origin, well_known};
use crate::oauth::client::AuthMethod;
use crate::oauth::error::clean;

const OAUTH: &str = "oauth-authorization-server";
const OPENID: &str = "openid-configuration";

/// Where an issuer's metadata may be, in the order MCP 2025-11-25 and later prescribe.
pub fn server_metadata_urls(issuer: &str) -> Result<Vec<Url>, DiscoveryError> {
    let issuer = issuer_url(issuer)?;
    let path = issuer.path();
    let mut urls = vec![
        well_known(&issuer, OAUTH, path),
        well_known(&issuer, OPENID, path),
    ];
    if has_path(&issuer) {
        let mut appended = issuer.clone();
        appended.set_path(&format!(
            "{}/.well-known/{OPENID}",
            path.trim_end_matches('/')
        ));
        urls.push(appended);
    }
    Ok(urls)
}

/// The issuer of a server that has no protected resource metadata: its origin, the rule of MCP
/// 2025-03-26 that deployed servers still follow.
pub fn legacy_issuer(server: &Url) -> String {
    origin(server)
}

/// A checked document: it is the issuer's own and every endpoint in it may be contacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationServerMetadata {
    /// As the document writes it: the callback's `iss` is compared with exactly this.
    pub issuer: String,
    pub token_endpoint: Url,
    pub registration_endpoint: Option<Url>,
    pub revocation_endpoint: Option<Url>,
    pub scopes_supported: Option<Vec<String>>,
    /// Those that we speak. An absent list means `client_secret_basic`, RFC 8414 §2.
    pub token_auth_methods: Vec<AuthMethod>,
    /// RFC 9207: responses carry `iss`.
    pub iss_advertised: bool,
    pub client_id_metadata_document_supported: bool,
    authorization_endpoint: Option<Url>,
    code_challenge_methods: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    registration_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    scopes_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
    client_id_metadata_document_supported: Option<bool>,
}

impl AuthorizationServerMetadata {
    /// Checks a document against the issuer whose well-known URL it came from.
    pub fn parse(document: &[u8], expected_issuer: &str) -> Result<Self, DiscoveryError> {
        let what = "the authorization server metadata";
        let document: Document = serde_json::from_slice(document)
            .map_err(|source| DiscoveryError::Malformed { what, source })?;
        if !same_issuer(expected_issuer, &document.issuer) {
            return Err(DiscoveryError::IssuerMismatch {
                expected: clean(expected_issuer),
                found: clean(&document.issuer),
            });
        }
        let optional = |field, value: Option<String>| {
            value
                .filter(|text| !text.is_empty())
                .map(|text| endpoint(field, &text))
                .transpose()
        };
        let methods = document.token_endpoint_auth_methods_supported;
        Ok(Self {
            issuer: document.issuer,
            authorization_endpoint: optional(
                "authorization_endpoint",
                document.authorization_endpoint,
            )?,
            token_endpoint: optional("token_endpoint", document.token_endpoint)?
                .ok_or(DiscoveryError::Missing("token_endpoint"))?,
            registration_endpoint: optional(
                "registration_endpoint",
                document.registration_endpoint,
            )?,
            revocation_endpoint: optional("revocation_endpoint", document.revocation_endpoint)?,
            scopes_supported: document.scopes_supported,
            token_auth_methods: match methods {
                Some(names) => names
                    .iter()
                    .filter_map(|name| AuthMethod::parse(name))
                    .collect(),
                None => vec![AuthMethod::Basic],
            },
            iss_advertised: document
                .authorization_response_iss_parameter_supported
                .unwrap_or_default(),
            client_id_metadata_document_supported: document
                .client_id_metadata_document_supported
                .unwrap_or_default(),
            code_challenge_methods: document.code_challenge_methods_supported,
        })
    }

    /// The endpoints of MCP 2025-03-26 for a server without any metadata. Only when every metadata
    /// URL of its origin is absent.
    pub fn legacy_defaults(server: &Url) -> Result<Self, DiscoveryError> {
        let issuer = legacy_issuer(server);
        let at = |field, path: &str| endpoint(field, &format!("{issuer}{path}"));
        Ok(Self {
            authorization_endpoint: Some(at("authorization_endpoint", "/authorize")?),
            token_endpoint: at("token_endpoint", "/token")?,
            registration_endpoint: Some(at("registration_endpoint", "/register")?),
            revocation_endpoint: None,
            scopes_supported: None,
            token_auth_methods: vec![AuthMethod::None, AuthMethod::Basic],
            iss_advertised: false,
            client_id_metadata_document_supported: false,
            // That revision makes PKCE mandatory for every server, so there is nothing to state.
            code_challenge_methods: Some(vec!["S256".to_owned()]),
            issuer,
        })
    }

    /// Where to send a person. Only through here, so that no one is sent to a server that cannot be
    /// trusted to check the PKCE verifier: without S256 a stolen code would be usable.
    pub fn authorization_endpoint(&self, assume_s256: bool) -> Result<&Url, DiscoveryError> {
        match &self.code_challenge_methods {
            Some(methods) if methods.iter().any(|method| method == "S256") => {}
            Some(methods) => {
                return Err(DiscoveryError::NoS256 {
                    issuer: clean(&self.issuer),
                    methods: methods.iter().take(8).map(|method| clean(method)).collect(),
                });
            }
            None if assume_s256 => {}
            None => {
                return Err(DiscoveryError::S256NotStated {
                    issuer: clean(&self.issuer),
                });
            }
        }
        self.authorization_endpoint
            .as_ref()
            .ok_or(DiscoveryError::Missing("authorization_endpoint"))
    }
}

/// Identical, but for one slash after a bare host: several large issuers are spelled both ways in
/// documents that belong together.
fn same_issuer(expected: &str, found: &str) -> bool {
    let bare = |text: &str| {
        let text = text.strip_suffix('/').unwrap_or(text);
        let host = text.split_once("://").map(|(_, host)| host)?;
        (!host.is_empty() && !host.contains('/')).then(|| text.to_owned())
    };
    expected == found || bare(expected).is_some_and(|host| bare(found).as_ref() == Some(&host))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ISSUER: &str = "https://as.example/t1";

    fn parse_with(change: impl FnOnce(&mut Value)) -> Result<AuthorizationServerMetadata, String> {
        let mut document = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://as.example/authorize",
            "token_endpoint": "https://as.example/token",
            "registration_endpoint": "https://as.example/register",
            "code_challenge_methods_supported": ["plain", "S256"],
        });
        change(&mut document);
        AuthorizationServerMetadata::parse(document.to_string().as_bytes(), ISSUER)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn metadata_urls_come_in_the_prescribed_order() {
        let urls = |issuer| -> Vec<String> {
            server_metadata_urls(issuer)
                .unwrap()
                .into_iter()
                .map(String::from)
                .collect()
        };
        let with_path = [
            "https://as.example/.well-known/oauth-authorization-server/t1",
            "https://as.example/.well-known/openid-configuration/t1",
            "https://as.example/t1/.well-known/openid-configuration",
        ];
        assert_eq!(urls(ISSUER), with_path);
        assert_eq!(urls("https://as.example/t1/"), with_path);
        let root = [
            "https://as.example/.well-known/oauth-authorization-server",
            "https://as.example/.well-known/openid-configuration",
        ];
        assert_eq!(urls("https://as.example"), root);
        assert_eq!(urls("https://as.example/"), root);
        for bad in [
            "https://as.example?x",
            "https://as.example#x",
            "ftp://as.example",
            "as",
        ] {
            assert!(server_metadata_urls(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn issuers_are_compared_exactly_but_for_a_root_slash() {
        let table = [
            ("https://as.example", "https://as.example", true),
            ("https://as.example", "https://as.example/", true),
            ("https://as.example/", "https://as.example", true),
            ("https://as.example/t1", "https://as.example/t1", true),
            ("https://as.example/t1", "https://as.example/t1/", false),
            ("https://as.example", "https://as.example//", false),
            ("https://as.example", "https://AS.example", false),
            ("https://as.example", "https://as.example:443", false),
            ("https://as.example", "http://as.example", false),
            ("https://as.example", "https://evil.example", false),
            ("https://as.example", "", false),
        ];
        for (expected, found, same) in table {
            assert_eq!(same_issuer(expected, found), same, "{expected} {found}");
        }
    }

    #[test]
    fn a_document_of_another_issuer_is_not_used() {
        let error = parse_with(|d| d["issuer"] = json!("https://evil.example")).unwrap_err();
        assert!(error.contains("https://evil.example"), "{error}");
    }

    #[test]
    fn every_endpoint_is_checked_and_named() {
        for field in [
            "authorization_endpoint",
            "token_endpoint",
            "registration_endpoint",
            "revocation_endpoint",
        ] {
            for bad in [
                "javascript:alert(1)",
                "file:///x",
                "; rm -rf ~",
                "http://as.example/",
            ] {
                let error = parse_with(|d| d[field] = json!(bad)).unwrap_err();
                assert!(error.starts_with(field), "{error}");
            }
        }
        let error = parse_with(|d| d["token_endpoint"] = Value::Null).unwrap_err();
        assert!(error.contains("no token_endpoint"), "{error}");
    }

    #[test]
    fn no_one_is_sent_to_a_server_without_s256() {
        let endpoint = |methods: Value, assume| {
            parse_with(|d| d["code_challenge_methods_supported"] = methods)
                .unwrap()
                .authorization_endpoint(assume)
                .is_ok()
        };
        assert!(endpoint(json!(["S256"]), false));
        assert!(!endpoint(json!(["plain"]), false));
        assert!(!endpoint(json!(["plain"]), true));
        assert!(!endpoint(json!([]), true));
        assert!(!endpoint(Value::Null, false));
        assert!(endpoint(Value::Null, true));
    }

    #[test]
    fn absent_lists_have_the_meaning_of_their_rfc() {
        let metadata = parse_with(|_| {}).unwrap();
        assert_eq!(metadata.token_auth_methods, [AuthMethod::Basic]);
        assert!(!metadata.iss_advertised);
        let methods = json!(["private_key_jwt", "none", "client_secret_post"]);
        let metadata =
            parse_with(|d| d["token_endpoint_auth_methods_supported"] = methods).unwrap();
        assert_eq!(
            metadata.token_auth_methods,
            [AuthMethod::None, AuthMethod::Post]
        );
    }

    #[test]
    fn a_server_without_metadata_has_endpoints_at_its_origin() {
        let server = Url::parse("http://localhost:8080/a/mcp?x").unwrap();
        let metadata = AuthorizationServerMetadata::legacy_defaults(&server).unwrap();
        assert_eq!(metadata.issuer, "http://localhost:8080");
        assert_eq!(
            metadata.token_endpoint.as_str(),
            "http://localhost:8080/token"
        );
        let endpoint = metadata.authorization_endpoint(false).unwrap();
        assert_eq!(endpoint.as_str(), "http://localhost:8080/authorize");
    }
}
