//! When a client has to be told that its list of tools is another one now.

use std::sync::Arc;

use tokio::sync::watch;

use crate::catalog::{self, ServerTools};
use crate::pipeline::Inner;
use crate::registry::{Server, Snapshot};
use crate::types::{Digest, ServerName};

/// Follows what decides about the tools of one server: its rules, and what people approved.
pub(super) struct News {
    server: ServerName,
    rules: watch::Receiver<Arc<Snapshot>>,
    pins: watch::Receiver<catalog::Snapshot>,
    version: Digest,
    known: Option<Arc<ServerTools>>,
}

impl News {
    /// News since the rules that `server` has.
    pub(super) fn since(server: &Server, inner: &Inner) -> Self {
        let mut rules = inner.registry.subscribe();
        rules.mark_changed();
        Self {
            rules,
            pins: inner.catalog.subscribe(),
            version: server.policy.version(),
            known: inner.catalog.server(&server.name),
            server: server.name.clone(),
        }
    }

    /// Resolves when there are some. Cancel safe.
    pub(super) async fn come(&mut self) {
        loop {
            let is_news = tokio::select! {
                changed = self.rules.changed() => changed.is_ok().then(|| self.has_other_rules()),
                changed = self.pins.changed() => changed.is_ok().then(|| self.was_approved()),
            };
            match is_news {
                Some(true) => return,
                Some(false) => {}
                // The daemon ends.
                None => std::future::pending().await,
            }
        }
    }

    fn has_other_rules(&mut self) -> bool {
        let rules = self.rules.borrow_and_update();
        let Some(server) = rules.get(self.server.as_str()) else {
            return false;
        };
        let version = server.policy.version();
        std::mem::replace(&mut self.version, version) != version
    }

    fn was_approved(&mut self) -> bool {
        let pins = self.pins.borrow_and_update();
        let now = pins.get(&self.server).cloned();
        let before = std::mem::replace(&mut self.known, now.clone());
        let (Some(before), Some(now)) = (before, now) else {
            return false;
        };
        !Arc::ptr_eq(&before, &now) && now.has_approvals_since(&before)
    }
}
