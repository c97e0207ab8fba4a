//! What a person types at a terminal of 80 columns: the interactive watch, and PINs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mcpbridge_tests::client::McpAnswer;
use mcpbridge_tests::terminal::Terminal;
use mcpbridge_tests::{Scenario, wait};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::approvals::asking;

fn watch(scenario: &Scenario) -> Terminal {
    let command = scenario.ctl.command(&["approvals", "watch"]);
    Terminal::spawn(command)
}

fn call(scenario: &Scenario, tool: &'static str, arguments: Value) -> JoinHandle<McpAnswer> {
    let client = Arc::new(scenario.client("hello"));
    tokio::spawn(async move { client.call(tool, arguments).await })
}

async fn answer(answer: JoinHandle<McpAnswer>) -> McpAnswer {
    wait::within("the answer", answer).await.unwrap()
}

/// Ends it with `q`, and looks at what is left of the terminal.
async fn quit(mut terminal: Terminal) {
    terminal.press("q");
    assert_eq!(terminal.wait().await, 0, "{}", terminal.screen());
    left(&terminal).await;
}

/// The cursor, the wrapping of lines, pastes and the screen are those of before.
async fn left(terminal: &Terminal) {
    wait::until_true("the terminal to be given back", || {
        let written = terminal.written();
        [
            ("\x1b[?25l", "\x1b[?25h"),
            ("\x1b[?7l", "\x1b[?7h"),
            ("\x1b[?2004h", "\x1b[?2004l"),
            ("\x1b[?1049h", "\x1b[?1049l"),
        ]
        .iter()
        .all(|(taken, given_back)| written.rfind(given_back) > written.rfind(taken))
    })
    .await;
    assert!(terminal.is_as_before());
}

#[tokio::test]
async fn a_call_appears_and_is_approved_denied_and_allowed_by_keys() {
    let scenario = asking().await;
    scenario.ctl.run(&["tools", "hello"]).await.success();
    let mut terminal = watch(&scenario);
    terminal.shows("No call waits").await;

    let first = call(&scenario, "hello_world", json!({ "name": "Ada" }));
    let screen = terminal.shows("\"name\": \"Ada\"").await;
    assert!(
        screen.contains("1 call waits") && screen.contains("hello_world"),
        "{screen}"
    );
    // `k` says that one has looked.
    terminal.press("ka");
    terminal.shows("approved ").await;
    answer(first).await.assert_text("Hello, Ada!");
    terminal.shows(" done").await;
    terminal.press("a");
    terminal.shows("decided already").await;

    let second = call(&scenario, "echo", json!({ "n": 2 }));
    terminal.shows("1 call waits").await;
    terminal.press("j");
    terminal.shows("\"n\": 2").await;
    terminal.press("dask me first\r");
    terminal.shows("denied ").await;
    let denied = answer(second).await;
    assert!(denied.text().contains("ask me first"), "{}", denied.text());

    let third = call(&scenario, "echo", json!({ "n": 3 }));
    terminal.shows("1 call waits").await;
    terminal.press("j");
    terminal.shows("\"n\": 3").await;
    terminal.press("A");
    terminal.shows("these arguments only").await;
    terminal.press("t");
    terminal.shows("always, with these arguments").await;
    answer(third).await.assert_text(r#"{"n":3}"#);
    answer(call(&scenario, "echo", json!({ "n": 3 })))
        .await
        .assert_text(r#"{"n":3}"#);
    quit(terminal).await;
    scenario.finish().await;
}

#[tokio::test]
async fn hostile_arguments_change_nothing_but_their_own_line() {
    let scenario = asking().await;
    let terminal = watch(&scenario);
    terminal.shows("No call waits").await;
    let hostile = "\x1b[2J\x1b]0;t\x07\u{202e}txet\u{200b}";
    let held = call(&scenario, "echo", json!({ "text": hostile }));
    terminal.shows("⟨U+202E⟩txet⟨U+200B⟩").await;
    let written = terminal.written();
    assert!(!written.contains("\x1b]") && !written.contains(['\u{202e}', '\u{200b}']));
    held.abort();
    quit(terminal).await;
    scenario.finish().await;
}

#[tokio::test]
async fn arguments_are_edited_in_the_persons_editor_and_confirmed() {
    let scenario = asking().await;
    scenario.home.set_env("VISUAL", "sed -i s/500/5/");
    let mut terminal = watch(&scenario);
    let held = call(&scenario, "echo", json!({ "amount": 500 }));
    terminal.shows("\"amount\": 500").await;
    terminal.press("ke");
    terminal.shows("as you changed them").await;
    assert_eq!(scenario.mcp.executions("echo"), 0);
    terminal.press("y");
    answer(held).await.assert_text(r#"{"amount":5}"#);
    quit(terminal).await;
    scenario.finish().await;
}

#[tokio::test]
async fn the_pin_is_asked_for_and_never_shown() {
    let scenario = asking().await;
    let set = ["approvals", "pin", "set", "--stdin"];
    scenario.ctl.run_with_input(&set, "2468\n").await.success();
    let mut terminal = watch(&scenario);
    let held = call(&scenario, "echo", json!({}));
    terminal.shows("1 call waits").await;
    terminal.press("ka");
    terminal.shows("approval PIN:").await;
    terminal.press("1357\r");
    terminal.shows("PIN is wrong; 4 more tries").await;
    terminal.press("a");
    terminal.shows("approval PIN:").await;
    terminal.press("2468\r");
    answer(held).await.assert_text("{}");
    assert!(!terminal.written().contains("2468"));
    quit(terminal).await;
    scenario.finish().await;
}

#[tokio::test]
async fn it_goes_on_after_a_restart_of_the_daemon() {
    let mut scenario = asking().await;
    let mut terminal = watch(&scenario);
    let held = call(&scenario, "echo", json!({ "n": 1 }));
    terminal.shows("\"n\": 1").await;
    scenario.daemon.stop().await;
    terminal.shows("cannot be reached").await;
    // A daemon that ends may be found once more before it is gone, and what is pressed then only asks
    // back. So does what is read late, when there is a daemon again.
    let mut pressed: Option<Instant> = None;
    wait::until_true("a key to be refused", || {
        if pressed.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            terminal.press("kA");
            pressed = Some(Instant::now());
        }
        terminal.screen().contains("nothing can be decided")
    })
    .await;
    scenario.daemon.launch().await;
    wait::until_true("the daemon to be found again", || {
        !terminal.screen().contains("cannot be reached")
    })
    .await;
    terminal.press("kdno\r");
    terminal.shows("denied ").await;
    held.abort();
    quit(terminal).await;
    scenario.finish().await;
}

#[tokio::test]
async fn the_terminal_is_given_back_however_it_ends() {
    let scenario = asking().await;
    let mut terminal = watch(&scenario);
    terminal.shows("No call waits").await;
    assert!(
        !terminal.is_as_before(),
        "keys come one by one while it runs"
    );
    terminal.press("\x03");
    assert_eq!(terminal.wait().await, 130);
    left(&terminal).await;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut terminal = watch(&scenario);
        terminal.shows("No call waits").await;
        terminal.signal(signal);
        assert_eq!(terminal.wait().await, 130, "{signal:?}");
        left(&terminal).await;
    }
    scenario.finish().await;
}

#[tokio::test]
async fn a_pin_is_typed_unseen_and_giving_up_gives_the_terminal_back() {
    let scenario = asking().await;
    let at_terminal = |arguments: &[&str]| Terminal::spawn(scenario.ctl.command(arguments));
    for signal in [Signal::TERM, Signal::HUP] {
        let mut setting = at_terminal(&["approvals", "pin", "set"]);
        wait::until_true("keys to be read", || !setting.is_as_before()).await;
        setting.press("24");
        setting.signal(signal);
        assert_eq!(setting.wait().await, 130, "{signal:?}");
        assert!(setting.is_as_before(), "{signal:?}");
    }
    let mut setting = at_terminal(&["approvals", "pin", "set"]);
    setting.wrote("new approval PIN: ", 1).await;
    setting.press("246X\x7f8\r");
    setting.wrote("the same again: ", 1).await;
    setting.press("2468\r");
    assert_eq!(setting.wait().await, 0, "{}", setting.written());
    assert!(!setting.written().contains("246") && setting.is_as_before());

    let held = call(&scenario, "echo", json!({}));
    let id = wait::until("the call to be held", wait::PATIENCE, async || {
        let listed = scenario.ctl.run_quietly(&["--json", "approvals"]).await;
        let listed = listed.success().json();
        Some(listed[0]["id"].as_str()?.to_owned())
    })
    .await;
    let status = scenario.ctl.run(&["status"]).await.success().stdout;
    assert!(status.contains("1 call waits for a decision"), "{status}");
    let home = scenario.home.config_dir();
    let command = format!("mcpbridgectl --config-dir {} approvals", home.display());
    assert!(status.contains(&command), "{status}");
    let mut approving = at_terminal(&["approve", &id]);
    approving.wrote("approval PIN: ", 1).await;
    approving.press("24\x03");
    assert_eq!(approving.wait().await, 130, "{}", approving.written());
    assert!(approving.is_as_before());
    let mut approving = at_terminal(&["approve", &id]);
    approving.wrote("approval PIN: ", 1).await;
    approving.press("2468\r");
    assert_eq!(approving.wait().await, 0, "{}", approving.written());
    answer(held).await.assert_text("{}");
    scenario.finish().await;
}
