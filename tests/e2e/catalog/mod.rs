//! What clients learn of a server's tools, and what it takes to rely on a tool that changed.

mod changes;
mod lists;

use mcpbridge_tests::mcp::Access;
use mcpbridge_tests::{McpClient, Scenario};
use serde_json::{Value, json};

/// A server without sign-in, all tools allowed, and clients that are not held for long.
async fn open() -> Scenario {
    let scenario = Scenario::builder()
        .mcp(|mcp| mcp.access = Access::Open)
        .setting(
            "approvals",
            json!({ "hold_seconds": 0, "max_hold_seconds": 0 }),
        )
        .start()
        .await;
    scenario.add_static("hello", &["--no-auth"], "").await;
    scenario
}

/// The same, its tools pinned.
async fn pinned() -> Scenario {
    let scenario = open().await;
    names(&scenario.client("hello")).await;
    scenario
}

async fn ctl(scenario: &Scenario, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    scenario.ctl.run(&arguments).await.success().json()
}

/// All pages of the list.
async fn pages(client: &McpClient) -> Vec<Value> {
    let mut pages: Vec<Value> = Vec::new();
    let mut params = json!({});
    loop {
        let mut answer = client.request("tools/list", params).await;
        let page = answer.message["result"].take();
        assert!(
            page["tools"].is_array(),
            "{}",
            String::from_utf8_lossy(&answer.raw)
        );
        let next = page["nextCursor"].clone();
        pages.push(page);
        if next.is_null() {
            return pages;
        }
        params = json!({ "cursor": next });
    }
}

async fn names(client: &McpClient) -> Vec<String> {
    let pages = pages(client).await;
    let tools = pages
        .iter()
        .flat_map(|page| page["tools"].as_array().unwrap());
    tools
        .map(|tool| tool["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn call(scenario: &Scenario, tool: &str) -> mcpbridge_tests::client::McpAnswer {
    scenario.call("hello", tool, json!({})).await
}

/// Calls `tool`, for which a person is asked, and returns the question.
async fn held(scenario: &Scenario, tool: &str) -> Value {
    let before = scenario.mcp.executions(tool);
    let answer = call(scenario, tool).await;
    assert!(
        answer.is_tool_error() && answer.text().contains("call"),
        "{}",
        answer.text()
    );
    assert_eq!(scenario.mcp.executions(tool), before, "nothing was sent");
    let items = ctl(scenario, &["approvals", "list", "--state", "pending"]).await;
    let items = items.as_array().unwrap();
    let found = items.iter().find(|item| item["tool"] == tool);
    found
        .unwrap_or_else(|| panic!("{tool} is not asked about"))
        .clone()
}

async fn runs(scenario: &Scenario, tool: &str) {
    let before = scenario.mcp.executions(tool);
    let answer = call(scenario, tool).await;
    assert!(
        answer.message["result"].is_object(),
        "{}",
        String::from_utf8_lossy(&answer.raw)
    );
    assert_eq!(
        scenario.mcp.executions(tool),
        before + 1,
        "{}",
        answer.text()
    );
}
