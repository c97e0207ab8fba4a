//! Client tokens at the port.

use super::*;
use crate::types::{Decider, Pattern, Scope, Secret};

const MISSING: &str = "mcpbridgectl client add";

impl Bridge {
    async fn strict() -> Self {
        Self::configured(echo(), |config, _| config.require_client_token = true).await
    }

    pub(super) async fn token(&self, name: &str, servers: &[&str], tools: &[&str]) -> Secret {
        let scope = Scope {
            servers: servers.iter().map(|name| name.parse().unwrap()).collect(),
            tools: tools
                .iter()
                .map(|glob| Pattern::parse(glob).unwrap())
                .collect(),
        };
        let name = name.parse().unwrap();
        let added = self.clients.add(name, scope, None, &Decider::Daemon);
        added.await.unwrap().0
    }

    async fn post_as(&self, token: &Secret, body: &Value) -> (StatusCode, Value) {
        let authorization = format!("Bearer {}", token.expose());
        let headers = [
            ("content-type", "application/json"),
            ("authorization", authorization.as_str()),
        ];
        let response = self
            .send(Method::POST, "/mcp/up", &headers, body.to_string())
            .await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }
}

fn list(id: u32) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"})
}

#[tokio::test]
async fn a_token_lets_its_client_in_and_goes_no_further() {
    let bridge = Bridge::strict().await;
    let token = bridge.token("ci", &[], &[]).await;
    let (status, seen) = bridge.post_as(&token, &call(json!(1), "fine")).await;
    assert_eq!(status, 202);
    assert!(!seen["names"].to_string().contains("authorization"));
    assert!(!seen.to_string().contains(token.expose()));
}

#[tokio::test]
async fn without_the_token_that_is_required_nothing_gets_through_and_oauth_is_not_begun() {
    let bridge = Bridge::strict().await;
    let (status, answer) = bridge.post(&call(json!(7), "fine")).await;
    assert_eq!((status, &answer["id"]), (StatusCode::OK, &json!(7)));
    assert_eq!(answer["result"]["isError"], true);
    assert!(text_of(&answer).contains(MISSING), "{answer}");
    let (status, answer) = bridge.post(&list(8)).await;
    assert_eq!((status, &answer["id"]), (StatusCode::OK, &json!(8)));
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains(MISSING), "{answer}");
    let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(bridge.post(&notification).await.0, 400);
    for (method, status) in [(Method::GET, 503), (Method::DELETE, 503)] {
        let response = bridge.send(method, "/mcp/up", &[], "").await;
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_token_that_is_none_is_refused_where_none_would_do() {
    let bridge = Bridge::before(echo()).await;
    assert_eq!(bridge.post(&list(1)).await.0, 202, "anonymous");
    for wrong in ["mcpb_wrong", "mcpb_"] {
        let (status, answer) = bridge.post_as(&Secret::new(wrong), &list(1)).await;
        assert_eq!(status, 200);
        assert!(answer["error"]["message"].is_string(), "{answer}");
        assert!(!answer.to_string().contains("mcpb_"), "{answer}");
    }
    let token = bridge.token("ci", &[], &[]).await;
    assert_eq!(bridge.post_as(&token, &list(1)).await.0, 202);
    let ci = "ci".parse().unwrap();
    bridge.clients.revoke(&ci, &Decider::Daemon).await.unwrap();
    assert_eq!(bridge.post_as(&token, &list(1)).await.0, 200, "refused");
}

#[tokio::test]
async fn a_scope_limits_servers_and_tools_and_does_not_tell_which_servers_there_are() {
    let bridge = Bridge::before(echo()).await;
    let reader = bridge.token("reader", &["up"], &["get_*"]).await;
    let allowed = bridge.post_as(&reader, &call(json!(1), "get_me")).await;
    assert_eq!(allowed.0, 202);
    let (status, answer) = bridge.post_as(&reader, &call(json!(1), "delete")).await;
    assert_eq!(status, 200);
    assert_eq!(answer["error"]["message"], "Unknown tool: delete");
    let batch = json!([call(json!(1), "get_me"), call(json!(2), "delete")]);
    let (status, answer) = bridge.post_as(&reader, &batch).await;
    assert_eq!(status, 200);
    assert_eq!(answer[0]["error"]["message"], "Unknown tool: delete");

    let elsewhere = bridge.token("elsewhere", &["other"], &[]).await;
    let (status, answer) = bridge.post_as(&elsewhere, &list(1)).await;
    assert_eq!(status, 200);
    let said = answer["error"]["message"].as_str().unwrap();
    assert!(said.contains("not made for the server up"), "{answer}");
}

#[tokio::test]
async fn a_scope_never_allows_what_policy_denies() {
    let bridge = Bridge::before(echo()).await;
    let token = bridge.token("ci", &["up"], &["drop"]).await;
    let (_, answer) = bridge.post_as(&token, &call(json!(1), "drop")).await;
    assert_eq!(answer["error"]["message"], "Unknown tool: drop");
}
