//! A request that is ready to be answered: what the model is sent, and what is kept.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::encode::ChatEncoder;
use super::request::ChatRequest;
use super::{choice, history};
use crate::adapters::dialect::{Decided, Dialog, Encoder, Limits, Table};
use crate::adapters::event::Wire;
use crate::adapters::raw::{Object, elements, list};
use crate::adapters::record::{Found, Kept, Record};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::{Listing, McpCall, Step, Tool};
use crate::mcp::edit::{self, Edit, Members};

#[derive(Debug)]
pub(super) struct ChatDialog {
    request: ChatRequest,
    table: Arc<Table>,
    /// The hidden messages that those of the request stand for.
    own: Vec<Box<RawValue>>,
}

impl ChatDialog {
    pub(super) fn new(request: ChatRequest, found: &Found, table: Table) -> Result<Self, Refusal> {
        let members = Members::of(&request.body).ok();
        let choice = members.and_then(|members| members.get("tool_choice"));
        if let Some(choice) = choice {
            choice::rewritten(choice, &table, true)?;
        }
        let own = history::hidden(&request.messages, &found.fragments);
        Ok(Self {
            request,
            table: Arc::new(table),
            own,
        })
    }

    fn tools(&self, tools: Option<&RawValue>) -> String {
        let mut out: Vec<Cow<'_, str>> = Vec::new();
        for (at, tool) in elements(tools).into_iter().enumerate() {
            match self.listing_at(at) {
                None => out.push(tool.get().into()),
                Some(listing) => out.extend(listing.tools.iter().map(|tool| function(tool).into())),
            }
        }
        list(out)
    }

    /// The listing whose entry is the tool `at`.
    fn listing_at(&self, at: usize) -> Option<&Listing> {
        let mut entries = self.request.servers.iter();
        let entry = entries.find(|entry| entry.at == at)?;
        let mut listings = self.table.listings().iter();
        listings.find(|listing| listing.label == entry.server.label)
    }
}

fn function(tool: &Tool) -> String {
    let function = Object::new()
        .text("name", &tool.function)
        .text_if("description", tool.description.as_deref())
        .put("parameters", tool.input_schema.get());
    Object::of_type("function")
        .put("function", &function.json())
        .json()
}

impl Dialog for ChatDialog {
    fn wire(&self) -> Wire {
        Wire::Chat
    }

    fn model(&self) -> &str {
        &self.request.model
    }

    fn table(&self) -> &Arc<Table> {
        &self.table
    }

    fn limits(&self) -> Limits {
        self.request.limits
    }

    fn decided(&self) -> &[Decided] {
        &[]
    }

    fn asks_client(&self, _call: &McpCall) -> bool {
        false
    }

    /// Nothing on this wire asks for an approval, so it is put to a person here.
    fn asks_person(&self, call: &McpCall) -> bool {
        let mut entries = self.request.servers.iter();
        let entry = entries.find(|entry| entry.server.label == call.label);
        entry.is_none_or(|entry| entry.approval.asks(&call.tool, call.read_only))
    }

    fn body(&self, steps: &[Step]) -> Result<String, Refusal> {
        let body = &self.request.body;
        let unreadable = |error: serde_json::Error| {
            Refusal::invalid("body", format!("The request cannot be read: {error}."))
        };
        let members = Members::of(body).map_err(unreadable)?;
        let more = history::of_steps(steps);
        let messages = self.own.iter().chain(&more).map(|message| message.get());
        let tools = self.tools(members.get("tools"));
        let mut edits = vec![
            ("messages", Edit::Put(list(messages).into())),
            ("stream", Edit::Put("true".into())),
            (
                "stream_options",
                Edit::Put(r#"{"include_usage":true}"#.into()),
            ),
        ];
        // An empty list is refused by the vendor, and so are the fields about it.
        if tools == "[]" {
            edits.extend(
                ["tools", "tool_choice", "parallel_tool_calls"].map(|key| (key, Edit::Drop)),
            );
        } else {
            edits.push(("tools", Edit::Put(tools.into())));
            if let Some(choice) = members.get("tool_choice") {
                let choice = choice::rewritten(choice, &self.table, more.is_empty())?;
                edits.push(("tool_choice", Edit::Put(choice.into())));
            }
        }
        edit::object(body, &edits).map_err(unreadable)
    }

    fn encoder(&self, id: &str, now: i64) -> Box<dyn Encoder> {
        let request = &self.request;
        let encoder = ChatEncoder::new(id, now, &request.model, request.shows_usage);
        Box::new(encoder)
    }

    fn keep(&self, id: &str, steps: &[Step], object: &str) -> (Option<Record>, Kept) {
        let Some(answer) = visible(object) else {
            return (None, Kept::default());
        };
        let before = history::paths(&self.request.messages);
        let before = before
            .last()
            .map_or_else(history::Path::begin, |(path, _)| *path);
        let key = before.then(&answer).key();
        let kept = Kept {
            fragments: vec![(key.clone(), history::fragment(steps, id))],
            pins: vec![(key, self.table.listings().to_vec())],
            open: Vec::new(),
        };
        (None, kept)
    }
}

/// The message of `object`, as the client will send it back.
fn visible(object: &str) -> Option<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Completion {
        choices: Vec<Choice>,
    }
    #[derive(serde::Deserialize)]
    struct Choice {
        message: Box<RawValue>,
    }
    let read: Completion = serde_json::from_str(object).ok()?;
    read.choices.into_iter().next().map(|choice| choice.message)
}
