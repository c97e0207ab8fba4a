//! A call arrives: it joins a question, runs under a grant, or becomes a question.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{MAX_BYTES, MAX_OPEN, MAX_OPEN_PER_CALLER, Queue, answers_repetitions};
use crate::approval::error::ApprovalError;
use crate::approval::item::{Action, Decision, Item, Remember, State};
use crate::types::{ApprovalId, Digest};

impl Queue {
    /// The item that decides about `action`: one that is there already, or a new one.
    pub(in crate::approval) fn submit(
        &mut self,
        action: Action,
        patience_seconds: u32,
        now: Timestamp,
    ) -> Result<Arc<Item>, ApprovalError> {
        let key = action.key();
        // It bound the policy of its time, which is not the one that asks now.
        let version = action.policy_version;
        let stale: Vec<_> = self
            .same_call(&key)
            .filter(|item| item.action.policy_version != version)
            .map(|item| item.id)
            .collect();
        if !stale.is_empty() {
            let why = "the policy has changed since";
            self.withdraw(|item| stale.contains(&item.id), why, now);
        }
        if let Some(item) = self.joinable(&key) {
            return Ok(Arc::clone(item));
        }
        if let Some(denied) = self.denied.get(&key)
            && denied.action.policy_version == version
            && answers_repetitions(denied, now)
        {
            return Ok(Arc::clone(denied));
        }
        let unknown = self.unknown.get(&key).copied();
        let granted = match unknown {
            // A person looks before what may have run already runs again.
            Some(_) => None,
            None => self.decision_by_grant(&action, now),
        };
        self.check_room(&action, granted.is_some())?;
        let running = || self.same_call(&key).next().map(|item| item.id);
        let earlier = match granted {
            Some(_) => None,
            None => unknown.or_else(running),
        };
        Ok(self.put(Item {
            id: ApprovalId::random().map_err(|_| ApprovalError::NoRandomness)?,
            action: Arc::new(action),
            state: match granted {
                Some(_) => State::Approved,
                None => State::Pending,
            },
            asked_at: now,
            expires_at: later(now, patience_seconds),
            patience_seconds,
            decision: granted,
            edited: None,
            runs: 0,
            input_run: None,
            started_at: None,
            ended_at: None,
            outcome: None,
            earlier,
        }))
    }

    /// The same for a call that answers the question by which the server ended run `run` of item
    /// `id`: it goes on with the approval of that.
    pub(in crate::approval) fn submit_next(
        &mut self,
        action: Action,
        (id, run): (ApprovalId, u32),
        patience_seconds: u32,
        now: Timestamp,
    ) -> Result<Arc<Item>, ApprovalError> {
        let goes_on = self.same_call(&action.key()).find(|item| {
            item.id == id
                && item.state == State::Approved
                && item.input_run == Some(run)
                && item.action.policy_version == action.policy_version
        });
        match goes_on {
            Some(item) => Ok(Arc::clone(item)),
            None => self.submit(action, patience_seconds, now),
        }
    }

    /// An approved item before a pending one. What a grant approved belongs to the call it was made
    /// for: the same call twice at once is two calls then. What the server has asked back about has
    /// been sent: the call from its beginning is another one.
    fn joinable(&self, key: &Digest) -> Option<&Arc<Item>> {
        let of = |state| {
            self.same_call(key)
                .find(|item| item.state == state && !item.is_granted() && item.input_run.is_none())
        };
        of(State::Approved).or_else(|| of(State::Pending))
    }

    pub(super) fn decision_by_grant(&self, action: &Action, now: Timestamp) -> Option<Decision> {
        let grant = self.grants.covering(action, now)?;
        Some(Decision {
            approved: true,
            by: grant.by.clone(),
            at: now,
            reason: None,
            remember: Remember::Once,
            grant: Some(grant.id),
        })
    }

    fn check_room(&self, action: &Action, granted: bool) -> Result<(), ApprovalError> {
        if self.bytes + action.size() > MAX_BYTES {
            return Err(ApprovalError::NoRoom);
        }
        let waiting = || {
            self.live()
                .filter(|item| item.state.is_open() && !item.is_granted())
        };
        let principal = &action.caller.principal;
        let of_caller = || waiting().filter(|item| item.action.caller.principal == *principal);
        if !granted && waiting().count() >= MAX_OPEN {
            return Err(ApprovalError::Full { limit: MAX_OPEN });
        }
        if !granted && of_caller().count() >= MAX_OPEN_PER_CALLER {
            let limit = MAX_OPEN_PER_CALLER;
            return Err(ApprovalError::CallerFull { limit });
        }
        Ok(())
    }
}

/// `seconds` after `now`, or the end of time.
pub(super) fn later(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds.into()))
        .unwrap_or(Timestamp::MAX)
}
