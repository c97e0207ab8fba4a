//! The messages of a request, as the vendor gets them.
//!
//! A client returns an answer as one assistant message, with calls of MCP tools and their results side
//! by side. The vendor had them in several: what the model said, then the results as a user message,
//! and again. So the message is taken apart where a result is followed by anything else, which is
//! enough because all calls of a turn are shown before its first result.
//!
//! What an earlier answer kept (fragments) stands in for what the client returned, because clients
//! write `1.0` as `1` and never see an image. Where the client changed something on purpose, its own
//! words hold.

mod compare;
mod split;
#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

pub(super) use self::split::{Known, hidden, message};
use super::ids;
use super::json::{normal, unquoted};
use super::toolset::elements;
use crate::adapters::refusal::Refusal;
use crate::mcp::edit::Members;
use crate::types::Digest;

/// The first of them decide about the prefix; of what comes after so many the rest is derived.
const MAX_ITEMS: usize = 5_000;
const MAX_CALLS: usize = 100;
/// No vendor's ids are longer.
const MAX_ID: usize = 512;

/// What a request's messages refer to.
#[derive(Debug)]
pub(super) struct Survey {
    /// Everything that fragments may be known of.
    pub(super) items: Vec<String>,
    /// The first call in each message of a tool that is not of a vendor's server.
    pub(super) calls: Vec<String>,
    /// What earlier answers listed: the server's name in the request, and its tools.
    pub(super) listings: Vec<(String, Vec<Box<RawValue>>)>,
    /// Functions that messages of the system add.
    pub(super) added: Vec<String>,
    /// There was an answer before.
    pub(super) is_answered: bool,
    /// What the conversation began with.
    pub(super) first: Digest,
}

impl Survey {
    /// `vendors` are the names of the servers that the vendor is left to connect to.
    ///
    /// # Errors
    /// A message asks for what cannot be done here.
    pub(super) fn of(messages: &[Box<RawValue>], vendors: &[&str]) -> Result<Self, Refusal> {
        let mut survey = Self {
            items: Vec::new(),
            calls: Vec::new(),
            listings: Vec::new(),
            added: Vec::new(),
            is_answered: false,
            first: Digest::of(
                messages
                    .first()
                    .map_or(String::new(), |it| first(it))
                    .as_bytes(),
            ),
        };
        for (at, message) in messages.iter().enumerate() {
            let Ok(message) = Members::of(message.get()) else {
                let message = "must be an object";
                return Err(Refusal::invalid(format!("messages[{at}]"), message));
            };
            match role(&message).as_deref() {
                Some("assistant") => survey.answer(&message, vendors),
                Some("system") => survey.system(&message, at)?,
                _ => {}
            }
        }
        Ok(survey)
    }

    fn answer(&mut self, message: &Members<'_>, vendors: &[&str]) {
        self.is_answered = true;
        let mut call = None;
        for block in blocks(message) {
            let Ok(block) = Members::of(block.get()) else {
                continue;
            };
            if let Some(key) = key(&block)
                && key.len() <= MAX_ID
                && self.items.len() < MAX_ITEMS
            {
                self.items.push(key);
            }
            match kind(&block).as_str() {
                "mcp_tool_use" if call.is_none() && !is_of(&block, vendors) => {
                    call = block.get("id").and_then(unquoted);
                }
                "mcp_tool_listing" => {
                    let name = block.get("mcp_server_name").and_then(unquoted);
                    let tools = elements(&block, "tools").unwrap_or_default();
                    let tools = tools.into_iter().map(ToOwned::to_owned).collect();
                    self.listings.push((name.unwrap_or_default(), tools));
                }
                _ => {}
            }
        }
        let is_room = self.calls.len() < MAX_CALLS;
        self.calls
            .extend(call.filter(|id| is_room && id.len() <= MAX_ID));
    }

    /// Tools may be added in the middle of a conversation; servers only at its beginning.
    fn system(&mut self, message: &Members<'_>, at: usize) -> Result<(), Refusal> {
        for block in blocks(message) {
            if block.get().contains("mcp_toolset") {
                return Err(Refusal::invalid(
                    format!("messages[{at}]"),
                    "an MCP toolset cannot be added by a system message here; put it into tools when \
                     the conversation begins",
                ));
            }
            let Ok(block) = Members::of(block.get()) else {
                continue;
            };
            if kind(&block) != "tool_addition" {
                continue;
            }
            let mut tools = elements(&block, "tools").unwrap_or_default();
            tools.extend(block.get("tool"));
            let names = tools
                .into_iter()
                .filter_map(|tool| Members::of(tool.get()).ok()?.get("name").and_then(unquoted));
            self.added.extend(names);
        }
        Ok(())
    }
}

fn is_of(call: &Members<'_>, vendors: &[&str]) -> bool {
    let name = call.get("server_name").and_then(unquoted);
    vendors.contains(&name.unwrap_or_default().as_str())
}

/// A message without what clients move from one message to another.
fn first(message: &RawValue) -> String {
    let Ok(message) = Members::of(message.get()) else {
        return String::new();
    };
    let content = blocks(&message).into_iter().map(|block| {
        let Ok(Members(members)) = Members::of(block.get()) else {
            return normal(block.get());
        };
        let kept = members.iter().filter(|(key, _)| key != "cache_control");
        kept.map(|(key, value)| format!("{key}:{}\n", normal(value.get())))
            .collect()
    });
    let text = message.get("content").and_then(unquoted);
    content.chain(text).collect()
}

fn role(message: &Members<'_>) -> Option<String> {
    message.get("role").and_then(unquoted)
}

/// The blocks of a message; none if its content is a text.
fn blocks<'a>(message: &Members<'a>) -> Vec<&'a RawValue> {
    elements(message, "content").unwrap_or_default()
}

fn kind(block: &Members<'_>) -> String {
    block.get("type").and_then(unquoted).unwrap_or_default()
}

/// What a fragment of `block` is kept under.
fn key(block: &Members<'_>) -> Option<String> {
    match kind(block).as_str() {
        "thinking" => {
            let signature = block.get("signature").and_then(unquoted)?;
            (!signature.is_empty()).then(|| ids::of_thinking(&signature))
        }
        _ => block.get("id").and_then(unquoted),
    }
}
