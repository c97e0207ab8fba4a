//! Clients of the Responses API, with a model of the other vendor.

use mcpbridge_tests::ai::Turn;
use serde_json::{Value, json};

use super::{answer, kinds, request};
use crate::ai_pass::World;

const ARGUMENTS: &str = r#"{"z":1.0,"a":"\u00e9","n":[ ]}"#;

/// A daemon that holds the key of the other vendor, and what to present to it.
async fn world() -> (World, String) {
    let world = World::with(|_, ai| ai["models"] = json!({ "claude-*": "anthropic" })).await;
    world.scenario.add_open("demo", "allow").await;
    let arguments = ["key", "set", "anthropic", "--stdin"];
    let set = world
        .scenario
        .ctl
        .run_with_input(&arguments, world.anthropic.key())
        .await;
    set.success();
    let token = world.scenario.client_token("agent").await;
    (world, token)
}

async fn asked(world: &World, token: &str, body: &Value) -> Value {
    let request = world
        .request(reqwest::Method::POST, "/openai/v1/responses")
        .bearer_auth(token);
    let response = crate::ai_pass::sent(request.json(body)).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    match body["stream"] == true {
        true => mcpbridge_tests::ai::lint::responses(text.as_bytes()).unwrap(),
        false => serde_json::from_str(&text).unwrap(),
    }
}

#[tokio::test]
async fn a_model_of_the_other_vendor_is_told_the_same_with_the_same_bytes() {
    let (mut world, token) = world().await;
    for way in ["chained", "resent"] {
        let mut body = request(
            &world,
            &json!("never"),
            json!([{ "role": "user", "content": "hi" }]),
        );
        body["model"] = json!("claude-test");
        body["reasoning"] = json!({ "effort": "high", "summary": "auto" });
        body["max_output_tokens"] = json!(20_000);
        let before = world.anthropic.turns().len();
        for number in 0..3 {
            body["stream"] = json!(number % 2 == 0);
            let calls = Turn::new()
                .thinking("Hm.")
                .call("*echo", ARGUMENTS)
                .call("*server_info", "{}");
            world.anthropic.push(calls);
            world
                .anthropic
                .push(Turn::new().thinking("So.").and_text("Done."));
            let done = asked(&world, &token, &body).await;
            let expected = ["reasoning", "mcp_call", "mcp_call", "reasoning", "message"];
            let listed = usize::from(number == 0);
            assert_eq!(kinds(&done)[listed..], expected, "{done}");
            assert_eq!(done["status"], "completed");
            let more = json!({ "role": "user", "content": "more" });
            if way == "chained" {
                body["previous_response_id"] = done["id"].clone();
                body["input"] = json!([more]);
            } else {
                let input = body["input"].as_array_mut().unwrap();
                input.extend(done["output"].as_array().unwrap().iter().cloned());
                input.push(more);
            }
            world.scenario.daemon.restart().await;
        }
        let turns = world.anthropic.turns();
        for pair in turns[before..].windows(2) {
            pair[1].assert_continues(&pair[0]);
        }
        assert_eq!(turns.len() - before, 6);
    }
    world.anthropic.assert_content();
    assert!(world.openai.turns().is_empty());
    world.scenario.finish().await;
}

#[tokio::test]
async fn without_any_server_a_model_of_the_other_vendor_answers_too() {
    let (world, token) = world().await;
    for stream in [true, false] {
        world.anthropic.push(Turn::text("Hello."));
        let body = json!({ "model": "claude-test", "input": "hi", "stream": stream });
        let done = asked(&world, &token, &body).await;
        assert_eq!(kinds(&done), ["message"]);
        assert_eq!(done["output"][0]["content"][0]["text"], "Hello.");
    }
    world.anthropic.assert_content();
    // And the other way the model's own vendor gets what it understands.
    world.openai.push(Turn::new().call("*echo", ARGUMENTS));
    world.openai.push(Turn::text("Done."));
    let done = answer(&world, &request(&world, &json!("never"), json!("hi"))).await;
    assert_eq!(done["status"], "completed");
    world.scenario.finish().await;
}
