//! Whatever is done to the log behind the daemon's back is found, at the right place.

use proptest::prelude::*;
use rusqlite::Transaction;
use serde_json::json;

use crate::audit::{Audit, Break, Event, Fault, Kind, Verdict, append, prune, verify};
use crate::store::Durability;

const RECORDS: i64 = 6;

/// What a person with a database tool may do.
#[derive(Debug, Clone)]
enum Tampering {
    Set { seq: i64, assignment: &'static str },
    Remove { first: i64, last: i64 },
    Swap { one: i64, other: i64 },
    Copy { from: i64, to: i64 },
    Chain { assignment: &'static str },
}

impl Tampering {
    fn any() -> impl Strategy<Value = Self> {
        let seq = || 1..=RECORDS;
        let assignment = prop::sample::select(vec![
            "at = at + 1",
            "at = -at - 1",
            "kind = 'call.refused'",
            "server = NULL",
            "server = 'other'",
            "tool = ''",
            "tool = NULL",
            "actor = tool, tool = actor",
            "approval = 'aaaaaaaaaaaa'",
            "detail = '{}'",
            "detail = detail || ' '",
            "hash = zeroblob(32)",
            "hash = zeroblob(31)",
            "hash = x''",
        ]);
        let chain = prop::sample::select(vec![
            "head_seq = head_seq - 1",
            "head_seq = head_seq + 1",
            "head_hash = zeroblob(32)",
            "anchor_seq = 1",
            "anchor_seq = -1",
            "anchor_hash = randomblob(32)",
            "anchor_seq = 2, anchor_hash = (SELECT hash FROM audit WHERE seq = 2)",
        ]);
        prop_oneof![
            (seq(), assignment).prop_map(|(seq, assignment)| Self::Set { seq, assignment }),
            (seq(), seq()).prop_map(|(a, b)| Self::Remove {
                first: a.min(b),
                last: a.max(b)
            }),
            (1..RECORDS, seq())
                .prop_map(|(a, b)| Self::Swap {
                    one: a.min(b),
                    other: a.max(b)
                })
                .prop_filter(
                    "the same",
                    |swap| !matches!(swap, Self::Swap { one, other } if one == other)
                ),
            (
                seq(),
                prop::sample::select(vec![-3, 0, RECORDS + 1, RECORDS + 9])
            )
                .prop_map(|(from, to)| Self::Copy { from, to }),
            chain.prop_map(|assignment| Self::Chain { assignment }),
        ]
    }

    fn apply(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        match self {
            Self::Set { seq, assignment } => tx.execute_batch(&format!(
                "UPDATE audit SET {assignment} WHERE seq = {seq}"
            )),
            Self::Remove { first, last } => tx.execute_batch(&format!(
                "DELETE FROM audit WHERE seq BETWEEN {first} AND {last}"
            )),
            Self::Swap { one, other } => tx.execute_batch(&format!(
                "UPDATE audit SET seq = 99 WHERE seq = {one};
                 UPDATE audit SET seq = {one} WHERE seq = {other};
                 UPDATE audit SET seq = {other} WHERE seq = 99"
            )),
            Self::Copy { from, to } => tx.execute_batch(&format!(
                "INSERT INTO audit SELECT {to}, at, kind, server, tool, actor, approval, hash, detail
                 FROM audit WHERE seq = {from}"
            )),
            Self::Chain { assignment } => {
                tx.execute_batch(&format!("UPDATE audit_chain SET {assignment}"))
            }
        }
    }

    /// Where it is found, if that is the same for all of its kind.
    fn found(&self) -> Option<Break> {
        let (seq, fault) = match self {
            Self::Set { seq, .. } => (*seq, Fault::Altered),
            Self::Remove { first, last } => {
                let last = last.unsigned_abs();
                (*first, Fault::Missing { last })
            }
            Self::Swap { one, .. } => (*one, Fault::Altered),
            Self::Copy { to, .. } => (*to.max(&0), Fault::Added),
            Self::Chain { .. } => return None,
        };
        let seq = seq.unsigned_abs();
        Some(Break { seq, fault })
    }
}

fn fill(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    for seq in 1..=RECORDS {
        let at = jiff::Timestamp::from_second(seq).unwrap();
        let event = Event::new(Kind::CallStarted)
            .server(&"stripe".parse().unwrap())
            .tool(format!("tool-{seq}"))
            .actor(format!("caller {seq}"))
            .detail(json!({ "seq": seq }));
        append(tx, at, &event)?;
    }
    Ok(())
}

/// The verdict about a log of [`RECORDS`] records after `work`.
async fn verdict_after(
    audit: &Audit,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
) -> Verdict {
    let judged = audit.store.write(Durability::Process, move |tx| {
        tx.execute_batch(
            "DELETE FROM audit; UPDATE audit_chain SET head_seq = 0, head_hash = zeroblob(32), \
             anchor_seq = 0, anchor_hash = zeroblob(32)",
        )?;
        fill(tx)?;
        work(tx)?;
        verify::verify(tx)
    });
    judged.await.unwrap()
}

#[test]
fn any_tampering_is_found_at_its_place() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let audit = runtime.block_on(async { Audit::temporary() });
    proptest!(|(tampering in Tampering::any())| {
        let expected = tampering.found();
        let verdict = runtime.block_on(verdict_after(&audit, move |tx| tampering.apply(tx)));
        let Verdict::Broken(found) = verdict else {
            return Err(TestCaseError::fail("not found"));
        };
        if let Some(expected) = expected {
            prop_assert_eq!(found, expected);
        }
    });
}

#[tokio::test]
async fn an_untouched_log_is_intact() {
    let verdict = verdict_after(&Audit::temporary(), |_| Ok(())).await;
    let Verdict::Intact {
        records, newest, ..
    } = verdict
    else {
        unreachable!("{verdict:?}");
    };
    assert_eq!((records, newest), (6, 6));
}

#[tokio::test]
async fn a_beginning_that_no_pruning_declares_is_found() {
    let audit = Audit::temporary();
    let verdict = verdict_after(&audit, |tx| {
        tx.execute_batch(
            "UPDATE audit_chain SET anchor_seq = 2, \
             anchor_hash = (SELECT hash FROM audit WHERE seq = 2); DELETE FROM audit WHERE seq < 3",
        )
    });
    let verdict = verdict.await;
    let beheaded = Break {
        seq: 3,
        fault: Fault::Beheaded,
    };
    assert_eq!(verdict, Verdict::Broken(beheaded));
}

#[tokio::test]
async fn a_pruned_log_is_intact_and_more_missing_than_was_pruned_is_found() {
    let audit = Audit::temporary();
    let prune_to = |second: i64| {
        move |tx: &Transaction<'_>| {
            let until = jiff::Timestamp::from_second(second).unwrap();
            prune::prune(tx, until, until).map(drop)
        }
    };
    let verdict = verdict_after(&audit, prune_to(3)).await;
    assert!(
        matches!(verdict, Verdict::Intact { records: 5, .. }),
        "{verdict:?}"
    );
    let verdict = verdict_after(&audit, move |tx| {
        prune_to(3)(tx)?;
        prune_to(5)(tx)
    });
    let verdict = verdict.await;
    assert!(
        matches!(verdict, Verdict::Intact { records: 4, .. }),
        "{verdict:?}"
    );
    let verdict = verdict_after(&audit, move |tx| {
        prune_to(3)(tx)?;
        tx.execute_batch("DELETE FROM audit WHERE seq = 3")
    });
    let gone = Break {
        seq: 3,
        fault: Fault::Missing { last: 3 },
    };
    assert_eq!(verdict.await, Verdict::Broken(gone));
}
