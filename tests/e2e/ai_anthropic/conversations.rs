//! Several requests of one conversation.

use mcpbridge_tests::Fault;
use mcpbridge_tests::ai::Turn;
use mcpbridge_tests::mcp::Endpoint;
use serde_json::{Value, json};

use super::{
    BETA_2025, BETA_2026, BETA_OLD, answer, assert_one_conversation, kinds, request, rewritten,
    user,
};
use crate::ai_pass::World;

/// Every result has an image, too, which no client ever sees.
fn show_images(world: &World) {
    let image = json!({ "type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo=" });
    let add = move |answer: &mut Value| {
        if let Some(content) = answer["result"]["content"].as_array_mut() {
            content.push(image.clone());
        }
    };
    world
        .scenario
        .mcp
        .script()
        .always(Endpoint::Mcp, Fault::edit_json(add));
}

/// Two calls at once, one more, and an answer; all with thinking that the vendor signs.
fn script(world: &World) {
    let turn = Turn::new().thinking("First.").and_text("Let me \u{e4}sk.");
    let turn = turn.call(
        "*echo",
        r#"{ "z": 1.0, "a": "\u00e4", "big": 12345678901234567890123, "n": null }"#,
    );
    world
        .anthropic
        .push(turn.call("*server_info", "").without_deltas());
    let turn = Turn::new()
        .redacted_thinking()
        .call("*echo", r#"{"e":1e2}"#);
    world.anthropic.push(turn);
    world
        .anthropic
        .push(Turn::new().thinking("").and_text("Done."));
}

#[tokio::test]
async fn five_turns_repeat_every_byte_across_restarts() {
    for beta in [BETA_OLD, BETA_2025, BETA_2026] {
        let mut world = World::start().await;
        world.scenario.add_open("demo", "allow").await;
        show_images(&world);
        let mut messages = Vec::new();
        for round in 0..5 {
            script(&world);
            messages.push(user(&format!("Question {round}")));
            let stream = round % 2 == 0;
            let asked = request(beta, &Value::from(messages.clone()), stream);
            let message = answer(&world, beta, &asked).await;
            let shown = kinds(&message);
            assert_eq!(
                shown.contains(&"mcp_tool_listing"),
                beta == BETA_2026 && round == 0
            );
            assert_eq!(
                shown
                    .iter()
                    .filter(|kind| **kind == "mcp_tool_result")
                    .count(),
                3
            );
            let content = match round % 2 {
                0 => message["content"].clone(),
                _ => rewritten(message["content"].clone()),
            };
            messages.push(json!({ "role": "assistant", "content": content }));
            if round == 1 || round == 3 {
                world.scenario.daemon.restart().await;
            }
            if round == 2 {
                // What the server has now is for conversations that begin now.
                world.scenario.mcp.offer(|offer| offer.tools.truncate(3));
            }
        }
        let turns = world.anthropic.turns();
        assert_eq!(turns.len(), 15);
        assert_one_conversation(&turns);
        let last = turns.last().unwrap().raw("messages").unwrap();
        assert_eq!(last.matches("iVBORw0KGgo=").count(), 15);
        assert!(last.contains(r#""z":1.0"#) && last.contains("12345678901234567890123"));
        world.anthropic.assert_content();
        world.scenario.finish().await;
    }
}

/// Compatible vendors may count their calls from 0 in every turn.
#[tokio::test]
async fn calls_of_one_answer_that_a_vendor_gives_one_id_stay_apart() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    for text in ["one", "two"] {
        let arguments = json!({ "text": text }).to_string();
        let turn = Turn::new().thinking("Hm.").call("*echo", &arguments);
        world.anthropic.push(turn.with_id("toolu_0"));
    }
    world.anthropic.push(Turn::text("Done."));
    let asked = request(BETA_2025, &json!([user("Go")]), true);
    let message = answer(&world, BETA_2025, &asked).await;
    let content = message["content"].as_array().unwrap().iter();
    let calls = content.filter(|block| block["type"] == "mcp_tool_use");
    let ids: Vec<&Value> = calls.map(|call| &call["id"]).collect();
    assert_eq!(json!(ids), json!(["mcptoolu_0", "mcptoolu_0_2"]));
    world.anthropic.push(Turn::text("Bye."));
    let returned = rewritten(message["content"].clone());
    let messages = json!([user("Go"), { "role": "assistant", "content": returned }, user("And?")]);
    answer(&world, BETA_2025, &request(BETA_2025, &messages, false)).await;
    assert_one_conversation(&world.anthropic.turns());
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

/// They may also count them from 0 in every conversation.
#[tokio::test]
async fn calls_of_two_conversations_that_a_vendor_gives_one_id_stay_apart() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    let mut conversations = Vec::new();
    for tool in ["*echo", "*server_info"] {
        let turn = Turn::call_only(tool, "{}").with_id("toolu_0");
        world.anthropic.push(turn);
        world.anthropic.push(Turn::text("Done."));
        let asked = request(BETA_2025, &json!([user(tool)]), false);
        let message = answer(&world, BETA_2025, &asked).await;
        let said = json!({ "role": "assistant", "content": message["content"] });
        let before = world.anthropic.turns().pop().unwrap();
        conversations.push((json!([user(tool), said, user("And?")]), before));
    }
    for (messages, before) in conversations {
        world.anthropic.push(Turn::text("Bye."));
        answer(&world, BETA_2025, &request(BETA_2025, &messages, false)).await;
        let now = world.anthropic.turns().pop().unwrap();
        now.assert_continues(&before);
    }
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_pause_at_the_cap_is_gone_on_from() {
    let world = World::with(|_, ai| ai["max_rounds"] = json!(2)).await;
    world.scenario.add_open("demo", "allow").await;
    let mut messages = vec![user("Go")];
    for (round, ends) in ["pause_turn", "pause_turn", "end_turn"]
        .into_iter()
        .enumerate()
    {
        for _ in 0..2 {
            let turn = match ends {
                "end_turn" => Turn::text("Done."),
                _ => Turn::new().thinking("More.").call("*echo", r#"{"n":1.0}"#),
            };
            world.anthropic.push(turn);
            if ends == "end_turn" {
                break;
            }
        }
        let asked = request(BETA_2025, &Value::from(messages.clone()), round != 1);
        let message = answer(&world, BETA_2025, &asked).await;
        assert_eq!(message["stop_reason"], ends, "{message}");
        messages
            .push(json!({ "role": "assistant", "content": rewritten(message["content"].clone()) }));
    }
    assert_one_conversation(&world.anthropic.turns());
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_pause_of_the_vendor_is_gone_on_from_here() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    world
        .anthropic
        .push(Turn::new().thinking("Wait.").and_text("Wait.").pause_turn());
    world
        .anthropic
        .push(Turn::new().thinking("Now.").call("*echo", "{}"));
    world.anthropic.push(Turn::text("Done."));
    let asked = request(BETA_2025, &json!([user("Go")]), true);
    let message = answer(&world, BETA_2025, &asked).await;
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(
        kinds(&message),
        [
            "thinking",
            "text",
            "thinking",
            "mcp_tool_use",
            "mcp_tool_result",
            "text"
        ]
    );
    world.anthropic.push(Turn::text("Again."));
    let returned = rewritten(message["content"].clone());
    let messages = json!([user("Go"), { "role": "assistant", "content": returned }, user("And?")]);
    answer(&world, BETA_2025, &request(BETA_2025, &messages, false)).await;
    let turns = world.anthropic.turns();
    turns[3].assert_continues(&turns[2]);
    world.anthropic.assert_content();
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_name_that_nobody_offered_is_told_to_the_model_alone() {
    let world = World::start().await;
    world.scenario.add_open("demo", "allow").await;
    world
        .anthropic
        .push(Turn::new().thinking("Hm.").call("demo__nothing", "{}"));
    world
        .anthropic
        .push(Turn::new().thinking("Oh.").call("*echo", r#"{"n":1.0}"#));
    world.anthropic.push(Turn::text("Done."));
    let asked = request(BETA_2025, &json!([user("Go")]), true);
    let message = answer(&world, BETA_2025, &asked).await;
    assert!(!message.to_string().contains("nothing"), "{message}");
    world.anthropic.push(Turn::text("Again."));
    let returned = rewritten(message["content"].clone());
    let messages = json!([user("Go"), { "role": "assistant", "content": returned }, user("And?")]);
    answer(&world, BETA_2025, &request(BETA_2025, &messages, false)).await;
    assert_one_conversation(&world.anthropic.turns());
    world.anthropic.assert_content();
    world.scenario.finish().await;
}
