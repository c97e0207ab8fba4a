//! By what is shown: names, descriptions, arguments and reasons that would rewrite a terminal or a page.

use mcpbridge_tests::client::McpAnswer;
use mcpbridge_tests::mcp::Endpoint;
use mcpbridge_tests::{Fault, McpClient, Queue, Scenario, WebSession};
use serde_json::{Value, json};

/// Clears the screen, sets the title, colours by C1, turns the reading direction, hides, and is markup.
const HOSTILE: &str = "shown\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}desrever\u{2066}\u{200b}\u{feff}\
    \u{2028}\u{ad}\u{180b}\u{fe0f}\u{e0100}\u{115f}\u{3164}\u{2800}\u{206a}\u{fff9}\u{e000}\u{8}\r\n\
    <script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;";

/// What has no business in a text that a person decides by, beside line ends.
fn is_hostile(c: char) -> bool {
    matches!(c,
        '\u{0}'..='\u{9}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
        | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[track_caller]
fn harmless(what: &str, text: &str) {
    let found: Vec<char> = text.chars().filter(|c| is_hostile(*c)).collect();
    assert!(found.is_empty(), "{what} prints {found:?}: {text:?}");
    assert!(
        text.contains("shown"),
        "{what} shows the text at all: {text:?}"
    );
}

/// What the server says of its tools, rewritten: one has changed, and one is new.
fn worse() -> Fault {
    Fault::edit_json(|body| {
        let Some(tools) = body["result"]["tools"].as_array_mut() else {
            return;
        };
        for member in ["title", "description"] {
            tools[0][member] = json!(HOSTILE);
        }
        tools.push(
            json!({ "name": format!("new {HOSTILE}"), "description": HOSTILE,
                    "inputSchema": { "type": "object", "title": HOSTILE } }),
        );
    })
}

/// Every text that others choose, hostile: in a held call, and in what the server says of its tools.
async fn hostile() -> (Scenario, Queue, tokio::task::JoinHandle<McpAnswer>) {
    let scenario = Scenario::under("ask").await;
    let client = scenario.client("hello");
    // What the tools were when a person began to rely on them, and what they became.
    client.request("tools/list", json!({})).await;
    scenario.mcp.script().always(Endpoint::Mcp, worse());
    client.request("tools/list", json!({})).await;
    scenario.mcp.script().clear(Endpoint::Mcp);
    let url = scenario.daemon.mcp_url("hello");
    let calling = tokio::spawn(async move {
        let client = McpClient::modern(&url);
        let arguments = json!({ HOSTILE: HOSTILE, "list": [HOSTILE] });
        let mut params = client.call_params("hello_world", arguments);
        params["_meta"]["io.modelcontextprotocol/clientInfo"] =
            json!({ "name": HOSTILE, "version": HOSTILE });
        client.request("tools/call", params).await
    });
    let queue = Queue::of(&scenario.home).await;
    queue.pending(1).await;
    (scenario, queue, calling)
}

#[tokio::test]
async fn a_terminal_gets_no_control_sequence_of_others() {
    let (scenario, queue, calling) = hostile().await;
    scenario.home.set_env("NO_COLOR", "1");
    let id = queue.pending(1).await.remove(0).id;
    let commands: [&[&str]; 4] = [
        &["approvals"],
        &["approvals", "show", &id],
        &["tools", "hello", "--changes"],
        &["tools", "hello"],
    ];
    for arguments in commands {
        if arguments == ["tools", "hello"] {
            scenario.mcp.script().always(Endpoint::Mcp, worse());
        }
        let printed = scenario.ctl.run_in_terminal(arguments).await;
        harmless(&arguments.join(" "), &printed);
    }
    let denied = ["deny", &id, "--reason", HOSTILE];
    scenario.ctl.run_in_terminal(&denied).await;
    let answer = calling.await.unwrap();
    assert!(answer.is_tool_error(), "{:?}", answer.message);
    let log = scenario.ctl.run_in_terminal(&["audit"]).await;
    harmless("audit", &log);
    scenario.finish().await;
}

#[tokio::test]
async fn a_page_gets_no_markup_of_others() {
    let (scenario, queue, calling) = hostile().await;
    let id = queue.pending(1).await.remove(0).id;
    let session = WebSession::open(&scenario.ctl).await;
    let reason: &[(&str, &str)] = &[("reason", HOSTILE)];
    for path in [
        "/approvals",
        &format!("/approvals/{id}"),
        "/approvals/history",
    ] {
        if path.ends_with("history") {
            session.post(&format!("/approvals/{id}/deny"), reason).await;
        }
        let page = session.get(path).await;
        harmless(path, &page);
        for markup in ["<script>", "<img", "onerror=alert(1)>", "javascript:"] {
            assert!(!page.contains(markup), "{path} contains {markup}: {page}");
        }
    }
    let answer = calling.await.unwrap();
    // The model reads the reason as it is: it is a text to it, in JSON.
    let said: Value = answer.message;
    assert_eq!(said["result"]["isError"], true, "{said}");
    scenario.finish().await;
}
