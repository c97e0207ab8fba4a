//! What a person is asked to approve, for people.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::diff::{self, Line};
use super::entry::{Severity, Standing, ToolEntry};
use crate::types::Digest;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// What the server tells models about its use.
    Instructions,
    Tool(Arc<str>),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instructions => f.write_str("the instructions"),
            Self::Tool(name) => write!(f, "the tool {name:?}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    New,
    Changed(Severity),
    /// It cannot be approved as a whole; each call of it is asked about.
    Unpinnable(Arc<str>),
}

impl ChangeKind {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed(_) => "changed",
            Self::Unpinnable(_) => "unpinnable",
        }
    }

    pub fn severity(&self) -> Option<Severity> {
        match self {
            Self::Changed(severity) => Some(*severity),
            Self::New | Self::Unpinnable(_) => None,
        }
    }

    /// Why nobody can rely on it.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Unpinnable(why) => Some(why),
            Self::New | Self::Changed(_) => None,
        }
    }
}

/// Something that waits for approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub subject: Subject,
    pub kind: ChangeKind,
    /// Of what would be relied on after approval.
    pub digest: Digest,
    /// Of what is relied on now.
    pub pinned: Option<Digest>,
    /// None for instructions.
    pub since: Option<Timestamp>,
    /// Texts of the server: to be made harmless wherever they are shown.
    pub diff: Vec<Line>,
}

impl Change {
    /// The difference as a text: what is gone after `-`, what is new after `+`.
    pub fn diff_text(&self) -> String {
        let mut text = String::new();
        for line in &self.diff {
            match line {
                Line::Kept(line) => text.extend(["  ", line]),
                Line::Removed(line) => text.extend(["- ", line]),
                Line::Added(line) => text.extend(["+ ", line]),
                Line::Skipped(1) => text.push_str("… 1 line"),
                Line::Skipped(count) => text.extend(["… ", &count.to_string(), " lines"]),
            }
            text.push('\n');
        }
        text
    }
}

impl ToolEntry {
    /// What a person would have to approve before calls of this tool pass by rule.
    pub fn change(&self, name: &str) -> Option<Change> {
        let kind = match &self.standing {
            Standing::Pinned => return None,
            Standing::New => ChangeKind::New,
            Standing::Changed { severity, .. } => ChangeKind::Changed(*severity),
            Standing::Unpinnable { why, .. } => ChangeKind::Unpinnable(Arc::clone(why)),
        };
        let before = self.pinned().map(|pinned| pinned.readable());
        Some(Change {
            subject: Subject::Tool(name.into()),
            kind,
            digest: self.definition.digest,
            pinned: self.pinned().map(|pinned| pinned.digest),
            since: Some(self.seen_at),
            diff: diff::lines(&before.unwrap_or_default(), &self.definition.readable()),
        })
    }
}

impl super::entry::Instructions {
    pub(super) fn change(&self) -> Option<Change> {
        self.is_held().then(|| Change {
            subject: Subject::Instructions,
            kind: ChangeKind::Changed(Severity::Cosmetic),
            digest: self.digest(),
            pinned: Some(Digest::of(self.pinned.as_bytes())),
            since: None,
            diff: diff::lines(&self.pinned, &self.seen),
        })
    }
}
