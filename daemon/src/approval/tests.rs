//! The service as its users see it, with a real database.

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
    approvals: Approvals,
}

impl Bench {
    async fn new() -> Self {
        let store = Store::temporary();
        let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap());
        let approvals = open(&store, &clock).await;
        Self {
            store,
            clock,
            approvals,
        }
    }

    /// What the next run of the daemon finds.
    async fn restarted(&self) -> Approvals {
        open(&self.store, &self.clock).await
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

async fn open(store: &Store, clock: &Arc<ManualClock>) -> Approvals {
    let clock = Arc::clone(clock) as SharedClock;
    let opened = Approvals::open(store.clone(), clock, Lifecycle::new()).await;
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

#[tokio::test]
async fn an_approved_call_runs_exactly_once() {
    let bench = Bench::new().await;
    let ticket = bench.submit(action("{}")).await;
    assert_eq!(ticket.item().state, State::Pending);
    bench.approve(ticket.id()).await;
    assert_eq!(ticket.decided().await.state, State::Approved);
    let execution = ticket.claim().await.unwrap();
    assert_eq!(execution.arguments(), "{}");
    assert!(ticket.claim().await.is_err());
    execution.settle(Settled::Done);
    ticket.until(|item| item.state == State::Done).await;
    assert!(ticket.claim().await.is_err());
    let again = bench.submit(action("{}")).await;
    assert_ne!(again.id(), ticket.id());
}

#[tokio::test]
async fn the_second_answer_is_told_of_the_first() {
    let bench = Bench::new().await;
    let ticket = bench.submit(action("{}")).await;
    let denied = Verdict::Deny {
        reason: Some("not today".to_owned()),
    };
    bench.decide(ticket.id(), denied).await.unwrap();
    let late = bench.decide(ticket.id(), Verdict::approve()).await;
    let told = late.unwrap_err().to_string();
    assert!(told.contains("already denied by the web page"), "{told}");
    assert!(told.contains("2027-01-15T08:00:00Z"), "{told}");
    let again = bench.submit(action("{}")).await;
    assert_eq!(again.id(), ticket.id(), "a repetition has the same answer");
    bench.clock.advance(SignedDuration::from_secs(60));
    let later = bench.submit(action("{}")).await;
    assert_ne!(later.id(), ticket.id());
}

#[tokio::test]
async fn a_restart_keeps_questions_and_approvals_but_not_the_outcome_of_a_running_call() {
    let bench = Bench::new().await;
    let pending = bench.submit(action(r#"{"a":1}"#)).await;
    let approved = bench.submit(action(r#"{"a":2}"#)).await;
    bench.approve(approved.id()).await;
    let running = bench.submit(action(r#"{"a":3}"#)).await;
    bench.approve(running.id()).await;
    let execution = running.claim().await.unwrap();

    let next = bench.restarted().await;
    let of = async |id| next.get(id).await.unwrap().state;
    assert_eq!(of(pending.id()).await, State::Pending);
    assert_eq!(of(approved.id()).await, State::Approved);
    assert_eq!(of(running.id()).await, State::OutcomeUnknown);
    let repeated = next.submit(action(r#"{"a":2}"#), PATIENCE).await.unwrap();
    assert_eq!(repeated.id(), approved.id());
    assert!(repeated.claim().await.is_ok());
    let repeated = next.submit(action(r#"{"a":3}"#), PATIENCE).await.unwrap();
    assert_eq!(repeated.item().state, State::Pending);
    assert_eq!(repeated.item().earlier, Some(running.id()));
    drop(execution);
}

#[tokio::test]
async fn time_denies_and_the_newest_waiting_call_takes_the_approval() {
    let bench = Bench::new().await;
    let old = bench.submit(action("{}")).await;
    let new = bench.submit(action("{}")).await;
    assert_eq!(old.id(), new.id());
    assert_eq!(bench.approvals.waiting(old.id()), 2);
    bench.approve(old.id()).await;
    let (first, second) = tokio::join!(old.claim(), new.claim());
    assert!(matches!(first, Err(ClaimError::Unclaimable(_))));
    second.unwrap().settle(Settled::Done);

    let ticket = bench.submit(action(r#"{"b":1}"#)).await;
    bench.clock.advance(SignedDuration::from_secs(900));
    let late = bench.decide(ticket.id(), Verdict::approve()).await;
    assert!(matches!(late, Err(ApprovalError::AlreadyDecided(_))));
    assert_eq!(ticket.decided().await.state, State::Expired);
}
