//! Telling the server that a token is no longer wanted (RFC 7009).
//!
//! Not through the `oauth2` crate: it refuses revocation endpoints on loopback http.

use http::HeaderValue;
use http::header::AUTHORIZATION;
use url::{Url, form_urlencoded};

use super::client::{ClientIdentity, basic, post};
use crate::types::Secret;

/// What kind of token is revoked; a refresh token takes its access tokens along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    Access,
    Refresh,
}

/// The request to send. Status 200 means done, also for a token that was unknown; anything else
/// only means that the server may keep the token until it expires.
pub fn request(
    endpoint: &Url,
    client: &ClientIdentity,
    token: &Secret,
    kind: TokenKind,
) -> http::Request<Vec<u8>> {
    let hint = match kind {
        TokenKind::Access => "access_token",
        TokenKind::Refresh => "refresh_token",
    };
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("token", token.expose())
        .append_pair("token_type_hint", hint);
    let mut authorization = None;
    match client.credentials() {
        Some((secret, true)) => authorization = Some(basic(&client.client_id, secret)),
        Some((secret, false)) => {
            body.append_pair("client_id", &client.client_id)
                .append_pair("client_secret", secret.expose());
        }
        None => {
            body.append_pair("client_id", &client.client_id);
        }
    }
    let form = "application/x-www-form-urlencoded";
    let mut request = post(endpoint, form, body.finish().into_bytes());
    if let Some(Ok(mut value)) = authorization.map(HeaderValue::try_from) {
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::client::AuthMethod;

    #[test]
    fn the_client_proves_itself_the_way_it_is_registered() {
        let endpoint = Url::parse("https://as.example/revoke").unwrap();
        let send = |method| {
            let client = ClientIdentity {
                client_id: "id".to_owned(),
                client_secret: Some(Secret::new("s")),
                auth_method: method,
            };
            let request = request(&endpoint, &client, &Secret::new("t&t"), TokenKind::Refresh);
            let header = request.headers().get(AUTHORIZATION).cloned();
            (String::from_utf8(request.into_body()).unwrap(), header)
        };
        let form = "token=t%26t&token_type_hint=refresh_token";
        assert_eq!(
            send(AuthMethod::None),
            (format!("{form}&client_id=id"), None)
        );
        let post = format!("{form}&client_id=id&client_secret=s");
        assert_eq!(send(AuthMethod::Post), (post, None));
        let (body, header) = send(AuthMethod::Basic);
        assert_eq!(body, form);
        assert_eq!(header.unwrap(), "Basic aWQ6cw==");
    }
}
