//! The HTTP port: listeners on the loopback addresses, and connections from accept to close.
//!
//! Every request passes the [`Gate`] before any route sees it, and carries its [`Caller`] as an
//! extension from there on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
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

use crate::error::{Classify, ErrorKind};
use crate::http::Gate;
use crate::http::peer::{ForeignPeer, PeerCheck};
use crate::lifecycle::Lifecycle;
use crate::types::Caller;

/// Time a client has to send a request head, and an idle connection to be kept.
const HEAD_LIMIT: Duration = Duration::from_secs(75);
/// How long accepting pauses when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// With port 0 the two address families must agree on a port that the system chose for one.
const PORT_ATTEMPTS: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("port {port} on {address} is in use by another program")]
    PortInUse {
        address: IpAddr,
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("cannot listen on {address} port {port}")]
    Listen {
        address: IpAddr,
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("proxy_host {0:?} is not this machine: use localhost, 127.0.0.1 or ::1")]
    NotLoopback(String),
}

impl Classify for ServerError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::PortInUse { .. } => ErrorKind::Conflict,
            Self::Listen { .. } => ErrorKind::Unavailable,
            Self::NotLoopback(_) => ErrorKind::InvalidInput,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::PortInUse { .. } => Some(
                "Stop that program, or choose another port with --port or proxy_port in \
                 config.json."
                    .to_owned(),
            ),
            Self::Listen { .. } => {
                Some("Choose another port with --port or proxy_port in config.json.".to_owned())
            }
            Self::NotLoopback(_) => None,
        }
    }
}

/// Bound sockets that nobody accepts from yet.
#[derive(Debug)]
pub struct Listeners {
    /// The host as it was asked for: what clients should write.
    host: String,
    sockets: Vec<TcpListener>,
    port: u16,
}

impl Listeners {
    /// Binds `host`: `localhost` means both loopback addresses, of which IPv6 may be missing.
    pub async fn bind(host: &str, port: u16) -> Result<Self, ServerError> {
        let addresses = loopback_addresses(host)?;
        let attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
        let mut outcome = bind_all(host, &addresses, port).await;
        for _ in 1..attempts {
            if !matches!(outcome, Err(ServerError::PortInUse { .. })) {
                break;
            }
            outcome = bind_all(host, &addresses, port).await;
        }
        outcome
    }

    /// What clients should use, such as `http://localhost:3000`.
    pub fn base_url(&self) -> String {
        match self.host.parse::<Ipv6Addr>() {
            Ok(address) => format!("http://[{address}]:{}", self.port),
            Err(_) => format!("http://{}:{}", self.host, self.port),
        }
    }

    /// The URL of every listener.
    pub fn urls(&self) -> Vec<String> {
        let addresses = self
            .sockets
            .iter()
            .filter_map(|socket| socket.local_addr().ok());
        addresses
            .map(|address| format!("http://{address}"))
            .collect()
    }

    /// The port, which the system has chosen if 0 was asked for.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn loopback_addresses(host: &str) -> Result<Vec<IpAddr>, ServerError> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => Ok(vec![address]),
        _ => Err(ServerError::NotLoopback(host.to_owned())),
    }
}

async fn bind_all(host: &str, addresses: &[IpAddr], port: u16) -> Result<Listeners, ServerError> {
    let mut listeners = Listeners {
        host: host.to_owned(),
        sockets: Vec::new(),
        port,
    };
    for address in addresses {
        match bind_one(*address, listeners.port).await {
            Ok((socket, port)) => {
                listeners.sockets.push(socket);
                listeners.port = port;
            }
            // A machine without IPv6 has only the first address; a port that another program holds
            // there is an error, because clients may try ::1 first.
            Err(ServerError::Listen { source, .. }) if !listeners.sockets.is_empty() => {
                tracing::debug!(%address, error = %source, "not listening there");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(listeners)
}

async fn bind_one(address: IpAddr, port: u16) -> Result<(TcpListener, u16), ServerError> {
    let bound = async {
        let socket = TcpListener::bind(SocketAddr::new(address, port)).await?;
        let port = socket.local_addr()?.port();
        Ok((socket, port))
    };
    bound
        .await
        .map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ServerError::PortInUse {
                address,
                port,
                source,
            },
            _ => ServerError::Listen {
                address,
                port,
                source,
            },
        })
}

/// Serves `router` on the listeners until the daemon stops.
pub struct Server {
    router: Router,
    gate: Gate,
    peers: PeerCheck,
    connections: Arc<Semaphore>,
    lifecycle: Lifecycle,
}

impl Server {
    pub fn new(
        router: Router,
        gate: Gate,
        peers: PeerCheck,
        max_connections: usize,
        lifecycle: Lifecycle,
    ) -> Self {
        let connections = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
        Self {
            router,
            gate,
            peers,
            connections,
            lifecycle,
        }
    }

    /// Starts one accepting task per listener.
    pub fn spawn(self, listeners: Listeners) {
        let server = Arc::new(self);
        for socket in listeners.sockets {
            let this = Arc::clone(&server);
            server
                .lifecycle
                .spawn_critical("http listener", async move {
                    tokio::select! {
                        () = this.lifecycle.stopping() => {}
                        () = this.accept_all(&socket) => {}
                    }
                });
        }
    }

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
            // At the limit this one waits, and those after it in the kernel's queue.
            let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
                return;
            };
            let connection = Arc::clone(self).serve(stream, remote, permit);
            self.lifecycle.spawn("http connection", connection);
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        remote: SocketAddr,
        _permit: OwnedSemaphorePermit,
    ) {
        let Ok(local) = stream.local_addr() else {
            return;
        };
        let _ = stream.set_nodelay(true);
        let peer = self.peers.identify(local, remote);
        if let Err(error) = &peer {
            tracing::warn!(%remote, %error, "requests on this connection will be refused");
        }
        let service = service_fn(|request| self.answer(&peer, request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_LIMIT)
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
        peer: &Result<Caller, ForeignPeer>,
        mut request: Request<Incoming>,
    ) -> Result<Response, std::convert::Infallible> {
        match self.gate.admit(peer, request.uri(), request.headers()) {
            Ok(caller) => {
                request.extensions_mut().insert(caller.clone());
                self.router.clone().call(request).await
            }
            Err(problem) => Ok(problem.into_response()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::http::OriginCheck;

    async fn start(max_connections: usize) -> (u16, Lifecycle) {
        let listeners = Listeners::bind("localhost", 0).await.unwrap();
        let port = listeners.port();
        let lifecycle = Lifecycle::new();
        let router = Router::new().route("/", get(|| async { "hello" }));
        let gate = Gate::new(OriginCheck::new(port, &[], &[]));
        let server = Server::new(
            router,
            gate,
            PeerCheck::new(&[]),
            max_connections,
            lifecycle.clone(),
        );
        server.spawn(listeners);
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
        let error = Listeners::bind("localhost", port).await.unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert!(error.hint().unwrap().contains("--port"));
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }

    #[tokio::test]
    async fn only_loopback_can_be_bound() {
        for host in ["0.0.0.0", "::", "192.0.2.1", "example.com", ""] {
            let refused = Listeners::bind(host, 0).await;
            assert!(
                matches!(refused, Err(ServerError::NotLoopback(_))),
                "{host}"
            );
        }
        assert!(Listeners::bind("127.0.0.1", 0).await.is_ok());
    }
}
