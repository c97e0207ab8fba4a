//! What a decision, or a change of what it was asked by, means for a call that waits.

use std::sync::Arc;

use super::{Turn, Waiting};
use crate::approval::{ClaimError, Item, State};
use crate::error::chain;
use crate::pipeline::judge::Judgement;

impl Waiting {
    /// None if there is a new question in place of the one that was withdrawn.
    pub(super) async fn decided(&mut self, item: &Item) -> Option<Turn> {
        if item.state == State::Approved {
            // The rules may have changed between the decision and here.
            let turn = self.judge_again().await;
            if turn.is_some() || self.ticket.id() != item.id {
                return turn;
            }
            return Some(match self.ticket.claim().await {
                Ok(execution) => Turn::Send(execution),
                Err(ClaimError::Unclaimable(item)) => Turn::Say(self.over(&item)),
                Err(error @ ClaimError::Store(_)) => Turn::Fail(error.into()),
            });
        }
        if item.state == State::Withdrawn {
            // Most likely by a change of the rules, which another call saw first.
            let turn = self.judge_again().await;
            let replaced = self.ticket.id() != item.id;
            if turn.is_some() || replaced {
                return turn;
            }
        }
        Some(Turn::Say(self.over(item)))
    }

    /// The rules, or what is known of the tool, may be others than those the question was asked by.
    pub(super) async fn judge_again(&mut self) -> Option<Turn> {
        let inner = Arc::clone(&self.inner);
        if let Err(error) = inner.clients.recheck(&self.call.caller) {
            self.withdraw("the client's token is not valid any more")
                .await;
            return Some(Turn::Fail(error.into()));
        }
        let name = self.call.server.name.clone();
        let judgement = match inner.server(name.as_str()) {
            Err(error) => Judgement::Deny(error),
            Ok(server) => {
                self.call.server = server;
                let call = &self.call;
                let action = (&*call.tool, call.raw_arguments());
                inner.judge(&call.server, &call.caller, action, call.asked())
            }
        };
        let question = match judgement {
            Judgement::Allow { rule } => return self.overtake(rule).await,
            Judgement::Deny(error) => {
                self.withdraw("the policy denies it now").await;
                return Some(Turn::Fail(error));
            }
            Judgement::Ask(question) => question,
        };
        let item = self.ticket.item();
        let address = match self.call.address() {
            Ok(address) => address,
            Err(error) => return Some(Turn::Fail(error)),
        };
        if question.is_of(&item, &self.call.server, &address) && item.state != State::Withdrawn {
            return None;
        }
        self.withdraw("the policy, the tool or the address is another one now")
            .await;
        if !matches!(
            self.ticket.item().state,
            State::Pending | State::Approved | State::Withdrawn
        ) {
            // Somebody answered first, or another call has used the approval.
            return None;
        }
        match inner.submit(&self.call, &question).await {
            Ok(ticket) => {
                self.ticket = ticket;
                self.call.waits_at(self.ticket.id());
                None
            }
            Err(error) => Some(Turn::Fail(error)),
        }
    }

    /// A rule lets the call run; of several that wait with the same, it lets the newest. None if a
    /// person was faster: they may have denied it, or changed its arguments.
    async fn overtake(&self, rule: Option<String>) -> Option<Turn> {
        let why = "the policy allows it now, and let its latest repetition run";
        match self.ticket.overtake(why).await {
            Ok(()) => Some(Turn::Allowed { rule }),
            Err(ClaimError::Unclaimable(item)) if item.state == State::Withdrawn => {
                Some(Turn::Say(self.over(&item)))
            }
            Err(ClaimError::Unclaimable(_)) => None,
            Err(error @ ClaimError::Store(_)) => Some(Turn::Fail(error.into())),
        }
    }

    async fn withdraw(&self, why: &str) {
        let id = self.ticket.id();
        if let Err(error) = self.inner.approvals.withdraw(id, why).await {
            let error = chain(&error);
            tracing::warn!(approval = %id, error, "the question could not be withdrawn");
        }
    }
}
