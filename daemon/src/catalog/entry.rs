//! What is known of one tool, of one server's instructions, and of one server.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::definition::{Definition, ListedTool};
use crate::policy::Annotations;
use crate::types::{Digest, ServerName};

/// A tool as it was listed last, and how that compares with what a person relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolEntry {
    pub definition: Definition,
    /// What the server says about the tool's effects.
    pub annotations: Option<Annotations>,
    pub standing: Standing,
    /// When this definition was first listed.
    pub seen_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Pinned,
    /// Not there when the server's tools were pinned.
    New,
    Changed {
        severity: Severity,
        pinned: Definition,
    },
    /// It cannot be told what a call would do, so nobody can rely on it.
    Unpinnable {
        why: Arc<str>,
        pinned: Option<Definition>,
    },
}

impl Standing {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::New => "new",
            Self::Changed { .. } => "changed",
            Self::Unpinnable { .. } => "unpinnable",
        }
    }
}

/// The worst part of a change. None of them is harmless: a model obeys descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Title or description.
    Cosmetic,
    /// What goes in or comes out.
    Schema,
    /// What the server says about the tool's effects.
    Annotation,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cosmetic => "cosmetic",
            Self::Schema => "schema",
            Self::Annotation => "annotation",
        }
    }

    fn of(before: &Definition, after: &Definition) -> Self {
        let member = |name: &str| match name {
            "annotations" => Self::Annotation,
            "inputSchema" | "outputSchema" => Self::Schema,
            _ => Self::Cosmetic,
        };
        let changed = before.members_unlike(after);
        let worst = changed.into_iter().map(member).max();
        worst.unwrap_or(Self::Cosmetic)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ToolEntry {
    /// `pinned` is what a person relies on, if anything.
    pub(super) fn new(tool: &ListedTool, pinned: Option<Definition>, seen_at: Timestamp) -> Self {
        let definition = tool.definition.clone();
        let standing = match (&tool.flaw, pinned) {
            (Some(why), pinned) => Standing::Unpinnable {
                why: Arc::clone(why),
                pinned,
            },
            (None, None) => Standing::New,
            (None, Some(pinned)) if pinned.digest == definition.digest => Standing::Pinned,
            (None, Some(pinned)) => Standing::Changed {
                severity: Severity::of(&pinned, &definition),
                pinned,
            },
        };
        Self {
            annotations: definition.annotations(),
            definition,
            standing,
            seen_at,
        }
    }

    /// What a person relies on.
    pub fn pinned(&self) -> Option<&Definition> {
        match &self.standing {
            Standing::Pinned => Some(&self.definition),
            Standing::New => None,
            Standing::Changed { pinned, .. } => Some(pinned),
            Standing::Unpinnable { pinned, .. } => pinned.as_ref(),
        }
    }

    pub fn is_held(&self) -> bool {
        self.standing != Standing::Pinned
    }

    pub(super) fn flaw(&self) -> Option<&Arc<str>> {
        match &self.standing {
            Standing::Unpinnable { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Of the texts this holds.
    pub(super) fn size(&self) -> usize {
        let pinned = match &self.standing {
            Standing::Pinned | Standing::New => 0,
            _ => self.pinned().map_or(0, |pinned| pinned.json.len()),
        };
        self.definition.json.len() + pinned
    }
}

/// What a server tells models about its use. Empty where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instructions {
    pub pinned: Arc<str>,
    pub seen: Arc<str>,
}

impl Instructions {
    pub fn is_held(&self) -> bool {
        self.pinned != self.seen
    }

    pub fn digest(&self) -> Digest {
        Digest::of(self.seen.as_bytes())
    }
}

/// What is known of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTools {
    /// What is said here holds for this address only.
    pub(super) url: Arc<str>,
    /// When the first page of a list was seen.
    pub(super) opened_at: Option<Timestamp>,
    /// The baseline is taken: what is new is held.
    pub(super) complete: bool,
    pub(super) announces: bool,
    pub(super) instructions: Option<Instructions>,
    pub(super) tools: HashMap<Arc<str>, Arc<ToolEntry>>,
}

impl ServerTools {
    pub(super) fn at(url: &str) -> Self {
        Self {
            url: url.into(),
            opened_at: None,
            complete: false,
            announces: false,
            instructions: None,
            tools: HashMap::new(),
        }
    }

    pub fn tool(&self, name: &str) -> Option<&Arc<ToolEntry>> {
        self.tools.get(name)
    }

    /// All tools that were ever listed, in no order.
    pub fn tools(&self) -> impl Iterator<Item = (&str, &Arc<ToolEntry>)> {
        self.tools.iter().map(|(name, entry)| (&**name, entry))
    }

    /// Whether the server says that it tells of changed lists (`tools.listChanged`).
    pub fn announces_changes(&self) -> bool {
        self.announces
    }

    pub fn instructions(&self) -> Option<&Instructions> {
        self.instructions.as_ref()
    }

    /// What a person has not approved yet, the instructions included.
    pub fn held(&self) -> usize {
        let instructions = self
            .instructions
            .as_ref()
            .is_some_and(Instructions::is_held);
        let tools = self.tools.values().filter(|entry| entry.is_held()).count();
        tools + usize::from(instructions)
    }

    /// Whether something that waited for approval in `before` is relied on now.
    pub fn has_approvals_since(&self, before: &Self) -> bool {
        let approved = |(name, entry): (&Arc<str>, &Arc<ToolEntry>)| {
            !entry.is_held()
                && before.tools.get(name).is_some_and(|then| {
                    then.is_held() && then.definition.digest == entry.definition.digest
                })
        };
        let texts = (&before.instructions, &self.instructions);
        let (Some(then), Some(now)) = texts else {
            return self.tools.iter().any(approved);
        };
        let agreed = then.is_held() && !now.is_held() && then.seen == now.seen;
        agreed || self.tools.iter().any(approved)
    }

    /// What speaks against a call of `tool` that policy allows.
    pub fn objection(&self, server: &ServerName, tool: &str) -> Option<Objection> {
        let what = match self.tool(tool).map(|entry| &entry.standing) {
            // It may have been listed and not be kept.
            None if self.complete && !self.would_keep(tool) => Some(What::Unkept),
            // No list has named it, so nothing has changed. Whether there is such a tool is for the
            // server to say, as it is without us.
            None => None,
            Some(Standing::Pinned) => None,
            Some(Standing::New) => Some(What::New),
            Some(Standing::Changed { severity, .. }) => Some(What::Changed(*severity)),
            Some(Standing::Unpinnable { why, .. }) => Some(What::Unpinnable(Arc::clone(why))),
        };
        let instructions = self
            .instructions
            .as_ref()
            .is_some_and(Instructions::is_held);
        let what = what.or(instructions.then_some(What::Instructions))?;
        Some(Objection {
            server: server.clone(),
            what,
        })
    }
}

/// Why a person has to look at a call although policy allows it. Its text ends in the command that
/// shows more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    server: ServerName,
    what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    New,
    Changed(Severity),
    Unpinnable(Arc<str>),
    Unkept,
    Instructions,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = &self.server;
        match &self.what {
            What::New => write!(f, "the tool is new since the tools of {server} were pinned")?,
            What::Changed(severity) => {
                write!(
                    f,
                    "its definition changed since it was pinned ({severity} change)"
                )?;
            }
            What::Unpinnable(why) => write!(f, "its definition cannot be relied on: {why}")?,
            What::Unkept => {
                return write!(
                    f,
                    "{server} lists more tools than are kept, so it is not known"
                );
            }
            What::Instructions => write!(f, "the instructions of {server} changed")?,
        }
        write!(f, "; `mcpbridgectl tools {server} --changes` shows it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(json: &str) -> Definition {
        ListedTool::read(json).unwrap().definition
    }

    #[test]
    fn the_worst_part_of_a_change_is_named() {
        let before = definition(r#"{"name":"t","description":"a","inputSchema":{}}"#);
        for (after, severity) in [
            (
                r#"{"name":"t","description":"b","inputSchema":{}}"#,
                Severity::Cosmetic,
            ),
            (
                r#"{"name":"t","description":"b","inputSchema":{"type":"object"}}"#,
                Severity::Schema,
            ),
            (
                r#"{"name":"t","description":"b","annotations":{"readOnlyHint":true}}"#,
                Severity::Annotation,
            ),
        ] {
            assert_eq!(
                Severity::of(&before, &definition(after)),
                severity,
                "{after}"
            );
        }
    }
}
