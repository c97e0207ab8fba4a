//! Server-sent events: the streamed answer of `slow`, and the GET stream of the `initialize` era.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{BroadcastStream, ReceiverStream};

use super::dispatch::success;
use super::{COMMENT, Outcome, RETRY_MS, State, tools};
use crate::wire::Request;

/// One call of the tool `slow`.
pub(super) struct SlowCall {
    state: Arc<State>,
    /// Present in the `initialize` era: then events have ids and outlive the connection.
    session: Option<String>,
    message: Value,
}

impl SlowCall {
    pub(super) fn new(state: Arc<State>, session: Option<String>, message: Value) -> Self {
        Self {
            state,
            session,
            message,
        }
    }

    fn event(&self, data: &str) -> String {
        match &self.session {
            Some(session) => {
                let id = self.state.sessions.keep(session, data);
                format!("id: {id}\ndata: {data}\n\n")
            }
            None => format!("data: {data}\n\n"),
        }
    }

    fn progress(&self, step: u64, steps: u64) -> Value {
        let token = &self.message["params"]["_meta"]["progressToken"];
        json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": { "progressToken": token, "progress": step, "total": steps },
        })
    }

    /// Runs to its end; in the modern era a caller that leaves ends it.
    async fn run(self, caller: mpsc::Sender<String>) {
        let arguments = &self.message["params"]["arguments"];
        let steps = arguments["steps"].as_u64().unwrap_or(3);
        self.state.record("slow", Outcome::Started);
        if self.session.is_some() {
            // The priming event of 2025-11-25: an id to resume from, and no data.
            let id = self
                .state
                .sessions
                .keep(self.session.as_deref().unwrap(), "");
            self.send(&caller, format!("id: {id}\nretry: {RETRY_MS}\ndata:\n\n"))
                .await;
        }
        self.send(&caller, COMMENT.to_owned()).await;
        for step in 1..=steps {
            self.send(&caller, self.event(&self.progress(step, steps).to_string()))
                .await;
        }
        if let Some(gate) = self.state.gate("slow") {
            tokio::select! {
                () = gate.pass() => {}
                () = caller.closed() => {
                    self.state.record("slow", Outcome::Abandoned);
                    if self.session.is_none() {
                        return;
                    }
                    gate.pass().await;
                }
            }
        }
        let result = tools::run("slow", arguments).unwrap();
        let answer = success(&self.message["id"], result, self.session.is_none());
        self.send(&caller, self.event(&answer.to_string())).await;
        self.state.record("slow", Outcome::Finished);
    }

    /// A caller that left is noticed at the gate; the session keeps the event for it.
    async fn send(&self, caller: &mpsc::Sender<String>, event: String) {
        let _ = caller.send(event).await;
    }
}

pub(super) fn slow(call: SlowCall) -> Response {
    let (caller, events) = mpsc::channel(16);
    tokio::spawn(call.run(caller));
    sse(ReceiverStream::new(events))
}

/// Replays what the client missed, then sends notices for as long as it listens.
pub(super) fn listen(state: &Arc<State>, session: &str, request: &Request) -> Response {
    let replay: Vec<String> = match request.header("last-event-id").map(str::parse) {
        Some(Ok(last)) => {
            let missed = state.sessions.since(session, last);
            missed
                .iter()
                .map(|(id, data)| format!("id: {id}\ndata: {data}\n\n"))
                .collect()
        }
        _ => {
            let id = state.sessions.keep(session, "");
            vec![format!("id: {id}\nretry: {RETRY_MS}\ndata:\n\n")]
        }
    };
    let notices = BroadcastStream::new(state.sessions.notices());
    let notices = notices.filter_map(|notice| async move { notice.ok() });
    let notices = notices.map(|notice| format!("data: {notice}\n\n"));
    sse(stream::iter(replay).chain(notices))
}

/// The stream of a subscriber of 2026-07-28: what it may expect, then the notices.
pub(super) fn subscribe(state: &Arc<State>, message: &Value) -> Response {
    let id = message["id"].clone();
    let tagged = move |mut notice: Value| {
        notice["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] = id.clone();
        format!("data: {notice}\n\n")
    };
    let tools = message["params"]["notifications"]["toolsListChanged"] == true;
    let honoured = json!({ "toolsListChanged": tools && state.offer().announces });
    let hello = tagged(json!({
        "jsonrpc": "2.0",
        "method": "notifications/subscriptions/acknowledged",
        "params": { "notifications": honoured },
    }));
    let notices = BroadcastStream::new(state.sessions.notices());
    let notices = notices.filter_map(|notice| async move { notice.ok() });
    let notices = notices.map(move |notice| tagged(serde_json::from_str(&notice).unwrap()));
    sse(stream::iter([hello]).chain(notices))
}

fn sse(events: impl stream::Stream<Item = String> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let body = Body::from_stream(events.map(Ok::<_, Infallible>));
    (headers, body).into_response()
}
