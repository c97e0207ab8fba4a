//! Taking assistant messages apart.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::compare::{is_same_input, is_same_result};
use super::{blocks, key, kind, role};
use crate::adapters::anthropic::json::{normal, unquoted};
use crate::adapters::anthropic::{block, ids, render};
use crate::adapters::dialect::Table;
use crate::adapters::names::mangle;
use crate::adapters::raw::{Object, list, quoted, raw};
use crate::adapters::record::Fragment;
use crate::mcp::edit::{self, Edit, Members};

/// What the messages are read with.
pub(in crate::adapters::anthropic) struct Known<'a> {
    pub(in crate::adapters::anthropic) fragments: &'a HashMap<String, Fragment>,
    pub(in crate::adapters::anthropic) table: &'a Table,
    /// Servers that the vendor connects to; their blocks are its own.
    pub(in crate::adapters::anthropic) vendors: Vec<&'a str>,
}

/// `messages` as the vendor gets them. Those without a trace of MCP keep their bytes.
pub(in crate::adapters::anthropic) fn hidden(
    messages: &[Box<RawValue>],
    known: &Known<'_>,
) -> Vec<Box<RawValue>> {
    let mut split = Split {
        known,
        out: Vec::new(),
        said: Vec::new(),
        results: Vec::new(),
        open: Vec::new(),
        late: Vec::new(),
        waits: false,
    };
    for message in messages {
        split.message(message);
    }
    split.turn_ends();
    split.out
}

struct Split<'a> {
    known: &'a Known<'a>,
    out: Vec<Box<RawValue>>,
    /// What the model said in the present turn.
    said: Vec<String>,
    /// What came of its calls.
    results: Vec<String>,
    /// Calls without a result, by the vendor's id.
    open: Vec<String>,
    /// Calls and results of the turn that no client ever saw.
    late: Vec<Box<RawValue>>,
    /// The client has calls to answer; what came of the others goes up with that.
    waits: bool,
}

impl Split<'_> {
    fn message(&mut self, message: &RawValue) {
        let Ok(members) = Members::of(message.get()) else {
            return self.out.push(message.to_owned());
        };
        match role(&members).as_deref() {
            Some("assistant") => {
                self.turn_ends();
                let blocks: Vec<_> = blocks(&members)
                    .into_iter()
                    .filter_map(|block| Some((block, Members::of(block.get()).ok()?)))
                    .collect();
                if !blocks.iter().any(|(_, members)| self.is_ours(members)) {
                    return self.out.push(message.to_owned());
                }
                for (block, members) in &blocks {
                    self.block(block, members);
                }
                self.answer_ends();
            }
            Some("user") if self.waits => self.answered(message, &members),
            _ => self.out.push(message.to_owned()),
        }
    }

    /// It was shown by an answer of ours.
    fn is_ours(&self, block: &Members<'_>) -> bool {
        match kind(block).as_str() {
            "mcp_tool_use" => self.is_our_server(block, "server_name"),
            "mcp_tool_listing" => self.is_our_server(block, "mcp_server_name"),
            _ => key(block).is_some_and(|key| self.known.fragments.contains_key(&key)),
        }
    }

    fn is_our_server(&self, block: &Members<'_>, member: &str) -> bool {
        let name = block.get(member).and_then(unquoted).unwrap_or_default();
        !self.known.vendors.contains(&name.as_str())
    }

    fn block(&mut self, block: &RawValue, members: &Members<'_>) {
        let kind = kind(members);
        if kind == "mcp_tool_result"
            && let Some(id) = members.get("tool_use_id").and_then(unquoted)
            && self.open.contains(&id)
        {
            return self.result(&id, block, members);
        }
        if kind == "mcp_tool_listing" && self.is_our_server(members, "mcp_server_name") {
            return;
        }
        let is_new_turn = kind == "thinking" && !self.late.is_empty();
        if !self.results.is_empty() || is_new_turn {
            self.turn_ends();
        }
        let fragment = key(members).and_then(|key| self.known.fragments.get(&key));
        match kind.as_str() {
            "mcp_tool_use" if self.is_our_server(members, "server_name") => {
                self.call(members, fragment);
            }
            "tool_use" => {
                self.waits = true;
                let name = members.get("name").and_then(unquoted);
                let is_other = |own: &str| Some(own) != name.as_deref();
                match fragment.and_then(|it| Some((it, kept_call(it, members, is_other)?))) {
                    Some((fragment, kept)) => {
                        self.late.extend(fragment.output.clone());
                        self.said.extend(kept);
                    }
                    None => self.said.extend(block::fixed_text(block)),
                }
            }
            "thinking" => {
                self.said.extend(block::fixed_text(block));
                self.late = fragment.map(|it| it.output.clone()).unwrap_or_default();
            }
            _ => match fragment.map(|it| it.call.as_slice()) {
                Some([kept]) => self.said.push(marked(kept.get(), members)),
                _ => self.said.extend(block::fixed_text(block)),
            },
        }
    }

    fn call(&mut self, members: &Members<'_>, fragment: Option<&Fragment>) {
        let Some(id) = members.get("id").and_then(unquoted) else {
            return;
        };
        let text = |key| members.get(key).and_then(unquoted).unwrap_or_default();
        let function = self.function(&text("server_name"), &text("name"));
        // A name that is not on offer any more is that of this tool as it was.
        let is_other = |own: &str| own != function && self.known.table.has(own);
        if let Some(kept) = fragment.and_then(|it| kept_call(it, members, is_other)) {
            self.said.extend(kept);
        } else {
            let input = members.get("input").map_or("{}", RawValue::get);
            let call = render::tool_use(&ids::hidden(&id), &function, &normal(input));
            self.said.push(marked(&call, members));
        }
        self.open.push(id);
    }

    fn function(&self, label: &str, tool: &str) -> String {
        let listings = self.known.table.listings().iter();
        let mut listing = listings.filter(|it| it.label == label);
        let tools = listing.next().map_or(&[][..], |it| &it.tools);
        match tools.iter().find(|it| it.name == tool) {
            Some(tool) => tool.function.clone(),
            None => mangle(label, tool, |_| false),
        }
    }

    fn result(&mut self, id: &str, block: &RawValue, members: &Members<'_>) {
        self.open.retain(|open| open != id);
        let fragment = self.known.fragments.get(id);
        if let Some(kept) = fragment.map(|it| &it.output)
            && let Some((last, others)) = kept.split_last()
            && is_same_result(kept, &self.hidden_id(id), block)
        {
            self.results
                .extend(others.iter().map(|it| it.get().to_owned()));
            return self.results.push(marked(last.get(), members));
        }
        let content = match members.get("content") {
            Some(content) if unquoted(content).is_some() => normal(content.get()),
            _ => {
                let texts = render::visible_texts(block.get());
                let texts = texts.iter().filter(|text| !text.is_empty());
                list(texts.map(|text| Object::of_type("text").text("text", text).json()))
            }
        };
        let is_error = members.get("is_error").map(RawValue::get) == Some("true");
        let result = render::result_block(&self.hidden_id(id), &content, is_error);
        self.results.push(marked(&result, members));
    }

    /// The vendor's id of a call, as far as it is known.
    fn hidden_id(&self, visible: &str) -> String {
        let fragment = self.known.fragments.get(visible);
        let own = fragment.and_then(|it| {
            it.call.iter().find_map(|call| {
                let id = Members::of(call.get()).ok()?.get("id").and_then(unquoted)?;
                (ids::visible(&id) == visible).then_some(id)
            })
        });
        own.unwrap_or_else(|| ids::hidden(visible))
    }

    fn answer_ends(&mut self) {
        if !self.waits {
            return self.turn_ends();
        }
        self.complete();
        self.speak();
    }

    fn turn_ends(&mut self) {
        self.complete();
        self.speak();
        self.waits = false;
        if !self.results.is_empty() {
            let content = list(std::mem::take(&mut self.results));
            self.push("user", &content);
        }
    }

    /// Every call has a result, as the vendor wants it, and what no client saw is in its place.
    fn complete(&mut self) {
        for element in std::mem::take(&mut self.late) {
            let members = Members::of(element.get());
            match members.map(|it| kind(&it)).as_deref() {
                Ok("tool_result") => self.results.push(element.get().to_owned()),
                _ => self.said.push(element.get().to_owned()),
            }
        }
        for id in std::mem::take(&mut self.open) {
            let text = quoted("The result of this call is not known.");
            let result = render::result_block(&self.hidden_id(&id), &text, true);
            self.results.push(result);
        }
    }

    fn speak(&mut self) {
        if !self.said.is_empty() {
            let content = list(std::mem::take(&mut self.said));
            self.push("assistant", &content);
        }
    }

    fn push(&mut self, role: &str, content: &str) {
        self.out.push(message(role, content));
    }

    /// The client answers its own calls; what came of the others goes first.
    fn answered(&mut self, message: &RawValue, members: &Members<'_>) {
        self.waits = false;
        if self.results.is_empty() {
            return self.out.push(message.to_owned());
        }
        let mut content = std::mem::take(&mut self.results);
        match members.get("content").and_then(unquoted) {
            Some(text) if text.is_empty() => {}
            Some(text) => content.push(Object::of_type("text").text("text", &text).json()),
            None => content.extend(blocks(members).iter().map(|it| it.get().to_owned())),
        }
        let joined = edit::object(
            message.get(),
            &[("content", Edit::Put(list(content).into()))],
        );
        self.out
            .push(joined.map_or_else(|_| message.to_owned(), raw));
    }
}

/// A message of the hidden transcript.
pub(in crate::adapters::anthropic) fn message(role: &str, content: &str) -> Box<RawValue> {
    Object::new()
        .text("role", role)
        .put("content", content)
        .done()
}

/// What is kept of a call, if the client did not change it and it is not one of another conversation,
/// of a vendor that counts its calls from 0 in each.
fn kept_call(
    fragment: &Fragment,
    members: &Members<'_>,
    is_other: impl Fn(&str) -> bool,
) -> Option<Vec<String>> {
    let id = members.get("id").and_then(unquoted)?;
    let is_own = |call: &RawValue| {
        let own = Members::of(call.get())
            .ok()
            .and_then(|it| it.get("id").and_then(unquoted));
        own.is_some_and(|own| own == id || ids::visible(&own) == id)
    };
    let own = fragment.call.iter().find(|call| is_own(call))?;
    let own = Members::of(own.get()).ok()?;
    let function = own.get("name").and_then(unquoted)?;
    let input = members.get("input")?;
    if is_other(&function) || !is_same_input(own.get("input")?, input) {
        return None;
    }
    let calls = fragment.call.iter().map(|call| match is_own(call) {
        true => marked(call.get(), members),
        false => call.get().to_owned(),
    });
    Some(calls.collect())
}

/// `json` with the mark for the cache that the client put at the block it stands for.
fn marked(json: &str, members: &Members<'_>) -> String {
    let mark = members.get("cache_control").filter(|it| it.get() != "null");
    let marked = mark.and_then(|mark| {
        let edits = [("cache_control", Edit::Put(normal(mark.get()).into()))];
        edit::object(json, &edits).ok()
    });
    marked.unwrap_or_else(|| json.to_owned())
}
