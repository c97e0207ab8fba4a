//! Waiting for the decision.

mod decided;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};
use jiff::SignedDuration;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::MissedTickBehavior;

use super::call::AskedCall;
use super::carrier::{self, INPUT_KEY, Mode, REQUEST_PREFIX};
use super::events::Events;
use super::seal::{Key, Sealed, Stamp};
use super::send::Permission;
use crate::approval::{Execution, Item, Settled, State, Ticket};
use crate::mcp::Answer;
use crate::pipeline::Inner;
use crate::pipeline::body::RelayBody;
use crate::pipeline::error::CallError;
use crate::pipeline::record::Record;
use crate::pipeline::sessions::{Held, Question};
use crate::types::ApprovalId;

/// How often a waiting client hears something.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const NO_BUFFERING: HeaderValue = HeaderValue::from_static("no");

/// A call at its question.
pub(super) struct Waiting {
    pub(super) inner: Arc<Inner>,
    pub(super) call: AskedCall,
    pub(super) ticket: Ticket,
    /// How the client can ask its user.
    pub(super) mode: Option<Mode>,
    /// Seals what a modern client brings back.
    pub(super) key: Option<Arc<Key>>,
}

/// What the waiting came to.
pub(super) enum Turn {
    /// It was approved, and this call is the one to use that.
    Send(Execution),
    /// A rule allows it by now.
    Allowed {
        rule: Option<String>,
    },
    /// This is the answer.
    Say(Bytes),
    Fail(CallError),
    /// The client does not want it any more, nor an answer.
    Nothing,
}

impl Turn {
    fn taken_back(self) -> Self {
        if let Self::Send(execution) = self {
            execution.settle(Settled::NotSent {
                why: "the client took the call back".to_owned(),
            });
        }
        Self::Nothing
    }
}

impl Waiting {
    /// Waits with an open stream.
    pub(super) fn stream(
        mut self,
        record: Record,
        permit: OwnedSemaphorePermit,
    ) -> Response<RelayBody> {
        let work = |pieces| async move {
            let mut events = Events::new(pieces, self.call.progress_token.take());
            let asked = self.ask_client(&events).await;
            let turn = self.turn(Some(&mut events)).await;
            if let Some(id) = asked {
                let method = "notifications/elicitation/complete";
                let params = json!({ "elicitationId": id });
                events
                    .notice(&json!({ "jsonrpc": "2.0", "method": method, "params": params }))
                    .await;
            }
            self.answer_by_events(turn, events, permit).await;
        };
        let mut response = Response::new(RelayBody::made(work, record));
        let headers = response.headers_mut();
        let media = HeaderValue::from_static("text/event-stream");
        headers.insert(CONTENT_TYPE, media);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-accel-buffering", NO_BUFFERING);
        response
    }

    /// Answers a client that gets nothing before its answer.
    pub(super) async fn answer_silently(
        self,
        turn: Turn,
        record: Record,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<RelayBody>, CallError> {
        match turn {
            Turn::Send(execution) => {
                let permission = Permission::Approved(execution);
                self.send_at_once(permission, record, permit).await
            }
            Turn::Allowed { rule } => {
                let permission = self.by_rule(rule).await?;
                self.send_at_once(permission, record, permit).await
            }
            Turn::Say(json) => Ok(self.call.whole(json, record)),
            Turn::Fail(error) => Err(error),
            Turn::Nothing => Err(CallError::Cancelled),
        }
    }

    async fn answer_by_events(self, turn: Turn, events: Events, permit: OwnedSemaphorePermit) {
        let permission = match turn {
            Turn::Send(execution) => Ok(Permission::Approved(execution)),
            Turn::Allowed { rule } => self.by_rule(rule).await,
            Turn::Say(json) => return events.message(&json).await,
            Turn::Fail(error) => Err(error),
            Turn::Nothing => return,
        };
        match permission {
            Ok(permission) => self.send_into(permission, events, permit).await,
            Err(error) => events.message(&self.call.refusal(&error.told())).await,
        }
    }

    /// Waits until there is something to do or to say.
    pub(super) async fn turn(&mut self, mut events: Option<&mut Events>) -> Turn {
        let mut rules = self.inner.registry.subscribe();
        let mut tools = self.inner.catalog.subscribe();
        // What has changed since the call was judged counts too.
        rules.mark_changed();
        tools.mark_changed();
        let mut revocations = self.inner.clients.revocations();
        let lifecycle = self.inner.lifecycle.clone();
        let held = self.hold();
        let settings = &self.inner.settings;
        let patience = match &events {
            _ if self.call.waits() => Duration::MAX,
            Some(events) if events.tells_progress() => settings.long_hold,
            _ => settings.hold,
        };
        let mut end = std::pin::pin!(tokio::time::sleep(patience));
        let mut tick = tokio::time::interval(KEEP_ALIVE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                biased;
                () = cancelled(held.as_ref()) => return Turn::Nothing,
                item = self.ticket.decided() => Step::Decided(item),
                () = lifecycle.stopping() => return self.not_yet(),
                // None of them ends before this process does.
                Ok(()) = rules.changed() => Step::Judge,
                Ok(()) = tools.changed() => Step::Judge,
                Ok(()) = revocations.changed() => Step::Judge,
                () = &mut end => return self.not_yet(),
                () = self.ticket.crowded_out() => return self.not_yet(),
                _ = tick.tick() => Step::KeepAlive,
            };
            let turn = match step {
                Step::Decided(item) => self.decided(&item).await,
                Step::Judge => self.judge_again().await,
                Step::KeepAlive => {
                    if let Some(events) = &mut events {
                        events.keep_alive(&self.ticket.item());
                    }
                    match self.inner.clients.recheck(&self.call.caller) {
                        Ok(()) => None,
                        Err(_) => self.judge_again().await,
                    }
                }
            };
            if let Some(turn) = turn {
                // The server will not hear that the client took it back: we kept that word.
                return match held.is_some_and(|held| held.cancelled.is_cancelled()) {
                    true => turn.taken_back(),
                    false => turn,
                };
            }
        }
    }

    /// From here on the client can take the call back.
    fn hold(&self) -> Option<Held> {
        let session = self.call.session.clone()?;
        let id = self.call.id.get();
        Some(self.inner.sessions.hold(session, id))
    }

    /// Puts the question to a client of the `initialize` era. The id of an elicitation whose end it
    /// wants to hear of.
    async fn ask_client(&self, events: &Events) -> Option<String> {
        let mode = self.mode.filter(|_| !self.call.modern)?;
        let session = self.call.session.clone()?;
        // Twice sixty bits that nobody can guess.
        let random = [ApprovalId::random().ok()?, ApprovalId::random().ok()?];
        let id = format!("{REQUEST_PREFIX}{}{}", random[0], random[1]);
        let item = self.ticket.item();
        let mut params = carrier::elicitation(&item, mode, &self.inner.settings.base_url);
        if mode == Mode::Url {
            params["elicitationId"] = json!(id);
        }
        let question = Question {
            session,
            approval: item.id,
            asked_at: self.inner.clock.now(),
            client: Arc::clone(&self.call.client),
        };
        self.inner.sessions.ask(id.clone(), question);
        let method = "elicitation/create";
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        events.notice(&request).await;
        (mode == Mode::Url).then_some(id)
    }

    /// 2026-07-28: the client asks its user and makes the call again.
    pub(super) fn input_required(&self, item: &Item) -> Result<Bytes, CallError> {
        let (Some(mode), Some(stamp)) = (self.mode, self.stamp(None)) else {
            return Ok(self.pending(item));
        };
        let inner = self.call.resumed.as_ref();
        let state = stamp.seal(inner.and_then(|state| state.inner.clone()))?;
        let mut params = carrier::elicitation(item, mode, &self.inner.settings.base_url);
        if mode == Mode::Form {
            params["mode"] = json!("form");
        }
        let request = json!({ "method": "elicitation/create", "params": params });
        let requests = json!({ INPUT_KEY: request });
        let answer = Answer::input_required(&self.call.id, requests, &state);
        Ok(serde_json::to_vec(&answer).unwrap_or_default().into())
    }

    /// Makes states that lead back here: to the question, or to the end of run `run` of it.
    pub(super) fn stamp(&self, run: Option<u32>) -> Option<Stamp> {
        let inner = &self.inner;
        let call = Sealed {
            principal: self.call.principal.clone(),
            server: self.call.server.name.clone(),
            tool: self.call.tool.clone(),
            argument_digest: self.call.argument_digest,
            approval: self.ticket.id(),
            run,
            made_at: inner.clock.now(),
            expires_at: inner.clock.now(),
            inner: None,
        };
        // The question stands so long, and then the approval.
        let lifetime = inner.settings.patience.saturating_mul(2);
        Some(Stamp {
            key: self.key.clone()?,
            clock: Arc::clone(&inner.clock),
            call,
            lifetime: SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX),
        })
    }

    /// The client's patience ends before the decision.
    fn not_yet(&self) -> Turn {
        let item = self.ticket.item();
        match self.input_required(&item) {
            Ok(json) => Turn::Say(json),
            Err(error) => Turn::Fail(error),
        }
    }

    fn pending(&self, item: &Item) -> Bytes {
        self.over(item)
    }

    fn over(&self, item: &Item) -> Bytes {
        let text = spoken(item, &self.inner.settings.base_url);
        self.call.tool_error(item, &text)
    }

    pub(super) fn tell(&self, item: &Item, record: Record) -> Response<RelayBody> {
        self.call.whole(self.over(item), record)
    }
}

enum Step {
    Decided(Arc<Item>),
    Judge,
    KeepAlive,
}

async fn cancelled(held: Option<&Held>) {
    match held {
        Some(held) => held.cancelled.cancelled().await,
        None => std::future::pending().await,
    }
}

/// What a model is told of a question: what happened, and what to do.
pub(super) fn spoken(item: &Item, base_url: &str) -> String {
    let action = &item.action;
    let what = format!("this call of {} on {}", action.tool, action.server);
    match item.state {
        State::Pending => format!(
            "Approval pending: {what} waits for the user's decision and has not run. The user decides at \
             {} or with `mcpbridgectl approve {}`. Call the tool again with the same arguments to wait \
             for the decision.",
            carrier::page(base_url, item),
            item.id
        ),
        State::Denied => {
            let reason = item
                .decision
                .as_ref()
                .and_then(|decision| decision.reason.as_ref());
            match reason {
                Some(reason) => format!("The user denied {what}. The reason: {reason}"),
                None => format!("The user denied {what}."),
            }
        }
        State::Expired => format!(
            "Nobody decided in time about {what}, so it has not run. Calling the tool again asks again."
        ),
        State::Withdrawn => format!(
            "The question whether {what} may run was withdrawn, so it has not run: {}.",
            item.outcome.as_deref().unwrap_or("no reason is known")
        ),
        State::Approved
        | State::Executing
        | State::Done
        | State::Failed
        | State::OutcomeUnknown => {
            format!(
                "A repetition of {what} was sent with the user's approval, which counts for one. This one \
                 has not run."
            )
        }
    }
}
