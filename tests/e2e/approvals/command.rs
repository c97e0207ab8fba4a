//! `mcpbridgectl call` where a person has to approve.

use super::*;

#[tokio::test]
async fn the_command_waits_and_says_where_to_approve() {
    let scenario = asking().await;
    let command = scenario.ctl.spawn(&["call", "hello", "echo", "{\"n\": 1}"]);
    let id = asked(&scenario).await;
    run(&scenario, &["approve", &id]).await;
    let output = command.wait().await.success();
    assert_eq!(output.stdout, "{\"n\":1}\n");
    let page = format!("{}/approvals/{id}", scenario.daemon.base_url());
    for words in [&format!("approve {id}"), &page] {
        assert!(output.stderr.contains(words), "{}", output.stderr);
    }
    assert_eq!(scenario.mcp.executions("echo"), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn a_denial_is_an_error_with_the_reason_and_json_stays_json() {
    let scenario = asking().await;
    let command = scenario.ctl.spawn(&["--json", "call", "hello", "echo"]);
    let id = asked(&scenario).await;
    run(&scenario, &["deny", &id, "--reason", "too early"]).await;
    let output = command.wait().await.expect_code(7);
    assert_eq!(output.stdout, "");
    let lines = output.stderr.lines();
    let said: Vec<Value> = lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(said[0]["waiting"]["approval"], id.as_str(), "{said:?}");
    assert!(said[1].to_string().contains("too early"), "{said:?}");
    scenario.finish().await;
}

#[tokio::test]
async fn an_interrupted_command_gives_up_waiting_and_the_next_goes_on() {
    let scenario = asking().await;
    let command = scenario.ctl.spawn(&["call", "hello", "echo"]);
    let id = asked(&scenario).await;
    until_waiting(&scenario, &id, 1).await;
    command.interrupt();
    command.wait().await;
    until_waiting(&scenario, &id, 0).await;
    let again = scenario.ctl.spawn(&["call", "hello", "echo"]);
    until_waiting(&scenario, &id, 1).await;
    run(&scenario, &["approve", &id]).await;
    assert_eq!(again.wait().await.success().stdout, "{}\n");
    assert_eq!(scenario.mcp.executions("echo"), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn a_change_of_policy_ends_the_waiting() {
    for (effect, code, executions) in [("deny", 7, 0), ("allow", 0, 1)] {
        let scenario = asking().await;
        let command = scenario.ctl.spawn(&["call", "hello", "echo"]);
        let id = asked(&scenario).await;
        run(&scenario, &["policy", "set", "hello", "echo", effect]).await;
        command.wait().await.expect_code(code);
        until_state(&scenario, &id, "withdrawn").await;
        assert_eq!(scenario.mcp.executions("echo"), executions, "{effect}");
        scenario.finish().await;
    }
}
