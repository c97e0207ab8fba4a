use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok";

struct Server {
    listener: TcpListener,
    origin: Origin,
    pool: Pool,
}

async fn server() -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (origin, _) = Origin::split(url.parse().unwrap()).unwrap();
    let addresses = AddressPolicy {
        allow_loopback: true,
        allow_private: true,
    };
    Server {
        listener,
        origin,
        pool: Pool::new(addresses),
    }
}

impl Server {
    async fn ask(&self) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(Payload::whole(Bytes::new()));
        *request.uri_mut() = Uri::from_static("/x?y=1");
        self.pool.send(&self.origin, request).await
    }

    /// A connection, once a request has come on it, with `answer` sent.
    async fn accept(&self, answer: &[u8]) -> TcpStream {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        reply(&mut stream, answer).await;
        stream
    }

    /// Connections that can be used.
    fn at_rest(&self) -> usize {
        let idle = self.pool.shared.idle();
        let resting = idle.by_origin.values().flatten();
        resting.filter(|resting| resting.is_usable()).count()
    }

    async fn has_at_rest(&self, count: usize) {
        let noticed = async {
            while self.at_rest() != count {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), noticed).await.unwrap();
    }

    /// Asks on a new connection.
    async fn open(&self, answer: &[u8]) -> (Response<Incoming>, TcpStream) {
        let (response, stream) = tokio::join!(self.ask(), self.accept(answer));
        (answered(response), stream)
    }
}

fn answered(answer: Result<Response<Incoming>, Failure>) -> Response<Incoming> {
    match answer {
        Ok(response) => response,
        Err(Failure::Connect(error)) => panic!("{error}"),
        Err(Failure::Exchange(error)) => panic!("{error}"),
    }
}

async fn reply(stream: &mut TcpStream, answer: &[u8]) {
    let mut head = vec![0; 1024];
    let length = stream.read(&mut head).await.unwrap();
    assert!(head[..length].starts_with(b"GET /x?y=1 HTTP/1.1\r\n"));
    stream.write_all(answer).await.unwrap();
}

async fn text(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Waits until the other side has closed it.
async fn closed(stream: &mut TcpStream) {
    let mut rest = [0];
    let end = timeout(Duration::from_secs(60), stream.read(&mut rest));
    assert_eq!(end.await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_connection_is_used_again_when_its_answer_is_over() {
    let server = server().await;
    let (response, mut stream) = server.open(WHOLE).await;
    assert_eq!(text(response).await, "ok");
    let (response, ()) = tokio::join!(server.ask(), reply(&mut stream, BEGUN));
    let response = answered(response);
    // Until then another one is opened.
    let (other, second) = server.open(WHOLE).await;
    assert_eq!(text(other).await, "ok");
    drop(second);
    stream.write_all(b"ay").await.unwrap();
    assert_eq!(text(response).await, "okay");
    server.has_at_rest(1).await;
    let (response, ()) = tokio::join!(server.ask(), reply(&mut stream, WHOLE));
    assert_eq!(text(answered(response)).await, "ok");
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_not_used() {
    let server = server().await;
    let (response, stream) = server.open(WHOLE).await;
    assert_eq!(text(response).await, "ok");
    drop(stream);
    server.has_at_rest(0).await;
    let (response, _stream) = server.open(WHOLE).await;
    assert_eq!(text(response).await, "ok");
}

#[tokio::test]
async fn what_was_sent_on_a_connection_that_dies_is_not_sent_again() {
    let server = server().await;
    let (response, mut stream) = server.open(WHOLE).await;
    assert_eq!(text(response).await, "ok");
    let (answer, ()) = tokio::join!(server.ask(), async {
        reply(&mut stream, b"").await;
        drop(stream);
    });
    assert!(matches!(answer, Err(Failure::Exchange(_))));
    let another = timeout(Duration::from_millis(50), server.listener.accept());
    assert!(another.await.is_err());
}

#[tokio::test]
async fn an_answer_that_nobody_reads_to_its_end_takes_its_connection_with_it() {
    let server = server().await;
    let (response, mut stream) = server.open(BEGUN).await;
    drop(response);
    closed(&mut stream).await;
    server.has_at_rest(0).await;
}

#[tokio::test]
async fn connections_that_nobody_needs_are_closed() {
    let server = server().await;
    let (response, mut stream) = server.open(WHOLE).await;
    assert_eq!(text(response).await, "ok");
    server.has_at_rest(1).await;
    later().await;
    closed(&mut stream).await;
    server.has_at_rest(0).await;
    // And those that come when there were none, too.
    let (response, mut stream) = server.open(WHOLE).await;
    assert_eq!(text(response).await, "ok");
    later().await;
    closed(&mut stream).await;
}

async fn later() {
    // Whoever waits has begun to.
    tokio::task::yield_now().await;
    tokio::time::pause();
    tokio::time::advance(IDLE_LIMIT + Duration::from_secs(1)).await;
    tokio::time::resume();
}
