//! What each server's tools were when a person began to rely on them.
//!
//! The definitions in the first complete list of a server are pinned. What is new or different after
//! that is held: calls of it ask, whatever policy says, until a person approves the very definition
//! they were shown. A tool that goes away and comes back the same, or changes back, is pinned still.
//! The server's instructions are pinned alike.
//!
//! Looking a tool up takes no lock that waits; a change is on the disk, with its audit record, before
//! anyone sees it.

mod change;
mod definition;
mod diff;
mod entry;
mod error;
mod observe;
mod records;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

pub use self::change::{Change, ChangeKind, Subject};
pub use self::definition::{Definition, ListedTool, MAX_DEFINITION, Nameless};
pub use self::diff::Line;
pub use self::entry::{Instructions, Objection, ServerTools, Severity, Standing, ToolEntry};
pub use self::error::CatalogError;
pub use self::observe::Page;
use self::observe::Update;
use crate::clock::SharedClock;
use crate::lifecycle::Lifecycle;
use crate::store::{Durability, Store, StoreError};
use crate::types::{Decider, Digest, ServerName};

/// What is known of all servers at one moment.
pub type Snapshot = Arc<HashMap<ServerName, Arc<ServerTools>>>;

/// Cloneable handle.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: SharedClock,
    lifecycle: Lifecycle,
    known: watch::Sender<Snapshot>,
    /// Held while a change is worked out, written and published.
    changing: Mutex<()>,
}

impl Catalog {
    /// # Errors
    /// What was known cannot be read.
    pub async fn open(
        store: Store,
        clock: SharedClock,
        lifecycle: Lifecycle,
    ) -> Result<Self, StoreError> {
        let known = store.read(records::load).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                clock,
                lifecycle,
                known: watch::Sender::new(Arc::new(known)),
                changing: Mutex::default(),
            }),
        })
    }

    /// The tool as it was listed last, if it ever was.
    pub fn tool(&self, server: &ServerName, tool: &str) -> Option<Arc<ToolEntry>> {
        let known = self.inner.known.borrow();
        known.get(server)?.tool(tool).cloned()
    }

    /// What speaks against a call that policy allows: that nobody approved this definition.
    pub fn objection(&self, server: &ServerName, tool: &str) -> Option<Objection> {
        let known = self.inner.known.borrow();
        known.get(server)?.objection(server, tool)
    }

    /// All that is known of `server`.
    pub fn server(&self, server: &ServerName) -> Option<Arc<ServerTools>> {
        self.inner.known.borrow().get(server).cloned()
    }

    /// What waits for approval, instructions first, then by name.
    pub fn changes(&self, server: &ServerName) -> Vec<Change> {
        let Some(known) = self.server(server) else {
            return Vec::new();
        };
        let tools = known.tools();
        let mut changes: Vec<Change> = tools
            .filter_map(|(name, entry)| entry.change(name))
            .collect();
        changes.extend(known.instructions().and_then(Instructions::change));
        changes.sort_by(|one, other| one.subject.cmp(&other.subject));
        changes
    }

    /// Sees every change from now on.
    pub fn subscribe(&self) -> watch::Receiver<Snapshot> {
        self.inner.known.subscribe()
    }

    /// Takes in one page of the tools that the server at `url` lists.
    ///
    /// # Errors
    /// It could not be written down; then nothing has changed.
    pub async fn observe(
        &self,
        server: &ServerName,
        url: &str,
        page: Page,
    ) -> Result<(), CatalogError> {
        // Most lists say what is known already.
        let known = self.server(server).filter(|known| &*known.url == url);
        if known.is_some_and(|known| known.confirms(&page)) {
            return Ok(());
        }
        let (name, url) = (server.clone(), url.to_owned());
        self.change(move |known, now| {
            let mut update = Update::of(known, &name, &url, now);
            update.take_page(&page);
            Ok(update)
        })
        .await
    }

    /// Takes in what a handshake says: instructions, and whether the server tells of changed lists.
    ///
    /// # Errors
    /// It could not be written down; then nothing has changed.
    pub async fn greet(
        &self,
        server: &ServerName,
        url: &str,
        instructions: Option<&str>,
        announces_changes: bool,
    ) -> Result<(), CatalogError> {
        let (name, url) = (server.clone(), url.to_owned());
        let instructions = instructions.map(observe::bounded);
        let known = self.server(server).filter(|known| *known.url == *url);
        let news = known.is_none_or(|known| {
            known.announces != announces_changes || known.would_tell(instructions.as_deref())
        });
        if !news {
            return Ok(());
        }
        self.change(move |known, now| {
            let mut update = Update::of(known, &name, &url, now);
            update.take_greeting(instructions.as_deref(), announces_changes);
            Ok(update)
        })
        .await
    }

    /// Relies on the definitions with these digests from now on. All or none.
    ///
    /// # Errors
    /// One of them is not what waits for approval.
    pub async fn approve(
        &self,
        server: &ServerName,
        what: Vec<(Subject, Digest)>,
        by: &Decider,
    ) -> Result<(), CatalogError> {
        let (name, by) = (server.clone(), by.clone());
        self.change(move |known, now| {
            let url = known.get(&name).map(|known| Arc::clone(&known.url));
            let mut update = Update::of(known, &name, url.as_deref().unwrap_or_default(), now);
            for (subject, digest) in &what {
                update.approve(subject, *digest, &by)?;
            }
            Ok(update)
        })
        .await
    }

    /// Forgets the servers that are not among `configured`, or have another address there.
    ///
    /// # Errors
    /// It could not be written down; then nothing has changed.
    pub async fn sync<'a>(
        &self,
        configured: impl Iterator<Item = (&'a ServerName, &'a str)>,
    ) -> Result<(), CatalogError> {
        let configured: HashMap<_, _> = configured.collect();
        let known = self.inner.known.borrow().clone();
        let gone = known
            .iter()
            .filter(|(name, known)| configured.get(name) != Some(&&*known.url));
        for (name, stale) in gone {
            let (name, url) = (name.clone(), Arc::clone(&stale.url));
            self.change(move |known, now| Ok(Update::removal(known, &name, &url, now)))
                .await?;
        }
        Ok(())
    }

    /// Works a change out, writes it and publishes it, to the end even if nobody waits, and one at a
    /// time.
    async fn change<F>(&self, work: F) -> Result<(), CatalogError>
    where
        F: FnOnce(&Snapshot, jiff::Timestamp) -> Result<Update, CatalogError> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let changing = self.inner.lifecycle.spawn("catalog", async move {
            let _changing = inner.changing.lock().await;
            let known = inner.known.borrow().clone();
            let now = inner.clock.now();
            let update = work(&known, now)?;
            if update.is_empty() {
                return Ok(());
            }
            let update = Arc::new(update);
            let written = Arc::clone(&update);
            let write = move |tx: &rusqlite::Transaction<'_>| written.write(tx);
            inner.store.write(Durability::Power, write).await?;
            inner
                .known
                .send_modify(|known| update.publish(Arc::make_mut(known)));
            Ok(())
        });
        changing.await.map_err(|_| CatalogError::Interrupted)?
    }
}

#[cfg(test)]
mod tests;
