//! Calls that a person decides, from the client to the server and back: each is decided once and runs at
//! most once, whatever happens in between.

mod broken;
mod command;
mod remembered;

use mcpbridge_tests::client::McpAnswer;
use mcpbridge_tests::scenario::Builder;
use mcpbridge_tests::wait::{self, PATIENCE};
use mcpbridge_tests::{Scenario, ctl};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// With a server whose calls all ask.
pub(crate) async fn asking() -> Scenario {
    asking_with(Scenario::builder()).await
}

/// The same, and clients are told at once to call again.
async fn impatient() -> Scenario {
    let settings = json!({ "hold_seconds": 0, "max_hold_seconds": 0 });
    asking_with(Scenario::builder().setting("approvals", settings)).await
}

async fn asking_with(builder: Builder) -> Scenario {
    let scenario = builder.start().await;
    scenario.add("hello").await;
    run(&scenario, &["policy", "set", "hello", "ask"]).await;
    scenario
}

pub(crate) async fn run(scenario: &Scenario, arguments: &[&str]) -> ctl::Output {
    scenario.ctl.run(arguments).await.success()
}

pub(crate) async fn json_of(scenario: &Scenario, arguments: &[&str]) -> Value {
    let arguments = [&["--json"], arguments].concat();
    scenario.ctl.run_quietly(&arguments).await.success().json()
}

pub(crate) async fn pending(scenario: &Scenario) -> Vec<Value> {
    let listed = json_of(scenario, &["approvals", "list", "--state", "pending"]).await;
    listed.as_array().unwrap().clone()
}

/// Waits for the one question that is open.
async fn asked(scenario: &Scenario) -> String {
    wait::until("a question", PATIENCE, async || {
        let pending = pending(scenario).await;
        match pending.as_slice() {
            [only] => Some(only["id"].as_str().unwrap().to_owned()),
            _ => None,
        }
    })
    .await
}

async fn show(scenario: &Scenario, id: &str) -> Value {
    json_of(scenario, &["approvals", "show", id]).await
}

async fn until_state(scenario: &Scenario, id: &str, state: &str) -> Value {
    wait::until(&format!("{id} to be {state}"), PATIENCE, async || {
        let item = show(scenario, id).await;
        (item["state"] == state).then_some(item)
    })
    .await
}

async fn until_waiting(scenario: &Scenario, id: &str, calls: u64) {
    wait::until(&format!("{calls} calls at {id}"), PATIENCE, async || {
        let item = show(scenario, id).await;
        (item["waiting"] == calls).then_some(())
    })
    .await;
}

/// Calls `echo` with `arguments`, and goes on without the answer.
fn echo(scenario: &Scenario, arguments: Value) -> JoinHandle<McpAnswer> {
    let client = scenario.client("hello");
    tokio::spawn(async move { client.call("echo", arguments).await })
}

async fn answer(call: JoinHandle<McpAnswer>) -> McpAnswer {
    wait::within("the answer", call).await.unwrap()
}

#[tokio::test]
async fn a_call_waits_until_it_is_approved_and_runs_once() {
    let scenario = asking().await;
    let call = echo(&scenario, json!({ "n": 1 }));
    let id = asked(&scenario).await;
    let item = show(&scenario, &id).await;
    assert_eq!(item["arguments"], json!({ "n": 1 }));
    assert_eq!(item["waiting"], 1);
    assert_eq!(scenario.mcp.executions("echo"), 0);
    run(&scenario, &["approve", &id]).await;
    let got = answer(call).await;
    assert_eq!(got.text(), r#"{"n":1}"#);
    let item = until_state(&scenario, &id, "done").await;
    assert_eq!(item["decision"]["approved"], true);
    assert_eq!(scenario.mcp.executions("echo"), 1);
    let late = scenario.ctl.run(&["deny", &id]).await.expect_code(5);
    assert!(late.stderr.contains("already"), "{}", late.stderr);
    scenario.finish().await;
}

#[tokio::test]
async fn a_denial_reaches_the_client_with_its_reason() {
    let scenario = asking().await;
    let call = echo(&scenario, json!({}));
    let id = asked(&scenario).await;
    run(&scenario, &["deny", &id, "--reason", "not on a Friday"]).await;
    let got = answer(call).await;
    assert!(got.is_tool_error(), "{:?}", got.message);
    assert!(got.text().contains("not on a Friday"), "{}", got.text());
    assert_eq!(scenario.mcp.executions("echo"), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn a_call_made_again_joins_its_question_and_passes_once_after_approval() {
    let scenario = impatient().await;
    let first = scenario.call("hello", "echo", json!({ "n": 1 })).await;
    assert!(first.is_tool_error() && first.text().contains("Approval pending"));
    let id = asked(&scenario).await;
    assert!(first.text().contains(&id), "{}", first.text());
    scenario.call("hello", "echo", json!({ "n": 1 })).await;
    assert_eq!(asked(&scenario).await, id, "the same question");
    scenario.call("hello", "echo", json!({ "n": 2 })).await;
    let open = pending(&scenario).await;
    assert_eq!(open.len(), 2, "other arguments are another question");
    run(&scenario, &["approve", &id]).await;
    let passed = scenario.call("hello", "echo", json!({ "n": 1 })).await;
    assert_eq!(passed.text(), r#"{"n":1}"#);
    let again = scenario.call("hello", "echo", json!({ "n": 1 })).await;
    assert!(
        again.text().contains("Approval pending"),
        "{}",
        again.text()
    );
    assert_eq!(scenario.mcp.executions("echo"), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn a_client_that_leaves_can_come_back_to_the_decision() {
    let scenario = asking().await;
    let response = scenario.client("hello").open("echo", json!({})).await;
    let id = asked(&scenario).await;
    until_waiting(&scenario, &id, 1).await;
    drop(response);
    until_waiting(&scenario, &id, 0).await;
    let said = run(&scenario, &["approve", &id]).await;
    assert!(
        said.stderr.contains("when it is called again"),
        "{}",
        said.stderr
    );
    assert_eq!(scenario.mcp.executions("echo"), 0);
    let back = scenario.call("hello", "echo", json!({})).await;
    assert_eq!(back.text(), "{}");
    assert_eq!(scenario.mcp.executions("echo"), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn the_server_gets_the_arguments_that_were_approved() {
    let scenario = asking().await;
    let call = echo(&scenario, json!({ "amount": 1000 }));
    let id = asked(&scenario).await;
    let edited = r#"{"amount": 10}"#;
    run(&scenario, &["approve", &id, "--arguments", edited]).await;
    assert_eq!(answer(call).await.text(), r#"{"amount":10}"#);
    let item = until_state(&scenario, &id, "done").await;
    assert_eq!(item["arguments"], json!({ "amount": 10 }));
    assert_eq!(item["asked_arguments"], json!({ "amount": 1000 }));
    scenario.finish().await;
}

#[tokio::test]
async fn what_nobody_decides_in_time_is_denied() {
    let settings = json!({ "expiry_seconds": 10 });
    let scenario = asking_with(Scenario::builder().setting("approvals", settings)).await;
    let call = echo(&scenario, json!({}));
    let command = scenario.ctl.spawn(&["call", "hello", "echo"]);
    let got = answer(call).await;
    assert!(got.is_tool_error(), "{:?}", got.message);
    assert!(
        got.text().contains("Nobody decided in time"),
        "{}",
        got.text()
    );
    command.wait().await.expect_code(8);
    assert_eq!(scenario.mcp.executions("echo"), 0);
    scenario.finish().await;
}
