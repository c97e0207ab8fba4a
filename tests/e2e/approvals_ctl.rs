//! Held calls at the command line: seen, decided, remembered, and never able to deceive who decides.

use mcpbridge_tests::Scenario;
use mcpbridge_tests::client::McpAnswer;
use mcpbridge_tests::wait::{self, PATIENCE};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::approvals::{asking, json_of, pending, run};

/// A call that waits for a person.
struct Held {
    id: String,
    answer: JoinHandle<McpAnswer>,
}

impl Held {
    async fn call(scenario: &Scenario, tool: &'static str, arguments: Value) -> Self {
        let known = pending(scenario).await;
        let client = scenario.client("hello");
        let answer = tokio::spawn(async move { client.call(tool, arguments).await });
        let id = wait::until("the call to be held", PATIENCE, async || {
            let new = pending(scenario).await;
            let new = new.iter().find(|item| !known.contains(item))?;
            Some(new["id"].as_str().unwrap().to_owned())
        });
        Self {
            id: id.await,
            answer,
        }
    }

    async fn answer(self) -> McpAnswer {
        wait::within("the answer", self.answer).await.unwrap()
    }
}

#[tokio::test]
async fn a_held_call_is_listed_shown_approved_and_runs_once() {
    let scenario = asking().await;
    let held = Held::call(&scenario, "hello_world", json!({ "name": "Ada" })).await;
    let listed = run(&scenario, &["approvals"]).await;
    let row = listed.stdout.lines().nth(1).unwrap();
    assert!(row.starts_with(&held.id), "{row}");
    assert!(
        row.contains(r#"{"name":"Ada"}"#) && row.contains("pending"),
        "{row}"
    );
    assert!(listed.stdout.lines().all(|line| line.chars().count() <= 80));

    let shown = run(&scenario, &["approvals", "show", &held.id[..5]])
        .await
        .stdout;
    for part in [
        "hello_world of hello  pending",
        "\n  why         ",
        &scenario.mcp.url(),
        "\n    \"name\": \"Ada\"\n",
        "waiting     1 call",
    ] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    let view = json_of(&scenario, &["approvals", "show", &held.id]).await;
    assert_eq!(view["arguments"], json!({ "name": "Ada" }));
    assert_eq!(view["waiting"], 1);
    #[cfg(target_os = "linux")]
    assert_eq!(view["caller"]["pid"], std::process::id());

    let approved = run(&scenario, &["approve", &held.id]).await;
    assert!(
        approved.stderr.starts_with("approved "),
        "{}",
        approved.stderr
    );
    let id = held.id.clone();
    held.answer().await.assert_text("Hello, Ada!");
    assert_eq!(scenario.mcp.executions("hello_world"), 1);

    let again = scenario.ctl.run(&["deny", &id]).await.expect_code(5);
    assert!(
        again
            .stderr
            .contains("already approved by the command line"),
        "{}",
        again.stderr
    );
    assert!(again.stderr.contains(" at 20"), "{}", again.stderr);
    let history = run(&scenario, &["approvals", "list", "--all"]).await.stdout;
    assert!(
        history.contains("done") && history.contains("the command line"),
        "{history}"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn a_denial_carries_its_reason_to_the_client() {
    let scenario = asking().await;
    let held = Held::call(&scenario, "echo", json!({})).await;
    run(
        &scenario,
        &["deny", &held.id, "--reason", "use the test account"],
    )
    .await;
    let answer = held.answer().await;
    assert!(answer.is_tool_error(), "{:?}", answer.message);
    assert!(
        answer.text().contains("use the test account"),
        "{}",
        answer.text()
    );
    assert_eq!(scenario.mcp.executions("echo"), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn several_are_decided_at_once_and_each_outcome_is_told() {
    let scenario = asking().await;
    let first = Held::call(&scenario, "echo", json!({ "n": 1 })).await;
    let second = Held::call(&scenario, "echo", json!({ "n": 2 })).await;
    let ids = ["--json", "approve", &first.id, "zzzzzzzzzzzz", &second.id];
    let output = scenario.ctl.run(&ids).await.expect_code(4);
    let outcomes = output.json();
    assert_eq!(outcomes[0]["approval"]["decision"]["approved"], true);
    assert_eq!(outcomes[1]["decided"], false);
    assert_eq!(outcomes[1]["error"]["reason"], "NOT_FOUND");
    assert_eq!(outcomes[2]["id"], second.id.as_str());
    assert!(outcomes[2]["error"].is_null());
    first.answer().await.assert_text(r#"{"n":1}"#);
    second.answer().await.assert_text(r#"{"n":2}"#);
    scenario.finish().await;
}

#[tokio::test]
async fn edited_arguments_are_what_is_sent() {
    let scenario = asking().await;
    let held = Held::call(&scenario, "echo", json!({ "amount": 500 })).await;
    let wrong = ["approve", &held.id, "--arguments", "[5]"];
    scenario.ctl.run(&wrong).await.expect_code(2);
    let edited = ["approve", &held.id, "--arguments", "-"];
    let output = scenario
        .ctl
        .run_with_input(&edited, "{\"amount\": 5.00}")
        .await;
    output.success();
    let id = held.id.clone();
    held.answer().await.assert_text(r#"{"amount":5.0}"#);
    let shown = run(&scenario, &["approvals", "show", &id]).await.stdout;
    assert!(
        shown.contains("as changed:\n  {\n    \"amount\": 5.00\n"),
        "{shown}"
    );
    assert!(
        shown.contains("as asked for:\n  {\n    \"amount\": 500\n"),
        "{shown}"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn a_grant_lets_calls_pass_until_it_is_revoked() {
    let scenario = asking().await;
    run(&scenario, &["tools", "hello"]).await;
    let held = Held::call(&scenario, "echo", json!({ "n": 1 })).await;
    let id = held.id.clone();
    run(
        &scenario,
        &["approve", &id, "--always", "--these-arguments"],
    )
    .await;
    held.answer().await.assert_text(r#"{"n":1}"#);
    scenario
        .call("hello", "echo", json!({ "n": 1 }))
        .await
        .assert_text(r#"{"n":1}"#);

    let grants = json_of(&scenario, &["approvals", "grants"]).await;
    assert_eq!(grants[0]["id"], id.as_str());
    assert_eq!(grants[0]["arguments"], json!({ "n": 1 }));
    let table = run(&scenario, &["approvals", "grants"]).await.stdout;
    assert!(
        table.contains(r#"{"n":1}"#) && table.contains("never"),
        "{table}"
    );

    run(&scenario, &["approvals", "grants", "revoke", &id]).await;
    let again = Held::call(&scenario, "echo", json!({ "n": 1 })).await;
    run(&scenario, &["approve", &again.id, "--for", "10m"]).await;
    again.answer().await.assert_text(r#"{"n":1}"#);
    scenario
        .call("hello", "echo", json!({ "n": 2 }))
        .await
        .assert_text(r#"{"n":2}"#);
    scenario.finish().await;
}

#[tokio::test]
async fn with_a_pin_nothing_is_approved_without_it() {
    let scenario = asking().await;
    let with_input =
        async |arguments: &[&str], input: &str| scenario.ctl.run_with_input(arguments, input).await;
    with_input(&["approvals", "pin", "set", "--stdin"], "2468\n")
        .await
        .success();
    let state = json_of(&scenario, &["approvals", "pin"]).await;
    assert_eq!(
        (&state["set"], &state["wrong_tries"]),
        (&json!(true), &json!(0))
    );

    let held = Held::call(&scenario, "echo", json!({})).await;
    let approve = ["approve", &held.id, "--pin-stdin"];
    let without = scenario.ctl.run(&approve[..2]).await.expect_code(7);
    assert!(without.stderr.contains("--pin-stdin"), "{}", without.stderr);
    let wrong = with_input(&approve, "1357\n").await.expect_code(7);
    assert!(wrong.stderr.contains("4 more tries"), "{}", wrong.stderr);
    let changed = with_input(&["approvals", "pin", "set", "--stdin"], "1357\n9999\n").await;
    changed.expect_code(7);
    assert_eq!(pending(&scenario).await.len(), 1);

    with_input(&approve, "2468\n").await.success();
    held.answer().await.assert_text("{}");
    let denied = Held::call(&scenario, "echo", json!({ "n": 1 })).await;
    run(&scenario, &["deny", &denied.id]).await;
    with_input(&["approvals", "pin", "clear", "--stdin"], "2468\n")
        .await
        .success();
    let state = json_of(&scenario, &["approvals", "pin"]).await;
    assert_eq!(state["set"], false);
    scenario.finish().await;
}

#[tokio::test]
async fn watching_tells_what_comes_and_goes_across_a_restart() {
    let mut scenario = asking().await;
    let mut watching = scenario.ctl.spawn(&["--json", "approvals", "watch"]);
    let mut event = async |kind: &str| loop {
        let line = watching.line().await.expect("it goes on");
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["event"] == kind {
            return event;
        }
    };
    assert_eq!(event("snapshot").await["approvals"], json!([]));
    let held = Held::call(&scenario, "echo", json!({ "n": 1 })).await;
    let changed = event("changed").await;
    assert_eq!(changed["approval"]["id"], held.id.as_str());
    assert_eq!(changed["approval"]["arguments"], json!({ "n": 1 }));

    scenario.daemon.restart().await;
    event("disconnected").await;
    let snapshot = event("snapshot").await;
    assert_eq!(snapshot["approvals"][0]["id"], held.id.as_str());
    run(&scenario, &["deny", &held.id]).await;
    let denied = event("changed").await;
    assert_eq!(denied["approval"]["state"], "denied");
    watching.interrupt();
    watching.wait().await;
    held.answer.abort();
    scenario.finish().await;
}

/// Moves the cursor, clears the screen, sets the title, reverses what follows, and hides.
const HOSTILE: &str = "\x1b[2J\x1b]0;title\x07\r\n\u{9b}31m\u{202e}txet\u{200b}\u{2066}";

#[tokio::test]
async fn hostile_text_never_reaches_the_terminal_as_it_is() {
    let scenario = asking().await;
    let mut watching = scenario.ctl.spawn(&["approvals", "watch"]);
    let arguments = json!({ "text": HOSTILE, HOSTILE: [HOSTILE] });
    let held = Held::call(&scenario, "echo", arguments).await;
    let mut seen = watching.line().await.unwrap();
    for command in [
        &["approvals"][..],
        &["approvals", "list", "--all"],
        &["approvals", "show", &held.id],
    ] {
        seen += &run(&scenario, command).await.stdout;
    }
    for c in seen.chars() {
        let harmless = c == '\n' || !(c.is_control() || "\u{202e}\u{200b}\u{2066}".contains(c));
        assert!(harmless, "{c:?} in {seen:?}");
    }
    assert!(seen.contains("⟨U+202E⟩txet⟨U+200B⟩⟨U+2066⟩"), "{seen}");
    run(&scenario, &["deny", &held.id, "--reason", HOSTILE]).await;
    let shown = run(&scenario, &["approvals", "show", &held.id])
        .await
        .stdout;
    assert!(
        !shown.contains(['\x1b', '\u{202e}', '\r', '\u{9b}']),
        "{shown:?}"
    );
    watching.interrupt();
    watching.wait().await;
    held.answer().await;
    scenario.finish().await;
}
