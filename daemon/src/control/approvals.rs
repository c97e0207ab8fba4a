//! Held calls: showing them, deciding them, and what was allowed for longer.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use mcpbridge_proto::Fault;
use mcpbridge_proto::v1::approval_event::{Event, Snapshot};
use mcpbridge_proto::v1::approvals_server::Approvals;
use mcpbridge_proto::v1::decide_outcome::Refusal;
use mcpbridge_proto::v1::decide_request::Verdict as AskedVerdict;
use mcpbridge_proto::v1::{
    Approval, ApprovalEvent, ClearPinRequest, ClearPinResponse, DecideOutcome, DecideRequest,
    DecideResponse, GetApprovalRequest, GetApprovalResponse, GetPinRequest, GetPinResponse,
    ListApprovalsRequest, ListApprovalsResponse, ListGrantsRequest, ListGrantsResponse,
    RevokeGrantRequest, RevokeGrantResponse, SetPinRequest, SetPinResponse, WatchApprovalsRequest,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::approval_view::{approval, grant, remember, seconds};
use super::{Control, decider, pin, server_name, status};
use crate::approval::{ApprovalError, Filter, Item, State, Verdict};
use crate::types::{ApprovalId, Secret, ServerName};

/// Approvals decided by one request; more are a mistake.
const MAX_BATCH: usize = 1_000;
/// An answer holds so many items when nobody says, and so much of their text at most.
const PAGE: u32 = 100;
const PAGE_BYTES: usize = mcpbridge_proto::MAX_MESSAGE_BYTES / 2;

type Feed = mpsc::Sender<Result<ApprovalEvent, Status>>;

#[tonic::async_trait]
impl Approvals for Control {
    type WatchApprovalsStream = Pin<Box<dyn Stream<Item = Result<ApprovalEvent, Status>> + Send>>;

    async fn list_approvals(
        &self,
        request: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        let request = request.into_inner();
        let filter = Filter {
            states: states(&request)?,
            server: server(&request.server)?,
            before: match request.before.as_str() {
                "" => None,
                prefix => Some(self.approvals.resolve(prefix).await.map_err(status::of)?),
            },
            limit: match request.limit {
                0 => PAGE,
                limit => limit,
            },
            ..Filter::default()
        };
        let items = self.approvals.history(filter).await.map_err(status::of)?;
        let mut bytes = 0;
        let approvals = items
            .iter()
            .map(|item| self.approval(item))
            .take_while(|approval| {
                let first = bytes == 0;
                bytes += weight(approval);
                first || bytes <= PAGE_BYTES
            })
            .collect();
        Ok(Response::new(ListApprovalsResponse { approvals }))
    }

    async fn get_approval(
        &self,
        request: Request<GetApprovalRequest>,
    ) -> Result<Response<GetApprovalResponse>, Status> {
        let item = self.approval_named(&request.into_inner().id).await;
        let item = item.map_err(status::of)?;
        Ok(Response::new(GetApprovalResponse {
            approval: Some(self.approval(&item)),
        }))
    }

    async fn watch_approvals(
        &self,
        request: Request<WatchApprovalsRequest>,
    ) -> Result<Response<Self::WatchApprovalsStream>, Status> {
        let server = server(&request.into_inner().server)?;
        let (feed, events) = mpsc::channel(8);
        let watching = self.clone().feed_approvals(server, feed);
        self.lifecycle.spawn("approval-feed", watching);
        Ok(Response::new(Box::pin(ReceiverStream::new(events))))
    }

    async fn decide(
        &self,
        request: Request<DecideRequest>,
    ) -> Result<Response<DecideResponse>, Status> {
        let by = decider(&request).await;
        let request = request.into_inner();
        if request.ids.is_empty() || request.ids.len() > MAX_BATCH {
            let message = format!("ids: give from 1 to {MAX_BATCH}");
            return Err(status::invalid_text(message));
        }
        let verdict = match request.verdict {
            Some(AskedVerdict::Approve(approve)) => Verdict::Approve {
                remember: remember(approve.remember)?,
                arguments: approve.arguments,
            },
            Some(AskedVerdict::Deny(deny)) => Verdict::Deny {
                reason: Some(deny.reason),
            },
            None => return Err(status::invalid_text("verdict: approve or deny")),
        };
        let mut found = Vec::with_capacity(request.ids.len());
        for id in &request.ids {
            found.push(self.approvals.resolve(id).await);
        }
        let ids: Vec<ApprovalId> = found
            .iter()
            .filter_map(|id| id.as_ref().ok())
            .copied()
            .collect();
        let pin = pin(request.pin);
        let decided = self.approvals.decide(&ids, verdict, by, pin.as_ref()).await;
        let mut decided = decided.map_err(status::of)?.into_iter();
        let mut outcomes = Vec::with_capacity(found.len());
        for found in found {
            let outcome = match found {
                Ok(id) => decided
                    .next()
                    .unwrap_or_else(|| Err(ApprovalError::NotFound(id.to_string())))
                    .map_err(|error| (Some(id), error)),
                Err(error) => Err((None, error)),
            };
            outcomes.push(match outcome {
                Ok(item) => DecideOutcome {
                    approval: Some(self.approval(&item)),
                    refusal: None,
                },
                Err((id, error)) => self.refused(id, error).await,
            });
        }
        Ok(Response::new(DecideResponse { outcomes }))
    }

    async fn list_grants(
        &self,
        _: Request<ListGrantsRequest>,
    ) -> Result<Response<ListGrantsResponse>, Status> {
        let grants = self.approvals.grants().await.map_err(status::of)?;
        let grants = grants.iter().map(grant).collect();
        Ok(Response::new(ListGrantsResponse { grants }))
    }

    async fn revoke_grant(
        &self,
        request: Request<RevokeGrantRequest>,
    ) -> Result<Response<RevokeGrantResponse>, Status> {
        let by = decider(&request).await;
        let prefix = request.into_inner().id;
        let id = self.approvals.resolve_grant(&prefix).await;
        let id = id.map_err(status::of)?;
        let revoked = self.approvals.revoke_grant(id, by).await;
        Ok(Response::new(RevokeGrantResponse {
            grant: Some(grant(&revoked.map_err(status::of)?)),
        }))
    }

    async fn get_pin(&self, _: Request<GetPinRequest>) -> Result<Response<GetPinResponse>, Status> {
        let state = self.approvals.pin_state().await;
        Ok(Response::new(GetPinResponse {
            set_at: state.set_at.map_or(0, seconds),
            wrong_tries: state.wrong_tries,
            locked_until: state.locked_until.map_or(0, seconds),
        }))
    }

    async fn set_pin(
        &self,
        request: Request<SetPinRequest>,
    ) -> Result<Response<SetPinResponse>, Status> {
        let by = decider(&request).await;
        let SetPinRequest { pin, old_pin } = request.into_inner();
        let (new, old) = (Secret::new(pin), super::pin(old_pin));
        let set = self.approvals.set_pin(&new, old.as_ref(), by).await;
        set.map_err(status::of)?;
        Ok(Response::new(SetPinResponse {}))
    }

    async fn clear_pin(
        &self,
        request: Request<ClearPinRequest>,
    ) -> Result<Response<ClearPinResponse>, Status> {
        let by = decider(&request).await;
        let pin = pin(request.into_inner().pin);
        let cleared = self.approvals.clear_pin(pin.as_ref(), by).await;
        cleared.map_err(status::of)?;
        Ok(Response::new(ClearPinResponse {}))
    }
}

impl Control {
    fn approval(&self, item: &Item) -> Approval {
        approval(item, self.approvals.waiting(item.id))
    }

    async fn approval_named(&self, prefix: &str) -> Result<Arc<Item>, ApprovalError> {
        let id = self.approvals.resolve(prefix).await?;
        self.approvals.get(id).await
    }

    async fn refused(&self, id: Option<ApprovalId>, error: ApprovalError) -> DecideOutcome {
        let present = match id {
            Some(id) => self.approvals.get(id).await.ok(),
            None => None,
        };
        let fault = Fault::from_status(&status::of(error));
        DecideOutcome {
            approval: present.map(|item| self.approval(&item)),
            refusal: Some(Refusal {
                reason: fault.reason.as_str().to_owned(),
                message: fault.message,
                hint: fault.hint.unwrap_or_default(),
            }),
        }
    }

    /// Ends when the other side goes away or the daemon stops.
    async fn feed_approvals(self, server: Option<ServerName>, feed: Feed) {
        let stopping = self.lifecycle.stopping_token();
        let shown = |item: &Item| {
            server
                .as_ref()
                .is_none_or(|only| *only == item.action.server)
        };
        // Subscribed first, so that what changes while the snapshot is made is sent after it.
        let mut changes = self.approvals.subscribe();
        let mut behind = true;
        loop {
            let event = if behind {
                let live = self.approvals.live();
                let shown = live.iter().filter(|item| shown(item));
                let approvals = shown.map(|item| self.approval(item)).collect();
                Some(Event::Snapshot(Snapshot { approvals }))
            } else {
                let changed = tokio::select! {
                    changed = changes.recv() => changed,
                    () = feed.closed() => return,
                    () = stopping.cancelled() => return,
                };
                match changed {
                    Ok(id) => match self.approvals.get(id).await {
                        Ok(item) if shown(&item) => Some(Event::Changed(self.approval(&item))),
                        _ => None,
                    },
                    Err(RecvError::Lagged(_)) => {
                        behind = true;
                        continue;
                    }
                    Err(RecvError::Closed) => return,
                }
            };
            behind = false;
            if let Some(event) = event {
                let event = ApprovalEvent { event: Some(event) };
                tokio::select! {
                    sent = feed.send(Ok(event)) => if sent.is_err() { return },
                    () = stopping.cancelled() => return,
                }
            }
        }
    }
}

/// What may be large of it.
fn weight(approval: &Approval) -> usize {
    let diff = approval
        .change
        .as_ref()
        .map_or(0, |change| change.diff.len());
    approval.arguments.len()
        + approval.asked_arguments.len()
        + approval.tool_definition.len()
        + approval.outcome.len()
        + diff
        + 1_000
}

fn server(name: &str) -> Result<Option<ServerName>, Status> {
    match name {
        "" => Ok(None),
        name => server_name(name).map(Some),
    }
}

fn states(request: &ListApprovalsRequest) -> Result<Vec<State>, Status> {
    if request.all {
        return Ok(Vec::new());
    }
    if request.states.is_empty() {
        return Ok(State::ALL
            .into_iter()
            .filter(|state| state.is_live())
            .collect());
    }
    let parse = |state: &String| {
        state
            .parse()
            .map_err(|error| status::invalid("states", &error))
    };
    request.states.iter().map(parse).collect()
}
