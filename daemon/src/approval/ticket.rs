//! A call's side of a question: waiting for the answer, using the approval, saying how it ended.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Approvals;
use super::board::Live;
use super::error::ClaimError;
use super::item::{Item, Settled, State};
use crate::types::ApprovalId;

/// Calls that wait at one item. They are one call made again and again, so that more are of no use, and
/// each keeps a stream.
const MAX_WAITING: usize = 8;

/// One call that waits at an item. Dropping it withdraws the call; the question stays.
pub struct Ticket {
    approvals: Approvals,
    live: Arc<Live>,
    number: u64,
    /// Of the item as it was joined.
    input_run: Option<u32>,
}

impl Ticket {
    pub(super) fn new(approvals: &Approvals, item: &Arc<Item>) -> Self {
        let (live, number) = approvals.inner.board.enter(item);
        Self {
            approvals: approvals.clone(),
            live,
            number,
            input_run: item.input_run,
        }
    }

    pub fn id(&self) -> ApprovalId {
        self.live.item.borrow().id
    }

    /// The item as it is now.
    pub fn item(&self) -> Arc<Item> {
        Arc::clone(&self.live.item.borrow())
    }

    /// Waits until the item is no longer pending. Safe to cancel, and at once when it never was.
    pub async fn decided(&self) -> Arc<Item> {
        self.until(|item| item.state != State::Pending).await
    }

    /// Waits until this call is to make room for newer ones that wait at the item.
    pub async fn crowded_out(&self) {
        let mut holders = self.live.holders.subscribe();
        let is_crowded =
            |holders: &BTreeSet<u64>| holders.range(self.number..).count() > MAX_WAITING;
        // The sender is in `self.live`, so the channel is open.
        let _ = holders.wait_for(is_crowded).await;
    }

    /// Takes the approval for this call: the only way to send it. The record is on the disk before
    /// this returns. Where several calls wait for the same approval the newest takes it, because the
    /// clients of older ones may have gone without a word; the older ones wait here until it has.
    ///
    /// Safe to cancel: an approval that nobody took over is put back.
    ///
    /// # Errors
    /// The item is not approved (any more), or this could not be recorded.
    pub async fn claim(&self) -> Result<Execution, ClaimError> {
        self.newest_while(State::Approved).await?;
        match self.approvals.claim(self.id(), self.input_run).await {
            Ok(Some(execution)) => Ok(execution.handed_over()),
            Ok(None) => Err(ClaimError::Unclaimable(self.item())),
            Err(error) => Err(ClaimError::Store(error)),
        }
    }

    /// Takes the question away, because this call may run without an answer. As with an approval, one
    /// call gets that, the newest, and an answer that came first counts.
    ///
    /// # Errors
    /// The item is not pending (any more), or this could not be recorded.
    pub async fn overtake(&self, why: &str) -> Result<(), ClaimError> {
        self.newest_while(State::Pending).await?;
        match self.approvals.overtake(self.id(), why).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClaimError::Unclaimable(self.item())),
            Err(error) => Err(ClaimError::Store(error)),
        }
    }

    /// Waits until no newer call waits at the item, as long as that has `state`.
    async fn newest_while(&self, state: State) -> Result<(), ClaimError> {
        let mut holders = self.live.holders.subscribe();
        let has_moved = |item: &Item| item.state != state || item.input_run != self.input_run;
        loop {
            let item = self.item();
            if has_moved(&item) {
                return Err(ClaimError::Unclaimable(item));
            }
            let is_newest = holders
                .borrow_and_update()
                .last()
                .is_none_or(|newest| *newest == self.number);
            if is_newest {
                return Ok(());
            }
            tokio::select! {
                _ = holders.changed() => {}
                _ = self.until(has_moved) => {}
            }
        }
    }

    pub(super) async fn until(&self, reached: impl Fn(&Item) -> bool) -> Arc<Item> {
        let mut items = self.live.item.subscribe();
        // The sender is in `self.live`, so the channel is open.
        match items.wait_for(|item| reached(item)).await {
            Ok(item) => Arc::clone(&item),
            Err(_) => self.item(),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.approvals.inner.board.leave(&self.live, self.number);
    }
}

/// The right to send one call, once. Dropping it says that the outcome is unknown.
#[must_use = "an approved call that is not settled counts as of unknown outcome"]
pub struct Execution {
    approvals: Approvals,
    item: Arc<Item>,
    /// What is recorded when this is dropped.
    ending: Settled,
}

impl Execution {
    /// Not yet in the hands of the call: lost on the way, it was not used.
    pub(super) fn new(approvals: Approvals, item: Arc<Item>) -> Self {
        Self {
            approvals,
            item,
            ending: Settled::NotSent {
                why: "the call was given up before it was sent".to_owned(),
            },
        }
    }

    fn handed_over(mut self) -> Self {
        self.ending = Settled::Unknown {
            why: "the call broke off before the answer came".to_owned(),
        };
        self
    }

    pub fn item(&self) -> &Arc<Item> {
        &self.item
    }

    /// The JSON text to send: what was asked for, or what a person put in its place.
    pub fn arguments(&self) -> &str {
        self.item.arguments()
    }

    /// Whether a person changed the arguments.
    pub fn is_edited(&self) -> bool {
        self.item.edited.is_some()
    }

    /// Says how it ended. The record follows by itself; until it is on the disk, a daemon that dies
    /// leaves the outcome unknown.
    pub fn settle(mut self, settled: Settled) {
        self.ending = settled;
    }
}

impl Drop for Execution {
    fn drop(&mut self) {
        let ending = std::mem::replace(&mut self.ending, Settled::Done);
        self.approvals.settle(self.item.id, self.item.runs, ending);
    }
}
