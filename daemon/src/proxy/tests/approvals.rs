//! Calls that a person decides, through the proxy.

mod carriers;
mod changes;
mod endings;
mod shown;

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::bridge::Bridge;
use super::{call, text_of};
use crate::approval::{Item, State, Verdict};
use crate::config::{Config, ServerConfig};
use crate::types::{ApprovalId, Decider};

/// What the server was sent.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<String>>>);

impl Sent {
    fn bodies(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn messages(&self) -> Vec<Value> {
        let bodies = self.bodies();
        let parse = |body: &String| serde_json::from_str(body).unwrap_or_default();
        bodies.iter().map(parse).collect()
    }

    fn calls(&self) -> usize {
        let messages = self.messages();
        let calls = messages.iter().filter(|m| m["method"] == "tools/call");
        calls.count()
    }
}

/// Answers calls with `result`, made from the message, and opens the session `s-1`.
fn server(sent: &Sent, result: fn(&Value) -> Value) -> Router {
    let sent = sent.clone();
    Router::new().fallback(move |_: Method, _: HeaderMap, body: Bytes| async move {
        let text = String::from_utf8_lossy(&body).into_owned();
        let message: Value = serde_json::from_str(&text).unwrap_or_default();
        sent.0.lock().unwrap().push(text);
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result(&message)});
        let headers = [
            ("content-type", "application/json"),
            ("mcp-session-id", "s-1"),
        ];
        (StatusCode::OK, headers, answer.to_string())
    })
}

fn done(_: &Value) -> Value {
    json!({"content": [{"type": "text", "text": "done"}]})
}

/// A bridge that holds calls for `hold` seconds.
async fn holding(hold: u64, upstream: Router) -> Bridge {
    configured(upstream, |config, _| config.approvals.hold_seconds = hold).await
}

async fn configured(
    upstream: Router,
    change: impl FnOnce(&mut Config, &mut ServerConfig),
) -> Bridge {
    Bridge::configured(upstream, change).await
}

const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");
const JSON: (&str, &str) = ("content-type", "application/json");

impl Bridge {
    /// Sends a call as a client does that reads event streams.
    async fn open(&self, body: &Value, more: &[(&str, &str)]) -> Response<Incoming> {
        let headers = [&[ACCEPT, JSON], more].concat();
        self.send(Method::POST, "/mcp/up", &headers, body.to_string())
            .await
    }

    /// The one item that waits for a decision, as soon as it is there.
    async fn asked(&self) -> Arc<Item> {
        loop {
            if let [item] = self.approvals.pending().as_slice() {
                return Arc::clone(item);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn decide(&self, id: ApprovalId, verdict: Verdict) {
        let by = Decider::Control {
            pid: None,
            exe: None,
        };
        let decided = self.approvals.decide_one(id, verdict, by, None).await;
        decided.unwrap();
    }

    /// Waits until the item has this state.
    async fn until(&self, id: ApprovalId, state: State) -> Arc<Item> {
        loop {
            let item = self.approvals.get(id).await.unwrap();
            if item.state == state {
                return item;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The messages of an event stream that ends.
async fn events(response: Response<Incoming>) -> Vec<Value> {
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn ask(id: u64) -> Value {
    call(json!(id), "ask_me")
}

#[tokio::test]
async fn a_call_waits_and_runs_once_when_it_is_approved() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let mut body = ask(7);
    body["params"]["arguments"] = json!({"n": 1});
    let open = bridge.open(&body, &[]).await;
    assert_eq!(open.headers()["content-type"], "text/event-stream");
    let item = bridge.asked().await;
    assert_eq!(item.action.arguments, r#"{"n":1}"#);
    assert_eq!(sent.calls(), 0);
    bridge.decide(item.id, Verdict::approve()).await;
    let events = events(open).await;
    assert_eq!(events.last().unwrap()["id"], 7);
    assert_eq!(text_of(events.last().unwrap()), "done");
    assert_eq!(sent.bodies(), [body.to_string()], "the very bytes, once");
    bridge.until(item.id, State::Done).await;
}

#[tokio::test]
async fn a_client_that_reads_no_events_waits_without_a_sign() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let body = ask(7);
    let waiting = bridge.post(&body);
    let deciding = async {
        let item = bridge.asked().await;
        bridge.decide(item.id, Verdict::approve()).await;
    };
    let ((status, answer), ()) = tokio::join!(waiting, deciding);
    assert_eq!((status.as_u16(), text_of(&answer)), (200, "done"));
    assert_eq!(sent.calls(), 1);
}

#[tokio::test]
async fn an_undecided_call_is_to_be_made_again_and_then_runs_once() {
    let sent = Sent::default();
    let bridge = holding(0, server(&sent, done)).await;
    let (status, answer) = bridge.post(&ask(1)).await;
    assert_eq!(status, 200);
    assert_eq!(answer["result"]["isError"], true);
    let item = bridge.asked().await;
    let marker = &answer["result"]["_meta"]["io.github.mcp-oauth-bridge/approval"];
    assert_eq!(*marker, json!({"id": item.id, "state": "pending"}));
    let text = text_of(&answer);
    assert!(text.contains("Approval pending"), "{text}");
    assert!(
        text.contains(&format!("mcpbridgectl approve {}", item.id)),
        "{text}"
    );
    assert!(text.contains(&format!("/approvals/{}", item.id)), "{text}");
    // The same call joins the same question.
    bridge.post(&ask(2)).await;
    assert_eq!(bridge.asked().await.id, item.id);
    bridge.decide(item.id, Verdict::approve()).await;
    let (_, answer) = bridge.post(&ask(3)).await;
    assert_eq!(text_of(&answer), "done");
    bridge.until(item.id, State::Done).await;
    let (_, answer) = bridge.post(&ask(4)).await;
    assert!(text_of(&answer).contains("Approval pending"), "{answer}");
    assert_eq!(sent.calls(), 1);
}

#[tokio::test]
async fn a_denial_reaches_the_model_with_its_reason() {
    let bridge = holding(60, server(&Sent::default(), done)).await;
    let open = bridge.open(&ask(1), &[]).await;
    let item = bridge.asked().await;
    let reason = Some("wrong customer".to_owned());
    bridge.decide(item.id, Verdict::Deny { reason }).await;
    let answer = events(open).await.pop().unwrap();
    assert_eq!(answer["result"]["isError"], true);
    assert!(text_of(&answer).contains("wrong customer"), "{answer}");
}

#[tokio::test]
async fn edited_arguments_are_what_the_server_gets() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let body = r#"{"id":1,"jsonrpc":"2.0","method":"tools/call","params":{"x":1.0,"name":"ask_me","arguments":{"amount":1000}}}"#;
    let open = bridge.send(Method::POST, "/mcp/up", &[ACCEPT, JSON], body);
    let open = open.await;
    let item = bridge.asked().await;
    let verdict = Verdict::Approve {
        remember: crate::approval::Remember::Once,
        arguments: Some(r#"{"amount": 10}"#.to_owned()),
    };
    bridge.decide(item.id, verdict).await;
    events(open).await;
    let expected = body.replace(r#"{"amount":1000}"#, r#"{"amount": 10}"#);
    assert_eq!(sent.bodies(), [expected]);
}

#[tokio::test]
async fn arguments_that_headers_repeat_cannot_be_edited() {
    let bridge = holding(60, server(&Sent::default(), done)).await;
    let _open = bridge.open(&ask(1), &[("mcp-param-region", "eu")]).await;
    assert!(!bridge.asked().await.action.editable);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_take_the_question_with_it() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let open = bridge.open(&ask(1), &[]).await;
    let item = bridge.asked().await;
    drop(open);
    while bridge.approvals.waiting(item.id) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bridge.decide(item.id, Verdict::approve()).await;
    assert_eq!(sent.calls(), 0, "nobody waits for it");
    let (_, answer) = bridge.post(&ask(2)).await;
    assert_eq!(text_of(&answer), "done");
}

#[tokio::test]
async fn a_call_that_cannot_be_asked_about_is_refused() {
    let sent = Sent::default();
    let bridge = holding(60, server(&sent, done)).await;
    let (status, answer) = bridge.post(&json!([call(json!(1), "fine"), ask(2)])).await;
    assert_eq!(status, 200);
    assert!(
        text_of(&answer[1]).contains("send this call alone"),
        "{answer}"
    );
    let silent = json!({"method": "tools/call", "params": {"name": "ask_me"}});
    assert_eq!(bridge.post(&silent).await.0, 400);
    assert_eq!((sent.calls(), bridge.approvals.pending().len()), (0, 0));
}

#[tokio::test]
async fn the_end_of_the_daemon_ends_the_waiting() {
    let bridge = holding(60, server(&Sent::default(), done)).await;
    let open = bridge.open(&ask(1), &[]).await;
    let item = bridge.asked().await;
    bridge.lifecycle.begin_shutdown("test");
    let answer = events(open).await.pop().unwrap();
    assert!(text_of(&answer).contains("Approval pending"), "{answer}");
    let item = bridge.approvals.get(item.id).await.unwrap();
    assert_eq!(item.state, State::Pending);
}

#[tokio::test]
async fn without_a_progress_token_comments_keep_the_client() {
    let bridge = holding(60, server(&Sent::default(), done)).await;
    let open = bridge.open(&ask(1), &[]).await;
    let item = bridge.asked().await;
    let mut body = open.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, ": waiting for approval\n\n");
    bridge.decide(item.id, Verdict::approve()).await;
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&rest).contains("notifications/progress"));
}

#[tokio::test]
async fn progress_keeps_the_client_and_never_goes_back() {
    let sent = Sent::default();
    let upstream = Router::new().fallback({
        let sent = sent.clone();
        move |body: Bytes| async move {
            sent.0
                .lock()
                .unwrap()
                .push(String::from_utf8_lossy(&body).into_owned());
            let progress = |value: f64| {
                let params = json!({"progressToken": "p", "progress": value});
                json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
            };
            let result = json!({"jsonrpc": "2.0", "id": 1, "result": done(&Value::Null)});
            let events = [
                format!("id: 1\ndata: {}\n\n", progress(0.0)),
                format!(": still there\n\nid: 2\ndata: {}\n\n", progress(1.0)),
                format!("id: 3\ndata: {result}\n\n"),
            ];
            ([("content-type", "text/event-stream")], events.concat())
        }
    });
    let bridge = configured(upstream, |config, _| {
        config.approvals.hold_seconds = 0;
        config.approvals.max_hold_seconds = 60;
    })
    .await;
    let mut body = ask(1);
    body["params"]["_meta"] = json!({"progressToken": "p"});
    let open = bridge.open(&body, &[]).await;
    let item = bridge.asked().await;
    bridge.decide(item.id, Verdict::approve()).await;
    let events = events(open).await;
    let told: Vec<f64> = events
        .iter()
        .filter_map(|event| event["params"]["progress"].as_f64())
        .collect();
    assert!(told.is_sorted_by(|one, next| one < next), "{told:?}");
    assert_eq!(told.last(), Some(&1.0), "{told:?}");
    assert_eq!(text_of(events.last().unwrap()), "done");
}
