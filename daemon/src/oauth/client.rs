//! Who we are to an authorization server, and how we prove it to its endpoints.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};
use url::{Url, form_urlencoded};

use crate::types::Secret;

/// A client authentication method (RFC 7591 §2) that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthMethod {
    #[serde(rename = "none")]
    None,
    #[serde(rename = "client_secret_basic")]
    Basic,
    #[serde(rename = "client_secret_post")]
    Post,
}

impl AuthMethod {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "client_secret_basic" => Some(Self::Basic),
            "client_secret_post" => Some(Self::Post),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }

    /// The method to register with: a native client keeps no secret from its user, so `none` is
    /// preferred, and `client_secret_post` comes next: servers on the Python SDK look for the client
    /// id in the body even when they offer Basic. None when the server supports nothing we speak.
    pub fn to_register(supported: &[Self]) -> Option<Self> {
        [Self::None, Self::Post, Self::Basic]
            .into_iter()
            .find(|method| supported.contains(method))
    }

    /// The method for a client that was registered by hand. A server that lists only methods we do
    /// not speak is still tried the default way (RFC 8414 §2), since it may list incompletely.
    pub fn for_secret(supported: &[Self], has_secret: bool) -> Self {
        match has_secret {
            false => Self::None,
            true if supported.contains(&Self::Basic) => Self::Basic,
            true if supported.contains(&Self::Post) => Self::Post,
            true => Self::Basic,
        }
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A client id with what is needed to use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    pub client_id: String,
    pub client_secret: Option<Secret>,
    pub auth_method: AuthMethod,
}

impl ClientIdentity {
    /// A client without a secret: registered as public, or a client id metadata document.
    pub fn public(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: None,
            auth_method: AuthMethod::None,
        }
    }

    /// A client registered by hand.
    pub fn preregistered(
        client_id: impl Into<String>,
        client_secret: Option<Secret>,
        supported: &[AuthMethod],
    ) -> Self {
        let auth_method = AuthMethod::for_secret(supported, client_secret.is_some());
        Self {
            client_id: client_id.into(),
            client_secret,
            auth_method,
        }
    }

    /// The secret and whether it travels in the `Authorization` header; None for public clients.
    pub(super) fn credentials(&self) -> Option<(&Secret, bool)> {
        match self.auth_method {
            AuthMethod::None => None,
            AuthMethod::Basic => self.client_secret.as_ref().map(|secret| (secret, true)),
            AuthMethod::Post => self.client_secret.as_ref().map(|secret| (secret, false)),
        }
    }
}

/// The value of a Basic `Authorization` header; id and secret are form-encoded first, RFC 6749
/// §2.3.1.
pub(super) fn basic(client_id: &str, secret: &Secret) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(client_id), encode(secret.expose()));
    format!("Basic {}", STANDARD.encode(pair))
}

/// A POST to an endpoint whose URL was checked when it was read.
pub(super) fn post(
    endpoint: &Url,
    content_type: &'static str,
    body: Vec<u8>,
) -> http::Request<Vec<u8>> {
    let mut request = http::Request::new(body);
    *request.method_mut() = Method::POST;
    request
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // A `Url` with a host is always a `Uri`; if ever not, the HTTP client refuses the request.
    *request.uri_mut() = endpoint.as_str().parse().unwrap_or_default();
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use AuthMethod::{Basic, None, Post};

    #[test]
    fn the_method_follows_what_the_server_supports() {
        assert_eq!(AuthMethod::to_register(&[Post, Basic, None]), Some(None));
        assert_eq!(AuthMethod::to_register(&[Post, Basic]), Some(Post));
        assert_eq!(AuthMethod::to_register(&[Post]), Some(Post));
        assert_eq!(AuthMethod::to_register(&[]), Option::None);
        assert_eq!(AuthMethod::for_secret(&[Post, Basic], true), Basic);
        assert_eq!(AuthMethod::for_secret(&[Post], true), Post);
        assert_eq!(AuthMethod::for_secret(&[None], true), Basic);
        assert_eq!(AuthMethod::for_secret(&[Basic], false), None);
    }

    #[test]
    fn basic_credentials_are_form_encoded_before_base64() {
        let value = basic("a:b", &Secret::new("p w%"));
        let pair = STANDARD
            .decode(value.strip_prefix("Basic ").unwrap())
            .unwrap();
        assert_eq!(pair, b"a%3Ab:p+w%25");
    }
}
