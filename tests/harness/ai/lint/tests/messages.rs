use serde_json::{Value, json};

use super::{Change, rejects, stream};
use crate::ai::lint::messages;

/// A listing, two parallel calls with their results, thinking, text and a call for the client.
fn turn() -> Vec<Value> {
    let listing = json!({ "type": "mcp_tool_listing", "mcp_server_name": "s",
                          "tools": [{ "name": "echo", "input_schema": { "type": "object" } }] });
    let mut events = vec![json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null,
        "stop_sequence": null, "usage": { "input_tokens": 3, "output_tokens": 1 },
    } })];
    let mut index = 0;
    let mut block = |start: Value, deltas: &[Value]| {
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": start }));
        for delta in deltas {
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
        index += 1;
    };
    block(listing, &[]);
    for number in 1..=2 {
        let input = json!({ "n": number });
        let start = json!({ "type": "mcp_tool_use", "id": format!("mcptoolu_{number}"), "name": "echo",
                            "server_name": "s", "input": input });
        block(
            start,
            &[json!({ "type": "input_json_delta", "partial_json": input.to_string() })],
        );
    }
    for number in 1..=2 {
        let id = format!("mcptoolu_{number}");
        block(
            json!({ "type": "mcp_tool_result", "tool_use_id": id, "is_error": false,
                      "content": [{ "type": "text", "text": "ran" }] }),
            &[],
        );
    }
    block(
        json!({ "type": "thinking", "thinking": "", "signature": "" }),
        &[
            json!({ "type": "thinking_delta", "thinking": "Hm." }),
            json!({ "type": "signature_delta", "signature": "c2ln" }),
        ],
    );
    block(
        json!({ "type": "text", "text": "" }),
        &[json!({ "type": "text_delta", "text": "Done." })],
    );
    block(
        json!({ "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} }),
        &[
            json!({ "type": "input_json_delta", "partial_json": "{\"a\":" }),
            json!({ "type": "input_json_delta", "partial_json": "1.0}" }),
        ],
    );
    let counters = |input: u64, output: u64| {
        json!({
            "input_tokens": input, "output_tokens": output, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0,
        })
    };
    let mut usage = counters(5, 4);
    usage["iterations"] = json!([counters(3, 2), counters(2, 2)]);
    let delta = json!({ "stop_reason": "tool_use", "stop_sequence": null });
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    events.push(json!({ "type": "message_stop" }));
    events
}

/// The start of the first block of this type.
fn start<'a>(events: &'a mut [Value], kind: &str) -> &'a mut Value {
    let found = events
        .iter_mut()
        .find(|event| event["content_block"]["type"] == kind);
    &mut found.unwrap()["content_block"]
}

fn message_delta(events: &mut [Value]) -> &mut Value {
    events
        .iter_mut()
        .find(|event| event["type"] == "message_delta")
        .unwrap()
}

/// Moves the block at `from` to `to`, whole.
fn move_block(events: &mut Vec<Value>, from: usize, to: usize) {
    let mut blocks: Vec<Vec<Value>> = Vec::new();
    let rest = events.split_off(1);
    let (body, end) = rest.split_at(rest.len() - 2);
    for event in body {
        match event["type"].as_str() {
            Some("content_block_start") => blocks.push(vec![event.clone()]),
            _ => blocks.last_mut().unwrap().push(event.clone()),
        }
    }
    let moved = blocks.remove(from);
    blocks.insert(to, moved);
    for (index, block) in blocks.iter_mut().enumerate() {
        for event in block {
            event["index"] = json!(index);
            events.push(event.clone());
        }
    }
    events.extend_from_slice(end);
}

#[test]
fn a_sound_turn_is_accepted_and_accumulated() {
    let mut bytes = b"event: ping\ndata: {\"type\":\"ping\"}\n\n: comment\n\n".to_vec();
    bytes.extend(stream(&turn()));
    let message = messages(&bytes).unwrap();
    assert_eq!(message["content"][5]["signature"], "c2ln");
    assert_eq!(message["content"][6]["text"], "Done.");
    assert_eq!(message["content"][7]["input"], json!({ "a": 1.0 }));
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["usage"]["output_tokens"], 4);
}

#[test]
fn a_turn_may_end_with_an_error_event() {
    let error = json!({ "type": "error", "error": { "type": "overloaded_error", "message": "m" }, "request_id": "r" });
    let mut events = turn()[..3].to_vec();
    events.push(error.clone());
    assert_eq!(messages(&stream(&events)).unwrap(), error);
    events.push(json!({ "type": "message_stop" }));
    assert!(messages(&stream(&events)).unwrap_err()[0].contains("after the end"));
}

#[test]
fn every_deviation_from_the_stream_of_a_message_is_found() {
    let rows: [(&str, &str, Change); 31] = [
        ("second message_start", "a second message_start", |events| {
            events.insert(1, events[0].clone())
        }),
        ("no message_start", "before message_start", |events| {
            events.remove(0);
        }),
        (
            "content at the start",
            "message_start is incomplete",
            |events| events[0]["message"]["content"] = json!([1]),
        ),
        (
            "no usage at the start",
            "message_start is incomplete",
            |events| events[0]["message"]["usage"] = Value::Null,
        ),
        ("unknown event", "unknown event type", |events| {
            events[1]["type"] = json!("content_block_begin")
        }),
        ("index gap", "where 1 is due", |events| {
            for event in events.iter_mut().filter(|event| event["index"] == 1) {
                event["index"] = json!(9);
            }
        }),
        ("block not closed", "another block is open", |events| {
            events.remove(2);
        }),
        ("delta of another block", "is not open", |events| {
            let delta = events
                .iter()
                .position(|event| event["type"] == "content_block_delta")
                .unwrap();
            events[delta]["index"] = json!(7);
        }),
        (
            "delta of another kind",
            "a text_delta in a mcp_tool_use",
            |events| {
                let delta = events
                    .iter()
                    .position(|event| event["type"] == "content_block_delta")
                    .unwrap();
                events[delta]["delta"] = json!({ "type": "text_delta", "text": "" });
            },
        ),
        (
            "a result with deltas",
            "a text_delta in a mcp_tool_result",
            |events| {
                let at = events
                    .iter()
                    .position(|event| event["content_block"]["type"] == "mcp_tool_result")
                    .unwrap();
                let delta = json!({ "type": "text_delta", "text": "" });
                events.insert(
                    at + 1,
                    json!({ "type": "content_block_delta", "index": 3, "delta": delta }),
                );
            },
        ),
        ("invalid JSON", "is no JSON object", |events| {
            let delta = events
                .iter()
                .position(|event| event["delta"]["partial_json"] == "1.0}")
                .unwrap();
            events.remove(delta);
        }),
        ("input only in deltas", "starts with {}", |events| {
            start(events, "mcp_tool_use")["input"] = json!({})
        }),
        ("input only at the start", "streams {}", |events| {
            let delta = events
                .iter()
                .position(|event| event["type"] == "content_block_delta")
                .unwrap();
            events.remove(delta);
        }),
        ("use without server", "unsound block", |events| {
            start(events, "mcp_tool_use")["server_name"] = Value::Null
        }),
        ("use with a vendor's id", "unsound block", |events| {
            start(events, "mcp_tool_use")["id"] = json!("toolu_9")
        }),
        ("result without is_error", "unsound block", |events| {
            start(events, "mcp_tool_result")["is_error"] = Value::Null
        }),
        ("result with an image", "unsound block", |events| {
            start(events, "mcp_tool_result")["content"] = json!([{ "type": "image" }]);
        }),
        ("listing without schema", "unsound block", |events| {
            start(events, "mcp_tool_listing")["tools"] = json!([{ "name": "echo" }]);
        }),
        ("text at the start", "unsound block", |events| {
            start(events, "text")["text"] = json!("Done.")
        }),
        ("listing late", "a listing comes after", |events| {
            move_block(events, 0, 2)
        }),
        ("result before its use", "is due", |events| {
            move_block(events, 3, 1)
        }),
        ("results out of order", "is due", |events| {
            move_block(events, 3, 4)
        }),
        (
            "text between results",
            "between the results of one turn",
            |events| move_block(events, 6, 4),
        ),
        ("result missing", "no result for", |events| {
            move_block(events, 4, 7);
            let at = events
                .iter()
                .rposition(|event| event["content_block"]["type"] == "mcp_tool_result")
                .unwrap();
            events.drain(at..at + 2);
        }),
        (
            "thinking without signature",
            "thinking without signature",
            |events| {
                events.retain(|event| event["delta"]["type"] != "signature_delta");
            },
        ),
        (
            "thinking after its signature",
            "after the signature",
            |events| {
                let at = events
                    .iter()
                    .position(|event| event["delta"]["type"] == "thinking_delta")
                    .unwrap();
                events.swap(at, at + 1);
            },
        ),
        ("usage with null", "usage of message_delta", |events| {
            message_delta(events)["usage"]["cache_read_input_tokens"] = Value::Null;
        }),
        ("iterations do not add up", "add up to", |events| {
            message_delta(events)["usage"]["output_tokens"] = json!(9)
        }),
        (
            "tool_use without a client's call",
            "no tool of the client",
            |events| {
                events.retain(|event| event["index"] != 7);
            },
        ),
        (
            "no message_stop",
            "does not end with message_stop",
            |events| {
                events.pop();
            },
        ),
        ("event after message_stop", "after the end", |events| {
            events.push(json!({ "type": "message_stop" }))
        }),
    ];
    rejects(messages, &turn(), &rows);
}

#[test]
fn a_frame_of_a_message_without_event_line_is_found() {
    let sound = String::from_utf8(stream(&turn())).unwrap();
    let broken = sound.replacen("event: content_block_start\n", "", 1);
    assert!(messages(broken.as_bytes()).unwrap_err()[0].contains("the event line says None"));
}
