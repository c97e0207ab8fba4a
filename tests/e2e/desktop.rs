//! Held calls as desktop notifications, on a real session bus.

use mcpbridge_tests::client::McpAnswer;
use mcpbridge_tests::daemon::Home;
use mcpbridge_tests::desktop::Desktop;
use mcpbridge_tests::{Scenario, wait};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const USUAL: [&str; 3] = ["actions", "body", "body-markup"];

/// A desktop, and a server whose calls all ask.
async fn session(capabilities: &[&str], approvals: Value) -> (Desktop, Scenario) {
    let home = Home::create();
    let desktop = Desktop::start(&home, capabilities).await;
    let builder = Scenario::builder()
        .home(home)
        .setting("approvals", approvals);
    let scenario = builder.start().await;
    scenario.add("hello").await;
    run(&scenario, &["policy", "set", "hello", "ask"]).await;
    (desktop, scenario)
}

async fn run(scenario: &Scenario, arguments: &[&str]) {
    scenario.ctl.run(arguments).await.success();
}

fn call(scenario: &Scenario, arguments: Value) -> JoinHandle<McpAnswer> {
    let client = scenario.client("hello");
    tokio::spawn(async move { client.call("echo", arguments).await })
}

async fn answer(answer: JoinHandle<McpAnswer>) -> McpAnswer {
    wait::within("the answer", answer).await.unwrap()
}

async fn pending(scenario: &Scenario) -> Vec<String> {
    let arguments = ["--json", "approvals", "list", "--state", "pending"];
    let listed = scenario.ctl.run_quietly(&arguments).await.success().json();
    let ids = listed.as_array().unwrap().iter();
    ids.map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_call_is_shown_and_answered_by_the_buttons_of_its_notification() {
    let (desktop, scenario) = session(&USUAL, json!({})).await;
    let first = call(&scenario, json!({ "n": 1 }));
    let shown = desktop.shows(1).await.remove(0);
    assert_eq!(shown.summary, "echo of hello waits");
    assert!(shown.body.ends_with("\n{\"n\":1}"), "{}", shown.body);
    desktop
        .press(shown.id, shown.key("Approve once").unwrap())
        .await;
    answer(first).await.assert_text(r#"{"n":1}"#);
    desktop.shows(0).await;

    let second = call(&scenario, json!({ "n": 2 }));
    let shown = desktop.shows(1).await.remove(0);
    desktop.press(shown.id, shown.key("Deny").unwrap()).await;
    assert!(answer(second).await.is_tool_error());
    let history = ["approvals", "list", "--all"];
    let history = scenario.ctl.run(&history).await.success().stdout;
    assert_eq!(history.matches("a desktop notific").count(), 2, "{history}");
    scenario.finish().await;
}

#[tokio::test]
async fn what_is_answered_elsewhere_is_withdrawn() {
    let (desktop, scenario) = session(&USUAL, json!({})).await;
    let held: Vec<_> = (0..7).map(|n| call(&scenario, json!({ "n": n }))).collect();
    // Only a few at once; others follow.
    desktop.shows(5).await;
    wait::until("all calls to be held", wait::PATIENCE, async || {
        (pending(&scenario).await.len() == 7).then_some(())
    })
    .await;
    let ids = pending(&scenario).await;
    for (left, id) in (0..7).rev().zip(&ids) {
        run(&scenario, &["deny", id]).await;
        desktop.shows(left.min(5)).await;
    }
    for held in held {
        answer(held).await;
    }
    scenario.finish().await;
}

#[tokio::test]
async fn text_of_others_is_plain_and_what_does_not_fit_has_no_buttons() {
    let (desktop, scenario) = session(&USUAL, json!({})).await;
    let held = call(&scenario, json!({ "a": "<a href='x'>&amp;</a>" }));
    let shown = desktop.shows(1).await.remove(0);
    let escaped = "{\"a\":\"&lt;a href='x'&gt;&amp;amp;&lt;/a&gt;\"}";
    assert!(shown.body.ends_with(escaped), "{}", shown.body);
    assert!(shown.key("Approve once").is_some());
    held.abort();
    let ids = pending(&scenario).await;
    run(&scenario, &["deny", &ids[0]]).await;
    desktop.shows(0).await;
    for arguments in [json!({ "a": "x".repeat(300) }), json!({ "a": "\u{202e}x" })] {
        let held = call(&scenario, arguments);
        let shown = desktop.shows(1).await.remove(0);
        assert!(shown.actions.is_empty(), "{:?}", shown.actions);
        assert!(!shown.body.contains('\u{202e}'));
        let id = pending(&scenario).await.remove(0);
        assert!(
            shown.body.contains(&format!("approvals show {id}")),
            "{}",
            shown.body
        );
        run(&scenario, &["deny", &id]).await;
        answer(held).await;
        desktop.shows(0).await;
    }
    scenario.finish().await;
}

#[tokio::test]
async fn a_button_counts_only_from_the_desktop_for_its_own_question_and_without_a_pin() {
    let (desktop, scenario) = session(&USUAL, json!({})).await;
    let held = call(&scenario, json!({ "n": 1 }));
    let shown = desktop.shows(1).await.remove(0);
    let key = shown.key("Approve once").unwrap();
    desktop.forge(shown.id, key).await;
    for other in ["approve", "approve aaaaaaaaaaaa", "default"] {
        desktop.press(shown.id, other).await;
    }
    // Set after the notification was shown.
    let set = ["approvals", "pin", "set", "--stdin"];
    scenario.ctl.run_with_input(&set, "2468\n").await.success();
    desktop.press(shown.id, key).await;
    wait::until_true("the refusal to be logged", || {
        scenario
            .daemon
            .output()
            .contains("this needs the approval PIN")
    })
    .await;
    assert_eq!(scenario.mcp.executions("echo"), 0);
    assert_eq!(pending(&scenario).await.len(), 1);
    let second = call(&scenario, json!({ "n": 2 }));
    let shown = desktop.shows(2).await;
    assert!(shown[1].actions.is_empty(), "{:?}", shown[1].actions);
    for id in pending(&scenario).await {
        run(&scenario, &["deny", &id]).await;
    }
    answer(held).await;
    answer(second).await;
    scenario.finish().await;
}

#[tokio::test]
async fn a_dismissed_notification_stays_away_and_a_new_service_gets_the_others() {
    let (desktop, scenario) = session(&["body"], json!({})).await;
    let first = call(&scenario, json!({ "n": "<1>" }));
    let shown = desktop.shows(1).await.remove(0);
    assert!(shown.actions.is_empty(), "the service has no buttons");
    assert!(shown.body.ends_with("{\"n\":\"‹1›\"}"), "{}", shown.body);
    desktop.dismiss(shown.id).await;
    let second = call(&scenario, json!({ "n": 2 }));
    desktop.shows(1).await;
    desktop.start_service().await;
    let shown = desktop.shows(1).await.remove(0);
    assert!(shown.body.ends_with("{\"n\":2}"), "{}", shown.body);
    first.abort();
    second.abort();
    scenario.finish().await;
    assert_eq!(
        desktop.visible(),
        [],
        "a daemon that stops takes them along"
    );
}

#[tokio::test]
async fn a_service_that_shows_no_arguments_gets_no_buttons() {
    let (desktop, scenario) = session(&["actions"], json!({})).await;
    let held = call(&scenario, json!({ "n": 1 }));
    let shown = desktop.shows(1).await.remove(0);
    assert!(shown.actions.is_empty(), "{:?}", shown.actions);
    let id = pending(&scenario).await.remove(0);
    run(&scenario, &["deny", &id]).await;
    answer(held).await;
    scenario.finish().await;
}

#[tokio::test]
async fn nothing_is_shown_when_the_setting_is_off() {
    let off = json!({ "desktop_notifications": false });
    let (desktop, scenario) = session(&USUAL, off).await;
    let held = call(&scenario, json!({}));
    let id = wait::until("the call to be held", wait::PATIENCE, async || {
        pending(&scenario).await.pop()
    })
    .await;
    run(&scenario, &["deny", &id]).await;
    answer(held).await;
    assert_eq!(desktop.visible(), []);
    scenario.finish().await;
}
