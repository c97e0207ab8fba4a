//! The proxy against a real upstream, over real sockets.

mod approvals;
mod bridge;
mod clients;
mod hostile;
mod lists;
mod streams;

use axum::Router;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use self::bridge::Bridge;
use crate::config::AuthMode;

fn call(id: Value, tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool}})
}

fn text_of(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_default()
}

/// Answers with what arrived: target, headers and body.
fn echo() -> Router {
    Router::new().fallback(|request: Request<axum::body::Body>| async {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let names: Vec<_> = parts.headers.keys().map(http::HeaderName::as_str).collect();
        let seen = json!({
            "method": parts.method.as_str(),
            "target": parts.uri.to_string(),
            "names": names,
            "body": String::from_utf8_lossy(&body),
        });
        let headers = [
            ("set-cookie", "a=b"),
            ("www-authenticate", "Bearer"),
            ("mcp-session-id", "s-1"),
            ("content-type", "application/json"),
        ];
        (StatusCode::ACCEPTED, headers, seen.to_string())
    })
}

fn always(status: StatusCode, headers: &'static [(&'static str, &'static str)]) -> Router {
    Router::new().fallback(move || async move {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        (status, headers)
    })
}

#[tokio::test]
async fn bytes_status_and_session_pass_and_credentials_do_not() {
    let bridge = Bridge::before(echo()).await;
    let body = "{ \"id\":1.0,\"method\":\"x\" ,\"params\":{\"big\":123456789012345678901}}";
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer client"),
        ("cookie", "c=1"),
        ("mcp-session-id", "s-1"),
        ("x-other", "1"),
    ];
    let response = bridge
        .send(Method::POST, "/mcp/up/sub?q=1", &headers, body)
        .await;
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["mcp-session-id"], "s-1");
    assert!(!response.headers().contains_key("set-cookie"));
    assert!(!response.headers().contains_key("www-authenticate"));
    let seen = response.into_body().collect().await.unwrap().to_bytes();
    let seen: Value = serde_json::from_slice(&seen).unwrap();
    assert_eq!(seen["body"], body);
    assert_eq!(seen["target"], "/base/sub?q=1");
    let mut names: Vec<_> = seen["names"].as_array().unwrap().clone();
    names.sort_by_key(Value::to_string);
    assert_eq!(
        json!(names),
        json!(["content-length", "content-type", "host", "mcp-session-id"])
    );
}

#[tokio::test]
async fn a_refused_tool_is_a_result_the_model_can_read() {
    let bridge = Bridge::configured(echo(), |_, server| {
        let rule = r#"{"tools": "some", "arguments": {"/x": {"equals": 1}}, "effect": "deny"}"#;
        server
            .policy
            .rules
            .push(serde_json::from_str(rule).unwrap());
    })
    .await;
    let mut some = call(json!("id-1"), "some");
    some["params"]["arguments"] = json!({"x": 1});
    let (status, answer) = bridge.post(&some).await;
    assert_eq!((status.as_u16(), &answer["id"]), (200, &json!("id-1")));
    assert_eq!(answer["result"]["isError"], true);
    assert!(text_of(&answer).contains("denied"), "{answer}");
    let command = "mcpbridgectl policy set up some allow";
    assert!(text_of(&answer).contains(command), "{answer}");
    assert_eq!(bridge.post(&call(json!(1), "some")).await.0, 202);
    assert_eq!(bridge.post(&call(json!(1), "fine")).await.0, 202);
}

#[tokio::test]
async fn a_tool_that_is_always_denied_is_not_there() {
    let bridge = Bridge::before(echo()).await;
    let (status, answer) = bridge.post(&call(json!("id-1"), "drop")).await;
    assert_eq!((status.as_u16(), &answer["id"]), (200, &json!("id-1")));
    assert_eq!(answer["error"]["code"], -32602);
    assert_eq!(answer["error"]["message"], "Unknown tool: drop");
}

#[tokio::test]
async fn one_refused_tool_refuses_the_whole_array() {
    let bridge = Bridge::before(echo()).await;
    let list = json!({"jsonrpc": "2.0", "id": "b", "method": "tools/list"});
    let (status, answer) = bridge
        .post(&json!([
            call(json!(1), "fine"),
            call(json!(2), "drop"),
            list
        ]))
        .await;
    assert_eq!(status, 200);
    assert_eq!(answer[0]["id"], 1);
    assert!(answer[1]["error"]["code"].is_number());
    assert!(answer[2]["error"]["code"].is_number());
}

#[tokio::test]
async fn a_refused_call_without_an_id_is_a_client_error() {
    let bridge = Bridge::before(echo()).await;
    let (status, answer) = bridge
        .post(&json!({"method": "tools/call", "params": {"name": "drop"}}))
        .await;
    assert_eq!(status, 400);
    assert_eq!(answer["id"], Value::Null);
}

#[tokio::test]
async fn what_cannot_be_judged_is_refused() {
    let bridge = Bridge::configured(echo(), |config, _| config.max_request_bytes = 1000).await;
    let json = [("content-type", "application/json")];
    let plain = [("content-type", "text/plain")];
    let gzip = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    let large = "x".repeat(1001);
    for (path, headers, body, status) in [
        ("/mcp/up", &json[..], "{", 400),
        ("/mcp/up", &json, "", 400),
        ("/mcp/up", &json, "[]", 400),
        ("/mcp/up", &plain, r#"{"id":1,"method":"x"}"#, 415),
        ("/mcp/up", &gzip, r#"{"id":1,"method":"x"}"#, 415),
        ("/mcp/up/../x", &json, r#"{"id":1,"method":"x"}"#, 400),
        ("/mcp/other", &json, r#"{"id":1,"method":"x"}"#, 404),
        ("/mcp/%75p", &json, r#"{"id":1,"method":"x"}"#, 404),
        ("/mcp/up", &json, large.as_str(), 413),
    ] {
        let response = bridge
            .send(Method::POST, path, headers, body.to_owned())
            .await;
        assert_eq!(response.status(), status, "{path} {body}");
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn a_modern_request_must_match_its_headers() {
    let bridge = Bridge::before(echo()).await;
    let mut body = call(json!(7), "fine");
    body["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let (status, answer) = bridge.post(&body).await;
    assert_eq!(
        (status.as_u16(), answer["error"]["code"].as_i64()),
        (400, Some(-32020))
    );
    assert_eq!(answer["id"], 7);
}

#[tokio::test]
async fn an_upstream_challenge_becomes_words() {
    let bridge = Bridge::before(always(StatusCode::UNAUTHORIZED, &[])).await;
    let (status, answer) = bridge.post(&call(json!(1), "fine")).await;
    assert_eq!(status, 200);
    assert!(
        text_of(&answer).contains("mcpbridgectl remove up"),
        "{answer}"
    );
    let (status, answer) = bridge.post(&json!({"id": 1, "method": "initialize"})).await;
    assert_eq!(status, 200);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("mcpbridgectl remove up")
    );
    let get = bridge.send(Method::GET, "/mcp/up", &[], "").await;
    assert_eq!(get.status(), 503);
}

#[tokio::test]
async fn a_401_to_the_probe_sends_the_client_to_initialize() {
    for status in [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::OK,
    ] {
        let bridge = Bridge::before(always(status, &[])).await;
        let (status, answer) = bridge
            .post(&json!({"id": 1, "method": "server/discover"}))
            .await;
        assert_eq!(
            (status.as_u16(), answer["error"]["code"].as_i64()),
            (404, Some(-32601))
        );
    }
}

#[tokio::test]
async fn missing_scopes_are_named_with_the_command() {
    let challenge = [(
        "www-authenticate",
        "Bearer error=\"insufficient_scope\", scope=\"a:b c\"",
    )];
    let bridge = Bridge::before(always(
        StatusCode::FORBIDDEN,
        Box::leak(Box::new(challenge)),
    ))
    .await;
    let (status, answer) = bridge.post(&call(json!(1), "fine")).await;
    assert_eq!(status, 200);
    assert!(
        text_of(&answer).contains("mcpbridgectl login up --scope a:b --scope c"),
        "{answer}"
    );
}

#[tokio::test]
async fn redirects_are_not_followed_and_not_relayed() {
    let elsewhere = &[("location", "https://evil.example/")];
    let bridge = Bridge::before(always(StatusCode::TEMPORARY_REDIRECT, elsewhere)).await;
    let (status, answer) = bridge.post(&call(json!(1), "fine")).await;
    assert_eq!(status, 502);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("redirects"),
        "{answer}"
    );
}

#[tokio::test]
async fn without_a_sign_in_the_command_is_named() {
    let bridge = Bridge::configured(echo(), |_, server| server.auth = AuthMode::Oauth).await;
    let (status, answer) = bridge.post(&call(json!(1), "fine")).await;
    assert_eq!(status, 200);
    assert!(
        text_of(&answer).contains("mcpbridgectl login up"),
        "{answer}"
    );
}

#[tokio::test]
async fn oauth_metadata_is_not_found_anywhere() {
    let bridge = Bridge::before(echo()).await;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp/up",
        "/.well-known/oauth-authorization-server/mcp/up",
        "/mcp/up/.well-known/oauth-authorization-server",
        "/mcp/up/.well-known/openid-configuration",
    ] {
        let response = bridge.send(Method::GET, path, &[], "").await;
        assert_eq!(response.status(), 404, "{path}");
    }
}
