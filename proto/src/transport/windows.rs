//! Named pipes whose access list names their owner and nobody else.

use std::sync::Arc;
use std::{io, pin::Pin, task};

use futures_util::{Stream, stream};
use interprocess::local_socket::tokio::{
    Listener as PipeListener, Stream as PipeStream, prelude::*,
};
use interprocess::local_socket::{GenericNamespaced, ListenerOptions, Name};
use interprocess::os::windows::local_socket::ListenerOptionsExt;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;
use widestring::u16cstr;

use super::{ACCEPT_PAUSE, BindError};
use crate::endpoint::Endpoint;
use crate::peer::PeerIdentity;

/// A bound control pipe; it goes with its last handle.
#[must_use]
pub struct Listener {
    pipe: Arc<PipeListener>,
}

/// One accepted or opened connection.
#[derive(Debug)]
pub struct Connection {
    stream: PipeStream,
    peer: PeerIdentity,
}

impl Listener {
    /// Creates the pipe as its first instance, so that nobody can have squatted the name.
    ///
    /// # Errors
    /// The pipe exists, or the system refuses.
    #[expect(clippy::unused_async, reason = "the same signature on every system")]
    pub async fn bind(endpoint: &Endpoint) -> Result<Self, BindError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::AddrInUse => BindError::InUse {
                endpoint: endpoint.to_string(),
            },
            _ => BindError::Io {
                action: "listen on",
                target: endpoint.to_string(),
                source,
            },
        };
        // D:P   a protected list: nothing is inherited.
        // A;;GA;;;OW   full access for the pipe's owner, which is the user who created it.
        // D;;GA;;;NU   none for network logons: pipes are reachable over SMB otherwise.
        let descriptor = SecurityDescriptor::deserialize(u16cstr!("D:P(D;;GA;;;NU)(A;;GA;;;OW)"))
            .map_err(failed)?;
        let pipe = ListenerOptions::new()
            .name(name(endpoint).map_err(failed)?)
            .security_descriptor(descriptor)
            .create_tokio()
            .map_err(failed)?;
        Ok(Self {
            pipe: Arc::new(pipe),
        })
    }

    /// Connections for `tonic`'s `serve_with_incoming`; it never yields an error.
    ///
    /// The access list keeps other users out, so `refused` is never called here.
    pub fn incoming<F>(
        &self,
        _refused: F,
    ) -> impl Stream<Item = io::Result<Connection>> + Send + use<F>
    where
        F: Fn(PeerIdentity) + Send + 'static,
    {
        stream::unfold(Arc::clone(&self.pipe), |pipe| async move {
            loop {
                match pipe.accept().await {
                    Ok(stream) => return Some((Ok(Connection::new(stream)), pipe)),
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
        })
    }
}

/// Opens a connection to the daemon at `endpoint`.
///
/// # Errors
/// There is no such pipe, or it does not admit us.
pub async fn connect(endpoint: &Endpoint) -> io::Result<Connection> {
    PipeStream::connect(name(endpoint)?)
        .await
        .map(Connection::new)
}

fn name(endpoint: &Endpoint) -> io::Result<Name<'_>> {
    match endpoint {
        Endpoint::Pipe(name) => name.as_str().to_ns_name::<GenericNamespaced>(),
        Endpoint::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
    }
}

impl Connection {
    fn new(stream: PipeStream) -> Self {
        let pid = stream.peer_creds().ok().and_then(|peer| peer.pid());
        let peer = PeerIdentity { uid: None, pid };
        Self { stream, peer }
    }

    pub fn peer(&self) -> PeerIdentity {
        self.peer
    }
}

impl Connected for Connection {
    type ConnectInfo = PeerIdentity;

    fn connect_info(&self) -> PeerIdentity {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
