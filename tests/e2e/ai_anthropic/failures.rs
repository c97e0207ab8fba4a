//! What breaks, and how it is told.

use mcpbridge_tests::Gate;
use mcpbridge_tests::ai::Turn;
use serde_json::{Value, json};

use super::{BETA_2025, BETA_2026, answer, ask, block, kinds, request, user, with_servers};
use crate::ai_pass::World;

fn asked(stream: bool) -> Value {
    request(BETA_2025, &json!([user("Go")]), stream)
}

#[tokio::test]
async fn a_refusal_of_the_vendor_before_anything_ran_is_the_clients() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    for status in [400, 429, 500, 529] {
        for stream in [false, true] {
            world
                .anthropic
                .push(Turn::error(status).header("retry-after", "7"));
            let (got, error) = ask(&world, BETA_2025, &asked(stream)).await;
            assert_eq!(got, status, "{error}");
            assert_eq!(error["error"]["message"], format!("scripted {status}"));
        }
    }
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn after_a_tool_ran_the_bridge_asks_again_and_the_client_does_not() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    for status in [429, 500, 529] {
        world.anthropic.push(Turn::call_only("*echo", "{}"));
        world
            .anthropic
            .push(Turn::error(status).header("retry-after", "0"));
        world.anthropic.push(Turn::text("Done."));
        let message = answer(&world, BETA_2025, &asked(true)).await;
        assert_eq!(message["stop_reason"], "end_turn");
    }
    world.anthropic.push(Turn::call_only("*echo", "{}"));
    for _ in 0..3 {
        world
            .anthropic
            .push(Turn::error(529).header("retry-after", "0"));
    }
    let (status, error) = ask(&world, BETA_2025, &asked(true)).await;
    assert_eq!(status, 200);
    assert_eq!(error["type"], "error", "{error}");
    assert_eq!(error["error"]["type"], "overloaded_error", "{error}");
    assert_eq!(world.scenario.mcp.executions("echo"), 4);
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_broken_answer_ends_the_stream_with_an_error() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    for turn in [
        Turn::text("A long answer that is cut in the middle.").cut_after(4),
        Turn::text("It fails.").failed("overloaded_error", "busy"),
    ] {
        world.anthropic.push(Turn::call_only("*echo", "{}"));
        world.anthropic.push(turn);
        let (status, error) = ask(&world, BETA_2025, &asked(true)).await;
        assert_eq!(status, 200);
        assert_eq!(error["type"], "error", "{error}");
    }
    assert_eq!(world.scenario.mcp.executions("echo"), 2);
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_cut_off_call_does_not_run_and_is_not_shown() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    world
        .anthropic
        .push(Turn::text("I call").call("*echo", r#"{"text":"#).length());
    let message = answer(&world, BETA_2025, &asked(true)).await;
    assert_eq!(message["stop_reason"], "max_tokens");
    assert_eq!(kinds(&message), ["text"]);
    assert_eq!(world.scenario.mcp.executions("echo"), 0);
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_slow_vendor_is_waited_for() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let gate = Gate::new();
    world
        .anthropic
        .push(Turn::text("Done.").held(&gate).fragmented(3));
    let body = asked(true);
    let (message, ()) = tokio::join!(answer(&world, BETA_2025, &body), async {
        gate.reached().await;
        gate.release();
    });
    assert_eq!(kinds(&message), ["text"]);
    world.scenario.finish().await;
}

#[tokio::test]
async fn results_that_are_large_or_failures_are_results() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    world
        .anthropic
        .push(Turn::call_only("*big", r#"{"bytes":1000000}"#));
    world
        .anthropic
        .push(Turn::call_only("*big", r#"{"bytes":2000000}"#));
    world.anthropic.push(Turn::call_only("*fail", "{}"));
    world.anthropic.push(Turn::text("Done."));
    let message = answer(&world, BETA_2025, &asked(true)).await;
    let blocks = message["content"].as_array().unwrap().iter();
    let results = blocks.filter(|block| block["type"] == "mcp_tool_result");
    let results: Vec<(bool, usize)> = results
        .map(|result| {
            let text = result["content"][0]["text"].as_str().unwrap();
            (result["is_error"].as_bool().unwrap(), text.len())
        })
        .collect();
    assert_eq!(results[0], (false, 1_000_000));
    assert!(results[1].0 && results[1].1 < 1000, "{results:?}");
    assert!(results[2].0);
    assert_eq!(message["stop_reason"], "end_turn");
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn one_bad_schema_costs_one_tool() {
    let world = World::start().await;
    world.scenario.mcp.offer(|offer| {
        offer.tool("fail")["inputSchema"] = json!({ "type": "string" });
        offer.tool("slow")["inputSchema"] = json!({});
    });
    world.scenario.add_open("demo", "allow").await;
    world.anthropic.push(Turn::text("Done."));
    answer(
        &world,
        BETA_2026,
        &request(BETA_2026, &json!([user("Go")]), true),
    )
    .await;
    let names = world.anthropic.turns()[0].tool_names();
    assert!(!names.contains(&"demo__fail".to_owned()), "{names:?}");
    assert!(names.contains(&"demo__slow".to_owned()), "{names:?}");
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_server_that_cannot_be_listed_is_named_with_the_way_out() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let nowhere = [
        "add",
        "gone",
        "http://127.0.0.1:9/mcp",
        "--policy",
        "allow",
        "--no-auth",
    ];
    let _ = world.scenario.ctl.run(&nowhere).await;
    for stream in [false, true] {
        let body = with_servers(BETA_2025, &["demo", "gone"], &json!([user("Go")]), stream);
        let (status, error) = ask(&world, BETA_2025, &body).await;
        assert_eq!(status, 400, "{error}");
        assert_eq!(error["error"]["type"], "invalid_request_error");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains("'gone'"), "{message}");
    }
    assert!(world.anthropic.requests().is_empty());
    world.scenario.finish().await;
}

#[tokio::test]
async fn names_that_the_vendor_refuses_or_two_servers_share_are_told_apart() {
    let world = World::start().await;
    let long = format!("a.b/{}", "x".repeat(124));
    world.scenario.mcp.offer(|offer| {
        let mut tool = offer.tool("echo").clone();
        tool["name"] = json!(long);
        offer.tools.push(tool);
    });
    world.scenario.add_open("demo", "allow").await;
    world.scenario.add_open("other", "allow").await;
    let offered = |name: &str| name.len() <= 64;
    world
        .anthropic
        .push(Turn::call_only("demo__echo", "{}").call("other__echo", "{}"));
    world.anthropic.push(Turn::text("Done."));
    let body = with_servers(BETA_2025, &["demo", "other"], &json!([user("Go")]), true);
    let message = answer(&world, BETA_2025, &body).await;
    let blocks = message["content"].as_array().unwrap().iter();
    let servers: Vec<_> = blocks
        .filter(|block| block["type"] == "mcp_tool_use")
        .map(|block| (block["server_name"].clone(), block["name"].clone()))
        .collect();
    assert_eq!(
        servers,
        [
            (json!("demo"), json!("echo")),
            (json!("other"), json!("echo"))
        ]
    );
    let names = world.anthropic.turns()[0].tool_names();
    assert!(names.iter().all(|name| offered(name)), "{names:?}");
    let mangled = names
        .iter()
        .find(|name| name.starts_with("demo__a_b_x"))
        .unwrap()
        .clone();
    world.anthropic.push(Turn::call_only(&mangled, "{}"));
    world.anthropic.push(Turn::text("Done."));
    let message = answer(&world, BETA_2025, &body).await;
    assert_eq!(block(&message, "mcp_tool_use")["name"], json!(long));
    world.anthropic.assert_content();
    world.scenario.finish().await;
}
