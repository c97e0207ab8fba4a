//! Forgetting what is old, and, where there is no room, what was not used for longest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};
use tokio::sync::Notify;

use super::{ConversationError, Conversations, runs};
use crate::error::chain;
use crate::store::Durability;

/// Bytes of all bodies together.
const ROOM: i64 = 1024 * 1024 * 1024;
/// Steps of runs may have this part of it on top.
const STEPS_SHARE: i64 = 4;
/// A sweep is due when so many bytes were written since the last one, and after some minutes.
const SWEEP_AFTER: usize = 64 * 1024 * 1024;
const SWEEP_EVERY: Duration = Duration::from_secs(5 * 60);
/// Conversations or runs that go in one transaction; the writer serves others in between.
const BATCH: u32 = 32;

#[derive(Default)]
pub(super) struct Sweeper {
    /// Since the last sweep.
    written: AtomicUsize,
    due: Notify,
}

impl Conversations {
    pub(super) fn wrote(&self, bytes: usize) {
        let sweeper = &self.inner.sweeper;
        let before = sweeper.written.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) >= SWEEP_AFTER {
            sweeper.due.notify_one();
        }
    }

    /// At once and then again and again, until the daemon stops.
    pub(super) fn keep_swept(&self) {
        let lifecycle = &self.inner.lifecycle;
        let (this, stopping) = (self.clone(), lifecycle.stopping_token());
        lifecycle.spawn("conversations", async move {
            let again_and_again = async {
                loop {
                    this.inner.sweeper.written.store(0, Ordering::Relaxed);
                    if let Err(error) = this.sweep(ROOM).await {
                        let error = chain(&error);
                        tracing::warn!(error, "old conversations stay in state.db");
                    }
                    let due = this.inner.sweeper.due.notified();
                    let _ = tokio::time::timeout(SWEEP_EVERY, due).await;
                }
            };
            stopping.run_until_cancelled(again_and_again).await
        });
    }

    /// Forgets what is expired, and then as much as there is too much for `room` bytes.
    pub(super) async fn sweep(&self, room: i64) -> Result<(), ConversationError> {
        let (now, since) = (self.now(), self.since());
        self.in_batches(move |tx| runs::sweep(tx, now, BATCH))
            .await?;
        self.write(Durability::Process, move |tx| {
            runs::make_room(tx, now, room / STEPS_SHARE).map(Ok)
        })
        .await?;
        self.in_batches(move |tx| expired(tx, since)).await?;
        let mut forgotten = 0;
        loop {
            let excess = self.read(move |db| excess(db, room).map(Ok)).await?;
            if excess.is_empty() {
                break;
            }
            forgotten += excess.len();
            self.write(Durability::Process, move |tx| forget(tx, &excess).map(Ok))
                .await?;
        }
        if forgotten > 0 {
            tracing::info!(
                conversations = forgotten,
                room,
                "forgot the oldest conversations for lack of room"
            );
        }
        Ok(())
    }

    /// Until one of them has less to do than it might.
    async fn in_batches<W>(&self, work: W) -> Result<(), ConversationError>
    where
        W: Fn(&Transaction<'_>) -> rusqlite::Result<usize> + Copy + Send + 'static,
    {
        loop {
            let batch = self.write(Durability::Process, move |tx| work(tx).map(Ok));
            if batch.await? < BATCH as usize {
                return Ok(());
            }
        }
    }
}

fn expired(tx: &Transaction<'_>, since: i64) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "DELETE FROM conversations WHERE conversation IN (SELECT conversation FROM conversations
             WHERE used_at < ?1 ORDER BY used_at LIMIT ?2)",
    )?
    .execute(params![since, BATCH])
}

/// What has to go next so that `room` bytes suffice: of the owner who has most, oldest first.
fn excess(connection: &Connection, room: i64) -> rusqlite::Result<Vec<i64>> {
    let sizes = "SELECT conversation, sum(bytes) AS bytes FROM
         (SELECT conversation, bytes FROM conversation_answers
          UNION ALL SELECT conversation, bytes FROM conversation_items)
         GROUP BY conversation";
    let owners: Vec<([u8; 32], i64)> = connection
        .prepare_cached(&format!(
            "SELECT owner, sum(bytes) AS bytes FROM conversations JOIN ({sizes})
             USING (conversation) GROUP BY owner ORDER BY bytes DESC"
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut excess = owners.iter().map(|(_, bytes)| bytes).sum::<i64>() - room;
    let Some((most, _)) = owners.first() else {
        return Ok(Vec::new());
    };
    let mut oldest = connection.prepare_cached(&format!(
        "SELECT conversation, bytes FROM conversations JOIN ({sizes}) USING (conversation)
         WHERE owner = ?1 ORDER BY used_at, conversation LIMIT ?2"
    ))?;
    let mut rows = oldest.query(params![most, BATCH])?;
    let mut gone = Vec::new();
    while excess > 0
        && let Some(row) = rows.next()?
    {
        gone.push(row.get(0)?);
        excess -= row.get::<_, i64>(1)?;
    }
    Ok(gone)
}

fn forget(tx: &Transaction<'_>, conversations: &[i64]) -> rusqlite::Result<()> {
    let mut delete = tx.prepare_cached("DELETE FROM conversations WHERE conversation = ?1")?;
    for conversation in conversations {
        delete.execute([conversation])?;
    }
    Ok(())
}
