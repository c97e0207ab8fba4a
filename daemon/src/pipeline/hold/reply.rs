//! What comes back from a client: the state it was given, and its user's answers.

use std::sync::Arc;

use super::call::AskedCall;
use super::carrier::{REQUEST_PREFIX, Reply, our_response};
use super::seal::Sealed;
use crate::approval::{ApprovalError, Item, State, Verdict};
use crate::error::chain;
use crate::mcp::{Message, MessageKind};
use crate::pipeline::Inner;
use crate::pipeline::client::ClientView;
use crate::pipeline::error::CallError;
use crate::pipeline::sessions::SessionKey;
use crate::types::{ApprovalId, Caller, Decider, Digest, ServerName};

impl Inner {
    /// Opens a state of ours that came back with a call. None if it was made for other arguments:
    /// then this is another call.
    ///
    /// # Errors
    /// It was made for somebody or something else, or is too old, or not ours after all.
    pub(in crate::pipeline) async fn resume(
        &self,
        state: &str,
        (server, tool): (&ServerName, &str),
        principal: &str,
        argument_digest: Digest,
    ) -> Result<Option<Sealed>, CallError> {
        let key = self.sealer.key().await?;
        let sealed = key.open(state).ok_or(CallError::State(
            "requestState is not one that was given out here, or was changed",
        ))?;
        if sealed.principal != principal {
            return Err(CallError::State("requestState was given to another caller"));
        }
        if sealed.server != *server || sealed.tool != tool {
            return Err(CallError::State("requestState was given for another tool"));
        }
        if sealed.is_over(self.clock.now()) {
            return Err(CallError::State(
                "requestState is too old; make the call again without it",
            ));
        }
        Ok(Some(sealed).filter(|sealed| sealed.argument_digest == argument_digest))
    }

    /// What became of the question that `call` returns to, where that is the answer.
    ///
    /// # Errors
    /// The approval was used already.
    pub(super) async fn over_since(
        &self,
        call: &AskedCall,
    ) -> Result<Option<Arc<Item>>, CallError> {
        let Some(state) = &call.resumed else {
            return Ok(None);
        };
        let item = match self.approvals.get(state.approval).await {
            Ok(item) => item,
            Err(ApprovalError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let used =
            CallError::State("requestState was used already: a call is approved for one time");
        match item.state {
            State::Approved if item.input_run != state.run => Err(used),
            State::Pending | State::Approved | State::Withdrawn => Ok(None),
            State::Denied | State::Expired => Ok(Some(item)),
            State::Executing | State::Done | State::Failed | State::OutcomeUnknown => Err(used),
        }
    }

    /// Takes in what the client's user said to our question, if the call brings that and it is still the
    /// same question. False if the client cannot ask its user.
    pub(super) async fn take_input(&self, call: &AskedCall, approval: ApprovalId) -> Option<bool> {
        let state = call.resumed.as_ref()?;
        // What was said under other rules is no answer to what is asked now.
        if state.approval != approval {
            return None;
        }
        let response = our_response(call.input_responses.as_ref()?)?;
        let reply = Reply::read(response, state.age(self.clock.now()));
        Some(self.take_reply(reply, approval, &call.client).await)
    }

    async fn take_reply(&self, reply: Reply, approval: ApprovalId, client: &ClientView) -> bool {
        let verdict = match reply {
            Reply::Later => return true,
            Reply::CannotAsk => return false,
            Reply::Approve => Verdict::approve(),
            Reply::Deny { reason } => Verdict::Deny { reason },
        };
        let by = Decider::Client {
            name: client.shown(),
        };
        if let Err(error) = self.approvals.decide_one(approval, verdict, by, None).await {
            let error = chain(&error);
            tracing::info!(%approval, error, "the client's answer does not count");
        }
        true
    }

    /// Takes what is meant for us and not for the server: the answer to a question that we put to
    /// the client, and the client's word that it does not want a held call any more. False if
    /// `message` is something else.
    pub(in crate::pipeline) async fn intercept(
        &self,
        message: &Message<'_>,
        session: Option<&str>,
        (server, caller): (&ServerName, &Caller),
    ) -> bool {
        let key = async |session: &str| {
            caller.resolve().await;
            SessionKey {
                server: server.clone(),
                session: session.to_owned(),
                principal: caller.principal(),
            }
        };
        match (&message.kind, session) {
            (MessageKind::Response { id, result }, _) => {
                let id = id.and_then(|id| serde_json::from_str::<String>(id.get()).ok());
                let Some(id) = id.filter(|id| id.starts_with(REQUEST_PREFIX)) else {
                    return false;
                };
                // Whoever sends it, a server never asked this.
                if let Some(session) = session
                    && let Some(question) = self.sessions.answered(&id, &key(session).await)
                    && let Some(result) = result
                {
                    let after = self.clock.now().duration_since(question.asked_at);
                    let reply = Reply::read(result, after);
                    self.take_reply(reply, question.approval, &question.client)
                        .await;
                }
                true
            }
            (MessageKind::Notification, Some(session)) => {
                let Some(id) = message.params.request_id else {
                    return false;
                };
                message.method == "notifications/cancelled"
                    && self.sessions.holds_any()
                    && self.sessions.cancel(key(session).await, id.get())
            }
            _ => false,
        }
    }
}
