//! What of a server's lists of tools a client gets, and what the catalog sees of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use tokio::sync::mpsc;

use super::*;
use crate::catalog::ChangeKind;
use crate::types::{Decider, Effect, ServerName};

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

/// Answers everything with `body`, which can be changed.
fn says(media: &'static str, body: &str) -> (Router, Arc<Mutex<String>>) {
    let said = Arc::new(Mutex::new(body.to_owned()));
    let body = Arc::clone(&said);
    let router = Router::new().fallback(move || {
        let body = body.lock().unwrap().clone();
        async move { ([(CONTENT_TYPE, media)], body) }
    });
    (router, said)
}

async fn ask(bridge: &Bridge, body: &str) -> (StatusCode, String) {
    let json = [("content-type", JSON)];
    let response = bridge
        .send(Method::POST, "/mcp/up", &json, body.to_owned())
        .await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// What a client that asks for the list gets from a server that answers with `body`.
async fn listed(media: &'static str, body: &str) -> String {
    let bridge = Bridge::before(says(media, body).0).await;
    ask(&bridge, LIST).await.1
}

fn up() -> ServerName {
    "up".parse().unwrap()
}

#[tokio::test]
async fn a_list_in_which_nothing_is_hidden_passes_byte_for_byte() {
    for (media, body) in [
        (
            JSON,
            "{ \"id\":1.0,\"result\":{\"tools\":[ {\"name\":\"a\"}]}}\r\n",
        ),
        (
            EVENTS,
            "event: message\r\ndata: {\"id\":1,\r\ndata: \"result\":{\"tools\":[{\"name\":\"a\"}]}}\r\nid: 4\r\n\r\n: end\n\n",
        ),
        (JSON, r#"{"id":1,"error":{"code":-1,"message":"drop"}}"#),
        ("text/html", "<p>drop"),
        (JSON, ""),
    ] {
        assert_eq!(listed(media, body).await, body);
    }
}

#[tokio::test]
async fn a_denied_tool_is_in_no_form_of_a_list() {
    let list = r#"{"id":1,"result":{"tools":[{"name":"b"},{"name":"drop"},{"name":"a"}]}}"#;
    let rest = r#"{"id":1,"result":{"tools":[{"name":"b"},{"name":"a"}]}}"#;
    assert_eq!(listed(JSON, list).await, rest);
    assert_eq!(
        listed("text/plain", list).await,
        rest,
        "whatever it is called"
    );
    let events = format!("id: 1\ndata: {{\"method\":\"x\"}}\n\nid: 2\ndata: {list}\n\n");
    let passed = format!("id: 1\ndata: {{\"method\":\"x\"}}\n\nid: 2\ndata: {rest}\n\n");
    assert_eq!(listed(EVENTS, &events).await, passed);
    let other = r#"{"id":2,"result":{}}"#;
    let bridge = Bridge::before(says(JSON, &format!("[{other}, {list}]")).0).await;
    let batch = format!(r#"[{{"id":2,"method":"ping"}},{LIST}]"#);
    assert_eq!(ask(&bridge, &batch).await.1, format!("[{other},{rest}]"));
}

#[tokio::test]
async fn a_list_that_readers_may_read_differently_is_refused_in_its_place() {
    let twice = r#"{"id":"x","result":{"tools":[],"tools":[{"name":"drop"}]}}"#;
    for (media, body) in [
        (JSON, twice.to_owned()),
        (EVENTS, format!("data: {twice}\n\n")),
    ] {
        let answer = listed(media, &body).await;
        let json = answer.strip_prefix("data: ").unwrap_or(&answer);
        let answer: Value = serde_json::from_str(json).unwrap();
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!("x"), &json!(-31003))
        );
        let said = answer["error"]["message"].as_str().unwrap();
        assert!(said.contains("\"tools\" occurs twice"), "{said}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_does_not_pass() {
    let lax = r#"{"id":1,"result":{"tools":[{"name":"drop"}],"x":NaN}}"#;
    let bridge = Bridge::before(says(JSON, lax).0).await;
    let (status, answer) = ask(&bridge, LIST).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(
        answer.contains("it is not JSON") && !answer.contains("NaN"),
        "{answer}"
    );
    let event = format!("id: 3\ndata: {lax}\n\ndata: {{\"id\":1}}\n\n");
    assert_eq!(
        listed(EVENTS, &event).await,
        "id: 3\n\ndata: {\"id\":1}\n\n"
    );

    let endless = format!("data: {}", "x".repeat(17 * 1024 * 1024));
    let bridge = Bridge::before(says(EVENTS, &endless).0).await;
    let json = [("content-type", JSON)];
    let broken = bridge.send(Method::POST, "/mcp/up", &json, LIST).await;
    assert!(broken.into_body().collect().await.is_err());
    let answer = listed(JSON, &endless[6..]).await;
    assert!(answer.contains("it is too large"), "{}", answer.len());
}

#[tokio::test]
async fn a_server_is_asked_for_lists_that_are_not_encoded() {
    let asked = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&asked);
    let router = Router::new().fallback(move |headers: HeaderMap| {
        *seen.lock().unwrap() = headers.get(ACCEPT_ENCODING).cloned();
        async { ([(CONTENT_ENCODING, "gzip"), (CONTENT_TYPE, JSON)], "\x1f") }
    });
    let bridge = Bridge::before(router).await;
    let headers = [("content-type", JSON), ("accept-encoding", "gzip, br")];
    let answer = bridge.send(Method::POST, "/mcp/up", &headers, LIST).await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(asked.lock().unwrap().as_ref().unwrap(), "identity");
}

#[tokio::test]
async fn the_catalog_sees_every_page_and_what_is_hidden_too() {
    let first = r#"{"id":1,"result":{"tools":[{"name":"a"},{"name":"drop"}],"nextCursor":""}}"#;
    let (router, says) = says(JSON, first);
    let bridge = Bridge::before(router).await;
    ask(&bridge, LIST).await;
    *says.lock().unwrap() = r#"{"id":1,"result":{"tools":[{"name":"b"}]}}"#.to_owned();
    ask(&bridge, LIST).await;
    let known = bridge.catalog.server(&up()).unwrap();
    for tool in ["a", "b", "drop"] {
        assert!(!known.tool(tool).unwrap().is_held(), "{tool}");
    }
    *says.lock().unwrap() =
        r#"{"id":1,"result":{"tools":[{"name":"b","description":"x"},{"name":"c"}]}}"#.to_owned();
    ask(&bridge, LIST).await;
    let changes = bridge.catalog.changes(&up());
    let kinds: Vec<_> = changes.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(kinds, ["changed", "new"]);
    assert!(matches!(changes[1].kind, ChangeKind::New));
}

#[tokio::test]
async fn what_a_handshake_says_is_seen_and_passes_as_it_is() {
    let hello =
        r#"{ "id":1, "result":{"capabilities":{"tools":{"listChanged":true}},"instructions":"a"}}"#;
    let (router, says) = says(JSON, hello);
    let bridge = Bridge::before(router).await;
    let request = r#"{"id":1,"method":"initialize","params":{}}"#;
    assert_eq!(ask(&bridge, request).await.1, hello);
    let known = bridge.catalog.server(&up()).unwrap();
    assert!(known.announces_changes() && bridge.catalog.changes(&up()).is_empty());
    *says.lock().unwrap() = hello.replace("\"a\"", "\"b\"");
    ask(&bridge, request).await;
    assert_eq!(bridge.catalog.changes(&up()).len(), 1);
}

/// A server whose answer to a GET, or to `subscriptions/listen`, is a stream of what is sent.
fn streaming(announces: bool) -> (Router, mpsc::Sender<String>) {
    let (events, queue) = mpsc::channel::<String>(8);
    let queue = Arc::new(Mutex::new(Some(queue)));
    let router = Router::new().fallback(move |request: Request<axum::body::Body>| {
        let queue = Arc::clone(&queue);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            if body.contains("initialize") {
                let tools = json!({ "listChanged": announces });
                let hello = json!({ "id": 1, "result": { "capabilities": { "tools": tools } } });
                return (
                    [(CONTENT_TYPE, JSON)],
                    axum::body::Body::from(hello.to_string()),
                );
            }
            let queue = queue.lock().unwrap().take().unwrap();
            let events = tokio_stream::wrappers::ReceiverStream::new(queue);
            let events = events.map(Ok::<_, std::convert::Infallible>);
            (
                [(CONTENT_TYPE, EVENTS)],
                axum::body::Body::from_stream(events),
            )
        }
    });
    (router, events)
}

struct Heard(hyper::body::Incoming);

impl Heard {
    async fn next(&mut self) -> String {
        let frame = tokio::time::timeout(Duration::from_secs(10), self.0.frame());
        let frame = frame.await.expect("something is said").unwrap().unwrap();
        String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
    }
}

const HELLO: &str = r#"{"id":1,"method":"initialize","params":{}}"#;
const LIST_CHANGED: &str = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";

#[tokio::test]
async fn a_get_stream_tells_of_other_rules_between_two_events() {
    let (router, events) = streaming(true);
    let bridge = Bridge::before(router).await;
    ask(&bridge, HELLO).await;
    let stream = bridge.send(Method::GET, "/mcp/up", &[], "").await;
    let mut heard = Heard(stream.into_body());
    bridge.rule("a", Effect::Deny).await;
    assert_eq!(heard.next().await, LIST_CHANGED);
    events.send("id: 7\n".to_owned()).await.unwrap();
    assert_eq!(heard.next().await, "id: 7\n");
    bridge.rule("a", Effect::Allow).await;
    events.send("data: {}\n\n".to_owned()).await.unwrap();
    assert_eq!(heard.next().await, "data: {}\n\n", "not inside of an event");
    assert_eq!(heard.next().await, LIST_CHANGED);
    let repeated = r#"data: {"id":1,"result":{"tools":[{"name":"drop"}]}}"#;
    events.send(format!("{repeated}\n\n")).await.unwrap();
    assert_eq!(
        heard.next().await,
        "data: {\"id\":1,\"result\":{\"tools\":[]}}\n\n",
        "a list that is repeated here"
    );
}

#[tokio::test]
async fn a_get_stream_tells_that_a_changed_tool_was_approved() {
    let (router, events) = streaming(true);
    let bridge = Bridge::before(router).await;
    ask(&bridge, HELLO).await;
    let stream = bridge.send(Method::GET, "/mcp/up", &[], "").await;
    let mut heard = Heard(stream.into_body());
    for description in ["a", "b"] {
        let tool = json!({ "name": "a", "description": description });
        let list = json!({ "id": 1, "result": { "tools": [tool] } });
        events.send(format!("data: {list}\n\n")).await.unwrap();
        assert!(heard.next().await.contains("description"));
    }
    let change = bridge.catalog.changes(&up()).pop().unwrap();
    let what = vec![(change.subject, change.digest)];
    let (server, by) = (up(), Decider::Daemon);
    let approved = bridge.catalog.approve(&server, what, &by);
    approved.await.unwrap();
    assert_eq!(heard.next().await, LIST_CHANGED);
}

#[tokio::test]
async fn a_server_that_announces_nothing_has_nothing_put_into_its_mouth() {
    let (router, events) = streaming(false);
    let bridge = Bridge::before(router).await;
    ask(&bridge, HELLO).await;
    let stream = bridge.send(Method::GET, "/mcp/up", &[], "").await;
    let mut heard = Heard(stream.into_body());
    bridge.rule("a", Effect::Deny).await;
    events.send("data: {}\n\n".to_owned()).await.unwrap();
    assert_eq!(heard.next().await, "data: {}\n\n");
}

/// The stream of a subscriber whose server says that it honours `honoured`.
async fn subscribed(honoured: bool) -> (Bridge, Heard, mpsc::Sender<String>) {
    let (router, events) = streaming(true);
    let bridge = Bridge::before(router).await;
    ask(&bridge, HELLO).await;
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
        "params": {
            "notifications": { "toolsListChanged": true },
            "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28" },
        },
    });
    let body = body
        .to_string()
        .replace("\"id\":1,", "\"id\":12345678901234567890123,");
    let headers = [
        ("content-type", JSON),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "subscriptions/listen"),
    ];
    let stream = bridge.send(Method::POST, "/mcp/up", &headers, body).await;
    let mut heard = Heard(stream.into_body());
    let acknowledgement = json!({
        "method": "notifications/subscriptions/acknowledged",
        "params": { "notifications": { "toolsListChanged": honoured } },
    });
    bridge.rule("a", Effect::Deny).await;
    events
        .send(format!("data: {acknowledgement}\n\n"))
        .await
        .unwrap();
    assert!(
        heard.next().await.contains("acknowledged"),
        "nothing comes before it"
    );
    (bridge, heard, events)
}

#[tokio::test]
async fn a_subscriber_is_told_under_the_id_of_its_subscription() {
    let (_bridge, mut heard, _events) = subscribed(true).await;
    let told = heard.next().await;
    assert!(
        told.contains(r#""method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":12345678901234567890123}}"#),
        "{told}"
    );
}

#[tokio::test]
async fn a_subscriber_is_told_what_the_server_agreed_to_and_nothing_else() {
    let (_bridge, mut heard, events) = subscribed(false).await;
    events.send("data: {}\n\n".to_owned()).await.unwrap();
    assert_eq!(heard.next().await, "data: {}\n\n");
}

#[tokio::test]
async fn a_client_gets_the_part_of_a_list_that_its_token_is_made_for() {
    let list = r#"{"id":1,"result":{"tools":[{"name":"get_a"},{"name":"set_a"}]}}"#;
    let bridge = Bridge::before(says(JSON, list).0).await;
    let token = bridge.token("reader", &[], &["get_*"]).await;
    let bearer = format!("Bearer {}", token.expose());
    let headers = [("content-type", JSON), ("authorization", &bearer)];
    let answer = bridge.send(Method::POST, "/mcp/up", &headers, LIST).await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, r#"{"id":1,"result":{"tools":[{"name":"get_a"}]}}"#);
}

/// Whether the stream ends, in order.
async fn ends(mut heard: Heard) -> bool {
    let frame = tokio::time::timeout(Duration::from_secs(10), heard.0.frame());
    frame.await.is_ok_and(|frame| frame.is_none())
}

#[tokio::test]
async fn a_stream_ends_with_the_token_it_was_opened_with_and_with_its_server() {
    let (router, _events) = streaming(true);
    let bridge = Bridge::before(router).await;
    let token = bridge.token("reader", &[], &[]).await;
    let bearer = format!("Bearer {}", token.expose());
    let stream = bridge
        .send(Method::GET, "/mcp/up", &[("authorization", &bearer)], "")
        .await;
    let reader = "reader".parse().unwrap();
    let revoked = bridge.clients.revoke(&reader, &Decider::Daemon);
    revoked.await.unwrap();
    assert!(ends(Heard(stream.into_body())).await);

    let (router, _events) = streaming(true);
    let bridge = Bridge::before(router).await;
    let stream = bridge.send(Method::GET, "/mcp/up", &[], "").await;
    bridge.registry.remove(&up()).await.unwrap();
    assert!(ends(Heard(stream.into_body())).await);
}
