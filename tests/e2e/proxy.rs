//! What the proxy adds, removes and decides.

use mcpbridge_tests::mcp::{self, Access};
use mcpbridge_tests::{Fault, Gate, McpClient, Scenario, client};
use serde_json::{Value, json};

/// A daemon whose clients are told at once that a call waits for a decision.
async fn holding_nothing() -> Scenario {
    let settings = json!({ "hold_seconds": 0, "max_hold_seconds": 0 });
    let builder = Scenario::builder().setting("approvals", settings);
    let scenario = builder.start().await;
    scenario.add("hello").await;
    scenario
}

/// The last request that reached the MCP endpoint.
fn last_request(scenario: &Scenario) -> mcpbridge_tests::journal::Entry<mcp::Endpoint> {
    scenario.mcp.journal().of(mcp::Endpoint::Mcp).pop().unwrap()
}

#[tokio::test]
async fn a_callers_credentials_stay_here_and_ours_go_out() {
    let scenario = Scenario::signed_in().await;
    let client = scenario.client("hello");
    let message = client.message(
        "tools/call",
        client.call_params("echo", json!({ "n": 1.0 })),
    );
    let post = client
        .prepare(&message)
        .header("authorization", "Bearer of-the-caller")
        .header("cookie", "caller=1")
        .header("proxy-authorization", "Basic x")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("mcp-param-region", "eu");
    let answer = post.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert!(answer.headers().get("set-cookie").is_none());
    let seen = last_request(&scenario);
    let bearer = seen.header("authorization").unwrap();
    let live = scenario.authz.live(bearer.strip_prefix("Bearer ").unwrap());
    assert_eq!(live.unwrap().resource.unwrap(), scenario.mcp.resource());
    for absent in ["cookie", "proxy-authorization", "x-hop", "origin"] {
        assert_eq!(seen.header(absent), None, "{absent}");
    }
    assert_eq!(seen.header("mcp-param-region"), Some("eu"));
    assert!(seen.header("traceparent").is_some());
    assert_eq!(
        seen.body,
        message.to_string().as_bytes(),
        "the bytes pass unchanged"
    );
    scenario.finish().await;
}

#[tokio::test]
async fn path_and_query_below_the_server_pass() {
    let scenario = Scenario::signed_in().await;
    let http = client::http();
    let url = format!("{}/sub/path?x=%2F&y", scenario.daemon.mcp_url("hello"));
    let answer = http
        .get(url)
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 404, "the upstream's own answer");
    let seen = scenario
        .mcp
        .journal()
        .of(mcp::Endpoint::Unknown)
        .pop()
        .unwrap();
    assert_eq!(seen.path, "/mcp/sub/path");
    scenario.finish().await;
}

#[tokio::test]
async fn a_refused_token_is_refreshed_and_the_call_retried_once() {
    let scenario = Scenario::signed_in().await;
    scenario.authz.expire_access_tokens();
    let answer = scenario
        .call("hello", "hello_world", json!({ "name": "R" }))
        .await;
    answer.assert_text("Hello, R!");
    assert_eq!(scenario.authz.refreshes(), 1);
    // A server that refuses every token is not asked without end.
    let before = scenario.mcp.requests();
    scenario
        .mcp
        .script()
        .always(mcp::Endpoint::Mcp, Fault::status(401));
    let answer = scenario.call("hello", "echo", json!({})).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.get("www-authenticate").is_none());
    assert!(scenario.mcp.requests() - before <= 2);
    assert!(scenario.authz.refreshes() <= 2);
    scenario.finish().await;
}

#[tokio::test]
async fn upstream_statuses_other_than_challenges_pass() {
    let scenario = Scenario::signed_in().await;
    for status in [400, 404, 405, 429, 500, 503] {
        scenario
            .mcp
            .script()
            .once(mcp::Endpoint::Mcp, Fault::status(status));
        let answer = scenario.call("hello", "echo", json!({})).await;
        assert_eq!((answer.status, &answer.raw[..]), (status, &b"a fault"[..]));
    }
    assert_eq!(scenario.authz.refreshes(), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn an_unreachable_server_is_an_error_the_client_can_read() {
    let scenario = Scenario::start().await;
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", nowhere.local_addr().unwrap());
    drop(nowhere);
    let arguments = ["add", "gone", &url, "--no-auth", "--policy", "allow"];
    scenario.ctl.run(&arguments).await;
    let answer = scenario.call("gone", "echo", json!({})).await;
    let text = String::from_utf8_lossy(&answer.raw).into_owned();
    assert!(
        answer.message["id"].is_i64() && text.contains("127.0.0.1"),
        "{} {text}",
        answer.status
    );
    scenario.finish().await;
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let scenario = Scenario::signed_in().await;
    let other = mcpbridge_tests::FakeMcp::start(
        mcpbridge_tests::McpOptions::new(Access::Open),
        &scenario.secrets,
    )
    .await;
    scenario
        .mcp
        .script()
        .once(mcp::Endpoint::Mcp, Fault::redirect(&other.url()));
    scenario.call("hello", "echo", json!({})).await;
    assert_eq!(other.requests(), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn what_is_not_allowed_does_not_run() {
    let scenario = holding_nothing().await;
    let policy = |rest: &'static [&'static str]| {
        let arguments = [&["policy", "set", "hello"], rest].concat();
        let ctl = &scenario.ctl;
        async move { ctl.run(&arguments).await.success() }
    };
    policy(&["ask"]).await;
    policy(&["fail", "deny"]).await;
    policy(&["server_*", "allow"]).await;
    let pending = scenario.call("hello", "echo", json!({})).await;
    assert!(
        pending.status == 200 && pending.is_tool_error(),
        "{:?}",
        pending.message
    );
    assert!(
        pending.text().contains("mcpbridgectl approve"),
        "{}",
        pending.text()
    );
    let denied = scenario.call("hello", "fail", json!({})).await;
    assert_eq!(denied.error_message(), "Unknown tool: fail");
    for tool in ["echo", "fail"] {
        assert_eq!(scenario.mcp.executions(tool), 0);
    }
    let allowed = scenario.call("hello", "server_info", json!({})).await;
    allowed.assert_text("mcpbridge demo server 1.0");
    scenario.finish().await;
}

#[tokio::test]
async fn a_new_server_asks_by_default() {
    let scenario = holding_nothing().await;
    let url = scenario.mcp.url();
    scenario
        .sign_in(&["add", "other", &url, "--no-browser"])
        .await;
    let pending = scenario.call("other", "echo", json!({})).await;
    assert!(pending.is_tool_error(), "{:?}", pending.message);
    assert_eq!(scenario.mcp.executions("echo"), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn a_call_hidden_from_one_reader_is_refused() {
    // Two readers of a duplicate key may each see another tool.
    let scenario = Scenario::signed_in().await;
    scenario
        .ctl
        .run(&["policy", "set", "hello", "echo", "deny"])
        .await
        .success();
    let client = scenario.client("hello");
    let message = client.message("tools/call", client.call_params("server_info", json!({})));
    let body = message.to_string();
    let twice = [
        body.replacen("\"name\":", "\"name\":\"echo\",\"name\":", 1),
        body.replacen("\"method\":", "\"method\":\"tools/list\",\"method\":", 1),
        format!("[{body}]"),
    ];
    for body in twice {
        let before = scenario.mcp.requests();
        let answer = client
            .prepare(&message)
            .body(body.clone())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), 400, "{body}");
        assert_eq!(scenario.mcp.requests(), before, "{body}");
    }
    scenario.finish().await;
}

#[tokio::test]
async fn a_request_beyond_the_cap_is_refused_while_it_is_read() {
    let scenario = Scenario::signed_in().await;
    let before = scenario.mcp.requests();
    let text = "z".repeat(17 << 20);
    let client = scenario.client("hello");
    let message = client.message(
        "tools/call",
        client.call_params("echo", json!({ "t": text })),
    );
    // The answer may come while the body is still being sent; then the connection is closed.
    if let Ok(answer) = client.prepare(&message).send().await {
        assert_eq!(answer.status().as_u16(), 413);
    }
    assert_eq!(scenario.mcp.requests(), before);
    scenario.finish().await;
}

#[tokio::test]
async fn unknown_servers_and_well_known_paths_answer_404() {
    let scenario = Scenario::signed_in().await;
    let base = scenario.daemon.base_url();
    let http = client::http();
    for path in [
        "/mcp/nobody",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp/hello",
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/mcp/hello",
        "/.well-known/openid-configuration",
        "/mcp/hello/.well-known/oauth-protected-resource",
        "/mcp/hello/.well-known/openid-configuration",
    ] {
        let answer = http.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 404, "{path}");
    }
    scenario.finish().await;
}

#[tokio::test]
async fn our_own_routes_tell_health_and_servers_without_secrets() {
    let scenario = Scenario::signed_in().await;
    let base = scenario.daemon.base_url();
    let http = client::http();
    for path in ["/", "/healthz", "/readyz"] {
        let answer = http.get(format!("{base}{path}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
    }
    let servers = http
        .get(format!("{base}/config/servers"))
        .send()
        .await
        .unwrap();
    let servers = servers.text().await.unwrap();
    assert!(servers.contains("hello"), "{servers}");
    for (secret, kind) in scenario.secrets.all() {
        assert!(!servers.contains(&secret), "a {kind} in {servers}");
    }
    scenario.finish().await;
}

#[tokio::test]
async fn a_batch_of_an_older_era_is_decided_call_by_call() {
    let scenario = Scenario::builder()
        .mcp(|mcp| mcp.access = Access::Open)
        .start()
        .await;
    scenario.add_static("hello", &["--no-auth"], "").await;
    scenario
        .ctl
        .run(&["policy", "set", "hello", "fail", "deny"])
        .await
        .success();
    let http = client::http();
    let call = |id: u64, tool: &str| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
                "params": { "name": tool, "arguments": {} } })
    };
    let send = async |body: Value| {
        let post = http.post(scenario.daemon.mcp_url("hello"));
        let post = post.header("accept", "application/json, text/event-stream");
        let post = post.header("content-type", "application/json");
        post.header("mcp-protocol-version", "2025-03-26")
            .body(body.to_string())
            .send()
            .await
    };
    let allowed = send(json!([call(1, "server_info"), call(2, "echo")]))
        .await
        .unwrap();
    assert_eq!(allowed.status().as_u16(), 200);
    send(json!([call(3, "server_info"), call(4, "fail")]))
        .await
        .unwrap();
    assert_eq!(scenario.mcp.executions("fail"), 0);
    scenario.finish().await;
}

#[tokio::test]
async fn calls_to_one_slow_server_do_not_hold_up_another() {
    let scenario = Scenario::signed_in().await;
    let slow = Gate::new();
    scenario
        .mcp
        .script()
        .once(mcp::Endpoint::Mcp, Fault::HoldBefore(slow.clone()));
    let held = scenario.client("hello");
    let held = tokio::spawn(async move { held.call("echo", json!({})).await.status });
    slow.reached().await;
    let direct = McpClient::modern(&scenario.daemon.mcp_url("hello"));
    direct
        .call("hello_world", json!({ "name": "Q" }))
        .await
        .assert_text("Hello, Q!");
    slow.release();
    assert_eq!(held.await.unwrap(), 200);
    scenario.finish().await;
}
