//! Random histories: whatever happens in whatever order, the promises hold.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::approval::item::Settled;

/// One step; numbers choose among the items there are.
#[derive(Debug, Clone)]
enum Step {
    Submit {
        caller: u8,
        arguments: u8,
        policy: u8,
    },
    Decide {
        which: usize,
        ruling: Ruling,
    },
    Claim {
        which: usize,
    },
    Settle {
        which: usize,
        settled: Settled,
    },
    Withdraw {
        which: usize,
    },
    Pass {
        seconds: u8,
    },
    Revoke,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<usize>;
    let why = || "why".to_owned();
    let settled = prop_oneof![
        Just(Settled::Done),
        Just(Settled::Failed { why: why() }),
        Just(Settled::NotSent { why: why() }),
        Just(Settled::InputRequired),
        Just(Settled::Unknown { why: why() }),
    ];
    let ruling = prop_oneof![
        6 => Just(approve(Remember::Once)),
        1 => Just(approve(Remember::For { seconds: 50 })),
        1 => Just(approve(Remember::Always { arguments: true })),
        3 => Just(deny()),
    ];
    prop_oneof![
        8 => (0..3u8, 0..3u8, 0..6u8).prop_map(|(caller, arguments, policy)| Step::Submit {
            caller,
            arguments,
            // Seldom another one.
            policy: policy / 5,
        }),
        6 => (which(), ruling).prop_map(|(which, ruling)| Step::Decide { which, ruling }),
        6 => which().prop_map(|which| Step::Claim { which }),
        6 => (which(), settled).prop_map(|(which, settled)| Step::Settle { which, settled }),
        1 => which().prop_map(|which| Step::Withdraw { which }),
        3 => any::<u8>().prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Revoke),
        1 => Just(Step::Restart),
    ]
}

/// What is known of an item from the journal alone.
struct Seen {
    item: Arc<Item>,
    decisions: u32,
    /// Runs that ended in a way after which it may not be sent again.
    spent: u32,
}

#[derive(Default)]
struct World {
    queue: Queue,
    now: i64,
    order: Vec<ApprovalId>,
    seen: HashMap<ApprovalId, Seen>,
    grants: HashMap<ApprovalId, Grant>,
}

impl World {
    fn pick(&self, which: usize) -> Option<ApprovalId> {
        let count = self.order.len();
        (count > 0).then(|| self.order[count - 1 - which % count.min(12)])
    }

    fn run(&mut self, step: Step) {
        // As every turn begins.
        self.queue.expire(at(self.now));
        match step {
            Step::Submit {
                caller,
                arguments,
                policy,
            } => {
                let action = call(caller, arguments, policy);
                let item = self
                    .queue
                    .submit(action.clone(), PATIENCE, at(self.now))
                    .unwrap();
                assert_eq!(item.action.key(), action.key(), "it answers this very call");
                assert_eq!(item.action.policy_version, action.policy_version);
                assert!(item.state.is_open() || item.state == State::Denied);
                assert!(item.expires_at > at(self.now) || item.state == State::Denied);
            }
            Step::Decide { which, ruling } => {
                let Some(id) = self.pick(which) else { return };
                let before = self.seen[&id].item.state;
                let decided = self
                    .queue
                    .decide(id, &ruling, &person(), true, at(self.now));
                // It may have expired at the beginning of this very step.
                assert!(decided.is_err() || before == State::Pending);
            }
            Step::Claim { which } => {
                let Some(id) = self.pick(which) else { return };
                let input_run = self.seen[&id].item.input_run;
                if let Some(item) = self.queue.claim(id, input_run, at(self.now)) {
                    assert_eq!(item.state, State::Executing);
                    assert!(
                        item.expires_at > at(self.now),
                        "an expired approval is none"
                    );
                    assert!(item.decision.as_ref().unwrap().approved);
                }
            }
            Step::Settle { which, settled } => {
                let Some(id) = self.pick(which) else { return };
                let run = self.seen[&id].item.runs;
                self.queue.settle(id, run, settled.clone(), at(self.now));
                self.queue.settle(id, run, settled, at(self.now));
            }
            Step::Withdraw { which } => {
                let Some(id) = self.pick(which) else { return };
                self.queue
                    .withdraw(|item| item.id == id, "why", at(self.now));
            }
            Step::Pass { seconds } => self.now += i64::from(seconds),
            Step::Revoke => {
                self.queue.revoke(|_| true, &person());
            }
            Step::Restart => {
                self.observe();
                let of = |state: fn(&Item) -> bool| {
                    let items = self.order.iter().map(|id| &self.seen[id].item);
                    let some = items
                        .filter(|item| state(item))
                        .map(|item| Item::clone(item));
                    some.collect::<Vec<_>>()
                };
                self.queue = Queue::new(Recorded {
                    live: of(|item| item.state.is_live()),
                    denied: of(|item| item.state == State::Denied),
                    unknown: of(|item| item.state == State::OutcomeUnknown),
                    grants: self.grants.values().cloned().collect(),
                });
                self.queue.recover(at(self.now));
            }
        }
    }

    /// Checks what the journal says against what it said before.
    fn observe(&mut self) {
        for entry in self.queue.take_journal() {
            match entry {
                Entry::Item(item) => self.observe_item(item),
                Entry::Grant(grant) => {
                    self.grants.insert(grant.id, Grant::clone(&grant));
                }
                Entry::GrantGone(id) => {
                    self.grants.remove(&id);
                }
                Entry::Event(_) => {}
            }
        }
    }

    fn observe_item(&mut self, item: Arc<Item>) {
        use State::*;
        let Some(seen) = self.seen.get_mut(&item.id) else {
            assert!(item.state == Pending || (item.state == Approved && item.is_granted()));
            self.order.push(item.id);
            let decisions = u32::from(item.decision.is_some());
            let seen = Seen {
                item,
                decisions,
                spent: 0,
            };
            self.seen.insert(seen.item.id, seen);
            return;
        };
        let before = &seen.item;
        let allowed = matches!(
            (before.state, item.state),
            (Pending, Approved | Denied | Expired | Withdrawn)
                | (Approved, Executing | Expired | Withdrawn)
                | (Executing, Approved | Done | Failed | OutcomeUnknown)
        );
        assert!(allowed, "{} -> {}", before.state, item.state);
        assert_eq!(before.action, item.action, "nothing of another call");
        if before.decision != item.decision {
            seen.decisions += 1;
        }
        assert!(seen.decisions <= 1, "it is decided once");
        if before.state == Executing && item.state != Approved {
            seen.spent += 1;
        }
        assert!(seen.spent <= 1, "it runs once");
        assert_eq!(item.runs - before.runs, u32::from(item.state == Executing));
        seen.item = item;
    }

    fn check(&self) {
        let live: HashMap<_, _> = self
            .seen
            .values()
            .filter(|seen| seen.item.state.is_live())
            .map(|seen| (seen.item.id, Arc::clone(&seen.item)))
            .collect();
        assert_eq!(live, self.queue.live, "the journal tells all");
        let pending = || live.values().filter(|item| item.state == State::Pending);
        let keys: HashSet<_> = pending().map(|item| item.action.key()).collect();
        assert_eq!(keys.len(), pending().count(), "a repeated call joins");
        assert_eq!(
            self.queue.bytes,
            live.values().map(|item| item.action.size()).sum::<usize>()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn every_history_keeps_the_promises(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::default();
        for step in steps {
            world.run(step);
            world.observe();
            world.check();
        }
    }
}
