//! Standing permissions: a person's "always", bound to a tool as it was shown.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::Action;
use crate::types::{ApprovalId, Decider, Digest, ServerName};

/// Calls that need no further decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The approval that gave it.
    pub id: ApprovalId,
    pub server: ServerName,
    /// It ends when the name stands for another URL.
    pub address: String,
    pub tool: String,
    /// It ends when the tool changes.
    pub tool_digest: Digest,
    /// Only calls with exactly these arguments.
    pub argument_digest: Option<Digest>,
    /// The arguments as they were shown, when they are kept.
    pub arguments: Option<String>,
    /// Only calls of this caller.
    pub principal: Option<String>,
    pub by: Decider,
    pub given_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

impl Grant {
    /// Whether it is about this tool, at this server and its address, with these arguments.
    pub fn is_about(
        &self,
        (server, address): (&ServerName, &str),
        (tool, tool_digest): (&str, Digest),
        argument_digest: Digest,
    ) -> bool {
        self.server == *server
            && self.address == address
            && self.tool == tool
            && self.tool_digest == tool_digest
            && self
                .argument_digest
                .is_none_or(|digest| digest == argument_digest)
    }

    fn covers(&self, action: &Action, now: Timestamp) -> bool {
        let server = (&action.server, action.address.as_str());
        action.tool_digest.is_some_and(|digest| {
            self.is_about(server, (&action.tool, digest), action.argument_digest)
        }) && self
            .principal
            .as_ref()
            .is_none_or(|principal| *principal == action.caller.principal)
            && self.is_valid(now)
    }

    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    fn permits_the_same_as(&self, other: &Self) -> bool {
        self.server == other.server
            && self.address == other.address
            && self.tool == other.tool
            && self.tool_digest == other.tool_digest
            && self.argument_digest == other.argument_digest
            && self.principal == other.principal
    }
}

/// All of them, found by the definition of the tool.
#[derive(Debug, Default)]
pub(super) struct Grants {
    by_tool: HashMap<Digest, Vec<Grant>>,
    count: usize,
}

impl Grants {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The one that permits `action`.
    pub(super) fn covering(&self, action: &Action, now: Timestamp) -> Option<&Grant> {
        self.by_tool
            .get(&action.tool_digest?)?
            .iter()
            .find(|grant| grant.covers(action, now))
    }

    /// Adds `grant`; returns those that permitted the same and are replaced by it.
    pub(super) fn add(&mut self, grant: Grant) -> Vec<Grant> {
        let replaced = self.remove(|present| present.permits_the_same_as(&grant));
        self.by_tool
            .entry(grant.tool_digest)
            .or_default()
            .push(grant);
        self.count += 1;
        replaced
    }

    pub(super) fn remove(&mut self, which: impl Fn(&Grant) -> bool) -> Vec<Grant> {
        let mut removed = Vec::new();
        self.by_tool.retain(|_, grants| {
            removed.extend(grants.extract_if(.., |grant| which(grant)));
            !grants.is_empty()
        });
        self.count -= removed.len();
        removed
    }
}
