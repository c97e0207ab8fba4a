//! Clients of the Responses API: approvals, the transcript behind them, failures, and kept answers.

mod approvals;
mod failures;
mod foreign;
mod kept;
mod names;
mod prefix;

use mcpbridge_tests::ai::{Seen, lint};
use reqwest::Method;
use serde_json::{Value, json};

use crate::ai_pass::{World, sent};

/// A daemon with the server `demo`, all of whose tools are under one rule.
async fn world(effect: &str) -> World {
    let world = World::start().await;
    world.scenario.add_open("demo", effect).await;
    world
}

fn demo(world: &World, approval: &Value) -> Value {
    json!({
        "type": "mcp", "server_label": "demo", "server_url": world.scenario.daemon.mcp_url("demo"),
        "require_approval": approval,
    })
}

fn request(world: &World, approval: &Value, input: Value) -> Value {
    json!({ "model": "gpt-test", "input": input, "tools": [demo(world, approval)] })
}

/// The answer to `body`, streamed as it asks, after a look at every event and at what SDKs reject.
async fn answer(world: &World, body: &Value) -> Value {
    let response = sent(world.post("/openai/v1/responses").json(body)).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    let object: Value = match body["stream"] == true {
        true => lint::responses(text.as_bytes()).unwrap(),
        false => serde_json::from_str(&text).unwrap(),
    };
    lint::policy(body, &object).unwrap();
    object
}

/// Status and error of a request that is refused.
async fn refused(world: &World, body: &Value) -> (u16, Value) {
    let response = sent(world.post("/openai/v1/responses").json(body)).await;
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["error"].clone())
}

async fn get(world: &World, method: Method, path: &str) -> (u16, Value) {
    let request = world.request(method, path).bearer_auth(world.openai.key());
    let response = sent(request).await;
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

fn output(object: &Value) -> &[Value] {
    object["output"].as_array().unwrap()
}

/// The types of the items of an answer.
fn kinds(object: &Value) -> Vec<&str> {
    let kinds = output(object)
        .iter()
        .map(|item| item["type"].as_str().unwrap());
    kinds.collect()
}

fn of_kind<'a>(object: &'a Value, kind: &str) -> Vec<&'a Value> {
    output(object)
        .iter()
        .filter(|item| item["type"] == kind)
        .collect()
}

/// What the model was told of its calls in the last request.
fn told(world: &World) -> Vec<Value> {
    let last = world.openai.turns().pop().unwrap().json();
    let items = last["input"].as_array().unwrap().clone();
    let outputs = items
        .into_iter()
        .filter(|item| item["type"] == "function_call_output");
    outputs.map(|item| item["output"].clone()).collect()
}

fn turns(world: &World) -> Vec<Seen> {
    world.openai.turns()
}
