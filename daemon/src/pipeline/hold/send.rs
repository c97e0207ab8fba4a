//! Sending a call that may run, once, and recording how that ended.

use std::future::Future;

use http::{HeaderMap, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{AnswerReader, Into};
use super::events::Events;
use super::wait::Waiting;
use crate::approval::{Execution, Settled};
use crate::credentials::Authorization;
use crate::error::chain;
use crate::lifecycle::Lifecycle;
use crate::pipeline::Asked;
use crate::pipeline::body::{DRAIN_BYTES, DRAIN_TIME, FinishAnyway, Pieces, RelayBody, RelayError};
use crate::pipeline::call::relayable;
use crate::pipeline::error::CallError;
use crate::pipeline::exchange::{Aimed, exchange};
use crate::pipeline::judge::Judgement;
use crate::pipeline::record::Record;
use crate::pipeline::trail::{Subject, Trail};
use crate::upstream::Outgoing;

/// By what a call runs, and where its end is recorded.
pub(super) enum Permission {
    Approved(Execution),
    ByRule(Trail),
}

impl Permission {
    fn edited(&self) -> Option<&str> {
        match self {
            Self::Approved(execution) if execution.is_edited() => Some(execution.arguments()),
            _ => None,
        }
    }

    /// Whether somebody approved this very call, as it was shown.
    fn was_shown(&self) -> bool {
        matches!(self, Self::Approved(execution) if !execution.item().is_granted())
    }

    fn settle(self, settled: Settled) {
        match self {
            Self::Approved(execution) => execution.settle(settled),
            Self::ByRule(trail) => trail.settle(&settled),
        }
    }
}

/// A permission that nothing was sent with yet.
struct Unsent(Option<Permission>);

impl Unsent {
    fn used(mut self) -> Option<Permission> {
        self.0.take()
    }

    fn given_back(mut self, error: &CallError) {
        let why = error.to_string();
        if let Some(permission) = self.0.take() {
            permission.settle(match error {
                // What the policy never allows, or cannot be written, is not worth another try.
                CallError::Refused { .. } | CallError::Unwritable => Settled::Failed { why },
                _ => Settled::NotSent { why },
            });
        }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        if let Some(permission) = self.0.take() {
            let why = "the client left before the call was sent".to_owned();
            permission.settle(Settled::NotSent { why });
        }
    }
}

impl Waiting {
    pub(super) async fn by_rule(&self, rule: Option<String>) -> Result<Permission, CallError> {
        let call = &self.call;
        let subject = Subject {
            caller: &call.caller,
            server: &call.server.name,
            tool: &call.tool,
        };
        let arguments = (call.arguments(), call.argument_digest);
        let trail = Trail::begin(&self.inner.audit, subject, arguments, rule).await?;
        Ok(Permission::ByRule(trail))
    }

    /// Sends the call; the client gets the server's answer under its own head.
    pub(super) async fn send_at_once(
        self,
        permission: Permission,
        record: Record,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<RelayBody>, CallError> {
        let lifecycle = self.inner.lifecycle.clone();
        let modern = self.call.modern;
        let sending = self.send(permission, record, permit);
        match modern {
            true => sending.await,
            false => FinishAnyway::new(sending, lifecycle).await,
        }
    }

    async fn send(
        self,
        permission: Permission,
        mut record: Record,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<RelayBody>, CallError> {
        let (response, permission) = match self.exchange(permission).await {
            Ok(sent) => sent,
            Err(error) => {
                record.refused(&error);
                return Err(error);
            }
        };
        let (relayed, incoming) = relayable(response);
        record.answered(relayed.status(), relayed.headers());
        let head = (relayed.status(), relayed.headers());
        let reader = self.reader(&permission, head, Into::Same);
        let work = |pieces| async move {
            let (lifecycle, modern) = (self.inner.lifecycle.clone(), self.call.modern);
            let relay = relay(permission, reader, incoming, pieces, modern);
            carry(&lifecycle, modern, async move {
                relay.await;
                drop(permit);
            })
            .await;
        };
        Ok(relayed.map(|()| RelayBody::made(work, record)))
    }

    /// Sends the call; the answer goes into the stream that is open already.
    pub(super) async fn send_into(
        self,
        permission: Permission,
        events: Events,
        permit: OwnedSemaphorePermit,
    ) {
        let (lifecycle, modern) = (self.inner.lifecycle.clone(), self.call.modern);
        let work = async move {
            match self.exchange(permission).await {
                Ok((response, permission)) => {
                    let (head, incoming) = response.into_parts();
                    let into = Into::Events {
                        progress: events.progress(),
                    };
                    let reader = self.reader(&permission, (head.status, &head.headers), into);
                    relay(permission, reader, incoming, events.pieces, modern).await;
                }
                Err(error) => events.message(&self.call.refusal(&error.told())).await,
            }
            drop(permit);
        };
        carry(&lifecycle, modern, work).await;
    }

    /// The exchange with the server. What `permission` allows is used up when it was sent.
    async fn exchange(
        &self,
        permission: Permission,
    ) -> Result<(Response<Incoming>, Permission), CallError> {
        let unsent = Unsent(Some(permission));
        let (outgoing, authorization) = match self.prepare(unsent.0.as_ref()).await {
            Ok(prepared) => prepared,
            Err(error) => {
                unsent.given_back(&error);
                return Err(error);
            }
        };
        let Some(permission) = unsent.used() else {
            return Err(CallError::Unwritable);
        };
        let aimed = Aimed {
            server: &self.call.server,
            outgoing: &outgoing,
            is_probe: false,
        };
        match exchange(&self.inner, aimed, authorization).await {
            Ok(response) => Ok((response, permission)),
            Err(error) => {
                let why = error.to_string();
                permission.settle(match &error {
                    error if error.is_before_sending() => Settled::NotSent { why },
                    CallError::Upstream(_) => Settled::Unknown { why },
                    _ => Settled::Failed { why },
                });
                Err(error)
            }
        }
    }

    /// Everything before sending.
    async fn prepare(
        &self,
        permission: Option<&Permission>,
    ) -> Result<(Outgoing, Authorization), CallError> {
        let edited = permission.and_then(Permission::edited);
        let was_shown = permission.is_some_and(Permission::was_shown);
        let outgoing = self.call.outgoing(edited, was_shown)?;
        let authorization = self.inner.authorize(&self.call.server).await?;
        Asked::let_go(self.call.asked()).await?;
        // Last: between the decision and here there was time for anything to change.
        self.still_stands(permission)?;
        Ok((outgoing, authorization))
    }

    /// Whether `permission` counts at this moment, for the very arguments that are about to be sent.
    fn still_stands(&self, permission: Option<&Permission>) -> Result<(), CallError> {
        let (inner, call) = (&self.inner, &self.call);
        inner.clients.recheck(&call.caller)?;
        let server = inner.server(call.server.name.as_str())?;
        let overtaken = || CallError::Overtaken(server.name.clone());
        if server.config.url != call.server.config.url {
            return Err(overtaken());
        }
        let address = call.address()?;
        let edited = permission.and_then(Permission::edited);
        let edited: Option<&RawValue> = edited
            .map(serde_json::from_str)
            .transpose()
            .map_err(|_| CallError::Unwritable)?;
        let arguments = edited.or(call.raw_arguments());
        let action = (&*call.tool, arguments);
        let judgement = inner.judge(&server, &call.caller, action, call.asked());
        match (judgement, permission) {
            (Judgement::Deny(error), _) => Err(error),
            (Judgement::Allow { .. }, _) => Ok(()),
            (Judgement::Ask(question), Some(Permission::Approved(execution)))
                if question.is_of(execution.item(), &server, &address) =>
            {
                Ok(())
            }
            (Judgement::Ask(_), _) => Err(overtaken()),
        }
    }

    /// Reads the answer to a call that was sent with `permission`.
    fn reader(
        &self,
        permission: &Permission,
        head: (StatusCode, &HeaderMap),
        into: Into,
    ) -> AnswerReader {
        // The next call is asked about, or allowed, by itself where nobody saw this one.
        let stamp = match permission {
            Permission::Approved(execution) if permission.was_shown() => {
                self.stamp(Some(execution.item().runs))
            }
            _ => None,
        };
        AnswerReader::new((&self.call.id, self.call.modern), head, into, stamp)
    }
}

/// Does `work` for a client: what a client of the `initialize` era began goes on without it.
pub(in crate::pipeline) async fn carry(
    lifecycle: &Lifecycle,
    modern: bool,
    work: impl Future<Output = ()> + Send + 'static,
) {
    if modern {
        return work.await;
    }
    let aborting = lifecycle.clone();
    let task = lifecycle.spawn("approved call", async move {
        tokio::select! {
            () = work => {}
            () = aborting.aborting() => {}
        }
    });
    // A panic in it is in the log.
    let _ = task.await;
}

/// Passes the answer on, and records how the call ended as soon as that is known: clients leave when
/// they have their result.
async fn relay(
    permission: Permission,
    mut reader: AnswerReader,
    mut incoming: Incoming,
    pieces: Pieces,
    modern: bool,
) {
    let mut permission = Some(permission);
    let mut settle = |ending: Option<Settled>| {
        if let Some(ending) = ending
            && let Some(permission) = permission.take()
        {
            permission.settle(ending);
        }
    };
    let mut unread = 0;
    loop {
        let frame = match unread {
            0 => incoming.frame().await,
            _ => tokio::time::timeout(DRAIN_TIME, incoming.frame())
                .await
                .unwrap_or_default(),
        };
        let data = match frame.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(data))) => data,
            Some(Ok(Err(_trailers))) => continue,
            Some(Err(error)) => {
                let why = format!("the connection to the server broke: {}", chain(&error));
                let (rest, ending) = reader.broken(&why);
                settle(ending);
                return match rest {
                    Some(rest) => drop(pieces.send(rest).await),
                    None => pieces.break_off(error.into()).await,
                };
            }
            None => break,
        };
        let length = data.len();
        let passing = match reader.feed(data) {
            Ok(passing) => passing,
            Err(error) => return pieces.break_off(RelayError::Broken(chain(&error))).await,
        };
        settle(reader.ending());
        if let Some(passing) = passing
            && !pieces.send(passing).await
        {
            unread += length;
            if modern || unread > DRAIN_BYTES {
                return;
            }
        }
    }
    match reader.finish() {
        Ok((rest, ending)) => {
            settle(ending);
            if let Some(rest) = rest {
                pieces.send(rest).await;
            }
        }
        Err(error) => pieces.break_off(RelayError::Broken(chain(&error))).await,
    }
}
