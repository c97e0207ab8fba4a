//! Unix domain sockets: mode 0600 in a directory of mode 0700, and peers checked by uid.

use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, pin::Pin, task};

use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::server::Connected;

use super::{ACCEPT_PAUSE, BindError};
use crate::endpoint::Endpoint;
use crate::peer::PeerIdentity;

/// A bound control socket. Dropping it removes the socket file; keep it until the last answer is sent.
#[derive(Debug)]
#[must_use]
pub struct Listener {
    socket: Arc<UnixListener>,
    _file: SocketFile,
}

/// One accepted or opened connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    peer: PeerIdentity,
}

/// The socket in the file system, known by its inode so that a successor's is never removed.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Listener {
    /// Creates the socket, and its directory when there is none.
    ///
    /// A socket that refuses connections was left by a process that is gone, and is replaced.
    ///
    /// # Errors
    /// A live process listens there, the directory is not private to us, or the system refuses.
    pub async fn bind(endpoint: &Endpoint) -> Result<Self, BindError> {
        let Endpoint::Unix(path) = endpoint else {
            return Err(BindError::Unsupported {
                endpoint: endpoint.to_string(),
            });
        };
        prepare_directory(path.parent().unwrap_or(Path::new("/")))?;
        let socket = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path).await?;
                UnixListener::bind(path)
            }
            other => other,
        }
        .map_err(|source| failed("listen on", path, source))?;
        let file = SocketFile::of(path).map_err(|source| failed("examine", path, source))?;
        // Until this is done the directory keeps other users away.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(|source| failed("restrict the mode of", path, source))?;
        Ok(Self {
            socket: Arc::new(socket),
            _file: file,
        })
    }

    /// Connections of our own uid, for `tonic`'s `serve_with_incoming`; it never yields an error.
    ///
    /// Others are closed at once and reported to `refused`.
    pub fn incoming<F>(
        &self,
        refused: F,
    ) -> impl Stream<Item = io::Result<Connection>> + Send + use<F>
    where
        F: Fn(PeerIdentity) + Send + 'static,
    {
        let own = rustix::process::geteuid().as_raw();
        stream::unfold(
            (Arc::clone(&self.socket), refused),
            move |(socket, refused)| async move {
                loop {
                    let Ok((stream, _)) = socket.accept().await else {
                        // Out of descriptors or memory: the next attempt may do better.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    };
                    // A peer that cannot be identified is gone already.
                    let Ok(connection) = Connection::new(stream) else {
                        continue;
                    };
                    if connection.peer.uid == Some(own) {
                        return Some((Ok(connection), (socket, refused)));
                    }
                    refused(connection.peer);
                }
            },
        )
    }
}

/// Opens a connection to the daemon at `endpoint`.
///
/// # Errors
/// `PermissionDenied` when another user serves the socket: secrets must not be sent to them.
pub async fn connect(endpoint: &Endpoint) -> io::Result<Connection> {
    let Endpoint::Unix(path) = endpoint else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let connection = Connection::new(UnixStream::connect(path).await?)?;
    if connection.peer.uid != Some(rustix::process::geteuid().as_raw()) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("it is served by {}", connection.peer),
        ));
    }
    Ok(connection)
}

impl Connection {
    fn new(stream: UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        let peer = PeerIdentity {
            uid: Some(credentials.uid()),
            pid: credentials.pid().and_then(|pid| pid.try_into().ok()),
        };
        Ok(Self { stream, peer })
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

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|now| now.dev() == self.device && now.ino() == self.inode);
        if ours {
            // Nothing is lost if this fails: the next daemon replaces a stale socket.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn prepare_directory(directory: &Path) -> Result<(), BindError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|source| failed("create the directory", directory, source))?;
    let metadata =
        fs::metadata(directory).map_err(|source| failed("examine", directory, source))?;
    let uid = rustix::process::geteuid().as_raw();
    if metadata.uid() != uid {
        return Err(BindError::ForeignDirectory {
            path: directory.to_owned(),
            owner: metadata.uid(),
            uid,
        });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(BindError::OpenDirectory {
            path: directory.to_owned(),
            mode,
        });
    }
    Ok(())
}

async fn remove_stale(path: &Path) -> Result<(), BindError> {
    let metadata = fs::symlink_metadata(path).map_err(|source| failed("examine", path, source))?;
    // Connecting to a plain file is refused too, so the type has to be asked for.
    if !metadata.file_type().is_socket() {
        return Err(BindError::NotASocket {
            path: path.to_owned(),
        });
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| failed("remove the stale socket", path, source))
        }
        Err(source) => Err(failed("probe", path, source)),
        Ok(_) => Err(BindError::InUse {
            endpoint: path.display().to_string(),
        }),
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> BindError {
    BindError::Io {
        action,
        target: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::StreamExt;

    use super::*;

    fn endpoint(dir: &tempfile::TempDir) -> (PathBuf, Endpoint) {
        let path = dir.path().join("run/control.sock");
        (path.clone(), Endpoint::Unix(path))
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn socket_and_directory_are_private_and_the_socket_goes_with_the_listener() {
        let dir = tempfile::tempdir().unwrap();
        let (path, endpoint) = endpoint(&dir);
        let listener = Listener::bind(&endpoint).await.unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (path, endpoint) = endpoint(&dir);
        prepare_directory(path.parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _listener = Listener::bind(&endpoint).await.unwrap();
        connect(&endpoint).await.unwrap();
    }

    #[tokio::test]
    async fn a_live_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (_, endpoint) = endpoint(&dir);
        let _first = Listener::bind(&endpoint).await.unwrap();
        let second = Listener::bind(&endpoint).await;
        assert!(matches!(second, Err(BindError::InUse { .. })), "{second:?}");
        connect(&endpoint).await.unwrap();
    }

    #[tokio::test]
    async fn a_plain_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, endpoint) = endpoint(&dir);
        prepare_directory(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap();
        let bound = Listener::bind(&endpoint).await;
        assert!(
            matches!(bound, Err(BindError::NotASocket { .. })),
            "{bound:?}"
        );
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_directory_open_to_others_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (path, endpoint) = endpoint(&dir);
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
        let bound = Listener::bind(&endpoint).await;
        assert!(
            matches!(bound, Err(BindError::OpenDirectory { .. })),
            "{bound:?}"
        );
    }

    #[tokio::test]
    async fn a_socket_of_a_successor_survives_the_predecessor() {
        let dir = tempfile::tempdir().unwrap();
        let (path, endpoint) = endpoint(&dir);
        let first = Listener::bind(&endpoint).await.unwrap();
        // Renamed rather than removed, so that the second socket cannot get the first one's inode.
        fs::rename(&path, dir.path().join("moved")).unwrap();
        let _second = Listener::bind(&endpoint).await.unwrap();
        drop(first);
        connect(&endpoint).await.unwrap();
    }

    #[tokio::test]
    async fn both_ends_see_who_the_other_is() {
        let dir = tempfile::tempdir().unwrap();
        let (_, endpoint) = endpoint(&dir);
        let listener = Listener::bind(&endpoint).await.unwrap();
        let mut incoming = pin!(listener.incoming(|_| ()));
        let (client, server) = tokio::join!(connect(&endpoint), incoming.next());
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(client.unwrap().peer().uid, Some(own));
        assert_eq!(
            server.unwrap().unwrap().connect_info(),
            PeerIdentity {
                uid: Some(own),
                pid: Some(std::process::id()),
            }
        );
    }
}
