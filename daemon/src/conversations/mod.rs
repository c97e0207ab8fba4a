//! What answers of models leave behind for a client's next request.
//!
//! An answer is kept under its id, with the one it continues; what its items stand for under their
//! keys; calls that wait for the client's approval until a request acts on them, once. While a request
//! is being answered, each step is written down before the next is taken, so that the same request
//! sent again goes on where the first one was cut off.
//!
//! Bodies are text that only the adapters understand, and are never logged. Everything belongs to an
//! owner, the digest of what a client presented, and does not exist for another one.
//!
//! A conversation, which is all answers that continue each other with what they left, goes as a whole:
//! when it was not used for as long as the setting says, or, where there is no room, oldest first
//! from the owner who has most.

mod answers;
mod error;
mod items;
mod runs;
mod sweep;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use rusqlite::{Connection, Transaction};

pub use self::error::ConversationError;
use self::items::Kind;
pub use self::runs::{Journal, RunId};
use self::sweep::Sweeper;
use crate::clock::SharedClock;
use crate::error::chain;
use crate::lifecycle::Lifecycle;
use crate::store::{Durability, Store};
use crate::types::Digest;

/// Of one body.
pub const MAX_BODY: usize = 64 * 1024 * 1024;
/// Of all that is written or read at once.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// Of an id or another key.
const MAX_KEY: usize = 1024;
/// Items that one answer leaves.
const MAX_ITEMS: usize = 10_000;
/// Keys that one request may have, and answers that may continue each other.
const MAX_READ: usize = 10_000;

/// Cloneable handle.
#[derive(Clone)]
pub struct Conversations {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: SharedClock,
    lifecycle: Lifecycle,
    /// None for as long as there is room.
    keep: Option<SignedDuration>,
    sweeper: Sweeper,
}

/// What is kept of one answer, all of it or nothing.
pub struct Saved {
    /// The answer's own.
    pub id: String,
    /// The answer that this one continues.
    pub parent: Option<String>,
    /// Found under the id; None where the client forbids that.
    pub body: Option<String>,
    /// By key. A later one takes the place of an earlier one.
    pub fragments: Vec<(String, String)>,
    pub pins: Vec<(String, String)>,
    /// Calls that wait, by the id of their approval request.
    pub open: Vec<(String, String)>,
    /// The run that is complete with this answer.
    pub run: Option<RunId>,
}

/// Approval requests that are known.
pub struct Asked {
    /// What waits, by id.
    pub open: HashMap<String, String>,
    /// What a request has acted on, likewise.
    pub used: HashMap<String, String>,
}

/// What work in a transaction says: its own refusal is no failure of the store.
type Outcome<T> = rusqlite::Result<Result<T, ConversationError>>;

impl Conversations {
    /// `keep` is how long a conversation that is not used stays; zero for as long as there is room.
    pub fn open(store: Store, clock: SharedClock, lifecycle: Lifecycle, keep: Duration) -> Self {
        let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
        let this = Self {
            inner: Arc::new(Inner {
                store,
                clock,
                lifecycle,
                keep: Some(keep).filter(|keep| !keep.is_zero()),
                sweeper: Sweeper::default(),
            }),
        };
        this.keep_swept();
        this
    }

    /// Keeps an answer and what it leaves, on the disk when this returns.
    ///
    /// # Errors
    /// The answer's id or that of an approval request is taken, the run is over already, or something
    /// is too large. Nothing is kept then.
    pub async fn put(&self, owner: Digest, saved: Saved) -> Result<(), ConversationError> {
        let bytes = saved.check()?;
        let now = self.now();
        self.write(Durability::Power, move |tx| {
            answers::put(tx, &owner, now, &saved)
        })
        .await?;
        self.wrote(bytes);
        Ok(())
    }

    /// The answers that lead to the one with this id, oldest first, and that one: ids and bodies.
    /// None if it was deleted, or if any of them is not known any more.
    ///
    /// # Errors
    /// They are too long for one conversation.
    pub async fn chain(
        &self,
        owner: Digest,
        id: &str,
    ) -> Result<Option<Vec<(String, String)>>, ConversationError> {
        let (id, since) = (id.to_owned(), self.since());
        self.read(move |connection| answers::chain(connection, &owner, since, id))
            .await
    }

    /// The body of one answer.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn find(&self, owner: Digest, id: &str) -> Result<Option<String>, ConversationError> {
        let (id, since) = (id.to_owned(), self.since());
        self.read(move |connection| answers::find(connection, &owner, since, &id).map(Ok))
            .await
    }

    /// Deletes an answer for its owner, with its fragments and its open approval requests; false if
    /// there was none. Its body goes at once, or with the last answer that continues it: those keep
    /// working, as what they add makes no sense without it.
    ///
    /// # Errors
    /// The store cannot be written.
    pub async fn delete(&self, owner: Digest, id: &str) -> Result<bool, ConversationError> {
        let (id, since) = (id.to_owned(), self.since());
        self.write(Durability::Power, move |tx| {
            answers::delete(tx, &owner, since, &id).map(Ok)
        })
        .await
    }

    /// Those of these keys that stand for something.
    ///
    /// # Errors
    /// There are too many, or what they stand for is too large.
    pub async fn fragments(
        &self,
        owner: Digest,
        keys: &[String],
    ) -> Result<HashMap<String, String>, ConversationError> {
        self.items(owner, Kind::Fragment, keys).await
    }

    /// What is pinned under these keys.
    ///
    /// # Errors
    /// As with [`Self::fragments`].
    pub async fn pins(
        &self,
        owner: Digest,
        keys: &[String],
    ) -> Result<HashMap<String, String>, ConversationError> {
        self.items(owner, Kind::Pin, keys).await
    }

    /// Those of these approval requests that are known.
    ///
    /// # Errors
    /// As with [`Self::fragments`].
    pub async fn approvals(
        &self,
        owner: Digest,
        ids: &[String],
    ) -> Result<Asked, ConversationError> {
        let found = self.look_up(owner, Kind::Approval, ids).await?;
        let (used, open): (Vec<_>, Vec<_>) = found.into_iter().partition(|item| item.used);
        Ok(Asked {
            open: open.into_iter().map(items::Item::into_pair).collect(),
            used: used.into_iter().map(items::Item::into_pair).collect(),
        })
    }

    /// Begins to answer a request that acts on these approval requests: from here on they are used,
    /// and the run that used them is on the disk, with its first steps. All of it happens or nothing.
    ///
    /// # Errors
    /// One of them is used (or named twice), unknown or expired, or a step is too large.
    pub async fn begin(
        &self,
        owner: Digest,
        key: Digest,
        approvals: &[String],
        steps: Vec<String>,
    ) -> Result<RunId, ConversationError> {
        too_many("approvals", approvals.len(), MAX_READ)?;
        let durability = match approvals {
            // Cut off by a power failure, it has no client any more that would ask for it.
            [] => Durability::Process,
            _ => Durability::Power,
        };
        let mut bytes = 0;
        for step in &steps {
            too_large("a step", step.len(), MAX_BODY)?;
            bytes += step.len();
        }
        too_large("a run", bytes, MAX_BYTES)?;
        let (now, since, approvals) = (self.now(), self.since(), approvals.to_vec());
        let begun = self.write(durability, move |tx| {
            if let Err(refused) = items::check_open(tx, &owner, since, &approvals)? {
                return Ok(Err(refused));
            }
            items::use_up(tx, &owner, &approvals)?;
            runs::begin(tx, &owner, &key, &steps, now).map(Ok)
        });
        let run = begun.await?;
        self.wrote(bytes);
        Ok(run)
    }

    /// Writes down step `n` of a run, counted from 0. It survives the end of the process when this
    /// returns.
    ///
    /// # Errors
    /// It is not the next one, the run is over, or too large.
    pub async fn step(&self, run: RunId, n: usize, body: String) -> Result<(), ConversationError> {
        let bytes = body.len();
        too_large("a step", bytes, MAX_BODY)?;
        let now = self.now();
        self.write(Durability::Process, move |tx| {
            runs::step(tx, run, n, &body, now)
        })
        .await?;
        self.wrote(bytes);
        Ok(())
    }

    /// The newest run of the request with this key, if it was less than a few minutes ago.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn journal(
        &self,
        owner: Digest,
        key: Digest,
    ) -> Result<Option<Journal>, ConversationError> {
        let now = self.now();
        self.read(move |connection| runs::journal(connection, &owner, &key, now).map(Ok))
            .await
    }

    async fn items(
        &self,
        owner: Digest,
        kind: Kind,
        keys: &[String],
    ) -> Result<HashMap<String, String>, ConversationError> {
        let found = self.look_up(owner, kind, keys).await?;
        Ok(found.into_iter().map(items::Item::into_pair).collect())
    }

    async fn look_up(
        &self,
        owner: Digest,
        kind: Kind,
        keys: &[String],
    ) -> Result<Vec<items::Item>, ConversationError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        too_many("ids", keys.len(), MAX_READ)?;
        let (keys, since) = (keys.to_vec(), self.since());
        let found = self
            .read(move |connection| items::find(connection, &owner, kind, since, &keys))
            .await?;
        self.note_use(&found);
        Ok(found)
    }

    /// Lets the conversations of `found` live on; seldom, because reading must not cost a write.
    fn note_use(&self, found: &[items::Item]) {
        let now = self.now();
        let stale = now.saturating_sub(items::USE_STORED_EVERY);
        let old = found.iter().filter(|item| item.used_at < stale);
        let mut conversations: Vec<i64> = old.map(|item| item.conversation).collect();
        conversations.sort_unstable();
        conversations.dedup();
        if conversations.is_empty() {
            return;
        }
        let this = self.clone();
        self.inner.lifecycle.spawn("conversation use", async move {
            let used = this.write(Durability::Process, move |tx| {
                items::note_use(tx, &conversations, now).map(Ok)
            });
            if let Err(error) = used.await {
                let error = chain(&error);
                tracing::warn!(error, "the use of a conversation is not stored");
            }
        });
    }

    /// Milliseconds since the Unix epoch.
    fn now(&self) -> i64 {
        self.inner.clock.now().as_millisecond()
    }

    /// What was not used since then is expired.
    fn since(&self) -> i64 {
        let oldest = self.inner.keep.map(|keep| {
            let millis = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
            self.now().saturating_sub(millis)
        });
        oldest.unwrap_or(i64::MIN)
    }

    async fn write<T, W>(&self, durability: Durability, work: W) -> Result<T, ConversationError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Outcome<T> + Send + 'static,
    {
        self.inner.store.write(durability, work).await?
    }

    /// All of `work` sees the same state.
    async fn read<T, W>(&self, work: W) -> Result<T, ConversationError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Outcome<T> + Send + 'static,
    {
        let read = move |connection: &Connection| work(&*connection.unchecked_transaction()?);
        self.inner.store.read(read).await?
    }
}

impl Saved {
    /// Returns how many bytes it is.
    fn check(&self) -> Result<usize, ConversationError> {
        let items = [&self.fragments, &self.pins, &self.open];
        let count = items.iter().map(|items| items.len()).sum();
        too_many("items of an answer", count, MAX_ITEMS)?;
        let mut total = self.body.as_ref().map_or(0, String::len);
        too_large("an answer", total, MAX_BODY)?;
        too_large("the id of an answer", self.id.len(), MAX_KEY)?;
        for (key, body) in items.into_iter().flatten() {
            too_large("the id of an item", key.len(), MAX_KEY)?;
            too_large("an item", body.len(), MAX_BODY)?;
            total = total.saturating_add(body.len());
        }
        too_large("an answer", total, MAX_BYTES)?;
        Ok(total)
    }
}

fn too_large(what: &'static str, bytes: usize, limit: usize) -> Result<(), ConversationError> {
    match bytes > limit {
        true => Err(ConversationError::TooLarge { what, bytes, limit }),
        false => Ok(()),
    }
}

fn too_many(what: &'static str, count: usize, limit: usize) -> Result<(), ConversationError> {
    match count > limit {
        true => Err(ConversationError::TooMany { what, limit }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
