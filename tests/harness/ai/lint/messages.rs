//! Streams of `POST /v1/messages`.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{Findings, has_null, list, sse, text};

const STOP_REASONS: [&str; 8] = [
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "compaction",
];

/// A stream that ends with an `error` event yields that event.
///
/// # Errors
/// With everything that deviates from what the vendor sends or an SDK accepts.
pub fn messages(stream: &[u8]) -> Result<Value, Vec<String>> {
    let mut lint = Lint::default();
    for event in sse::named_events(stream, &mut lint.findings) {
        lint.event(&event);
    }
    lint.finish()
}

#[derive(Default)]
struct Lint {
    findings: Findings,
    message: Option<Value>,
    blocks: Vec<Value>,
    open: Option<Open>,
    /// Uses without a result so far.
    pending: VecDeque<String>,
    /// Whether results of the present turn have begun.
    answering: bool,
    ended: bool,
    stopped: bool,
    error: Option<Value>,
}

struct Open {
    block: Value,
    json: String,
    signed: bool,
}

impl Lint {
    fn event(&mut self, event: &Value) {
        let kind = text(event, "type");
        if kind == "ping" {
            return;
        }
        self.findings
            .check(!self.stopped && self.error.is_none(), || {
                format!("{kind} after the end of the stream")
            });
        self.findings.check(
            self.message.is_some() || matches!(kind, "message_start" | "error"),
            || format!("{kind} before message_start"),
        );
        match kind {
            "message_start" => self.start(&event["message"]),
            "content_block_start" => self.open(event),
            "content_block_delta" => self.delta(event),
            "content_block_stop" => self.close(event),
            "message_delta" => self.end(event),
            "message_stop" => {
                self.findings.check(self.ended, || {
                    "message_stop without message_delta".to_owned()
                });
                self.stopped = true;
            }
            "error" => {
                let error = &event["error"];
                let sound = error["type"].is_string() && error["message"].is_string();
                self.findings.check(sound, || {
                    format!("an error event without type or message: {event}")
                });
                self.error = Some(event.clone());
            }
            _ => self.findings.note(format!("unknown event type {kind:?}")),
        }
    }

    fn start(&mut self, message: &Value) {
        if self.message.is_some() {
            self.findings.note("a second message_start");
            return;
        }
        let sound = text(message, "id").starts_with("msg_")
            && message["type"] == "message"
            && message["role"] == "assistant"
            && message["model"].is_string()
            && message["content"] == json!([])
            && message.get("stop_reason") == Some(&Value::Null)
            && message["usage"]["input_tokens"].is_u64()
            && message["usage"]["output_tokens"].is_u64();
        self.findings
            .check(sound, || format!("message_start is incomplete: {message}"));
        self.message = Some(message.clone());
    }

    fn open(&mut self, event: &Value) {
        let (index, block) = (&event["index"], &event["content_block"]);
        self.findings.check(*index == json!(self.blocks.len()), || {
            format!(
                "content_block_start: index {index} where {} is due",
                self.blocks.len()
            )
        });
        self.findings.check(self.open.is_none() && !self.ended, || {
            format!(
                "content_block_start {index}: another block is open, or the message is at its end"
            )
        });
        let kind = text(block, "type");
        let sound = match kind {
            "text" => block["text"] == "",
            "thinking" => block["thinking"] == "" && text(block, "signature").is_empty(),
            "redacted_thinking" => block["data"].is_string(),
            "tool_use" => {
                block["id"].is_string() && block["name"].is_string() && block["input"] == json!({})
            }
            "mcp_tool_use" => {
                text(block, "id").starts_with("mcptoolu_")
                    && block["name"].is_string()
                    && block["server_name"].is_string()
                    && block["input"].is_object()
            }
            "mcp_tool_result" => is_result(block),
            "mcp_tool_listing" => is_listing(block),
            _ => true,
        };
        self.findings.check(sound, || {
            format!("content_block_start {index} has an unsound block: {block}")
        });
        self.place(kind, block);
        self.open = Some(Open {
            block: block.clone(),
            json: String::new(),
            signed: false,
        });
    }

    /// Listings first; the uses of a turn, then their results in the same order.
    fn place(&mut self, kind: &str, block: &Value) {
        if kind == "mcp_tool_listing" {
            let first = self
                .blocks
                .iter()
                .all(|one| one["type"] == "mcp_tool_listing");
            self.findings
                .check(first, || "a listing comes after another block".to_owned());
        }
        if kind == "mcp_tool_result" {
            let id = text(block, "tool_use_id");
            let due = self.pending.pop_front();
            self.findings.check(due.as_deref() == Some(id), || {
                format!("a result of {id:?} where that of {due:?} is due")
            });
            self.answering = !self.pending.is_empty();
            return;
        }
        self.findings.check(!self.answering, || {
            format!(
                "a {kind} between the results of one turn; {:?} are due",
                self.pending
            )
        });
        if kind == "mcp_tool_use" {
            self.pending.push_back(text(block, "id").to_owned());
        }
    }

    fn delta(&mut self, event: &Value) {
        let current = self.blocks.len();
        let delta = &event["delta"];
        let Some(open) = self
            .open
            .as_mut()
            .filter(|_| event["index"] == json!(current))
        else {
            self.findings.note(format!(
                "content_block_delta of {}: that block is not open",
                event["index"]
            ));
            return;
        };
        let kind = (text(&open.block, "type"), text(delta, "type"));
        self.findings
            .check(!open.signed, || format!("{} after the signature", kind.1));
        match kind {
            ("text", "text_delta") => append(&mut open.block, "text", delta),
            ("thinking", "thinking_delta") => append(&mut open.block, "thinking", delta),
            ("thinking", "signature_delta") => {
                open.signed = true;
                open.block["signature"] = delta["signature"].clone();
            }
            ("text", "citations_delta") => {
                let mut citations = list(&open.block, "citations").to_vec();
                citations.push(delta["citation"].clone());
                open.block["citations"] = json!(citations);
            }
            ("tool_use" | "mcp_tool_use" | "server_tool_use", "input_json_delta") => {
                open.json.push_str(text(delta, "partial_json"));
            }
            (block, delta) => self.findings.note(format!("a {delta} in a {block}")),
        }
    }

    fn close(&mut self, event: &Value) {
        let current = self.blocks.len();
        let Some(mut open) = self
            .open
            .take()
            .filter(|_| event["index"] == json!(current))
        else {
            self.findings.note(format!(
                "content_block_stop of {}: that block is not open",
                event["index"]
            ));
            return;
        };
        let kind = text(&open.block, "type").to_owned();
        if kind.ends_with("tool_use") {
            let input = if open.json.is_empty() {
                "{}"
            } else {
                open.json.as_str()
            };
            match serde_json::from_str::<Value>(input) {
                Ok(input) if input.is_object() => {
                    let whole = kind != "mcp_tool_use" || open.block["input"] == input;
                    self.findings.check(whole, || {
                        format!(
                            "an mcp_tool_use starts with {} and streams {input}",
                            open.block["input"]
                        )
                    });
                    open.block["input"] = input;
                }
                _ => self
                    .findings
                    .note(format!("the input of a {kind} is no JSON object: {input}")),
            }
        }
        self.findings.check(kind != "thinking" || open.signed, || {
            "thinking without signature".to_owned()
        });
        self.blocks.push(open.block);
    }

    fn end(&mut self, event: &Value) {
        self.findings
            .check(!self.ended, || "a second message_delta".to_owned());
        self.findings.check(self.open.is_none(), || {
            "message_delta while a block is open".to_owned()
        });
        self.ended = true;
        let (delta, usage) = (&event["delta"], &event["usage"]);
        let reason = text(delta, "stop_reason");
        self.findings.check(STOP_REASONS.contains(&reason), || {
            format!("stop_reason {reason:?}")
        });
        self.findings
            .check(delta.get("stop_sequence").is_some(), || {
                "no stop_sequence".to_owned()
            });
        let waits = self.blocks.iter().any(|block| block["type"] == "tool_use");
        self.findings.check(waits || reason != "tool_use", || {
            "stop_reason tool_use while no tool of the client is called".to_owned()
        });
        self.findings.check(self.pending.is_empty(), || {
            format!("no result for {:?}", self.pending)
        });
        let sound = usage["output_tokens"].is_u64() && !has_null(usage);
        self.findings
            .check(sound, || format!("usage of message_delta: {usage}"));
        self.iterations(usage);
        if let Some(message) = &mut self.message {
            for (name, value) in delta.as_object().into_iter().flatten() {
                message[name] = value.clone();
            }
            for (name, value) in usage.as_object().into_iter().flatten() {
                message["usage"][name] = value.clone();
            }
        }
    }

    /// Four counters each, which add up to the totals.
    fn iterations(&mut self, usage: &Value) {
        let iterations = list(usage, "iterations");
        if iterations.is_empty() {
            return;
        }
        let counters = [
            "input_tokens",
            "output_tokens",
            "cache_read_input_tokens",
            "cache_creation_input_tokens",
        ];
        for counter in counters {
            let values: Option<Vec<u64>> =
                iterations.iter().map(|one| one[counter].as_u64()).collect();
            let sum = values.map(|values| values.iter().sum::<u64>());
            let total = usage[counter].as_u64().unwrap_or_default();
            self.findings.check(sum == Some(total), || {
                format!("iterations: {counter} add up to {sum:?}, the total is {total}")
            });
        }
    }

    fn finish(mut self) -> Result<Value, Vec<String>> {
        if let Some(error) = self.error {
            return self.findings.or(error);
        }
        self.findings.check(self.stopped, || {
            "the stream does not end with message_stop".to_owned()
        });
        let mut message = self.message.unwrap_or_default();
        message["content"] = json!(self.blocks);
        self.findings.or(message)
    }
}

fn append(block: &mut Value, member: &str, delta: &Value) {
    let joined = format!("{}{}", text(block, member), text(delta, member));
    block[member] = json!(joined);
}

fn is_result(block: &Value) -> bool {
    let texts = list(block, "content")
        .iter()
        .all(|one| one["type"] == "text" && one["text"].is_string());
    let content = &block["content"];
    block["tool_use_id"].is_string()
        && block["is_error"].is_boolean()
        && (content.is_string() || content.is_array() && texts)
}

fn is_listing(block: &Value) -> bool {
    let complete = |tool: &Value| tool["name"].is_string() && tool["input_schema"].is_object();
    block["mcp_server_name"].is_string()
        && block["tools"].is_array()
        && list(block, "tools").iter().all(complete)
}
