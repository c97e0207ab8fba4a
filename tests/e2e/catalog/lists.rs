//! Which tools a client sees, and how it hears that they are others.

use mcpbridge_tests::client::Messages;
use mcpbridge_tests::wait;

use super::*;

const INVALID_PARAMS: i64 = -32602;
const LIST_CHANGED: &str = "notifications/tools/list_changed";

#[tokio::test]
async fn a_denied_tool_is_on_no_page_and_a_call_of_it_meets_an_unknown_tool() {
    let scenario = open().await;
    scenario.mcp.offer(|offer| {
        offer.page = 2;
        offer.ttl_ms = 3_600_000;
        offer.cache_scope = "public";
    });
    let modern = scenario.client("hello");
    let legacy = scenario.legacy_client("hello").await;
    let all = names(&modern).await;
    assert_eq!(all.len(), 7);
    assert_eq!(names(&legacy).await, all);
    for tool in ["hello_world", "s*", "fail"] {
        scenario
            .ctl
            .run(&["policy", "set", "hello", tool, "deny"])
            .await
            .success();
    }
    for client in [&modern, &legacy] {
        assert_eq!(
            names(client).await,
            ["echo", "big"],
            "in the server's order"
        );
        for _ in 0..2 {
            assert_eq!(pages(client).await, pages(client).await);
        }
        assert_eq!(pages(client).await.len(), 4, "cursors are the server's");
        let denied = client.call("slow", json!({})).await;
        let unheard_of = client.call("slower", json!({})).await;
        for (answer, name) in [(denied, "slow"), (unheard_of, "slower")] {
            assert_eq!(
                (answer.status, answer.error_code()),
                (200, Some(INVALID_PARAMS))
            );
            assert_eq!(answer.error_message(), format!("Unknown tool: {name}"));
        }
    }
    for page in pages(&modern).await {
        assert_eq!(
            (&page["cacheScope"], &page["ttlMs"]),
            (&json!("private"), &json!(60_000))
        );
    }
    assert!(pages(&legacy).await[0].get("cacheScope").is_none());
    assert_eq!(scenario.mcp.executions("slow"), 0);
    let refused = scenario
        .ctl
        .run(&["audit", "--kind", "call.refused", "--json"])
        .await;
    let refused = refused.success().json_lines();
    assert_eq!(refused.len(), 4, "{refused:?}");
    assert_eq!(refused[0]["server"], "hello");

    let listed = ctl(&scenario, &["tools", "hello"]).await;
    assert_eq!(
        listed.as_array().unwrap().len(),
        7,
        "people see what they denied"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn a_client_sees_the_tools_that_its_token_is_made_for() {
    let scenario = open().await;
    let add = ["client", "add", "ci", "--tool", "s*"];
    let added = scenario.ctl.run_quietly(&add).await.success();
    let token = added.stdout.trim_end().to_owned();
    scenario.secrets.remember("client token", &token);
    let client = scenario.client("hello").with_token(&token);
    assert_eq!(names(&client).await, ["server_info", "slow", "scoped"]);
    let hidden = client.call("echo", json!({})).await;
    assert_eq!(hidden.error_message(), "Unknown tool: echo");
    assert_eq!(names(&scenario.client("hello")).await.len(), 7);
    scenario.finish().await;
}

#[tokio::test]
async fn clients_that_listen_hear_that_the_rules_changed_their_list() {
    let scenario = pinned().await;
    let legacy = scenario.legacy_client("hello").await;
    let stream = legacy.listen(None).await;
    let mut heard = Messages::of(stream);
    let modern = scenario.client("hello");
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    let subscription = modern.message("subscriptions/listen", wanted);
    let mut subscriber = Messages::of(modern.post(&subscription).await);
    let acknowledged = wait::within("the subscription", subscriber.next()).await;
    let method = &acknowledged.unwrap()["method"];
    assert_eq!(method, "notifications/subscriptions/acknowledged");
    // What the server says passes, and our word comes after it.
    scenario
        .mcp
        .notify(&json!({ "jsonrpc": "2.0", "method": "x" }));
    for stream in [&mut heard, &mut subscriber] {
        let notice = wait::within("the server's word", stream.next()).await;
        assert_eq!(notice.unwrap()["method"], "x");
    }
    scenario
        .ctl
        .run(&["policy", "set", "hello", "echo", "deny"])
        .await
        .success();
    let expected = [
        (&mut heard, Value::Null),
        (&mut subscriber, subscription["id"].clone()),
    ];
    for (stream, id) in expected {
        let notice = wait::within("news of the rules", stream.next())
            .await
            .unwrap();
        assert_eq!(notice["method"], LIST_CHANGED);
        let meta = &notice["params"]["_meta"];
        assert_eq!(meta["io.modelcontextprotocol/subscriptionId"], id);
    }
    assert!(!names(&modern).await.contains(&"echo".to_owned()));
    scenario.finish().await;
}

#[tokio::test]
async fn a_list_of_hostile_names_and_definitions_does_no_harm() {
    let scenario = pinned().await;
    let escape = "\u{1b}[2J\u{202e}evil\nname";
    let long = "x".repeat(5_000);
    scenario.mcp.offer(|offer| {
        offer.tools.extend([
            json!({ "name": escape, "description": escape }),
            json!({ "name": long }),
            json!({ "name": "" }),
            json!({ "name": 7 }),
            json!({ "title": "nameless" }),
            json!("nothing"),
            json!({ "name": "twice", "description": "one" }),
            json!({ "name": "twice", "description": "two" }),
            json!({ "name": "huge", "description": "y".repeat(300 * 1024) }),
        ]);
    });
    let listed = names(&scenario.client("hello")).await;
    assert_eq!(listed[7..], [escape, "twice", "twice", "huge"]);
    for tool in ["twice", "huge"] {
        held(&scenario, tool).await;
        let approve = ["tools", "hello", "--approve", tool];
        scenario.ctl.run(&approve).await.expect_code(5);
    }
    for command in [&["tools", "hello"][..], &["tools", "hello", "--changes"]] {
        let shown = scenario.ctl.run(command).await.success().stdout;
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    }
    runs(&scenario, "echo").await;
    scenario.finish().await;
}
