//! Servers that bend HTTP, and clients that do.

use std::time::Duration;

use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Bridge, call, echo};
use crate::lifecycle::Lifecycle;

/// A bridge before a server that answers every connection's first request with `answer` and closes.
async fn before_raw(answer: impl Into<Vec<u8>>) -> Bridge {
    let lifecycle = Lifecycle::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let answer = answer.into();
    lifecycle.spawn("test server", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    Bridge::before_address(address, lifecycle, |_, _| {}).await
}

async fn post(bridge: &Bridge) -> Response<Incoming> {
    let json = [("content-type", "application/json")];
    let body = call(json!(1), "fine").to_string();
    bridge.send(Method::POST, "/mcp/up", &json, body).await
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn the_body_as_it_was_read_decides_its_length() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntrailer: set-cookie\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nset-cookie: a=b\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        let response = post(&before_raw(answer).await).await;
        assert_eq!(response.status(), 200, "{answer}");
        assert!(!response.headers().contains_key("link"));
        assert_eq!(text(response).await, "hello", "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_one_becomes_an_error() {
    let endless_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000));
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nraw",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nhi",
        "hello",
        "",
        &endless_head,
        &many_headers,
    ] {
        let response = post(&before_raw(answer).await).await;
        assert_eq!(response.status(), 502, "{:.60}", answer);
        assert!(text(response).await.contains("jsonrpc"));
    }
}

#[tokio::test]
async fn a_body_that_ends_early_ends_early_for_the_client_too() {
    let bridge = before_raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    assert!(post(&bridge).await.into_body().collect().await.is_err());
    let bridge =
        before_raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    assert!(post(&bridge).await.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_page_of_a_server_is_inert_in_a_browser() {
    let bridge = before_raw(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 0\r\n\
         content-security-policy: default-src *\r\nlink: </x>; rel=preload\r\n\r\n",
    )
    .await;
    let response = post(&bridge).await;
    let policies: Vec<_> = response
        .headers()
        .get_all("content-security-policy")
        .iter()
        .collect();
    assert_eq!(policies, ["sandbox; default-src 'none'"]);
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert!(!response.headers().contains_key("link"));
}

#[tokio::test]
async fn a_method_that_would_echo_the_token_does_not_reach_a_server() {
    let bridge = Bridge::before(echo()).await;
    let response = bridge.send(Method::TRACE, "/mcp/up", &[], "").await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET, POST, DELETE");
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::OPTIONS] {
        let response = bridge.send(method, "/mcp/up", &[], "").await;
        assert_eq!(response.status(), 202);
    }
}

#[tokio::test]
async fn a_call_is_judged_whatever_method_carries_it() {
    let bridge = Bridge::before(echo()).await;
    let json = [("content-type", "application/json")];
    let body = call(json!(1), "drop").to_string();
    for method in [Method::GET, Method::DELETE, Method::POST, Method::PUT] {
        let response = bridge.send(method, "/mcp/up", &json, body.clone()).await;
        assert!(text(response).await.contains("Unknown tool"));
    }
}

#[tokio::test]
async fn a_web_page_of_another_site_reaches_no_server() {
    let bridge = Bridge::before(echo()).await;
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("none", 202)] {
        let headers = [("sec-fetch-site", site)];
        let response = bridge.send(Method::GET, "/mcp/up", &headers, "").await;
        assert_eq!(response.status(), status, "{site}");
    }
}

#[tokio::test]
async fn a_client_that_sends_too_much_still_reads_why_it_is_refused() {
    let bridge = Bridge::configured(echo(), |config, _| config.max_request_bytes = 1000).await;
    let address = bridge.base.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let length = 8 << 20;
    let head = format!("POST /mcp/up HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; length]).await.unwrap();
    let mut answer = [0; 12];
    let read = stream.read_exact(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn arguments_that_two_readers_could_read_differently_are_refused() {
    let bridge = Bridge::before(echo()).await;
    let json = [("content-type", "application/json")];
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    for arguments in [
        r#"{"amount":1,"amount":1000}"#,
        r#"{"a":[{"b":1,"\u0062":2}]}"#,
        &format!(r#"{{"a":{deep}}}"#),
    ] {
        let body = format!(
            r#"{{"id":5,"method":"tools/call","params":{{"name":"fine","arguments":{arguments}}}}}"#
        );
        let response = bridge.send(Method::POST, "/mcp/up", &json, body).await;
        assert_eq!(response.status(), 400, "{arguments}");
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
        assert_eq!(answer["id"], 5);
    }
}
