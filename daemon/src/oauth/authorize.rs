//! The URL that sends a person to consent (RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2).

use url::Url;

use crate::types::Secret;

/// Everything that goes into an authorization URL.
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    pub endpoint: &'a Url,
    pub client_id: &'a str,
    pub redirect_uri: &'a str,
    /// Left out when empty.
    pub scopes: &'a [String],
    pub state: &'a Secret,
    /// S256 challenge.
    pub challenge: &'a str,
    /// Sent exactly as the resource metadata spells it: servers compare it byte for byte.
    pub resource: Option<&'a str>,
}

impl AuthorizationRequest<'_> {
    /// The endpoint's own query is kept, RFC 6749 §3.1.
    pub fn url(&self) -> Url {
        let mut url = self.endpoint.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", self.client_id)
                .append_pair("redirect_uri", self.redirect_uri)
                .append_pair("state", self.state.expose())
                .append_pair("code_challenge", self.challenge)
                .append_pair("code_challenge_method", "S256");
            if !self.scopes.is_empty() {
                query.append_pair("scope", &self.scopes.join(" "));
            }
            if let Some(resource) = self.resource {
                query.append_pair("resource", resource);
            }
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_carries_every_parameter_once_and_keeps_the_endpoints_query() {
        let request = AuthorizationRequest {
            endpoint: &Url::parse("https://as.example/authorize?tenant=a%26b").unwrap(),
            client_id: "c&d",
            redirect_uri: "http://localhost:3000/callback",
            scopes: &["a".to_owned(), "b:c".to_owned()],
            state: &Secret::new("st"),
            challenge: "ch",
            resource: Some("https://mcp.example"),
        };
        let url = request.url();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let expected = [
            ("tenant", "a&b"),
            ("response_type", "code"),
            ("client_id", "c&d"),
            ("redirect_uri", "http://localhost:3000/callback"),
            ("state", "st"),
            ("code_challenge", "ch"),
            ("code_challenge_method", "S256"),
            ("scope", "a b:c"),
            ("resource", "https://mcp.example"),
        ];
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        assert_eq!(pairs, expected);

        let bare = AuthorizationRequest {
            scopes: &[],
            resource: None,
            ..request
        };
        assert!(!bare.url().as_str().contains("scope"));
        assert!(!bare.url().as_str().contains("resource="));
    }
}
