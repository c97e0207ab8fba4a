//! The rules: which state follows which, and who joins whom. No clock, no disk, no tasks.
//!
//! Every change goes through [`Queue::put`], which also notes it in the journal; the journal is
//! committed before anybody is told. When the commit fails, the queue is thrown away and read again.

mod decide;
mod events;
mod run;
mod submit;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::grant::{Grant, Grants};
use super::item::{Action, Decision, Edited, Item, Remember, State};
use crate::audit::Event;
use crate::types::{ApprovalId, Decider, Digest, without_client_tokens};

pub(super) use self::decide::{Ruling, Undecided};

/// Items that wait, overall and of one caller. A person looks at a few; the rest is a runaway agent.
const MAX_OPEN: usize = 1_000;
const MAX_OPEN_PER_CALLER: usize = 100;
/// Memory of all items that wait or run; they are shown together, in one message.
const MAX_BYTES: usize = 40 * 1024 * 1024;
const MAX_GRANTS: usize = 10_000;
/// Calls whose outcome nobody knows; older ones are in the history only.
const MAX_UNKNOWN: usize = 10_000;
/// A denied call that is made again so soon gets the same answer, and nobody is asked again.
pub(super) const REPEATED_DENIAL: SignedDuration = SignedDuration::from_secs(60);

/// One thing to be committed.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Item(Arc<Item>),
    Grant(Arc<Grant>),
    GrantGone(ApprovalId),
    Event(Event),
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Pending, approved and executing items.
    live: HashMap<ApprovalId, Arc<Item>>,
    /// Live items by the call they are about.
    by_key: HashMap<Digest, Vec<ApprovalId>>,
    /// The latest denial of a call, for as long as it answers repetitions.
    denied: HashMap<Digest, Arc<Item>>,
    /// Calls of which nobody knows whether they ran, until one is made again.
    unknown: HashMap<Digest, ApprovalId>,
    grants: Grants,
    bytes: usize,
    journal: Vec<Entry>,
}

/// What is on disk.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) live: Vec<Item>,
    pub(super) denied: Vec<Item>,
    pub(super) unknown: Vec<Item>,
    pub(super) grants: Vec<Grant>,
}

impl Queue {
    pub(super) fn new(recorded: Recorded) -> Self {
        let mut queue = Self::default();
        let Recorded {
            live,
            denied,
            unknown,
            grants,
        } = recorded;
        for item in live.into_iter().chain(denied).chain(unknown) {
            queue.place(&Arc::new(item));
        }
        for grant in grants {
            queue.grants.add(grant);
        }
        queue
    }

    /// What is to be committed since the last time.
    pub(super) fn take_journal(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.journal)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.live.values()
    }

    /// Ends what nobody decided, or called again, in time.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let due: Vec<_> = self
            .live()
            .filter(|item| item.state.is_open() && item.expires_at <= now)
            .cloned()
            .collect();
        for item in due {
            let undecided = || Decision {
                approved: false,
                by: Decider::Timeout,
                at: now,
                reason: None,
                remember: Remember::Once,
                grant: None,
            };
            self.put(Item {
                state: State::Expired,
                ended_at: Some(now),
                decision: Some(item.decision.clone().unwrap_or_else(undecided)),
                ..Item::clone(&item)
            });
        }
        self.denied.retain(|_, item| answers_repetitions(item, now));
    }

    /// Ends those open items that `which` picks: nobody can decide or use them any more.
    pub(super) fn withdraw(&mut self, which: impl Fn(&Item) -> bool, why: &str, now: Timestamp) {
        let pointless: Vec<_> = self
            .live()
            .filter(|item| item.state.is_open() && which(item))
            .cloned()
            .collect();
        for item in pointless {
            self.put(Item {
                state: State::Withdrawn,
                ended_at: Some(now),
                outcome: Some(why.to_owned()),
                ..Item::clone(&item)
            });
        }
    }

    /// Ends a question whose call runs without an answer. False when it has an answer, or an end.
    pub(super) fn overtake(&mut self, id: ApprovalId, why: &str, now: Timestamp) -> bool {
        let waits = |item: &Item| item.id == id && item.state == State::Pending;
        let is_pending = self.live.get(&id).is_some_and(|item| waits(item));
        self.withdraw(waits, why, now);
        is_pending
    }

    /// Takes grants back; returns them.
    pub(super) fn revoke(&mut self, which: impl Fn(&Grant) -> bool, by: &Decider) -> Vec<Grant> {
        let gone = self.grants.remove(which);
        for grant in &gone {
            self.journal.push(Entry::GrantGone(grant.id));
            self.journal.push(Entry::Event(events::revoked(grant, by)));
        }
        gone
    }

    /// Forgets grants whose time is over; that was recorded when they were given.
    pub(super) fn forget_ended_grants(&mut self, now: Timestamp) {
        let ended = self.grants.remove(|grant| !grant.is_valid(now));
        let gone = ended.iter().map(|grant| Entry::GrantGone(grant.id));
        self.journal.extend(gone);
    }

    /// The only way an item comes, changes and goes.
    fn put(&mut self, item: Item) -> Arc<Item> {
        let before = self.live.get(&item.id).map(|before| before.state);
        self.journal
            .push(Entry::Event(events::change(before, &item)));
        let item = Arc::new(forgetful(item));
        self.place(&item);
        self.journal.push(Entry::Item(Arc::clone(&item)));
        item
    }

    fn place(&mut self, item: &Arc<Item>) {
        let key = item.action.key();
        if item.state.is_live() {
            if self.live.insert(item.id, Arc::clone(item)).is_none() {
                self.by_key.entry(key).or_default().push(item.id);
                self.bytes += item.action.size();
            }
            return;
        }
        if let Some(live) = self.live.remove(&item.id) {
            self.bytes -= live.action.size();
            if let Some(same) = self.by_key.get_mut(&key) {
                same.retain(|id| *id != item.id);
                if same.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        match item.state {
            State::Denied => {
                self.denied.insert(key, Arc::clone(item));
            }
            State::OutcomeUnknown if self.unknown.len() < MAX_UNKNOWN => {
                self.unknown.insert(key, item.id);
            }
            _ => {}
        }
    }

    /// Live items about the same call, oldest first.
    fn same_call(&self, key: &Digest) -> impl Iterator<Item = &Arc<Item>> {
        let ids = self.by_key.get(key).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| self.live.get(id))
    }
}

/// `item`, when it is over, without what must not be kept: its arguments, or the tokens in them.
fn forgetful(mut item: Item) -> Item {
    if item.state.is_live() {
        return item;
    }
    let keeps = item.action.keep_arguments;
    let kept = |arguments: &str| match keeps {
        true => without_client_tokens(arguments).into_owned(),
        false => String::new(),
    };
    let arguments = kept(&item.action.arguments);
    if arguments != item.action.arguments {
        item.action = Arc::new(Action {
            arguments,
            ..Action::clone(&item.action)
        });
    }
    item.edited = item.edited.map(|edited| Edited {
        arguments: kept(&edited.arguments),
        ..edited
    });
    item
}

fn answers_repetitions(denied: &Item, now: Timestamp) -> bool {
    let decided = denied.decision.as_ref();
    decided.is_some_and(|decision| now.duration_since(decision.at) < REPEATED_DENIAL)
}

#[cfg(test)]
mod tests;
