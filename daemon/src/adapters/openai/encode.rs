//! Shows an answer as a Responses API does: one stream of events, and one object.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::{Echo, Status};
use super::{ids, items, mcp_items};
use crate::adapters::dialect::{Encoder, Finish, Shown};
use crate::adapters::event::{Block, Delta, Event, Kind, Native, Usage, Wire};
use crate::adapters::raw::{Object, quoted, raw};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::{CallRef, CallResult, Listing, McpCall};
use crate::mcp::edit::{self, Edit};

mod part;
mod whole;

use part::Open;

pub struct ResponsesEncoder {
    echo: Echo,
    id: String,
    created: i64,
    model: String,
    sequence: u64,
    /// By output index.
    items: Vec<Item>,
    /// Of the model: turn and index to output index.
    blocks: HashMap<(usize, usize), usize>,
    /// Calls that run, by the vendor's id.
    calls: HashMap<String, usize>,
    /// The object that the stream ended with.
    last: Option<Box<RawValue>>,
}

enum Item {
    /// Of the model.
    Open(Open),
    /// A call that runs.
    Running(McpCall),
    Done(Box<RawValue>),
}

impl Encoder for ResponsesEncoder {
    fn show(&mut self, shown: Shown<'_>, frames: &mut Vec<u8>) {
        match shown {
            Shown::Begin { model, .. } => self.begin(model, frames),
            Shown::Listing(listing) if listing.known => {}
            Shown::Listing(listing) => self.listing(listing, frames),
            Shown::Model { wire, turn, event } => self.model(wire, turn, event, frames),
            Shown::Calls(calls) => calls.iter().for_each(|call| {
                self.run(call, frames);
            }),
            Shown::Ended(result) => self.ended(result, frames),
            Shown::Approval(call) => self.approval(call, frames),
            Shown::Finish(finish) => self.finish(finish, frames),
            Shown::Failed(refusal) => self.failed(refusal, frames),
        }
    }

    fn object(&self) -> String {
        match &self.last {
            Some(object) => object.get().to_owned(),
            None => self.response(&Status::InProgress, None, None),
        }
    }
}

impl ResponsesEncoder {
    pub fn new(echo: Echo, id: &str, created: i64) -> Self {
        Self {
            model: echo.model.clone(),
            echo,
            id: id.to_owned(),
            created,
            sequence: 0,
            items: Vec::new(),
            blocks: HashMap::new(),
            calls: HashMap::new(),
            last: None,
        }
    }

    fn begin(&mut self, model: &str, frames: &mut Vec<u8>) {
        model.clone_into(&mut self.model);
        let response = self.response(&Status::InProgress, None, None);
        for kind in ["response.created", "response.in_progress"] {
            self.emit(frames, kind, Object::new().put("response", &response));
        }
    }

    fn listing(&mut self, listing: &Listing, frames: &mut Vec<u8>) {
        let index = self.items.len();
        let id = ids::made("mcpl", &self.id, &index.to_string());
        let about = || Object::new().text("item_id", &id);
        self.added(frames, index, &mcp_items::listing(&id, listing, &[]));
        let item = mcp_items::listing(&id, listing, &listing.tools);
        self.items.push(Item::Done(item.clone()));
        for kind in ["in_progress", "completed"] {
            let kind = format!("response.mcp_list_tools.{kind}");
            self.at(frames, index, &kind, about());
        }
        self.done(frames, index, &item);
    }

    fn model(&mut self, wire: Wire, turn: usize, event: &Event, frames: &mut Vec<u8>) {
        let own = wire == Wire::Responses;
        match event {
            Event::Begin { .. } | Event::End(_) => {}
            Event::Open {
                index,
                kind,
                native,
            } => match native {
                Some(native) if own => self.open_native((turn, *index), kind, native, frames),
                // Shown whole when it closes.
                _ if own => {}
                _ => self.open_made((turn, *index), kind, frames),
            },
            Event::Delta {
                index,
                delta,
                native,
            } => {
                let Some(&at) = self.blocks.get(&(turn, *index)) else {
                    return;
                };
                match native {
                    Some(native) if own => self.pass(at, delta.as_ref(), native, frames),
                    _ => self.part(at, delta.as_ref(), frames),
                }
            }
            Event::Close { index, block } => {
                let native = block.native.as_deref().filter(|_| own);
                match native {
                    Some(item) => self.close_native((turn, *index), item, frames),
                    None => self.close_made((turn, *index), block, frames),
                }
            }
        }
    }

    fn open_native(
        &mut self,
        block: (usize, usize),
        kind: &Kind,
        native: &Native,
        frames: &mut Vec<u8>,
    ) {
        #[derive(Deserialize)]
        struct Added<'a> {
            #[serde(borrow)]
            item: &'a RawValue,
        }
        let Ok(added) = serde_json::from_str::<Added<'_>>(native.json.get()) else {
            return;
        };
        let index = self.items.len();
        self.blocks.insert(block, index);
        self.items
            .push(Item::Open(Open::native(kind.clone(), added.item)));
        self.forward(frames, index, native);
    }

    /// An event of the vendor's about an open item.
    fn pass(&mut self, at: usize, delta: Option<&Delta>, native: &Native, frames: &mut Vec<u8>) {
        let Item::Open(open) = &mut self.items[at] else {
            return;
        };
        open.follow(&native.name, delta);
        self.forward(frames, at, native);
    }

    fn close_native(&mut self, block: (usize, usize), item: &RawValue, frames: &mut Vec<u8>) {
        let index = match self.blocks.get(&block) {
            Some(&index) => index,
            None => {
                let index = self.items.len();
                self.blocks.insert(block, index);
                for (kind, own) in whole::events(item) {
                    self.at(frames, index, &kind, own);
                }
                self.items.push(Item::Done(item.to_owned()));
                index
            }
        };
        self.done(frames, index, item);
    }

    fn open_made(&mut self, block: (usize, usize), kind: &Kind, frames: &mut Vec<u8>) {
        let place = format!("{}_{}", block.0, block.1);
        let Some(open) = Open::made(kind.clone(), &self.id, &place) else {
            return;
        };
        let index = self.items.len();
        self.blocks.insert(block, index);
        self.added(frames, index, &open.item("in_progress"));
        self.items.push(Item::Open(open));
    }

    fn part(&mut self, at: usize, delta: Option<&Delta>, frames: &mut Vec<u8>) {
        let Item::Open(open) = &mut self.items[at] else {
            return;
        };
        let events = delta.map(|delta| open.delta(delta)).unwrap_or_default();
        for (kind, own) in events {
            self.at(frames, at, &kind, own);
        }
    }

    fn close_made(&mut self, block: (usize, usize), content: &Block, frames: &mut Vec<u8>) {
        if !self.blocks.contains_key(&block) {
            let Some(kind) = items::kind_of(&content.content) else {
                return;
            };
            self.open_made(block, &kind, frames);
        }
        let Some(&at) = self.blocks.get(&block) else {
            return;
        };
        let Item::Open(open) = &mut self.items[at] else {
            return;
        };
        let events = open.finish(&content.content);
        let item = open.finished(content);
        for (kind, own) in events {
            self.at(frames, at, &kind, own);
        }
        self.done(frames, at, &item);
    }

    /// A call, up to where it is sent to its server.
    fn run(&mut self, call: &McpCall, frames: &mut Vec<u8>) -> usize {
        let index = self.items.len();
        let id = ids::mcp_call(&self.id, &call.call.id);
        let about = || Object::new().text("item_id", &id);
        self.calls.insert(call.call.id.clone(), index);
        self.items.push(Item::Running(call.clone()));
        self.added(frames, index, &mcp_items::call_begun(&id, call));
        self.at(frames, index, "response.mcp_call.in_progress", about());
        let arguments = &call.call.arguments;
        let delta = about().text("delta", arguments);
        self.at(frames, index, "response.mcp_call_arguments.delta", delta);
        let done = about().text("arguments", arguments);
        self.at(frames, index, "response.mcp_call_arguments.done", done);
        index
    }

    fn ended(&mut self, result: &CallResult, frames: &mut Vec<u8>) {
        let CallRef::Mcp(call) = &result.call else {
            return;
        };
        let Some(outcome) = super::outcome::visible(&result.outcome) else {
            return;
        };
        let index = match self.calls.get(&call.call.id) {
            Some(&index) => index,
            None => self.run(call, frames),
        };
        let id = ids::mcp_call(&self.id, &call.call.id);
        let kind = match outcome.error == "null" {
            true => "response.mcp_call.completed",
            false => "response.mcp_call.failed",
        };
        self.at(frames, index, kind, Object::new().text("item_id", &id));
        self.done(frames, index, &mcp_items::call(&id, call, &outcome));
    }

    fn approval(&mut self, call: &McpCall, frames: &mut Vec<u8>) {
        let index = self.items.len();
        let item = mcp_items::approval_request(&self.id, call);
        self.added(frames, index, &item);
        self.items.push(Item::Done(item.clone()));
        self.done(frames, index, &item);
    }

    fn finish(&mut self, finish: &Finish<'_>, frames: &mut Vec<u8>) {
        self.close_all(frames);
        let status = Status::of(&finish.ending);
        let native = super::object::last_native(finish.steps);
        self.end(&status, Some(finish.usage), native, frames);
    }

    fn failed(&mut self, refusal: &Refusal, frames: &mut Vec<u8>) {
        self.close_all(frames);
        self.end(&Status::refused(refusal), None, None, frames);
    }

    fn end(
        &mut self,
        status: &Status,
        usage: Option<Usage>,
        native: Option<&RawValue>,
        frames: &mut Vec<u8>,
    ) {
        let response = self.response(status, usage, native);
        let own = Object::new().put("response", &response);
        self.emit(frames, status.event(), own);
        self.last = Some(raw(response));
    }

    /// Every item that was opened is closed before the answer ends.
    fn close_all(&mut self, frames: &mut Vec<u8>) {
        for at in 0..self.items.len() {
            match &mut self.items[at] {
                Item::Open(open) => {
                    let events = open.cut();
                    let item = open.item("incomplete");
                    for (kind, own) in events {
                        self.at(frames, at, &kind, own);
                    }
                    self.done(frames, at, &item);
                }
                Item::Running(call) => {
                    let id = ids::mcp_call(&self.id, &call.call.id);
                    let item = mcp_items::call_lost(&id, call);
                    let own = Object::new().text("item_id", &id);
                    self.at(frames, at, "response.mcp_call.failed", own);
                    self.done(frames, at, &item);
                }
                Item::Done(_) => {}
            }
        }
    }

    fn response(&self, status: &Status, usage: Option<Usage>, native: Option<&RawValue>) -> String {
        let output = self.items.iter().filter_map(|item| match item {
            Item::Done(item) => Some(item.get()),
            _ => None,
        });
        let output: Vec<&str> = output.collect();
        let own = super::object::Own {
            id: &self.id,
            created: self.created,
            model: &self.model,
            output: &output,
            status,
            usage,
        };
        self.echo.object(&own, native)
    }

    fn added(&mut self, frames: &mut Vec<u8>, index: usize, item: &RawValue) {
        let own = Object::new().put("item", item.get());
        self.at(frames, index, "response.output_item.added", own);
    }

    fn done(&mut self, frames: &mut Vec<u8>, index: usize, item: &RawValue) {
        let own = Object::new().put("item", item.get());
        self.at(frames, index, "response.output_item.done", own);
        self.items[index] = Item::Done(item.to_owned());
    }

    /// An event about the item at `index`.
    fn at(&mut self, frames: &mut Vec<u8>, index: usize, kind: &str, own: Object) {
        self.emit(frames, kind, own.put("output_index", &index.to_string()));
    }

    fn emit(&mut self, frames: &mut Vec<u8>, kind: &str, own: Object) {
        let json = own
            .text("type", kind)
            .put("sequence_number", &self.sequence.to_string())
            .json();
        self.frame(frames, kind, &json);
    }

    /// The vendor's event, in its place of this stream.
    fn forward(&mut self, frames: &mut Vec<u8>, index: usize, native: &Native) {
        let edits = [
            ("type", Edit::Put(quoted(&native.name).into())),
            ("output_index", Edit::Put(index.to_string().into())),
            (
                "sequence_number",
                Edit::Put(self.sequence.to_string().into()),
            ),
            // Clients take any event that has one for the end of the stream.
            ("error", Edit::Drop),
        ];
        if let Ok(json) = edit::object(native.json.get(), &edits) {
            self.frame(frames, &native.name, &json);
        }
    }

    fn frame(&mut self, frames: &mut Vec<u8>, kind: &str, json: &str) {
        self.sequence += 1;
        frames.extend_from_slice(b"event: ");
        frames.extend_from_slice(kind.as_bytes());
        frames.extend_from_slice(b"\ndata: ");
        // Line breaks are in no JSON string; between values they are blanks like others.
        frames.extend(json.bytes().map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            byte => byte,
        }));
        frames.extend_from_slice(b"\n\n");
    }
}
