//! One HTTP request of either era to its answer.

use std::sync::Arc;

use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::guard;
use super::stream::{self, SlowCall};
use super::{ADMIN_SCOPE, COOKIE, Endpoint, LEGACY, MODERN, Outcome, State, tools};
use crate::script;
use crate::wire::{Answer, Request};

const PROTOCOL_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// Revisions that begin with `initialize`, newest first.
const LEGACY_REVISIONS: [&str; 4] = [LEGACY, "2025-06-18", "2025-03-26", "2024-11-05"];

pub(super) async fn handle(state: Arc<State>, request: Request) -> Response {
    let endpoint = if guard::is_prm_request(&state, &request.path) {
        Endpoint::Prm
    } else if request.path == "/mcp" {
        Endpoint::Mcp
    } else {
        Endpoint::Unknown
    };
    let entry = state.journal.open(endpoint, &request);
    let fault = state.script.take(endpoint);
    let normal = async {
        match endpoint {
            Endpoint::Prm => guard::prm(&state, &request.path).into_response(),
            Endpoint::Mcp => mcp(&state, &request).await,
            Endpoint::Unknown => Answer::text(404, "text/plain", "not found").into_response(),
        }
    };
    let mut response = script::answer(fault, normal).await;
    let cookie = format!("{COOKIE}={}; Path=/", state.cookie);
    response
        .headers_mut()
        .insert("set-cookie", HeaderValue::from_str(&cookie).unwrap());
    state.journal.close(entry, response.status().as_u16());
    response
}

async fn mcp(state: &Arc<State>, request: &Request) -> Response {
    let scopes = match guard::admit(state, request) {
        Ok(scopes) => scopes,
        Err(refusal) => return refusal.into_response(),
    };
    let session = request
        .header("mcp-session-id")
        .filter(|id| state.sessions.knows(id));
    match (&request.method, session) {
        (&Method::GET, Some(session)) => stream::listen(state, session, request),
        (&Method::DELETE, Some(session)) => {
            state.sessions.close(session);
            Answer::text(200, "text/plain", "").into_response()
        }
        (&Method::POST, _) => post(state, request, &scopes).await,
        _ => Answer::text(405, "text/plain", "no such stream").into_response(),
    }
}

async fn post(state: &Arc<State>, request: &Request, scopes: &[String]) -> Response {
    let Ok(message) = serde_json::from_slice::<Value>(&request.body) else {
        return error(400, &Value::Null, -32700, "parse error").into_response();
    };
    if let Some(batch) = message.as_array() {
        let answers = batch.iter().filter_map(|one| reply(state, one, false));
        let answers: Vec<Value> = answers.collect();
        return Answer::json(200, &json!(answers)).into_response();
    }
    let claim = message["params"]["_meta"][PROTOCOL_KEY].as_str();
    let modern = claim.is_some();
    let refusal = match claim {
        Some(version) => check_modern(request, &message, version),
        None => check_session(state, request, &message),
    };
    if let Some(refusal) = refusal {
        return refusal.into_response();
    }
    if message.get("id").is_none() || message.get("method").is_none() {
        return Answer::text(202, "text/plain", "").into_response();
    }
    if modern && message["method"] == "subscriptions/listen" {
        return stream::subscribe(state, &message);
    }
    let tool = called_tool(&message);
    match tool {
        Some("scoped") if !scopes.iter().any(|scope| scope == ADMIN_SCOPE) => {
            guard::insufficient_scope(state).into_response()
        }
        Some("slow") => {
            let session = request.header("mcp-session-id").map(str::to_owned);
            stream::slow(SlowCall::new(state.clone(), session, message))
        }
        _ => plain(state, &message, modern).await,
    }
}

/// A JSON answer; the tool waits at its gate, and notices when its caller leaves.
async fn plain(state: &Arc<State>, message: &Value, modern: bool) -> Response {
    if let Some(tool) = called_tool(message) {
        state.record(tool, Outcome::Started);
        let mut watch = Watch {
            state: state.clone(),
            tool: tool.to_owned(),
            finished: false,
        };
        if let Some(gate) = state.gate(tool) {
            gate.pass().await;
        }
        watch.finished = true;
    }
    let body = reply(state, message, modern).unwrap_or_default();
    let status = if modern && body["error"]["code"] == -32601 {
        404
    } else {
        200
    };
    let answer = Answer::json(status, &body);
    if message["method"] == "initialize" {
        let session = state.sessions.open();
        return answer
            .with_header("mcp-session-id", &session)
            .into_response();
    }
    answer.into_response()
}

/// Records how a tool ended, a caller that left included: then hyper drops the handler.
struct Watch {
    state: Arc<State>,
    tool: String,
    finished: bool,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let outcome = if self.finished {
            Outcome::Finished
        } else {
            Outcome::Abandoned
        };
        self.state.record(&self.tool, outcome);
    }
}

fn called_tool(message: &Value) -> Option<&str> {
    let call = message["method"] == "tools/call";
    call.then(|| message["params"]["name"].as_str()).flatten()
}

/// The 2026-07-28 rules on headers: the server compares them with the body.
fn check_modern(request: &Request, message: &Value, version: &str) -> Option<Answer> {
    let id = &message["id"];
    if version != MODERN {
        let mut answer = error(400, id, -32022, "unsupported protocol version");
        let data = json!({ "supported": [MODERN], "requested": version });
        let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
        body["error"]["data"] = data;
        answer.body = body.to_string().into();
        return Some(answer);
    }
    let name = message["params"]["name"]
        .as_str()
        .filter(|_| message["method"] == "tools/call");
    let equal = request.header("mcp-protocol-version") == Some(version)
        && request.header("mcp-method") == message["method"].as_str()
        && (name.is_none() || request.header("mcp-name") == name);
    (!equal).then(|| error(400, id, -32020, "a header does not match the body"))
}

fn check_session(state: &State, request: &Request, message: &Value) -> Option<Answer> {
    if message["method"] == "initialize" {
        return None;
    }
    match request.header("mcp-session-id") {
        None => Some(error(
            400,
            &message["id"],
            -32600,
            "Mcp-Session-Id is missing",
        )),
        Some(id) if !state.sessions.knows(id) => {
            Some(error(404, &message["id"], -32600, "the session is unknown"))
        }
        Some(_) => None,
    }
}

/// The JSON-RPC answer; None for a notification.
fn reply(state: &State, message: &Value, modern: bool) -> Option<Value> {
    let id = message.get("id")?;
    let params = &message["params"];
    let offer = state.offer();
    let capabilities = json!({ "tools": { "listChanged": offer.announces } });
    let mut result = match message["method"].as_str()? {
        "initialize" => {
            let asked = params["protocolVersion"].as_str().unwrap_or_default();
            let known = LEGACY_REVISIONS.contains(&asked);
            json!({
                "protocolVersion": if known { asked } else { LEGACY },
                "capabilities": capabilities,
                "serverInfo": { "name": "fake-mcp", "version": "1.0" },
            })
        }
        "server/discover" if modern => json!({
            "supportedVersions": [MODERN], "capabilities": capabilities, "ttlMs": 0, "cacheScope": "private",
        }),
        "ping" if !modern => json!({}),
        "tools/list" => offer.page(params["cursor"].as_str(), modern),
        "tools/call" => {
            let name = params["name"].as_str().unwrap_or_default();
            match tools::run(name, &params["arguments"]) {
                Some(result) => result,
                None if offer.has(name) => tools::text("ran"),
                None => return Some(rpc_error(id, -32602, "unknown tool")),
            }
        }
        _ => return Some(rpc_error(id, -32601, "method not found")),
    };
    if let (Some(text), Some("initialize" | "server/discover")) =
        (offer.instructions, message["method"].as_str())
    {
        result["instructions"] = json!(text);
    }
    Some(success(id, result, modern))
}

pub(super) fn success(id: &Value, mut result: Value, modern: bool) -> Value {
    if modern {
        result["resultType"] = json!("complete");
    }
    json!({ "jsonrpc": "2.0", "id": id, "result": result })
}

fn rpc_error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

fn error(status: u16, id: &Value, code: i64, message: &str) -> Answer {
    Answer::json(status, &rpc_error(id, code, message))
}
