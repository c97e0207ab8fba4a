//! A model and the MCP server whose tool it calls. Both answer at once.
//!
//! The model does what the conversation says: `calls=N` calls of the tool it is offered, one after the other, and then
//! `Done.`, or with `endless` text without end.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::message::Connection;

/// Between two pieces of text of an endless answer.
const PACE: Duration = Duration::from_millis(20);
const RESULT_BYTES: usize = 1_000;

/// The MCP server: one tool, in the form before 2026-07-28.
pub(crate) async fn call_tool(connection: &mut Connection, body: &[u8]) -> Result<()> {
    let (status, body) = result(&serde_json::from_slice(body)?);
    let length = body.len();
    let message = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    Ok(connection.send(message.as_bytes()).await?)
}

fn result(message: &Value) -> (&'static str, String) {
    let Some(id) = message.get("id") else {
        return ("202 Accepted", String::new());
    };
    let result = match message["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "bench", "version": "1" },
        }),
        Some("tools/list") => json!({ "tools": [{
            "name": "echo", "description": "Says it again.",
            "inputSchema": { "type": "object", "properties": { "text": { "type": "string" } } },
        }] }),
        Some("tools/call") => json!({
            "content": [{ "type": "text", "text": "x".repeat(RESULT_BYTES) }], "isError": false,
        }),
        _ => {
            let error = json!({ "code": -32601, "message": "Method not found" });
            let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
            return ("200 OK", answer.to_string());
        }
    };
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    ("200 OK", answer.to_string())
}

/// A request to the model, as far as it says what to do.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    input: &'a RawValue,
    tools: Vec<Tool>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
}

pub(crate) async fn speak(connection: &mut Connection, body: &[u8]) -> Result<()> {
    let asked: Asked<'_> = serde_json::from_slice(body)?;
    let input = asked.input.get();
    let wanted = input.split("calls=").nth(1);
    let wanted = wanted.and_then(|rest| rest.split(' ').next());
    let wanted: usize = wanted.context("a conversation without calls=N")?.parse()?;
    let made = input.matches("\"function_call_output\"").count();
    let mut events =
        vec![json!({ "type": "response.created", "response": response("in_progress", &[]) })];
    if made < wanted {
        let tool = asked.tools.first().context("a request without tools")?;
        events.extend(item(&json!({
            "id": format!("fc_{made}"), "type": "function_call", "status": "completed", "name": tool.name,
            "call_id": format!("call_{made}"), "arguments": "{\"text\":\"hello\"}",
        })));
    } else if input.contains("endless") {
        return speak_on(connection, &events).await;
    } else {
        events.extend(item(&message("Done.")));
    }
    connection.send(&stream(&events)).await?;
    Ok(connection.send(b"0\r\n\r\n").await?)
}

fn message(text: &str) -> Value {
    let content = json!([{ "type": "output_text", "text": text, "annotations": [] }]);
    json!({ "id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content })
}

/// A whole item and the end of the answer.
fn item(item: &Value) -> [Value; 3] {
    [
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item }),
        json!({ "type": "response.output_item.done", "output_index": 0, "item": item }),
        json!({ "type": "response.completed", "response": response("completed", std::slice::from_ref(item)) }),
    ]
}

fn response(status: &str, output: &[Value]) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1, "status": status, "model": "gpt-bench",
        "output": output, "usage": { "input_tokens": 1, "output_tokens": 1, "total_tokens": 2 },
    })
}

/// Text until the peer has gone.
async fn speak_on(connection: &mut Connection, begun: &[Value]) -> Result<()> {
    let added =
        json!({ "type": "response.output_item.added", "output_index": 0, "item": message("") });
    connection.send(&stream(begun)).await?;
    connection.send(&chunk(&added)).await?;
    let delta = json!({
        "type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "msg_1",
        "delta": " and so on",
    });
    let delta = chunk(&delta);
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pace.tick().await;
        connection.send(&delta).await?;
    }
}

fn stream(events: &[Value]) -> Vec<u8> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = events.iter().flat_map(chunk);
    head.bytes().chain(chunks).collect()
}

fn chunk(event: &Value) -> Vec<u8> {
    let kind = event["type"].as_str().unwrap_or_default();
    let frame = format!("event: {kind}\ndata: {event}\n\n");
    format!("{:x}\r\n{frame}\r\n", frame.len()).into_bytes()
}
