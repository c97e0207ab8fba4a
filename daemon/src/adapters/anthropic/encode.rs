//! The answer in this language: the frames of the stream, and the object that they add up to.

mod ending;
mod frames;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use self::ending::Ended;
use self::frames::{deltas, started};
use super::betas::McpBeta;
use super::{block, render, usage};
use crate::adapters::dialect::{Encoder, Shown};
use crate::adapters::event::{Block, Content, Delta, Event, Kind, Native, Usage, Wire};
use crate::adapters::problem;
use crate::adapters::raw::{Object, list};
use crate::adapters::step::{CallRef, Listing};
use crate::mcp::edit::{self, Edit};

pub(super) struct Messages {
    id: String,
    beta: McpBeta,
    /// Functions of the client.
    reserved: HashSet<String>,
    /// Servers whose tools the request itself listed; nobody was asked for them.
    given: HashSet<String>,
    model: String,
    usage: Usage,
    /// The blocks so far, complete or begun, in the order of their indices.
    content: Vec<String>,
    /// Where the open blocks of the model's turns are in `content`.
    open: HashMap<(usize, usize), usize>,
    ended: Option<Ended>,
}

impl Messages {
    pub(super) fn new(
        id: &str,
        beta: McpBeta,
        reserved: HashSet<String>,
        given: HashSet<String>,
    ) -> Self {
        Self {
            id: id.to_owned(),
            beta,
            reserved,
            given,
            model: String::new(),
            usage: Usage::default(),
            content: Vec::new(),
            open: HashMap::new(),
            ended: None,
        }
    }

    fn message(&self, content: &str, ended: Option<&Ended>) -> String {
        let object = Object::new().text("id", &self.id).text("type", "message");
        let object = object.text("role", "assistant").text("model", &self.model);
        let object = object.put("content", content);
        let Some(ended) = ended else {
            let usage = usage::members(&self.usage, Object::new()).json();
            let object = object
                .put("stop_reason", "null")
                .put("stop_sequence", "null");
            return object.put("usage", &usage).json();
        };
        let object = ended
            .delta
            .iter()
            .fold(object, |object, (key, value)| object.put(key, value));
        let object = object.put("usage", &ended.usage);
        let object = ended
            .more
            .iter()
            .fold(object, |object, (key, value)| object.put(key, value));
        object.json()
    }

    fn listing(&mut self, listing: &Listing, out: &mut Vec<u8>) {
        if self.beta < McpBeta::Listings || self.given.contains(&listing.label) {
            return;
        }
        let tools = listing.tools.iter().map(|tool| {
            Object::new()
                .text("name", &tool.name)
                .text_if("description", tool.description.as_deref())
                .put("input_schema", tool.input_schema.get())
                .json()
        });
        let block = Object::of_type("mcp_tool_listing").text("mcp_server_name", &listing.label);
        let block = block.put("tools", &list(tools)).json();
        self.whole(block.clone(), &block, &[], out);
    }

    /// A block that is there at once: `start` is how it begins, and `deltas` what leads to `block`.
    fn whole(&mut self, block: String, start: &str, deltas: &[String], out: &mut Vec<u8>) {
        let index = self.content.len();
        self.content.push(block);
        frames::start(index, start, out);
        for delta in deltas {
            frames::delta(index, delta, out);
        }
        frames::stop(index, out);
    }

    fn model(&mut self, wire: Wire, turn: usize, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Begin { .. } | Event::End(_) => {}
            Event::Open {
                index,
                kind,
                native,
            } => {
                let native = native.as_ref().filter(|_| wire == Wire::Messages);
                self.opens((turn, *index), kind, native, out);
            }
            Event::Delta {
                index,
                delta,
                native,
            } => {
                let Some(at) = self.open.get(&(turn, *index)).copied() else {
                    return;
                };
                match native.as_ref().filter(|_| wire == Wire::Messages) {
                    Some(native) => pass(at, native, out),
                    None => {
                        if let Some(delta) = delta.as_ref().and_then(synthesized) {
                            frames::delta(at, &delta, out);
                        }
                    }
                }
            }
            Event::Close { index, block } => self.closes(wire, (turn, *index), block, out),
        }
    }

    fn opens(
        &mut self,
        key: (usize, usize),
        kind: &Kind,
        native: Option<&Native>,
        out: &mut Vec<u8>,
    ) {
        let at = self.content.len();
        match native {
            Some(native) => pass(at, native, out),
            None => {
                let Some(start) = started(kind) else {
                    return;
                };
                frames::start(at, &start, out);
            }
        }
        self.content.push(String::new());
        self.open.insert(key, at);
    }

    fn closes(&mut self, wire: Wire, key: (usize, usize), block: &Block, out: &mut Vec<u8>) {
        let whole = visible(wire, block);
        let Some(at) = self.open.remove(&key) else {
            if let Some(whole) = whole {
                let (start, deltas) = deltas(&whole);
                self.whole(whole, &start, &deltas, out);
            }
            return;
        };
        if wire != Wire::Messages
            && matches!(block.content, Content::Thinking { .. })
            && let Some(signature) = render::signature(block)
        {
            let delta = Object::of_type("signature_delta").text("signature", &signature);
            frames::delta(at, &delta.json(), out);
        }
        self.content[at] = whole.unwrap_or_else(|| EMPTY.to_owned());
        frames::stop(at, out);
    }

    fn finish(&mut self, ended: Ended, out: &mut Vec<u8>) {
        let delta = ended.delta.iter();
        let delta = delta.fold(Object::new(), |object, (key, value)| object.put(key, value));
        let event = Object::of_type("message_delta").put("delta", &delta.json());
        let event = event.put("usage", &ended.usage);
        let event = ended
            .more
            .iter()
            .fold(event, |object, (key, value)| object.put(key, value));
        frames::frame("message_delta", &event.json(), out);
        frames::frame("message_stop", r#"{"type":"message_stop"}"#, out);
        self.ended = Some(ended);
    }
}

/// A text without a character, which was begun and so has to be there.
const EMPTY: &str = r#"{"type":"text","text":""}"#;

impl Encoder for Messages {
    fn show(&mut self, shown: Shown<'_>, out: &mut Vec<u8>) {
        match shown {
            Shown::Begin { model, usage } => {
                model.clone_into(&mut self.model);
                self.usage = usage;
                let message = self.message("[]", None);
                let event = Object::of_type("message_start").put("message", &message);
                frames::frame("message_start", &event.json(), out);
            }
            Shown::Listing(listing) => self.listing(listing, out),
            Shown::Model { wire, turn, event } => self.model(wire, turn, event, out),
            Shown::Calls(calls) => {
                for call in calls {
                    let block = render::mcp_tool_use(call);
                    let input = block::input(&call.call.arguments);
                    let delta = Object::of_type("input_json_delta").text("partial_json", &input);
                    self.whole(block.clone(), &block, &[delta.json()], out);
                }
            }
            Shown::Ended(result) => {
                if matches!(result.call, CallRef::Mcp(_)) && result.outcome.is_shown() {
                    let block = render::mcp_tool_result(result);
                    self.whole(block.clone(), &block, &[], out);
                }
            }
            // This language has no approvals.
            Shown::Approval(_) => {}
            Shown::Finish(finish) => self.finish(Ended::of(finish, &self.reserved), out),
            Shown::Failed(refusal) => {
                let body = problem::body(Wire::Messages, refusal).to_string();
                frames::frame("error", &body, out);
            }
        }
    }

    fn object(&self) -> String {
        let whole = self.content.iter().filter(|block| !block.is_empty());
        self.message(&list(whole), self.ended.as_ref())
    }
}

/// The vendor's own event under the index that it has here.
fn pass(at: usize, native: &Native, out: &mut Vec<u8>) {
    let index = Edit::Put(at.to_string().into());
    if let Ok(json) = edit::object(native.json.get(), &[("index", index)]) {
        frames::frame(&native.name, &json, out);
    }
}

fn synthesized(delta: &Delta) -> Option<String> {
    let (kind, key, text) = match delta {
        Delta::Text(text) | Delta::Refusal(text) => ("text_delta", "text", text),
        Delta::Thinking(text) => ("thinking_delta", "thinking", text),
        Delta::Arguments(text) => ("input_json_delta", "partial_json", text),
    };
    (!text.is_empty()).then(|| Object::of_type(kind).text(key, text).json())
}

/// The block as the client gets it.
fn visible(wire: Wire, block: &Block) -> Option<String> {
    render::said(wire, block).or_else(|| match &block.content {
        // Without a signature the vendor never wants it back; people may still read it.
        Content::Thinking { text } if !text.is_empty() => {
            let object = Object::of_type("thinking").text("thinking", text);
            Some(object.text("signature", "").json())
        }
        _ => None,
    })
}
