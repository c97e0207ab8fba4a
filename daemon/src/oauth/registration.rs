//! Becoming a client: which identity to use, and dynamic registration (RFC 7591).

use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::client::{AuthMethod, ClientIdentity};
use super::discovery::AuthorizationServerMetadata;
use super::error::{ErrorCode, OAuthError, clean};
use crate::error::{Classify, ErrorKind};
use crate::net::{Response, display_url};
use crate::types::Secret;

const CLIENT_NAME: &str = "mcp-oauth-bridge";

/// Where the client id of a login comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientSource<'a> {
    /// Registered by hand; the secret, if any, is the caller's.
    Preregistered { client_id: &'a str },
    /// A client id metadata document: its URL is the client id.
    MetadataDocument { url: &'a str },
    /// To be registered now.
    Dynamic { endpoint: &'a Url },
}

impl<'a> ClientSource<'a> {
    /// The order of MCP 2025-11-25 and later: by hand, document, dynamic, else a person must help.
    pub fn choose(
        client_id: Option<&'a str>,
        metadata_url: Option<&'a str>,
        server: &'a AuthorizationServerMetadata,
    ) -> Result<Self, RegistrationError> {
        if let Some(client_id) = client_id {
            return Ok(Self::Preregistered { client_id });
        }
        if let Some(url) = metadata_url
            && server.client_id_metadata_document_supported
        {
            return Ok(Self::MetadataDocument { url });
        }
        match &server.registration_endpoint {
            Some(endpoint) => Ok(Self::Dynamic { endpoint }),
            None => Err(RegistrationError::NotOffered {
                issuer: clean(&server.issuer),
            }),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    #[error("the authorization server {issuer} does not let clients register themselves")]
    NotOffered { issuer: String },
    #[error("{endpoint} refused to register this client: {error}")]
    Refused { endpoint: String, error: OAuthError },
    #[error("{endpoint} answered the registration with status {status}")]
    Status { endpoint: String, status: u16 },
    #[error("{endpoint} answered the registration with something that is no client: {reason}")]
    Malformed {
        endpoint: String,
        reason: &'static str,
    },
    #[error("the authorization server supports no client authentication that the bridge speaks")]
    NoAuthMethod,
}

impl Classify for RegistrationError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NotOffered { .. } => ErrorKind::InvalidInput,
            Self::Status { status, .. } if *status >= 500 || *status == 429 => {
                ErrorKind::Unavailable
            }
            _ => ErrorKind::UpstreamFault,
        }
    }

    fn hint(&self) -> Option<String> {
        let by_hand = "Register a client there by hand and pass its id with --client-id \
                       (and --client-secret-stdin if it has a secret)";
        match self {
            Self::Refused { error, .. } if error.code == ErrorCode::InvalidRedirectUri => {
                Some(format!("Try another --redirect-uri. {by_hand} otherwise."))
            }
            Self::NotOffered { .. } | Self::Refused { .. } | Self::NoAuthMethod => {
                Some(format!("{by_hand}."))
            }
            Self::Status {
                status: 401 | 403 | 404,
                ..
            } => Some(format!("{by_hand}.")),
            _ => None,
        }
    }
}

/// What to register.
#[derive(Debug)]
pub struct RegistrationRequest<'a> {
    pub endpoint: &'a Url,
    pub redirect_uri: &'a str,
    /// Left out when empty.
    pub scopes: &'a [String],
    auth_method: AuthMethod,
}

/// A client that now exists at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredClient {
    pub identity: ClientIdentity,
    /// Seconds since the epoch; None when the secret does not expire.
    pub secret_expires_at: Option<u64>,
    /// RFC 7592 management.
    pub registration_access_token: Option<Secret>,
    pub registration_client_uri: Option<String>,
}

impl<'a> RegistrationRequest<'a> {
    pub fn new(
        endpoint: &'a Url,
        redirect_uri: &'a str,
        scopes: &'a [String],
        supported: &[AuthMethod],
    ) -> Result<Self, RegistrationError> {
        let auth_method =
            AuthMethod::to_register(supported).ok_or(RegistrationError::NoAuthMethod)?;
        Ok(Self {
            endpoint,
            redirect_uri,
            scopes,
            auth_method,
        })
    }

    pub fn to_http(&self) -> http::Request<Vec<u8>> {
        let mut body = json!({
            "client_name": CLIENT_NAME,
            "redirect_uris": [self.redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": self.auth_method.as_str(),
            // Absent means `web`, and `web` clients may not use loopback redirects.
            "application_type": "native",
        });
        if !self.scopes.is_empty() {
            body["scope"] = self.scopes.join(" ").into();
        }
        super::client::post(
            self.endpoint,
            "application/json",
            body.to_string().into_bytes(),
        )
    }

    /// RFC 7591 §3.2. What the server registered wins over what was asked for.
    pub fn parse(&self, response: &Response) -> Result<RegisteredClient, RegistrationError> {
        let endpoint = || display_url(self.endpoint);
        let malformed = |reason| RegistrationError::Malformed {
            endpoint: endpoint(),
            reason,
        };
        let object: Option<Map<String, Value>> = serde_json::from_slice(&response.body).ok();
        if let Some(error) = object.as_ref().and_then(OAuthError::in_object) {
            return Err(RegistrationError::Refused {
                endpoint: endpoint(),
                error,
            });
        }
        if !response.status.is_success() {
            let status = response.status.as_u16();
            return Err(RegistrationError::Status {
                endpoint: endpoint(),
                status,
            });
        }
        let object = object.ok_or_else(|| malformed("it is not a JSON object"))?;
        let client: Registered = serde_json::from_value(Value::Object(object))
            .map_err(|_| malformed("client_id is missing or a field has the wrong type"))?;
        if client.client_id.is_empty() {
            return Err(malformed("client_id is empty"));
        }
        let client_secret = client
            .client_secret
            .filter(|text| !text.is_empty())
            .map(Secret::new);
        let auth_method = match (&client.token_endpoint_auth_method, &client_secret) {
            (_, None) => AuthMethod::None,
            (Some(name), Some(_)) => AuthMethod::parse(name)
                .ok_or_else(|| malformed("token_endpoint_auth_method is not one we speak"))?,
            // RFC 7591 §2: the default of a server that issues a secret and does not say.
            (None, Some(_)) if self.auth_method == AuthMethod::None => AuthMethod::Basic,
            (None, Some(_)) => self.auth_method,
        };
        Ok(RegisteredClient {
            identity: ClientIdentity {
                client_id: client.client_id,
                client_secret,
                auth_method,
            },
            secret_expires_at: client.client_secret_expires_at.filter(|at| *at != 0),
            registration_access_token: client.registration_access_token.map(Secret::new),
            registration_client_uri: client.registration_client_uri,
        })
    }
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<String>,
    client_secret_expires_at: Option<u64>,
    token_endpoint_auth_method: Option<String>,
    registration_access_token: Option<String>,
    registration_client_uri: Option<String>,
}

#[cfg(test)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn server(json: Value) -> AuthorizationServerMetadata {
        let mut document = json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
        });
        document
            .as_object_mut()
            .unwrap()
            .extend(json.as_object().unwrap().clone());
        let document = document.to_string();
        AuthorizationServerMetadata::parse(document.as_bytes(), "https://as.example").unwrap()
    }

    #[test]
    fn identities_are_chosen_in_order() {
        let full = server(json!({
            "registration_endpoint": "https://as.example/register",
            "client_id_metadata_document_supported": true,
        }));
        let dynamic = server(json!({"registration_endpoint": "https://as.example/register"}));
        let none = server(json!({}));
        let url = Some("https://me.example/client.json");
        let choose = |id, url, server| match ClientSource::choose(id, url, server) {
            Ok(ClientSource::Preregistered { .. }) => "by hand",
            Ok(ClientSource::MetadataDocument { .. }) => "document",
            Ok(ClientSource::Dynamic { .. }) => "dynamic",
            Err(error) => {
                assert!(error.hint().unwrap().contains("--client-id"));
                "ask"
            }
        };
        assert_eq!(choose(Some("x"), url, &full), "by hand");
        assert_eq!(choose(None, url, &full), "document");
        assert_eq!(choose(None, None, &full), "dynamic");
        assert_eq!(choose(None, url, &dynamic), "dynamic");
        assert_eq!(choose(None, url, &none), "ask");
    }

    #[test]
    fn a_native_client_with_refresh_is_asked_for() {
        let endpoint = Url::parse("https://as.example/register?x=1").unwrap();
        let redirect = "http://localhost:3000/callback";
        let supported = [AuthMethod::Post, AuthMethod::None];
        let request = RegistrationRequest::new(&endpoint, redirect, &[], &supported).unwrap();
        let http = request.to_http();
        assert_eq!(http.uri(), "https://as.example/register?x=1");
        assert_eq!(http.headers()[CONTENT_TYPE], "application/json");
        let body: Value = serde_json::from_slice(http.body()).unwrap();
        let expected = json!({
            "client_name": "mcp-oauth-bridge",
            "redirect_uris": [redirect],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        });
        assert_eq!(body, expected);
    }

    fn parse(requested: AuthMethod, status: u16, body: &str) -> Result<String, String> {
        let endpoint = Url::parse("https://as.example/register").unwrap();
        let request = RegistrationRequest::new(&endpoint, "http://localhost/", &[], &[requested]);
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
            url: endpoint.clone(),
        };
        let client = request
            .unwrap()
            .parse(&response)
            .map_err(|error| error.to_string())?;
        let secret = client
            .identity
            .client_secret
            .as_ref()
            .map_or("-", Secret::expose);
        let method = client.identity.auth_method;
        Ok(format!("{} {secret} {method}", client.identity.client_id))
    }

    #[test]
    fn what_the_server_registered_wins() {
        use AuthMethod::{Basic, None, Post};
        let table = [
            (None, r#"{"client_id":"i"}"#, "i - none"),
            (Basic, r#"{"client_id":"i"}"#, "i - none"),
            (Basic, r#"{"client_id":"i","client_secret":""}"#, "i - none"),
            (
                Post,
                r#"{"client_id":"i","client_secret":"s"}"#,
                "i s client_secret_post",
            ),
            (
                None,
                r#"{"client_id":"i","client_secret":"s"}"#,
                "i s client_secret_basic",
            ),
            (
                None,
                r#"{"client_id":"i","client_secret":"s","token_endpoint_auth_method":"none"}"#,
                "i s none",
            ),
            (
                Basic,
                r#"{"client_id":"i","client_secret":"s",
                    "token_endpoint_auth_method":"client_secret_post"}"#,
                "i s client_secret_post",
            ),
        ];
        for (requested, body, expected) in table {
            assert_eq!(
                parse(requested, 201, body).as_deref(),
                Ok(expected),
                "{body}"
            );
        }
    }

    #[test]
    fn refusals_and_nonsense_are_told_apart() {
        let table = [
            (
                400,
                r#"{"error":"invalid_redirect_uri","error_description":"https only"}"#,
                "refused to register this client: invalid_redirect_uri (https only)",
            ),
            (
                200,
                r#"{"error":"invalid_client_metadata"}"#,
                "invalid_client_metadata",
            ),
            (403, "<html>", "status 403"),
            (201, "<html>", "not a JSON object"),
            (201, r#"{"client_secret":"s3cret"}"#, "client_id is missing"),
            (201, r#"{"client_id":""}"#, "client_id is empty"),
            (
                201,
                r#"{"client_id":"i","client_secret":"s3cret",
                "token_endpoint_auth_method":"private_key_jwt"}"#,
                "not one we speak",
            ),
        ];
        for (status, body, expected) in table {
            let error = parse(AuthMethod::None, status, body).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("s3cret"));
        }
    }
}
