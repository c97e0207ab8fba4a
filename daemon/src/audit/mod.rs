//! The audit log: an append-only chain of records in `state.db`.
//!
//! Each record's hash covers the one before, so a record that is changed, removed, inserted or moved
//! breaks the chain at that place, and [`Audit::verify`] says where. A copy of the newest hash shows a
//! cut-off end. There is no key: whoever can write the file can also build a new chain, which is
//! noticed only by comparing with a head noted elsewhere.
//!
//! A change of state and its record are one transaction ([`append`]), and what cannot be recorded
//! must not happen.

mod backlog;
mod chain;
mod event;
mod journal;
mod page;
mod prune;
#[cfg(test)]
mod tests;
mod unfinished;
mod verify;

use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use crate::clock::SharedClock;
use crate::config::{AuditArguments, AuditConfig};
use crate::error::chain;
use crate::lifecycle::Lifecycle;
use crate::store::{Durability, Store, StoreError};
use crate::types::{Digest, without_client_tokens};

use self::backlog::{Backlog, Call, Item};
use self::journal::Journal;

pub use self::backlog::Begun;
pub use self::chain::append;
pub use self::event::{Event, Kind};
pub use self::page::{Added, Filter, Record};
pub use self::verify::{Break, Fault, Verdict};

/// Longest arguments that are kept in a record.
const MAX_ARGUMENTS: usize = 64 * 1024;
const PRUNE_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// The arguments of a call as a record holds them: without the tokens of clients. None when they are
/// too long for it.
pub fn kept_arguments(arguments: &str) -> Option<Cow<'_, str>> {
    (arguments.len() <= MAX_ARGUMENTS).then(|| without_client_tokens(arguments))
}

/// Cloneable handle on the log.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    clock: SharedClock,
    settings: Arc<RwLock<AuditConfig>>,
    journal: Arc<Journal>,
    backlog: Backlog,
    /// One at a time: it reads everything.
    verifying: Arc<Mutex<()>>,
}

impl Audit {
    pub fn new(
        store: Store,
        clock: SharedClock,
        lifecycle: Lifecycle,
        settings: AuditConfig,
    ) -> Self {
        let journal = Arc::new(Journal::new(store.directory().join("journal/calls.jsonl")));
        Self {
            backlog: Backlog::new(store.clone(), lifecycle, Arc::clone(&journal)),
            store,
            clock,
            settings: Arc::new(RwLock::new(settings)),
            journal,
            verifying: Arc::default(),
        }
    }

    /// A log that is gone with its last handle, by a clock that stands still.
    #[cfg(test)]
    pub(crate) fn temporary() -> Self {
        let clock = crate::clock::ManualClock::at(Timestamp::UNIX_EPOCH);
        let lifecycle = Lifecycle::new();
        Self::new(Store::temporary(), clock, lifecycle, AuditConfig::default())
    }

    /// Makes every later record fail.
    #[cfg(test)]
    pub(crate) async fn spoil(&self) {
        let drop = self.store.write(Durability::Process, |tx| {
            tx.execute_batch("DROP TABLE audit_chain")
        });
        drop.await.unwrap_or_else(|error| unreachable!("{error}"));
    }

    /// Takes over settings that changed.
    pub fn configure(&self, settings: &AuditConfig) {
        let mut present = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        present.clone_from(settings);
    }

    fn settings(&self) -> AuditConfig {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        settings.clone()
    }

    /// Records something that changed no other state; the record survives the end of the process.
    ///
    /// # Errors
    /// The record is not written.
    pub async fn record(&self, event: Event) -> Result<u64, StoreError> {
        self.write(Durability::Process, event).await
    }

    /// As [`Self::record`]; the record survives a power failure too.
    ///
    /// # Errors
    /// The record is not written.
    pub async fn record_durable(&self, event: Event) -> Result<u64, StoreError> {
        self.write(Durability::Power, event).await
    }

    /// For what has happened already and cannot be undone: a record that cannot be written is a line
    /// of the program's log, and is tried again in the background.
    pub async fn record_afterwards(&self, event: Event) {
        if let Err(error) = self.record(event.clone()).await {
            tracing::error!(error = chain(&error), "not in the audit log yet");
            self.record_in_background(event);
        }
    }

    /// As [`Self::record_afterwards`], for whoever cannot wait. The record has its place before those
    /// that are asked for later.
    pub fn record_in_background(&self, event: Event) {
        self.push(event, Call::None);
    }

    /// Records that a call begins. The record survives the end of the process, although the log itself may
    /// have it a moment later.
    ///
    /// # Errors
    /// The record is not written.
    pub async fn begin(&self, event: Event) -> Result<Begun, StoreError> {
        let at = self.clock.now();
        if self.journal.note(at, &event) {
            let begun = Begun::default();
            let call = Call::Begins(begun.clone());
            self.backlog.push(Item { at, event, call });
            return Ok(begun);
        }
        let recorded = self.record(event).await;
        match &recorded {
            Ok(seq) => self.journal.taken(0, *seq),
            Err(_) => self.journal.doubt(),
        }
        recorded.map(Begun::numbered)
    }

    /// Records in the background that the call is over.
    pub fn end(&self, begun: Begun, event: Event) {
        self.push(event, Call::Ends(begun));
    }

    fn push(&self, event: Event, call: Call) {
        let at = self.clock.now();
        self.backlog.push(Item { at, event, call });
    }

    /// Whether records hold the arguments of calls, or only their digest.
    pub fn keeps_arguments(&self) -> bool {
        self.settings().arguments == AuditArguments::Keep
    }

    /// How the arguments of a call, or of an approval, stand in the details of a record: always with
    /// their digest, and as they are unless the settings say otherwise or they are very long.
    pub fn arguments(&self, arguments: &str, digest: &Digest) -> Value {
        match kept_arguments(arguments).filter(|_| self.keeps_arguments()) {
            Some(text) => json!({ "digest": digest, "text": text }),
            None => json!({ "digest": digest, "bytes": arguments.len() }),
        }
    }

    /// Records the start of the daemon, and how it ended before. False if that end was not clean. Of
    /// calls that the daemon before did not see end it records that their outcome is unknown.
    ///
    /// # Errors
    /// The record is not written.
    pub async fn started(&self) -> Result<bool, StoreError> {
        let (at, journal) = (self.clock.now(), Arc::clone(&self.journal));
        let start = self.store.write(Durability::Power, move |tx| {
            let newest = "SELECT kind FROM audit ORDER BY seq DESC LIMIT 1";
            let newest: Option<String> = tx.query_row(newest, [], |row| row.get(0)).optional()?;
            let clean = newest.is_none_or(|kind| kind == Kind::DaemonStopped.as_str());
            let detail = json!({
                "version": env!("CARGO_PKG_VERSION"),
                "pid": std::process::id(),
                "clean_end_before": clean,
            });
            journal.take_in(tx)?;
            let ends = unfinished::ends(tx)?;
            append(tx, at, &Event::new(Kind::DaemonStarted).detail(detail))?;
            for end in &ends {
                append(tx, at, end)?;
            }
            Ok(clean)
        });
        let clean = start.await?;
        if let Err(error) = self.journal.open() {
            tracing::warn!(%error, "without a journal of calls, each takes longer");
        }
        Ok(clean)
    }

    /// At most `limit` records that are older than the one with the number `before`, newest first.
    /// Fewer when they are long; none only if there are none.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn page(
        &self,
        filter: Filter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.backlog.settle().await;
        let read = move |connection: &Connection| page::page(connection, &filter, before, limit);
        self.store.read(read).await
    }

    /// At most `limit` records that are newer than the one with the number `after`, oldest first.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn added(
        &self,
        filter: Filter,
        after: u64,
        limit: usize,
    ) -> Result<Added, StoreError> {
        let read = move |connection: &Connection| page::added(connection, &filter, after, limit);
        self.store.read(read).await
    }

    /// Moves whenever [`Self::added`] may have something new.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.store.commits()
    }

    /// Reads the whole log and finds the first record that is not as it was written.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn verify(&self) -> Result<Verdict, StoreError> {
        let _alone = self.verifying.lock().await;
        self.backlog.settle().await;
        let read = |connection: &Connection| verify::verify(&*connection.unchecked_transaction()?);
        self.store.read(read).await
    }

    /// Removes what is older than the settings say, at once and then daily, until the daemon stops.
    pub fn keep_pruned(&self, lifecycle: &Lifecycle) {
        let (this, stopping) = (self.clone(), lifecycle.stopping_token());
        lifecycle.spawn("audit", async move {
            let daily = async {
                loop {
                    if let Err(error) = this.prune().await {
                        let error = chain(&error);
                        tracing::warn!(error, "old records stay in the audit log");
                    }
                    tokio::time::sleep(PRUNE_EVERY).await;
                }
            };
            stopping.run_until_cancelled(daily).await
        });
    }

    /// Returns how many records went.
    async fn prune(&self) -> Result<i64, StoreError> {
        let days = self.settings().keep_days;
        let now = self.clock.now();
        let age = SignedDuration::from_hours(24 * i64::from(days));
        let Some(until) = now.checked_sub(age).ok().filter(|_| days > 0) else {
            return Ok(0);
        };
        let mut removed = 0;
        loop {
            let batch = self
                .store
                .write(Durability::Process, move |tx| prune::prune(tx, now, until));
            let gone = batch.await?;
            removed += gone;
            if gone < prune::BATCH {
                return Ok(removed);
            }
        }
    }

    async fn write(&self, durability: Durability, event: Event) -> Result<u64, StoreError> {
        self.backlog.settle().await;
        let at: Timestamp = self.clock.now();
        self.store
            .write(durability, move |tx| append(tx, at, &event))
            .await
    }
}
