//! The Messages API with MCP servers that are executed here, against a vendor that is as strict as the
//! real one: it refuses calls without results, and thinking whose prefix has changed.

mod answers;
mod conversations;
mod failures;
mod foreign;
mod held;

use mcpbridge_tests::ai::{Seen, lint};
use reqwest::RequestBuilder;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::ai_pass::{World, sent};

const VERSION: &str = "2023-06-01";
const BETA_OLD: &str = "mcp-client-2025-04-04";
const BETA_2025: &str = "mcp-client-2025-11-20";
const BETA_2026: &str = "mcp-client-2026-09-15";

/// A request with the server `demo` and the client's own function `mine`.
fn request(beta: &str, messages: &Value, stream: bool) -> Value {
    with_servers(beta, &["demo"], messages, stream)
}

fn with_servers(beta: &str, names: &[&str], messages: &Value, stream: bool) -> Value {
    let servers = names.iter().map(|name| {
        let url = format!("http://localhost:3000/mcp/{name}");
        json!({ "type": "url", "name": name, "url": url, "authorization_token": "unused" })
    });
    let mine = json!({ "name": "mine", "input_schema": { "type": "object" } });
    let mut tools = vec![mine];
    if beta != BETA_OLD {
        let set = |name| json!({ "type": "mcp_toolset", "mcp_server_name": name });
        tools.extend(names.iter().map(set));
    }
    json!({
        "model": "claude-test", "max_tokens": 4000, "stream": stream,
        "thinking": { "type": "enabled", "budget_tokens": 1024 },
        "mcp_servers": servers.collect::<Vec<_>>(), "tools": tools, "messages": messages,
    })
}

/// The daemon's own port, where a request means that.
fn at_port(world: &World, body: &Value) -> String {
    let port = world.scenario.daemon.port();
    let own = format!("http://localhost:{port}/");
    body.to_string().replace("http://localhost:3000/", &own)
}

/// Status and message; of a stream what it adds up to, after a look at every event.
async fn ask(world: &World, beta: &str, body: &Value) -> (u16, Value) {
    let request = world.post("/anthropic/v1/messages?beta=true");
    ask_by(world, request, beta, body).await
}

fn ready(world: &World, request: RequestBuilder, beta: &str, body: &Value) -> RequestBuilder {
    let request = request.header("anthropic-beta", format!("files-api-2025-04-14,{beta}"));
    let request = request.header("anthropic-version", VERSION);
    let request = request.header(CONTENT_TYPE, "application/json");
    request.body(at_port(world, body))
}

async fn ask_by(world: &World, request: RequestBuilder, beta: &str, body: &Value) -> (u16, Value) {
    let response = sent(ready(world, request, beta, body)).await;
    let status = response.status().as_u16();
    let kind = response.headers()[CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    let bytes = response.bytes().await.unwrap();
    let message = match kind.starts_with("text/event-stream") {
        true => lint::messages(&bytes).unwrap_or_else(|findings| {
            panic!("{findings:#?}\n{}", String::from_utf8_lossy(&bytes))
        }),
        false => serde_json::from_slice(&bytes).unwrap(),
    };
    (status, message)
}

/// The message of an answer that came.
async fn answer(world: &World, beta: &str, body: &Value) -> Value {
    let (status, message) = ask(world, beta, body).await;
    assert_eq!(status, 200, "{message}");
    assert_eq!(message["type"], "message", "{message}");
    message
}

fn kinds(message: &Value) -> Vec<&str> {
    let blocks = message["content"].as_array().unwrap().iter();
    blocks
        .map(|block| block["type"].as_str().unwrap())
        .collect()
}

fn block<'a>(message: &'a Value, kind: &str) -> &'a Value {
    let mut blocks = message["content"].as_array().unwrap().iter();
    blocks.find(|block| block["type"] == kind).unwrap()
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

/// Each request repeats the one before it, byte for byte, and says more.
fn assert_one_conversation(turns: &[Seen]) {
    for pair in turns.windows(2) {
        pair[1].assert_continues(&pair[0]);
    }
}

/// `value` as a client writes it that has floats only, keeps no null and orders members its own way.
fn rewritten(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members
                .into_iter()
                .filter(|(_, it)| !it.is_null())
                .collect();
            members.sort_by(|(a, _), (b, _)| b.cmp(a));
            let again = |(key, it)| (key, rewritten(it));
            members.into_iter().map(again).collect()
        }
        Value::Array(all) => all.into_iter().map(rewritten).collect(),
        #[expect(clippy::cast_possible_truncation, reason = "as JavaScript writes it")]
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => Value::from(float as i64),
            Some(float) => Value::from(float),
            None => Value::Number(number),
        },
        other => other,
    }
}
