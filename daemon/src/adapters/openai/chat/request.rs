//! A request for a chat completion, as far as it is read before anything is asked.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dialog::ChatDialog;
use super::history;
use crate::adapters::dialect::{Dialog, Limits, Request, ServerEntry, Table};
use crate::adapters::openai::Parsed;
use crate::adapters::openai::entry::{Entries, Entry, kind};
use crate::adapters::openai::request::{model, optional, refuse_taken};
use crate::adapters::raw::elements;
use crate::adapters::record::{Found, References};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::Listing;
use crate::adapters::target::Target;
use crate::mcp::edit::Members;

/// A request with servers of ours.
#[derive(Debug)]
pub(super) struct ChatRequest {
    pub(super) body: String,
    pub(super) model: String,
    stream: bool,
    /// The client wants to see the usage in the stream.
    pub(super) shows_usage: bool,
    pub(super) limits: Limits,
    pub(super) messages: Vec<Box<RawValue>>,
    pub(super) servers: Vec<Entry>,
    entries: Vec<ServerEntry>,
    /// Functions of the client.
    functions: Vec<String>,
}

/// # Errors
/// It has servers of ours and cannot be answered, or one that nobody can reach.
pub fn parse(body: &str, gateway: &dyn Fn(&str) -> Target) -> Result<Parsed, Refusal> {
    let Ok(members) = Members::of(body) else {
        return Ok(Parsed::Plain);
    };
    let tools: Vec<&RawValue> = elements(members.get("tools"));
    let entries = Entries::of(&tools, gateway)?;
    if entries.ours.is_empty() {
        return Ok(Parsed::Plain);
    }
    if let Some(label) = entries.elsewhere.first() {
        let message = format!(
            "The MCP server {label:?} is none of this bridge, and Chat Completions runs no MCP at the \
             vendor. Add it with `mcpbridgectl add NAME URL`, or use the Responses API."
        );
        return Err(Refusal::invalid("tools", message).with_code("invalid_value"));
    }
    refuse_unsupported(&members)?;
    let model = model(&members)?;
    let servers = entries.ours;
    Ok(Parsed::Ours(Box::new(ChatRequest {
        body: body.to_owned(),
        model,
        stream: optional(&members, "stream")?.unwrap_or(false),
        shows_usage: shows_usage(&members)?,
        limits: Limits {
            calls: None,
            parallel: optional(&members, "parallel_tool_calls")?.unwrap_or(true),
        },
        messages: optional(&members, "messages")?.unwrap_or_default(),
        entries: servers.iter().map(|entry| entry.server.clone()).collect(),
        servers,
        functions: functions(&tools),
    })))
}

fn refuse_unsupported(members: &Members<'_>) -> Result<(), Refusal> {
    let said = |key: &str| members.get(key).map(RawValue::get).unwrap_or("null");
    for (key, plain) in [
        ("n", &["1"][..]),
        ("logprobs", &["false"]),
        ("audio", &[]),
        ("functions", &["[]"]),
    ] {
        let value = said(key);
        if value != "null" && !plain.contains(&value) {
            let message = format!(
                "'{key}' is not supported together with MCP servers of this bridge. Leave it out."
            );
            return Err(Refusal::invalid(key, message).with_code("unsupported_parameter"));
        }
    }
    Ok(())
}

fn shows_usage(members: &Members<'_>) -> Result<bool, Refusal> {
    #[derive(Deserialize)]
    struct Options {
        #[serde(default)]
        include_usage: Option<bool>,
    }
    let options: Option<Options> = optional(members, "stream_options")?;
    Ok(options.and_then(|options| options.include_usage) == Some(true))
}

/// Names that the model may call and that the client answers.
fn functions(tools: &[&RawValue]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Tool {
        #[serde(default)]
        function: Option<Named>,
        #[serde(default)]
        custom: Option<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let own = tools
        .iter()
        .filter(|tool| kind(tool).as_deref() != Some("mcp"));
    let read = own.filter_map(|tool| serde_json::from_str::<Tool>(tool.get()).ok());
    let named = read.filter_map(|tool| tool.function.or(tool.custom));
    named.map(|named| named.name).collect()
}

impl Request for ChatRequest {
    fn streams(&self) -> bool {
        self.stream
    }

    fn servers(&self) -> &[ServerEntry] {
        &self.entries
    }

    fn references(&self) -> References {
        let paths = history::paths(&self.messages).into_iter();
        let answers = paths.filter(|(_, message)| history::is_answer(message));
        let keys: Vec<String> = answers.map(|(path, _)| path.key()).collect();
        References {
            parent: None,
            items: keys.clone(),
            pins: keys,
        }
    }

    fn reserved(&self) -> Vec<String> {
        self.functions.clone()
    }

    fn pinned(&self, entry: &ServerEntry, found: &Found) -> Option<Listing> {
        let keys = self.references().pins.into_iter().rev();
        let mut pinned = keys.filter_map(|key| found.pins.get(&key)).flatten();
        let listing = pinned.find(|listing| entry.has(listing))?;
        Some(entry.narrowed(listing.clone()))
    }

    fn bind(
        self: Box<Self>,
        found: Found,
        listings: Vec<Listing>,
    ) -> Result<Box<dyn Dialog>, Refusal> {
        let table = Table::new(listings);
        refuse_taken(&self.functions, &table)?;
        Ok(Box::new(ChatDialog::new(*self, &found, table)?))
    }
}
