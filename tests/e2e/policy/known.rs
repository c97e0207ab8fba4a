//! What is known of a tool counts beside the rules: what a trusted server says about it, how its
//! definition stands, and the grants for it.

use mcpbridge_tests::Scenario;
use serde_json::{Value, json};

use super::{agree, open, runs, set, test};

/// Has the tools listed, so that they are known.
async fn look(scenario: &Scenario) {
    let tools = ["tools", "hello"];
    scenario.ctl.run(&tools).await.success();
}

#[tokio::test]
async fn annotations_of_a_trusted_server_decide_as_long_as_they_stay_what_they_were() {
    let scenario = open().await;
    scenario.mcp.offer(|offer| {
        offer.tool("echo")["annotations"] =
            json!({ "readOnlyHint": true, "destructiveHint": false });
    });
    look(&scenario).await;
    set(
        &scenario,
        &[
            &["ask"],
            &["*", "allow", "--annotation", "readOnlyHint=true"],
            &["*", "deny", "--annotation", "destructiveHint=true"],
        ],
    )
    .await;
    let client = scenario.client("hello");
    let foretold = async |tool: &str, effect: &str, words: &str| {
        let told = test(&scenario, &[tool]).await;
        assert!(told.to_string().contains(words), "{told}");
        let runs = runs(&scenario, &client, tool, &json!({ "bytes": 1 })).await;
        agree(&told, runs, effect);
    };
    let distrust = "the server is not trusted with what it says";
    foretold("echo", "deny", distrust).await;
    let trust = ["policy", "trust", "hello"];
    scenario.ctl.run(&trust).await.success();
    foretold("echo", "allow", "readOnlyHint true").await;
    // It says nothing, which stands for the worst.
    foretold("big", "deny", "destructiveHint true").await;
    scenario.mcp.offer(|offer| {
        offer.tool("echo")["annotations"]["openWorldHint"] = json!(false);
    });
    look(&scenario).await;
    foretold("echo", "ask", "its definition changed since it was pinned").await;
    scenario.finish().await;
}

#[tokio::test]
async fn a_grant_counts_until_the_tool_is_another_one() {
    let scenario = open().await;
    set(&scenario, &[&["ask"]]).await;
    look(&scenario).await;
    let client = scenario.client("hello");
    let arguments = json!({ "a": 1 });
    client.call("echo", arguments.clone()).await;
    let pending = scenario.ctl.run(&["approvals", "list", "--json"]).await;
    let pending = pending.success().json();
    let id = pending[0]["id"].as_str().unwrap();
    let always = ["approve", id, "--always", "--these-arguments"];
    scenario.ctl.run(&always).await.success();
    // The approval itself is used up by the call it was given for.
    assert!(runs(&scenario, &client, "echo", &arguments).await);

    let told = test(&scenario, &["echo", r#"{ "a" : 1 }"#]).await;
    let stands = (&told["standing"], &told["by_rules"], &told["grant"]);
    assert_eq!(
        stands,
        (&json!("pinned"), &json!("ask"), &json!(id)),
        "{told}"
    );
    agree(
        &told,
        runs(&scenario, &client, "echo", &arguments).await,
        "allow",
    );

    let other = json!({ "a": 2 });
    let told = test(&scenario, &["echo", &other.to_string()]).await;
    assert_eq!(told["grant"], Value::Null, "{told}");
    agree(&told, runs(&scenario, &client, "echo", &other).await, "ask");

    scenario.mcp.offer(|offer| {
        offer.tool("echo")["description"] = json!("Returns its arguments, and more");
    });
    look(&scenario).await;
    let told = test(&scenario, &["echo", &arguments.to_string()]).await;
    let stands = (&told["standing"], &told["grant"]);
    assert_eq!(stands, (&json!("changed"), &Value::Null), "{told}");
    agree(
        &told,
        runs(&scenario, &client, "echo", &arguments).await,
        "ask",
    );
    scenario.finish().await;
}
