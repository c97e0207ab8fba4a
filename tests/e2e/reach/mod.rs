//! Everything by which a tool can be reached passes the pipeline.
//!
//! Every route and RPC is read out of the sources and driven against the real daemon with the name of a
//! tool in all it sends. The tables say which of them reach tools. What the server counts must equal what
//! the pipeline recorded, so that a way around the pipeline shows as a call without a record.

mod routes;
mod rpcs;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use mcpbridge_tests::mcp::MODERN;
use mcpbridge_tests::rpc::RpcSocket;
use mcpbridge_tests::{McpClient, Scenario, WebSession, bins};
use reqwest::Method;
use rpcs::Schema;
use serde_json::{Value, json};

/// Whether something reaches a tool.
#[derive(Debug, Clone, Copy)]
enum Reach {
    Tools,
    /// And why not.
    Nothing(&'static str),
    /// Ends what the others need, so it is driven after them.
    End(&'static str),
}
use Reach::{End, Nothing, Tools};

impl Reach {
    fn why_not(self) -> &'static str {
        match self {
            Tools => "",
            Nothing(why) | End(why) => why,
        }
    }
}

/// Every HTTP route of the daemon.
const ROUTES: &[(&str, Reach)] = &[
    ("/mcp/{server}", Tools),
    ("/mcp/{server}/", Tools),
    ("/mcp/{server}/{*path}", Tools),
    ("/openai/{*path}", Nothing("passes requests to a model API")),
    (
        "/anthropic/{*path}",
        Nothing("passes requests to a model API"),
    ),
    ("/.well-known/{*path}", Nothing("always 404")),
    ("/", Nothing("health")),
    ("/healthz", Nothing("health")),
    ("/readyz", Nothing("health")),
    ("/config/servers", Nothing("shows the configuration")),
    ("/callback", Nothing("ends a sign-in")),
    ("/approvals", Nothing("shows calls that wait")),
    ("/approvals/events", Nothing("shows calls that wait")),
    ("/approvals/history", Nothing("shows calls of the past")),
    ("/approvals/grants", Nothing("shows grants")),
    (
        "/approvals/grants/{id}/revoke",
        Nothing("takes a grant back"),
    ),
    ("/approvals/{id}", Nothing("shows one call")),
    // Whoever holds the call sends it, through the pipeline.
    ("/approvals/approve", Nothing("decides only")),
    ("/approvals/deny", Nothing("decides only")),
    ("/approvals/{id}/approve", Nothing("decides only")),
    ("/approvals/{id}/deny", Nothing("decides only")),
    ("/ui/tools", Nothing("shows definitions")),
    ("/ui/tools/{server}", Nothing("shows definitions")),
    (
        "/ui/tools/{server}/approve",
        Nothing("approves definitions"),
    ),
    ("/ui/policies", Nothing("shows rules")),
    ("/ui/policies/{server}/options", Nothing("changes rules")),
    ("/ui/policies/{server}/set", Nothing("changes rules")),
    ("/ui/policies/{server}/unset", Nothing("changes rules")),
    ("/ui/audit", Nothing("shows records")),
    ("/ui/audit/verify", Nothing("checks records")),
    ("/ui/open", Nothing("opens a session")),
    ("/ui/sign-out", Nothing("ends a session")),
    ("/ui/assets/{file}", Nothing("what pages consist of")),
    ("/ui/servers", Nothing("shows the configuration")),
    ("/ui/servers/{server}/login", Nothing("signs in")),
];

/// Every RPC of the control API.
const RPCS: &[(&str, Reach)] = &[
    ("Tools.CallTool", Tools),
    ("Tools.ListTools", Nothing("asks for tools/list only")),
    ("Tools.ListChanges", Nothing("shows definitions")),
    ("Tools.ApproveChanges", Nothing("approves definitions")),
    ("Approvals.ListApprovals", Nothing("shows calls that wait")),
    ("Approvals.GetApproval", Nothing("shows one call")),
    ("Approvals.WatchApprovals", Nothing("shows calls that wait")),
    ("Approvals.Decide", Nothing("decides only")),
    ("Approvals.ListGrants", Nothing("shows grants")),
    ("Approvals.RevokeGrant", Nothing("takes a grant back")),
    ("Approvals.GetPin", Nothing("says whether there is a PIN")),
    ("Approvals.SetPin", Nothing("sets the PIN")),
    ("Approvals.ClearPin", Nothing("removes the PIN")),
    ("Audit.ListAudit", Nothing("shows records")),
    ("Audit.FollowAudit", Nothing("shows records")),
    ("Audit.VerifyAudit", Nothing("checks records")),
    ("Clients.AddClient", Nothing("makes a client token")),
    ("Clients.ListClients", Nothing("shows client tokens")),
    ("Clients.RevokeClient", Nothing("revokes a client token")),
    ("Keys.SetKey", Nothing("stores a key")),
    ("Keys.ListKeys", Nothing("shows model APIs")),
    ("Keys.RemoveKey", Nothing("forgets a key")),
    ("Ui.CreateUiLink", Nothing("opens a session")),
    ("Policy.ListPolicies", Nothing("shows rules")),
    ("Policy.SetPolicy", Nothing("changes rules")),
    ("Policy.SetPolicyOptions", Nothing("changes rules")),
    ("Policy.UnsetPolicy", Nothing("changes rules")),
    ("Policy.TestPolicy", Nothing("only says what would happen")),
    ("Servers.AddServer", Nothing("changes the configuration")),
    ("Servers.GetServer", Nothing("shows the configuration")),
    ("Servers.ListServers", Nothing("shows the configuration")),
    ("Servers.WatchServers", Nothing("shows the configuration")),
    ("Servers.RemoveServer", End("changes the configuration")),
    ("Credentials.Login", Nothing("signs in")),
    ("Credentials.CompleteLogin", Nothing("signs in")),
    ("Credentials.Refresh", Nothing("renews a credential")),
    ("Credentials.Logout", End("forgets a credential")),
    ("Daemon.GetInfo", Nothing("about the daemon")),
    ("Daemon.GetStatus", Nothing("about the daemon")),
    ("Daemon.Shutdown", End("ends the daemon")),
];

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// What a body has to say is said within this time, or the route streams.
const SILENCE: Duration = Duration::from_millis(300);

const TOOL: &str = "echo";

/// What to put for a parameter of a route.
fn parameter(name: &str) -> Option<String> {
    let value = match name {
        "server" => "hello",
        "*path" => "below",
        "id" => "aaaaaaaaaaaa",
        "file" => "page.js",
        _ => return None,
    };
    Some(value.to_owned())
}

/// What to put into a text field of a request.
fn field(name: &str, rpc: &str, effect: &str) -> Option<String> {
    let value = match name {
        "name" | "server" => "hello",
        "tool" => TOOL,
        "arguments_json" => return Some(json!({ "by": rpc }).to_string()),
        "effect" | "policy" => effect,
        _ => return None,
    };
    Some(value.to_owned())
}

/// `found` and `table` name the same things.
fn classified(found: &[String], table: &[(&'static str, Reach)]) -> Result<(), String> {
    let known = |name: &str| table.iter().any(|(known, _)| *known == name);
    let new: Vec<&String> = found.iter().filter(|name| !known(name)).collect();
    if !new.is_empty() {
        return Err(format!(
            "new: {new:?}; add it to the table in tests/e2e/reach/mod.rs"
        ));
    }
    match table
        .iter()
        .find(|(name, _)| !found.iter().any(|one| one == name))
    {
        Some((gone, _)) => Err(format!("{gone} is gone: take it out of the table")),
        None => Ok(()),
    }
}

/// What reached the server, and what the pipeline wrote down before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    calls: usize,
    records: usize,
}

async fn counts(scenario: &Scenario) -> Counts {
    let entries = scenario.mcp.journal().entries();
    let calls = entries.iter().filter(|entry| {
        let body: Value = serde_json::from_slice(&entry.body).unwrap_or_default();
        body["method"] == "tools/call"
    });
    let log = scenario.ctl.run(&["--json", "audit"]).await.success();
    let records = log.json_lines();
    let records = records.iter().filter(|one| one["kind"] == "call.started");
    Counts {
        calls: calls.count(),
        records: records.count(),
    }
}

/// What changed since `before` fits to `reach`, under rules that allow or forbid the tool.
fn judged(
    what: &str,
    reach: Reach,
    allowed: bool,
    before: Counts,
    after: Counts,
) -> Result<(), String> {
    let calls = after.calls - before.calls;
    let records = after.records - before.records;
    if calls != records {
        return Err(format!(
            "{what} passes by the pipeline: {calls} calls, {records} records"
        ));
    }
    match (reach, allowed) {
        (Tools, true) if calls == 0 => Err(format!("{what} was to reach the tool and did not")),
        (Tools, true) => Ok(()),
        _ if calls > 0 => Err(format!("{what} reached the tool: {}", reach.why_not())),
        _ => Ok(()),
    }
}

/// Sends a call of the tool to `path` with every method, as a client, a program and a form would.
async fn drive_route(scenario: &Scenario, path: &str) {
    let session = WebSession::open(&scenario.ctl).await;
    let client = scenario.client("hello");
    let message = client.message("tools/call", client.call_params(TOOL, json!({})));
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("csrf", &session.csrf);
    for name in ["server", "tool", "effect", "arguments_json", "id"] {
        form.append_pair(name, &field(name, path, "").unwrap_or_default());
    }
    let bodies = [
        ("application/json", message.to_string()),
        ("application/x-www-form-urlencoded", form.finish()),
    ];
    for method in METHODS {
        for (kind, body) in &bodies {
            let request = session.request(method.clone(), path);
            let request = request
                .header("accept", "application/json, text/event-stream")
                .header("content-type", *kind)
                .header("x-csrf-token", &session.csrf)
                .header("mcp-protocol-version", MODERN)
                .header("mcp-method", "tools/call")
                .header("mcp-name", TOOL)
                .body(body.clone());
            let mut answer = request.send().await.unwrap();
            while let Ok(Ok(Some(_))) = tokio::time::timeout(SILENCE, answer.chunk()).await {}
        }
    }
}

async fn routes_reach_only_through_the_pipeline(effect: &str) {
    let found = routes::in_sources(&bins::root().join("daemon")).unwrap();
    classified(&found, ROUTES).unwrap();
    let scenario = Scenario::under(effect).await;
    // And what no route is for.
    let all = [("/no/such/page", Nothing("the fallback"))];
    for (route, reach) in ROUTES.iter().chain(&all) {
        let before = counts(&scenario).await;
        let path = routes::filled(route, parameter).unwrap();
        drive_route(&scenario, &path).await;
        let after = counts(&scenario).await;
        judged(route, *reach, effect == "allow", before, after).unwrap();
    }
    scenario.finish().await;
}

#[tokio::test]
async fn no_route_reaches_a_forbidden_tool() {
    routes_reach_only_through_the_pipeline("deny").await;
}

#[tokio::test]
async fn every_call_by_a_route_is_recorded_before_it_is_sent() {
    routes_reach_only_through_the_pipeline("allow").await;
}

async fn rpcs_reach_only_through_the_pipeline(effect: &str) {
    let schema = Schema::read(&bins::root().join("proto"));
    let names: Vec<String> = schema.rpcs.iter().map(|rpc| rpc.name.clone()).collect();
    classified(&names, RPCS).unwrap();
    let table: BTreeMap<&str, Reach> = RPCS.iter().copied().collect();
    let mut scenario = Scenario::under(effect).await;
    let socket = RpcSocket::connect(&scenario.home.socket()).await;
    let is_end = |name: &str| matches!(table[name], End(_));
    let (ends, others): (Vec<_>, Vec<_>) = schema.rpcs.iter().partition(|rpc| is_end(&rpc.name));
    // The daemon's own end comes last.
    let ends = ends.iter().rev();
    for rpc in others.iter().chain(ends) {
        let before = counts(&scenario).await;
        let request = schema.request(rpc, &|name| field(name, &rpc.name, effect));
        let answer = socket.call(&rpc.path, request).await;
        if rpc.name == "Daemon.Shutdown" {
            assert!(scenario.daemon.wait().await.success());
            scenario.daemon.launch().await;
        }
        let after = counts(&scenario).await;
        let what = format!("{} ({answer:?})", rpc.name);
        judged(
            &what,
            table[rpc.name.as_str()],
            effect == "allow",
            before,
            after,
        )
        .unwrap();
    }
    scenario.finish().await;
}

#[tokio::test]
async fn no_rpc_reaches_a_forbidden_tool() {
    rpcs_reach_only_through_the_pipeline("deny").await;
}

#[tokio::test]
async fn every_call_by_an_rpc_is_recorded_before_it_is_sent() {
    rpcs_reach_only_through_the_pipeline("allow").await;
}

#[tokio::test]
async fn a_call_around_the_pipeline_is_noticed() {
    let scenario = Scenario::under("allow").await;
    let before = counts(&scenario).await;
    let around = McpClient::modern(&scenario.mcp.url());
    around.call(TOOL, json!({})).await;
    let after = counts(&scenario).await;
    for reach in [Tools, Nothing("planted")] {
        let judgement = judged("/planted", reach, true, before, after);
        assert!(judgement.unwrap_err().contains("passes by the pipeline"));
    }
    scenario.finish().await;
}

#[test]
fn a_new_route_or_rpc_has_to_be_classified() {
    let planted = r#"Router::new()
        .route("/healthz", get(healthz))
        .route(
            // Calls a tool.
            "/planted/{tool}",
            post(planted),
        )"#;
    let found = routes::literals(planted).unwrap();
    assert_eq!(found, ["/healthz", "/planted/{tool}"]);
    let refused = classified(&found, ROUTES).unwrap_err();
    assert!(refused.contains("add it to the table"), "{refused}");
    let gone = classified(&["/healthz".to_owned()], ROUTES).unwrap_err();
    assert!(gone.contains("is gone"), "{gone}");
    assert!(classified(&["Tools.Planted".to_owned()], RPCS).is_err());
    let unreadable = [
        "Router::new().route(PLANTED, post(planted))",
        "Router::new().nest(\"/planted\", other())",
        "Router::new().route_service(\"/planted\", service)",
        "Router::new().fallback_service(service)",
    ];
    for source in unreadable {
        assert!(routes::literals(source).is_err(), "{source}");
    }
    assert!(routes::filled("/planted/{unknown}", parameter).is_err());
    assert_eq!(
        routes::filled("/mcp/{server}/{*path}", parameter).unwrap(),
        "/mcp/hello/below"
    );
}

#[test]
fn requests_are_encoded_as_the_schema_says() {
    let schema = Schema::read(&bins::root().join("proto"));
    let named = |name: &str| schema.rpcs.iter().find(|rpc| rpc.name == name).unwrap();
    let value = |name: &str| field(name, "x", "deny");
    let call = schema.request(named("Tools.CallTool"), &value);
    let expected = b"\x0a\x05hello\x12\x04echo\x1a\x0a{\"by\":\"x\"}";
    assert_eq!(call, Bytes::from_static(expected));
    let nested = schema.request(named("Policy.SetPolicy"), &value);
    assert_eq!(nested[..4], [0x0a, 19, 0x0a, 5], "{nested:?}");
}
