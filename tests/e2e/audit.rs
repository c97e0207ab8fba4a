//! The audit log: what it tells, what it notices, and what does not happen without it.

use std::collections::BTreeSet;

use mcpbridge_tests::Scenario;
use rusqlite::Connection;
use serde_json::{Value, json};

/// A server with a sign-in and a call, each of which left records.
async fn used() -> Scenario {
    let scenario = Scenario::start().await;
    scenario.add("hello").await;
    greet(&scenario, "1").await;
    scenario
}

async fn greet(scenario: &Scenario, name: &str) {
    let answer = scenario
        .call("hello", "hello_world", json!({ "name": name }))
        .await;
    answer.assert_text(&format!("Hello, {name}!"));
}

async fn records(scenario: &Scenario, filter: &[&str]) -> Vec<Value> {
    let arguments = [&["audit", "--json", "-n", "1000"], filter].concat();
    scenario.ctl.run(&arguments).await.success().json_lines()
}

fn kinds(records: &[Value]) -> Vec<&str> {
    records
        .iter()
        .map(|record| record["kind"].as_str().unwrap())
        .collect()
}

/// The database as anybody who owns the file can open it.
fn database(scenario: &Scenario) -> Connection {
    Connection::open(scenario.home.state_file()).unwrap()
}

async fn intact(scenario: &Scenario) {
    let verified = scenario.ctl.run(&["audit", "verify", "--json"]).await;
    let verified = verified.success().json();
    assert_eq!(verified["intact"], true, "{verified}");
    assert_eq!(verified["head"].as_str().unwrap().len(), 64, "{verified}");
}

#[tokio::test]
async fn starts_and_ends_are_recorded_and_an_unclean_end_shows() {
    let mut scenario = Scenario::start().await;
    scenario.daemon.restart().await;
    scenario.daemon.kill().await;
    scenario.daemon.launch().await;
    let records = records(&scenario, &["--kind", "daemon"]).await;
    let clean: Vec<(&str, &Value)> = records
        .iter()
        .map(|record| {
            let kind = record["kind"].as_str().unwrap();
            (kind, &record["detail"]["clean_end_before"])
        })
        .collect();
    assert_eq!(
        clean,
        [
            ("daemon.started", &json!(true)),
            ("daemon.stopped", &Value::Null),
            ("daemon.started", &json!(true)),
            ("daemon.started", &json!(false)),
        ]
    );
    let log = scenario.daemon.output();
    assert!(log.contains("did not end cleanly"), "{log}");
    intact(&scenario).await;
    scenario.finish().await;
}

#[tokio::test]
async fn records_are_filtered_and_numbered_without_gaps() {
    let scenario = used().await;
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    let all = records(&scenario, &[]).await;
    let seqs: BTreeSet<u64> = all
        .iter()
        .map(|record| record["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.iter().copied().eq(1..=all.len() as u64), "{seqs:?}");
    let tokens = records(&scenario, &["--kind", "token", "--server", "hello"]).await;
    assert_eq!(kinds(&tokens), ["token.issued", "token.refreshed"]);
    let recent = records(&scenario, &["--kind", "token.refreshed", "--since", "1h"]).await;
    assert_eq!(recent.len(), 1);
    assert!(records(&scenario, &["--server", "other"]).await.is_empty());
    let refused = scenario.ctl.run(&["audit", "--kind", "tokens"]).await;
    let refused = refused.expect_code(2);
    assert!(
        refused.stderr.contains("token.issued"),
        "{}",
        refused.stderr
    );
    scenario.finish().await;
}

#[tokio::test]
async fn a_follower_sees_the_end_of_the_log_and_then_each_new_record() {
    let scenario = used().await;
    let follow = ["audit", "-f", "-n", "1", "--kind", "token", "--json"];
    let mut following = scenario.ctl.spawn(&follow);
    let kind = |line: Option<String>| {
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        record["kind"].as_str().unwrap().to_owned()
    };
    assert_eq!(kind(following.line().await), "token.issued");
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    assert_eq!(kind(following.line().await), "token.refreshed");
    following.interrupt();
    following.wait().await;
    scenario.finish().await;
}

#[tokio::test]
async fn whatever_is_done_to_the_log_is_named_with_its_record() {
    let scenario = used().await;
    let newest = records(&scenario, &[]).await.len();
    let next = newest + 1;
    let tamperings = [
        (
            "UPDATE audit SET detail = '{\"issuer\":\"me\"}' WHERE seq = 2".to_owned(),
            "record 2 was altered".to_owned(),
        ),
        (
            "UPDATE audit SET at = at - 1 WHERE seq = 1".to_owned(),
            "record 1 was altered".to_owned(),
        ),
        (
            "DELETE FROM audit WHERE seq = 2".to_owned(),
            "record 2 is missing".to_owned(),
        ),
        (
            format!("DELETE FROM audit WHERE seq = {newest}"),
            format!("record {newest} is missing"),
        ),
        (
            format!(
                "INSERT INTO audit SELECT {next}, at, kind, server, tool, actor, approval, hash, \
                 detail FROM audit WHERE seq = 2"
            ),
            format!("record {next} was not written by the daemon"),
        ),
    ];
    let database = database(&scenario);
    let copy = "CREATE TEMP TABLE saved AS SELECT * FROM audit";
    database.execute_batch(copy).unwrap();
    for (tampering, named) in tamperings {
        assert_eq!(database.execute(&tampering, []).unwrap(), 1, "{tampering}");
        let verified = scenario.ctl.run(&["audit", "verify"]).await;
        let verified = verified.expect_code(1);
        assert!(
            verified.stderr.contains(&named),
            "{tampering}: {}",
            verified.stderr
        );
        let restore = "DELETE FROM audit; INSERT INTO audit SELECT * FROM temp.saved";
        database.execute_batch(restore).unwrap();
        intact(&scenario).await;
    }
    scenario.finish().await;
}

/// The values of `n` in the calls of `echo` that reached the server.
fn sent(scenario: &Scenario) -> BTreeSet<u64> {
    let entries = scenario.mcp.journal().entries();
    let bodies = entries
        .iter()
        .filter_map(|entry| serde_json::from_slice::<Value>(&entry.body).ok());
    bodies
        .filter_map(|body| body["params"]["arguments"]["n"].as_u64())
        .collect()
}

/// The same values, of the calls that the log says have begun.
fn begun(records: &[Value]) -> Vec<u64> {
    let starts = records.iter().filter(|one| one["kind"] == "call.started");
    let arguments = starts.filter_map(|one| one["detail"]["arguments"]["text"].as_str());
    arguments
        .filter_map(|text| serde_json::from_str::<Value>(text).unwrap()["n"].as_u64())
        .collect()
}

#[tokio::test]
async fn whatever_was_sent_before_a_kill_is_in_the_log_once() {
    let mut scenario = used().await;
    for round in 0..4 {
        // The first call shows that the log can be written; the others need not wait for it.
        greet(&scenario, "again").await;
        let gate = scenario.mcp.hold("echo");
        let calling: Vec<_> = (0..8)
            .map(|n| {
                let client = scenario.client("hello");
                tokio::spawn(async move {
                    // The daemon dies under this call.
                    let arguments = json!({ "n": round * 8 + n });
                    let params = client.call_params("echo", arguments);
                    let message = client.message("tools/call", params);
                    client.prepare(&message).send().await.is_ok()
                })
            })
            .collect();
        gate.reached().await;
        scenario.daemon.kill().await;
        for call in calling {
            call.await.unwrap();
        }
        gate.release();
        scenario.daemon.launch().await;
        let records = records(&scenario, &[]).await;
        let begun = begun(&records);
        let once: BTreeSet<u64> = begun.iter().copied().collect();
        assert_eq!(begun.len(), once.len(), "none is there twice: {begun:?}");
        let sent = sent(&scenario);
        assert!(sent.iter().any(|n| n / 8 == round), "{sent:?}");
        assert!(sent.is_subset(&once), "sent {sent:?}, in the log {once:?}");
        let kinds = kinds(&records);
        let count = |wanted| kinds.iter().filter(|kind| **kind == wanted).count();
        assert_eq!(count("call.started"), count("call.finished"));
        intact(&scenario).await;
    }
    scenario.finish().await;
}
