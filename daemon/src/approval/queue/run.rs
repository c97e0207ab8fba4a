//! An approved call is handed over for sending, and ends.

use std::sync::Arc;

use jiff::Timestamp;

use super::Queue;
use super::submit::later;
use crate::approval::item::{Item, Settled, State};
use crate::types::ApprovalId;

impl Queue {
    /// Makes an approved item executing, for a call that brings the answer to the question that ended
    /// run `input_run`, if one did; `None` when it is not approved (any more) for that.
    pub(in crate::approval) fn claim(
        &mut self,
        id: ApprovalId,
        input_run: Option<u32>,
        now: Timestamp,
    ) -> Option<Arc<Item>> {
        let item = Arc::clone(self.live.get(&id)?);
        if item.state != State::Approved || item.input_run != input_run {
            return None;
        }
        // Whoever approved it was told of the earlier one.
        self.unknown.remove(&item.action.key());
        Some(self.put(Item {
            state: State::Executing,
            runs: item.runs.saturating_add(1),
            started_at: Some(now),
            outcome: None,
            ..Item::clone(&item)
        }))
    }

    /// Ends run number `run` of an item. Nothing happens when that has ended before.
    pub(in crate::approval) fn settle(
        &mut self,
        id: ApprovalId,
        run: u32,
        settled: Settled,
        now: Timestamp,
    ) {
        let Some(item) = self.live.get(&id).cloned() else {
            return;
        };
        if item.state != State::Executing || item.runs != run {
            return;
        }
        let granted = item.is_granted();
        let input_run = match settled {
            Settled::InputRequired => Some(run),
            _ => item.input_run,
        };
        let (state, outcome) = match settled {
            Settled::Done => (State::Done, None),
            Settled::Failed { why } => (State::Failed, Some(why)),
            Settled::Unknown { why } => (State::OutcomeUnknown, Some(why)),
            // The next call has a new item under the same grant.
            Settled::NotSent { why } if granted => (State::Failed, Some(why)),
            Settled::InputRequired if granted => {
                let why = "the server asked for more input";
                (State::Done, Some(why.to_owned()))
            }
            Settled::NotSent { why } => (State::Approved, Some(why)),
            Settled::InputRequired => (State::Approved, None),
        };
        let expires_at = match state {
            // A person answers the server's question; that takes as long as answering ours.
            State::Approved if outcome.is_none() => later(now, item.patience_seconds),
            _ => item.expires_at,
        };
        self.put(Item {
            state,
            expires_at,
            input_run,
            ended_at: (!state.is_live()).then_some(now),
            outcome,
            ..Item::clone(&item)
        });
    }

    /// What was running when the daemon ended: whether it arrived is not known.
    pub(in crate::approval) fn recover(&mut self, now: Timestamp) {
        self.end_running(
            |_| true,
            |item| Item {
                state: State::OutcomeUnknown,
                ended_at: Some(now),
                outcome: Some("the daemon ended before the answer came".to_owned()),
                ..item
            },
        );
    }

    /// Takes back runs that were recorded but never handed over, because the record was not
    /// confirmed.
    pub(in crate::approval) fn disown(&mut self, was_handed_over: impl Fn(&Item) -> bool) {
        self.end_running(
            |item| !was_handed_over(item),
            |item| Item {
                state: State::Approved,
                ..item
            },
        );
    }

    fn end_running(&mut self, which: impl Fn(&Item) -> bool, end: impl Fn(Item) -> Item) {
        let running: Vec<_> = self
            .live()
            .filter(|item| item.state == State::Executing && which(item))
            .cloned()
            .collect();
        for item in running {
            self.put(end(Item::clone(&item)));
        }
    }
}
