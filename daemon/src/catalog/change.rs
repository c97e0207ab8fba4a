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
