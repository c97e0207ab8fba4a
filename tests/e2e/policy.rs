//! Policy: what rules say about calls, how they are changed, and that the change counts at once.

mod file;
mod known;
mod live;
mod pin;

use std::collections::BTreeMap;

use mcpbridge_tests::mcp::Access;
use mcpbridge_tests::{McpClient, Scenario};
use serde_json::{Value, json};

/// A daemon that holds a call for so long before it says that somebody has to decide.
async fn holding(seconds: u32) -> Scenario {
    let settings = json!({ "hold_seconds": seconds, "max_hold_seconds": seconds });
    let builder = Scenario::builder().mcp(|mcp| mcp.access = Access::Open);
    let scenario = builder.setting("approvals", settings).start().await;
    scenario.add_static("hello", &["--no-auth"], "").await;
    scenario
}

async fn open() -> Scenario {
    holding(0).await
}

async fn records(scenario: &Scenario, kind: &str) -> Vec<Value> {
    let arguments = ["audit", "--json", "-n", "1000", "--kind", kind];
    scenario.ctl.run(&arguments).await.success().json_lines()
}

/// Runs `policy set hello …`, one rule after another.
async fn set(scenario: &Scenario, rules: &[&[&str]]) {
    for rule in rules {
        let arguments = [&["policy", "set", "hello"], *rule].concat();
        scenario.ctl.run(&arguments).await.success();
    }
}

/// What `policy test hello …` says.
async fn test(scenario: &Scenario, rest: &[&str]) -> Value {
    let arguments = [&["policy", "test", "--json", "hello"], rest].concat();
    scenario.ctl.run(&arguments).await.success().json()
}

/// Whether a call by `client` reaches the tool.
async fn runs(scenario: &Scenario, client: &McpClient, tool: &str, arguments: &Value) -> bool {
    let before = scenario.mcp.executions(tool);
    client.call(tool, arguments.clone()).await;
    scenario.mcp.executions(tool) > before
}

/// The test foretells `effect`, and a call bears it out.
#[track_caller]
fn agree(foretold: &Value, runs: bool, effect: &str) {
    assert_eq!(foretold["effect"], effect, "{foretold}");
    assert_eq!(runs, effect == "allow", "{foretold}");
}

#[tokio::test]
async fn predicates_of_arguments_decide_and_more_of_them_win() {
    let scenario = open().await;
    set(
        &scenario,
        &[
            &["deny"],
            &["echo", "ask"],
            &[
                "echo",
                "allow",
                "--arg",
                "/amount>=1",
                "--arg",
                "/amount<=1000",
                "--arg",
                "/currency=usd",
            ],
            &["echo", "deny", "--arg", "/path=~/etc/*"],
        ],
    )
    .await;
    let client = scenario.client("hello");
    for (arguments, effect, words) in [
        (
            json!({ "amount": 1000, "currency": "usd" }),
            "allow",
            "/amount at least 1, /amount at most 1000",
        ),
        (
            json!({ "amount": 1000.01, "currency": "usd" }),
            "ask",
            "(echo)",
        ),
        (
            json!({ "amount": 0.99, "currency": "usd" }),
            "ask",
            "(echo)",
        ),
        (json!({ "amount": 5, "currency": "USD" }), "ask", "(echo)"),
        (json!({ "amount": "5", "currency": "usd" }), "ask", "(echo)"),
        (
            json!({ "path": "/etc/passwd" }),
            "deny",
            "it has more conditions",
        ),
        (json!({ "path": "/tmp/x" }), "ask", "(echo)"),
        (
            json!({ "path": "/etc/x", "amount": 5, "currency": "usd" }),
            "allow",
            "it has more conditions",
        ),
    ] {
        let told = test(&scenario, &["echo", &arguments.to_string()]).await;
        let explanation = told["explanation"].as_str().unwrap();
        assert!(explanation.contains(words), "{told}");
        agree(
            &told,
            runs(&scenario, &client, "echo", &arguments).await,
            effect,
        );
    }
    let told = test(&scenario, &["hello_world"]).await;
    agree(
        &told,
        runs(&scenario, &client, "hello_world", &json!({})).await,
        "deny",
    );
    assert_eq!(told["rule"], Value::Null, "the default decides: {told}");
    // Which amount a server reads is not certain.
    let twice = r#"{"amount":1,"amount":9999,"currency":"usd"}"#;
    assert_eq!(test(&scenario, &["echo", twice]).await["effect"], "deny");
    scenario.finish().await;
}

#[tokio::test]
async fn the_most_specific_rule_wins_and_among_equals_the_strictest() {
    let scenario = open().await;
    set(
        &scenario,
        &[
            &["allow"],
            &["*", "deny"],
            &["e*", "ask"],
            &["echo", "allow"],
            &["hello_*", "allow"],
            &["*_world", "deny"],
            &["server_*", "allow"],
            &["*er_info", "ask"],
            &["b*", "allow"],
            &["big", "ask"],
        ],
    )
    .await;
    let client = scenario.client("hello");
    for (tool, effect, words) in [
        ("echo", "allow", "it names the tool exactly"),
        (
            "hello_world",
            "deny",
            "it is stricter, and both are equally specific",
        ),
        (
            "server_info",
            "ask",
            "it is stricter, and both are equally specific",
        ),
        ("big", "ask", "it names the tool exactly"),
        (
            "fail",
            "deny",
            "any rule wins over the server's default (always allow)",
        ),
        ("exotic", "ask", "it spells out more of the tool's name"),
    ] {
        let told = test(&scenario, &[tool]).await;
        let explanation = told["explanation"].as_str().unwrap();
        assert!(explanation.contains(words), "{tool}: {told}");
        agree(
            &told,
            runs(&scenario, &client, tool, &json!({ "bytes": 1 })).await,
            effect,
        );
    }
    let said = scenario
        .ctl
        .run(&["policy", "test", "hello", "hello_world"])
        .await;
    let said = said.success().stdout;
    assert!(said.starts_with("never allow: rule "), "{said}");
    assert!(said.ends_with("the call would be refused\n"), "{said}");
    scenario.finish().await;
}

#[tokio::test]
async fn what_a_server_says_about_its_tools_counts_when_it_is_trusted() {
    let scenario = open().await;
    let hint = ["--annotation", "readOnlyHint=true"];
    let rule = [&["*", "allow"][..], &hint].concat();
    set(
        &scenario,
        &[
            &["ask"],
            &rule,
            &["big", "deny", "--annotation", "openWorldHint=true"],
        ],
    )
    .await;
    let said = [&["echo"][..], &hint].concat();
    let told = test(&scenario, &said).await;
    assert_eq!(told["effect"], "ask", "it is not trusted yet: {told}");
    scenario
        .ctl
        .run(&["policy", "trust", "hello"])
        .await
        .success();
    let told = test(&scenario, &said).await;
    assert_eq!(told["effect"], "allow", "{told}");
    assert_eq!(
        test(&scenario, &["echo", "--annotation", "readOnlyHint=false"]).await["effect"],
        "ask"
    );
    // What is not said has the default of the specification.
    assert_eq!(
        test(&scenario, &[&["big"][..], &hint].concat()).await["effect"],
        "deny"
    );
    let wrong = scenario
        .ctl
        .run(&[
            "policy",
            "test",
            "hello",
            "echo",
            "--annotation",
            "safe=true",
        ])
        .await;
    let wrong = wrong.expect_code(2).stderr;
    assert!(wrong.contains("readOnlyHint"), "{wrong}");
    scenario.finish().await;
}

#[tokio::test]
async fn rules_know_the_client_token_and_the_program_of_a_caller() {
    let scenario = open().await;
    let ours = std::env::current_exe().unwrap();
    let program = format!("exe:{}", ours.display());
    set(
        &scenario,
        &[
            &["deny"],
            &["*", "ask", "--caller", &program],
            &["echo", "allow", "--caller", "client:ci"],
            &["server_info", "allow", "--caller", &program],
        ],
    )
    .await;
    let issued = scenario
        .ctl
        .run_quietly(&["client", "add", "ci"])
        .await
        .success();
    let token = issued.stdout.trim_end();
    scenario.secrets.remember("client token", token);
    let plain = scenario.client("hello");
    let ci = scenario.client("hello").with_token(token);
    let none = json!({});
    assert!(!runs(&scenario, &plain, "echo", &none).await);
    assert!(runs(&scenario, &ci, "echo", &none).await);
    assert!(!runs(&scenario, &ci, "big", &none).await);
    assert!(runs(&scenario, &plain, "server_info", &none).await);
    let by = async |tool: &str, caller: &str| {
        let told = test(&scenario, &[tool, "--caller", caller]).await;
        told["effect"].as_str().unwrap().to_owned()
    };
    assert_eq!(by("echo", "client:ci").await, "allow");
    assert_eq!(by("echo", "client:other").await, "deny");
    assert_eq!(by("server_info", &program).await, "allow");
    assert_eq!(by("echo", &program).await, "ask");
    assert_eq!(by("server_info", "exe:/bin/sh").await, "deny");
    // The limits of a token count as well.
    let narrow = ["client", "add", "narrow", "--tool", "list_*"];
    let issued = scenario.ctl.run_quietly(&narrow).await.success();
    scenario
        .secrets
        .remember("client token", issued.stdout.trim_end());
    set(&scenario, &[&["allow"]]).await;
    let told = test(
        &scenario,
        &[
            "echo",
            "--caller",
            "client:narrow",
            "--caller",
            "exe:/bin/sh",
        ],
    )
    .await;
    assert_eq!(
        (&told["by_rules"], &told["effect"]),
        (&json!("allow"), &json!("deny")),
        "{told}"
    );
    let circumstances = told["circumstances"].to_string();
    for words in ["not made for the tool", "left out of lists"] {
        assert!(circumstances.contains(words), "{told}");
    }
    scenario.finish().await;
}

#[tokio::test]
async fn the_list_names_effects_in_words_and_rules_by_numbers() {
    let scenario = open().await;
    set(
        &scenario,
        &[
            &["deny"],
            &["list_*", "allow"],
            &["echo", "ask", "--arg", "/a<=1000"],
        ],
    )
    .await;
    let list = async || {
        let listed = scenario
            .ctl
            .run(&["policy", "list", "hello"])
            .await
            .success()
            .stdout;
        let rows = listed
            .lines()
            .skip(1)
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        rows.collect::<Vec<_>>()
    };
    assert_eq!(
        list().await,
        [
            "hello - (default) never allow",
            "hello 1 list_* always allow",
            "hello 2 echo with /a at most 1000 always ask",
        ]
    );
    let json = scenario
        .ctl
        .run(&["policy", "list", "hello", "--json"])
        .await
        .success()
        .json();
    assert_eq!(
        json[2]["conditions"],
        json!({ "arguments": { "/a": { "max": 1000 } } }),
        "{json}"
    );
    scenario
        .ctl
        .run(&["policy", "unset", "hello", "--rule", "1"])
        .await
        .success();
    scenario
        .ctl
        .run(&["policy", "unset", "hello"])
        .await
        .success();
    assert_eq!(list().await[0], "hello - (default) always ask");
    let exits: BTreeMap<&[&str], i32> = BTreeMap::from([
        (&["policy", "list", "nobody"][..], 4),
        (&["policy", "test", "nobody", "echo"], 4),
        (&["policy", "set", "nobody", "allow"], 4),
        (&["policy", "unset", "hello", "list_*"], 4),
        (&["policy", "unset", "hello", "--rule", "9"], 4),
        (&["policy", "set", "hello", "[a-z]", "allow"], 2),
        (&["policy", "set", "hello", "echo", "sometimes"], 2),
        (&["policy", "test", "hello", "echo", "7"], 2),
        (&["policy", "test", "hello", "echo", "--caller", "ci"], 2),
        (
            &[
                "policy", "set", "hello", "echo", "allow", "--arg", "/a>=2", "--arg", "/a<=1",
            ],
            2,
        ),
    ]);
    for (arguments, code) in exits {
        scenario.ctl.run(arguments).await.expect_code(code);
    }
    scenario.finish().await;
}
