//! A refresh happens once, before it is needed, and only `invalid_grant` ends a login.

use std::time::Duration;

use futures_util::future::join_all;
use mcpbridge_tests::authz::Endpoint;
use mcpbridge_tests::{AsOptions, Fault, Gate, Scenario, wait};
use serde_json::json;

async fn assert_works(scenario: &Scenario) {
    scenario
        .call("hello", "hello_world", json!({ "name": "A" }))
        .await
        .assert_text("Hello, A!");
}

#[tokio::test]
async fn fifty_calls_at_the_moment_of_expiry_share_one_refresh() {
    let scenario = Scenario::signed_in().await;
    assert_works(&scenario).await;
    scenario.authz.expire_access_tokens();
    let clients: Vec<_> = (0..50).map(|_| scenario.client("hello")).collect();
    let calls = clients
        .iter()
        .map(|client| client.call("hello_world", json!({ "name": "X" })));
    for answer in join_all(calls).await {
        answer.assert_text("Hello, X!");
    }
    assert_eq!(
        (scenario.authz.refreshes(), scenario.authz.reuse_detected()),
        (1, 0)
    );
    assert_eq!(
        scenario.mcp.executions("hello_world"),
        51,
        "no call ran twice"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn calls_wait_for_a_refresh_that_is_under_way() {
    let scenario = Scenario::signed_in().await;
    let gate = Gate::new();
    scenario
        .authz
        .once(Endpoint::Token, Fault::HoldAfter(gate.clone()));
    scenario.authz.expire_access_tokens();
    let clients: Vec<_> = (0..50).map(|_| scenario.client("hello")).collect();
    let calls = clients
        .iter()
        .map(|client| client.call("hello_world", json!({ "name": "X" })));
    let release = async {
        gate.reached().await;
        // Every call has been refused with the old token by now, or will wait without trying it.
        gate.release();
    };
    let (answers, ()) = tokio::join!(join_all(calls), release);
    for answer in answers {
        answer.assert_text("Hello, X!");
    }
    assert_eq!(
        (scenario.authz.refreshes(), scenario.authz.reuse_detected()),
        (1, 0)
    );
    scenario.finish().await;
}

#[tokio::test]
async fn a_refresh_comes_ahead_of_expiry() {
    let options = AsOptions {
        access_lifetime: Duration::from_secs(6),
        ..AsOptions::default()
    };
    let scenario = Scenario::builder().authz(options).start().await;
    scenario.add("hello").await;
    let before = scenario.show("hello").await;
    scenario
        .authz
        .set_access_lifetime(Duration::from_secs(3600));
    wait::until_true("a refresh", || scenario.authz.refreshes() == 1).await;
    let after = scenario.await_state("hello", "active").await;
    assert_ne!(before["expires_at"], after["expires_at"]);
    let calls_before = scenario.mcp.requests();
    assert_works(&scenario).await;
    assert_eq!(
        scenario.mcp.requests(),
        calls_before + 1,
        "no 401 was needed"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn the_refresh_command_refreshes_once() {
    let scenario = Scenario::signed_in().await;
    let both = [
        scenario.ctl.run(&["refresh", "hello"]),
        scenario.ctl.run(&["refresh", "hello"]),
    ];
    for output in join_all(both).await {
        output.success();
    }
    assert!(scenario.authz.refreshes() >= 1);
    assert_eq!(scenario.authz.reuse_detected(), 0);
    assert_works(&scenario).await;
    scenario.finish().await;
}

#[tokio::test]
async fn a_passing_fault_keeps_the_token_and_is_retried() {
    let faults = [
        Fault::status(500),
        Fault::status(503),
        Fault::html(200),
        Fault::html(502),
        Fault::oauth_error("temporarily_unavailable"),
        Fault::error_with_200("server_error"),
    ];
    for fault in faults {
        let scenario = Scenario::signed_in().await;
        let what = format!("{fault:?}");
        scenario.authz.script().always(Endpoint::Token, fault);
        let refused = scenario.ctl.run(&["refresh", "hello"]).await;
        assert_ne!(refused.code, 0, "{what}");
        let shown = scenario.await_state("hello", "backoff").await;
        assert!(shown["reason"].is_string(), "{what}: {shown}");
        assert_works(&scenario).await;
        scenario.authz.script().clear(Endpoint::Token);
        scenario.ctl.run(&["refresh", "hello"]).await.success();
        scenario.await_state("hello", "active").await;
        scenario.finish().await;
    }
}

#[tokio::test]
async fn a_form_encoded_answer_is_understood() {
    let scenario = Scenario::signed_in().await;
    scenario.authz.once(Endpoint::Token, Fault::form_encoded());
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    assert_works(&scenario).await;
    scenario.finish().await;
}

#[tokio::test]
async fn an_answer_without_a_new_refresh_token_keeps_the_old_one() {
    let options = AsOptions {
        rotation: false,
        ..AsOptions::default()
    };
    let scenario = Scenario::builder().authz(options).start().await;
    scenario.add("hello").await;
    for round in 1..=2 {
        scenario.ctl.run(&["refresh", "hello"]).await.success();
        assert_eq!(scenario.authz.refreshes(), round);
        assert_works(&scenario).await;
    }
    scenario.finish().await;
}

#[tokio::test]
async fn invalid_grant_ends_the_login_and_says_what_to_do() {
    for error in [
        Fault::oauth_error("invalid_grant"),
        Fault::error_with_200("invalid_grant"),
    ] {
        let scenario = Scenario::signed_in().await;
        scenario.authz.once(Endpoint::Token, error);
        scenario.ctl.run(&["refresh", "hello"]).await.expect_code(6);
        let shown = scenario.await_state("hello", "needs_login").await;
        assert!(
            shown["remedy"].as_str().unwrap().contains("login hello"),
            "{shown}"
        );
        scenario.authz.expire_access_tokens();
        let refused = scenario.call("hello", "echo", json!({})).await;
        assert_eq!(refused.status, 200, "never an HTTP 401");
        let text = String::from_utf8_lossy(&refused.raw).into_owned();
        assert!(text.contains("mcpbridgectl login hello"), "{text}");
        scenario.login("hello").await;
        assert_works(&scenario).await;
        scenario.finish().await;
    }
}

#[tokio::test]
async fn invalid_client_registers_again_once() {
    let scenario = Scenario::signed_in().await;
    scenario.authz.forget_clients();
    // The second try also counts: it must not register once more.
    for _ in 0..2 {
        let refused = scenario.ctl.run(&["refresh", "hello"]).await.expect_code(6);
        let reason = "invalid_grant (the refresh token belongs to another client)";
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
        let counts = (scenario.authz.registrations(), scenario.authz.refreshes());
        assert_eq!(counts, (2, 2));
    }
    let shown = scenario.show("hello").await;
    assert_eq!(shown["state"], "needs_login", "{shown}");
    let remedy = shown["remedy"].as_str().unwrap();
    assert!(remedy.contains("login hello"), "{shown}");
    scenario.finish().await;
}

#[tokio::test]
async fn a_client_registered_anew_goes_on_with_tokens_that_outlived_the_old_one() {
    let options = AsOptions {
        bound_refresh_tokens: false,
        ..AsOptions::default()
    };
    let scenario = Scenario::builder().authz(options).start().await;
    scenario.add("hello").await;
    let before = scenario.show("hello").await;
    scenario.authz.forget_clients();
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    let after = scenario.show("hello").await;
    assert_eq!(after["state"], "active", "{after}");
    assert_ne!(before["client_id"], after["client_id"]);
    let authz = &scenario.authz;
    let counts = (authz.registrations(), authz.refreshes());
    assert_eq!((counts, authz.code_exchanges()), ((2, 2), 1));
    authz.expire_access_tokens();
    assert_works(&scenario).await;
    assert_eq!(authz.registrations(), 2);
    scenario.finish().await;
}

#[tokio::test]
async fn a_server_that_knows_no_client_is_not_registered_with_without_end() {
    let scenario = Scenario::signed_in().await;
    let before = scenario.show("hello").await;
    let error = Fault::oauth_error("invalid_client");
    scenario.authz.script().always(Endpoint::Token, error);
    for _ in 0..3 {
        let refused = scenario.ctl.run(&["refresh", "hello"]).await;
        assert_ne!(refused.code, 0);
        assert!(
            refused.stderr.contains("invalid_client"),
            "{}",
            refused.stderr
        );
        assert_eq!(scenario.authz.registrations(), 2);
    }
    let shown = scenario.await_state("hello", "backoff").await;
    assert_eq!(shown["client_id"], before["client_id"], "{shown}");
    // The refresh token belongs to the first client, which is still the one in use.
    scenario.authz.script().clear(Endpoint::Token);
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    assert_works(&scenario).await;
    let counts = (
        scenario.authz.registrations(),
        scenario.authz.code_exchanges(),
    );
    assert_eq!(counts, (2, 1));
    scenario.finish().await;
}

#[tokio::test]
async fn a_refresh_survives_a_restart() {
    let mut scenario = Scenario::signed_in().await;
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    scenario.daemon.restart().await;
    assert_works(&scenario).await;
    scenario.ctl.run(&["refresh", "hello"]).await.success();
    assert_works(&scenario).await;
    assert_eq!(scenario.authz.reuse_detected(), 0);
    scenario.finish().await;
}
