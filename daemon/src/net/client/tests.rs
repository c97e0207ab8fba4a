//! The client against a scripted server on loopback: one thread, one raw answer per connection.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::*;
use crate::error::{Classify, ErrorKind};

const LOCAL: AddressPolicy = AddressPolicy {
    allow_loopback: true,
    allow_private: false,
};
const PUBLIC: AddressPolicy = AddressPolicy {
    allow_loopback: false,
    allow_private: false,
};

type Script = Box<dyn FnOnce(&mut TcpStream) + Send>;

/// The request heads a scripted server saw, once every script has run.
///
/// Awaited and not joined: the client's connections are closed by tasks of this very runtime.
struct Seen(thread::JoinHandle<Vec<String>>);

impl Seen {
    async fn all(self) -> Vec<String> {
        tokio::task::spawn_blocking(|| self.0.join().unwrap())
            .await
            .unwrap()
    }
}

/// Serves one connection per script, in order; returns the base URL and the request heads seen.
fn serve(scripts: Vec<Script>) -> (Url, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    let thread = thread::spawn(move || {
        let serve_one = |script: Script| {
            let (mut stream, _) = listener.accept().unwrap();
            let head = read_head(&mut stream);
            script(&mut stream);
            head
        };
        scripts.into_iter().map(serve_one).collect()
    });
    (url, Seen(thread))
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn answer(text: &str) -> Script {
    let text = text.to_owned();
    Box::new(move |stream| stream.write_all(text.as_bytes()).unwrap())
}

fn redirect(to: &str) -> Script {
    answer(&format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    ))
}

fn get(url: &Url) -> http::Request<Vec<u8>> {
    http::Request::get(url.as_str()).body(Vec::new()).unwrap()
}

#[tokio::test]
async fn an_answer_comes_back_whole_and_json_is_asked_for() {
    let (url, seen) = serve(vec![answer(
        "HTTP/1.1 404 Not Found\r\nX-A: b\r\nContent-Length: 2\r\n\r\nhi",
    )]);
    let response = Client::new().send(LOCAL, get(&url)).await.unwrap();
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert_eq!(response.headers["x-a"], "b");
    assert_eq!(&response.body[..], b"hi");
    let head = seen.all().await.remove(0).to_ascii_lowercase();
    assert!(head.contains("accept: application/json"), "{head}");
}

#[tokio::test]
async fn a_body_larger_than_the_cap_is_refused_with_and_without_a_length() {
    let declared = "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
    let endless = |stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        // Ends when the client hangs up.
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    };
    let (url, seen) = serve(vec![answer(declared)]);
    let error = Client::new().send(LOCAL, get(&url)).await.unwrap_err();
    assert!(matches!(error, NetError::TooLarge { .. }), "{error}");
    seen.all().await;

    let (url, seen) = serve(vec![Box::new(endless)]);
    let error = Client::new().send(LOCAL, get(&url)).await.unwrap_err();
    assert!(matches!(error, NetError::TooLarge { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::UpstreamFault);
    seen.all().await;
}

#[tokio::test]
async fn a_slow_drip_ends_at_the_total_timeout() {
    let drip = |stream: &mut TcpStream| {
        stream
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        // A byte per read timeout, until the client hangs up.
        while !matches!(stream.read(&mut [0]), Ok(0)) && stream.write_all(b"x").is_ok() {}
    };
    let (url, seen) = serve(vec![Box::new(drip)]);
    let client = Client::with_limits(Limits {
        total: Duration::from_millis(300),
        ..LIMITS
    });
    let error = client.send(LOCAL, get(&url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    seen.all().await;
}

#[tokio::test]
async fn a_redirect_is_an_answer_to_send_and_followed_by_get_following() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let (url, seen) = serve(vec![redirect("/a?b=1")]);
    let response = Client::new().send(LOCAL, get(&url)).await.unwrap();
    assert_eq!(response.status, StatusCode::FOUND);
    seen.all().await;

    let (url, seen) = serve(vec![redirect("/a?b=1"), answer(ok)]);
    let response = Client::new()
        .get_following(LOCAL, &url, HeaderMap::new())
        .await
        .unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.url, url.join("/a?b=1").unwrap());
    assert!(seen.all().await[1].starts_with("GET /a?b=1 "));
}

#[tokio::test]
async fn redirects_are_judged_like_fresh_urls() {
    for target in [
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "http://mcp.example/",
        "file:///etc/passwd",
        "http://[fe80::1]/",
    ] {
        let (url, seen) = serve(vec![redirect(target)]);
        let error = Client::new()
            .get_following(LOCAL, &url, HeaderMap::new())
            .await
            .unwrap_err();
        let refused = matches!(
            error,
            NetError::Refused(_) | NetError::NotHttps { .. } | NetError::InvalidUrl { .. }
        );
        assert!(refused, "{target}: {error}");
        seen.all().await;
    }
}

#[tokio::test]
async fn a_fourth_redirect_is_refused() {
    let (url, seen) = serve((0..4).map(|_| redirect("/again")).collect());
    let error = Client::new()
        .get_following(LOCAL, &url, HeaderMap::new())
        .await
        .unwrap_err();
    assert!(matches!(error, NetError::Redirect { .. }), "{error}");
    assert_eq!(seen.all().await.len(), 4);
}

#[test]
fn a_redirect_from_https_to_http_is_refused() {
    let response = Response {
        status: StatusCode::FOUND,
        headers: HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("http://localhost/"))]),
        body: Bytes::new(),
        url: Url::parse("https://localhost/").unwrap(),
    };
    assert!(matches!(
        redirect_target(&response),
        Err(NetError::Redirect { .. })
    ));
}

#[tokio::test]
async fn a_loopback_server_is_out_of_reach_without_the_policy() {
    let url = Url::parse("http://localhost:9/").unwrap();
    let error = Client::new().send(PUBLIC, get(&url)).await.unwrap_err();
    assert!(matches!(error, NetError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_closed_port_names_the_host_and_not_the_query() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = Url::parse(&format!("http://127.0.0.1:{port}/?code=s3cret")).unwrap();
    let error = Client::new().send(LOCAL, get(&url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let shown = crate::error::chain(&error);
    assert!(shown.contains("could not connect to 127.0.0.1"), "{shown}");
    assert!(
        !shown.contains("s3cret") && !format!("{error:?}").contains("s3cret"),
        "{shown}"
    );
}
