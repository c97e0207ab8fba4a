//! The life of one output item: the events from `added` to `done`, in the order each type has.

use serde_json::{Value, json};

use super::{Findings, list, text};

/// Events between `added` and `done`.
const KNOWN: [&str; 35] = [
    "response.mcp_list_tools.in_progress",
    "response.mcp_list_tools.completed",
    "response.mcp_list_tools.failed",
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.completed",
    "response.mcp_call.failed",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_text.annotation.added",
    "response.refusal.delta",
    "response.refusal.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.delta",
    "response.custom_tool_call_input.done",
    "response.reasoning_summary_part.added",
    "response.reasoning_summary_part.done",
    "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
    "response.web_search_call.in_progress",
    "response.web_search_call.searching",
    "response.web_search_call.completed",
    "response.file_search_call.in_progress",
    "response.file_search_call.searching",
    "response.file_search_call.completed",
    "response.code_interpreter_call.in_progress",
    "response.code_interpreter_call.interpreting",
    "response.code_interpreter_call.completed",
    "response.image_generation_call.completed",
];

pub(super) fn is_known(kind: &str) -> bool {
    KNOWN.contains(&kind)
}

/// How the ids of items of this type begin.
pub(super) fn id_prefix(kind: &str) -> &'static str {
    match kind {
        "mcp_list_tools" => "mcpl_",
        "mcp_call" => "mcp_",
        "mcp_approval_request" => "mcpr_",
        "message" => "msg_",
        "reasoning" => "rs_",
        "function_call" => "fc_",
        _ => "",
    }
}

pub(super) struct Life {
    events: Vec<Value>,
}

impl Life {
    pub(super) fn begin(added: &Value) -> Self {
        Self {
            events: vec![added.clone()],
        }
    }

    pub(super) fn push(&mut self, event: &Value) {
        self.events.push(event.clone());
    }

    pub(super) fn id(&self) -> &Value {
        &self.events[0]["item"]["id"]
    }

    /// Once `done` was pushed.
    pub(super) fn check(&self, findings: &mut Findings) {
        let (Some(added), Some(done)) = (self.events.first(), self.events.last()) else {
            return;
        };
        let (begun, item) = (&added["item"], &done["item"]);
        for member in ["type", "id", "call_id"] {
            findings.check(begun[member] == item[member], || {
                format!(
                    "`{member}` of an item was {} and became {}",
                    begun[member], item[member]
                )
            });
        }
        let mut walk = Walk {
            events: &self.events[1..self.events.len() - 1],
            findings,
        };
        match text(item, "type") {
            "mcp_list_tools" => walk.listing(begun, item),
            "mcp_call" => walk.call(begun, item),
            "mcp_approval_request" => walk.approval(begun, item),
            "message" => walk.message(begun, item),
            "reasoning" => walk.reasoning(begun, item),
            "function_call" => walk.function(begun, item),
            // Of the vendor's own hosted tools, which pass through.
            _ => walk.events = &[],
        }
        let left = walk.events.first().map(|event| event["type"].clone());
        if let Some(left) = left {
            findings.note(format!(
                "{left} in the wrong place within a {}",
                item["type"]
            ));
        }
    }
}

/// Consumes the events of an item in order.
struct Walk<'a> {
    events: &'a [Value],
    findings: &'a mut Findings,
}

impl Walk<'_> {
    /// The next event, which must be one of `kinds`.
    fn expect(&mut self, kinds: &[&str]) -> Value {
        match self.events.split_first() {
            Some((next, rest)) if kinds.contains(&text(next, "type")) => {
                self.events = rest;
                next.clone()
            }
            next => {
                let found = next.map(|(event, _)| event["type"].clone());
                self.findings
                    .note(format!("{kinds:?} is missing; found {found:?}"));
                Value::Null
            }
        }
    }

    /// The texts of all deltas that come next, joined.
    fn deltas(&mut self, kind: &str) -> String {
        let mut joined = String::new();
        while let Some((next, rest)) = self.events.split_first() {
            if next["type"] != kind {
                break;
            }
            self.findings.check(next["delta"].is_string(), || {
                format!("{kind} without a delta")
            });
            joined.push_str(text(next, "delta"));
            self.events = rest;
        }
        joined
    }

    fn equal(&mut self, what: &str, one: &Value, other: &Value) {
        self.findings
            .check(one == other, || format!("{what}: {one} and {other}"));
    }

    fn nothing_but_place(&mut self, event: &Value) {
        let allowed = ["type", "sequence_number", "item_id", "output_index"];
        let members = event.as_object().into_iter().flatten();
        for (name, _) in members.filter(|(name, _)| !allowed.contains(&name.as_str())) {
            self.findings
                .note(format!("{}: has a member `{name}`", text(event, "type")));
        }
    }

    fn listing(&mut self, begun: &Value, item: &Value) {
        self.equal("tools of a listing at first", &begun["tools"], &json!([]));
        let started = self.expect(&["response.mcp_list_tools.in_progress"]);
        self.nothing_but_place(&started);
        let ends = [
            "response.mcp_list_tools.completed",
            "response.mcp_list_tools.failed",
        ];
        let end = self.expect(&ends);
        self.nothing_but_place(&end);
        let failed = end["type"] == ends[1];
        self.findings
            .check(item["error"].is_string() == failed, || {
                format!(
                    "a listing ended by {} has error {}",
                    end["type"], item["error"]
                )
            });
        self.findings.check(item["server_label"].is_string(), || {
            "a listing without label".to_owned()
        });
        for tool in list(item, "tools") {
            let sound = tool["name"].is_string() && tool["input_schema"].is_object();
            self.findings
                .check(sound, || format!("a listed tool is incomplete: {tool}"));
        }
    }

    fn call(&mut self, begun: &Value, item: &Value) {
        for (member, due) in [
            ("arguments", json!("")),
            ("output", Value::Null),
            ("error", Value::Null),
        ] {
            self.equal(
                &format!("`{member}` of a call at first"),
                &begun[member],
                &due,
            );
        }
        for member in ["server_label", "name", "approval_request_id"] {
            self.equal(
                &format!("`{member}` of a call"),
                &begun[member],
                &item[member],
            );
        }
        let started = self.expect(&["response.mcp_call.in_progress"]);
        self.nothing_but_place(&started);
        self.arguments("response.mcp_call_arguments", item);
        let ends = ["response.mcp_call.completed", "response.mcp_call.failed"];
        let end = self.expect(&ends);
        self.nothing_but_place(&end);
        let (error, output) = (&item["error"], &item["output"]);
        let kinds = [
            "mcp_protocol_error",
            "mcp_tool_execution_error",
            "http_error",
        ];
        let sound = if end["type"] == ends[1] {
            item["status"] == "failed" && output.is_null() && kinds.contains(&text(error, "type"))
        } else {
            item["status"] == "completed" && output.is_string() && error.is_null()
        };
        self.findings.check(sound, || {
            let status = &item["status"];
            format!(
                "a call ended by {}: status {status}, output {output}, error {error}",
                end["type"]
            )
        });
        let named = item["server_label"].is_string() && item["name"].is_string();
        self.findings
            .check(named && item.get("approval_request_id").is_some(), || {
                format!("a call is incomplete: {item}")
            });
    }

    /// Deltas and their end, which agree with the item.
    fn arguments(&mut self, family: &str, item: &Value) {
        let joined = self.deltas(&format!("{family}.delta"));
        let done = self.expect(&[&format!("{family}.done")]);
        self.equal(
            "arguments by deltas and at their end",
            &json!(joined),
            &done["arguments"],
        );
        self.equal(
            "arguments at their end and of the item",
            &done["arguments"],
            &item["arguments"],
        );
    }

    fn approval(&mut self, begun: &Value, item: &Value) {
        self.equal("an approval request at first and at last", begun, item);
        for member in ["server_label", "name", "arguments"] {
            self.findings.check(item[member].is_string(), || {
                format!("an approval request has no `{member}`")
            });
        }
    }

    fn function(&mut self, begun: &Value, item: &Value) {
        self.equal(
            "arguments of a function call at first",
            &begun["arguments"],
            &json!(""),
        );
        self.equal("the name of a function call", &begun["name"], &item["name"]);
        self.arguments("response.function_call_arguments", item);
        self.findings.check(item["call_id"].is_string(), || {
            "a function call without call_id".to_owned()
        });
    }

    fn message(&mut self, begun: &Value, item: &Value) {
        self.equal(
            "content of a message at first",
            &begun["content"],
            &json!([]),
        );
        self.equal(
            "status of a message at first",
            &begun["status"],
            &json!("in_progress"),
        );
        let known = ["completed", "incomplete"].contains(&text(item, "status"));
        self.findings
            .check(known && item["role"] == "assistant", || {
                format!(
                    "a message ends with status {} and role {}",
                    item["status"], item["role"]
                )
            });
        let parts = self.parts();
        self.equal(
            "content of a message by parts and at last",
            &parts,
            &item["content"],
        );
    }

    /// Content parts up to the end of the item.
    fn parts(&mut self) -> Value {
        let mut parts = Vec::new();
        while self
            .events
            .first()
            .is_some_and(|event| event["type"] == "response.content_part.added")
        {
            let added = self.expect(&["response.content_part.added"]);
            self.equal(
                "content_index",
                &added["content_index"],
                &json!(parts.len()),
            );
            let (family, member) = match text(&added["part"], "type") {
                "refusal" => ("response.refusal", "refusal"),
                "reasoning_text" => ("response.reasoning_text", "text"),
                _ => ("response.output_text", "text"),
            };
            self.equal("a part at first", &added["part"][member], &json!(""));
            let joined = self.deltas(&format!("{family}.delta"));
            let annotations = self.annotations();
            let end = self.expect(&[&format!("{family}.done")]);
            self.equal(
                "a text by deltas and at its end",
                &json!(joined),
                &end[member],
            );
            let done = self.expect(&["response.content_part.done"]);
            self.equal(
                "a text at its end and of its part",
                &end[member],
                &done["part"][member],
            );
            let told = list(&done["part"], "annotations").len();
            self.equal(
                "annotations by events and of the part",
                &json!(annotations),
                &json!(told),
            );
            parts.push(done["part"].clone());
        }
        Value::Array(parts)
    }

    fn annotations(&mut self) -> usize {
        let kind = "response.output_text.annotation.added";
        let count = self
            .events
            .iter()
            .take_while(|event| event["type"] == kind)
            .count();
        self.events = &self.events[count..];
        count
    }

    fn reasoning(&mut self, begun: &Value, item: &Value) {
        self.equal("summary at first", &begun["summary"], &json!([]));
        let mut parts = Vec::new();
        let kind = "response.reasoning_summary_part.added";
        while self
            .events
            .first()
            .is_some_and(|event| event["type"] == kind)
        {
            let added = self.expect(&[kind]);
            self.equal(
                "summary_index",
                &added["summary_index"],
                &json!(parts.len()),
            );
            let joined = self.deltas("response.reasoning_summary_text.delta");
            let end = self.expect(&["response.reasoning_summary_text.done"]);
            self.equal(
                "a summary by deltas and at its end",
                &json!(joined),
                &end["text"],
            );
            let done = self.expect(&["response.reasoning_summary_part.done"]);
            self.equal(
                "a summary at its end and of its part",
                &end["text"],
                &done["part"]["text"],
            );
            parts.push(done["part"].clone());
        }
        self.equal(
            "summary by parts and at last",
            &json!(parts),
            &item["summary"],
        );
        let content = self.parts();
        let told = if item["content"].is_null() {
            json!([])
        } else {
            item["content"].clone()
        };
        self.equal("reasoning by parts and at last", &content, &told);
    }
}
