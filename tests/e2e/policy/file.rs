//! `config.json`: edited by commands without a trace elsewhere, and followed when edited by hand.

use std::fs;
use std::path::Path;

use mcpbridge_tests::Scenario;
use mcpbridge_tests::wait::{self, PATIENCE};
use serde_json::{Value, json};

use super::{open, records, set, test};

type Write = fn(&Path, &str);

/// How people's programs write a file.
const WAYS: [(&str, Write); 3] = [
    ("in place", |path, text| fs::write(path, text).unwrap()),
    ("a new file put in its place", |path, text| {
        let new = path.with_extension("tmp");
        fs::write(&new, text).unwrap();
        fs::rename(&new, path).unwrap();
    }),
    ("the old file moved away first", |path, text| {
        fs::rename(path, path.with_extension("json~")).unwrap();
        fs::write(path, text).unwrap();
    }),
];

async fn until_told(scenario: &Scenario, what: &str, effect: &str) {
    wait::until(what, PATIENCE, async || {
        (test(scenario, &["echo"]).await["effect"] == effect).then_some(())
    })
    .await;
}

/// Waits until `status` does, or does not, complain about the file.
async fn until_complaint(scenario: &Scenario, what: &str, complains: bool) -> Value {
    wait::until(what, PATIENCE, async || {
        let status = scenario.daemon.status().await;
        (status["config_problem"].is_string() == complains).then_some(status)
    })
    .await
}

#[tokio::test]
async fn commands_leave_everything_else_as_a_person_wrote_it() {
    let scenario = open().await;
    let path = scenario.home.config_file();
    let url = scenario.mcp.url();
    let by_hand = [
        "{ \"servers\" : {\n\t\"zeta\": {\"policy\" : { \"tools\":{ \"b_*\":\"deny\",\"a_*\" : \"ask\" }\n\t\t},\"url\":\"",
        &url,
        "\",\n\t\t\"auth\": \"none\"},\n\n\n\t\"hello\": { \"auth\":\"none\", \"url\": \"",
        &url,
        "\", \"policy\": { \"rules\": [ { \"effect\" : \"allow\", \"arguments\": { \"/n\": {\"max\": 1.50E1} } } ], \"default\": \"ask\" } }\n\t},\n    \"proxy_port\":   0,   \"approvals\": {\"hold_seconds\":0, \"max_hold_seconds\": 0},\n\"version\": \"1.0\" }\n\n",
    ]
    .concat();
    fs::write(&path, &by_hand).unwrap();
    let content = || fs::read_to_string(&path).unwrap();
    set(&scenario, &[&["allow"]]).await;
    let changed = by_hand.replace("\"default\": \"ask\"", "\"default\": \"allow\"");
    assert_eq!(content(), changed);
    set(&scenario, &[&["ask"], &["echo", "deny", "--arg", "/n>=16"]]).await;
    let added = content();
    let (head, tail) = by_hand.split_once("1.50E1} } }").unwrap();
    let rule = added
        .strip_prefix(head)
        .and_then(|rest| rest.strip_suffix(tail))
        .unwrap();
    let rule = rule.strip_prefix("1.50E1} } },").unwrap();
    let rule: Value = serde_json::from_str(rule).unwrap();
    let expected =
        json!({ "tools": "echo", "arguments": { "/n": { "min": 16 } }, "effect": "deny" });
    assert_eq!(rule, expected);
    scenario
        .ctl
        .run(&["policy", "unset", "hello", "echo", "--arg", "/n>=16"])
        .await
        .success();
    assert_eq!(content(), by_hand, "there and back");
    let zeta = ["policy", "set", "zeta", "b_*", "allow"];
    scenario.ctl.run(&zeta).await.success();
    assert_eq!(
        content(),
        by_hand.replace("\"b_*\":\"deny\"", "\"b_*\":\"allow\"")
    );
    scenario.finish().await;
}

#[tokio::test]
async fn a_hand_edit_counts_at_once_and_a_broken_one_changes_nothing() {
    let scenario = open().await;
    let path = scenario.home.config_file();
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut with_default = |effect: &str| {
        config["servers"]["hello"]["policy"] = json!({ "default": effect });
        format!("{config:#}")
    };
    for (round, (way, write)) in (1..).zip(WAYS) {
        write(&path, &with_default("deny"));
        until_told(&scenario, way, "deny").await;
        let answer = scenario.call("hello", "echo", json!({})).await;
        assert_eq!(answer.error_message(), "Unknown tool: echo", "{way}");

        let broken = with_default("sometimes");
        write(&path, &broken);
        let status = until_complaint(&scenario, way, true).await;
        let problem = status["config_problem"].as_str().unwrap();
        for part in ["config.json:", "servers.hello.policy.default", "sometimes"] {
            assert!(problem.contains(part), "{way}: {problem}");
        }
        let said = scenario.ctl.run(&["status"]).await.success().stdout;
        assert!(
            said.contains("config.json is not followed") && said.contains(problem),
            "{said}"
        );
        assert_eq!(test(&scenario, &["echo"]).await["effect"], "deny", "{way}");
        let edit = scenario.ctl.run(&["policy", "set", "hello", "ask"]).await;
        edit.expect_code(5);
        assert_eq!(fs::read_to_string(&path).unwrap(), broken, "{way}");

        write(&path, &with_default("allow"));
        until_complaint(&scenario, way, false).await;
        until_told(&scenario, way, "allow").await;
        let rejected = wait::until("its record", PATIENCE, async || {
            let rejected = records(&scenario, "config.rejected").await;
            (rejected.len() >= round).then_some(rejected)
        })
        .await;
        assert_eq!(rejected.len(), round, "{way}: each is told once");
        let reason = rejected[round - 1]["detail"]["reason"].as_str().unwrap();
        assert!(reason.contains("servers.hello.policy.default"), "{reason}");
    }
    let log = scenario.daemon.output();
    assert!(log.contains("config.json is not followed"), "{log}");
    assert!(log.contains("config.json is valid again"), "{log}");
    let changes = records(&scenario, "policy.changed").await;
    let by_hand: Vec<_> = changes
        .iter()
        .filter(|record| record["actor"] == "an edit of config.json")
        .map(|record| &record["detail"]["loosening"])
        .collect();
    assert_eq!(by_hand, [false, true, false, true, false, true]);
    scenario.finish().await;
}

#[tokio::test]
async fn an_edit_while_no_daemon_ran_is_recorded_by_the_next_one() {
    let mut scenario = open().await;
    scenario
        .configure(|config| config["servers"]["hello"]["policy"] = json!({ "default": "deny" }))
        .await;
    let changes = wait::until("the record", PATIENCE, async || {
        let changes = records(&scenario, "policy.changed").await;
        (changes.len() == 2).then_some(changes)
    })
    .await;
    let actor = changes[1]["actor"].as_str().unwrap();
    assert!(actor.ends_with("while the daemon did not run"), "{actor}");
    let digest = |record: &Value, side: &str| record["detail"][side]["digest"].clone();
    assert_eq!(digest(&changes[1], "before"), digest(&changes[0], "after"));
    // What is recorded is not recorded again.
    scenario.daemon.restart().await;
    set(&scenario, &[&["ask"]]).await;
    let changes = records(&scenario, "policy.changed").await;
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert_eq!(digest(&changes[2], "before"), digest(&changes[1], "after"));
    scenario.finish().await;
}
