//! Streams of `POST /v1/responses`.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Value, json};

use super::items::{self, Life};
use super::{Findings, list, sse, text};

const TERMINAL: [&str; 3] = [
    "response.completed",
    "response.incomplete",
    "response.failed",
];

/// # Errors
/// With everything that deviates from what the vendor sends or an SDK accepts.
pub fn responses(stream: &[u8]) -> Result<Value, Vec<String>> {
    let mut lint = Lint::default();
    let events = sse::named_events(stream, &mut lint.findings);
    for (position, event) in events.iter().enumerate() {
        lint.event(position, event, position + 1 == events.len());
    }
    let Some(last) = events.last() else {
        return Err(vec!["the stream is empty".to_owned()]);
    };
    lint.terminal(last);
    lint.findings.or(last["response"].clone())
}

#[derive(Default)]
struct Lint {
    findings: Findings,
    id: String,
    open: BTreeMap<u64, Life>,
    /// Final items by their place.
    closed: BTreeMap<u64, Value>,
    ids: HashSet<String>,
}

impl Lint {
    fn event(&mut self, position: usize, event: &Value, is_last: bool) {
        let kind = text(event, "type");
        let number = &event["sequence_number"];
        self.findings.check(*number == json!(position), || {
            format!("{kind}: sequence_number {number} where {position} is due")
        });
        self.findings.check(event.get("error").is_none(), || {
            format!("{kind}: a member `error` at the top makes every SDK throw")
        });
        let is_terminal = TERMINAL.contains(&kind);
        self.findings
            .check(is_terminal == is_last, || match is_last {
                true => format!("the stream ends with {kind}"),
                false => format!("{kind}: there are events after the end"),
            });
        self.findings
            .check((position == 0) == (kind == "response.created"), || {
                format!("{kind} at position {position}: `response.created` comes first and once")
            });
        self.findings
            .check((position == 1) == (kind == "response.in_progress"), || {
                format!(
                    "{kind} at position {position}: `response.in_progress` comes second and once"
                )
            });
        match kind {
            "response.created" | "response.in_progress" => self.opening(kind, &event["response"]),
            "response.output_item.added" => self.added(event),
            "response.output_item.done" => self.done(event),
            _ if is_terminal => self.same_response(kind, &event["response"]),
            _ => self.of_item(kind, event),
        }
    }

    fn same_response(&mut self, kind: &str, response: &Value) {
        let id = text(response, "id");
        if self.id.is_empty() {
            id.clone_into(&mut self.id);
        }
        self.findings
            .check(id == self.id && id.starts_with("resp_"), || {
                format!("{kind}: the response has id {id:?}, at first {:?}", self.id)
            });
        for member in [
            "object",
            "created_at",
            "model",
            "output",
            "parallel_tool_calls",
            "tool_choice",
            "tools",
        ] {
            self.findings.check(!response[member].is_null(), || {
                format!("{kind}: the response has no `{member}`")
            });
        }
        for tool in list(response, "tools")
            .iter()
            .filter(|tool| tool["type"] == "mcp")
        {
            let redacted =
                tool["server_url"].is_null() || text(tool, "server_url").ends_with("/<redacted>");
            let sound =
                redacted && tool["headers"].is_null() && tool.get("authorization").is_none();
            self.findings.check(sound, || {
                format!("{kind}: the echoed tool tells too much: {tool}")
            });
        }
    }

    fn opening(&mut self, kind: &str, response: &Value) {
        self.same_response(kind, response);
        let sound = response["status"] == "in_progress" && response["output"] == json!([]);
        self.findings.check(sound, || {
            format!(
                "{kind}: status {} and output {}",
                response["status"], response["output"]
            )
        });
    }

    fn added(&mut self, event: &Value) {
        let Some(index) = event["output_index"].as_u64() else {
            self.findings.note("output_item.added without output_index");
            return;
        };
        if self.open.contains_key(&index) || self.closed.contains_key(&index) {
            self.findings.note(format!(
                "output_item.added: output_index {index} is used twice"
            ));
            return;
        }
        let item = &event["item"];
        let id = text(item, "id").to_owned();
        let due = items::id_prefix(text(item, "type"));
        self.findings
            .check(!id.is_empty() && id.starts_with(due), || {
                format!(
                    "the id {id:?} of a {} does not begin with {due:?}",
                    item["type"]
                )
            });
        self.findings.check(self.ids.insert(id.clone()), || {
            format!("the item id {id:?} is used twice")
        });
        self.open.insert(index, Life::begin(event));
    }

    fn done(&mut self, event: &Value) {
        let index = event["output_index"].as_u64().unwrap_or(u64::MAX);
        let Some(mut life) = self.open.remove(&index) else {
            self.findings.note(format!(
                "output_item.done: no item is open at output_index {index}"
            ));
            return;
        };
        life.push(event);
        life.check(&mut self.findings);
        self.closed.insert(index, event["item"].clone());
    }

    fn of_item(&mut self, kind: &str, event: &Value) {
        if !items::is_known(kind) {
            self.findings.note(format!("unknown event type {kind:?}"));
            return;
        }
        let index = event["output_index"].as_u64().unwrap_or(u64::MAX);
        let Some(life) = self.open.get_mut(&index) else {
            self.findings
                .note(format!("{kind}: no item is open at output_index {index}"));
            return;
        };
        self.findings.check(event["item_id"] == *life.id(), || {
            format!(
                "{kind}: item_id {} at the place of {}",
                event["item_id"],
                life.id()
            )
        });
        life.push(event);
    }

    fn terminal(&mut self, event: &Value) {
        let kind = text(event, "type");
        let response = &event["response"];
        for life in self.open.values() {
            self.findings
                .note(format!("{kind}: item {} is not closed", life.id()));
        }
        for (position, index) in self.closed.keys().enumerate() {
            self.findings.check(*index == position as u64, || {
                format!("output_index {position} was left out")
            });
        }
        let accumulated: Vec<&Value> = self.closed.values().collect();
        let output: Vec<&Value> = list(response, "output").iter().collect();
        self.findings.check(accumulated == output, || {
            format!(
                "{kind}: the output is not what the events add up to:\n{output:?}\n{accumulated:?}"
            )
        });
        let listings = output
            .iter()
            .skip_while(|item| item["type"] == "mcp_list_tools");
        if listings
            .into_iter()
            .any(|item| item["type"] == "mcp_list_tools")
        {
            self.findings.note("a listing comes after another item");
        }
        let status = text(response, "status");
        self.findings
            .check(kind.strip_prefix("response.") == Some(status), || {
                format!("{kind} with status {status:?}")
            });
        let (error, incomplete) = (&response["error"], &response["incomplete_details"]);
        let explained = match status {
            "failed" => {
                error["code"].is_string() && error["message"].is_string() && incomplete.is_null()
            }
            "incomplete" => incomplete["reason"].is_string() && error.is_null(),
            _ => error.is_null() && incomplete.is_null(),
        };
        self.findings.check(explained, || {
            format!("{kind} with error {error} and incomplete_details {incomplete}")
        });
        self.usage(kind, &response["usage"]);
    }

    fn usage(&mut self, kind: &str, usage: &Value) {
        if usage.is_null() && kind == "response.failed" {
            return;
        }
        let number = |member: &str| usage[member].as_u64();
        let total = number("input_tokens").zip(number("output_tokens"));
        let sum = total.map(|(input, output)| input + output);
        let detailed = usage["input_tokens_details"]["cached_tokens"].is_u64()
            && usage["output_tokens_details"]["reasoning_tokens"].is_u64();
        self.findings.check(
            sum.is_some() && sum == number("total_tokens") && detailed,
            || format!("{kind}: usage {usage}"),
        );
    }
}
