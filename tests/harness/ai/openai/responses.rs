//! A turn as `POST /v1/responses` answers it.

use serde_json::{Value, json};

use super::Follower;
use super::check::Prefix;
use crate::ai::send::{Spoken, frame};
use crate::ai::server::{Refusal, State, called_name};
use crate::ai::turn::{End, Part, pieces};
use crate::ai::{Seen, Turn, Usage};
use crate::wire::Answer;

pub(in crate::ai) fn speak(state: &State, seen: &Seen, turn: &Turn) -> Result<Spoken, Refusal> {
    let request = seen.json();
    let items = items(state, seen, turn)?;
    remember(state, &items);
    let response = response(state, &request, turn, &items);
    if request["stream"] != true {
        return Ok(Spoken::Whole(Answer::json(200, &response)));
    }
    let obfuscated = request["stream_options"]["include_obfuscation"] != false;
    let mut stream = Stream {
        frames: Vec::new(),
        obfuscated,
    };
    stream.response("response.created", &opening(&response));
    stream.response("response.in_progress", &opening(&response));
    for (index, item) in items.iter().enumerate() {
        stream.item(index, item, without_deltas(turn, index));
    }
    let last = match response["status"].as_str() {
        Some("failed") => "response.failed",
        Some("incomplete") => "response.incomplete",
        _ => "response.completed",
    };
    stream.response(last, &response);
    Ok(Spoken::Stream(stream.frames))
}

fn without_deltas(turn: &Turn, index: usize) -> bool {
    matches!(&turn.parts[index], Part::Call(call) if call.without_deltas)
}

/// The items in their final form, one for each part.
fn items(state: &State, seen: &Seen, turn: &Turn) -> Result<Vec<Value>, Refusal> {
    let mut prefix = Prefix::of(seen);
    let mut items = Vec::new();
    for (index, part) in turn.parts.iter().enumerate() {
        let item = match part {
            Part::Thinking(text) => reasoning(state, seen, &prefix, text),
            Part::RedactedThinking => reasoning(state, seen, &prefix, ""),
            Part::Text(text) => {
                let part = json!({ "type": "output_text", "annotations": [], "logprobs": [], "text": text });
                message(state, turn, index, &part)
            }
            Part::Refusal(text) => message(
                state,
                turn,
                index,
                &json!({ "type": "refusal", "refusal": text }),
            ),
            Part::Call(call) => json!({
                "id": state.id("fc_"), "type": "function_call", "status": "completed",
                "arguments": call.arguments,
                "call_id": call.id.clone().unwrap_or_else(|| state.id("call_")),
                "name": called_name(state, seen, call)?,
            }),
        };
        prefix.extend(&item.to_string());
        items.push(item);
    }
    Ok(items)
}

fn reasoning(state: &State, seen: &Seen, prefix: &Prefix, text: &str) -> Value {
    let summary = match text {
        "" => json!([]),
        text => json!([{ "type": "summary_text", "text": text }]),
    };
    let mut item = json!({ "id": state.id("rs_"), "type": "reasoning", "summary": summary });
    let request = seen.json();
    let included = request["include"].as_array();
    let asked = included.is_some_and(|list| list.contains(&json!("reasoning.encrypted_content")));
    if asked || request["store"] == false {
        item["encrypted_content"] = json!(prefix.seal());
    }
    item
}

fn message(state: &State, turn: &Turn, index: usize, part: &Value) -> Value {
    let more = turn.parts[index + 1..]
        .iter()
        .any(|part| !matches!(part, Part::Refusal(_)));
    let cut = index + 1 == turn.parts.len() && matches!(turn.end, End::Length | End::ContentFilter);
    json!({
        "id": state.id("msg_"), "type": "message",
        "status": if cut { "incomplete" } else { "completed" },
        "content": [part], "role": "assistant",
        "phase": if more { "commentary" } else { "final_answer" },
    })
}

fn remember(state: &State, items: &[Value]) {
    let mut memory = state.memory.lock().unwrap();
    for pair in items.windows(2) {
        if pair[0]["type"] == "reasoning" {
            let text = |name: &str| pair[1][name].as_str().unwrap_or_default().to_owned();
            let follower = Follower {
                id: text("id"),
                kind: text("type"),
            };
            let id = pair[0]["id"].as_str().unwrap_or_default();
            memory.following.insert(id.to_owned(), follower);
        }
    }
}

/// The response object, complete.
fn response(state: &State, request: &Value, turn: &Turn, items: &[Value]) -> Value {
    let (status, error, incomplete) = match &turn.end {
        End::Length => (
            "incomplete",
            Value::Null,
            json!({ "reason": "max_output_tokens" }),
        ),
        End::ContentFilter => (
            "incomplete",
            Value::Null,
            json!({ "reason": "content_filter" }),
        ),
        End::Failed(code, message) => (
            "failed",
            json!({ "code": code, "message": message }),
            Value::Null,
        ),
        _ => ("completed", Value::Null, Value::Null),
    };
    let or = |name: &str, default: Value| match &request[name] {
        Value::Null => default,
        given => given.clone(),
    };
    json!({
        "id": state.id("resp_"), "object": "response", "created_at": 1_795_000_000, "status": status,
        "background": false, "error": error, "incomplete_details": incomplete,
        "instructions": request["instructions"], "max_output_tokens": request["max_output_tokens"],
        "max_tool_calls": request["max_tool_calls"], "model": request["model"], "output": items,
        "parallel_tool_calls": or("parallel_tool_calls", json!(true)),
        "previous_response_id": request["previous_response_id"],
        "prompt_cache_key": request["prompt_cache_key"],
        "reasoning": or("reasoning", json!({ "effort": null, "summary": null })),
        "safety_identifier": request["safety_identifier"], "service_tier": "default",
        "store": or("store", json!(true)), "temperature": or("temperature", json!(1.0)),
        "text": or("text", json!({ "format": { "type": "text" }, "verbosity": "medium" })),
        "tool_choice": or("tool_choice", json!("auto")), "tools": or("tools", json!([])),
        "top_logprobs": 0, "top_p": or("top_p", json!(1.0)), "truncation": or("truncation", json!("disabled")),
        "usage": usage(turn.usage), "user": null, "metadata": or("metadata", json!({})),
    })
}

fn usage(usage: Usage) -> Value {
    let input = usage.input + usage.cached + usage.cache_written;
    json!({
        "input_tokens": input,
        "input_tokens_details": { "cached_tokens": usage.cached, "cache_write_tokens": usage.cache_written },
        "output_tokens": usage.output,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": input + usage.output,
    })
}

/// The response object as the first events show it.
fn opening(response: &Value) -> Value {
    let mut opening = response.clone();
    opening["status"] = json!("in_progress");
    opening["output"] = json!([]);
    for unknown in ["usage", "error", "incomplete_details"] {
        opening[unknown] = Value::Null;
    }
    opening
}

struct Stream {
    frames: Vec<String>,
    obfuscated: bool,
}

impl Stream {
    fn emit(&mut self, kind: &str, members: &Value) {
        let mut event = json!({ "type": kind, "sequence_number": self.frames.len() });
        for (name, value) in members.as_object().into_iter().flatten() {
            event[name] = value.clone();
        }
        if self.obfuscated && kind.ends_with(".delta") {
            // Noise that hides how long the delta is.
            event["obfuscation"] = json!("x".repeat(16 - members["delta"].to_string().len() % 16));
        }
        self.frames.push(frame(&event));
    }

    fn response(&mut self, kind: &str, response: &Value) {
        self.emit(kind, &json!({ "response": response }));
    }

    fn item(&mut self, index: usize, item: &Value, without_deltas: bool) {
        let mut begun = item.clone();
        match item["type"].as_str() {
            Some("reasoning") => begun["summary"] = json!([]),
            Some("message") => {
                begun["content"] = json!([]);
                begun["status"] = json!("in_progress");
            }
            _ => {
                begun["arguments"] = json!("");
                begun["status"] = json!("in_progress");
            }
        }
        self.emit(
            "response.output_item.added",
            &json!({ "output_index": index, "item": begun }),
        );
        let place = json!({ "item_id": item["id"], "output_index": index });
        match item["type"].as_str() {
            Some("reasoning") => self.summary(&place, &item["summary"]),
            Some("message") => self.content(&place, &item["content"][0]),
            _ => self.arguments(&place, item, without_deltas),
        }
        self.emit(
            "response.output_item.done",
            &json!({ "output_index": index, "item": item }),
        );
    }

    fn summary(&mut self, place: &Value, summary: &Value) {
        for (index, part) in summary.as_array().into_iter().flatten().enumerate() {
            let place = with(place, json!({ "summary_index": index }));
            let empty = json!({ "type": "summary_text", "text": "" });
            let kind = "response.reasoning_summary_part.added";
            self.emit(kind, &with(&place, json!({ "part": empty })));
            let text = part["text"].as_str().unwrap_or_default();
            for delta in pieces(text) {
                let kind = "response.reasoning_summary_text.delta";
                self.emit(kind, &with(&place, json!({ "delta": delta })));
            }
            let kind = "response.reasoning_summary_text.done";
            self.emit(kind, &with(&place, json!({ "text": text })));
            let kind = "response.reasoning_summary_part.done";
            self.emit(kind, &with(&place, json!({ "part": part })));
        }
    }

    fn content(&mut self, place: &Value, part: &Value) {
        let place = with(place, json!({ "content_index": 0 }));
        let refused = part["type"] == "refusal";
        let member = if refused { "refusal" } else { "text" };
        let kind = if refused {
            "response.refusal"
        } else {
            "response.output_text"
        };
        let extra = if refused {
            json!({})
        } else {
            json!({ "logprobs": [] })
        };
        let mut empty = part.clone();
        empty[member] = json!("");
        self.emit(
            "response.content_part.added",
            &with(&place, json!({ "part": empty })),
        );
        let text = part[member].as_str().unwrap_or_default();
        for delta in pieces(text) {
            let members = with(&with(&place, json!({ "delta": delta })), extra.clone());
            self.emit(&format!("{kind}.delta"), &members);
        }
        let members = with(&with(&place, json!({ member: text })), extra);
        self.emit(&format!("{kind}.done"), &members);
        self.emit(
            "response.content_part.done",
            &with(&place, json!({ "part": part })),
        );
    }

    fn arguments(&mut self, place: &Value, item: &Value, without_deltas: bool) {
        let text = item["arguments"].as_str().unwrap_or_default();
        let deltas = if without_deltas {
            Vec::new()
        } else {
            pieces(text)
        };
        for delta in deltas {
            let kind = "response.function_call_arguments.delta";
            self.emit(kind, &with(place, json!({ "delta": delta })));
        }
        let kind = "response.function_call_arguments.done";
        self.emit(kind, &with(place, json!({ "arguments": text })));
    }
}

/// The members of both.
fn with(one: &Value, other: Value) -> Value {
    let mut all = one.clone();
    if let (Some(all), Value::Object(other)) = (all.as_object_mut(), other) {
        all.extend(other);
    }
    all
}
