//! Streams pass as they are: nothing is buffered, reframed or cut, and a client that leaves is noticed.

use mcpbridge_tests::client::events;
use mcpbridge_tests::mcp::{Access, COMMENT, RETRY_MS};
use mcpbridge_tests::{McpClient, Scenario, wait};
use serde_json::json;

async fn open() -> Scenario {
    let scenario = Scenario::builder()
        .mcp(|mcp| mcp.access = Access::Open)
        .start()
        .await;
    scenario.add_static("hello", &["--no-auth"], "").await;
    scenario
}

/// Reads `response` until its text contains `needle`.
async fn read_until(response: &mut reqwest::Response, needle: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(needle) {
        let chunk = wait::within("a chunk", response.chunk()).await.unwrap();
        let chunk = chunk.unwrap_or_else(|| panic!("the stream ended without {needle}: {seen}"));
        seen += std::str::from_utf8(&chunk).unwrap();
    }
    seen
}

#[tokio::test]
async fn a_stream_equals_the_direct_one_byte_for_byte() {
    let scenario = open().await;
    let direct = McpClient::modern(&scenario.mcp.url());
    let bridged = scenario.client("hello");
    let arguments = json!({ "steps": 5 });
    let one = direct.call("slow", arguments.clone()).await;
    let two = bridged.call("slow", arguments).await;
    assert_eq!(one.raw, two.raw);
    assert_eq!(two.headers["content-type"], "text/event-stream");
    assert_eq!(two.headers["cache-control"], one.headers["cache-control"]);
    scenario.finish().await;
}

#[tokio::test]
async fn events_arrive_while_the_call_still_runs() {
    let scenario = open().await;
    let gate = scenario.mcp.hold("slow");
    let legacy = scenario.legacy_client("hello").await;
    let mut response = legacy.open("slow", json!({ "steps": 2 })).await;
    let early = read_until(&mut response, "\"progress\":2").await;
    assert!(
        early.contains(&format!("retry: {RETRY_MS}")) && early.contains(COMMENT),
        "{early}"
    );
    assert!(
        early.starts_with("id: "),
        "the priming event comes first: {early}"
    );
    gate.release();
    let rest = read_until(&mut response, "\"result\"").await;
    assert_eq!(
        events(&rest).last().unwrap()["result"]["content"][0]["text"],
        "done"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn a_modern_client_that_leaves_cancels_the_call_upstream() {
    let scenario = open().await;
    let gate = scenario.mcp.hold("slow");
    let mut response = scenario.client("hello").open("slow", json!({})).await;
    read_until(&mut response, "progress").await;
    drop(response);
    wait::until_true("upstream to see it", || scenario.mcp.abandoned("slow") == 1).await;
    assert_eq!(scenario.mcp.finished("slow"), 0);
    gate.release();
    scenario.finish().await;
}

#[tokio::test]
async fn a_modern_client_that_leaves_before_the_head_cancels_too() {
    let scenario = open().await;
    let gate = scenario.mcp.hold("echo");
    let client = scenario.client("hello");
    let calling = tokio::spawn(async move { client.call("echo", json!({})).await });
    gate.reached().await;
    calling.abort();
    wait::until_true("upstream to see it", || scenario.mcp.abandoned("echo") == 1).await;
    scenario.finish().await;
}

#[tokio::test]
async fn a_legacy_client_that_leaves_cancels_nothing_and_can_resume() {
    let scenario = open().await;
    let gate = scenario.mcp.hold("slow");
    let legacy = scenario.legacy_client("hello").await;
    let mut response = legacy.open("slow", json!({ "steps": 2 })).await;
    let early = read_until(&mut response, "\"progress\":2").await;
    let last = early
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back();
    let last = last.unwrap().to_owned();
    drop(response);
    gate.reached().await;
    gate.release();
    wait::until_true("the call to finish", || scenario.mcp.finished("slow") == 1).await;
    assert_eq!(
        scenario.mcp.abandoned("slow"),
        0,
        "upstream was not disconnected"
    );
    let mut resumed = legacy.listen(Some(&last)).await;
    let replayed = read_until(&mut resumed, "\"result\"").await;
    assert!(!replayed.contains("\"progress\":1"), "{replayed}");
    scenario.finish().await;
}

#[tokio::test]
async fn the_get_stream_carries_notices_and_delete_ends_the_session() {
    let scenario = open().await;
    let legacy = scenario.legacy_client("hello").await;
    let mut stream = legacy.listen(None).await;
    assert_eq!(stream.status().as_u16(), 200);
    read_until(&mut stream, &format!("retry: {RETRY_MS}")).await;
    scenario
        .mcp
        .notify(&json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" }));
    read_until(&mut stream, "list_changed").await;
    let http = mcpbridge_tests::client::http();
    let session = legacy.session().unwrap();
    let delete = http
        .delete(scenario.daemon.mcp_url("hello"))
        .header("mcp-session-id", session);
    assert_eq!(delete.send().await.unwrap().status().as_u16(), 200);
    let gone = legacy.call("echo", json!({})).await;
    assert_eq!(
        gone.status, 404,
        "a lost session is passed on, so that the client starts again"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let scenario = open().await;
    let answer = scenario
        .call("hello", "big", json!({ "bytes": 5_000_000 }))
        .await;
    assert_eq!(answer.text().len(), 5_000_000);
    let text = "y".repeat(5_000_000);
    let answer = scenario
        .call("hello", "echo", json!({ "text": text }))
        .await;
    assert_eq!(
        answer.message["result"]["structuredContent"]["text"],
        json!(text)
    );
    scenario.finish().await;
}

#[tokio::test]
async fn many_streams_are_open_at_once() {
    let scenario = open().await;
    let gate = scenario.mcp.hold("slow");
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(
            scenario
                .client("hello")
                .open("slow", json!({ "steps": 1 }))
                .await,
        );
    }
    gate.reached_by(100).await;
    gate.release();
    for response in &mut open {
        read_until(response, "\"result\"").await;
    }
    scenario.finish().await;
}
