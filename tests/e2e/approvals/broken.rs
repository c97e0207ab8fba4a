//! What is interrupted, killed or cannot be written.

use rusqlite::Connection;

use super::*;

#[tokio::test]
async fn a_question_outlives_the_daemon() {
    let mut scenario = asking().await;
    let call = echo(&scenario, json!({ "n": 1 }));
    let id = asked(&scenario).await;
    scenario.daemon.restart().await;
    let told = answer(call).await;
    assert!(told.text().contains("Approval pending"), "{}", told.text());
    let again = echo(&scenario, json!({ "n": 1 }));
    until_waiting(&scenario, &id, 1).await;
    assert_eq!(asked(&scenario).await, id);
    scenario.daemon.kill().await;
    let _ = again.await;
    scenario.daemon.launch().await;
    let last = echo(&scenario, json!({ "n": 1 }));
    until_waiting(&scenario, &id, 1).await;
    run(&scenario, &["approve", &id]).await;
    answer(last).await.assert_text(r#"{"n":1}"#);
    assert_eq!(scenario.mcp.executions("echo"), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn an_approval_outlives_the_daemon_and_is_used_once() {
    let mut scenario = impatient().await;
    scenario.call("hello", "echo", json!({})).await;
    let id = asked(&scenario).await;
    run(&scenario, &["approve", &id]).await;
    scenario.daemon.kill().await;
    scenario.daemon.launch().await;
    let passed = scenario.call("hello", "echo", json!({})).await;
    passed.assert_text("{}");
    let again = scenario.call("hello", "echo", json!({})).await;
    assert!(
        again.text().contains("Approval pending"),
        "{}",
        again.text()
    );
    assert_eq!(scenario.mcp.executions("echo"), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn killed_between_sending_and_reply_the_outcome_is_unknown_and_nothing_is_sent_again() {
    let mut scenario = asking().await;
    let gate = scenario.mcp.hold("echo");
    let call = echo(&scenario, json!({}));
    let id = asked(&scenario).await;
    run(&scenario, &["approve", &id]).await;
    gate.reached().await;
    assert_eq!(show(&scenario, &id).await["state"], "executing");
    scenario.daemon.kill().await;
    let _ = call.await;
    scenario.daemon.launch().await;
    let item = show(&scenario, &id).await;
    assert_eq!(item["state"], "outcome_unknown", "{item}");
    assert!(
        item["outcome"].as_str().unwrap().contains("daemon ended"),
        "{item}"
    );
    gate.release();
    // The same call is a new question, which says that there was one before.
    let again = echo(&scenario, json!({}));
    let second = asked(&scenario).await;
    assert_eq!(show(&scenario, &second).await["earlier"], id.as_str());
    assert_eq!(scenario.mcp.executions("echo"), 1);
    run(&scenario, &["deny", &second]).await;
    assert!(answer(again).await.is_tool_error());
    assert_eq!(scenario.mcp.executions("echo"), 1);
    scenario.finish().await;
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_sent() {
    let mut scenario = impatient().await;
    run(
        &scenario,
        &["policy", "set", "hello", "server_info", "allow"],
    )
    .await;
    scenario.call("hello", "echo", json!({})).await;
    let id = asked(&scenario).await;
    run(&scenario, &["approve", &id]).await;
    scenario.daemon.stop().await;
    let database = Connection::open(scenario.home.state_file()).unwrap();
    // A disk that is full when it matters.
    database
        .execute_batch(
            "CREATE TRIGGER full BEFORE INSERT ON audit
             WHEN NEW.kind IN ('call.started', 'approval.executing')
             BEGIN SELECT RAISE(ABORT, 'no room'); END",
        )
        .unwrap();
    drop(database);
    scenario.daemon.launch().await;
    for tool in ["server_info", "echo"] {
        let refused = scenario.call("hello", tool, json!({})).await;
        assert!(refused.is_tool_error(), "{tool}: {:?}", refused.message);
        assert_eq!(scenario.mcp.executions(tool), 0);
    }
    scenario.daemon.stop().await;
    let database = Connection::open(scenario.home.state_file()).unwrap();
    database.execute_batch("DROP TRIGGER full").unwrap();
    drop(database);
    scenario.daemon.launch().await;
    assert_eq!(show(&scenario, &id).await["state"], "approved");
    let passed = scenario.call("hello", "echo", json!({})).await;
    passed.assert_text("{}");
    scenario.finish().await;
}
