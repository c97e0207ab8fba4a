//! A change of the rules reaches calls that wait.

use mcpbridge_tests::Scenario;
use mcpbridge_tests::client::McpAnswer;
use mcpbridge_tests::wait::{self, PATIENCE};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{holding, open, set};

/// Calls `echo` in the background, and waits until somebody has to decide about it.
async fn asked(scenario: &Scenario, number: u32) -> (JoinHandle<McpAnswer>, Value) {
    let client = scenario.client("hello");
    let arguments = json!({ "number": number });
    let expected = arguments.clone();
    let call = tokio::spawn(async move { client.call("echo", arguments).await });
    let item = wait::until("a question", PATIENCE, async || {
        let mut pending = pending(scenario).await;
        pending.retain(|item| item["arguments"] == expected && item["waiting"] == 1);
        pending.pop()
    })
    .await;
    (call, item)
}

async fn pending(scenario: &Scenario) -> Vec<Value> {
    let listed = scenario.ctl.run(&["approvals", "list", "--json"]).await;
    listed.success().json().as_array().unwrap().clone()
}

async fn item(scenario: &Scenario, asked: &Value) -> Value {
    let id = asked["id"].as_str().unwrap();
    let shown = scenario.ctl.run(&["approvals", "show", id, "--json"]).await;
    shown.success().json()
}

async fn answer(call: JoinHandle<McpAnswer>) -> McpAnswer {
    wait::within("the answer", call).await.unwrap()
}

#[tokio::test]
async fn a_call_that_waits_is_judged_by_the_new_rules() {
    let scenario = holding(600).await;
    set(&scenario, &[&["ask"]]).await;

    let (call, asked_about) = asked(&scenario, 1).await;
    set(&scenario, &[&["echo", "deny"]]).await;
    let denied = answer(call).await;
    assert!(denied.is_tool_error(), "{:?}", denied.message);
    let withdrawn = item(&scenario, &asked_about).await;
    assert_eq!(withdrawn["state"], "withdrawn", "{withdrawn}");
    assert_eq!(scenario.mcp.executions("echo"), 0);

    set(&scenario, &[&["echo", "ask"]]).await;
    let (call, _) = asked(&scenario, 2).await;
    set(&scenario, &[&["echo", "allow", "--arg", "/number=2"]]).await;
    answer(call).await.assert_text(r#"{"number":2}"#);
    assert_eq!(scenario.mcp.executions("echo"), 1);

    // Other rules that ask as well: it is asked anew, and what was asked before decides nothing.
    let (call, before) = asked(&scenario, 3).await;
    set(&scenario, &[&["big", "deny"]]).await;
    let after = wait::until("another question", PATIENCE, async || {
        let mut pending = pending(&scenario).await;
        pending.retain(|item| item["id"] != before["id"]);
        pending.pop()
    })
    .await;
    assert_ne!(before["policy_version"], after["policy_version"]);
    let outdated = scenario
        .ctl
        .run(&["approve", before["id"].as_str().unwrap()])
        .await;
    outdated.expect_code(5);
    let approved = scenario
        .ctl
        .run(&["approve", after["id"].as_str().unwrap()])
        .await;
    approved.success();
    answer(call).await.assert_text(r#"{"number":3}"#);
    assert_eq!(scenario.mcp.executions("echo"), 2);
    scenario.finish().await;
}

#[tokio::test]
async fn what_nobody_waits_for_is_withdrawn_and_asked_again_by_the_next_call() {
    let scenario = open().await;
    set(&scenario, &[&["ask"]]).await;
    let client = scenario.client("hello");
    client.call("echo", json!({})).await;
    let before = pending(&scenario).await;
    client.call("echo", json!({})).await;
    assert_eq!(pending(&scenario).await, before, "the same question");
    set(&scenario, &[&["big", "deny"]]).await;
    assert_eq!(pending(&scenario).await, [] as [Value; 0]);
    client.call("echo", json!({})).await;
    let again = pending(&scenario).await;
    assert_eq!(again.len(), 1);
    assert_ne!(again[0]["id"], before[0]["id"]);
    assert_eq!(scenario.mcp.executions("echo"), 0);
    scenario.finish().await;
}
