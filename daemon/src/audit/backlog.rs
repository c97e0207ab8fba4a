//! Records that nobody waits for. They are put into the log together, a few milliseconds later, by a task
//! that is there while there are any; when the log cannot be written, it tries again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Transaction;
use serde_json::json;
use tokio::sync::{Notify, watch};

use super::Event;
use super::chain::{End, Row};
use super::journal::Journal;
use crate::error::chain;
use crate::lifecycle::Lifecycle;
use crate::store::{Durability, Store, StoreError};

/// A record is kept back so long, for others to share its commit.
const COMPANY: Duration = Duration::from_millis(5);
/// How long to wait before records that could not be written are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Records that wait, at most; further ones are given up. Callers make refusals at will.
const MAX_WAITING: usize = 10_000;

/// The number of the record of a call's beginning, once the log has it.
#[derive(Debug, Clone, Default)]
pub struct Begun(Arc<AtomicU64>);

impl Begun {
    pub(super) fn numbered(seq: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seq)))
    }
}

pub(super) struct Item {
    pub(super) at: Timestamp,
    pub(super) event: Event,
    pub(super) call: Call,
}

/// What a record has to do with a call.
pub(super) enum Call {
    None,
    /// It is the beginning, and in the journal.
    Begins(Begun),
    /// It is the end, and says where the beginning is.
    Ends(Begun),
}

/// Cloneable handle.
#[derive(Clone)]
pub(super) struct Backlog {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    lifecycle: Lifecycle,
    journal: Arc<Journal>,
    waiting: Mutex<Waiting>,
    /// Somebody waits after all.
    hurry: Notify,
    progress: watch::Sender<Progress>,
}

#[derive(Default)]
struct Waiting {
    items: Vec<Item>,
    /// How many there have ever been.
    count: u64,
    /// A task is there that puts them into the log.
    is_served: bool,
}

#[derive(Default, Clone, Copy)]
struct Progress {
    /// How many have ever been put into the log.
    count: u64,
    is_failing: bool,
}

impl Backlog {
    pub(super) fn new(store: Store, lifecycle: Lifecycle, journal: Arc<Journal>) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                lifecycle,
                journal,
                waiting: Mutex::default(),
                hurry: Notify::new(),
                progress: watch::Sender::default(),
            }),
        }
    }

    pub(super) fn push(&self, item: Item) {
        let mut waiting = self.inner.waiting();
        if waiting.items.len() >= MAX_WAITING {
            let kind = item.event.kind.as_str();
            tracing::error!(kind, "not in the audit log: too many records wait");
            return;
        }
        waiting.items.push(item);
        waiting.count += 1;
        if !std::mem::replace(&mut waiting.is_served, true) {
            let serve = Arc::clone(&self.inner).serve();
            self.inner.lifecycle.spawn("audit records", serve);
        }
    }

    /// Waits until everything that was pushed is in the log, unless the log cannot be written.
    pub(super) async fn settle(&self) {
        let count = self.inner.waiting().count;
        let is_settled = |progress: &Progress| progress.count >= count || progress.is_failing;
        if is_settled(&self.inner.progress.borrow()) {
            return;
        }
        self.inner.hurry.notify_one();
        // The sender is ours.
        let _ = self.inner.progress.subscribe().wait_for(is_settled).await;
    }
}

impl Inner {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self: Arc<Self>) {
        while let Some(items) = self.next().await {
            let (count, noted) = (items.len() as u64, noted(&items));
            let Some(newest) = self.put(items).await else {
                return;
            };
            self.journal.taken(noted, newest);
            self.progress.send_modify(|progress| {
                progress.count += count;
                progress.is_failing = false;
            });
        }
    }

    /// Those that wait, after a moment. None ends the service.
    async fn next(&self) -> Option<Vec<Item>> {
        tokio::select! {
            () = tokio::time::sleep(COMPANY) => {}
            () = self.hurry.notified() => {}
        }
        let mut waiting = self.waiting();
        if waiting.items.is_empty() {
            waiting.is_served = false;
            return None;
        }
        Some(std::mem::take(&mut waiting.items))
    }

    /// Tries until they are in the log, and returns the number of the last one. None when the daemon
    /// stops before.
    async fn put(&self, items: Vec<Item>) -> Option<u64> {
        let items = Arc::new(Mutex::new(items));
        loop {
            let error = match self.try_to_put(Arc::clone(&items)).await {
                Ok(newest) => return Some(newest),
                Err(error) => chain(&error),
            };
            let records = items.lock().unwrap_or_else(PoisonError::into_inner).len();
            tracing::error!(records, error, "not in the audit log yet");
            self.journal.doubt();
            self.progress
                .send_modify(|progress| progress.is_failing = true);
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = self.lifecycle.stopping() => return None,
            }
        }
    }

    async fn try_to_put(&self, items: Arc<Mutex<Vec<Item>>>) -> Result<u64, StoreError> {
        let work = move |tx: &Transaction<'_>| {
            let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
            let mut end = End::of(tx)?;
            for item in items.iter_mut() {
                item.add_to(&mut end)?;
            }
            end.keep()
        };
        self.store.write(Durability::Process, work).await
    }
}

impl Item {
    fn add_to(&mut self, end: &mut End<'_>) -> rusqlite::Result<()> {
        if let Call::Ends(Begun(number)) = &self.call {
            self.event.detail["call"] = json!(number.load(Ordering::Relaxed));
        }
        let seq = end.add(&Row::of(self.at, &self.event))?;
        if let Call::Begins(Begun(number)) = &self.call {
            number.store(seq, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// How many of them are in the journal.
fn noted(items: &[Item]) -> usize {
    let begins = |item: &&Item| matches!(item.call, Call::Begins(_));
    items.iter().filter(begins).count()
}
