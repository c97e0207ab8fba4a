//! What loosens a policy needs the PIN, where one is set; what tightens it never does.

use mcpbridge_tests::Scenario;
use serde_json::json;

use super::{open, records, set, test};

const PIN: &str = "kept-from-the-agent-81";

async fn with_pin() -> Scenario {
    let scenario = open().await;
    scenario.secrets.remember("pin", PIN);
    let input = format!("{PIN}\n");
    let setting = ["approvals", "pin", "set", "--stdin"];
    scenario
        .ctl
        .run_with_input(&setting, &input)
        .await
        .success();
    scenario
}

#[tokio::test]
async fn loosening_needs_the_pin_and_tightening_does_not() {
    let scenario = with_pin().await;
    let url = scenario.mcp.url();
    // Nothing on standard input, and no terminal: none of these can have been asked for it.
    let tightening: [&[&str]; 5] = [
        &["policy", "set", "hello", "deny"],
        &[
            "add",
            "other",
            &url,
            "--no-auth",
            "--policy",
            "deny",
            "--pin-stdin",
        ],
        &["policy", "set", "hello", "echo", "deny"],
        &["policy", "trust", "hello", "off"],
        &["policy", "weak-approval", "hello", "off"],
    ];
    for arguments in tightening {
        scenario.ctl.run(arguments).await.success();
    }
    let loosening: [&[&str]; 7] = [
        &["policy", "set", "hello", "ask"],
        &["policy", "set", "hello", "echo", "ask"],
        &[
            "policy",
            "set",
            "hello",
            "big",
            "allow",
            "--arg",
            "/bytes<=10",
        ],
        &["policy", "unset", "hello", "echo"],
        &["policy", "trust", "hello"],
        &["policy", "weak-approval", "hello"],
        &["add", "third", &url, "--no-auth", "--policy", "allow"],
    ];
    let before = std::fs::read(scenario.home.config_file()).unwrap();
    for arguments in loosening {
        let refused = scenario.ctl.run(arguments).await.expect_code(7).stderr;
        assert!(
            refused.contains("approval PIN") && refused.contains("--pin-stdin"),
            "{refused}"
        );
    }
    assert_eq!(std::fs::read(scenario.home.config_file()).unwrap(), before);
    assert_eq!(test(&scenario, &["echo"]).await["effect"], "deny");
    let by_stdin = [loosening[0], &["--pin-stdin"]].concat();
    let wrong = scenario.ctl.run_with_input(&by_stdin, "a guess\n").await;
    let wrong = wrong.expect_code(7).stderr;
    assert!(wrong.contains("is wrong"), "{wrong}");
    for arguments in loosening {
        let arguments = [arguments, &["--pin-stdin"]].concat();
        let input = format!("{PIN}\n");
        scenario
            .ctl
            .run_with_input(&arguments, &input)
            .await
            .success();
    }
    assert_eq!(test(&scenario, &["echo"]).await["effect"], "ask");
    assert_eq!(records(&scenario, "pin.wrong").await.len(), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn rules_and_pins_are_not_shed_by_another_entry_for_the_server() {
    let scenario = with_pin().await;
    let url = scenario.mcp.url();
    let pin = format!("{PIN}\n");
    scenario
        .ctl
        .run(&["add", "free", &url, "--no-auth"])
        .await
        .success();
    scenario.ctl.run(&["remove", "free", "-y"]).await.success();
    set(&scenario, &[&["echo", "deny"]]).await;
    let again: [&[&str]; 2] = [
        &["add", "again", &url, "--no-auth"],
        &["remove", "hello", "-y"],
    ];
    for arguments in again {
        let refused = scenario.ctl.run(arguments).await.expect_code(7).stderr;
        assert!(refused.contains("approval PIN"), "{refused}");
    }
    assert_eq!(test(&scenario, &["echo"]).await["effect"], "deny");
    for arguments in again {
        let arguments = [arguments, &["--pin-stdin"]].concat();
        scenario
            .ctl
            .run_with_input(&arguments, &pin)
            .await
            .success();
    }
    let client = scenario.client("again");
    client.request("tools/list", json!({})).await;
    scenario
        .ctl
        .run(&["remove", "again", "-y"])
        .await
        .expect_code(7);
    scenario.finish().await;
}

#[tokio::test]
async fn every_change_is_recorded_with_who_made_it_and_both_digests() {
    let scenario = open().await;
    set(
        &scenario,
        &[&["echo", "deny"], &["echo", "deny"], &["echo", "allow"]],
    )
    .await;
    scenario.ctl.run(&["remove", "hello", "-y"]).await.success();
    let all = records(&scenario, "policy.changed").await;
    assert_eq!(
        all.len(),
        4,
        "added, set twice, removed; the same once more is no change: {all:?}"
    );
    let digests: Vec<_> = all
        .iter()
        .map(|record| ["before", "after"].map(|side| record["detail"][side]["digest"].clone()))
        .collect();
    assert!(
        digests[0][0].is_null() && digests[3][1].is_null(),
        "{digests:?}"
    );
    for pair in digests.windows(2) {
        assert!(
            pair[0][1].is_string() && pair[0][1] == pair[1][0],
            "{digests:?}"
        );
        assert_ne!(pair[0][0], pair[0][1]);
    }
    let loosening: Vec<_> = all
        .iter()
        .map(|record| &record["detail"]["loosening"])
        .collect();
    assert_eq!(loosening, [true, false, true, false]);
    for record in &all {
        let actor = record["actor"].as_str().unwrap();
        assert!(
            actor.contains("the command line (pid ") && actor.contains("mcpbridgectl"),
            "{actor}"
        );
        assert_eq!(record["server"], "hello");
    }
    let text = all[1]["detail"]["after"]["text"].as_str().unwrap();
    assert!(text.contains(r#""tools":{"echo":"deny"}"#), "{text}");
    scenario.finish().await;
}
