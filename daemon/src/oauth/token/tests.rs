//! Token requests against a scripted exchange.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Mutex;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;
use crate::oauth::client::AuthMethod;

const JSON: &str = "application/json";

fn response(status: u16, content_type: &str, body: &str) -> Response {
    Response {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::from_iter([(
            CONTENT_TYPE,
            HeaderValue::from_str(content_type).unwrap(),
        )]),
        body: body.to_owned().into(),
        url: Url::parse("https://as.example/token").unwrap(),
    }
}

fn client(auth_method: AuthMethod) -> ClientIdentity {
    ClientIdentity {
        client_id: "id:1".to_owned(),
        client_secret: Some(Secret::new("p w")),
        auth_method,
    }
}

async fn answer(response: Response) -> Result<TokenResponse, TokenError> {
    let url = response.url.clone();
    let client = ClientIdentity::public("id");
    let endpoint = TokenEndpoint {
        url: &url,
        client: &client,
        resource: None,
    };
    let grant = Grant::RefreshToken {
        refresh_token: &Secret::new("old"),
    };
    request(endpoint, grant, |_| ready(Ok(response.clone()))).await
}

/// The form that was sent and its Authorization header.
async fn sent(method: AuthMethod, grant: Grant<'_>) -> (BTreeMap<String, String>, Option<String>) {
    let url = Url::parse("http://localhost:1/token?tenant=x").unwrap();
    let client = client(method);
    let endpoint = TokenEndpoint {
        url: &url,
        client: &client,
        resource: Some("https://mcp.example"),
    };
    let seen = Mutex::new(None);
    let send = |request: http::Request<Vec<u8>>| {
        assert_eq!(request.uri(), "http://localhost:1/token?tenant=x");
        assert_eq!(request.headers()["accept"], JSON);
        seen.lock().unwrap().replace(request);
        ready(Ok(response(
            200,
            JSON,
            r#"{"access_token":"a","token_type":"Bearer"}"#,
        )))
    };
    request(endpoint, grant, send).await.unwrap();
    let seen = seen.lock().unwrap().take().unwrap();
    let header = seen
        .headers()
        .get(AUTHORIZATION)
        .map(|value| value.to_str().unwrap().to_owned());
    let form = url::form_urlencoded::parse(seen.body()).into_owned();
    (form.collect(), header)
}

fn form(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let resource = ("resource", "https://mcp.example");
    let pairs = pairs.iter().chain([&resource]);
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_code_is_exchanged_with_verifier_redirect_and_resource() {
    let grant = || Grant::AuthorizationCode {
        code: &CODE,
        verifier: &VERIFIER,
        redirect_uri: "http://localhost:3000/callback",
    };
    static CODE: std::sync::LazyLock<Secret> = std::sync::LazyLock::new(|| Secret::new("c"));
    static VERIFIER: std::sync::LazyLock<Secret> = std::sync::LazyLock::new(|| Secret::new("v"));
    let common = [
        ("grant_type", "authorization_code"),
        ("code", "c"),
        ("code_verifier", "v"),
        ("redirect_uri", "http://localhost:3000/callback"),
    ];
    let id = [("client_id", "id:1")];
    let post = [("client_id", "id:1"), ("client_secret", "p w")];
    let public = form(&[&common[..], &id].concat());
    assert_eq!(sent(AuthMethod::None, grant()).await, (public, None));
    let posted = form(&[&common[..], &post].concat());
    assert_eq!(sent(AuthMethod::Post, grant()).await, (posted, None));
    // id%3A1:p+w
    let header = Some("Basic aWQlM0ExOnArdw==".to_owned());
    assert_eq!(
        sent(AuthMethod::Basic, grant()).await,
        (form(&common), header)
    );
}

#[tokio::test]
async fn refresh_and_client_credentials_carry_the_resource_too() {
    let refresh = Secret::new("r");
    let (fields, _) = sent(
        AuthMethod::None,
        Grant::RefreshToken {
            refresh_token: &refresh,
        },
    )
    .await;
    let expected = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "r"),
        ("client_id", "id:1"),
    ];
    assert_eq!(fields, form(&expected));
    let scopes = ["a".to_owned(), "b".to_owned()];
    let (fields, _) = sent(
        AuthMethod::Basic,
        Grant::ClientCredentials { scopes: &scopes },
    )
    .await;
    assert_eq!(
        fields,
        form(&[("grant_type", "client_credentials"), ("scope", "a b")])
    );
}

#[tokio::test]
async fn usable_answers_are_read_however_they_are_dressed() {
    let full = r#"{"access_token":"a","token_type":"Bearer","expires_in":60,"refresh_token":"r",
        "scope":"x y","id_token":"ey"}"#;
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    // content type, body -> token, lifetime, refresh token, scopes
    let table = [
        (JSON, full, ("a", 60, "r", "x y")),
        ("text/html", r#"{"access_token":"a"}"#, ("a", 0, "-", "-")),
        (
            JSON,
            r#"{"access_token":"a","token_type":"user","ok":true}"#,
            ("a", 0, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","token_type":7}"#,
            ("a", 0, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","expires_in":"3600"}"#,
            ("a", 3600, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","expires_in":59.9}"#,
            ("a", 59, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","expires_in":0}"#,
            ("a", 0, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","expires_in":-5}"#,
            ("a", 0, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","expires_in":1e300}"#,
            ("a", 4294967295, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","expires_in":"NaN"}"#,
            ("a", 0, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","refresh_token":null,"scope":null}"#,
            ("a", 0, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","refresh_token":"","scope":""}"#,
            ("a", 0, "-", "-"),
        ),
        (
            JSON,
            r#"{"access_token":"a","scope":["x","y"]}"#,
            ("a", 0, "-", "x y"),
        ),
        (
            form,
            "access_token=a&expires_in=60&scope=x+y&token_type=bearer",
            ("a", 60, "-", "x y"),
        ),
        ("text/plain", "access_token=a", ("a", 0, "-", "-")),
    ];
    for (content_type, body, (token, seconds, refresh, scopes)) in table {
        let tokens = answer(response(200, content_type, body)).await.unwrap();
        assert_eq!(tokens.access_token.expose(), token, "{body}");
        let lifetime = tokens.expires_in.map_or(0, |lifetime| lifetime.as_secs());
        assert_eq!(lifetime, seconds, "{body}");
        let found = tokens.refresh_token.as_ref().map_or("-", Secret::expose);
        assert_eq!(found, refresh, "{body}");
        let found = tokens
            .scopes
            .map_or("-".to_owned(), |scopes| scopes.join(" "));
        assert_eq!(found, scopes, "{body}");
    }
}

#[tokio::test]
async fn errors_are_found_whatever_the_status_and_never_show_the_body() {
    let table = [
        (
            400,
            JSON,
            r#"{"error":"invalid_grant","access_token":"s3cret"}"#,
            "invalid_grant",
        ),
        (
            200,
            JSON,
            r#"{"error":"invalid_grant","access_token":"s3cret"}"#,
            "invalid_grant",
        ),
        (
            200,
            JSON,
            r#"{"ok":false,"error":"invalid_refresh_token"}"#,
            "invalid_grant",
        ),
        (
            200,
            "application/x-www-form-urlencoded",
            "error=bad_verification_code&error_description=old",
            "invalid_grant (old)",
        ),
        (401, JSON, r#"{"error":"invalid_client"}"#, "invalid_client"),
        (503, "text/html", "<h1>s3cret</h1>", "status 503"),
        (400, JSON, "{}", "status 400"),
        (302, "text/html", "", "status 302"),
        (
            200,
            "text/html; charset=utf-8",
            "<h1>s3cret</h1>",
            "answered text/html, not JSON",
        ),
        (200, JSON, "{\"access_token\": \"s3cret\"", "not JSON"),
        (200, JSON, "[]", "not JSON"),
        (200, JSON, "{}", "no access_token"),
        (200, JSON, r#"{"access_token":7}"#, "no access_token"),
        (
            200,
            JSON,
            r#"{"access_token":"s3cret\r\nX: y"}"#,
            "no header may carry",
        ),
        (
            200,
            JSON,
            r#"{"access_token":"s3cret é"}"#,
            "no header may carry",
        ),
    ];
    for (status, content_type, body, expected) in table {
        let error = answer(response(status, content_type, body))
            .await
            .unwrap_err();
        let shown = crate::error::chain(&error);
        assert!(shown.contains(expected), "{body}: {shown}");
        assert!(
            !shown.contains("s3cret") && !format!("{error:?}").contains("s3cret"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn only_a_refused_grant_calls_for_a_login() {
    let kind = async |status, body| {
        answer(response(status, JSON, body))
            .await
            .unwrap_err()
            .kind()
    };
    assert_eq!(
        kind(400, r#"{"error":"invalid_grant"}"#).await,
        ErrorKind::NeedsLogin
    );
    assert_eq!(kind(500, "{}").await, ErrorKind::Unavailable);
    assert_eq!(kind(429, "{}").await, ErrorKind::Unavailable);
    assert_eq!(
        kind(503, r#"{"error":"server_error"}"#).await,
        ErrorKind::Unavailable
    );
    assert_eq!(
        kind(400, r#"{"error":"invalid_request"}"#).await,
        ErrorKind::UpstreamFault
    );
    assert_eq!(kind(200, "oops").await, ErrorKind::UpstreamFault);
}

#[test]
fn a_token_request_can_run_in_a_spawned_task() {
    fn assert_send<T: Send>(future: T) -> T {
        future
    }
    let client = crate::net::Client::new();
    let identity = ClientIdentity::public("id");
    let url = Url::parse("https://as.example/token").unwrap();
    let endpoint = TokenEndpoint {
        url: &url,
        client: &identity,
        resource: None,
    };
    let refresh_token = Secret::new("r");
    let grant = Grant::RefreshToken {
        refresh_token: &refresh_token,
    };
    let policy = crate::net::AddressPolicy::default();
    // The future owns its client: with a borrowed one the compiler cannot prove `Send`.
    let send = move |request| {
        let client = client.clone();
        async move { client.send(policy, request).await }
    };
    drop(assert_send(request(endpoint, grant, send)));
}
