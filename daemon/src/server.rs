//! The HTTP port: listeners on the loopback addresses, and connections from accept to close.
//!
//! A connection belongs to one [`Caller`], found out before it is served; a foreign one is told so and
//! closed, outside the limit for our own. Every request then passes the [`OriginCheck`] before any
//! route sees it, and carries its caller as an extension from there on.

mod bind;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

pub use self::bind::ServerError;
use crate::config::Config;
use crate::http::peer::{ForeignPeer, PeerCheck};
use crate::http::{OriginCheck, Problem};
use crate::lifecycle::Lifecycle;
use crate::types::Caller;

/// Time a client has to send a request head, and an idle connection to be kept.
const HEAD_LIMIT: Duration = Duration::from_secs(75);
/// What one connection buffers, which also bounds a request's head. With 64 KiB a body of 100 KB cost
/// a quarter more processor time.
const MAX_BUFFER: usize = 256 * 1024;
/// Connections of other users that are being told that they are refused, and how long each may last.
const MAX_REFUSALS: usize = 16;
const REFUSAL_LIMIT: Duration = Duration::from_secs(2);
/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bound port, not yet served.
pub struct HttpServer {
    listeners: Vec<TcpListener>,
    port: u16,
    origins: OriginCheck,
    peers: PeerCheck,
    connections: Arc<Semaphore>,
}

impl HttpServer {
    /// Binds what `proxy_host` and `proxy_port` name. `localhost` means both loopback addresses, of
    /// which IPv6 may be missing; with port 0 the system chooses one.
    pub async fn bind(config: &Config) -> Result<Self, ServerError> {
        let (listeners, port) = bind::listeners(&config.proxy_host, config.proxy_port).await?;
        let origins = OriginCheck::new(port, &config.allowed_hosts, &config.allowed_origins);
        let limit = config.max_connections.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            listeners,
            port,
            origins,
            peers: PeerCheck::new(&config.allowed_uids),
            connections: Arc::new(Semaphore::new(limit)),
        })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How clients and browsers on this machine reach the port.
    pub fn base_url(&self) -> String {
        match self.listeners.as_slice() {
            [only] => only.local_addr().map_or_else(
                |_| format!("http://localhost:{}", self.port),
                |address| format!("http://{address}"),
            ),
            _ => format!("http://localhost:{}", self.port),
        }
    }

    /// Whether every listener is for this machine only.
    pub fn is_loopback(&self) -> bool {
        let mut addresses = self.listeners.iter().map(TcpListener::local_addr);
        addresses.all(|address| address.is_ok_and(|address| address.ip().is_loopback()))
    }

    /// Every address that is listened on.
    pub fn urls(&self) -> Vec<String> {
        let addresses = self
            .listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok());
        addresses
            .map(|address| format!("http://{address}"))
            .collect()
    }

    /// Serves `router` until the daemon stops, one accepting task per address.
    pub fn spawn(self, lifecycle: &Lifecycle, router: Router) {
        let Self {
            listeners,
            origins,
            peers,
            connections,
            ..
        } = self;
        let port = Port {
            router,
            origins,
            peers,
            connections,
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
            lifecycle: lifecycle.clone(),
        };
        let port = Arc::new(port);
        for listener in listeners {
            let port = Arc::clone(&port);
            lifecycle.spawn_critical("http listener", async move {
                tokio::select! {
                    () = port.lifecycle.stopping() => {}
                    () = port.accept_all(&listener) => {}
                }
            });
        }
    }
}

/// What the connections of the port share.
struct Port {
    router: Router,
    origins: OriginCheck,
    peers: PeerCheck,
    connections: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    lifecycle: Lifecycle,
}

impl Port {
    async fn accept_all(self: &Arc<Self>, socket: &TcpListener) {
        loop {
            let (stream, remote) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(local) = stream.local_addr() else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            let caller = match self.peers.identify(local, remote) {
                Ok(caller) => caller,
                Err(foreign) => {
                    self.turn_away(stream, remote, foreign);
                    continue;
                }
            };
            // At the limit this one waits, and those after it in the kernel's queue.
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
                return;
            };
            let connection = Arc::clone(self).serve(stream, remote, caller, permit);
            self.lifecycle.spawn("http connection", connection);
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        caller: Caller,
        _permit: OwnedSemaphorePermit,
    ) {
        let service = service_fn(|request| self.answer(&caller, request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
            .max_buf_size(MAX_BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.lifecycle.stopping() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = self.lifecycle.aborting() => Ok(()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%remote, %error, "connection ended early");
        }
    }

    async fn answer(
        &self,
        caller: &Caller,
        mut request: Request<Incoming>,
    ) -> Result<Response, Infallible> {
        if let Err(foreign) = self.origins.check(request.uri(), request.headers()) {
            return Ok(Problem::from(&foreign).into_response());
        }
        request.extensions_mut().insert(caller.clone());
        self.router.clone().call(request).await
    }

    /// Says once why `foreign` is not served, and closes. Beyond a few at a time it only closes: what
    /// another user does must not cost us more than that.
    fn turn_away(&self, stream: TcpStream, remote: SocketAddr, foreign: ForeignPeer) {
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else {
            return;
        };
        tracing::warn!(%remote, error = %foreign, "a connection is refused");
        self.lifecycle.spawn("refused connection", async move {
            let service = service_fn(|_| async {
                Ok::<_, Infallible>(Problem::from(&foreign).into_response())
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            let _ = tokio::time::timeout(REFUSAL_LIMIT, connection).await;
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::error::{Classify, ErrorKind};

    fn config(host: &str, port: u16) -> Config {
        Config {
            proxy_host: host.to_owned(),
            proxy_port: port,
            ..Config::default()
        }
    }

    async fn start(max_connections: usize) -> (u16, Lifecycle) {
        let config = Config {
            max_connections,
            ..config("localhost", 0)
        };
        let server = HttpServer::bind(&config).await.unwrap();
        let port = server.port();
        let lifecycle = Lifecycle::new();
        server.spawn(
            &lifecycle,
            Router::new().route("/", get(|| async { "hello" })),
        );
        (port, lifecycle)
    }

    async fn exchange(address: &str, port: u16, head: &str) -> String {
        let mut stream = TcpStream::connect((address, port)).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\n{head}connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn our_own_requests_are_served_on_both_addresses() {
        let (port, _lifecycle) = start(8).await;
        let answer = exchange("127.0.0.1", port, &format!("host: localhost:{port}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        if TcpListener::bind("[::1]:0").await.is_ok() {
            let answer = exchange("::1", port, &format!("host: [::1]:{port}\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    #[tokio::test]
    async fn a_foreign_host_or_origin_gets_a_problem() {
        let (port, _lifecycle) = start(8).await;
        let foreign = exchange("127.0.0.1", port, "host: evil.example\r\n").await;
        assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
        assert!(foreign.contains("application/problem+json"), "{foreign}");
        let head = format!("host: localhost:{port}\r\norigin: https://evil.example\r\n");
        let foreign = exchange("127.0.0.1", port, &head).await;
        assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
    }

    #[tokio::test]
    async fn an_endless_head_is_refused() {
        let (port, _lifecycle) = start(8).await;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(MAX_BUFFER));
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431");
    }

    #[tokio::test]
    async fn connections_beyond_the_limit_wait_for_one_to_end() {
        let (port, _lifecycle) = start(1).await;
        let idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let host = format!("host: localhost:{port}\r\n");
        let waiting = exchange("127.0.0.1", port, &host);
        tokio::pin!(waiting);
        let early = tokio::time::timeout(Duration::from_millis(50), waiting.as_mut()).await;
        assert!(early.is_err(), "not served while the limit is reached");
        drop(idle);
        assert!(waiting.await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn a_foreign_connection_is_answered_closed_and_takes_no_place() {
        let config = Config {
            max_connections: 1,
            ..config("127.0.0.1", 0)
        };
        let mut server = HttpServer::bind(&config).await.unwrap();
        server.peers = PeerCheck::of(&[u32::MAX - 1]);
        let port = server.port();
        server.spawn(&Lifecycle::new(), Router::new());
        let mut idle = Vec::new();
        for _ in 0..3 {
            idle.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        }
        let host = format!("GET / HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(host.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(answer.contains("allowed_uids"), "{answer}");
    }

    #[tokio::test]
    async fn stopping_closes_idle_connections_and_the_port() {
        let (port, lifecycle) = start(8).await;
        let mut idle = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let request = format!("GET / HTTP/1.1\r\nhost: localhost:{port}\r\n\r\n");
        idle.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 512];
        assert!(idle.read(&mut answer).await.unwrap() > 0);
        lifecycle.begin_shutdown("test");
        lifecycle.drain(Duration::from_secs(5)).await;
        assert!(!lifecycle.failed());
        assert_eq!(idle.read(&mut answer).await.unwrap(), 0);
        assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_the_way_out() {
        let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = holder.local_addr().unwrap().port();
        let refused = HttpServer::bind(&config("localhost", port)).await;
        let error = refused.err().unwrap();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert!(error.hint().unwrap().contains("--port"));
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }

    #[tokio::test]
    async fn only_loopback_can_be_bound() {
        for host in ["0.0.0.0", "::", "192.0.2.1", "example.com", ""] {
            let refused = HttpServer::bind(&config(host, 0)).await;
            assert!(
                matches!(refused, Err(ServerError::NotLoopback(_))),
                "{host}"
            );
        }
        let mut server = HttpServer::bind(&config("127.0.0.1", 0)).await.unwrap();
        assert!(server.is_loopback());
        assert_eq!(
            server.base_url(),
            format!("http://127.0.0.1:{}", server.port())
        );
        let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
        server.listeners.push(open);
        assert!(!server.is_loopback());
    }
}
