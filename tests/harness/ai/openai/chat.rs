//! A turn as `POST /v1/chat/completions` answers it.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::check::{check_name, parsed};
use super::error;
use crate::ai::send::Spoken;
use crate::ai::server::{Refusal, State, called_name};
use crate::ai::turn::{Call, End, Part, pieces};
use crate::ai::{Seen, Turn, Usage};
use crate::wire::Answer;

pub(in crate::ai) fn check(state: &State, seen: &Seen) -> Result<(), Refusal> {
    let body = parsed(seen)?;
    check_tools(&body)
        .and_then(|()| check_calls(&body))
        .map_err(|message| state.complain(message))
}

fn check_tools(body: &Value) -> Result<(), String> {
    for (index, tool) in body["tools"].as_array().into_iter().flatten().enumerate() {
        if tool["type"] != "function" {
            return Err(format!(
                "Invalid value: {}. Supported values are: 'function'.",
                tool["type"]
            ));
        }
        let name = tool["function"]["name"].as_str().unwrap_or_default();
        check_name(name).map_err(|why| format!("Invalid 'tools[{index}].function.name': {why}"))?;
    }
    Ok(())
}

/// Each call is answered right behind the message that made it.
fn check_calls(body: &Value) -> Result<(), String> {
    let mut open: HashSet<&str> = HashSet::new();
    for (index, message) in body["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .enumerate()
    {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            if !open.remove(id) {
                return Err(format!(
                    "messages[{index}]: 'tool' must be a response to a preceding message with 'tool_calls'."
                ));
            }
            continue;
        }
        if let Some(id) = open.iter().next() {
            return Err(format!(
                "tool_call_ids did not have response messages: {id}"
            ));
        }
        let calls = message["tool_calls"].as_array().into_iter().flatten();
        open.extend(calls.filter_map(|call| call["id"].as_str()));
    }
    match open.iter().next() {
        Some(id) => Err(format!(
            "tool_call_ids did not have response messages: {id}"
        )),
        None => Ok(()),
    }
}

pub(in crate::ai) fn speak(state: &State, seen: &Seen, turn: &Turn) -> Result<Spoken, Refusal> {
    let request = seen.json();
    let mut calls = Vec::new();
    for part in &turn.parts {
        if let Part::Call(call) = part {
            let id = call.id.clone().unwrap_or_else(|| state.id("call_"));
            calls.push((call.clone(), id, called_name(state, seen, call)?));
        }
    }
    let spoken = Completion {
        id: state.id("chatcmpl-"),
        model: request["model"].clone(),
        turn,
        calls,
    };
    if let (End::Failed(_, message), false) = (&turn.end, request["stream"] == true) {
        return Err(error(500, None, message));
    }
    if request["stream"] == true {
        let usage = request["stream_options"]["include_usage"] == true;
        return Ok(Spoken::Stream(spoken.chunks(usage)));
    }
    Ok(Spoken::Whole(Answer::json(200, &spoken.whole())))
}

struct Completion<'a> {
    id: String,
    model: Value,
    turn: &'a Turn,
    calls: Vec<(Call, String, String)>,
}

impl Completion<'_> {
    fn finish(&self) -> &'static str {
        match &self.turn.end {
            End::Length | End::ContextWindow => "length",
            End::ContentFilter => "content_filter",
            _ if !self.calls.is_empty() => "tool_calls",
            _ => "stop",
        }
    }

    fn joined(&self, wanted: impl Fn(&Part) -> Option<&str>) -> Value {
        let texts: Vec<&str> = self.turn.parts.iter().filter_map(wanted).collect();
        if texts.is_empty() {
            Value::Null
        } else {
            json!(texts.concat())
        }
    }

    fn text(&self) -> Value {
        self.joined(|part| match part {
            Part::Text(text) => Some(text),
            _ => None,
        })
    }

    fn refusal(&self) -> Value {
        self.joined(|part| match part {
            Part::Refusal(text) => Some(text),
            _ => None,
        })
    }

    fn whole(&self) -> Value {
        let mut message = json!({
            "role": "assistant", "content": self.text(), "refusal": self.refusal(), "annotations": [],
        });
        if !self.calls.is_empty() {
            let calls = self.calls.iter().map(|(call, id, name)| {
                let function = json!({ "name": name, "arguments": call.arguments });
                json!({ "id": id, "type": "function", "function": function })
            });
            message["tool_calls"] = calls.collect();
        }
        json!({
            "id": self.id, "object": "chat.completion", "created": 1_795_000_000, "model": self.model,
            "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": self.finish() }],
            "usage": usage(self.turn.usage), "service_tier": "default", "system_fingerprint": null,
        })
    }

    fn chunks(&self, with_usage: bool) -> Vec<String> {
        let mut frames = Vec::new();
        let start = json!({ "role": "assistant", "content": "", "refusal": null });
        frames.push(self.delta(&start, None));
        for delta in pieces(self.text().as_str().unwrap_or_default()) {
            frames.push(self.delta(&json!({ "content": delta }), None));
        }
        for delta in pieces(self.refusal().as_str().unwrap_or_default()) {
            frames.push(self.delta(&json!({ "refusal": delta }), None));
        }
        for (index, (call, id, name)) in self.calls.iter().enumerate() {
            // Without deltas a call comes at once, as local model servers send it.
            let first = if call.without_deltas {
                call.arguments.as_str()
            } else {
                ""
            };
            let function = json!({ "name": name, "arguments": first });
            let opened =
                json!({ "index": index, "id": id, "type": "function", "function": function });
            frames.push(self.delta(&json!({ "tool_calls": [opened] }), None));
            let rest = if call.without_deltas {
                Vec::new()
            } else {
                pieces(&call.arguments)
            };
            for piece in rest {
                let more = json!({ "index": index, "function": { "arguments": piece } });
                frames.push(self.delta(&json!({ "tool_calls": [more] }), None));
            }
        }
        if let End::Failed(code, message) = &self.turn.end {
            let error =
                json!({ "message": message, "type": "server_error", "param": null, "code": code });
            frames.push(format!("data: {}\n\n", json!({ "error": error })));
            return frames;
        }
        frames.push(self.delta(&json!({}), Some(self.finish())));
        if with_usage {
            let mut last = self.chunk(json!([]));
            last["usage"] = usage(self.turn.usage);
            frames.push(format!("data: {last}\n\n"));
        }
        frames.push("data: [DONE]\n\n".to_owned());
        frames
    }

    fn delta(&self, delta: &Value, finish: Option<&str>) -> String {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish });
        format!("data: {}\n\n", self.chunk(json!([choice])))
    }

    fn chunk(&self, choices: Value) -> Value {
        json!({
            "id": self.id, "object": "chat.completion.chunk", "created": 1_795_000_000, "model": self.model,
            "service_tier": "default", "system_fingerprint": null, "choices": choices, "usage": null,
        })
    }
}

fn usage(usage: Usage) -> Value {
    let prompt = usage.input + usage.cached + usage.cache_written;
    json!({
        "prompt_tokens": prompt, "completion_tokens": usage.output, "total_tokens": prompt + usage.output,
        "prompt_tokens_details": { "cached_tokens": usage.cached, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning, "audio_tokens": 0 },
    })
}
