use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn uri(base: &str, suffix: &str, query: Option<&str>) -> Result<String, UpstreamError> {
    target(&Url::parse(base).unwrap(), suffix, query).map(|uri| uri.to_string())
}

#[test]
fn path_and_query_are_put_behind_those_of_the_server() {
    for (base, suffix, query, expected) in [
        ("https://a.test", "", None, "https://a.test/"),
        ("https://a.test/mcp", "", None, "https://a.test/mcp"),
        ("https://a.test/mcp", "/", Some(""), "https://a.test/mcp"),
        (
            "https://a.test/mcp/",
            "/x/y%20z",
            None,
            "https://a.test/mcp/x/y%20z",
        ),
        (
            "https://a.test:8443/mcp?k=v",
            "/x",
            Some("q=1"),
            "https://a.test:8443/mcp/x?k=v&q=1",
        ),
        (
            "http://[::1]:5/",
            "/x",
            Some("a=b&c"),
            "http://[::1]:5/x?a=b&c",
        ),
    ] {
        assert_eq!(uri(base, suffix, query).unwrap(), expected);
    }
}

#[test]
fn no_spelling_of_a_suffix_climbs_out_of_the_servers_path() {
    for suffix in [
        "/..",
        "/../x",
        "/a/../../x",
        "/.",
        "/%2e%2e/x",
        "/.%2E/x",
        "/a%2f..%2fb",
        "/a%5c..",
        "/a\\..",
        "/..;/x",
        "/%00",
        "/%252e%252e/x",
    ] {
        let refused = uri("https://a.test/mcp", suffix, None);
        assert!(matches!(refused, Err(UpstreamError::Path(_))), "{suffix}");
    }
}

#[test]
fn ids_of_models_keep_their_slashes_and_climb_no_more_than_others() {
    let base = "https://a.test/v1".parse().unwrap();
    let uri = |suffix: &str| {
        let aim = (Method::GET, suffix, None);
        let addresses = AddressPolicy::for_server(&base, false);
        let outgoing = Outgoing::to_model(&base, addresses, aim, HeaderMap::new(), Bytes::new());
        outgoing.map(|outgoing| outgoing.uri.to_string())
    };
    for suffix in [
        "/models/org/name",
        "/models/org%2Fname",
        "/models/org%2fname%3Av1.0",
        "/models/ft:gpt:org::id",
    ] {
        assert_eq!(uri(suffix).unwrap(), format!("/v1{suffix}"));
    }
    for suffix in [
        "/models/..",
        "/models/%2e%2e",
        "/models%2F..",
        "/models%2f..%2F..%2fx",
        "/..%2Fx",
        "%2F..",
        "/models/a%2F.%2Fb",
        "/models/%2E%2E%2Fx",
        "/models/a%5c..",
        "/models/a%252F..",
        "/models/a%00",
        "/models/a;b",
    ] {
        let refused = uri(suffix);
        assert!(matches!(refused, Err(UpstreamError::Path(_))), "{suffix}");
    }
}

/// Answers each connection's requests with `answer`, and shows what arrived.
async fn server(answer: &'static str) -> (Url, tokio::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let (seen, received) = tokio::sync::mpsc::channel(8);
    crate::lifecycle::Lifecycle::new().spawn("test server", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.unwrap();
            let _ = seen
                .send(String::from_utf8_lossy(&buffer[..length]).into_owned())
                .await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, received)
}

fn post(url: &Url, headers: HeaderMap) -> Result<Outgoing, UpstreamError> {
    let addresses = AddressPolicy::for_server(url, false);
    Outgoing::new(
        url,
        addresses,
        (Method::POST, "", None),
        headers,
        Bytes::from_static(b"{}"),
    )
}

#[tokio::test]
async fn the_authorization_replaces_what_the_client_sent() {
    let (url, mut received) = server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer client"));
    headers.insert("cookie", HeaderValue::from_static("c=1"));
    headers.insert("user-agent", HeaderValue::from_static("client/1"));
    headers.insert("host", HeaderValue::from_static("localhost:3000"));
    let upstream = Upstream::new(Duration::from_secs(5));
    let ours = [
        (
            HeaderName::from_static("authorization"),
            HeaderValue::from_static("Bearer ours"),
        ),
        (
            HeaderName::from_static("user-agent"),
            HeaderValue::from_static("fixed/1"),
        ),
    ];
    let response = upstream
        .send(&post(&url, headers).unwrap(), &ours)
        .await
        .unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "ok"
    );
    let request = received.recv().await.unwrap().to_lowercase();
    assert!(request.starts_with("post /mcp http/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: bearer ours\r\n"));
    assert!(request.contains("user-agent: fixed/1\r\n"));
    assert!(request.contains(&format!("host: {}\r\n", url.authority())));
    assert!(
        !request.contains("client") && !request.contains("cookie"),
        "{request}"
    );
}

#[tokio::test]
async fn a_server_that_says_nothing_ends_in_a_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let upstream = Upstream::new(Duration::from_millis(20));
    let error = upstream
        .send(&post(&url, HeaderMap::new()).unwrap(), &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn an_exchange_broken_off_is_not_repeated() {
    let (url, mut received) = server("").await;
    let upstream = Upstream::new(Duration::from_secs(5));
    let error = upstream
        .send(&post(&url, HeaderMap::new()).unwrap(), &[])
        .await
        .unwrap_err();
    assert!(matches!(error, UpstreamError::Exchange { .. }), "{error:?}");
    assert!(received.recv().await.is_some());
    assert!(received.try_recv().is_err(), "sent once");
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    drop(listener);
    let upstream = Upstream::new(Duration::from_secs(5));
    let error = upstream
        .send(&post(&url, HeaderMap::new()).unwrap(), &[])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_literal_address_the_server_may_not_reach_is_refused_before_anything_is_sent() {
    let url: Url = "https://169.254.169.254/latest".parse().unwrap();
    assert_eq!(
        post(&url, HeaderMap::new()).unwrap_err().kind(),
        ErrorKind::Denied
    );
}
