//! The audit log: an append-only chain of records in `state.db`.
//!
//! Each record's hash covers the one before, so a record that is changed, removed, inserted or moved
//! breaks the chain at that place, and [`Audit::verify`] says where. A copy of the newest hash shows a
//! cut-off end. There is no key: whoever can write the file can also build a new chain, which is
//! noticed only by comparing with a head noted elsewhere.
//!
//! A change of state and its record are one transaction ([`append`]), and what cannot be recorded
//! must not happen.

mod chain;
mod event;
#[cfg(test)]
mod tests;

use rusqlite::OptionalExtension;
use serde_json::json;

use crate::clock::SharedClock;
use crate::store::{Durability, Store, StoreError};

pub use self::chain::append;
pub use self::event::{Event, Kind};

/// Cloneable handle on the log.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    clock: SharedClock,
}

impl Audit {
    pub fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock }
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

    /// Records the start of the daemon, and how it ended before. False if that end was not clean.
    ///
    /// # Errors
    /// The record is not written.
    pub async fn started(&self) -> Result<bool, StoreError> {
        let at = self.clock.now();
        let start = self.store.write(Durability::Power, move |tx| {
            let newest = "SELECT kind FROM audit ORDER BY seq DESC LIMIT 1";
            let newest: Option<String> = tx.query_row(newest, [], |row| row.get(0)).optional()?;
            let clean = newest.is_none_or(|kind| kind == Kind::DaemonStopped.as_str());
            let detail = json!({
                "version": env!("CARGO_PKG_VERSION"),
                "pid": std::process::id(),
                "clean_end_before": clean,
            });
            append(tx, at, &Event::new(Kind::DaemonStarted).detail(detail))?;
            Ok(clean)
        });
        start.await
    }

    async fn write(&self, durability: Durability, event: Event) -> Result<u64, StoreError> {
        let at = self.clock.now();
        self.store
            .write(durability, move |tx| append(tx, at, &event))
            .await
    }
}
