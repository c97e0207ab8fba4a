//! The client's history as the model knows it: items of MCP become the calls and outputs that they
//! were made of.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::{self, Finished, ItemHead};
use super::{ids, outcome};
use crate::adapters::dialect::Table;
use crate::adapters::event::{Content, FunctionCall};
use crate::adapters::names::mangle;
use crate::adapters::record::{Found, Fragment};
use crate::adapters::step::Tool;

/// What is read of every input item.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
    role: Option<String>,
    pub(super) server_label: Option<String>,
    pub(super) name: Option<String>,
    pub(super) arguments: Option<String>,
    pub(super) approval_request_id: Option<String>,
    pub(super) approve: Option<bool>,
    pub(super) reason: Option<String>,
}

/// An item of the client's input, read once.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) head: Head,
    pub(super) json: Box<RawValue>,
}

impl Item {
    pub(super) fn of(json: Box<RawValue>) -> Self {
        let head = Head::of(&json);
        Self { head, json }
    }
}

impl Head {
    /// Empty for what is no item. Members of other items that are called the same may be anything.
    pub(super) fn of(item: &RawValue) -> Self {
        #[derive(Default, Deserialize)]
        struct Named {
            #[serde(rename = "type")]
            kind: Option<String>,
            id: Option<String>,
            role: Option<String>,
        }
        if let Ok(head) = serde_json::from_str(item.get()) {
            return head;
        }
        let named: Named = serde_json::from_str(item.get()).unwrap_or_default();
        Self {
            kind: named.kind,
            id: named.id,
            role: named.role,
            ..Self::default()
        }
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }

    pub(super) fn is_listing(&self) -> bool {
        self.is("mcp_list_tools")
    }

    pub(super) fn is_request(&self) -> bool {
        self.is("mcp_approval_request")
    }

    /// The approval request that it answers.
    pub(super) fn answers(&self) -> Option<&str> {
        self.approval_request_id
            .as_deref()
            .filter(|_| self.is("mcp_approval_response"))
    }

    /// Whether the model, or the bridge for it, made it.
    pub(super) fn is_output(&self) -> bool {
        match self.kind.as_deref() {
            None | Some("message") => self.role.as_deref() == Some("assistant"),
            Some("mcp_approval_response" | "item_reference") => false,
            Some("reasoning" | "mcp_list_tools" | "mcp_approval_request" | "program") => true,
            Some(kind) => kind.ends_with("_call"),
        }
    }
}

/// The tools of a resent `mcp_list_tools`, without names for the model.
pub(super) fn listed_tools(item: &RawValue) -> Option<Vec<Tool>> {
    #[derive(Deserialize)]
    struct Listed<'a> {
        #[serde(borrow)]
        tools: Vec<ListedTool<'a>>,
    }
    #[derive(Deserialize)]
    struct ListedTool<'a> {
        name: String,
        description: Option<String>,
        #[serde(borrow)]
        input_schema: &'a RawValue,
        #[serde(borrow)]
        annotations: Option<&'a RawValue>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Annotations {
        #[serde(rename = "readOnlyHint", alias = "read_only")]
        read_only: bool,
    }
    let listed: Listed<'_> = serde_json::from_str(item.get()).ok()?;
    let tool = |tool: ListedTool<'_>| Tool {
        name: tool.name,
        function: String::new(),
        description: tool.description,
        input_schema: tool.input_schema.to_owned(),
        annotations: tool.annotations.map(ToOwned::to_owned),
        read_only: tool
            .annotations
            .and_then(|raw| serde_json::from_str::<Annotations>(raw.get()).ok())
            .is_some_and(|annotations| annotations.read_only),
    };
    Some(listed.tools.into_iter().map(tool).collect())
}

/// Puts the hidden items together.
pub(super) struct History<'a> {
    found: &'a Found,
    table: &'a Table,
    /// Labels of servers that the vendor executes: their items are its own.
    elsewhere: &'a [String],
    /// Its approval requests.
    foreign: &'a HashSet<String>,
    /// Calls that get an output later on.
    answered: HashSet<String>,
    /// Calls that stand in the transcript, or will when their group ends.
    called: HashSet<String>,
    out: Vec<Box<RawValue>>,
    group: Group,
}

/// Items of one turn: its calls go first, then its outputs.
#[derive(Default)]
struct Group {
    turn: Option<String>,
    parts: Vec<(u32, Fragment)>,
}

/// What the items of a request that came from no record are taken for.
const DERIVED: &str = "";

impl<'a> History<'a> {
    /// `pending` are calls whose outputs follow the history.
    pub(super) fn new(
        found: &'a Found,
        table: &'a Table,
        (elsewhere, foreign): (&'a [String], &'a HashSet<String>),
        pending: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self {
            found,
            table,
            elsewhere,
            foreign,
            answered: pending.map(ToOwned::to_owned).collect(),
            called: HashSet::new(),
            out: Vec::new(),
            group: Group::default(),
        }
    }

    pub(super) fn hidden(mut self, input: &[Item]) -> Vec<Box<RawValue>> {
        for Item { head, .. } in input {
            if head.is("mcp_call") {
                self.answered.extend(head.id.as_deref().map(ids::call_of));
            }
            if let Some(request) = head.answers()
                && head.approve == Some(false)
            {
                self.answered.insert(self.call_of(request));
            }
        }
        for Item { head, json } in input {
            self.item(head, json);
        }
        self.flush();
        self.out
    }

    /// The vendor's id of the call that `request` asks about.
    fn call_of(&self, request: &str) -> String {
        let found = self.found;
        match found.open.get(request).or_else(|| found.used.get(request)) {
            Some(open) => open.call.call.id.clone(),
            None => ids::call_of(request),
        }
    }

    fn item(&mut self, head: &Head, item: &RawValue) {
        let is_named = |label: &String| Some(label) == head.server_label.as_ref();
        let is_answered = head
            .answers()
            .is_some_and(|request| self.foreign.contains(request));
        if is_answered || self.elsewhere.iter().any(is_named) {
            return self.plain(item);
        }
        if let Some(fragment) = self.fragment(head, item) {
            return self.join(fragment.clone());
        }
        match head.kind.as_deref() {
            Some("mcp_list_tools") => {}
            Some("mcp_call") => self.call(head, item),
            Some("mcp_approval_request") => self.request(head),
            Some("mcp_approval_response") => self.response(head),
            _ => self.plain(item),
        }
    }

    /// What is kept of the item, unless the client has made something else of it.
    fn fragment(&self, head: &Head, item: &RawValue) -> Option<&'a Fragment> {
        let fragment = self.found.fragments.get(head.id.as_deref()?)?;
        let always = head.is("mcp_call") || head.is_request() || head.is("item_reference");
        let same = || fragment.call.iter().any(|kept| says_the_same(kept, item));
        (always || fragment.call.is_empty() || same()).then_some(fragment)
    }

    fn plain(&mut self, item: &RawValue) {
        self.flush();
        self.out.push(item.to_owned());
    }

    fn join(&mut self, fragment: Fragment) {
        if self.group.turn.as_ref() != Some(&fragment.turn) {
            self.flush();
            self.group.turn = Some(fragment.turn.clone());
        }
        let calls = fragment.call.iter().filter_map(|item| call_id_of(item));
        self.called.extend(calls);
        self.group.parts.push((fragment.at, fragment));
    }

    /// A call that nothing is kept of: from its item.
    fn call(&mut self, head: &Head, item: &RawValue) {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Ended<'a> {
            output: Option<String>,
            #[serde(borrow)]
            error: Option<&'a RawValue>,
        }
        let call_id = ids::call_of(head.id.as_deref().unwrap_or_default());
        let ended: Ended<'_> = serde_json::from_str(item.get()).unwrap_or_default();
        let output = outcome::hidden_again(&call_id, ended.output.as_deref(), ended.error);
        let call = match self.called.contains(&call_id) {
            true => Vec::new(),
            false => vec![items::hidden_call(&self.function(head, call_id))],
        };
        self.derive(call, vec![output]);
    }

    fn request(&mut self, head: &Head) {
        let call_id = self.call_of(head.id.as_deref().unwrap_or_default());
        let output = match self.answered.contains(&call_id) {
            true => Vec::new(),
            false => vec![outcome::hidden_again(&call_id, None, None)],
        };
        let call = items::hidden_call(&self.function(head, call_id));
        self.derive(vec![call], output);
    }

    /// The output of a call that was approved follows where it is shown; of others it stands here.
    fn response(&mut self, head: &Head) {
        self.flush();
        if head.approve == Some(false)
            && let Some(request) = head.answers()
        {
            let output = outcome::declined(head.reason.as_deref());
            let output = items::hidden_output(&self.call_of(request), &output);
            self.out.push(output);
        }
    }

    fn derive(&mut self, call: Vec<Box<RawValue>>, output: Vec<Box<RawValue>>) {
        let at = u32::try_from(self.group.parts.len()).unwrap_or(u32::MAX);
        self.join(Fragment {
            turn: DERIVED.to_owned(),
            at,
            call,
            output,
        });
    }

    fn function(&self, head: &Head, call_id: String) -> FunctionCall {
        let (label, tool) = (
            head.server_label.as_deref().unwrap_or_default(),
            head.name.as_deref().unwrap_or_default(),
        );
        let listing = self
            .table
            .listings()
            .iter()
            .find(|listing| listing.label == label);
        let tools = listing.iter().flat_map(|listing| &listing.tools);
        let name = tools
            .filter(|known| known.name == tool)
            .map(|known| known.function.clone())
            .next();
        FunctionCall {
            id: call_id,
            name: name.unwrap_or_else(|| mangle(label, tool, |_| false)),
            arguments: head.arguments.clone().unwrap_or_else(|| "{}".to_owned()),
        }
    }

    fn flush(&mut self) {
        let Group { mut parts, .. } = std::mem::take(&mut self.group);
        parts.sort_by_key(|(at, _)| *at);
        let mut outputs = Vec::new();
        for (_, part) in parts {
            self.out.extend(part.call);
            outputs.extend(part.output);
        }
        self.out.extend(outputs);
    }
}

/// The call that a hidden item makes.
fn call_id_of(item: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Call {
        #[serde(rename = "type")]
        kind: String,
        call_id: Option<String>,
    }
    let call: Call = serde_json::from_str(item.get()).ok()?;
    call.call_id.filter(|_| call.kind == "function_call")
}

/// Whether a resent item means what was kept, however its client wrote it down.
fn says_the_same(kept: &RawValue, resent: &RawValue) -> bool {
    match (substance(kept), substance(resent)) {
        (Some(kept), Some(resent)) => kept == resent,
        _ => kept.get() == resent.get(),
    }
}

/// What counts of an item: what it says, and what proves it.
fn substance(item: &RawValue) -> Option<(Content, Option<String>)> {
    #[derive(Deserialize)]
    struct Sealed {
        encrypted_content: Option<String>,
    }
    let kind = serde_json::from_str::<ItemHead>(item.get())
        .ok()?
        .kind()
        .ok()?;
    let finished: Finished = serde_json::from_str(item.get()).ok()?;
    let sealed: Sealed = serde_json::from_str(item.get()).ok()?;
    Some((finished.content(&kind), sealed.encrypted_content))
}
