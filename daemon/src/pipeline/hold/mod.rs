//! A call that a person decides: it becomes a question in the queue, waits as long as its client can
//! wait, and is sent when it is approved.
//!
//! The client is told of the question in whatever way it knows (`carrier`) and kept from giving up
//! (`events`). When its patience ends before the decision, it is told to call again; the question
//! stays. An approved call is sent once, and how it ended is recorded (`send`, `answer`).

mod answer;
mod call;
mod carrier;
mod events;
mod reply;
mod seal;
mod send;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tokio::sync::OwnedSemaphorePermit;

pub(super) use self::call::{AskedCall, Known};
pub use self::carrier::MARKER;
use self::carrier::Mode;
pub use self::seal::SealError;
use self::seal::Sealed;
pub(super) use self::seal::{Sealer, is_ours};
use self::send::Permission;
pub(super) use self::send::carry;
use self::wait::{Waiting, spoken};
use super::Inner;
use super::body::RelayBody;
use super::error::CallError;
use super::judge::Question;
use super::record::Record;
use crate::approval::{Action, CallerView, ClaimError, State, Ticket};

/// How long, and where, people decide.
pub(super) struct Settings {
    /// A question, and then an approval, stands so long.
    pub(super) patience: Duration,
    /// A call is held so long.
    pub(super) hold: Duration,
    /// The same where progress keeps the client from giving up.
    pub(super) long_hold: Duration,
    /// Where our pages are.
    pub(super) base_url: String,
}

impl Inner {
    /// Asks a person about `call`, and answers with what comes of it.
    ///
    /// Dropping the future, or the body of its answer, gives up waiting; the question stays.
    pub(super) async fn ask(
        self: Arc<Self>,
        call: AskedCall,
        question: &Question,
        record: Record,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<RelayBody>, CallError> {
        if let Some(item) = self.over_since(&call).await? {
            let text = spoken(&item, &self.settings.base_url);
            return Ok(call.whole(call.tool_error(&item, &text), record));
        }
        let key = match call.modern {
            true => Some(self.sealer.key().await?),
            false => None,
        };
        let ticket = self.submit(&call, question).await?;
        call.waits_at(ticket.id());
        let answered = self.take_input(&call, ticket.id()).await;
        let mode = match answered {
            Some(false) => None,
            Some(true) | None => self.mode(&call).await,
        };
        let mut waiting = Waiting {
            inner: self,
            call,
            ticket,
            mode,
            key,
        };
        let item = waiting.ticket.item();
        match item.state {
            State::Approved => match waiting.ticket.claim().await {
                Ok(execution) => {
                    let permission = Permission::Approved(execution);
                    waiting.send_at_once(permission, record, permit).await
                }
                Err(ClaimError::Unclaimable(item)) => Ok(waiting.tell(&item, record)),
                Err(error @ ClaimError::Store(_)) => Err(error.into()),
            },
            State::Pending if waiting.call.modern && mode.is_some() && answered.is_none() => {
                let answer = waiting.input_required(&item)?;
                Ok(waiting.call.whole(answer, record))
            }
            State::Pending if waiting.call.accepts_events => Ok(waiting.stream(record, permit)),
            State::Pending => {
                let turn = waiting.turn(None).await;
                waiting.answer_silently(turn, record, permit).await
            }
            _ => Ok(waiting.tell(&item, record)),
        }
    }

    pub(super) async fn submit(
        &self,
        call: &AskedCall,
        question: &Question,
    ) -> Result<Ticket, CallError> {
        let process = call.caller.process().clone();
        let caller = CallerView {
            principal: call.principal.clone(),
            text: call.caller.to_string(),
            pid: process.pid,
            uid: process.uid,
            exe: process.exe,
            cwd: process.cwd,
            client: call.caller.client().map(ToString::to_string),
            client_info: call.client.name.clone(),
        };
        let definition = question.tool.as_ref().map(|tool| &tool.definition);
        let policy = &call.server.policy;
        let action = Action {
            caller,
            server: call.server.name.clone(),
            address: call.address()?,
            tool: call.tool.clone(),
            tool_digest: definition.map(|definition| definition.digest),
            tool_definition: definition.map(|definition| definition.json.to_string()),
            change: question.change.clone(),
            arguments: call.arguments().to_owned(),
            argument_digest: call.argument_digest,
            policy_version: policy.version(),
            reason: question.reason.clone(),
            editable: call.is_editable(),
            accepts_weak: policy.accepts_weak_approval(),
            keep_arguments: self.audit.keeps_arguments(),
        };
        let patience = self.settings.patience;
        let round = call.resumed.as_ref().and_then(Sealed::round);
        Ok(match round {
            Some(round) => self.approvals.submit_next(action, round, patience).await?,
            None => self.approvals.submit(action, patience).await?,
        })
    }

    /// How the asking client itself can ask its user.
    async fn mode(&self, call: &AskedCall) -> Option<Mode> {
        let can_carry = call.modern || (call.accepts_events && call.session.is_some());
        if !can_carry {
            return None;
        }
        let may_fill_in = call.client.form
            && call.server.policy.accepts_weak_approval()
            && carrier::form(&call.tool, &call.server.name, call.arguments()).is_some()
            && self.approvals.pin_state().await.set_at.is_none();
        Mode::of(&call.client, may_fill_in)
    }
}
