//! What one answer may take, of time, room and calls at once, and how it ends where that is not enough.

use mcpbridge_tests::ai::Turn;
use mcpbridge_tests::queue::Queue;
use mcpbridge_tests::{Gate, wait};
use serde_json::{Value, json};

use crate::ai_loop::{crash, request};
use crate::ai_pass::{World, error_of, sent};

const MIB: usize = 1024 * 1024;

fn echo(number: usize) -> String {
    format!(r#"{{"text":"{number}"}}"#)
}

/// What the model was told of its calls in the last request.
fn told(world: &World) -> Vec<String> {
    let last = world.openai.turns().pop().unwrap().json();
    let outputs = last["input"].as_array().unwrap().iter();
    let outputs = outputs.filter(|item| item["type"] == "function_call_output");
    outputs
        .map(|item| item["output"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn of_many_calls_some_run_at_a_time_and_each_result_is_kept_at_once() {
    let mut world = World::start().await;
    world.scenario.add_open("demo", "ask").await;
    let calls = (0..17).fold(Turn::new(), |turn, number| {
        turn.call("*echo", &echo(number))
    });
    world.openai.push(calls);
    world.openai.push(Turn::text("Done."));
    let body = request("never", false);
    let ask = |world: &World| world.post("/openai/v1/responses").json(&body);
    let first = tokio::spawn(ask(&world).send());
    let queue = Queue::of(&world.scenario.home).await;
    let asked = queue.pending(16).await;
    // The last one begins when another has ended, and that is on the disk by then.
    let third = asked.iter().find(|one| one.arguments.contains("\"3\""));
    queue.approve(&third.unwrap().id).await.unwrap();
    let left = queue.pending(16).await;
    assert!(left.iter().any(|one| one.arguments.contains("\"16\"")));
    crash(&mut world, first).await;

    let again = ask(&world).header("x-stainless-retry-count", "1");
    let again = tokio::spawn(again.send());
    let queue = Queue::of(&world.scenario.home).await;
    for question in queue.pending(16).await {
        queue.approve(&question.id).await.unwrap();
    }
    let again = wait::within("the answer", again).await.unwrap().unwrap();
    let object: Value = again.json().await.unwrap();
    let outputs = object["output"].as_array().unwrap()[1..18].iter();
    let shown: Vec<_> = outputs
        .map(|item| item["output"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (0..17).map(echo).collect();
    assert_eq!(shown, expected);
    assert_eq!(told(&world), expected, "in the order of the model");
    assert_eq!(world.scenario.mcp.executions("echo"), 17);
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn results_that_are_too_large_together_are_left_out_and_the_model_is_told() {
    let world = World::with(|_, ai| ai["max_result_bytes"] = json!(10 * MIB)).await;
    world.scenario.add_open("demo", "allow").await;
    let big = r#"{"bytes":9000000}"#;
    let calls = Turn::new().call("*big", big).call("*big", big);
    world.openai.push(calls.call("*big", big));
    world.openai.push(Turn::text("Done."));
    let mut body = request("never", false);
    body["input"] = json!("x".repeat(16_000_000));
    let asked = world.post("/openai/v1/responses").json(&body);
    let object: Value = sent(asked).await.json().await.unwrap();
    assert_eq!(object["status"], "completed", "{}", object["error"]);
    let mut told = told(&world);
    told.sort_by_key(String::len);
    assert!(told[0].contains("together"), "{}", told[0]);
    assert!(told[0].len() < 1000 && told[1].len() == 9_000_000 && told[2].len() == 9_000_000);
    assert_eq!(world.scenario.mcp.executions("big"), 3);
    // All of it together is too large to be kept, which is no reason to withhold it.
    let mut next = request("never", false);
    next["previous_response_id"] = object["id"].clone();
    let next = world.post("/openai/v1/responses").json(&next);
    let (status, message) = error_of("openai", sent(next).await).await;
    assert_eq!(status, 400, "{message}");
    assert!(message.contains("whole history"), "{message}");
    world.openai.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn an_answer_of_a_model_that_has_no_end_is_cut() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let comment = format!(": {}\n\n", "x".repeat(MIB));
    let comments: Vec<&str> = (0..65).map(|_| comment.as_str()).collect();
    world.openai.push(Turn::frames(&comments));
    let asked = world
        .post("/openai/v1/responses")
        .json(&request("never", true));
    let (status, message) = error_of("openai", sent(asked).await).await;
    assert_eq!(status, 502, "{message}");
    assert!(message.contains("too large"), "{message}");
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_vendor_that_never_begins_to_answer_does_not_hold_the_run() {
    let world = World::with(|_, ai| ai["max_seconds"] = json!(1)).await;
    world.scenario.add_open("demo", "allow").await;
    let never = Gate::new();
    for stream in [true, false] {
        world.openai.push(Turn::text("Hi.").held(&never));
        let asked = world
            .post("/openai/v1/responses")
            .json(&request("never", stream));
        let (status, message) = error_of("openai", sent(asked).await).await;
        assert_eq!(status, 504, "{message}");
        assert!(message.contains("ai.max_seconds"), "{message}");
    }
    never.release();
    world.scenario.finish().await;
}
