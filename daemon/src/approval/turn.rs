//! One change at a time, many to a commit.
//!
//! Whoever wants a change leaves it here and starts a task; the task that gets the turn makes all
//! changes that wait, commits them together, publishes them, and only then tells each what came of
//! it. A change that was left is made even if nobody waits for it any more.

use std::mem;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::Approvals;
use super::item::State;
use super::queue::{Entry, Queue};
use super::records;
use crate::error::chain;
use crate::store::{Durability, StoreError};

/// Makes a change, and returns how to tell the outcome once the commit is known.
type Work = Box<dyn FnOnce(&mut Queue, Timestamp) -> Tell + Send>;
type Tell = Box<dyn FnOnce(Result<(), Arc<StoreError>>) + Send>;

pub(super) struct Order {
    durability: Durability,
    work: Work,
}

/// How long to wait before a record that must be made is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Approvals {
    /// Runs `work` on the queue, commits, publishes, and then hands what it returned to `then`.
    ///
    /// # Errors
    /// It could not be committed: nothing of it counts.
    pub(super) async fn change<T, R>(
        &self,
        durability: Durability,
        work: impl FnOnce(&mut Queue, Timestamp) -> T + Send + 'static,
        then: impl FnOnce(&Self, T) -> R + Send + 'static,
    ) -> Result<R, Arc<StoreError>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let this = self.clone();
        let work: Work = Box::new(move |queue, now| {
            let made = work(queue, now);
            Box::new(move |committed| {
                // Nobody may be waiting any more.
                let _ = tell.send(committed.map(|()| then(&this, made)));
            })
        });
        self.leave(Order { durability, work });
        told.await
            .unwrap_or_else(|_| Err(Arc::new(StoreError::Interrupted)))
    }

    /// Makes a change that has to be made, again and again while the disk refuses it.
    pub(super) fn insist(
        &self,
        work: impl Fn(&mut Queue, Timestamp) + Clone + Send + Sync + 'static,
    ) {
        let this = self.clone();
        self.inner.lifecycle.spawn("approval record", async move {
            loop {
                let made = this.change(Durability::Process, work.clone(), |_, ()| ());
                let Err(error) = made.await else { return };
                tracing::error!(
                    error = chain(&error),
                    "the end of a call is not recorded yet"
                );
                tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    () = this.inner.lifecycle.stopping() => return,
                }
            }
        });
    }

    fn leave(&self, order: Order) {
        let waiting = self.inner.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner).push(order);
        let this = self.clone();
        self.inner
            .lifecycle
            .spawn("approval change", async move { this.take_turn().await });
    }

    async fn take_turn(&self) {
        let mut turn = self.inner.turn.lock().await;
        let waiting = self.inner.waiting.lock();
        let waiting = mem::take(&mut *waiting.unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return;
        }
        let now = self.inner.clock.now();
        let mut queue = match turn.take() {
            Some(queue) => queue,
            None => match self.read_again(now).await {
                Ok(queue) => queue,
                Err(error) => {
                    tell(waiting, &Arc::new(error));
                    return;
                }
            },
        };
        // What is overdue cannot be decided or used any more, whether or not the timer has noticed.
        queue.expire(now);
        let mut durability = Durability::Process;
        let mut tells = Vec::with_capacity(waiting.len());
        for order in waiting {
            durability = durability.max(order.durability);
            tells.push((order.work)(&mut queue, now));
        }
        let committed = self.commit(&mut queue, durability, now).await;
        if committed.is_ok() {
            *turn = Some(queue);
        }
        let committed = committed.map_err(Arc::new);
        for tell in tells {
            tell(committed.clone());
        }
    }

    /// Puts the journal on the disk, and then on the board.
    async fn commit(
        &self,
        queue: &mut Queue,
        durability: Durability,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let journal = Arc::new(queue.take_journal());
        if journal.is_empty() {
            return Ok(());
        }
        let kept = Arc::clone(&journal);
        let write = move |tx: &rusqlite::Transaction<'_>| records::keep(tx, now, &kept);
        self.inner.store.write(durability, write).await?;
        let items = journal.iter().filter_map(|entry| match entry {
            Entry::Item(item) => Some(Arc::clone(item)),
            _ => None,
        });
        self.inner.board.publish(items);
        Ok(())
    }

    /// The queue as it is on the disk, after a commit of which nobody knows whether it was one.
    async fn read_again(&self, now: Timestamp) -> Result<Queue, StoreError> {
        let recorded = self
            .inner
            .store
            .read(move |connection| records::read(connection, now))
            .await?;
        let mut queue = Queue::new(recorded);
        // Whoever claimed those was told that it failed.
        queue.disown(|item| {
            let published = self.inner.board.get(item.id);
            published.is_some_and(|live| live.item.borrow().state == State::Executing)
        });
        self.inner.board.publish(queue.live().cloned());
        Ok(queue)
    }
}

fn tell(orders: Vec<Order>, error: &Arc<StoreError>) {
    // The outcome is told by the work, and a queue that is thrown away is as good as any.
    for order in orders {
        let told = (order.work)(&mut Queue::default(), Timestamp::UNIX_EPOCH);
        told(Err(Arc::clone(error)));
    }
}
