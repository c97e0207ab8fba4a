//! Event streams, and what a client that leaves means for its server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::StreamExt;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::{Bridge, call};

/// Streams `: open`, then waits for a permit per event; reports when its client is gone.
fn streaming() -> (Router, mpsc::Sender<&'static str>, mpsc::Receiver<()>) {
    let (events, queue) = mpsc::channel::<&'static str>(8);
    let (gone, watch) = mpsc::channel::<()>(1);
    let queue = Arc::new(tokio::sync::Mutex::new(Some((queue, gone))));
    let router = Router::new().fallback(move || async move {
        let (queue, gone) = queue.lock().await.take().unwrap();
        let events = futures_util::stream::unfold((queue, gone), |(mut queue, gone)| async move {
            let event = queue.recv().await?;
            Some((Ok::<_, std::convert::Infallible>(event), (queue, gone)))
        });
        let open = futures_util::stream::once(async { Ok(": open\n\n") });
        let body = axum::body::Body::from_stream(open.chain(events));
        ([("content-type", "text/event-stream")], body)
    });
    (router, events, watch)
}

#[tokio::test]
async fn events_pass_one_by_one_as_they_come() {
    let (router, events, _gone) = streaming();
    let bridge = Bridge::before(router).await;
    let mut stream = bridge
        .send(Method::GET, "/mcp/up", &[], "")
        .await
        .into_body();
    let mut next = async || stream.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(next().await, ": open\n\n");
    for event in ["id: 1\nretry: 5\ndata:\n\n", "data: {}\n\n"] {
        events.send(event).await.unwrap();
        assert_eq!(next().await, event);
    }
}

/// Whether the upstream side of a call lasts when the client leaves after the first event.
async fn upstream_survives(method: Method, headers: &[(&str, &str)], body: Value) -> bool {
    let (router, events, mut gone) = streaming();
    let bridge = Bridge::before(router).await;
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut stream = bridge
        .send(method, "/mcp/up", headers, body)
        .await
        .into_body();
    stream.frame().await.unwrap().unwrap();
    drop(stream);
    drop(bridge.client);
    // The upstream notices a closed connection when it sends, a kept one never.
    for _ in 0..100 {
        tokio::task::yield_now().await;
        if events.send("data: x\n\n").await.is_err() {
            assert!(gone.recv().await.is_none());
            return false;
        }
        let _ = tokio::time::timeout(Duration::from_millis(2), gone.recv()).await;
    }
    true
}

#[tokio::test]
async fn a_client_that_leaves_cancels_a_modern_call_and_a_get_stream_only() {
    let json = ("content-type", "application/json");
    let legacy = call(json!(1), "fine");
    assert!(
        upstream_survives(Method::POST, &[json], legacy.clone()).await,
        "older era"
    );
    let mut modern = legacy;
    modern["params"]["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let headers = [
        json,
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "fine"),
    ];
    assert!(
        !upstream_survives(Method::POST, &headers, modern).await,
        "2026-07-28"
    );
    assert!(
        !upstream_survives(Method::GET, &[], Value::Null).await,
        "GET stream"
    );
}

#[tokio::test]
async fn a_legacy_call_goes_on_when_the_client_leaves_before_the_answer() {
    let (reached, mut arrivals) = mpsc::channel::<()>(1);
    let (finished, mut ends) = mpsc::channel::<()>(1);
    let release = Arc::new(tokio::sync::Notify::new());
    let waiting = Arc::clone(&release);
    let router = Router::new().fallback(move || async move {
        reached.send(()).await.unwrap();
        waiting.notified().await;
        finished.send(()).await.unwrap();
        "done"
    });
    let bridge = Bridge::before(router).await;
    let body = call(json!(1), "fine");
    tokio::select! {
        _ = bridge.post(&body) => panic!("answered too early"),
        _ = arrivals.recv() => {}
    }
    drop(bridge.client);
    release.notify_one();
    assert_eq!(ends.recv().await, Some(()));
}

#[tokio::test]
async fn streams_beyond_the_limit_are_turned_away() {
    let (router, _events, _gone) = streaming();
    let bridge = Bridge::configured(router, |config, _| config.max_streams = 1).await;
    let held = bridge.send(Method::GET, "/mcp/up", &[], "").await;
    let (status, answer) = bridge.post(&call(json!(1), "fine")).await;
    assert_eq!(status, 503);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("max_streams")
    );
    drop(held);
}

#[tokio::test]
async fn open_streams_do_not_hold_up_the_end() {
    let (router, _events, _gone) = streaming();
    let bridge = Bridge::before(router).await;
    let stream = bridge
        .send(Method::GET, "/mcp/up", &[], "")
        .await
        .into_body();
    bridge.lifecycle.begin_shutdown("test");
    // The upstream lives in the same lifecycle here, so only the stream's clean end is looked at.
    assert!(stream.collect().await.is_ok());
}
