//! Many at once: callers that ask, repeat and leave, and people who answer the same question.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::*;

const CALLS: usize = 60;
const DECIDERS: usize = 3;

/// A caller's side of call `number`: waits, uses the approval, and is sure of what it sends.
async fn call(
    approvals: Approvals,
    number: usize,
    leaves: bool,
    sent: Arc<Mutex<HashMap<ApprovalId, Vec<String>>>>,
) {
    let arguments = format!("{{\"call\":{number}}}");
    let ticket = approvals
        .submit(action(&arguments), PATIENCE)
        .await
        .unwrap();
    if leaves {
        return;
    }
    let decided = ticket.decided().await;
    assert_eq!(
        decided.action.arguments, arguments,
        "the answer is for this call"
    );
    if let Ok(execution) = ticket.claim().await {
        assert!(execution.item().decision.as_ref().unwrap().approved);
        let mut sent = sent.lock().unwrap();
        sent.entry(ticket.id())
            .or_default()
            .push(execution.arguments().to_owned());
        execution.settle(Settled::Done);
    }
}

/// Answers whatever is pending, in an order of its own, until all is over. Returns what it decided.
async fn decide(approvals: Approvals, name: usize) -> Vec<(ApprovalId, bool)> {
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &[name as u8; 32]);
    let by = Decider::Web {
        session: name.to_string(),
    };
    let mut changes = approvals.subscribe();
    let mut decided = Vec::new();
    let mut seen = HashSet::new();
    while seen.len() < CALLS {
        let mut pending = approvals.pending();
        while !pending.is_empty() {
            let item = pending.swap_remove(random.next_u32() as usize % pending.len());
            let approve = random.next_u32() > u32::MAX / 3;
            let verdict = match approve {
                true => Verdict::approve(),
                false => Verdict::Deny { reason: None },
            };
            seen.insert(item.id);
            match approvals
                .decide_one(item.id, verdict, by.clone(), None)
                .await
            {
                Ok(item) => {
                    assert_eq!(item.decision.as_ref().unwrap().by, by);
                    decided.push((item.id, approve));
                }
                Err(ApprovalError::AlreadyDecided(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        match changes.recv().await {
            Ok(id) => {
                // Others decided it before this one saw it.
                if approvals
                    .get(id)
                    .await
                    .is_ok_and(|item| item.state != State::Pending)
                {
                    seen.insert(id);
                }
            }
            Err(_) => seen.extend(decided_so_far(&approvals).await),
        }
    }
    decided
}

async fn decided_so_far(approvals: &Approvals) -> Vec<ApprovalId> {
    let all = Filter {
        limit: 1_000,
        ..Filter::default()
    };
    let history = approvals.history(all).await.unwrap();
    let decided = history.iter().filter(|item| item.state != State::Pending);
    decided.map(|item| item.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_question_is_decided_once_and_each_approval_used_at_most_once() {
    let bench = Bench::new().await;
    let sent = Arc::default();
    let deciders: Vec<_> = (0..DECIDERS)
        .map(|name| {
            bench
                .lifecycle
                .spawn("decider", decide(bench.approvals.clone(), name))
        })
        .collect();
    let calls: Vec<_> = (0..CALLS * 3)
        .map(|number| {
            // Each call comes three times; one of them leaves at once.
            let leaves = number % 5 == 0;
            let sent = Arc::clone(&sent);
            let call = call(bench.approvals.clone(), number % CALLS, leaves, sent);
            bench.lifecycle.spawn("call", call)
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let mut decisions: HashMap<ApprovalId, Vec<bool>> = HashMap::new();
    for decider in deciders {
        for (id, approved) in decider.await.unwrap() {
            decisions.entry(id).or_default().push(approved);
        }
    }
    let sent = sent.lock().unwrap().clone();
    for (id, decided) in &decisions {
        assert_eq!(decided.len(), 1, "{id} was decided once");
        let item = bench.approvals.get(*id).await.unwrap();
        assert_eq!(item.decision.as_ref().unwrap().approved, decided[0]);
        let sent = sent.get(id).map(Vec::as_slice).unwrap_or_default();
        assert!(sent.len() <= usize::from(decided[0]), "{id} was sent once");
        assert!(sent.iter().all(|text| *text == item.action.arguments));
    }
    assert!(sent.keys().all(|id| decisions.contains_key(id)));
    assert!(decisions.len() >= CALLS);
}
