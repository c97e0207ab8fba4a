//! What passes to a model API without being read: large bodies, and paths that are written oddly.

use mcpbridge_tests::wait;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::ai_keys::set_key;
use crate::ai_pass::{World, error_of, sent};

/// The daemon's largest size in memory so far, in KiB.
fn peak(world: &World) -> u64 {
    let pid = world.scenario.daemon.pid().as_raw_nonzero();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let peak = lines.find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test]
async fn what_is_not_executed_here_passes_whatever_its_size_and_is_held_nowhere() {
    let world = World::with(|config, _| config["max_request_bytes"] = json!(100_000)).await;
    let large = bytes::Bytes::from(vec![b'x'; 64 << 20]);
    let pieces = |body: &bytes::Bytes| {
        let pieces: Vec<_> = body.chunks(1 << 20).map(<[u8]>::to_vec).collect();
        let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
        reqwest::Body::wrap_stream(pieces)
    };
    let before = peak(&world);
    for (path, length, body) in [
        ("/openai/v1/files", Some(large.len()), large.clone().into()),
        ("/openai/v1/uploads/u/parts", None, pieces(&large)),
        (
            "/anthropic/v1/messages/batches",
            Some(large.len()),
            large.clone().into(),
        ),
        ("/anthropic/v1/messages/batches", None, pieces(&large)),
    ] {
        let answer = sent(world.post(path).body::<reqwest::Body>(body)).await;
        assert_eq!(answer.status(), 200, "{path}");
        let vendor = match path.starts_with("/openai") {
            true => &world.openai,
            false => &world.anthropic,
        };
        let seen = vendor.requests().pop().unwrap();
        assert!(seen.body == large, "{path}: {} bytes", seen.body.len());
        let announced = seen.header("content-length").map(str::to_owned);
        assert_eq!(announced, length.map(|length| length.to_string()), "{path}");
        vendor.reset();
    }
    let more = peak(&world) - before;
    assert!(more < 16 * 1024, "{more} KiB for bodies of 64 MiB");
    // What may not be sent goes nowhere, and a client that is still sending hears of it.
    let key = world.openai.key().to_owned();
    set_key(&world, "openai", &key).await;
    let keyless = world.request(Method::POST, "/openai/v1/files").body(large);
    let (status, said) = error_of("openai", sent(keyless).await).await;
    assert_eq!(status, 401);
    assert!(said.contains("client add"), "{said}");
    assert!(world.openai.requests().is_empty());
    world.scenario.finish().await;
}

/// Announces an upload, and returns the connection when `first` has come on it.
async fn announced(world: &World, key: &str, first: &str) -> TcpStream {
    let port = world.scenario.daemon.port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST /openai/v1/files HTTP/1.1\r\nhost: localhost:{port}\r\n{key}expect: 100-continue\r\n\
         connection: close\r\ncontent-length: 300000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; first.len()];
    let read = stream.read_exact(&mut answer);
    wait::within("a first answer", read).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), first);
    stream
}

#[tokio::test]
async fn a_client_that_waits_for_permission_gets_it_if_its_upload_may_be_sent() {
    let world = World::start().await;
    let key = world.openai.key().to_owned();
    let own = format!("authorization: Bearer {key}\r\n");
    let mut stream = announced(&world, &own, "HTTP/1.1 100 ").await;
    stream.write_all(&[b'x'; 300_000]).await.unwrap();
    let mut rest = Vec::new();
    let read = stream.read_to_end(&mut rest);
    wait::within("the answer", read).await.unwrap();
    let rest = String::from_utf8_lossy(&rest);
    assert!(rest.contains("HTTP/1.1 200 "), "{}", &rest[..200]);
    assert!(rest.ends_with(&"x".repeat(300_000)));
    let seen = world.openai.requests().pop().unwrap();
    assert_eq!(seen.header("expect"), None);
    set_key(&world, "openai", &key).await;
    announced(&world, "", "HTTP/1.1 401 ").await;
    world.scenario.finish().await;
}

/// A vendor that refuses after the head, and throws away what still comes, as web servers do.
async fn impatient(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        let body = r#"{"error":{"message":"File too large","type":"invalid_request_error"}}"#;
        let answer = format!(
            "HTTP/1.1 413 Payload Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}

#[tokio::test]
async fn a_vendor_that_refuses_an_upload_before_its_end_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let vendor = tokio::spawn(impatient(listener));
    let world = World::with(|_, ai| ai["vendors"]["openai"]["url"] = json!(url)).await;
    for size in [1 << 10, 1 << 20, 64 << 20] {
        let response = sent(world.post("/openai/v1/files").body(vec![b'x'; size])).await;
        assert_eq!(response.status(), 413, "{size}");
        let text = response.text().await.unwrap();
        assert!(text.contains("File too large"), "{size}: {text}");
    }
    vendor.abort();
    world.scenario.finish().await;
}

#[tokio::test]
async fn ids_of_models_pass_byte_for_byte_and_nothing_climbs() {
    let world = World::start().await;
    let get = |path: &str| {
        let request = world.request(Method::GET, &format!("/openai/v1/models/{path}"));
        sent(request.bearer_auth(world.openai.key()))
    };
    for id in ["org%2Fname", "org%2fname:free", "org/name"] {
        let answer = get(id).await;
        assert_eq!(answer.status(), 200, "{id}");
        let seen = world.openai.requests().pop().unwrap();
        assert_eq!(seen.path, format!("/v1/models/{id}"));
    }
    world.openai.reset();
    for id in ["..%2Fx", "a%2F..%2F..%2Fx", "%252e%252e", "a%5c.."] {
        let (status, said) = error_of("openai", get(id).await).await;
        assert_eq!(status, 400, "{id}");
        assert!(said.contains("segments"), "{said}");
    }
    assert!(world.openai.requests().is_empty());
    world.scenario.finish().await;
}

/// The usual clients drop such a body themselves.
#[tokio::test]
async fn a_body_that_nobody_expects_passes_too() {
    let world = World::start().await;
    let port = world.scenario.daemon.port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "GET /openai/v1/models HTTP/1.1\r\nhost: localhost:{port}\r\nauthorization: Bearer {}\r\n\
         connection: close\r\ntransfer-encoding: chunked\r\n\r\n4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n",
        world.openai.key()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    wait::within("the answer", read).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(world.openai.requests().pop().unwrap().body, "one two");
    world.scenario.finish().await;
}

/// Sends the beginning of an upload and no more.
async fn begun(world: &World, path: &str, key: &str) -> TcpStream {
    let port = world.scenario.daemon.port();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost:{port}\r\n{key}\r\nanthropic-version: 2023-06-01\r\n\
         content-length: 300000\r\n\r\nbeginning"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The answer, behind which the connection has to end.
async fn refused(mut stream: TcpStream) -> (String, Value) {
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    wait::within("a refusal", read).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

/// Takes 30 s of real time: how long a client may pause.
#[tokio::test]
async fn a_client_that_stops_sending_holds_neither_us_nor_the_vendor() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let vendor = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut taken = Vec::new();
        let _ = stream.read_to_end(&mut taken).await;
        String::from_utf8(taken).unwrap()
    });
    let world = World::with(|_, ai| ai["vendors"]["openai"]["url"] = json!(url)).await;
    let key = format!("x-api-key: {}", world.anthropic.key());
    let (openai, anthropic) = tokio::join!(
        begun(&world, "/openai/v1/files", "authorization: Bearer sk-1"),
        begun(&world, "/anthropic/v1/files", &key),
    );
    let (openai, anthropic) = tokio::join!(refused(openai), refused(anthropic));
    for (head, body) in [&openai, &anthropic] {
        assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("too slowly"), "{body}");
        assert!(body["error"]["type"].is_string(), "{body}");
    }
    assert_eq!(openai.1["error"]["param"], Value::Null);
    assert_eq!(anthropic.1["type"], "error");
    let taken = wait::within("the end at the vendor", vendor).await.unwrap();
    assert!(taken.ends_with("\r\n\r\nbeginning"), "{taken}");
    let output = world
        .scenario
        .daemon
        .wrote("model request vendor=openai")
        .await;
    let mut lines = output.lines();
    let line = lines.find(|line| line.contains("vendor=openai")).unwrap();
    for said in ["refused", "too slowly"] {
        assert!(line.contains(said), "{said}: {line}");
    }
    world.scenario.finish().await;
}
