//! Who calls: the program behind a connection, and the client behind a token.

use std::fs;
use std::path::PathBuf;

use mcpbridge_tests::mcp::{Access, MODERN};
use mcpbridge_tests::rpc::RpcSocket;
use mcpbridge_tests::wait::{self, PATIENCE};
use mcpbridge_tests::{McpClient, Scenario};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::security::nobodys;

const TOOL: &str = "server_info";

async fn open() -> Scenario {
    let scenario = Scenario::builder()
        .mcp(|mcp| mcp.access = Access::Open)
        .daemon(&["--log-level", "debug"])
        .start()
        .await;
    scenario.add_static("hello", &["--no-auth"], "").await;
    scenario
}

/// Changes the configuration while the daemon does not run.
async fn configure(scenario: &mut Scenario, change: impl FnOnce(&mut Value)) {
    scenario.daemon.stop().await;
    let file = scenario.home.config_file();
    let mut config = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    change(&mut config);
    fs::write(&file, config.to_string()).unwrap();
    scenario.daemon.launch().await;
}

/// Nobody may call, but the callers that are named.
async fn allow_only(scenario: &mut Scenario, callers: Value) {
    configure(scenario, |config| {
        let rules = json!([{ "callers": callers, "effect": "allow" }]);
        config["servers"]["hello"]["policy"] = json!({ "default": "deny", "rules": rules });
    })
    .await;
}

/// A client's token, which everything the product writes is searched for in the end. The one place
/// where it has to be is the output of this command.
async fn token(scenario: &Scenario, arguments: &[&str]) -> String {
    let arguments = [&["client", "add"], arguments].concat();
    let output = scenario.ctl.run_quietly(&arguments).await.success();
    let token = output.stdout.trim_end().to_owned();
    assert_eq!(token.len(), "mcpb_".len() + 43, "the token alone: {token}");
    scenario.secrets.remember("client token", &token);
    token
}

fn curl() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).find_map(|dir| dir.join("curl").canonicalize().ok());
    found.expect("curl is there")
}

/// Arguments by which curl calls the tool, once for each token and over one connection.
fn calls(scenario: &Scenario, tokens: &[Option<&str>]) -> Vec<String> {
    let url = scenario.daemon.mcp_url("hello");
    let body = McpClient::modern(&url).message("tools/call", json!({ "name": TOOL }));
    let mut arguments: Vec<String> = Vec::new();
    for token in tokens {
        if !arguments.is_empty() {
            arguments.push("--next".to_owned());
        }
        let mut headers = vec![
            "content-type: application/json".to_owned(),
            "accept: application/json, text/event-stream".to_owned(),
            format!("mcp-protocol-version: {MODERN}"),
            "mcp-method: tools/call".to_owned(),
            format!("mcp-name: {TOOL}"),
        ];
        headers.extend(token.map(|token| format!("authorization: Bearer {token}")));
        arguments.extend(["--silent", "--max-time", "60", "--data"].map(str::to_owned));
        arguments.push(body.to_string());
        for header in headers {
            arguments.extend(["--header".to_owned(), header]);
        }
        arguments
            .extend(["--write-out", "\nnew connections: %{num_connects}\n"].map(str::to_owned));
        arguments.push(url.clone());
    }
    arguments
}

async fn run(command: &mut Command) -> String {
    let output = wait::within("a command", command.output()).await.unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn policy_knows_the_program_behind_a_call() {
    let mut scenario = open().await;
    let rule = format!("exe:{}", curl().display());
    allow_only(&mut scenario, json!([rule])).await;
    run(Command::new("curl").args(calls(&scenario, &[None]))).await;
    assert_eq!(scenario.mcp.executions(TOOL), 1, "curl may");
    // A shell that starts it does not become the program that calls.
    let mut shell = Command::new("sh");
    shell.args(["-c", "curl \"$@\"; true", "sh"]);
    run(shell.args(calls(&scenario, &[None]))).await;
    assert_eq!(scenario.mcp.executions(TOOL), 2, "a child that is curl may");
    scenario.call("hello", TOOL, json!({})).await;
    assert_eq!(scenario.mcp.executions(TOOL), 2, "this program may not");
    scenario.finish().await;
}

#[tokio::test]
async fn a_program_of_another_name_is_not_taken_for_the_one_it_is_a_copy_of() {
    let mut scenario = open().await;
    let rule = format!("exe:{}", curl().display());
    allow_only(&mut scenario, json!([rule])).await;
    let copy = scenario.home.path().join("curl");
    // Not copied by us: what a thread is writing cannot be run while another one forks.
    run(Command::new("cp").arg(curl()).arg(&copy)).await;
    let arguments = calls(&scenario, &[None]);
    let said = run(Command::new(&copy).args(arguments)).await;
    assert!(said.contains("new connections: 1"), "it ran: {said}");
    assert_eq!(scenario.mcp.executions(TOOL), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn another_user_who_was_let_in_is_told_from_the_owner() {
    let nobody = run(Command::new("id").args(["-u", "nobody"])).await;
    let nobody: u32 = nobody.trim().parse().unwrap();
    let mut scenario = open().await;
    configure(&mut scenario, |config| {
        config["allowed_uids"] = json!([nobody])
    })
    .await;
    let rule = format!("uid:{nobody}");
    allow_only(&mut scenario, json!([rule])).await;
    run(nobodys("curl").args(calls(&scenario, &[None]))).await;
    assert_eq!(scenario.mcp.executions(TOOL), 1, "nobody may");
    run(Command::new("curl").args(calls(&scenario, &[None]))).await;
    assert_eq!(scenario.mcp.executions(TOOL), 1, "the owner may not");
    let rule = format!("exe:{}", curl().display());
    allow_only(&mut scenario, json!([rule])).await;
    run(nobodys("curl").args(calls(&scenario, &[None]))).await;
    // What another user's process runs is seen by root only, and is unknown to others.
    let seen = usize::from(rustix::process::geteuid().is_root());
    assert_eq!(scenario.mcp.executions(TOOL), 1 + seen, "its program");
    scenario.finish().await;
}

#[tokio::test]
async fn requests_of_one_connection_are_told_apart_by_their_tokens() {
    let mut scenario = open().await;
    allow_only(&mut scenario, json!(["client:ci"])).await;
    let ci = token(&scenario, &["ci"]).await;
    let other = token(&scenario, &["other"]).await;
    let tokens = [
        Some(ci.as_str()),
        Some(&other),
        None,
        Some("mcpb_wrong"),
        Some(&ci),
    ];
    let said = run(Command::new("curl").args(calls(&scenario, &tokens))).await;
    let opened = |count: &str| said.matches(&format!("new connections: {count}")).count();
    assert_eq!((opened("1"), opened("0")), (1, 4), "one connection: {said}");
    assert_eq!(scenario.mcp.executions(TOOL), 2, "of ci: {said}");
    for shown in ["client ci)", "client other)"] {
        scenario.daemon.wrote(shown).await;
    }
    scenario.finish().await;
}

#[tokio::test]
async fn a_token_opens_what_it_is_made_for_until_it_is_revoked_and_goes_no_further() {
    let mut scenario = open().await;
    scenario.add_static("other", &["--no-auth"], "").await;
    let ci = token(
        &scenario,
        &["ci", "--server", "hello", "--tool", "server_*"],
    )
    .await;
    scenario.daemon.restart().await;
    let call = async |server: &str, tool: &str| {
        let client = scenario.client(server);
        let message = client.message("tools/call", json!({ "name": tool }));
        let request = client.prepare(&message).bearer_auth(&ci);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "never a reason to start OAuth");
        answer.text().await.unwrap()
    };
    assert!(!call("hello", TOOL).await.contains("\"isError\":true"));
    assert_eq!(scenario.mcp.executions(TOOL), 1);
    for server in ["other", "unheard-of"] {
        let refused = call(server, TOOL).await;
        assert!(
            refused.contains("the client ci is not made for"),
            "{refused}"
        );
    }
    let hidden = call("hello", "echo").await;
    assert!(hidden.contains("Unknown tool: echo"), "{hidden}");
    let listed = scenario.ctl.run(&["client", "list", "--json"]).await;
    let listed = listed.success().json();
    assert_eq!(listed[0]["tools"], json!(["server_*"]));
    assert!(listed[0]["last_used_at"].is_string(), "{listed}");
    let before = scenario.mcp.requests();
    scenario
        .ctl
        .run(&["client", "revoke", "ci"])
        .await
        .success();
    assert!(call("hello", TOOL).await.contains("was revoked"));
    assert_eq!(scenario.mcp.requests(), before);
    for entry in scenario.mcp.journal().entries() {
        let sent = format!("{:?} {:?}", entry.headers, entry.body);
        assert!(!sent.contains("mcpb_"), "the server got it: {sent}");
    }
    scenario.finish().await;
}

#[tokio::test]
async fn where_tokens_are_required_a_call_without_one_says_how_to_get_one() {
    let mut scenario = open().await;
    configure(&mut scenario, |config| {
        config["require_client_token"] = json!(true)
    })
    .await;
    let refused = scenario.call("hello", TOOL, json!({})).await;
    assert_eq!(refused.status, 200);
    assert!(
        refused.text().contains("mcpbridgectl client add"),
        "{}",
        refused.text()
    );
    let refused = scenario
        .client("hello")
        .request("tools/list", json!({}))
        .await;
    assert_eq!(refused.status, 200);
    assert!(refused.error_message().contains("mcpbridgectl client add"));
    assert_eq!(scenario.mcp.requests(), 0);
    let ci = token(&scenario, &["ci", "--expires", "1h"]).await;
    run(Command::new("curl").args(calls(&scenario, &[Some(&ci)]))).await;
    assert_eq!(scenario.mcp.executions(TOOL), 1);
    // The command line is no client at the port: the socket says who it is.
    scenario.ctl.run(&["call", "hello", TOOL]).await.success();
    scenario.finish().await;
}

#[tokio::test]
async fn a_token_in_an_argument_is_not_in_the_log() {
    let scenario = open().await;
    let ci = token(&scenario, &["ci"]).await;
    let echoed = scenario
        .call("hello", "echo", json!({ "text": format!("see {ci}!") }))
        .await;
    assert!(
        echoed.text().contains(&ci),
        "the call itself is not changed"
    );
    wait::until("the log to have the call", PATIENCE, async || {
        scenario
            .daemon
            .output()
            .contains("mcpb_[redacted]")
            .then_some(())
    })
    .await;
    scenario.finish().await;
}

#[tokio::test]
async fn mistakes_about_clients_are_named() {
    let scenario = open().await;
    token(&scenario, &["ci"]).await;
    for (arguments, code, words) in [
        (&["add", "ci"][..], 5, "client revoke ci"),
        (&["add", "x", "--server", "unheard-of"], 4, "unheard-of"),
        (&["add", "x y"], 2, "x y"),
        (&["add", "x", "--tool", "a[b]"], 2, "a[b]"),
        (&["add", "x", "--expires", "soon"], 2, "30d"),
        (&["revoke", "x"], 4, "client list"),
    ] {
        let arguments = [&["client"], arguments].concat();
        let output = scenario.ctl.run(&arguments).await.expect_code(code);
        assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
    }
    let added = scenario
        .ctl
        .run_quietly(&["client", "add", "y", "--json"])
        .await;
    let added = added.success().json();
    scenario
        .secrets
        .remember("client token", added["token"].as_str().unwrap());
    assert_eq!(added["name"], "y");
    assert_eq!(added["expires_at"], Value::Null);
    scenario.finish().await;
}

#[tokio::test]
async fn where_a_pin_is_set_a_client_is_not_added_without_it() {
    const PIN: &str = "correct horse";
    let scenario = open().await;
    // A message of one field, the first, which is the PIN.
    let length = u8::try_from(PIN.len()).unwrap();
    let message = [&[0x0a, length], PIN.as_bytes()].concat();
    let socket = RpcSocket::connect(&scenario.home.socket()).await;
    let set = socket.call("/mcpbridge.v1.Approvals/SetPin", message.into());
    set.await.unwrap();
    let add = ["client", "add", "ci"];
    let refused = scenario.ctl.run(&add).await.expect_code(7);
    assert!(refused.stderr.contains("--pin-stdin"), "{refused:?}");
    let add = [&add[..], &["--pin-stdin"]].concat();
    for (input, code) in [("", 2), ("wrong horse\n", 7)] {
        let refused = scenario.ctl.run_with_input(&add, input).await;
        assert!(refused.expect_code(code).stdout.is_empty());
    }
    let listed = scenario.ctl.run(&["client", "list", "--json"]).await;
    assert_eq!(listed.success().json(), json!([]));
    let added = scenario.ctl.run_with_input(&add, &format!("{PIN}\n")).await;
    assert!(added.success().stdout.starts_with("mcpb_"));
    scenario.finish().await;
}
