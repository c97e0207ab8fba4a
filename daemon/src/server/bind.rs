//! Binding the HTTP port: which addresses, and what is said when they are taken.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::error::{Classify, ErrorKind};

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

/// Listeners on what `host` and `port` name, and the port they have.
pub(super) async fn listeners(
    host: &str,
    port: u16,
) -> Result<(Vec<TcpListener>, u16), ServerError> {
    let addresses = loopback_addresses(host)?;
    let attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    let mut bound = bind_all(&addresses, port).await;
    for _ in 1..attempts {
        if !matches!(bound, Err(ServerError::PortInUse { .. })) {
            break;
        }
        bound = bind_all(&addresses, port).await;
    }
    bound
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

async fn bind_all(
    addresses: &[IpAddr],
    mut port: u16,
) -> Result<(Vec<TcpListener>, u16), ServerError> {
    let mut listeners = Vec::new();
    for address in addresses {
        match bind_one(*address, port).await {
            Ok((listener, bound)) => {
                listeners.push(listener);
                port = bound;
            }
            // A machine without IPv6 has only the first address; a port that another program holds
            // there is an error, because clients may try ::1 first.
            Err(ServerError::Listen { source, .. }) if !listeners.is_empty() => {
                tracing::debug!(%address, error = %source, "not listening there");
            }
            Err(error) => return Err(error),
        }
    }
    Ok((listeners, port))
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
