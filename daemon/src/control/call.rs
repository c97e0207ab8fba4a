//! One tool call from the command line, which waits for a person where it has to.

use std::future;
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt};
use mcpbridge_proto::v1::call_tool_response::Waiting;
use mcpbridge_proto::v1::{CallToolRequest, CallToolResponse};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Control, status};
use crate::approval::{ApprovalError, State};
use crate::error::{Classify, ErrorKind};
use crate::pipeline::{Asked, McpSession, ToolResult};
use crate::types::{ApprovalId, Caller, ServerName};

type Event = Result<CallToolResponse, Status>;
pub(super) type Events = Pin<Box<dyn Stream<Item = Event> + Send>>;

/// A call as it was asked for.
struct Call {
    server: ServerName,
    tool: String,
    arguments: Box<RawValue>,
    caller: Caller,
}

/// A person, or time, decided against the call. The text is the one that a model would read.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct NotRun {
    kind: ErrorKind,
    text: String,
}

impl Classify for NotRun {
    fn kind(&self) -> ErrorKind {
        self.kind
    }

    fn hint(&self) -> Option<String> {
        None
    }
}

impl Control {
    /// Begins a call. What it says comes as it is read; dropping the stream gives the call up.
    pub(super) async fn begin_call(
        &self,
        caller: Caller,
        request: CallToolRequest,
    ) -> Result<Events, Status> {
        let server = self.registry.get(&request.server).map_err(status::of)?;
        let call = Call {
            server: server.name.clone(),
            tool: request.tool,
            arguments: arguments(&request.arguments_json)?,
            caller,
        };
        let (events, said) = mpsc::channel(4);
        let control = self.clone();
        let work = async move {
            let end = control.call(&call, &events).await;
            let _ = events.send(end).await;
        };
        let work = stream::once(work).filter_map(|()| future::ready(None));
        let mut all: Events = Box::pin(stream::select(ReceiverStream::new(said), work));
        // A call that is refused at once is an error at once.
        let Some(first) = all.next().await else {
            return Ok(all);
        };
        let first = first?;
        Ok(Box::pin(stream::once(future::ready(Ok(first))).chain(all)))
    }

    async fn call(&self, call: &Call, events: &mpsc::Sender<Event>) -> Event {
        let (server, caller) = (call.server.clone(), call.caller.clone());
        let opening = McpSession::open(self.pipeline.clone(), server, caller);
        let session = opening.await.map_err(status::of)?;
        let (question, mut waits_at) = watch::channel(None);
        let asked = Asked {
            question,
            in_any_case: false,
            gate: None,
        };
        let called = {
            let calling = session.call_tool(&call.tool, &call.arguments, Some(&asked));
            let mut calling = Box::pin(calling);
            loop {
                tokio::select! {
                    called = &mut calling => break called,
                    Ok(()) = waits_at.changed() => {
                        let approval = *waits_at.borrow_and_update();
                        if let Some(approval) = approval {
                            self.say_waiting(approval, events).await;
                        }
                    }
                }
            }
        };
        session.close().await;
        let result = called.map_err(status::of)?;
        let approval = *waits_at.borrow();
        if let Some(approval) = approval {
            self.check_run(call, approval, &result).await?;
        }
        Ok(CallToolResponse {
            is_error: result.is_error,
            result_json: result.json.get().to_owned(),
            waiting: None,
        })
    }

    /// Says that the call waits, unless it need not any more.
    async fn say_waiting(&self, approval: ApprovalId, events: &mpsc::Sender<Event>) {
        let item = self.approvals.get(approval).await;
        if !item.is_ok_and(|item| item.state == State::Pending) {
            return;
        }
        let waiting = Waiting {
            approval: approval.to_string(),
            url: format!("{}/approvals/{approval}", self.facts.base_url),
        };
        let event = CallToolResponse {
            waiting: Some(waiting),
            ..CallToolResponse::default()
        };
        let _ = events.send(Ok(event)).await;
    }

    /// An error where the call has not run because of what became of the question.
    async fn check_run(
        &self,
        call: &Call,
        approval: ApprovalId,
        result: &ToolResult,
    ) -> Result<(), Status> {
        let item = match self.approvals.get(approval).await {
            Ok(item) => item,
            Err(ApprovalError::NotFound(_)) => return Ok(()),
            Err(error) => return Err(status::of(error)),
        };
        let kind = match item.state {
            State::Denied => ErrorKind::Denied,
            State::Expired => ErrorKind::TimedOut,
            // The daemon ends.
            State::Pending => ErrorKind::Unavailable,
            State::Withdrawn if result.is_error => {
                let asked = (call.tool.as_str(), &*call.arguments);
                let refusal = self.pipeline.refusal(&call.server, &call.caller, asked);
                return refusal.map_or(Ok(()), |error| Err(status::of(error)));
            }
            // It ran, or the result says why it did not.
            State::Withdrawn
            | State::Approved
            | State::Executing
            | State::Done
            | State::Failed
            | State::OutcomeUnknown => return Ok(()),
        };
        let text = text(result);
        Err(status::of(NotRun { kind, text }))
    }
}

/// An object, kept as it was written: numbers and key order are the caller's.
fn arguments(text: &str) -> Result<Box<RawValue>, Status> {
    let text = match text {
        "" => "{}",
        text => text,
    };
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text)
        .map_err(|error| status::invalid("arguments (a JSON object is expected)", &error))?;
    serde_json::from_str(text).map_err(|error| status::invalid("arguments", &error))
}

/// What one of our own results says.
fn text(result: &ToolResult) -> String {
    #[derive(Deserialize)]
    struct Content {
        content: Vec<Block>,
    }
    #[derive(Deserialize)]
    struct Block {
        text: String,
    }
    let read = serde_json::from_str::<Content>(result.json.get());
    let said = read.ok().and_then(|read| read.content.into_iter().next());
    said.map(|block| block.text).unwrap_or_default()
}
