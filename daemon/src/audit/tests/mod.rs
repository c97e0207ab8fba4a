//! The log as its users see it.

mod journal;
mod tampering;

use serde_json::json;

use super::*;
use crate::clock::ManualClock;

#[tokio::test]
async fn records_are_numbered_without_gaps() {
    let audit = Audit::temporary();
    for seq in 1..=3 {
        let event = Event::new(Kind::CallStarted).detail(json!({ "n": seq }));
        assert_eq!(audit.record(event).await.unwrap(), seq);
    }
}

#[tokio::test]
async fn a_record_goes_with_the_change_it_tells_of() {
    let audit = Audit::temporary();
    let failed = audit.store.write(Durability::Process, |tx| {
        append(tx, jiff::Timestamp::UNIX_EPOCH, &Event::new(Kind::PinSet))?;
        tx.execute("INSERT INTO nowhere VALUES (1)", [])
    });
    assert!(failed.await.is_err());
    assert_eq!(audit.record(Event::new(Kind::PinSet)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_start_tells_whether_the_end_before_was_clean() {
    let audit = Audit::temporary();
    assert!(audit.started().await.unwrap(), "the first start");
    let stopped = Event::new(Kind::DaemonStopped);
    audit.record_durable(stopped).await.unwrap();
    assert!(audit.started().await.unwrap());
    assert!(!audit.started().await.unwrap(), "nobody recorded an end");
}

#[tokio::test]
async fn what_happened_is_recorded_as_soon_as_the_log_can_be_written_again() {
    let audit = Audit::temporary();
    let rename = async |sql: &'static str| {
        let renamed = audit
            .store
            .write(Durability::Process, move |tx| tx.execute_batch(sql));
        renamed.await.unwrap();
    };
    rename("ALTER TABLE audit_chain RENAME TO away").await;
    assert!(audit.record(Event::new(Kind::PinSet)).await.is_err());
    audit.record_in_background(Event::new(Kind::CallRefused));
    audit
        .record_afterwards(Event::new(Kind::PolicyChanged))
        .await;
    let mut commits = audit.subscribe();
    rename("ALTER TABLE away RENAME TO audit_chain").await;
    let recorded = async {
        loop {
            let page = audit.page(Filter::default(), None, 9).await.unwrap();
            if page.len() == 2 {
                break page;
            }
            commits.changed().await.unwrap();
        }
    };
    let page = tokio::time::timeout(Duration::from_secs(20), recorded)
        .await
        .unwrap();
    let mut kinds: Vec<_> = page.iter().map(|record| record.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["call.refused", "policy.changed"]);
}

#[tokio::test]
async fn a_start_ends_the_calls_that_have_no_end() {
    let audit = Audit::temporary();
    audit.started().await.unwrap();
    let call = |tool: &str| Event::new(Kind::CallStarted).tool(tool).actor("uid 7");
    let server = "shop".parse().unwrap();
    let lost = audit.record(call("pay").server(&server)).await.unwrap();
    let ended = audit.record(call("look")).await.unwrap();
    let end =
        Event::new(Kind::CallFinished).detail(json!({ "outcome": "complete", "call": ended }));
    audit.record(end).await.unwrap();
    audit.started().await.unwrap();
    audit.started().await.unwrap();
    let filter = Filter {
        kind: Some("call.finished".to_owned()),
        ..Filter::default()
    };
    let page = audit.page(filter, None, 9).await.unwrap();
    assert_eq!(page.len(), 2, "each once");
    let detail: Value = serde_json::from_str(&page[0].detail).unwrap();
    assert_eq!(
        (&detail["outcome"], &detail["call"]),
        (&json!("unknown"), &json!(lost))
    );
    assert_eq!(page[0].server.as_deref(), Some("shop"));
    assert_eq!(page[0].tool.as_deref(), Some("pay"));
    let verdict = audit.verify().await.unwrap();
    assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
}

#[tokio::test]
async fn pages_go_back_in_time_and_hold_what_was_asked_for() {
    let audit = Audit::temporary();
    for (kind, server) in [
        (Kind::CallStarted, "a"),
        (Kind::CallFinished, "a"),
        (Kind::CallStarted, "b"),
        (Kind::PinSet, "b"),
    ] {
        let event = Event::new(kind).server(&server.parse().unwrap());
        audit.record(event.tool("t").actor("uid 7")).await.unwrap();
    }
    let seqs = async |filter: Filter, before, limit| -> Vec<u64> {
        let page = audit.page(filter, before, limit).await.unwrap();
        page.iter().map(|record| record.seq).collect()
    };
    let all = Filter::default;
    assert_eq!(seqs(all(), None, 3).await, [4, 3, 2]);
    assert_eq!(seqs(all(), Some(2), 3).await, [1]);
    let kind = |kind: &str| Filter {
        kind: Some(kind.to_owned()),
        ..all()
    };
    assert_eq!(seqs(kind("call"), None, 9).await, [3, 2, 1]);
    assert_eq!(seqs(kind("call.started"), None, 9).await, [3, 1]);
    assert!(seqs(kind("cal"), None, 9).await.is_empty());
    let of = Filter {
        server: Some("b".to_owned()),
        tool: Some("t".to_owned()),
        actor: Some("uid".to_owned()),
        since: Some(jiff::Timestamp::UNIX_EPOCH),
        ..all()
    };
    assert_eq!(seqs(of, None, 9).await, [4, 3]);
    let none = Filter {
        since: Some(jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(1)),
        ..all()
    };
    assert!(seqs(none, None, 9).await.is_empty());
}

#[tokio::test]
async fn whoever_follows_sees_each_record_once() {
    let audit = Audit::temporary();
    let mut moved = audit.subscribe();
    for kind in [Kind::PinSet, Kind::PinWrong, Kind::PinSet] {
        audit.record(Event::new(kind)).await.unwrap();
    }
    moved.changed().await.unwrap();
    let of = || Filter {
        kind: Some("pin.set".to_owned()),
        ..Filter::default()
    };
    let first = audit.added(of(), 0, 1).await.unwrap();
    assert_eq!((first.records.len(), first.seen), (1, 1));
    let second = audit.added(of(), first.seen, 5).await.unwrap();
    assert_eq!(second.records[0].seq, 3);
    assert_eq!(second.seen, 3);
    let third = audit.added(of(), 3, 5).await.unwrap();
    assert!(third.records.is_empty());
    assert_eq!(third.seen, 3);
}

#[tokio::test]
async fn arguments_are_kept_or_redacted_as_the_settings_say() {
    let audit = Audit::temporary();
    let text = r#"{"n":1.0}"#;
    let digest = Digest::of(text.as_bytes());
    assert_eq!(audit.arguments(text, &digest)["text"], text);
    let long = " ".repeat(MAX_ARGUMENTS + 1);
    assert!(audit.arguments(&long, &digest).get("text").is_none());
    let lets_in = format!(r#"{{"token":"mcpb_{}"}}"#, "x".repeat(43));
    let kept = audit.arguments(&lets_in, &digest);
    assert_eq!(kept["text"], r#"{"token":"mcpb_[redacted]"}"#);
    let harmless = r#"{"note":"mcpb_x"}"#;
    assert_eq!(audit.arguments(harmless, &digest)["text"], harmless);
    audit.configure(&AuditConfig {
        arguments: AuditArguments::Redact,
        ..AuditConfig::default()
    });
    let redacted = audit.arguments(text, &digest);
    assert_eq!(redacted, json!({ "digest": digest, "bytes": text.len() }));
}

#[tokio::test]
async fn what_a_caller_sends_does_not_fill_the_disk() {
    let audit = Audit::temporary();
    let event = Event::new(Kind::CallRefused)
        .tool("é".repeat(100_000))
        .detail(json!({ "filler": "x".repeat(1_000_000), "why": "policy" }));
    audit.record(event).await.unwrap();
    let record = audit
        .page(Filter::default(), None, 1)
        .await
        .unwrap()
        .remove(0);
    assert!(record.tool.unwrap().len() < 1_000);
    let detail: Value = serde_json::from_str(&record.detail).unwrap();
    assert_eq!(detail["filler"]["too_long"], 1_000_002);
    assert_eq!(detail["why"], "policy", "the rest of the record stays");

    let many: serde_json::Map<_, _> = (0..100_000).map(|n| (n.to_string(), json!(n))).collect();
    let event = Event::new(Kind::CallRefused).detail(many.into());
    audit.record(event).await.unwrap();
    let page = audit.page(Filter::default(), None, 1).await.unwrap();
    assert!(page[0].detail.len() < 1_000);
}

#[tokio::test]
async fn old_records_go_when_the_settings_say_so() {
    let clock = ManualClock::at(jiff::Timestamp::UNIX_EPOCH);
    let audit = Audit::new(
        Store::temporary(),
        clock.clone(),
        Lifecycle::new(),
        AuditConfig::default(),
    );
    let old = prune::BATCH + 10;
    let filled = audit.store.write(Durability::Process, move |tx| {
        for _ in 0..old {
            append(tx, Timestamp::UNIX_EPOCH, &Event::new(Kind::CallStarted))?;
        }
        Ok(())
    });
    filled.await.unwrap();
    clock.advance(SignedDuration::from_hours(24 * 30));
    audit.record(Event::new(Kind::PinSet)).await.unwrap();
    assert_eq!(audit.prune().await.unwrap(), 0, "0 days keep everything");
    audit.configure(&AuditConfig {
        keep_days: 29,
        ..AuditConfig::default()
    });
    assert_eq!(audit.prune().await.unwrap(), old);
    assert_eq!(audit.prune().await.unwrap(), 0);
    let left = audit.page(Filter::default(), None, 9).await.unwrap();
    let kinds: Vec<&str> = left.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["audit.pruned", "audit.pruned", "pin.set"]);
    assert!(matches!(
        audit.verify().await.unwrap(),
        Verdict::Intact { records: 3, .. }
    ));
}
