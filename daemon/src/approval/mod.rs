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
mod error;
mod grant;
mod item;
mod pin;
mod queue;
mod records;
mod ticket;
mod turn;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::broadcast;

use self::board::Board;
pub use self::error::{ApprovalError, ClaimError, PinError};
pub use self::grant::Grant;
pub use self::item::{
    Action, CallerView, ChangeView, Decision, Edited, InvalidState, Item, Remember, Settled, State,
    Verdict,
};
pub use self::pin::PinState;
use self::queue::{Queue, Ruling, Undecided};
pub use self::records::Filter;
pub use self::ticket::{Execution, Ticket};
use crate::clock::SharedClock;
use crate::lifecycle::Lifecycle;
use crate::store::{Durability, Store, StoreError};
use crate::types::{ApprovalId, Decider, Digest, Secret, ServerName};

/// A permission "for a duration" is for a piece of work, not for ever.
const MAX_GRANT_DAYS: u32 = 366;
const SECONDS_PER_DAY: u32 = 86_400;
/// Of a reason, which the model reads and every list shows.
const MAX_REASON: usize = 2_000;
/// Fewer characters of an id are too likely to mean another item a moment later.
const MIN_PREFIX: usize = 4;
/// Items of the history that are read at once.
const MAX_PAGE: u32 = 1_000;

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

    /// Answers questions, each of `ids` for itself: the first answer to each counts. Approving needs
    /// the PIN when one is set; denying never does.
    ///
    /// # Errors
    /// None of them was decided: the PIN or the verdict is wrong, or it could not be recorded.
    pub async fn decide(
        &self,
        ids: &[ApprovalId],
        verdict: Verdict,
        by: Decider,
        pin: Option<&Secret>,
    ) -> Result<Vec<Result<Arc<Item>, ApprovalError>>, ApprovalError> {
        let ruling = ruling(verdict, ids.len())?;
        if matches!(ruling, Ruling::Approve { .. }) && !by.is_weak() {
            self.authorize(pin, &by).await?;
        }
        // The answer of the asking client is no substitute for a PIN.
        let weak_counts = !self.inner.pin.is_set();
        let wanted = ids.to_vec();
        let decide = move |queue: &mut Queue, now| {
            let each = wanted.into_iter();
            each.map(|id| (id, queue.decide(id, &ruling, &by, weak_counts, now)))
                .collect::<Vec<_>>()
        };
        let decided = self
            .change(Durability::Power, decide, |_, decided| decided)
            .await?;
        let mut outcomes = Vec::with_capacity(decided.len());
        for (id, outcome) in decided {
            outcomes.push(match outcome {
                Ok(item) => Ok(item),
                Err(Undecided::Refused(error)) => Err(error),
                Err(Undecided::NotLive) => Err(match self.get(id).await {
                    Ok(item) => ApprovalError::AlreadyDecided(item),
                    Err(error) => error,
                }),
            });
        }
        Ok(outcomes)
    }

    /// [`Self::decide`] for one.
    ///
    /// # Errors
    /// It was not decided, or not by this.
    pub async fn decide_one(
        &self,
        id: ApprovalId,
        verdict: Verdict,
        by: Decider,
        pin: Option<&Secret>,
    ) -> Result<Arc<Item>, ApprovalError> {
        let mut outcomes = self.decide(&[id], verdict, by, pin).await?;
        outcomes
            .pop()
            .unwrap_or_else(|| Err(ApprovalError::NotFound(id.to_string())))
    }

    /// Pending, approved and executing items, oldest first.
    pub fn live(&self) -> Vec<Arc<Item>> {
        self.inner.board.items()
    }

    /// Items that need an answer, oldest first.
    pub fn pending(&self) -> Vec<Arc<Item>> {
        let mut items = self.live();
        items.retain(|item| item.state == State::Pending);
        items
    }

    /// How many calls wait at an item at this moment.
    pub fn waiting(&self, id: ApprovalId) -> usize {
        let live = self.inner.board.get(id);
        live.map_or(0, |live| live.holders.borrow().len())
    }

    /// Ids of items that have changed, or at which a call has come or gone. A subscriber that lags
    /// reads again what it shows.
    pub fn subscribe(&self) -> broadcast::Receiver<ApprovalId> {
        self.inner.board.subscribe()
    }

    /// # Errors
    /// There is none.
    pub async fn get(&self, id: ApprovalId) -> Result<Arc<Item>, ApprovalError> {
        if let Some(live) = self.inner.board.get(id) {
            return Ok(Arc::clone(&live.item.borrow()));
        }
        let read = self.inner.store.read(move |c| records::get(c, id)).await?;
        read.ok_or_else(|| ApprovalError::NotFound(id.to_string()))
    }

    /// The id that begins with `prefix`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn resolve(&self, prefix: &str) -> Result<ApprovalId, ApprovalError> {
        let not_found = || ApprovalError::NotFound(prefix.chars().take(40).collect());
        if let Ok(id) = prefix.parse() {
            return Ok(id);
        }
        let is_id = |c: char| c.is_ascii_lowercase() || ('2'..='7').contains(&c);
        if !prefix.chars().all(is_id) {
            return Err(not_found());
        }
        if prefix.len() < MIN_PREFIX {
            let prefix = prefix.to_owned();
            return Err(ApprovalError::Ambiguous { prefix });
        }
        let beginning = prefix.to_owned();
        let found = self
            .inner
            .store
            .read(move |c| records::beginning_with(c, &beginning))
            .await?;
        match found.as_slice() {
            [id] => Ok(*id),
            [] => Err(not_found()),
            _ => Err(ApprovalError::Ambiguous {
                prefix: prefix.to_owned(),
            }),
        }
    }

    /// What was asked so far, newest first; live items included.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn history(&self, mut filter: Filter) -> Result<Vec<Item>, ApprovalError> {
        filter.limit = filter.limit.clamp(1, MAX_PAGE);
        let read = self.inner.store.read(move |c| records::page(c, &filter));
        Ok(read.await?)
    }

    /// Standing permissions that count, newest first.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn grants(&self) -> Result<Vec<Grant>, ApprovalError> {
        let now = self.inner.clock.now();
        let mut grants = self.inner.store.read(records::grants).await?;
        grants.retain(|grant| grant.is_valid(now));
        grants.sort_by_key(|grant| (std::cmp::Reverse(grant.given_at), grant.id));
        Ok(grants)
    }

    /// The grant whose id begins with `prefix`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn resolve_grant(&self, prefix: &str) -> Result<ApprovalId, ApprovalError> {
        let grants = self.grants().await?;
        let mut found = grants
            .iter()
            .filter(|grant| prefix.len() >= MIN_PREFIX && grant.id.as_str().starts_with(prefix));
        let shown = || prefix.chars().take(40).collect();
        match (found.next(), found.next()) {
            (Some(grant), None) => Ok(grant.id),
            (None, _) => Err(ApprovalError::NoGrant(shown())),
            _ => Err(ApprovalError::Ambiguous { prefix: shown() }),
        }
    }

    /// Takes a standing permission back. That only makes things stricter, so it needs no PIN.
    ///
    /// # Errors
    /// There is none with this id, or it could not be recorded.
    pub async fn revoke_grant(&self, id: ApprovalId, by: Decider) -> Result<Grant, ApprovalError> {
        let revoke = move |queue: &mut Queue, _| queue.revoke(|grant| grant.id == id, &by).pop();
        let revoked = self
            .change(Durability::Power, revoke, |_, gone| gone)
            .await?;
        revoked.ok_or_else(|| ApprovalError::NoGrant(id.to_string()))
    }

    /// Ends what waits for servers other than `configured`, and the grants for their tools: the next
    /// server of such a name is another one.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn sync(
        &self,
        configured: impl IntoIterator<Item = &ServerName>,
    ) -> Result<(), ApprovalError> {
        let configured: HashSet<_> = configured.into_iter().cloned().collect();
        let forget = move |queue: &mut Queue, now| {
            let why = "the server was removed";
            queue.withdraw(|item| !configured.contains(&item.action.server), why, now);
            let gone = |grant: &Grant| !configured.contains(&grant.server);
            queue.revoke(gone, &Decider::Daemon);
        };
        Ok(self.change(Durability::Power, forget, |_, ()| ()).await?)
    }

    /// Ends what was asked by other rules than those of `versions` and no call waits for: whoever makes
    /// the call again is judged by the rules of today. A call that waits sees to its own question.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn withdraw_outdated(
        &self,
        versions: HashMap<ServerName, Digest>,
    ) -> Result<(), ApprovalError> {
        let mut outdated = self.live();
        outdated.retain(|item| {
            let now = versions.get(&item.action.server);
            let is_outdated = now.is_some_and(|now| *now != item.action.policy_version);
            item.state.is_open() && is_outdated && self.waiting(item.id) == 0
        });
        let outdated: HashSet<ApprovalId> = outdated.iter().map(|item| item.id).collect();
        if outdated.is_empty() {
            return Ok(());
        }
        let why = "the policy has changed since";
        let withdraw = move |queue: &mut Queue, now| {
            queue.withdraw(|item| outdated.contains(&item.id), why, now);
        };
        Ok(self.change(Durability::Power, withdraw, |_, ()| ()).await?)
    }

    /// Ends a question that has become pointless, or an approval that must not be used any more:
    /// what was judged when it was asked is judged differently now.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn withdraw(&self, id: ApprovalId, why: &str) -> Result<(), ApprovalError> {
        let why = why.to_owned();
        let withdraw =
            move |queue: &mut Queue, now| queue.withdraw(|item| item.id == id, &why, now);
        Ok(self.change(Durability::Power, withdraw, |_, ()| ()).await?)
    }

    /// Ends a question that nobody needs to answer any more, unless somebody just has. True for the
    /// one call that may take it from there.
    async fn overtake(&self, id: ApprovalId, why: &str) -> Result<bool, Arc<StoreError>> {
        let why = why.to_owned();
        let overtake = move |queue: &mut Queue, now| queue.overtake(id, &why, now);
        self.change(Durability::Power, overtake, |_, overtaken| overtaken)
            .await
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

/// Checks what a person said, before anything waits for it.
fn ruling(verdict: Verdict, count: usize) -> Result<Ruling, ApprovalError> {
    match verdict {
        Verdict::Deny { reason } => {
            let reason = reason
                .map(|reason| reason.trim().to_owned())
                .filter(|reason| !reason.is_empty());
            if reason
                .as_ref()
                .is_some_and(|reason| reason.chars().count() > MAX_REASON)
            {
                return Err(ApprovalError::Reason { limit: MAX_REASON });
            }
            Ok(Ruling::Deny { reason })
        }
        Verdict::Approve {
            remember,
            arguments,
        } => {
            if let Remember::For { seconds } = remember
                && !(1..=MAX_GRANT_DAYS * SECONDS_PER_DAY).contains(&seconds)
            {
                let limit = MAX_GRANT_DAYS;
                return Err(ApprovalError::Duration { limit });
            }
            if arguments.is_some() && count > 1 {
                return Err(ApprovalError::Arguments {
                    why: "they belong to one call, and several were named".to_owned(),
                    source: None,
                });
            }
            let edited = arguments.as_deref().map(arguments::edited).transpose()?;
            Ok(Ruling::Approve { remember, edited })
        }
    }
}

#[cfg(test)]
mod tests;
