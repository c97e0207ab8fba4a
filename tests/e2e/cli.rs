//! The commands as scripts and people meet them.

use std::process::Stdio;

use mcpbridge_tests::{Scenario, bins};
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test]
async fn exit_codes_tell_what_went_wrong() {
    let scenario = Scenario::signed_in().await;
    let ctl = &scenario.ctl;
    let url = scenario.mcp.url();
    ctl.run(&["no-such-command"]).await.expect_code(2);
    ctl.run(&["add", "no spaces", &url]).await.expect_code(2);
    ctl.run(&["add", "plain", "http://example.com/mcp"])
        .await
        .expect_code(2);
    ctl.run(&["show", "nobody"]).await.expect_code(4);
    ctl.run(&["refresh", "nobody"]).await.expect_code(4);
    ctl.run(&["add", "hello", "http://127.0.0.1:9/other", "--no-auth"])
        .await
        .expect_code(5);
    ctl.run(&["logout", "hello"]).await.success();
    ctl.run(&["refresh", "hello"]).await.expect_code(6);
    ctl.run(&["call", "hello", "echo"]).await.expect_code(6);
    scenario.finish().await;
}

#[tokio::test]
async fn errors_name_the_next_step_and_stay_off_stdout() {
    let scenario = Scenario::signed_in().await;
    let output = scenario.ctl.run(&["show", "helo"]).await.expect_code(4);
    assert!(output.stdout.is_empty());
    assert!(output.stderr.contains("hint:"), "{}", output.stderr);
    scenario.finish().await;
}

#[tokio::test]
async fn under_json_a_mistake_in_the_command_line_is_an_object_too() {
    let scenario = Scenario::start().await;
    for arguments in [
        &["--json", "no-such-command"][..],
        &["list", "--json", "--frob"],
        &["--json", "add"],
        &["--json", "key"],
    ] {
        let output = scenario.ctl.run(arguments).await.expect_code(2);
        assert!(output.stdout.is_empty(), "{}", output.stdout);
        let last = output.stderr.lines().last().unwrap();
        let error: Value = serde_json::from_str(last).unwrap();
        assert_eq!(error["error"]["reason"], "INVALID_INPUT", "{last}");
        assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    }
    let help = scenario.ctl.run(&["--json", "--help"]).await.success();
    assert!(help.stderr.is_empty() && help.stdout.contains("Usage:"));
    let unasked = ["list", "--frob", "--", "--json"];
    let plain = scenario.ctl.run(&unasked).await.expect_code(2);
    assert!(!plain.stderr.contains('{'), "{}", plain.stderr);
    scenario.finish().await;
}

#[tokio::test]
async fn tools_and_call_work_under_the_same_policy() {
    let scenario = Scenario::signed_in().await;
    let tools = scenario
        .ctl
        .run(&["--json", "tools", "hello"])
        .await
        .success()
        .json();
    let names: Vec<&str> = tools
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"hello_world"), "{names:?}");
    let greet = ["call", "hello", "hello_world", "{\"name\": \"CLI\"}"];
    let output = scenario.ctl.run(&greet).await.success();
    assert!(output.stdout.contains("Hello, CLI!"), "{}", output.stdout);
    let failing = scenario.ctl.run(&["call", "hello", "fail"]).await;
    assert_ne!(failing.code, 0, "a tool that failed");
    scenario
        .ctl
        .run(&["policy", "set", "hello", "echo", "deny"])
        .await
        .success();
    scenario
        .ctl
        .run(&["call", "hello", "echo"])
        .await
        .expect_code(7);
    assert_eq!(scenario.mcp.executions("echo"), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn json_is_one_document_and_tables_fit_a_terminal() {
    let scenario = Scenario::signed_in().await;
    scenario
        .add("a-second-server-with-a-rather-long-name")
        .await;
    let listed = scenario.ctl.run(&["--json", "list"]).await.success().json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    for arguments in [
        &["list"][..],
        &["status"],
        &["show", "hello"],
        &["tools", "hello"],
    ] {
        let output = scenario.ctl.run(arguments).await.success();
        assert!(!output.stdout.contains('\u{1b}'), "no colour into a pipe");
    }
    let table = scenario.ctl.run(&["list"]).await.success();
    for line in table.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    scenario.finish().await;
}

#[tokio::test]
async fn adding_the_same_server_again_is_no_error() {
    let scenario = Scenario::signed_in().await;
    let url = scenario.mcp.url();
    let again = scenario
        .ctl
        .run(&["add", "hello", &url, "--no-browser", "--policy", "allow"])
        .await;
    again.success();
    let ctl = &scenario.ctl;
    ctl.run(&["policy", "set", "hello", "echo", "deny"])
        .await
        .success();
    ctl.run(&["policy", "set", "hello", "ask"]).await.success();
    ctl.run(&["add", "hello", &url]).await.success();
    let shown = scenario.show("hello").await;
    assert_eq!(shown["policy"], "ask", "what add does not say stays");
    let other = ctl.run(&["add", "hello", &url, "--policy", "deny"]).await;
    assert_eq!(other.code, 5, "{}", other.stderr);
    assert_eq!(
        scenario.authz.authorizations(),
        1,
        "the login is still good"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn quiet_prints_results_only() {
    let scenario = Scenario::signed_in().await;
    let output = scenario
        .ctl
        .run(&["-q", "refresh", "hello"])
        .await
        .success();
    assert!(output.stderr.is_empty(), "{}", output.stderr);
    scenario.finish().await;
}

#[tokio::test]
async fn completions_need_no_daemon() {
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(bins::mcpbridgectl())
            .args(["completions", shell])
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains("mcpbridgectl"));
    }
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    // bash reports the command's own status; `head` has gone before anything is written.
    let script = "set -o pipefail; \"$0\" completions bash | head -n 0";
    let ctl = bins::mcpbridgectl();
    let output = Command::new("bash")
        .args(["-c", script])
        .arg(ctl)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.stderr.is_empty());
}

#[tokio::test]
async fn the_log_tells_each_call() {
    let scenario = Scenario::signed_in().await;
    scenario
        .call("hello", "hello_world", json!({ "name": "L" }))
        .await
        .assert_text("Hello, L!");
    let output = scenario.daemon.wrote("hello_world").await;
    let mut lines = output.lines();
    let line = lines.find(|line| line.contains("hello_world")).unwrap();
    assert!(
        line.contains("tools/call") && line.contains("200"),
        "{line}"
    );
    scenario.finish().await;
}
