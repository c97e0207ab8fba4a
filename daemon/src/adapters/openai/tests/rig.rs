//! Stands in for the loop and for a vendor.

use serde_json::{Value, json};

use crate::adapters::dialect::{Decided, Decoder, Dialog, Encoder, Ending, Finish, Request, Shown};
use crate::adapters::event::{Content, End, Event, ModelTurn, TurnEnd, Usage, Wire};
use crate::adapters::names::mangle;
use crate::adapters::openai::{Parsed, ResponsesDecoder, parse};
use crate::adapters::raw::raw;
use crate::adapters::record::{Found, Kept, Record};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::{CallRef, CallResult, Listing, Outcome, Step, Tool};
use crate::adapters::target::Gateway;

pub(in crate::adapters::openai) fn listing(label: &str, tools: &[&str]) -> Listing {
    let tool = |name: &&str| Tool {
        name: (*name).to_owned(),
        function: mangle(label, name, |_| false),
        description: Some(format!("Does {name}")),
        input_schema: raw(r#"{"type":"object","properties":{"n":{"minimum":1.0}}}"#.to_owned()),
        annotations: name
            .starts_with("read")
            .then(|| raw(r#"{"readOnlyHint":true}"#.to_owned())),
        read_only: name.starts_with("read"),
    };
    Listing {
        label: label.to_owned(),
        server: label.parse().unwrap(),
        tools: tools.iter().map(tool).collect(),
        known: false,
    }
}

pub(super) fn request(body: &Value) -> Result<Box<dyn Request>, Refusal> {
    let gateway = Gateway::new(3000, &[]);
    match parse(&body.to_string(), &|url| gateway.target(url), false)? {
        Parsed::Ours(request) => Ok(request),
        Parsed::Plain => panic!("nothing of ours in {body}"),
    }
}

/// `body` with the server `s` under the policy, and `more` members.
pub(super) fn body(policy: &str, input: Value, more: Value) -> Value {
    let entry = json!({
        "type": "mcp", "server_label": "s", "server_url": "mcp://s", "require_approval": policy,
        "headers": { "x": "secret" }, "authorization": "secret",
    });
    let mut body = json!({ "model": "gpt-5", "input": input, "tools": [entry] });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

/// One answer in the making.
pub(super) struct Rig {
    pub(super) dialog: Box<dyn Dialog>,
    pub(super) encoder: Box<dyn Encoder>,
    pub(super) id: String,
    pub(super) steps: Vec<Step>,
    pub(super) frames: Vec<u8>,
}

impl Rig {
    pub(super) fn begin(body: &Value, id: &str, found: Found) -> Result<Self, Refusal> {
        let request = request(body)?;
        let listings: Vec<Listing> = request
            .servers()
            .iter()
            .map(|entry| {
                let pinned = request.pinned(entry, &found);
                pinned.unwrap_or_else(|| listing(&entry.label, &["read", "write", "do.it"]))
            })
            .collect();
        let dialog = request.bind(found, listings.clone())?;
        let mut rig = Self {
            encoder: dialog.encoder(id, 1_700_000_000),
            dialog,
            id: id.to_owned(),
            steps: Vec::new(),
            frames: Vec::new(),
        };
        rig.show(Shown::Begin {
            model: "gpt-5-2026",
            usage: Usage::default(),
        });
        for listing in &listings {
            rig.show(Shown::Listing(listing));
        }
        Ok(rig)
    }

    fn show(&mut self, shown: Shown<'_>) {
        self.encoder.show(shown, &mut self.frames);
    }

    pub(super) fn body(&self) -> Value {
        serde_json::from_str(&self.raw_body()).unwrap()
    }

    pub(super) fn raw_body(&self) -> String {
        self.dialog.body(&self.steps).unwrap()
    }

    /// Runs what the client approved and tells what it declined.
    pub(super) fn settle(&mut self, outcome: fn() -> Outcome) {
        let results = self.dialog.decided().iter().map(|decided: &Decided| {
            let mut call = decided.call.clone();
            call.approval = Some(decided.approval.clone());
            let outcome = match decided.approve {
                true => outcome(),
                false => Outcome::Declined {
                    reason: decided.reason.clone(),
                },
            };
            CallResult {
                call: CallRef::Mcp(call),
                outcome,
            }
        });
        let results: Vec<CallResult> = results.collect();
        self.ended(results);
    }

    fn ended(&mut self, results: Vec<CallResult>) {
        for result in &results {
            if let CallRef::Mcp(call) = &result.call
                && result.outcome.is_shown()
            {
                self.encoder
                    .show(Shown::Calls(std::slice::from_ref(call)), &mut self.frames);
            }
        }
        for result in results.iter().filter(|result| result.outcome.is_shown()) {
            self.encoder.show(Shown::Ended(result), &mut self.frames);
        }
        if !results.is_empty() {
            self.steps.push(Step::Results(results));
        }
    }

    /// A turn of the model, as the vendor says it; its calls end with `outcome` or wait for the client.
    pub(super) fn turn(&mut self, items: &[Value], outcome: fn() -> Outcome) -> &mut Self {
        let number = self
            .steps
            .iter()
            .filter(|step| matches!(step, Step::Turn(_)))
            .count();
        let mut decoder = ResponsesDecoder::default();
        let mut blocks = Vec::new();
        let mut end = None;
        let mut kept = Vec::new();
        for (name, data) in speak(items) {
            for event in decoder.event(Some(&name), &data).unwrap() {
                match event {
                    Event::Begin { .. } => {}
                    Event::End(last) => end = Some(last),
                    event => {
                        if let Event::Close { block, .. } = &event {
                            blocks.push(block.clone());
                        }
                        kept.push(event);
                    }
                }
            }
        }
        let table = self.dialog.table().clone();
        let mut ours = std::collections::HashSet::new();
        for event in &kept {
            if let Event::Open {
                index,
                kind: crate::adapters::event::Kind::Call { name, .. },
                ..
            } = event
                && table.has(name)
            {
                ours.insert(*index);
            }
            let index = match event {
                Event::Open { index, .. }
                | Event::Delta { index, .. }
                | Event::Close { index, .. } => *index,
                _ => continue,
            };
            if !ours.contains(&index) {
                self.show(Shown::Model {
                    wire: Wire::Responses,
                    turn: number,
                    event,
                });
            }
        }
        let (mut results, mut asked) = (Vec::new(), Vec::new());
        for block in &blocks {
            let Content::Call(call) = &block.content else {
                continue;
            };
            match table.resolve(call) {
                Some(call) if self.dialog.asks_client(&call) => asked.push(call),
                Some(call) => results.push(CallResult {
                    call: CallRef::Mcp(call),
                    outcome: outcome(),
                }),
                None if call.name == "mine" => {}
                None => results.push(CallResult {
                    call: CallRef::Unknown(call.clone()),
                    outcome: Outcome::NotRun {
                        text: "no such tool".to_owned(),
                    },
                }),
            }
        }
        self.steps.push(Step::Turn(ModelTurn {
            wire: Wire::Responses,
            model: "gpt-5-2026".to_owned(),
            blocks,
            end: end.unwrap(),
        }));
        self.ended(results);
        for call in &asked {
            self.show(Shown::Approval(call));
        }
        self
    }

    /// Ends as the last turn did; what the client got, and what is kept.
    pub(super) fn finish(&mut self) -> (Value, Option<Record>, Kept) {
        let end = self.steps.iter().rev().find_map(|step| match step {
            Step::Turn(turn) => Some(turn.end.reason.clone()),
            _ => None,
        });
        self.end(Ending::Model(end.unwrap_or(End::Complete)));
        let object = self.encoder.object();
        let (record, kept) = self.dialog.keep(&self.id, &self.steps, &object);
        (serde_json::from_str(&object).unwrap(), record, kept)
    }

    pub(super) fn end(&mut self, ending: Ending) {
        let mut usage = Usage::default();
        let ends: Vec<TurnEnd> = self
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Turn(turn) => Some(turn.end.clone()),
                _ => None,
            })
            .collect();
        ends.iter().for_each(|end| usage += end.usage);
        let finish = Finish {
            ending,
            usage,
            turns: ends.iter().map(|end| end.usage).collect(),
            steps: &self.steps,
        };
        self.encoder.show(Shown::Finish(&finish), &mut self.frames);
    }

    pub(super) fn events(&self) -> Vec<Value> {
        let text = str::from_utf8(&self.frames).unwrap();
        let frames = text.split_terminator("\n\n");
        let data = frames.map(|frame| frame.split_once("\ndata: ").unwrap().1);
        data.map(|data| serde_json::from_str(data).unwrap())
            .collect()
    }
}

pub(super) fn answered(text: &str) -> Outcome {
    let result = json!({ "content": [{ "type": "text", "text": text }] });
    Outcome::Answered {
        is_error: false,
        result: raw(result.to_string()),
    }
}

pub(super) fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({
        "id": format!("fc_{id}"), "type": "function_call", "status": "completed",
        "arguments": arguments, "call_id": format!("call_{id}"), "name": name,
    })
}

pub(super) fn message(id: &str, text: &str) -> Value {
    json!({
        "id": format!("msg_{id}"), "type": "message", "status": "completed", "role": "assistant",
        "content": [{ "type": "output_text", "annotations": [], "logprobs": [], "text": text }],
    })
}

pub(super) fn reasoning(id: &str) -> Value {
    json!({
        "id": format!("rs_{id}"), "type": "reasoning", "summary": [],
        "encrypted_content": format!("gAAA{id}"),
    })
}

/// The vendor's stream of `items`.
pub(super) fn speak(items: &[Value]) -> Vec<(String, String)> {
    let mut events = vec![json!({
        "type": "response.created", "response": { "id": "resp_1", "model": "gpt-5-2026" },
    })];
    for (index, item) in items.iter().enumerate() {
        let mut begun = item.clone();
        let mut deltas = Vec::new();
        let place = json!({ "item_id": item["id"], "output_index": index });
        let event = |kind: &str, more: Value| {
            let mut event = place.clone();
            let members = event.as_object_mut().unwrap();
            members.insert("type".to_owned(), json!(kind));
            members.extend(more.as_object().unwrap().clone());
            event
        };
        match item["type"].as_str().unwrap() {
            "function_call" => {
                begun["arguments"] = json!("");
                let arguments = &item["arguments"];
                let delta = json!({ "delta": arguments });
                deltas.push(event("response.function_call_arguments.delta", delta));
                let done = json!({ "arguments": arguments });
                deltas.push(event("response.function_call_arguments.done", done));
            }
            "message" => {
                begun["content"] = json!([]);
                let text = &item["content"][0]["text"];
                let part =
                    json!({ "content_index": 0, "part": { "type": "output_text", "text": "" } });
                deltas.push(event("response.content_part.added", part));
                let delta = json!({ "content_index": 0, "delta": text, "error": null });
                deltas.push(event("response.output_text.delta", delta));
                let done = json!({ "content_index": 0, "text": text });
                deltas.push(event("response.output_text.done", done));
                let part = json!({ "content_index": 0, "part": item["content"][0] });
                deltas.push(event("response.content_part.done", part));
            }
            _ => {}
        }
        events.push(json!({
            "type": "response.output_item.added", "output_index": index, "item": begun,
        }));
        events.extend(deltas);
        events.push(json!({
            "type": "response.output_item.done", "output_index": index, "item": item,
        }));
    }
    events.push(json!({
        "type": "response.completed",
        "response": {
            "id": "resp_1", "model": "gpt-5-2026", "status": "completed", "service_tier": "flex",
            "store": false, "output": items,
            "usage": {
                "input_tokens": 10, "input_tokens_details": { "cached_tokens": 4 },
                "output_tokens": 5, "output_tokens_details": { "reasoning_tokens": 2 },
            },
        },
    }));
    let frame = |event: Value| {
        (
            event["type"].as_str().unwrap().to_owned(),
            event.to_string(),
        )
    };
    events.into_iter().map(frame).collect()
}
