//! Streams of `POST /v1/chat/completions`.

use serde_json::{Value, json};

use super::{Findings, list, sse, text};

/// # Errors
/// With everything that deviates from what the vendor sends or an SDK accepts.
pub fn chat(stream: &[u8]) -> Result<Value, Vec<String>> {
    let mut lint = Lint::default();
    let mut frames = sse::frames(stream, &mut lint.findings);
    let last = frames.pop().map(|frame| frame.data);
    lint.findings.check(last.as_deref() == Some("[DONE]"), || {
        format!("the stream ends with {last:?}")
    });
    for frame in frames {
        lint.findings.check(frame.event.is_none(), || {
            format!("a frame has the name {:?}", frame.event)
        });
        match serde_json::from_str::<Value>(&frame.data) {
            Ok(chunk) => lint.chunk(&chunk),
            Err(_) => lint
                .findings
                .note(format!("data that is not JSON: {}", frame.data)),
        }
    }
    lint.finish()
}

#[derive(Default)]
struct Lint {
    findings: Findings,
    head: Option<Value>,
    content: String,
    calls: Vec<Value>,
    finish: Option<String>,
    usage: Value,
}

impl Lint {
    fn chunk(&mut self, chunk: &Value) {
        self.findings.check(chunk.get("error").is_none(), || {
            format!("an error in the stream: {chunk}")
        });
        self.findings
            .check(chunk["object"] == "chat.completion.chunk", || {
                format!("no chunk: {chunk}")
            });
        self.findings.check(self.usage.is_null(), || {
            "a chunk after the usage".to_owned()
        });
        let begins = self.head.is_none();
        let head = self.head.get_or_insert_with(|| chunk.clone()).clone();
        for member in ["id", "model", "created"] {
            self.findings.check(
                head[member] == chunk[member] && !chunk[member].is_null(),
                || {
                    format!(
                        "`{member}` was {} and became {}",
                        head[member], chunk[member]
                    )
                },
            );
        }
        if chunk["usage"].is_object() {
            self.findings.check(list(chunk, "choices").is_empty(), || {
                "usage beside a choice".to_owned()
            });
            self.usage = chunk["usage"].clone();
            return;
        }
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        self.findings
            .check(!begins || delta["role"] == "assistant", || {
                "no role at first".to_owned()
            });
        self.findings.check(self.finish.is_none(), || {
            "a choice after its finish_reason".to_owned()
        });
        self.content.push_str(text(delta, "content"));
        for call in list(delta, "tool_calls") {
            self.call(call);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.finish = Some(reason.to_owned());
        }
    }

    fn call(&mut self, delta: &Value) {
        let index = delta["index"]
            .as_u64()
            .map(|index| usize::try_from(index).unwrap());
        let piece = text(&delta["function"], "arguments");
        if index == Some(self.calls.len()) {
            let named = delta["id"].is_string() && delta["function"]["name"].is_string();
            self.findings.check(named, || {
                format!("a tool call begins without id or name: {delta}")
            });
            let function = json!({ "name": delta["function"]["name"], "arguments": piece });
            self.calls
                .push(json!({ "id": delta["id"], "type": "function", "function": function }));
            return;
        }
        match index.and_then(|index| self.calls.get_mut(index)) {
            Some(call) => {
                let joined = format!("{}{piece}", text(&call["function"], "arguments"));
                call["function"]["arguments"] = json!(joined);
            }
            None => self
                .findings
                .note(format!("a tool call of no place: {delta}")),
        }
    }

    /// The completion that a client accumulates.
    fn finish(mut self) -> Result<Value, Vec<String>> {
        let Some(reason) = self.finish else {
            self.findings.note("no finish_reason");
            return Err(self.findings.0);
        };
        self.findings
            .check((reason == "tool_calls") != self.calls.is_empty(), || {
                format!(
                    "finish_reason {reason:?} with {} tool calls",
                    self.calls.len()
                )
            });
        let head = self.head.unwrap_or_default();
        let content = (!self.content.is_empty()).then_some(self.content);
        let mut message = json!({ "role": "assistant", "content": content });
        if !self.calls.is_empty() {
            message["tool_calls"] = json!(self.calls);
        }
        let choice = json!({ "index": 0, "message": message, "finish_reason": reason });
        self.findings.or(json!({
            "id": head["id"], "object": "chat.completion", "created": head["created"], "model": head["model"],
            "choices": [choice], "usage": self.usage,
        }))
    }
}
