//! A turn as `POST /v1/messages` answers it.

use serde_json::{Value, json};

use super::binding::Prefix;
use super::{error, error_body};
use crate::ai::send::{Spoken, frame};
use crate::ai::server::{Refusal, State, called_name};
use crate::ai::turn::{End, Part, pieces};
use crate::ai::{Seen, Turn, Usage};
use crate::wire::Answer;

pub(in crate::ai) fn speak(state: &State, seen: &Seen, turn: &Turn) -> Result<Spoken, Refusal> {
    let request = seen.json();
    let blocks = blocks(state, seen, turn)?;
    let mut message = json!({
        "id": state.id("msg_01"), "type": "message", "role": "assistant", "model": request["model"],
        "content": [], "stop_reason": null, "stop_sequence": null, "usage": usage(turn.usage),
    });
    if request["stream"] == true {
        return Ok(Spoken::Stream(stream(turn, message, &blocks)));
    }
    if let End::Failed(_, text) = &turn.end {
        return Err(error(500, text));
    }
    for (name, value) in ending(turn).as_object().into_iter().flatten() {
        message[name] = value.clone();
    }
    // The input of a call is sent as it is written, which a parsed value could not do.
    let texts: Vec<&str> = blocks.iter().map(|block| block.text.as_str()).collect();
    let body = message.to_string().replacen(
        r#""content":[]"#,
        &format!(r#""content":[{}]"#, texts.join(",")),
        1,
    );
    Ok(Spoken::Whole(Answer::text(200, "application/json", &body)))
}

struct Block {
    /// As a whole answer holds it.
    text: String,
    /// As `content_block_start` shows it.
    start: Value,
    deltas: Vec<Value>,
}

/// One for each part.
fn blocks(state: &State, seen: &Seen, turn: &Turn) -> Result<Vec<Block>, Refusal> {
    let mut prefix = Prefix::of(seen);
    let mut blocks = Vec::new();
    for part in &turn.parts {
        let block = match part {
            Part::Text(text) | Part::Refusal(text) => text_block(text),
            Part::Thinking(text) => thinking_block(text, &prefix.sign(text)),
            Part::RedactedThinking => {
                let start = json!({ "type": "redacted_thinking", "data": prefix.sign("") });
                Block {
                    text: start.to_string(),
                    start,
                    deltas: Vec::new(),
                }
            }
            Part::Call(call) => {
                let name = called_name(state, seen, call)?;
                let id = call.id.clone().unwrap_or_else(|| state.id("toolu_01"));
                use_block(&id, &name, &call.arguments, call.without_deltas)
            }
        };
        prefix.extend("assistant", &block.text);
        blocks.push(block);
    }
    Ok(blocks)
}

fn text_block(text: &str) -> Block {
    let delta = |piece: &String| json!({ "type": "text_delta", "text": piece });
    Block {
        text: json!({ "type": "text", "text": text }).to_string(),
        start: json!({ "type": "text", "text": "" }),
        deltas: pieces(text).iter().map(delta).collect(),
    }
}

fn thinking_block(text: &str, signature: &str) -> Block {
    let delta = |piece: &String| json!({ "type": "thinking_delta", "thinking": piece });
    let mut deltas: Vec<Value> = pieces(text).iter().map(delta).collect();
    deltas.push(json!({ "type": "signature_delta", "signature": signature }));
    Block {
        text: json!({ "type": "thinking", "thinking": text, "signature": signature }).to_string(),
        start: json!({ "type": "thinking", "thinking": "", "signature": "" }),
        deltas,
    }
}

fn use_block(id: &str, name: &str, arguments: &str, without_deltas: bool) -> Block {
    let input = if arguments.is_empty() {
        "{}"
    } else {
        arguments
    };
    let delta = |piece: &str| json!({ "type": "input_json_delta", "partial_json": piece });
    // The vendor begins with an empty one, and leaves it at that for a call without arguments.
    let mut deltas = vec![delta("")];
    deltas.extend(pieces(arguments).iter().map(|piece| delta(piece)));
    if without_deltas {
        deltas.clear();
    }
    Block {
        text: format!(
            r#"{{"type":"tool_use","id":{},"name":{},"input":{input}}}"#,
            json!(id),
            json!(name)
        ),
        start: json!({ "type": "tool_use", "id": id, "name": name, "input": {} }),
        deltas,
    }
}

fn stream(turn: &Turn, mut message: Value, blocks: &[Block]) -> Vec<String> {
    // So far only the input was counted, and one token.
    message["usage"]["output_tokens"] = json!(1);
    let mut frames = vec![frame(
        &json!({ "type": "message_start", "message": message }),
    )];
    for (index, block) in blocks.iter().enumerate() {
        frames.push(frame(&json!({
            "type": "content_block_start", "index": index, "content_block": block.start,
        })));
        if index == 0 {
            frames.push(frame(&json!({ "type": "ping" })));
        }
        for delta in &block.deltas {
            let kind = "content_block_delta";
            frames.push(frame(
                &json!({ "type": kind, "index": index, "delta": delta }),
            ));
        }
        frames.push(frame(
            &json!({ "type": "content_block_stop", "index": index }),
        ));
    }
    if let End::Failed(code, text) = &turn.end {
        frames.push(frame(&error_body(code, text)));
        return frames;
    }
    let usage = json!({
        "input_tokens": turn.usage.input, "cache_creation_input_tokens": turn.usage.cache_written,
        "cache_read_input_tokens": turn.usage.cached, "output_tokens": turn.usage.output,
    });
    let end = json!({ "type": "message_delta", "delta": ending(turn), "usage": usage });
    frames.push(frame(&end));
    frames.push(frame(&json!({ "type": "message_stop" })));
    frames
}

fn ending(turn: &Turn) -> Value {
    let refused = turn
        .parts
        .iter()
        .any(|part| matches!(part, Part::Refusal(_)));
    let (reason, sequence) = match &turn.end {
        End::Length => ("max_tokens", Value::Null),
        End::PauseTurn => ("pause_turn", Value::Null),
        End::StopSequence(sequence) => ("stop_sequence", json!(sequence)),
        End::ContextWindow => ("model_context_window_exceeded", Value::Null),
        End::ContentFilter => ("refusal", Value::Null),
        End::Natural if refused => ("refusal", Value::Null),
        End::Natural if turn.has_calls() => ("tool_use", Value::Null),
        End::Natural | End::Failed(..) => ("end_turn", Value::Null),
    };
    json!({ "stop_reason": reason, "stop_sequence": sequence })
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input, "cache_creation_input_tokens": usage.cache_written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": { "ephemeral_5m_input_tokens": usage.cache_written, "ephemeral_1h_input_tokens": 0 },
        "output_tokens": usage.output, "service_tier": "standard",
    })
}
