//! Which rules a person has changed in `config.json`, until somebody writes that down.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Registry, Server, Snapshot};
use crate::config::ServerConfig;
use crate::policy::is_loosening;
use crate::types::{Digest, ServerName};

/// The rules of one server before and after a change; None where there is no such server.
#[derive(Debug, Clone)]
pub struct PolicyEdit {
    pub name: ServerName,
    pub before: Option<Arc<Server>>,
    pub after: Option<Arc<Server>>,
}

/// At most one edit of each server: what was changed twice was changed once.
#[derive(Debug, Clone, Default)]
pub(super) struct HandEdits(Arc<Mutex<BTreeMap<ServerName, PolicyEdit>>>);

impl HandEdits {
    /// Notes in what the rules of `after` differ from those of `before`, but for those that a command
    /// has changed.
    pub(super) fn note(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        by_command: Option<&ServerName>,
    ) {
        let names: BTreeSet<&ServerName> = before.names().chain(after.names()).collect();
        let mut edits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in names.into_iter().filter(|name| by_command != Some(*name)) {
            let of = |snapshot: &Snapshot| snapshot.get(name.as_str()).cloned();
            let (old, new) = (of(before), of(after));
            if version(old.as_deref()) == version(new.as_deref()) {
                continue;
            }
            let edit = edits.entry(name.clone()).or_insert_with(|| PolicyEdit {
                name: name.clone(),
                before: old,
                after: None,
            });
            edit.after = new;
        }
    }
}

impl Registry {
    /// What was changed by hand since this was asked last.
    pub fn take_hand_edits(&self) -> Vec<PolicyEdit> {
        let mut edits = self
            .by_hand
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let edits = std::mem::take(&mut *edits).into_values();
        edits.filter(PolicyEdit::is_change).collect()
    }
}

impl PolicyEdit {
    pub fn is_change(&self) -> bool {
        version(self.before.as_deref()) != version(self.after.as_deref())
    }

    /// Whether some call may be treated less strictly afterwards. A new server is compared with one of
    /// the defaults.
    pub fn is_loosening(&self) -> bool {
        let Some(after) = &self.after else {
            return false;
        };
        match &self.before {
            Some(before) => is_loosening(&before.config, &after.config),
            None => is_loosening(&ServerConfig::new(after.config.url.clone()), &after.config),
        }
    }
}

fn version(server: Option<&Server>) -> Option<Digest> {
    server.map(|server| server.policy.version())
}
