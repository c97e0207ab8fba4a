//! Working out what a list, a handshake or an approval changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Transaction;
use serde_json::json;

use super::change::Subject;
use super::definition::{ListedTool, MAX_DEFINITION};
use super::entry::{Instructions, ServerTools, Standing, ToolEntry};
use super::error::CatalogError;
use super::{Snapshot, records};
use crate::audit::{self, Event, Kind};
use crate::types::{Decider, Digest, ServerName};

/// Tools of one server that are kept. Calls of others ask.
const MAX_TOOLS: usize = 5_000;
/// Of a tool's name in bytes; MCP recommends 128 at most.
const MAX_NAME: usize = 1_024;
/// Bytes of definitions of one server.
const MAX_TOTAL: usize = 32 * 1024 * 1024;
/// From the first page of a list to the last one that still counts as the baseline. A list without an
/// end must not keep it open.
const BASELINE_WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// One answer to `tools/list`.
#[derive(Debug, Clone)]
pub struct Page {
    pub tools: Vec<ListedTool>,
    /// No cursor follows.
    pub is_last: bool,
}

/// What is to be written and published, for one server.
#[derive(Debug)]
pub(super) struct Update {
    name: ServerName,
    now: Timestamp,
    /// None: the server is forgotten.
    server: Option<ServerTools>,
    /// Of the server's own record, without its tools.
    is_changed: bool,
    tools: BTreeMap<Arc<str>, Arc<ToolEntry>>,
    /// What the audit log is told.
    events: Vec<Event>,
}

impl ServerTools {
    /// Whether `page` says only what is known.
    pub(super) fn confirms(&self, page: &Page) -> bool {
        let known = |tool: &ListedTool| {
            self.tool(&tool.name)
                .is_some_and(|entry| is_as_listed(entry, tool))
        };
        self.complete && page.tools.iter().all(known)
    }

    /// Whether these instructions are others than those known. A handshake without any says nothing.
    pub(super) fn would_tell(&self, instructions: Option<&str>) -> bool {
        match (&self.instructions, instructions) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(known), Some(said)) => *known.seen != *said,
        }
    }

    /// Whether a tool `name` would be here if it had been listed, however it is defined.
    pub(super) fn would_keep(&self, name: &str) -> bool {
        name.len() <= MAX_NAME
            && self.tools.len() < MAX_TOOLS
            && self.size() + MAX_DEFINITION <= MAX_TOTAL
    }

    fn size(&self) -> usize {
        self.tools.values().map(|entry| entry.size()).sum()
    }
}

fn is_as_listed(entry: &ToolEntry, tool: &ListedTool) -> bool {
    entry.definition.digest == tool.definition.digest && entry.flaw() == tool.flaw.as_ref()
}

/// A text that is kept. One that is too long is cut, and still tells that it changed.
pub(super) fn bounded(text: &str) -> String {
    if text.len() <= MAX_DEFINITION {
        return text.to_owned();
    }
    let kept = &text[..text.floor_char_boundary(MAX_DEFINITION)];
    format!(
        "{kept}\n[cut here; SHA-256 of all of it: {}]",
        Digest::of(text.as_bytes())
    )
}

impl Update {
    pub(super) fn of(known: &Snapshot, name: &ServerName, url: &str, now: Timestamp) -> Self {
        let known = known.get(name).filter(|known| &*known.url == url);
        Self {
            name: name.clone(),
            now,
            is_changed: known.is_none(),
            server: Some(match known {
                Some(known) => ServerTools::clone(known),
                None => ServerTools::at(url),
            }),
            tools: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Forgets what is known of `name` at `url`, and nothing that was learned since.
    pub(super) fn removal(known: &Snapshot, name: &ServerName, url: &str, now: Timestamp) -> Self {
        Self {
            name: name.clone(),
            now,
            server: None,
            is_changed: known.get(name).is_some_and(|known| &*known.url == url),
            tools: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.is_changed && self.tools.is_empty()
    }

    pub(super) fn take_page(&mut self, page: &Page) {
        let Some(server) = &mut self.server else {
            return;
        };
        let opened = *server.opened_at.get_or_insert_with(|| {
            self.is_changed = true;
            self.now
        });
        let window_passed = self.now.duration_since(opened) > BASELINE_WINDOW;
        let is_baseline = !server.complete && !window_passed;
        let mut size = server.size();
        for mut tool in merged(&page.tools).into_values() {
            let known = server.tools.get(&tool.name);
            if known.is_some_and(|known| is_as_listed(known, &tool)) {
                continue;
            }
            let known_size = known.map_or(0, |known| known.size());
            let has_room = size - known_size + tool.definition.json.len() <= MAX_TOTAL;
            let pinned = match known {
                None if !has_room
                    || server.tools.len() >= MAX_TOOLS
                    || tool.name.len() > MAX_NAME =>
                {
                    tracing::warn!(server = %self.name, "the server lists more tools than are kept");
                    continue;
                }
                None if is_baseline && tool.flaw.is_none() => Some(tool.definition.clone()),
                None => None,
                Some(known) => known.pinned().cloned(),
            };
            if !has_room {
                tool.make_unkept();
            }
            let is_first = known.is_none();
            let entry = Arc::new(ToolEntry::new(&tool, pinned, self.now));
            let kind = match entry.standing {
                Standing::Pinned if is_first => Kind::ToolPinned,
                _ => Kind::ToolChanged,
            };
            self.events
                .push(event(kind, &self.name, &tool.name, &entry));
            size = size - known_size + entry.size();
            server
                .tools
                .insert(Arc::clone(&tool.name), Arc::clone(&entry));
            self.tools.insert(tool.name, entry);
        }
        if !server.complete && (page.is_last || window_passed) {
            server.complete = true;
            self.is_changed = true;
        }
    }

    pub(super) fn take_greeting(&mut self, instructions: Option<&str>, announces: bool) {
        let Some(server) = &mut self.server else {
            return;
        };
        self.is_changed |= server.announces != announces;
        server.announces = announces;
        if !server.would_tell(instructions) {
            return;
        }
        self.is_changed = true;
        let seen: Arc<str> = instructions.unwrap_or_default().into();
        let detail = json!({ "seen": Digest::of(seen.as_bytes()), "is_first": server.instructions.is_none() });
        let event = Event::new(Kind::InstructionsChanged).server(&self.name);
        self.events.push(event.detail(detail));
        server.instructions = Some(match server.instructions.take() {
            Some(known) => Instructions { seen, ..known },
            None => Instructions {
                pinned: Arc::clone(&seen),
                seen,
            },
        });
    }

    pub(super) fn approve(
        &mut self,
        subject: &Subject,
        digest: Digest,
        by: &Decider,
    ) -> Result<(), CatalogError> {
        let server = self.name.clone();
        let what = subject.to_string();
        let not_held = || CatalogError::NotHeld {
            server: server.clone(),
            what: what.clone(),
        };
        let known = self.server.as_mut().ok_or_else(not_held)?;
        match subject {
            Subject::Instructions => {
                let held = known.instructions.as_mut().filter(|texts| texts.is_held());
                let texts = held.ok_or_else(not_held)?;
                if texts.digest() != digest {
                    return Err(CatalogError::ChangedAgain { server, what });
                }
                texts.pinned = Arc::clone(&texts.seen);
                self.is_changed = true;
                let event = Event::new(Kind::ToolApproved).server(&self.name).actor(by);
                let detail = json!({ "instructions": true, "digest": digest });
                self.events.push(event.detail(detail));
            }
            Subject::Tool(name) => {
                let held = known.tools.get_mut(name).filter(|entry| entry.is_held());
                let entry = held.ok_or_else(not_held)?;
                if entry.definition.digest != digest {
                    return Err(CatalogError::ChangedAgain { server, what });
                }
                if let Some(why) = entry.flaw() {
                    let why = why.to_string();
                    return Err(CatalogError::Unpinnable { server, what, why });
                }
                let told = event(Kind::ToolApproved, &self.name, name, entry);
                self.events.push(told.actor(by));
                *entry = Arc::new(ToolEntry {
                    standing: Standing::Pinned,
                    ..ToolEntry::clone(entry)
                });
                self.tools.insert(Arc::clone(name), Arc::clone(entry));
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        let Some(server) = &self.server else {
            return records::remove(tx, &self.name);
        };
        records::put_server(tx, &self.name, server)?;
        for (tool, entry) in &self.tools {
            records::put_tool(tx, &self.name, tool, entry)?;
        }
        for event in &self.events {
            audit::append(tx, self.now, event)?;
        }
        Ok(())
    }

    pub(super) fn publish(&self, known: &mut HashMap<ServerName, Arc<ServerTools>>) {
        match &self.server {
            Some(server) => known.insert(self.name.clone(), Arc::new(server.clone())),
            None => known.remove(&self.name),
        };
    }
}

fn event(kind: Kind, server: &ServerName, tool: &str, entry: &ToolEntry) -> Event {
    let severity = match &entry.standing {
        Standing::Changed { severity, .. } => Some(severity.as_str()),
        _ => None,
    };
    Event::new(kind).server(server).tool(tool).detail(json!({
        "standing": entry.standing.as_str(),
        "severity": severity,
        "digest": entry.definition.digest,
        "pinned": entry.pinned().map(|pinned| pinned.digest),
    }))
}

/// One entry per name. A name that stands for several definitions is nobody's.
fn merged(tools: &[ListedTool]) -> BTreeMap<Arc<str>, ListedTool> {
    let mut by_name: BTreeMap<Arc<str>, ListedTool> = BTreeMap::new();
    for tool in tools {
        match by_name.get_mut(&tool.name) {
            None => {
                by_name.insert(Arc::clone(&tool.name), tool.clone());
            }
            Some(first) if first.definition.digest != tool.definition.digest => {
                first.contradicted_by(tool);
            }
            Some(_) => {}
        }
    }
    by_name
}
