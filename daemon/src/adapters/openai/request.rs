//! A request for a response, as far as it is read before anything is asked.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dialog::ResponsesDialog;
use super::entry::{Entries, Entry, kind};
use super::history::{Head, Item, listed_tools};
use super::ids;
use super::items::CLIENT_ITEMS;
use crate::adapters::dialect::{Dialog, Limits, Request, ServerEntry, Table};
use crate::adapters::names::mangle;
use crate::adapters::raw::{Object, elements};
use crate::adapters::record::{Found, References};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::{Listing, Tool};
use crate::adapters::target::Target;
use crate::mcp::edit::Members;

pub enum Parsed {
    /// MCP is executed here.
    Ours(Box<dyn Request>),
    /// Nothing in it is for us: the vendor gets it as it is.
    Plain,
}

/// A request with servers of ours, or that continues an answer of ours.
#[derive(Debug)]
pub(super) struct ResponsesRequest {
    pub(super) body: String,
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) store: bool,
    pub(super) previous: Option<String>,
    pub(super) limits: Limits,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) entries: Vec<Entry>,
    servers: Vec<ServerEntry>,
    /// Labels of servers that the vendor executes.
    pub(super) elsewhere: Vec<String>,
    pub(super) input: Vec<Item>,
    /// Functions of the client.
    functions: Vec<String>,
    /// By label, the tools of the listings that the client sends back.
    resent: HashMap<String, Vec<Tool>>,
}

/// With `is_foreign` the model's vendor speaks another language, so nothing can pass as it is.
///
/// # Errors
/// It has servers of ours and cannot be answered, or one that nobody can reach.
pub fn parse(
    body: &str,
    gateway: &dyn Fn(&str) -> Target,
    is_foreign: bool,
) -> Result<Parsed, Refusal> {
    let Ok(members) = Members::of(body) else {
        return Ok(Parsed::Plain);
    };
    let tools: Vec<&RawValue> = elements(members.get("tools"));
    let entries = Entries::of(&tools, gateway)?;
    if entries.ours.is_empty() && !is_foreign && !continues_ours(body, &members, &tools) {
        return Ok(Parsed::Plain);
    }
    unique(&members)?;
    let request = read(body, &members, entries)?;
    Ok(Parsed::Ours(Box::new(request)))
}

/// The client left its servers out, and what it continues is still ours.
fn continues_ours(body: &str, members: &Members<'_>, tools: &[&RawValue]) -> bool {
    let previous = members.get("previous_response_id").and_then(string);
    if previous.is_some_and(|id| ids::is_made(&id)) {
        return true;
    }
    // Most requests are none of ours, and their history may be long.
    if !ids::has_listing(body)
        || tools
            .iter()
            .any(|tool| kind(tool).as_deref() == Some("mcp"))
    {
        return false;
    }
    let input = elements(members.get("input")).into_iter();
    let mut ids = input.filter_map(|item| Head::of(item).id);
    ids.any(|id| ids::is_made(&id))
}

/// Readers may differ in which of two they take.
fn unique(members: &Members<'_>) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    match members.0.iter().find(|(key, _)| !seen.insert(key)) {
        None => Ok(()),
        Some((key, _)) => {
            let message = format!("'{key}' is given twice. Give it once.");
            Err(Refusal::invalid(key.clone(), message).with_code("invalid_value"))
        }
    }
}

fn read(body: &str, members: &Members<'_>, entries: Entries) -> Result<ResponsesRequest, Refusal> {
    refuse_unsupported(members)?;
    let model = model(members)?;
    let previous: Option<String> = optional(members, "previous_response_id")?;
    let input = input(members.get("input"));
    let servers = entries.ours.iter().map(|entry| entry.server.clone());
    let mut request = ResponsesRequest {
        body: body.to_owned(),
        model,
        stream: optional(members, "stream")?.unwrap_or(false),
        store: optional(members, "store")?.unwrap_or(true),
        previous,
        limits: Limits {
            calls: optional(members, "max_tool_calls")?,
            parallel: optional(members, "parallel_tool_calls")?.unwrap_or(true),
        },
        max_output_tokens: optional(members, "max_output_tokens")?,
        servers: servers.collect(),
        entries: entries.ours,
        elsewhere: entries.elsewhere,
        functions: functions(members, &input),
        input,
        resent: HashMap::new(),
    };
    request.resent = request.resent();
    Ok(request)
}

fn refuse_unsupported(members: &Members<'_>) -> Result<(), Refusal> {
    let refused = |key: &str, message: &str| {
        Err(Refusal::invalid(key, message).with_code("unsupported_parameter"))
    };
    if members
        .get("background")
        .is_some_and(|value| value.get() == "true")
    {
        return refused(
            "background",
            "background is not supported together with MCP servers of this bridge, because their \
             tools run while the request is open. Leave background out, and stream the answer.",
        );
    }
    if members
        .get("conversation")
        .is_some_and(|value| value.get() != "null")
    {
        return refused(
            "conversation",
            "conversation is not supported together with MCP servers of this bridge: the vendor \
             would keep their results in it as those of plain functions. Use previous_response_id, \
             or send the history as input.",
        );
    }
    Ok(())
}

impl Request for ResponsesRequest {
    fn streams(&self) -> bool {
        self.stream
    }

    fn servers(&self) -> &[ServerEntry] {
        &self.servers
    }

    fn references(&self) -> References {
        let heads = || self.input.iter().map(|item| &item.head);
        let mut items: Vec<String> = heads()
            .flat_map(|head| [&head.id, &head.approval_request_id])
            .flatten()
            .cloned()
            .collect();
        items.sort_unstable();
        items.dedup();
        let listings = heads().filter(|head| head.is_listing());
        let pins = listings.filter_map(|head| head.id.clone());
        References {
            parent: self.previous.clone(),
            items,
            pins: pins.collect(),
        }
    }

    fn reserved(&self) -> Vec<String> {
        let own = CLIENT_ITEMS.iter().map(ToString::to_string);
        self.functions.iter().cloned().chain(own).collect()
    }

    fn pinned(&self, entry: &ServerEntry, found: &Found) -> Option<Listing> {
        let known = found.chain.last().map(|record| record.listings.iter());
        let heads = self.input.iter().rev().map(|item| &item.head);
        let pinned = heads
            .filter(|head| head.is_listing())
            .filter_map(|head| found.pins.get(head.id.as_ref()?));
        let mut kept = known.into_iter().flatten().chain(pinned.flatten());
        let listing = kept.find(|listing| entry.has(listing)).cloned();
        let listing = listing.or_else(|| self.derived(entry))?;
        Some(entry.narrowed(listing))
    }

    fn bind(
        self: Box<Self>,
        found: Found,
        listings: Vec<Listing>,
    ) -> Result<Box<dyn Dialog>, Refusal> {
        let table = Table::new(listings);
        refuse_taken(&self.functions, &table)?;
        ResponsesDialog::new(*self, &found, table).map(|dialog| Box::new(dialog) as Box<dyn Dialog>)
    }
}

impl ResponsesRequest {
    /// The listing that the client sends back, where nothing better is known.
    fn derived(&self, entry: &ServerEntry) -> Option<Listing> {
        let tools = self.resent.get(&entry.label)?;
        Some(Listing {
            label: entry.label.clone(),
            server: entry.server.clone(),
            tools: tools.clone(),
            known: true,
        })
    }

    /// Names are given in the order of the entries, as they were the first time.
    fn resent(&self) -> HashMap<String, Vec<Tool>> {
        let mut listings: HashMap<&str, &RawValue> = HashMap::new();
        for Item { head, json } in self.input.iter().filter(|item| item.head.is_listing()) {
            let label = head.server_label.as_deref().unwrap_or_default();
            listings.entry(label).or_insert(json);
        }
        let mut taken: HashSet<String> = self.reserved().into_iter().collect();
        let mut resent = HashMap::new();
        for label in self.servers.iter().map(|entry| &entry.label) {
            let listing = listings.get(label.as_str());
            let mut tools = listing
                .and_then(|item| listed_tools(item))
                .unwrap_or_default();
            for tool in &mut tools {
                tool.function = mangle(label, &tool.name, |name| taken.contains(name));
                taken.insert(tool.function.clone());
            }
            if !tools.is_empty() {
                resent.insert(label.clone(), tools);
            }
        }
        resent
    }
}

/// Names that the model may call and that the client answers.
fn functions(members: &Members<'_>, input: &[Item]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(rename = "type")]
        kind: Option<String>,
        name: Option<String>,
        #[serde(borrow)]
        tools: Option<&'a RawValue>,
    }
    let mut open: Vec<&RawValue> = elements(members.get("tools"));
    // Some items bring tools along (`additional_tools`, `tool_search_output`).
    for Item { json, .. } in input {
        if let Ok(Named { kind, tools, .. }) = serde_json::from_str(json.get())
            && kind.as_deref() != Some("mcp_list_tools")
        {
            open.extend(elements(tools));
        }
    }
    let mut names = Vec::new();
    while let Some(tool) = open.pop() {
        let Ok(Named { kind, name, tools }) = serde_json::from_str(tool.get()) else {
            continue;
        };
        match kind.as_deref() {
            Some("function" | "custom") => names.extend(name),
            Some("namespace") => open.extend(elements(tools)),
            _ => {}
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// `input` as a list of items.
fn input(value: Option<&RawValue>) -> Vec<Item> {
    let Some(value) = value else {
        return Vec::new();
    };
    if value.get().starts_with('"') {
        let item = Object::of_type("message").text("role", "user");
        return vec![Item::of(item.put("content", value.get()).done())];
    }
    let items = elements(Some(value)).into_iter();
    items.map(|item| Item::of(item.to_owned())).collect()
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

pub(super) fn model(members: &Members<'_>) -> Result<String, Refusal> {
    optional(members, "model")?.ok_or_else(|| missing("model"))
}

pub(super) fn missing(param: &str) -> Refusal {
    let message = format!("Missing required parameter: '{param}'.");
    Refusal::invalid(param, message).with_code("missing_required_parameter")
}

/// # Errors
/// A function of the client has the name of a tool.
pub(super) fn refuse_taken(functions: &[String], table: &Table) -> Result<(), Refusal> {
    let Some(name) = functions.iter().find(|name| table.has(name)) else {
        return Ok(());
    };
    let message = format!(
        "The function {name:?} has the name of a tool of this conversation's MCP servers. Give it another."
    );
    Err(Refusal::invalid("tools", message).with_code("invalid_value"))
}

pub(super) fn optional<T: for<'de> Deserialize<'de>>(
    members: &Members<'_>,
    key: &str,
) -> Result<Option<T>, Refusal> {
    let Some(value) = members.get(key) else {
        return Ok(None);
    };
    serde_json::from_str(value.get()).map_err(|error| {
        let message = format!("Invalid value for '{key}': {error}.");
        Refusal::invalid(key, message).with_code("invalid_value")
    })
}
