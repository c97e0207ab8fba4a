//! A request that is ready to be answered: what the model is sent, and what is kept of the answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use super::encode::Messages;
use super::history::{self, Known};
use super::ids;
use super::json::unquoted;
use super::keep;
use super::render;
use super::request::MessagesRequest;
use crate::adapters::dialect::{Decided, Dialog, Encoder, Limits, Table};
use crate::adapters::event::{End, Wire};
use crate::adapters::raw::{list, quoted};
use crate::adapters::record::{Found, Kept, Record};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::{Listing, McpCall, Step};
use crate::mcp::edit::{self, Edit, Members};

pub(super) struct MessagesDialog {
    request: MessagesRequest,
    table: Arc<Table>,
    reserved: HashSet<String>,
    /// The messages of the request, as the vendor gets them.
    base: Vec<Box<RawValue>>,
    /// JSON of `tools` for the vendor. None if there are none.
    tools: Option<String>,
    limits: Limits,
}

impl MessagesDialog {
    pub(super) fn new(request: MessagesRequest, found: Found, listings: Vec<Listing>) -> Self {
        use crate::adapters::dialect::Request as _;
        let table = Table::new(listings);
        request.offer.report_unknown(&table);
        let vendors = request.offer.vendors.iter();
        let known = Known {
            fragments: &found.fragments,
            table: &table,
            vendors: vendors.map(|(name, _)| name.as_str()).collect(),
        };
        let base = history::hidden(&request.messages, &known);
        let functions = request.offer.functions(&table);
        let limits = Limits {
            calls: None,
            parallel: !disables_parallel(&request.body),
        };
        Self {
            reserved: request.reserved().into_iter().collect(),
            tools: (!functions.is_empty()).then(|| list(functions)),
            request,
            table: Arc::new(table),
            base,
            limits,
        }
    }

    /// The whole list of messages after `steps`.
    fn messages(&self, steps: &[Step]) -> String {
        let mut more = Vec::new();
        let mut said: Vec<String> = Vec::new();
        for step in steps {
            match step {
                Step::Turn(turn) => {
                    let blocks = turn.blocks.iter();
                    said.extend(blocks.filter_map(|block| render::said(turn.wire, block)));
                    // After a pause the vendor goes on with the same message.
                    if turn.end.reason != End::Pause && !said.is_empty() {
                        let content = list(std::mem::take(&mut said));
                        more.push(history::message("assistant", &content));
                    }
                }
                Step::Results(results) if !results.is_empty() => {
                    let content = list(results.iter().map(render::tool_result));
                    more.push(history::message("user", &content));
                }
                _ => {}
            }
        }
        if !said.is_empty() {
            more.push(history::message("assistant", &list(said)));
        }
        list(self.base.iter().chain(&more).map(|message| message.get()))
    }

    fn edited(&self, steps: &[Step], more: &[(&str, Edit<'_>)]) -> Result<String, Refusal> {
        let vendors = &self.request.offer.vendors;
        let servers = match vendors.is_empty() {
            true => Edit::Drop,
            false => Edit::Put(list(vendors.iter().map(|(_, raw)| raw.get())).into()),
        };
        let tools = match &self.tools {
            Some(tools) => Edit::Put(tools.as_str().into()),
            None => Edit::Drop,
        };
        let mut edits = vec![
            ("messages", Edit::Put(self.messages(steps).into())),
            ("mcp_servers", servers),
            ("tools", tools),
        ];
        edits.extend(more.iter().cloned());
        edit::object(&self.request.body, &edits)
            .map_err(|_| Refusal::invalid("body", "must be a JSON object"))
    }

    pub(super) fn count(&self) -> Result<String, Refusal> {
        let mut more = Vec::new();
        if self.tools.is_none() {
            more.push(("tool_choice", Edit::Drop));
        }
        self.edited(&[], &more)
    }

    /// `tool_choice` that is not the client's own any more. A tool that is forced once and again would
    /// never let the model answer.
    fn choice(&self, steps: &[Step]) -> Option<Edit<'static>> {
        if self.tools.is_none() {
            return Some(Edit::Drop);
        }
        if !steps.iter().any(|step| matches!(step, Step::Turn(_))) {
            return None;
        }
        let choice = Members::of(&self.request.body).ok()?.get("tool_choice")?;
        let members = Members::of(choice.get()).ok()?;
        let kind = members.get("type").and_then(unquoted)?;
        if kind != "any" && kind != "tool" {
            return None;
        }
        let edits = [
            ("type", Edit::Put(quoted("auto").into())),
            ("name", Edit::Drop),
        ];
        let auto = edit::object(choice.get(), &edits).ok()?;
        Some(Edit::Put(auto.into()))
    }
}

fn disables_parallel(body: &str) -> bool {
    let choice = Members::of(body).ok().and_then(|it| it.get("tool_choice"));
    let choice = choice.and_then(|it| Members::of(it.get()).ok());
    let flag = choice.and_then(|it| it.get("disable_parallel_tool_use"));
    flag.map(RawValue::get) == Some("true")
}

impl Dialog for MessagesDialog {
    fn wire(&self) -> Wire {
        Wire::Messages
    }

    fn model(&self) -> &str {
        &self.request.model
    }

    fn table(&self) -> &Arc<Table> {
        &self.table
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn decided(&self) -> &[Decided] {
        &[]
    }

    fn asks_client(&self, _: &McpCall) -> bool {
        false
    }

    fn body(&self, steps: &[Step]) -> Result<String, Refusal> {
        let mut more = vec![("stream", Edit::Put("true".into()))];
        if let Some(choice) = self.choice(steps) {
            more.push(("tool_choice", choice));
        }
        self.edited(steps, &more)
    }

    fn encoder(&self, id: &str, _now: i64) -> Box<dyn Encoder> {
        let given = self.request.offer.servers.iter();
        let given = given.filter(|entry| entry.given.is_some());
        Box::new(Messages::new(
            id,
            self.request.beta,
            self.reserved.clone(),
            given.map(|entry| entry.label.clone()).collect(),
        ))
    }

    fn keep(&self, id: &str, steps: &[Step], _object: &str) -> (Option<Record>, Kept) {
        let is_mcp = |function: &str| self.table.has(function);
        let fragments = keep::fragments(id, steps, is_mcp, &self.reserved);
        let mut keys = fragments.iter().map(|(key, _)| key);
        let first = keys.find(|key| ids::is_visible(key));
        let mut pins: HashMap<String, Vec<Listing>> = HashMap::new();
        for (at, entry) in self.request.offer.servers.iter().enumerate() {
            let Some(listing) = self
                .table
                .listings()
                .iter()
                .find(|it| it.label == entry.label)
            else {
                continue;
            };
            let call = first.map(|call| self.request.pin_of_call(at, call));
            for pin in call.into_iter().chain([self.request.pin_of_beginning(at)]) {
                pins.insert(pin, vec![listing.clone()]);
            }
        }
        let pins = pins.into_iter().collect();
        let kept = Kept {
            fragments,
            pins,
            ..Kept::default()
        };
        (None, kept)
    }
}
