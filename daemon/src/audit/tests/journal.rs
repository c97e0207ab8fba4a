//! Beginnings of calls that the log has a moment later than they are recorded.

use std::fs;
use std::path::PathBuf;
use std::task::Poll;

use rusqlite::Transaction;

use super::*;

/// A log that has taken in one call just now, and by a clock that goes.
async fn used() -> Audit {
    let clock = Arc::new(crate::clock::SystemClock);
    let settings = AuditConfig::default();
    let audit = Audit::new(Store::temporary(), clock, Lifecycle::new(), settings);
    audit.started().await.unwrap();
    audit.begin(call("first")).await.unwrap();
    audit
}

fn call(tool: &str) -> Event {
    let arguments = json!({ "arguments": { "text": "{\"n\": 1}\n" } });
    let event = Event::new(Kind::CallStarted).detail(arguments);
    event.tool(tool).actor("uid 7")
}

fn file(audit: &Audit) -> PathBuf {
    audit.store.directory().join("journal/calls.jsonl")
}

/// Holds the database, as another program can: nothing is written meanwhile.
fn hold(audit: &Audit) -> Connection {
    let other = Connection::open(audit.store.directory().join("state.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

/// Kind and tool of all records of calls, oldest first.
async fn calls(audit: &Audit) -> Vec<(String, String)> {
    let filter = Filter {
        kind: Some("call".to_owned()),
        ..Filter::default()
    };
    let mut page = audit.page(filter, None, 1_000).await.unwrap();
    page.reverse();
    let named = |record: Record| (record.kind, record.tool.unwrap_or_default());
    page.into_iter().map(named).collect()
}

fn begun(calls: &[(String, String)]) -> Vec<&str> {
    let begun = calls.iter().filter(|(kind, _)| kind == "call.started");
    begun.map(|(_, tool)| tool.as_str()).collect()
}

async fn intact(audit: &Audit) {
    let verdict = audit.verify().await.unwrap();
    assert!(matches!(verdict, Verdict::Intact { .. }), "{verdict:?}");
}

/// The log of a process that starts where another one left `journal`.
async fn after_a_kill(store: Store, journal: &[u8]) -> Audit {
    let clock = Arc::new(crate::clock::SystemClock);
    let audit = Audit::new(store, clock, Lifecycle::new(), AuditConfig::default());
    crate::paths::create_private_dir(file(&audit).parent().unwrap()).unwrap();
    crate::paths::write_atomic(&file(&audit), journal).unwrap();
    audit.started().await.unwrap();
    audit
}

#[tokio::test]
async fn a_call_begins_once_it_is_on_disk_and_the_next_start_knows_of_it() {
    let audit = used().await;
    let other = hold(&audit);
    for tool in ["same", "same", "other"] {
        audit.begin(call(tool)).await.unwrap();
    }
    let journal = fs::read_to_string(file(&audit)).unwrap();
    assert_eq!(journal.lines().count(), 3, "{journal}");
    other.execute_batch("ROLLBACK").unwrap();
    let taken = calls(&audit).await;
    assert_eq!(begun(&taken), ["first", "same", "same", "other"]);
    intact(&audit).await;

    // Killed before the log had any of it, while a fourth call was written down and not yet sent.
    let left = format!("{journal}{}", &journal[..journal.len() / 6]);
    let killed = after_a_kill(Store::temporary(), left.as_bytes()).await;
    let found = calls(&killed).await;
    assert_eq!(begun(&found), ["same", "same", "other"]);
    assert_eq!(found.len(), 6, "each has an end");
    assert_eq!(fs::read_to_string(file(&killed)).unwrap(), "");
    intact(&killed).await;

    // Killed when the log had all of it: nothing is there twice.
    let killed = after_a_kill(audit.store.clone(), journal.as_bytes()).await;
    assert_eq!(begun(&calls(&killed).await), begun(&taken));
    intact(&killed).await;
}

#[tokio::test]
async fn a_line_that_is_torn_within_a_character_hides_no_other() {
    let audit = used().await;
    let _other = hold(&audit);
    for tool in ["one", "zw\u{f6}lf"] {
        audit.begin(call(tool)).await.unwrap();
    }
    let journal = fs::read(file(&audit)).unwrap();
    let torn = journal.iter().position(|byte| *byte >= 0x80).unwrap() + 1;
    let killed = after_a_kill(Store::temporary(), &journal[..torn]).await;
    assert_eq!(begun(&calls(&killed).await), ["one"]);
    intact(&killed).await;
}

#[tokio::test]
async fn an_end_names_its_beginning_although_both_wait() {
    let audit = used().await;
    for tool in ["one", "two"] {
        let begun = audit.begin(call(tool)).await.unwrap();
        audit.end(begun, Event::new(Kind::CallFinished).tool(tool));
    }
    let page = audit.page(Filter::default(), None, 4).await.unwrap();
    let of = |tool: &str, kind: &str| {
        let is_it = |r: &&Record| r.tool.as_deref() == Some(tool) && r.kind == kind;
        page.iter().find(is_it).unwrap()
    };
    for tool in ["one", "two"] {
        let detail: Value = serde_json::from_str(&of(tool, "call.finished").detail).unwrap();
        assert_eq!(detail["call"], of(tool, "call.started").seq);
    }
    assert_eq!(fs::read_to_string(file(&audit)).unwrap(), "", "taken in");
}

#[tokio::test]
async fn no_call_begins_while_the_log_cannot_be_written() {
    let audit = used().await;
    let run = async |sql: &'static str| {
        let work = move |tx: &Transaction<'_>| tx.execute_batch(sql);
        audit.store.write(Durability::Process, work).await.unwrap();
    };
    run("ALTER TABLE audit_chain RENAME TO away").await;
    // Whichever notices it first: the log when it takes this in, or the next beginning.
    let noticed = async {
        while audit.begin(call("unlucky")).await.is_ok() {
            audit.page(Filter::default(), None, 1).await.unwrap();
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, noticed).await.unwrap();
    assert!(audit.begin(call("refused")).await.is_err());
    run("ALTER TABLE away RENAME TO audit_chain").await;
    let mut commits = audit.subscribe();
    let recovered = async {
        while !begun(&calls(&audit).await).contains(&"unlucky") {
            commits.changed().await.unwrap();
        }
    };
    tokio::time::timeout(patience, recovered).await.unwrap();
    audit.begin(call("welcome")).await.unwrap();
    let all = calls(&audit).await;
    assert!(!begun(&all).contains(&"refused"), "{all:?}");
    assert_eq!(begun(&all).last(), Some(&"welcome"));
    intact(&audit).await;
}

#[tokio::test]
async fn beginnings_wait_for_a_log_that_does_not_keep_up() {
    let audit = used().await;
    let other = hold(&audit);
    let mut begun = 0;
    let waiting = loop {
        let mut begin = Box::pin(audit.begin(call("many")));
        match futures_util::poll!(begin.as_mut()) {
            Poll::Ready(outcome) => drop(outcome.unwrap()),
            Poll::Pending => break begin,
        }
        begun += 1;
        assert!(begun < 10_000, "there is no limit");
    };
    other.execute_batch("ROLLBACK").unwrap();
    waiting.await.unwrap();
    let newest = audit.page(Filter::default(), None, 1).await.unwrap();
    assert_eq!(newest[0].seq, begun + 3, "a start, the first, the last");
    intact(&audit).await;
}
