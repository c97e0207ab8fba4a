//! The one place where a held call is decided.
//!
//! [`Approvals::submit`] turns a call into a question, or joins it to the one that is there already;
//! every surface shows the same items and calls [`Approvals::decide`]; the first answer counts.
//! [`Ticket::claim`] is the only way to use an approval, and works once. The rules are in `queue`,
//! pure; `turn` makes one change at a time and commits it before anybody is told; `board` shows what
//! is committed.

mod arguments;
mod board;
mod deadline;
mod decide;
mod error;
mod grant;
mod item;
mod look;
mod pin;
mod queue;
mod records;
mod ticket;
mod turn;
mod withdraw;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::board::Board;
pub use self::error::{ApprovalError, ClaimError, PinError};
pub use self::grant::Grant;
pub use self::item::{
    Action, CallerView, ChangeView, Decision, Edited, InvalidState, Item, Remember, Settled, State,
    Verdict,
};
pub use self::pin::PinState;
use self::queue::Queue;
pub use self::records::Filter;
pub use self::ticket::{Execution, Ticket};
use crate::clock::SharedClock;
use crate::lifecycle::Lifecycle;
use crate::store::{Durability, Store, StoreError};
use crate::types::{ApprovalId, Decider, Secret};

/// Cloneable handle.
#[derive(Clone)]
pub struct Approvals {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: SharedClock,
    lifecycle: Lifecycle,
    board: Board,
    pin: pin::Pin,
    /// Changes that the next turn makes.
    waiting: Mutex<Vec<turn::Order>>,
    /// None when it has to be read again.
    turn: tokio::sync::Mutex<Option<Queue>>,
}

impl Approvals {
    /// Reads what the last run left; [`Self::resume`] takes it up.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn open(
        store: Store,
        clock: SharedClock,
        lifecycle: Lifecycle,
    ) -> Result<Self, StoreError> {
        let now = clock.now();
        let recorded = store
            .read(move |connection| records::read(connection, now))
            .await?;
        let queue = Queue::new(recorded);
        let board = Board::new();
        board.publish(queue.live().cloned());
        Ok(Self {
            inner: Arc::new(Inner {
                pin: pin::Pin::open(store.clone(), clock.clone()).await?,
                store,
                clock,
                lifecycle,
                board,
                waiting: Mutex::default(),
                turn: tokio::sync::Mutex::new(Some(queue)),
            }),
        })
    }

    /// Ends calls that were running when the last run ended, as of unknown outcome, and lets time
    /// end what nobody decides from now on. To be called once, before any call is submitted.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub async fn resume(&self) -> Result<(), ApprovalError> {
        let deadlines = deadline::run(self.clone());
        self.inner
            .lifecycle
            .spawn_no_panic("approval deadlines", deadlines);
        let recover = |queue: &mut Queue, now| queue.recover(now);
        Ok(self.change(Durability::Power, recover, |_, ()| ()).await?)
    }

    /// The ticket of `action`: at the live item about the same call, at a denial of it a moment ago,
    /// at an approved item when a grant covers it, else at a new question that stands for `patience`.
    ///
    /// # Errors
    /// There is no room for another question, or it could not be recorded.
    pub async fn submit(
        &self,
        action: Action,
        patience: Duration,
    ) -> Result<Ticket, ApprovalError> {
        let patience = u32::try_from(patience.as_secs()).unwrap_or(u32::MAX).max(1);
        self.change(
            Durability::Process,
            move |queue, now| queue.submit(action, patience, now),
            |this, item| item.map(|item| Ticket::new(this, &item)),
        )
        .await?
    }

    /// The same for a call that answers the question by which the server ended `round`, a run of an
    /// item: it goes on with that approval.
    ///
    /// # Errors
    /// As for [`Self::submit`].
    pub async fn submit_next(
        &self,
        action: Action,
        round: (ApprovalId, u32),
        patience: Duration,
    ) -> Result<Ticket, ApprovalError> {
        let patience = u32::try_from(patience.as_secs()).unwrap_or(u32::MAX).max(1);
        self.change(
            Durability::Process,
            move |queue, now| queue.submit_next(action, round, patience, now),
            |this, item| item.map(|item| Ticket::new(this, &item)),
        )
        .await?
    }

    /// Checks the PIN that came with something `by` wants, for whatever loosens what may run. Ok when
    /// none is set.
    ///
    /// # Errors
    /// It is missing, wrong or locked.
    pub async fn authorize(&self, pin: Option<&Secret>, by: &Decider) -> Result<(), ApprovalError> {
        self.inner.pin.check(pin, by).await
    }

    pub async fn pin_state(&self) -> PinState {
        self.inner.pin.state().await
    }

    /// Sets the PIN, or changes it, for which the old one is needed.
    ///
    /// # Errors
    /// The old one is wrong, the new one not usable, or it could not be recorded.
    pub async fn set_pin(
        &self,
        new: &Secret,
        old: Option<&Secret>,
        by: Decider,
    ) -> Result<(), ApprovalError> {
        self.inner.pin.set(new, old, &by).await
    }

    /// Removes the PIN, for which it is needed.
    ///
    /// # Errors
    /// It is wrong or there is none, or its removal could not be recorded.
    pub async fn clear_pin(&self, old: Option<&Secret>, by: Decider) -> Result<(), ApprovalError> {
        self.inner.pin.clear(old, &by).await
    }

    async fn claim(
        &self,
        id: ApprovalId,
        input_run: Option<u32>,
    ) -> Result<Option<Execution>, Arc<StoreError>> {
        self.change(
            Durability::Power,
            move |queue, now| queue.claim(id, input_run, now),
            |this, item| item.map(|item| Execution::new(this.clone(), item)),
        )
        .await
    }

    fn settle(&self, id: ApprovalId, run: u32, settled: Settled) {
        self.insist(move |queue, now| queue.settle(id, run, settled.clone(), now));
    }
}

#[cfg(test)]
mod tests;
