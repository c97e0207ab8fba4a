//! A request that is ready to be answered: what the model is sent, and what is kept.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::encode::ResponsesEncoder;
use super::history::History;
use super::object::{Echo, defaults};
use super::request::ResponsesRequest;
use super::{approvals, choice, entry, ids, transcript};
use crate::adapters::dialect::{Decided, Dialog, Encoder, Limits, Table};
use crate::adapters::event::Wire;
use crate::adapters::names;
use crate::adapters::raw::{Object, elements, list, quoted, raw};
use crate::adapters::record::{Found, Kept, OpenCall, Record};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::{Listing, McpCall, Step, Tool};
use crate::mcp::edit::{self, Edit, Members};

/// Fewer are refused by the vendor.
const MIN_OUTPUT_TOKENS: u64 = 16;
const SEALED: &str = "reasoning.encrypted_content";

#[derive(Debug)]
pub(super) struct ResponsesDialog {
    request: ResponsesRequest,
    table: Arc<Table>,
    decided: Vec<Decided>,
    /// Hidden items of the earlier answers that the request continues.
    chain: Vec<Box<RawValue>>,
    /// Those that the request's own input stands for.
    own: Vec<Box<RawValue>>,
    /// An answer that only the vendor has.
    vendors: Option<String>,
}

impl ResponsesDialog {
    pub(super) fn new(
        request: ResponsesRequest,
        found: &Found,
        table: Table,
    ) -> Result<Self, Refusal> {
        let vendors = parent(&request, found)?;
        if let Some(choice) = Members::of(&request.body)
            .ok()
            .and_then(|members| members.get("tool_choice"))
        {
            choice::rewritten(choice, &table, true)?;
        }
        let foreign = approvals::foreign(&request, found);
        let decided = approvals::decided(&request, found, &foreign)?;
        let pending = decided.iter().filter(|decided| decided.approve);
        let pending = pending.map(|decided| decided.call.call.id.as_str());
        let history = History::new(found, &table, (&request.elsewhere, &foreign), pending);
        let own = history.hidden(&request.input);
        let hidden = found.chain.iter().flat_map(|record| record.hidden.iter());
        Ok(Self {
            chain: hidden.cloned().collect(),
            own,
            vendors,
            request,
            table: Arc::new(table),
            decided,
        })
    }

    fn tools(&self, tools: Option<&RawValue>) -> Option<String> {
        let tools: Vec<&RawValue> = serde_json::from_str(tools?.get()).ok()?;
        let mut out: Vec<Cow<'_, str>> = Vec::new();
        for (at, tool) in tools.into_iter().enumerate() {
            match self.listing_at(at) {
                None => out.push(tool.get().into()),
                Some(listing) => out.extend(listing.tools.iter().map(|tool| function(tool).into())),
            }
        }
        Some(list(out))
    }

    /// The listing whose entry is the tool `at`.
    fn listing_at(&self, at: usize) -> Option<&Listing> {
        let entry = self.request.entries.iter().find(|entry| entry.at == at)?;
        let mut listings = self.table.listings().iter();
        listings.find(|listing| listing.label == entry.server.label)
    }

    fn tokens_left(&self, steps: &[Step]) -> Option<u64> {
        let max = self.request.max_output_tokens?;
        let spent = steps.iter().map(|step| match step {
            Step::Turn(turn) => turn.end.usage.output,
            _ => 0,
        });
        let spent = spent.fold(0_u64, u64::saturating_add);
        // The client's own number goes up as it is.
        (spent > 0).then(|| max.saturating_sub(spent).max(MIN_OUTPUT_TOKENS.min(max)))
    }

    fn echo(&self) -> Echo {
        let members = Members::of(&self.request.body);
        let members = members.map(|Members(members)| members).unwrap_or_default();
        let asked = |key: &str| {
            let found = members.iter().find(|(name, _)| name == key);
            found
                .map(|(_, value)| *value)
                .filter(|value| value.get() != "null")
        };
        let mut echo = defaults();
        for (key, value) in &mut echo {
            match (key.as_str(), asked(key)) {
                ("tools", Some(tools)) => *value = raw(shown_tools(tools)),
                (_, Some(asked)) => *value = asked.to_owned(),
                (_, None) => {}
            }
        }
        let more = [
            "prompt_cache_key",
            "safety_identifier",
            "top_logprobs",
            "prompt",
        ];
        for key in more {
            if let Some(value) = asked(key) {
                echo.push((key.to_owned(), value.to_owned()));
            }
        }
        Echo {
            model: self.request.model.clone(),
            members: echo,
        }
    }
}

/// The answer that only the vendor knows, where the conversation began with one.
fn parent(request: &ResponsesRequest, found: &Found) -> Result<Option<String>, Refusal> {
    if let Some(first) = found.chain.first() {
        return Ok(first.vendors.clone());
    }
    match &request.previous {
        Some(id) if ids::is_made(id) => {
            let message = format!(
                "Previous response with id '{id}' not found. It was deleted, is older than this bridge \
                 keeps answers, was too large to be kept or made with store:false, or belongs to \
                 another key. Send the whole history as input instead."
            );
            let refusal = Refusal::invalid("previous_response_id", message);
            Err(refusal.with_code("previous_response_not_found"))
        }
        vendors => Ok(vendors.clone()),
    }
}

fn function(tool: &Tool) -> String {
    Object::of_type("function")
        .text("name", &tool.function)
        .text_if("description", tool.description.as_deref())
        .put("parameters", tool.input_schema.get())
        .put("strict", "false")
        .json()
}

/// The client's tools without what only their servers may see.
fn shown_tools(tools: &RawValue) -> String {
    list(elements(Some(tools)).into_iter().map(|tool| {
        let shown = match entry::kind(tool).as_deref() {
            Some("mcp") => redacted(tool),
            _ => None,
        };
        shown.map_or(Cow::Borrowed(tool.get()), Cow::Owned)
    }))
}

fn redacted(tool: &RawValue) -> Option<String> {
    let members = Members::of(tool.get()).ok()?;
    let mut edits = vec![
        ("headers", Edit::Put("null".into())),
        ("authorization", Edit::Drop),
    ];
    if let Some(url) = members.get("server_url") {
        let url: String = serde_json::from_str(url.get()).unwrap_or_default();
        let shown = match url::Url::parse(&url) {
            Ok(url) => {
                let port = url
                    .port()
                    .map(|port| format!(":{port}"))
                    .unwrap_or_default();
                let host = url.host_str().unwrap_or_default();
                format!("{}://{host}{port}/<redacted>", url.scheme())
            }
            Err(_) => "mcp://<redacted>".to_owned(),
        };
        edits.push(("server_url", Edit::Put(quoted(&shown).into())));
    }
    edit::object(tool.get(), &edits).ok()
}

impl Dialog for ResponsesDialog {
    fn wire(&self) -> Wire {
        Wire::Responses
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
        &self.decided
    }

    fn asks_client(&self, call: &McpCall) -> bool {
        let mut entries = self.request.entries.iter();
        entries
            .find(|entry| entry.server.label == call.label)
            .is_none_or(|entry| entry.approval.asks(&call.tool, call.read_only))
    }

    fn body(&self, steps: &[Step]) -> Result<String, Refusal> {
        let body = &self.request.body;
        let unreadable = |error: serde_json::Error| {
            Refusal::invalid("body", format!("The request cannot be read: {error}."))
        };
        let members = Members::of(body).map_err(unreadable)?;
        let rounds = transcript::rounds(steps, &self.table);
        let base = self.chain.iter().chain(&self.own).map(|item| item.get());
        let more = rounds
            .iter()
            .flat_map(transcript::Round::hidden)
            .map(RawValue::get);
        let mut edits = vec![
            ("input", Edit::Put(list(base.chain(more)).into())),
            ("stream", Edit::Put("true".into())),
            ("store", Edit::Put("false".into())),
            ("include", Edit::Put(include(members.get("include")).into())),
            ("background", Edit::Drop),
            ("conversation", Edit::Drop),
        ];
        edits.push(match &self.vendors {
            Some(id) => ("previous_response_id", Edit::Put(quoted(id).into())),
            None => ("previous_response_id", Edit::Drop),
        });
        if !self.request.stream {
            edits.push(("stream_options", Edit::Drop));
        }
        if let Some(tools) = self.tools(members.get("tools")) {
            edits.push(("tools", Edit::Put(tools.into())));
        }
        if let Some(choice) = members.get("tool_choice") {
            let first = rounds.len() == 1 && self.decided.is_empty();
            let choice = choice::rewritten(choice, &self.table, first)?;
            edits.push(("tool_choice", Edit::Put(choice.into())));
        }
        if let Some(left) = self.tokens_left(steps) {
            edits.push(("max_output_tokens", Edit::Put(left.to_string().into())));
        }
        if !has_hosted_tools(members.get("tools"), &self.request) {
            // The cap on calls that are run here.
            edits.push(("max_tool_calls", Edit::Drop));
        }
        edit::object(body, &edits).map_err(unreadable)
    }

    fn encoder(&self, id: &str, now: i64) -> Box<dyn Encoder> {
        Box::new(ResponsesEncoder::new(self.echo(), id, now))
    }

    fn keep(&self, id: &str, steps: &[Step], object: &str) -> (Option<Record>, Kept) {
        let rounds = transcript::rounds(steps, &self.table);
        let open: Vec<OpenCall> = transcript::open_calls(steps, &self.table)
            .filter_map(|call| self.table.resolve(call))
            .map(|call| OpenCall {
                approval: ids::approval(id, &call.call.id),
                call,
            })
            .collect();
        let kept = Kept {
            fragments: transcript::fragments(&rounds, id),
            pins: self.pins(id),
            open: open.clone(),
        };
        let hidden = rounds.iter().flat_map(transcript::Round::hidden);
        let record = self.request.store.then(|| Record {
            id: id.to_owned(),
            wire: Wire::Responses,
            parent: self.request.previous.clone().filter(|id| ids::is_made(id)),
            vendors: self.vendors.clone(),
            hidden: self
                .own
                .iter()
                .cloned()
                .chain(hidden.map(ToOwned::to_owned))
                .collect(),
            listings: self.table.listings().to_vec(),
            version: names::VERSION,
            open,
            object: raw(object.to_owned()),
            input: self
                .request
                .input
                .iter()
                .map(|item| item.json.clone())
                .collect(),
        });
        (record, kept)
    }
}

impl ResponsesDialog {
    /// The listings that this answer shows, by their items. They are the first of its output.
    fn pins(&self, id: &str) -> Vec<(String, Vec<Listing>)> {
        let new = self
            .table
            .listings()
            .iter()
            .filter(|listing| !listing.known);
        new.enumerate()
            .map(|(at, listing)| {
                (
                    ids::made("mcpl", id, &at.to_string()),
                    vec![listing.clone()],
                )
            })
            .collect()
    }
}

/// With what the reasoning needs to come back to its vendor.
fn include(include: Option<&RawValue>) -> String {
    let asked = elements(include);
    let sealed = quoted(SEALED);
    let has = asked.iter().any(|value| value.get() == sealed);
    let asked = asked.iter().map(|value| value.get());
    list(asked.chain((!has).then_some(sealed.as_str())))
}

/// Whether the vendor runs tools of its own.
fn has_hosted_tools(tools: Option<&RawValue>, request: &ResponsesRequest) -> bool {
    elements(tools).iter().enumerate().any(|(at, tool)| {
        let is_ours = request.entries.iter().any(|entry| entry.at == at);
        let kind = entry::kind(tool);
        !is_ours && !matches!(kind.as_deref(), Some("function" | "custom" | "namespace"))
    })
}
