//! The service as its users see it, with a real database.

mod pin;
mod race;
mod service;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::clock::ManualClock;
use crate::types::Digest;

const PATIENCE: Duration = Duration::from_secs(900);

struct Bench {
    store: Store,
    clock: Arc<ManualClock>,
    lifecycle: Lifecycle,
    approvals: Approvals,
}

impl Bench {
    async fn new() -> Self {
        let store = Store::temporary();
        let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap());
        let lifecycle = Lifecycle::new();
        let approvals = open(&store, &clock, &lifecycle).await;
        Self {
            store,
            clock,
            lifecycle,
            approvals,
        }
    }

    /// What the next run of the daemon finds.
    async fn restarted(&self) -> Approvals {
        open(&self.store, &self.clock, &self.lifecycle).await
    }

    /// Whatever else happens to the file.
    async fn run(&self, sql: &'static str) {
        let run = move |tx: &rusqlite::Transaction<'_>| tx.execute_batch(sql);
        self.store.write(Durability::Process, run).await.unwrap();
    }

    async fn count(&self, sql: &'static str) -> u32 {
        let count = move |c: &rusqlite::Connection| c.query_row(sql, [], |row| row.get(0));
        self.store.read(count).await.unwrap()
    }

    async fn submit(&self, action: Action) -> Ticket {
        self.approvals.submit(action, PATIENCE).await.unwrap()
    }

    async fn approve(&self, id: ApprovalId) -> Arc<Item> {
        self.decide(id, Verdict::approve()).await.unwrap()
    }

    async fn decide(&self, id: ApprovalId, verdict: Verdict) -> Result<Arc<Item>, ApprovalError> {
        self.approvals.decide_one(id, verdict, person(), None).await
    }
}

async fn open(store: &Store, clock: &Arc<ManualClock>, lifecycle: &Lifecycle) -> Approvals {
    let clock = Arc::clone(clock) as SharedClock;
    let opened = Approvals::open(store.clone(), clock, lifecycle.clone()).await;
    let approvals = opened.unwrap();
    approvals.resume().await.unwrap();
    approvals
}

fn person() -> Decider {
    Decider::Web {
        session: "4f2a".to_owned(),
    }
}

fn action(arguments: &str) -> Action {
    Action {
        caller: CallerView {
            principal: "uid:1000 exe:/usr/bin/agent".to_owned(),
            text: "agent (pid 7)".to_owned(),
            ..CallerView::default()
        },
        server: "stripe".parse().unwrap(),
        address: "https://mcp.stripe.com".to_owned(),
        tool: "create_refund".to_owned(),
        tool_digest: Some(Digest::of(b"definition")),
        tool_definition: None,
        change: None,
        arguments: arguments.to_owned(),
        argument_digest: crate::mcp::canonical::digest(arguments).unwrap(),
        policy_version: Digest::of(b"policy"),
        reason: "ask, by default".to_owned(),
        editable: true,
        accepts_weak: false,
        keep_arguments: true,
    }
}
