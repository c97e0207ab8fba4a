//! A program that speaks Messages, and a model of the other vendor.

use mcpbridge_tests::ai::Turn;
use serde_json::{Value, json};

use super::{BETA_2025, ask_by, kinds, request, rewritten, user};
use crate::ai_keys::{set_key, token};
use crate::ai_pass::World;

#[tokio::test]
async fn a_model_of_the_other_vendor_answers_in_this_language() {
    let mut world = World::with(|_, ai| ai["models"] = json!({ "gpt-*": "openai" })).await;
    world.scenario.add_open("demo", "allow").await;
    set_key(&world, "openai", world.openai.key()).await;
    let token = token(&world, "agent").await;
    let mut messages = vec![user("Go")];
    for round in 0..3 {
        let turn = Turn::new().thinking("Hm.").call("*echo", r#"{"n":1.0}"#);
        world.openai.push(turn.call("*server_info", ""));
        world
            .openai
            .push(Turn::new().thinking("So.").and_text("Done."));
        let mut asked = request(BETA_2025, &Value::from(messages.clone()), round % 2 == 0);
        asked["model"] = json!("gpt-test");
        asked["tools"][0]["input_schema"]["properties"] = json!({});
        let post = world.request(reqwest::Method::POST, "/anthropic/v1/messages");
        let post = post.header("x-api-key", &token);
        let (status, message) = ask_by(&world, post, BETA_2025, &asked).await;
        assert_eq!(status, 200, "{message}");
        let expected = [
            "thinking",
            "mcp_tool_use",
            "mcp_tool_use",
            "mcp_tool_result",
            "mcp_tool_result",
            "thinking",
            "text",
        ];
        assert_eq!(kinds(&message), expected, "{message}");
        assert_eq!(message["stop_reason"], "end_turn");
        let returned = rewritten(message["content"].clone());
        messages.push(json!({ "role": "assistant", "content": returned }));
        messages.push(user("And?"));
        world.scenario.daemon.restart().await;
    }
    let turns = world.openai.turns();
    for pair in turns.windows(2) {
        pair[1].assert_continues(&pair[0]);
    }
    assert!(world.anthropic.requests().is_empty());
    world.openai.assert_content();
    world.scenario.finish().await;
}
