//! What a client's language has to do: read a request, say what the model is sent, and show what
//! comes of it. One implementation per [`Wire`]; all of it is pure.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::{End, Event, FunctionCall, Usage, Wire};
use super::record::{Found, Kept, Record, References};
use super::refusal::Refusal;
use super::step::{CallResult, Listing, McpCall, Step, Tool};
use crate::types::ServerName;

/// A request that was read, before anything was asked of the store or a server.
pub trait Request: Send + Sync {
    /// The client wants the answer as it comes, and not as one object.
    fn streams(&self) -> bool;
    /// The MCP servers of ours that it names, in its order.
    fn servers(&self) -> &[ServerEntry];
    fn references(&self) -> References;
    /// The functions of the client, whose names are taken.
    fn reserved(&self) -> Vec<String>;
    /// What was found pins the listing of that entry, so the server is not asked.
    fn pinned(&self, entry: &ServerEntry, found: &Found) -> Option<Listing>;
    /// # Errors
    /// The request does not fit what is known: approvals of unknown calls, a listing that lacks a
    /// tool that is chosen.
    fn bind(
        self: Box<Self>,
        found: Found,
        listings: Vec<Listing>,
    ) -> Result<Box<dyn Dialog>, Refusal>;
}

/// One MCP server of a request.
#[derive(Debug, Clone)]
pub struct ServerEntry {
    pub label: String,
    pub server: ServerName,
    /// Where the request has it, for errors: `tools[0]`, `mcp_servers[1]`.
    pub param: String,
    pub filter: ToolFilter,
    /// The listing that the request itself brings (a pinned toolset); nothing is asked then.
    pub given: Option<Vec<Tool>>,
}

impl ServerEntry {
    /// Whether `listing` is of the same server under the same label.
    pub fn has(&self, listing: &Listing) -> bool {
        listing.label == self.label && listing.server == self.server
    }

    /// What of `listing`, which the client knows, the model is offered.
    pub fn narrowed(&self, mut listing: Listing) -> Listing {
        listing.tools.retain(|tool| self.filter.admits(tool));
        listing.known = true;
        listing
    }
}

/// Which tools of a server the model is offered. Everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolFilter {
    pub names: Option<Vec<String>>,
    pub except: Vec<String>,
    pub read_only: Option<bool>,
}

impl ToolFilter {
    pub fn admits(&self, tool: &Tool) -> bool {
        let named = |names: &[String]| names.contains(&tool.name);
        self.names.as_deref().is_none_or(named)
            && !named(&self.except)
            && self.read_only.is_none_or(|wanted| wanted == tool.read_only)
    }
}

/// A request that is ready to be answered.
pub trait Dialog: Send + Sync {
    fn wire(&self) -> Wire;
    fn model(&self) -> &str;
    fn table(&self) -> &Arc<Table>;
    fn limits(&self) -> Limits;
    /// Calls of an earlier answer that the client has decided on: run or declined before the model is
    /// asked, and their approvals used up.
    fn decided(&self) -> &[Decided];
    /// Whether the client wants to approve `call` itself.
    fn asks_client(&self, call: &McpCall) -> bool;
    /// Whether the client wants a person to approve `call`, and cannot ask one itself.
    fn asks_person(&self, _call: &McpCall) -> bool {
        false
    }
    /// The whole body for the model in this language, streaming, after `steps`.
    ///
    /// What it has in common with an earlier one of the conversation has the same bytes.
    ///
    /// # Errors
    /// A field cannot be meant.
    fn body(&self, steps: &[Step]) -> Result<String, Refusal>;
    /// `id` is the answer's own, `now` in seconds since 1970.
    fn encoder(&self, id: &str, now: i64) -> Box<dyn Encoder>;
    /// What is kept when the answer is complete. None where the client forbids it (`store: false`) for
    /// the record; fragments and pins are kept all the same.
    fn keep(&self, id: &str, steps: &[Step], object: &str) -> (Option<Record>, Kept);
}

/// Which function is which tool.
#[derive(Debug, Clone, Default)]
pub struct Table {
    listings: Vec<Listing>,
    /// By function name: which listing, which tool of it.
    by_function: HashMap<String, (usize, usize)>,
}

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls of MCP tools in the whole answer; more are answered "limit reached".
    pub calls: Option<u32>,
    /// Whether calls of one turn may run at the same time.
    pub parallel: bool,
}

#[derive(Debug, Clone)]
pub struct Decided {
    pub call: McpCall,
    pub approval: String,
    pub approve: bool,
    pub reason: Option<String>,
}

/// What a client is shown, in order.
#[derive(Debug, Clone, Copy)]
pub enum Shown<'a> {
    /// First, and once. `usage` is known where the model was asked before.
    Begin {
        model: &'a str,
        usage: Usage,
    },
    Listing(&'a Listing),
    /// Of a model that speaks `wire`, without its calls of MCP tools and without `Begin` and `End`.
    /// Indices are those of the model's turn, which may have gaps; `turn` counts the turns from 0.
    Model {
        wire: Wire,
        turn: usize,
        event: &'a Event,
    },
    /// Neighbouring calls of a turn that run here, complete. All of a turn come before the first ends;
    /// where other blocks stand between them, there are several of these.
    Calls(&'a [McpCall]),
    /// One call ended; in the order of the calls, all after the turn's last block.
    Ended(&'a CallResult),
    /// The client is asked for its approval.
    Approval(&'a McpCall),
    /// Last, and once, instead of `Failed`.
    Finish(&'a Finish<'a>),
    /// The answer cannot be completed.
    Failed(&'a Refusal),
}

#[derive(Debug, Clone)]
pub struct Finish<'a> {
    pub ending: Ending,
    /// Sum over all turns.
    pub usage: Usage,
    /// Turn by turn.
    pub turns: Vec<Usage>,
    /// The steps, the last turn's native end among them.
    pub steps: &'a [Step],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// As the model's last turn ended. Functions of the client, or approvals, may wait.
    Model(End),
    /// The cap on rounds or time was reached.
    Cap,
}

/// Puts together what the client gets.
pub trait Encoder: Send + Sync {
    /// Appends the frames of the stream that show it. Called for answers that do not stream, too.
    fn show(&mut self, shown: Shown<'_>, frames: &mut Vec<u8>);
    /// The answer as one object, as far as it was shown.
    fn object(&self) -> String;
}

/// Takes a vendor's stream apart.
pub trait Decoder: Send {
    /// One event of the stream: its name, if it has one, and its data.
    ///
    /// # Errors
    /// It is not what the vendor's API says.
    fn event(&mut self, name: Option<&str>, data: &str) -> Result<Vec<Event>, Malformed>;
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the model's answer is malformed: {0}")]
pub struct Malformed(pub String);

impl Table {
    pub fn new(listings: Vec<Listing>) -> Self {
        let mut by_function = HashMap::new();
        for (at, listing) in listings.iter().enumerate() {
            for (tool_at, tool) in listing.tools.iter().enumerate() {
                by_function.insert(tool.function.clone(), (at, tool_at));
            }
        }
        Self {
            listings,
            by_function,
        }
    }

    pub fn listings(&self) -> &[Listing] {
        &self.listings
    }

    pub fn has(&self, function: &str) -> bool {
        self.by_function.contains_key(function)
    }

    /// The tool that `call` means.
    pub fn resolve(&self, call: &FunctionCall) -> Option<McpCall> {
        let (at, tool_at) = *self.by_function.get(&call.name)?;
        let listing = self.listings.get(at)?;
        let tool = listing.tools.get(tool_at)?;
        Some(McpCall {
            call: call.clone(),
            label: listing.label.clone(),
            server: listing.server.clone(),
            tool: tool.name.clone(),
            read_only: tool.read_only,
            approval: None,
        })
    }
}
