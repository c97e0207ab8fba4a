//! One request and its answer.

use mcpbridge_tests::ai::{Endpoint, Turn, Usage};
use mcpbridge_tests::queue::Queue;
use serde_json::{Value, json};

use super::{
    BETA_2025, BETA_2026, BETA_OLD, VERSION, answer, ask, at_port, block, kinds, request,
    rewritten, user,
};
use crate::ai_pass::{World, error_of, sent};

#[tokio::test]
async fn every_beta_gets_its_own_shape_streamed_or_not() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    for beta in [BETA_OLD, BETA_2025, BETA_2026] {
        let mut both = Vec::new();
        for stream in [false, true] {
            world.anthropic.reset();
            let usage = Usage {
                input: 5,
                cached: 20,
                output: 3,
                ..Usage::default()
            };
            let call = Turn::new()
                .thinking("Hm.")
                .call("*echo", r#"{"text":"hi","n":1.0}"#);
            world
                .anthropic
                .push(call.with_id("toolu_fixed").usage(usage));
            world.anthropic.push(Turn::text("Done.").usage(usage));
            let asked = request(beta, &json!([user("Say hi")]), stream);
            let message = answer(&world, beta, &asked).await;
            let mut expected = vec!["thinking", "mcp_tool_use", "mcp_tool_result", "text"];
            if beta == BETA_2026 {
                expected.insert(0, "mcp_tool_listing");
            }
            assert_eq!(kinds(&message), expected, "{message}");
            let call = block(&message, "mcp_tool_use");
            assert_eq!(
                *call,
                json!({
                    "type": "mcp_tool_use", "id": "mcptoolu_fixed", "name": "echo",
                    "server_name": "demo", "input": { "text": "hi", "n": 1.0 },
                })
            );
            let result = block(&message, "mcp_tool_result");
            assert_eq!(result["tool_use_id"], "mcptoolu_fixed");
            assert_eq!(result["is_error"], false);
            assert_eq!(result["content"][0]["type"], "text");
            assert_eq!(message["stop_reason"], "end_turn");
            let usage = &message["usage"];
            assert_eq!(usage["input_tokens"], 10);
            assert_eq!(usage["cache_read_input_tokens"], 40);
            assert_eq!(usage["output_tokens"], 6);
            assert_eq!(usage["iterations"].as_array().unwrap().len(), 2);
            let seen = world.anthropic.turns();
            assert_eq!(
                seen[0].header("anthropic-beta"),
                Some("files-api-2025-04-14")
            );
            assert_eq!(seen[0].raw("mcp_servers"), None);
            assert!(seen[0].tool_names().contains(&"demo__echo".to_owned()));
            assert!(!seen[0].tool_names().contains(&"echo".to_owned()));
            seen[1].assert_continues(&seen[0]);
            world.anthropic.assert_content();
            let mut comparable = message.clone();
            comparable["id"] = Value::Null;
            // The signatures of the two are those of two conversations of the vendor.
            both.push(comparable);
        }
        assert_eq!(both[0], both[1]);
    }
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_function_of_the_client_waits_for_the_client_and_joins_what_ran_here() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let turn = Turn::new().thinking("Both.").call("*echo", r#"{"n":1.0}"#);
    let turn = turn.call("mine", r#"{"x": 1.0}"#).with_id("toolu_mine");
    world
        .anthropic
        .push(turn.call("*hello_world", r#"{"name":"B"}"#));
    let first = user("Go");
    let message = answer(
        &world,
        BETA_2025,
        &request(BETA_2025, &json!([first]), true),
    )
    .await;
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(
        kinds(&message),
        [
            "thinking",
            "mcp_tool_use",
            "tool_use",
            "mcp_tool_use",
            "mcp_tool_result",
            "mcp_tool_result"
        ]
    );
    world.anthropic.push(Turn::text("Done."));
    let returned = rewritten(message["content"].clone());
    let mine = json!([{ "type": "tool_result", "tool_use_id": "toolu_mine", "content": "42" }]);
    let messages = json!([
        first, { "role": "assistant", "content": returned }, { "role": "user", "content": mine },
    ]);
    let message = answer(&world, BETA_2025, &request(BETA_2025, &messages, true)).await;
    assert_eq!(kinds(&message), ["text"]);
    let second = &world.anthropic.turns()[1];
    let results: Value = serde_json::from_str(&second.elements("messages")[2]).unwrap();
    assert_eq!(results["content"].as_array().unwrap().len(), 3, "{results}");
    assert!(second.elements("messages")[1].contains(r#""input":{"x":1.0}"#));
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn tokens_are_counted_of_what_the_model_gets() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let mut asked = request(BETA_2025, &json!([user("Say hi")]), false);
    asked
        .as_object_mut()
        .unwrap()
        .retain(|key, _| key != "stream" && key != "max_tokens");
    let counting = world.post("/anthropic/v1/messages/count_tokens");
    let counting = counting.header("anthropic-beta", BETA_2025);
    let counting = counting.header("anthropic-version", VERSION);
    let counting = counting.header("content-type", "application/json");
    let response = sent(counting.body(at_port(&world, &asked))).await;
    assert_eq!(response.status(), 200);
    let counted: Value = response.json().await.unwrap();
    assert!(counted["input_tokens"].is_u64(), "{counted}");
    world.anthropic.push(Turn::text("Hi."));
    answer(
        &world,
        BETA_2025,
        &request(BETA_2025, &json!([user("Say hi")]), false),
    )
    .await;
    let requests = world.anthropic.requests();
    assert_eq!(requests[0].endpoint, Endpoint::CountTokens);
    assert_eq!(requests[0].header("anthropic-beta"), None);
    assert_eq!(requests[0].raw("mcp_servers"), None);
    assert_eq!(requests[0].raw("stream"), None);
    assert_eq!(requests[0].raw("tools"), requests[1].raw("tools"));
    assert_eq!(requests[0].raw("messages"), requests[1].raw("messages"));
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn the_daemons_own_rule_holds_the_stream_or_fails_the_call() {
    let world = World::start().await;
    world.scenario.add_open("demo", "ask").await;
    let queue = Queue::of(&world.scenario.home).await;
    for approve in [true, false] {
        world.anthropic.push(
            Turn::new()
                .thinking("Hm.")
                .call("*echo", r#"{"text":"hi"}"#),
        );
        world.anthropic.push(Turn::text("Done."));
        let asked = request(BETA_2025, &json!([user("Say hi")]), true);
        let (message, ()) = tokio::join!(answer(&world, BETA_2025, &asked), async {
            let question = queue.pending(1).await.remove(0);
            match approve {
                true => queue.approve(&question.id).await.unwrap(),
                false => queue.deny(&question.id, "not today").await.unwrap(),
            };
        });
        let result = block(&message, "mcp_tool_result");
        assert_eq!(result["is_error"], !approve, "{message}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert_eq!(text.contains("not today"), !approve, "{text}");
        assert_eq!(message["stop_reason"], "end_turn");
    }
    assert_eq!(world.scenario.mcp.executions("echo"), 1);
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn what_could_never_work_is_refused_before_anything_is_asked() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let good = request(BETA_2025, &json!([user("Say hi")]), true);
    let mut private = good.clone();
    private["mcp_servers"][0]["url"] = json!("http://192.168.7.7/mcp");
    let mut unnamed = good.clone();
    unnamed["tools"] = json!([]);
    let mut unknown = good.clone();
    unknown["mcp_servers"][0]["url"] = json!("mcp://nobody");
    for (body, says) in [
        (&private, "could never have reached"),
        (&unnamed, "no toolset names the MCP server 'demo'"),
        (&unknown, "mcpbridgectl list"),
    ] {
        let (status, error) = ask(&world, BETA_2025, body).await;
        assert_eq!(status, 400, "{error}");
        assert_eq!(error["error"]["type"], "invalid_request_error");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{message}");
    }
    let batch = json!({ "requests": [{ "custom_id": "a", "params": good }] });
    let response = sent(
        world
            .post("/anthropic/v1/messages/batches")
            .header("content-type", "application/json")
            .body(at_port(&world, &batch)),
    )
    .await;
    let (status, message) = error_of("anthropic", response).await;
    assert_eq!(status, 400);
    assert!(
        message.contains("requests[0].params.mcp_servers"),
        "{message}"
    );
    assert!(world.anthropic.requests().is_empty());
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_server_in_public_is_left_to_the_vendor() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    world.anthropic.push(Turn::text("Hi."));
    let mut asked = request(BETA_2025, &json!([user("Say hi")]), false);
    let theirs = json!({ "type": "url", "name": "far", "url": "https://mcp.example/mcp" });
    let set = json!({ "type": "mcp_toolset", "mcp_server_name": "far" });
    asked["mcp_servers"]
        .as_array_mut()
        .unwrap()
        .push(theirs.clone());
    asked["tools"].as_array_mut().unwrap().push(set.clone());
    answer(&world, BETA_2025, &asked).await;
    let seen = &world.anthropic.turns()[0];
    assert_eq!(seen.raw("mcp_servers"), Some(json!([theirs]).to_string()));
    assert_eq!(seen.elements("tools").last(), Some(&set.to_string()));
    let betas = format!("files-api-2025-04-14,{BETA_2025}");
    assert_eq!(seen.header("anthropic-beta"), Some(betas.as_str()));
    world.scenario.finish().await;
}
