//! Ways to a decision, or around one, that must not work: the call stays undecided, and the server is
//! never called.

mod pages;
mod state;
mod text;

use std::sync::Arc;

use mcpbridge_proto::v1::Approval;
use mcpbridge_tests::client::McpAnswer;
use mcpbridge_tests::{McpClient, Queue, Scenario};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A call that waits for its decision.
struct Held {
    scenario: Scenario,
    queue: Queue,
    item: Approval,
    calling: JoinHandle<McpAnswer>,
}

impl Held {
    async fn start(arguments: Value) -> Self {
        let scenario = Scenario::under("ask").await;
        let client = scenario.client("hello");
        let calling = tokio::spawn(async move { client.call("echo", arguments).await });
        let queue = Queue::of(&scenario.home).await;
        let item = queue.pending(1).await.remove(0);
        Self {
            scenario,
            queue,
            item,
            calling,
        }
    }

    /// Nothing of what was tried counted, and a person's answer still does.
    async fn still_waits(self) {
        let now = self.queue.get(&self.item.id).await;
        assert_eq!(now.state, "pending", "{now:?}");
        assert_eq!(self.scenario.mcp.executions("echo"), 0);
        self.queue.deny(&self.item.id, "enough").await.unwrap();
        let answer = self.calling.await.unwrap();
        assert!(answer.is_tool_error(), "{:?}", answer.message);
        assert!(answer.text().contains("enough"), "{}", answer.text());
        assert_eq!(self.scenario.mcp.executions("echo"), 0);
        self.scenario.finish().await;
    }
}

/// A client of 2026-07-28 that can open pages for its user.
fn asking(scenario: &Scenario, server: &str) -> McpClient {
    let url = scenario.daemon.mcp_url(server);
    McpClient::modern(&url).with_capabilities(json!({ "elicitation": { "url": {} } }))
}

/// Calls in the background, for a test that looks at what the call waits for.
fn held(client: &Arc<McpClient>, params: Value) -> JoinHandle<McpAnswer> {
    let client = Arc::clone(client);
    tokio::spawn(async move { client.request("tools/call", params).await })
}
