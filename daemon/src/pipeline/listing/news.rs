//! When a client has to be told that its list of tools is another one now, or must hear nothing more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};
use url::Url;

use crate::catalog::{self, ServerTools};
use crate::clients::Clients;
use crate::pipeline::Inner;
use crate::registry::{Server, Snapshot};
use crate::types::{Caller, Digest, ServerName};

/// How often it is looked whether the client's token has expired.
const RECHECK: Duration = Duration::from_secs(20);

/// What a stream learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The client's list of tools is another one now.
    ListChanged,
    /// The client may not hear this server any more.
    Over,
}

/// Follows what decides about the tools that one client has of one server: the rules, what people
/// approved, and whether client and server are still welcome.
pub(super) struct News {
    server: ServerName,
    url: Url,
    caller: Caller,
    clients: Clients,
    rules: watch::Receiver<Arc<Snapshot>>,
    pins: watch::Receiver<catalog::Snapshot>,
    revocations: watch::Receiver<()>,
    recheck: Interval,
    version: Digest,
    known: Option<Arc<ServerTools>>,
}

impl News {
    /// News since the rules that `server` has.
    pub(super) fn since(server: &Server, caller: &Caller, inner: &Inner) -> Self {
        let (mut rules, mut revocations) =
            (inner.registry.subscribe(), inner.clients.revocations());
        rules.mark_changed();
        revocations.mark_changed();
        let mut recheck = interval(RECHECK);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            url: server.config.url.clone(),
            caller: caller.clone(),
            clients: inner.clients.clone(),
            rules,
            pins: inner.catalog.subscribe(),
            revocations,
            recheck,
            version: server.policy.version(),
            known: inner.catalog.server(&server.name),
            server: server.name.clone(),
        }
    }

    /// Resolves when there are some. Cancel safe.
    pub(super) async fn come(&mut self) -> Word {
        loop {
            let word = tokio::select! {
                changed = self.rules.changed() => changed.map(|()| self.of_rules()),
                changed = self.pins.changed() => changed.map(|()| self.of_pins()),
                changed = self.revocations.changed() => changed.map(|()| self.of_client()),
                _ = self.recheck.tick() => Ok(self.of_client()),
            };
            match word {
                Ok(Some(word)) => return word,
                Ok(None) => {}
                // The daemon ends.
                Err(_) => std::future::pending().await,
            }
        }
    }

    fn of_rules(&mut self) -> Option<Word> {
        let rules = self.rules.borrow_and_update();
        let server = rules.get(self.server.as_str());
        let Some(server) = server.filter(|server| server.config.url == self.url) else {
            return Some(Word::Over);
        };
        let version = server.policy.version();
        let before = std::mem::replace(&mut self.version, version);
        (before != version).then_some(Word::ListChanged)
    }

    fn of_pins(&mut self) -> Option<Word> {
        let pins = self.pins.borrow_and_update();
        let now = pins.get(&self.server).cloned();
        let before = std::mem::replace(&mut self.known, now.clone());
        let approved = now?.has_approvals_since(before.as_ref()?);
        approved.then_some(Word::ListChanged)
    }

    fn of_client(&self) -> Option<Word> {
        let revoked = self.clients.recheck(&self.caller).is_err();
        revoked.then_some(Word::Over)
    }
}
