//! Signing out and in again, removing, and what the daemon says about a credential.

use mcpbridge_tests::authz::{ClientAuth, Endpoint};
use mcpbridge_tests::{AsOptions, Fault, McpClient, Scenario, browser};
use serde_json::json;

#[tokio::test]
async fn logout_revokes_and_login_brings_the_server_back() {
    for client_auth in [ClientAuth::None, ClientAuth::Basic, ClientAuth::Post] {
        let options = AsOptions {
            client_auth,
            ..AsOptions::default()
        };
        let scenario = Scenario::builder().authz(options).start().await;
        scenario.add("hello").await;
        scenario.ctl.run(&["logout", "hello"]).await.success();
        assert!(scenario.authz.revocations() >= 1);
        let revoked = scenario.authz.journal().of(Endpoint::Revoke);
        assert_eq!(revoked[0].status, Some(200));
        assert_eq!(scenario.show("hello").await["state"], "logged_out");
        let refused = scenario.call("hello", "echo", json!({})).await;
        let text = String::from_utf8_lossy(&refused.raw).into_owned();
        assert!(
            refused.status == 200 && text.contains("mcpbridgectl login hello"),
            "{text}"
        );
        scenario.login("hello").await;
        scenario.call("hello", "server_info", json!({})).await;
        assert_eq!(scenario.mcp.finished("server_info"), 1);
        scenario.finish().await;
    }
}

#[tokio::test]
async fn a_failed_revocation_is_a_warning_and_the_tokens_are_gone() {
    let scenario = Scenario::signed_in().await;
    scenario
        .authz
        .script()
        .always(Endpoint::Revoke, Fault::status(503));
    let output = scenario.ctl.run(&["logout", "hello"]).await.success();
    assert!(output.stderr.contains("revo"), "{}", output.stderr);
    assert_eq!(scenario.show("hello").await["state"], "logged_out");
    scenario.finish().await;
}

#[tokio::test]
async fn remove_asks_first_and_then_forgets_everything() {
    let scenario = Scenario::signed_in().await;
    let refused = scenario
        .ctl
        .run_with_input(&["remove", "hello"], "n\n")
        .await;
    assert_ne!(refused.code, 0);
    scenario.show("hello").await;
    scenario.ctl.run(&["remove", "hello", "-y"]).await.success();
    assert!(scenario.authz.revocations() >= 1);
    scenario.ctl.run(&["show", "hello"]).await.expect_code(4);
    let config = std::fs::read_to_string(scenario.home.config_file()).unwrap();
    assert!(!config.contains("hello"), "{config}");
    let gone = scenario.call("hello", "echo", json!({})).await;
    assert_eq!(gone.status, 404);
    scenario.finish().await;
}

#[tokio::test]
async fn login_of_a_working_server_changes_nothing_until_it_completes() {
    let scenario = Scenario::signed_in().await;
    let mut running = scenario.ctl.spawn(&["login", "hello", "--no-browser"]);
    let url = running.authorization_url().await;
    scenario.call("hello", "echo", json!({})).await;
    assert_eq!(scenario.mcp.finished("echo"), 1, "works during a login");
    assert_eq!(browser::consent(&url).await.status, 200);
    running.wait().await.success();
    scenario.call("hello", "echo", json!({})).await;
    assert_eq!(scenario.mcp.finished("echo"), 2);
    scenario.finish().await;
}

#[tokio::test]
async fn more_scopes_are_asked_for_in_addition() {
    let scenario = Scenario::signed_in().await;
    let refused = scenario.call("hello", "scoped", json!({})).await;
    assert_eq!(refused.status, 200);
    let text = String::from_utf8_lossy(&refused.raw).into_owned();
    assert!(
        text.contains("mcp:admin") && text.contains("login hello --scope"),
        "{text}"
    );
    assert!(refused.headers.get("www-authenticate").is_none());
    scenario
        .sign_in(&["login", "hello", "--no-browser", "--scope", "mcp:admin"])
        .await;
    let asked = scenario.authz.journal().of(Endpoint::Authorize);
    let scope = asked.last().unwrap().param("scope").unwrap().to_owned();
    let mut scopes: Vec<&str> = scope.split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["mcp", "mcp:admin"]);
    scenario
        .call("hello", "scoped", json!({}))
        .await
        .assert_text("administered");
    scenario.finish().await;
}

#[tokio::test]
async fn a_denied_consent_ends_the_command_with_its_reason() {
    let scenario = Scenario::start().await;
    let denied = Fault::edit_redirect(|url| {
        mcpbridge_tests::script::set_param(url, "code", None);
        mcpbridge_tests::script::set_param(url, "error", Some("access_denied"));
    });
    scenario.authz.once(Endpoint::Authorize, denied);
    let url = scenario.mcp.url();
    let mut adding = scenario.ctl.spawn(&["add", "hello", &url, "--no-browser"]);
    let url = adding.authorization_url().await;
    let page = browser::consent(&url).await;
    assert!(page.status >= 400, "{}", page.body);
    let output = adding.wait().await;
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("access_denied"), "{}", output.stderr);
    assert_eq!(scenario.authz.code_exchanges(), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn two_servers_at_one_authorization_server_keep_their_own_tokens() {
    let scenario = Scenario::signed_in().await;
    scenario.add("second").await;
    scenario.ctl.run(&["logout", "second"]).await.success();
    let one = McpClient::modern(&scenario.daemon.mcp_url("hello"));
    one.call("hello_world", json!({ "name": "B" }))
        .await
        .assert_text("Hello, B!");
    scenario.finish().await;
}
