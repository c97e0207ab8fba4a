//! Calls that wait for a person here, which the client knows nothing of.

use mcpbridge_tests::ai::{Turn, lint};
use mcpbridge_tests::queue::Queue;
use mcpbridge_tests::wait;
use reqwest::{RequestBuilder, Response};
use serde_json::json;

use super::{BETA_2025, ask_by, assert_one_conversation, block, kinds, ready, request, sent, user};
use crate::ai_pass::World;

async fn world() -> World {
    let world = World::start().await;
    world.scenario.add_open("demo", "ask").await;
    world
}

/// A streamed request that says `text`; with `again` the client has sent it before.
fn asking(world: &World, text: &str, again: bool) -> RequestBuilder {
    let request = world.post("/anthropic/v1/messages?beta=true");
    let request = match again {
        true => request.header("x-stainless-retry-count", "1"),
        false => request,
    };
    let body = super::request(BETA_2025, &json!([user(text)]), true);
    ready(world, request, BETA_2025, &body)
}

#[tokio::test]
async fn a_client_that_tries_again_after_a_restart_gets_the_answer_and_the_call_runs_once() {
    for is_killed in [false, true] {
        let mut world = world().await;
        let call = Turn::new().thinking("Hm.").and_text("Let me see.");
        world
            .anthropic
            .push(call.call("*echo", r#"{"text":"hi","n":1.0}"#));
        world.anthropic.push(Turn::text("Done."));
        let first = sent(asking(&world, "Go", false)).await;
        let queue = Queue::of(&world.scenario.home).await;
        let question = queue.pending(1).await.remove(0);
        match is_killed {
            true => {
                world.scenario.daemon.kill().await;
                world.scenario.daemon.launch().await;
            }
            false => world.scenario.daemon.restart().await,
        }
        let _ = wait::within("the end of the first answer", first.bytes()).await;
        let again = tokio::spawn(asking(&world, "Go", true).send());
        let queue = Queue::of(&world.scenario.home).await;
        assert_eq!(queue.pending(1).await[0].id, question.id);
        queue.approve(&question.id).await.unwrap();
        let again = wait::within("the answer", again).await.unwrap().unwrap();
        let message = lint::messages(&again.bytes().await.unwrap()).unwrap();
        let expected = [
            "thinking",
            "text",
            "mcp_tool_use",
            "mcp_tool_result",
            "text",
        ];
        assert_eq!(kinds(&message), expected);
        let result = block(&message, "mcp_tool_result");
        assert_eq!(result["is_error"], false, "{message}");
        // And once more, when all is over.
        let late = world
            .post("/anthropic/v1/messages?beta=true")
            .header("x-stainless-retry-count", "2");
        let body = request(BETA_2025, &json!([user("Go")]), true);
        let (status, late) = ask_by(&world, late, BETA_2025, &body).await;
        assert_eq!((status, late), (200, message));
        assert_eq!(world.scenario.mcp.executions("echo"), 1);
        assert_one_conversation(&world.anthropic.turns());
        world.anthropic.assert_content();
        world.scenario.finish().await;
    }
}

/// Reads on until something keeps the connection alive after the call was shown.
async fn kept_alive(held: &mut Response) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&got);
        if let Some((_, after)) = text.split_once("mcp_tool_use")
            && after.contains("event: ping")
        {
            return got;
        }
        let chunk = wait::within("a sign of life", held.chunk()).await;
        got.extend_from_slice(&chunk.unwrap().expect("a stream that goes on"));
    }
}

#[tokio::test]
async fn a_held_stream_says_that_it_lives_and_a_call_that_runs_is_found_by_who_comes_back() {
    let world = world().await;
    let queue = Queue::of(&world.scenario.home).await;
    let gate = world.scenario.mcp.hold("echo");
    world
        .anthropic
        .push(Turn::call_only("*echo", r#"{"text":"hi"}"#));
    let left = sent(asking(&world, "One", false)).await;
    let question = queue.pending(1).await.remove(0);
    queue.approve(&question.id).await.unwrap();
    gate.reached().await;
    drop(left);

    // Silence, for as long as a client that has left may take to come back.
    world.anthropic.push(Turn::call_only("*server_info", "{}"));
    let mut held = sent(asking(&world, "Two", false)).await;
    let question = queue.pending(1).await.remove(0);
    let mut got = kept_alive(&mut held).await;
    world.anthropic.then(|_| Turn::text("Done."));
    queue.approve(&question.id).await.unwrap();
    got.extend_from_slice(&held.bytes().await.unwrap());
    let message = lint::messages(&got).unwrap();
    assert_eq!(message["stop_reason"], "end_turn", "{message}");

    let back = sent(asking(&world, "One", true)).await;
    gate.release();
    let message = lint::messages(&back.bytes().await.unwrap()).unwrap();
    let result = block(&message, "mcp_tool_result");
    assert_eq!(result["is_error"], false, "{message}");
    assert_eq!(world.scenario.mcp.executions("echo"), 1);
    assert_eq!(world.anthropic.turns().len(), 4);
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn what_had_not_begun_when_its_client_had_left_waits_for_its_return() {
    let world = world().await;
    for tool in ["slow", "server_info"] {
        let allow = ["policy", "set", "demo", tool, "allow"];
        world.scenario.ctl.run(&allow).await.success();
    }
    let queue = Queue::of(&world.scenario.home).await;
    let (gate, other) = (
        world.scenario.mcp.hold("slow"),
        world.scenario.mcp.hold("server_info"),
    );
    let first = Turn::new().call("*server_info", "{}");
    let many = (0..16).fold(first, |turn, _| turn.call("*slow", "{}"));
    world.anthropic.push(many);
    let left = sent(asking(&world, "One", false)).await;
    gate.reached_by(15).await;
    other.reached().await;
    drop(left);

    // As long as a client that has left may take to come back.
    world
        .anthropic
        .push(Turn::call_only("*echo", r#"{"text":"hi"}"#));
    let mut held = sent(asking(&world, "Two", false)).await;
    let question = queue.pending(1).await.remove(0);
    let mut got = kept_alive(&mut held).await;
    // There is a place for the last one now. All that follows takes longer than to begin it.
    other.release();
    wait::until_true("the first one to end", || {
        world.scenario.mcp.finished("server_info") == 1
    })
    .await;
    world.anthropic.then(|_| Turn::text("Done."));
    queue.approve(&question.id).await.unwrap();
    got.extend_from_slice(&held.bytes().await.unwrap());
    lint::messages(&got).unwrap();
    assert_eq!(world.scenario.mcp.executions("slow"), 15);
    gate.release();

    world.anthropic.then(|_| Turn::text("Done."));
    let back = sent(asking(&world, "One", true)).await;
    let message = lint::messages(&back.bytes().await.unwrap()).unwrap();
    assert_eq!(message["stop_reason"], "end_turn", "{message}");
    assert_eq!(world.scenario.mcp.executions("slow"), 16);
    world.anthropic.assert_content();
    world.scenario.finish().await;
}
