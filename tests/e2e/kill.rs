//! SIGKILL at every step between sending a refresh and serving the new token.
//!
//! The steps are driven from outside: gates in the authorization server, and changes of the vault file.
//! A login may be lost only when the answer never reached the disk, and then the daemon says so.

use std::path::Path;
use std::time::Duration;

use mcpbridge_tests::authz::Endpoint;
use mcpbridge_tests::{Fault, Gate, Scenario, wait};
use serde_json::json;

/// Kills the daemon when its refresh has come to the gate in `step`.
async fn kill_at(scenario: &mut Scenario, step: fn(Gate) -> Fault) {
    let gate = Gate::new();
    scenario.authz.once(Endpoint::Token, step(gate.clone()));
    let refreshing = scenario.ctl.spawn(&["refresh", "hello"]);
    gate.reached().await;
    scenario.daemon.kill().await;
    refreshing.wait().await;
}

/// The state after a restart: usable, or honest.
async fn verdict(scenario: &mut Scenario) -> bool {
    scenario.daemon.launch().await;
    let answer = scenario
        .call("hello", "hello_world", json!({ "name": "K" }))
        .await;
    let works = answer.status == 200 && answer.text() == "Hello, K!";
    if !works {
        let shown = scenario.await_state("hello", "needs_login").await;
        assert!(
            shown["remedy"].as_str().unwrap().contains("login hello"),
            "{shown}"
        );
    }
    works
}

#[tokio::test]
async fn killed_before_the_request_is_processed_the_old_token_works() {
    let mut scenario = Scenario::signed_in().await;
    kill_at(&mut scenario, Fault::HoldBefore).await;
    assert!(verdict(&mut scenario).await);
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    assert_eq!(scenario.authz.reuse_detected(), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn killed_before_the_answer_arrives_a_login_is_needed_and_said() {
    let mut scenario = Scenario::signed_in().await;
    kill_at(&mut scenario, Fault::HoldAfter).await;
    // The old access token is still good at the server; once it is not, the rotation is lost.
    assert!(verdict(&mut scenario).await);
    scenario.authz.expire_access_tokens();
    assert!(!still_works(&scenario).await);
    scenario.await_state("hello", "needs_login").await;
    let status = scenario.daemon.status().await;
    assert!(status.to_string().contains("needs_login"), "{status}");
    scenario.login("hello").await;
    assert!(still_works(&scenario).await);
    scenario.finish().await;
}

#[tokio::test]
async fn killed_when_the_answer_was_just_sent_nothing_is_served_that_is_not_stored() {
    // The answer leaves, and the kill follows at once: it lands anywhere from parsing to storing.
    for _ in 0..8 {
        let mut scenario = Scenario::signed_in().await;
        let before = std::fs::read(scenario.tokens_file()).unwrap();
        let gate = Gate::new();
        scenario
            .authz
            .once(Endpoint::Token, Fault::HoldAfter(gate.clone()));
        let refreshing = scenario.ctl.spawn(&["refresh", "hello"]);
        gate.reached().await;
        gate.release();
        tokio::task::yield_now().await;
        scenario.daemon.kill().await;
        refreshing.wait().await;
        survives_when_stored(scenario, &before).await;
    }
}

#[tokio::test]
async fn killed_at_the_first_change_on_disk_the_old_or_the_new_token_works() {
    let mut scenario = Scenario::signed_in().await;
    let vault = std::fs::read(scenario.tokens_file()).unwrap();
    let before = fingerprint(&scenario.home.config_dir());
    let refreshing = scenario.ctl.spawn(&["refresh", "hello"]);
    let directory = scenario.home.config_dir();
    changed("the directory", &before, || fingerprint(&directory)).await;
    scenario.daemon.kill().await;
    refreshing.wait().await;
    survives_when_stored(scenario, &vault).await;
}

#[tokio::test]
async fn killed_after_the_vault_was_replaced_the_new_token_works() {
    let mut scenario = Scenario::signed_in().await;
    let tokens = scenario.tokens_file();
    let before = std::fs::read(&tokens).unwrap();
    let refreshing = scenario.ctl.spawn(&["refresh", "hello"]);
    changed("tokens.enc", &before, || {
        std::fs::read(&tokens).unwrap_or_default()
    })
    .await;
    scenario.daemon.kill().await;
    refreshing.wait().await;
    scenario.authz.expire_access_tokens();
    assert!(verdict(&mut scenario).await, "the rotation was on the disk");
    assert_eq!(scenario.authz.reuse_detected(), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn a_new_token_is_on_the_disk_before_a_call_uses_it() {
    let mut scenario = Scenario::signed_in().await;
    let gate = scenario.mcp.hold("echo");
    scenario.authz.expire_access_tokens();
    let client = scenario.client("hello");
    let calling = tokio::spawn(async move {
        // The daemon dies under this call.
        let message = client.message("tools/call", client.call_params("echo", json!({})));
        client.prepare(&message).send().await.is_ok()
    });
    gate.reached().await;
    scenario.daemon.kill().await;
    assert!(!calling.await.unwrap());
    gate.release();
    scenario.authz.expire_access_tokens();
    assert!(
        verdict(&mut scenario).await,
        "a token that was used survives"
    );
    assert_eq!(scenario.authz.reuse_detected(), 0);
    scenario.finish().await;
}

/// After a kill that came when the server had rotated the token: the login survives if the vault is no
/// longer what it was `before`, and only otherwise it is lost, and the daemon says so.
async fn survives_when_stored(mut scenario: Scenario, before: &[u8]) {
    let stored = std::fs::read(scenario.tokens_file()).unwrap() != before;
    assert!(
        verdict(&mut scenario).await,
        "the old access token has not expired"
    );
    scenario.authz.expire_access_tokens();
    let works = still_works(&scenario).await;
    assert_eq!(works, stored, "the new token was on the disk: {stored}");
    if stored {
        assert_eq!(scenario.authz.reuse_detected(), 0);
    } else {
        scenario.await_state("hello", "needs_login").await;
        scenario.login("hello").await;
        assert!(still_works(&scenario).await);
    }
    scenario.finish().await;
}

async fn still_works(scenario: &Scenario) -> bool {
    let answer = scenario
        .call("hello", "hello_world", json!({ "name": "K" }))
        .await;
    answer.status == 200 && answer.text() == "Hello, K!"
}

/// Names and sizes in a directory.
fn fingerprint(directory: &Path) -> Vec<u8> {
    let mut entries: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            Some(format!(
                "{:?} {} {:?}",
                entry.file_name(),
                metadata.len(),
                metadata.modified()
            ))
        })
        .collect();
    entries.sort();
    entries.concat().into_bytes()
}

/// Spins instead of polling at intervals: the window between two steps is short.
async fn changed(what: &str, before: &[u8], mut now: impl FnMut() -> Vec<u8>) {
    let started = std::time::Instant::now();
    while now() == before {
        assert!(started.elapsed() < wait::PATIENCE, "{what} did not change");
        tokio::time::timeout(Duration::ZERO, tokio::task::yield_now())
            .await
            .ok();
    }
}
