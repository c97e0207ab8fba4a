//! The audit log: its records, its future, and whether it is whole.

use std::pin::Pin;

use futures_util::Stream;
use jiff::Timestamp;
use mcpbridge_proto::v1;
use mcpbridge_proto::v1::audit_server::Audit;
use mcpbridge_proto::{Fault, Reason};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Control, status};
use crate::audit::{Filter, Kind, Record, Verdict};

/// Records that are fetched at once for a follower.
const BATCH: usize = 100;
/// Records that a follower gets at most of those that are there already.
const MAX_LAST: usize = 10_000;

type Feed = mpsc::Sender<Result<v1::AuditRecord, Status>>;

#[tonic::async_trait]
impl Audit for Control {
    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        let request = request.into_inner();
        let filter = filter(request.filter)?;
        let before = Some(request.before).filter(|before| *before > 0);
        let page = self.audit.page(filter, before, request.limit as usize);
        let records = page.await.map_err(status::of)?;
        Ok(Response::new(v1::ListAuditResponse {
            records: records.into_iter().map(message).collect(),
        }))
    }

    type FollowAuditStream = Pin<Box<dyn Stream<Item = Result<v1::AuditRecord, Status>> + Send>>;

    async fn follow_audit(
        &self,
        request: Request<v1::FollowAuditRequest>,
    ) -> Result<Response<Self::FollowAuditStream>, Status> {
        let request = request.into_inner();
        let filter = filter(request.filter)?;
        let (sender, receiver) = mpsc::channel(16);
        let (this, stopping) = (self.clone(), self.lifecycle.stopping_token());
        self.lifecycle.spawn("audit-feed", async move {
            let last = MAX_LAST.min(request.last as usize);
            let feed = this.feed(filter, last, &sender);
            if let Some(Err(error)) = stopping.run_until_cancelled(feed).await {
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn verify_audit(
        &self,
        _request: Request<v1::VerifyAuditRequest>,
    ) -> Result<Response<v1::VerifyAuditResponse>, Status> {
        let verdict = self.audit.verify().await.map_err(status::of)?;
        Ok(Response::new(match verdict {
            Verdict::Intact {
                records,
                newest,
                head,
            } => v1::VerifyAuditResponse {
                intact: true,
                records,
                newest,
                head: head.to_string(),
                ..v1::VerifyAuditResponse::default()
            },
            Verdict::Broken(found) => v1::VerifyAuditResponse {
                intact: false,
                broken_seq: found.seq,
                fault: found.to_string(),
                ..v1::VerifyAuditResponse::default()
            },
        }))
    }
}

impl Control {
    /// Sends the `last` records and then every new one, until nobody reads them any more.
    async fn feed(&self, filter: Filter, last: usize, to: &Feed) -> Result<(), Status> {
        let mut moved = self.audit.subscribe();
        let now = self.audit.added(Filter::default(), 0, 0);
        let mut seen = now.await.map_err(status::of)?.seen;
        for record in self.last(&filter, seen, last).await? {
            if to.send(Ok(message(record))).await.is_err() {
                return Ok(());
            }
        }
        loop {
            moved.borrow_and_update();
            loop {
                let added = self.audit.added(filter.clone(), seen, BATCH);
                let added = added.await.map_err(status::of)?;
                let advanced = added.seen > seen;
                seen = added.seen;
                for record in added.records {
                    if to.send(Ok(message(record))).await.is_err() {
                        return Ok(());
                    }
                }
                if !advanced {
                    break;
                }
            }
            tokio::select! {
                moved = moved.changed() => if moved.is_err() {
                    return Ok(());
                },
                () = to.closed() => return Ok(()),
            }
        }
    }

    /// The last `count` records up to the one numbered `newest`, oldest first.
    async fn last(
        &self,
        filter: &Filter,
        newest: u64,
        count: usize,
    ) -> Result<Vec<Record>, Status> {
        let mut records: Vec<Record> = Vec::new();
        let mut before = newest + 1;
        while records.len() < count {
            let wanted = count - records.len();
            let page = self.audit.page(filter.clone(), Some(before), wanted);
            let page = page.await.map_err(status::of)?;
            match page.last() {
                Some(oldest) => before = oldest.seq,
                None => break,
            }
            records.extend(page);
        }
        records.reverse();
        Ok(records)
    }
}

fn filter(wanted: Option<v1::AuditFilter>) -> Result<Filter, Status> {
    let wanted = wanted.unwrap_or_default();
    let some = |text: String| (!text.is_empty()).then_some(text);
    let kind = some(wanted.kind);
    if let Some(kind) = &kind {
        check_kind(kind)?;
    }
    let since = match wanted.since {
        0 => None,
        since => Some(
            Timestamp::from_microsecond(since).map_err(|error| status::invalid("since", &error))?,
        ),
    };
    Ok(Filter {
        kind,
        server: some(wanted.server),
        tool: some(wanted.tool),
        actor: some(wanted.actor),
        approval: some(wanted.approval),
        since,
    })
}

/// A kind that does not exist would find nothing, which reads like an answer.
fn check_kind(kind: &str) -> Result<(), Status> {
    let known = |each: &Kind| {
        let each = each.as_str();
        each == kind || each.split_once('.').is_some_and(|(group, _)| group == kind)
    };
    if Kind::ALL.iter().any(known) {
        return Ok(());
    }
    let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let fault = Fault {
        reason: Reason::InvalidInput,
        message: format!("there is no kind {kind:?} of record"),
        hint: Some(format!(
            "a kind, or its part before the dot, is one of {}",
            all.join(", ")
        )),
    };
    Err(fault.into_status())
}

fn message(record: Record) -> v1::AuditRecord {
    v1::AuditRecord {
        seq: record.seq,
        at: record.at.as_microsecond(),
        kind: record.kind,
        server: record.server.unwrap_or_default(),
        tool: record.tool.unwrap_or_default(),
        actor: record.actor.unwrap_or_default(),
        approval: record.approval.unwrap_or_default(),
        detail_json: record.detail,
        hash: record.hash.to_string(),
    }
}
