//! What the model was told once, it is told again with the same bytes.

use std::collections::HashSet;

use mcpbridge_tests::Fault;
use mcpbridge_tests::ai::Turn;
use mcpbridge_tests::mcp::Endpoint;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{answer, kinds, turns, world};
use crate::ai_pass::{World, sent};

/// As nobody's serializer writes it.
const ODD: &str = r#"{ "role":"user","content":[{"type":"input_text", "text":"\u00e9 1.0"},{"type":"input_image","image_url":"data:image/png;base64,QUJD","detail":"auto"}],"zeta":1.0}"#;
const ARGUMENTS: &str =
    r#"{"z":1.0,"a":"\u00e9\/","n":1234567890123456789012,"k":{"b":1,"a":[ ]}}"#;

fn script(world: &World, number: usize) {
    let first = Turn::new()
        .thinking("Hm.")
        .call("*echo", ARGUMENTS)
        .call("*server_info", "");
    let second = Turn::new()
        .thinking("Well.")
        .call("*hello_world", r#"{"name":"B\u00f6"}"#);
    world.openai.push(first);
    world.openai.push(second);
    world.openai.push(
        Turn::new()
            .thinking("So.")
            .and_text(&format!("Answer {number} \u{e9} \"1.0\"")),
    );
}

/// Results of `server_info` are pictures.
fn with_pictures(world: &World) {
    let change = |answer: &mut Value| {
        let content = &mut answer["result"]["content"];
        if content[0]["text"] == "mcpbridge demo server 1.0" {
            *content = json!([{ "type": "text", "text": "see" }, { "type": "image", "data": "QUJD", "mimeType": "image/png" }]);
        }
    };
    world
        .scenario
        .mcp
        .script()
        .always(Endpoint::Mcp, Fault::edit_json(change));
}

fn body(world: &World, input: &str, more: &str) -> String {
    let url = world.scenario.daemon.mcp_url("demo");
    format!(
        r#"{{ "input":[{input}] ,"tools":[{{"type":"mcp","server_label":"demo","server_url":"{url}","require_approval":"never"}}],"model":"gpt-test"{more}}}"#
    )
}

async fn ask(world: &World, body: String) -> Value {
    let request = world
        .post("/openai/v1/responses")
        .header(CONTENT_TYPE, "application/json");
    let response = sent(request.body(body)).await;
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// Every request of the model's begins as the one before it.
fn assert_stable(world: &World, requests: usize) {
    let turns = turns(world);
    assert_eq!(turns.len(), requests);
    for pair in turns.windows(2) {
        pair[1].assert_continues(&pair[0]);
    }
    world.openai.assert_content();
}

#[tokio::test]
async fn five_turns_by_previous_response_id_across_restarts() {
    let mut world = world("allow").await;
    with_pictures(&world);
    let mut previous = String::new();
    for number in 0..5 {
        script(&world, number);
        let done = ask(&world, body(&world, ODD, &previous)).await;
        let listed = usize::from(number == 0);
        assert_eq!(kinds(&done).len(), 7 + listed, "{done}");
        previous = format!(r#","previous_response_id":{}"#, done["id"]);
        world.scenario.daemon.restart().await;
    }
    assert_stable(&world, 15);
    world.scenario.finish().await;
}

#[tokio::test]
async fn five_turns_by_resent_items_across_restarts() {
    let mut world = world("allow").await;
    with_pictures(&world);
    let mut input = ODD.to_owned();
    for number in 0..5 {
        script(&world, number);
        let done = ask(&world, body(&world, &input, r#","store":false"#)).await;
        for item in done["output"].as_array().unwrap() {
            let mut item = item.clone();
            // As one of the SDKs sends it back.
            if item["type"] == "mcp_call" {
                item.as_object_mut().unwrap().remove("output");
            }
            input = format!("{input},{item}");
        }
        input = format!("{input},{ODD}");
        world.scenario.daemon.restart().await;
    }
    assert_stable(&world, 15);
    world.scenario.finish().await;
}

#[tokio::test]
async fn a_conversation_that_nobody_remembers_goes_on_from_its_items() {
    let world = world("allow").await;
    let mut body = super::request(
        &world,
        &json!("never"),
        json!([{ "role": "user", "content": "hi" }]),
    );
    script(&world, 0);
    let first = answer(&world, &body).await;
    let mut input = body["input"].as_array().unwrap().clone();
    input.extend(first["output"].as_array().unwrap().iter().cloned());
    input.push(json!({ "role": "user", "content": "more" }));
    body["input"] = json!(input);
    world.openai.push(Turn::text("Done."));
    // Another key has no part in what was kept for the first one.
    let stranger = self::World::start().await;
    stranger.scenario.add_open("demo", "allow").await;
    stranger.openai.push(Turn::text("Done."));
    body["tools"][0]["server_url"] = json!("mcp://demo");
    let done = answer(&stranger, &body).await;
    assert_eq!(kinds(&done), ["message"]);
    let before = turns(&world).pop().unwrap();
    turns(&stranger)[0].assert_continues(&before);
    world.scenario.finish().await;
    stranger.scenario.finish().await;
}

/// Some vendors count their calls from 0 in every turn.
#[tokio::test]
async fn calls_of_one_answer_that_a_vendor_gives_one_id_stay_apart() {
    let world = world("allow").await;
    let call = |text: &str| {
        let arguments = json!({ "text": text }).to_string();
        Turn::call_only("*echo", &arguments).with_id("call_0")
    };
    for text in ["one", "two", "three"] {
        world.openai.push(call(text));
    }
    world.openai.push(Turn::text("Done."));
    let mut input = vec![json!({ "role": "user", "content": "hi" })];
    let mut body = super::request(&world, &json!("never"), json!(input));
    body["stream"] = json!(true);
    let done = answer(&world, &body).await;
    let calls = super::of_kind(&done, "mcp_call");
    let ids: HashSet<&str> = calls
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert_eq!((calls.len(), ids.len()), (3, 3), "{done}");
    let outputs: Vec<&Value> = calls.iter().map(|call| &call["output"]).collect();
    let expected = ["one", "two", "three"].map(|text| json!({ "text": text }).to_string());
    assert_eq!(json!(outputs), json!(expected));

    let before = turns(&world).pop().unwrap();
    input.extend(done["output"].as_array().unwrap().iter().cloned());
    input.push(json!({ "role": "user", "content": "more" }));
    body["input"] = json!(input);
    world.openai.push(Turn::text("Bye."));
    answer(&world, &body).await;
    turns(&world).pop().unwrap().assert_continues(&before);
    world.openai.assert_content();
    world.scenario.finish().await;
}
