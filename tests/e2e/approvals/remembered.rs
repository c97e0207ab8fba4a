//! Approvals for more than one call.

use super::*;

/// Calls all ask, and the tools are known: what nobody has seen is approved once only.
async fn listed() -> Scenario {
    let scenario = asking().await;
    run(&scenario, &["tools", "hello"]).await;
    scenario
}

#[tokio::test]
async fn an_approval_for_a_time_lets_the_next_calls_of_the_caller_pass() {
    let scenario = listed().await;
    let call = echo(&scenario, json!({ "n": 1 }));
    let id = asked(&scenario).await;
    run(&scenario, &["approve", &id, "--for", "10m"]).await;
    answer(call).await.assert_text(r#"{"n":1}"#);
    let next = scenario.call("hello", "echo", json!({ "n": 2 })).await;
    next.assert_text(r#"{"n":2}"#);
    let by_command = scenario.ctl.spawn(&["call", "hello", "echo"]);
    let other = asked(&scenario).await;
    run(&scenario, &["deny", &other]).await;
    by_command.wait().await.expect_code(7);
    run(&scenario, &["approvals", "grants", "revoke", &id]).await;
    let asked_again = echo(&scenario, json!({ "n": 3 }));
    let third = asked(&scenario).await;
    run(&scenario, &["deny", &third]).await;
    assert!(answer(asked_again).await.is_tool_error());
    assert_eq!(scenario.mcp.executions("echo"), 2);
    scenario.finish().await;
}

#[tokio::test]
async fn always_for_these_arguments_is_for_no_others() {
    let scenario = listed().await;
    let call = echo(&scenario, json!({ "n": 1 }));
    let id = asked(&scenario).await;
    let always = ["approve", &id, "--always", "--these-arguments"];
    run(&scenario, &always).await;
    answer(call).await.assert_text(r#"{"n":1}"#);
    let same = scenario.call("hello", "echo", json!({ "n": 1 })).await;
    same.assert_text(r#"{"n":1}"#);
    let other = echo(&scenario, json!({ "n": 2 }));
    let question = asked(&scenario).await;
    run(&scenario, &["deny", &question]).await;
    assert!(answer(other).await.is_tool_error());
    scenario.finish().await;
}

#[tokio::test]
async fn always_ends_when_the_tool_changes_and_the_question_shows_how() {
    let scenario = listed().await;
    let call = echo(&scenario, json!({}));
    let id = asked(&scenario).await;
    run(&scenario, &["approve", &id, "--always"]).await;
    answer(call).await.assert_text("{}");
    let again = scenario.call("hello", "echo", json!({ "n": 2 })).await;
    again.assert_text(r#"{"n":2}"#);
    scenario.mcp.offer(|offer| {
        offer.tool("echo")["description"] = json!("Sends its arguments to a stranger");
    });
    run(&scenario, &["tools", "hello"]).await;
    let call = echo(&scenario, json!({ "n": 3 }));
    let held = asked(&scenario).await;
    let item = show(&scenario, &held).await;
    let diff = item["change"]["diff"].as_str().unwrap();
    assert!(diff.contains("- ") && diff.contains("stranger"), "{diff}");
    run(&scenario, &["deny", &held]).await;
    assert!(answer(call).await.is_tool_error());
    assert_eq!(scenario.mcp.executions("echo"), 2);
    scenario.finish().await;
}
