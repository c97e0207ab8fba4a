//! The typed client: connect, greet, call.

use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::endpoint::Endpoint;
use crate::transport;
use crate::v1::approvals_client::ApprovalsClient;
use crate::v1::audit_client::AuditClient;
use crate::v1::clients_client::ClientsClient;
use crate::v1::credentials_client::CredentialsClient;
use crate::v1::daemon_client::DaemonClient;
use crate::v1::keys_client::KeysClient;
use crate::v1::policy_client::PolicyClient;
use crate::v1::servers_client::ServersClient;
use crate::v1::tools_client::ToolsClient;
use crate::v1::ui_client::UiClient;
use crate::v1::{GetInfoRequest, GetInfoResponse};
use crate::{API_REVISION, MAX_MESSAGE_BYTES, VERSION};

/// How long to wait for a daemon that was started at the same time.
const START_GRACE: Duration = Duration::from_secs(2);
const RETRY_EVERY: Duration = Duration::from_millis(25);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// One connection to one daemon, whose version is known.
///
/// It does not reconnect: what answers later might be another daemon.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    info: GetInfoResponse,
}

/// The daemon was built from another version than this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skew {
    pub daemon: String,
    pub client: &'static str,
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the daemon is not running: nothing listens on {endpoint}")]
    NotRunning { endpoint: Endpoint },
    #[error("cannot connect to the daemon at {endpoint}")]
    Refused {
        endpoint: Endpoint,
        #[source]
        source: io::Error,
    },
    #[error("the daemon at {endpoint} accepts connections but does not answer")]
    Silent { endpoint: Endpoint },
    #[error("what listens on {endpoint} is not this daemon")]
    Handshake {
        endpoint: Endpoint,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Client {
    /// Connects, waiting up to two seconds for a daemon that is only just starting.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, ConnectError> {
        Self::connect_within(endpoint, START_GRACE).await
    }

    /// Connects; `grace` bounds the wait for the socket to appear, and zero means one attempt.
    pub async fn connect_within(
        endpoint: &Endpoint,
        grace: Duration,
    ) -> Result<Self, ConnectError> {
        let connection = open(endpoint, grace).await?;
        let greeting = async {
            let channel = channel_over(connection).await?;
            let reply = DaemonClient::new(channel.clone())
                .get_info(GetInfoRequest {})
                .await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Self {
                channel,
                info: reply.into_inner(),
            })
        };
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, greeting).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(source)) => Err(ConnectError::Handshake {
                endpoint: endpoint.clone(),
                source,
            }),
            Err(_) => Err(ConnectError::Silent {
                endpoint: endpoint.clone(),
            }),
        }
    }

    /// Version, API revision and pid as the daemon told them in the handshake.
    pub fn info(&self) -> &GetInfoResponse {
        &self.info
    }

    /// Set when both sides are of different versions; worth one warning.
    pub fn skew(&self) -> Option<Skew> {
        let same = self.info.version == VERSION && self.info.api_revision == API_REVISION;
        (!same).then(|| Skew {
            daemon: self.info.version.clone(),
            client: VERSION,
        })
    }

    pub fn daemon(&self) -> DaemonClient<Channel> {
        DaemonClient::new(self.channel.clone())
    }

    pub fn servers(&self) -> ServersClient<Channel> {
        ServersClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub fn credentials(&self) -> CredentialsClient<Channel> {
        CredentialsClient::new(self.channel.clone())
    }

    pub fn clients(&self) -> ClientsClient<Channel> {
        ClientsClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub fn tools(&self) -> ToolsClient<Channel> {
        ToolsClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub fn policy(&self) -> PolicyClient<Channel> {
        PolicyClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub fn keys(&self) -> KeysClient<Channel> {
        KeysClient::new(self.channel.clone())
    }

    pub fn audit(&self) -> AuditClient<Channel> {
        AuditClient::new(self.channel.clone())
    }

    pub fn ui(&self) -> UiClient<Channel> {
        UiClient::new(self.channel.clone())
    }

    pub fn approvals(&self) -> ApprovalsClient<Channel> {
        ApprovalsClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }
}

/// Whether a call failed because the connection did, and not because the daemon said so.
pub fn is_disconnect(status: &Status) -> bool {
    let lost = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
    );
    // Statuses that were received have no source; those made on this side carry the transport's error.
    lost && std::error::Error::source(status).is_some()
}

async fn open(endpoint: &Endpoint, grace: Duration) -> Result<transport::Connection, ConnectError> {
    let deadline = Instant::now() + grace;
    loop {
        let source = match transport::connect(endpoint).await {
            Ok(connection) => return Ok(connection),
            Err(error) => error,
        };
        // A daemon that ends resets what it has not accepted yet.
        let absent = matches!(
            source.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionReset
        );
        let endpoint = endpoint.clone();
        if !absent {
            return Err(ConnectError::Refused { endpoint, source });
        }
        if Instant::now() >= deadline {
            return Err(ConnectError::NotRunning { endpoint });
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

/// A channel that lives exactly as long as `connection`.
async fn channel_over(
    connection: transport::Connection,
) -> Result<Channel, tonic::transport::Error> {
    let mut connection = Some(TokioIo::new(connection));
    let connector = tower::service_fn(move |_| {
        let connection = connection
            .take()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        std::future::ready(connection)
    });
    // The URI is required by HTTP/2 and means nothing here.
    tonic::transport::Endpoint::from_static("http://mcpbridged.invalid")
        .connect_with_connector(connector)
        .await
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tonic::{Request, Response};

    use super::*;
    use crate::transport::Listener;
    use crate::v1::daemon_server::{Daemon, DaemonServer};
    use crate::v1::{GetStatusRequest, GetStatusResponse, ShutdownRequest, ShutdownResponse};
    use crate::{Fault, PeerIdentity, Reason};

    struct Fake {
        version: &'static str,
    }

    #[tonic::async_trait]
    impl Daemon for Fake {
        async fn get_info(
            &self,
            request: Request<GetInfoRequest>,
        ) -> Result<Response<GetInfoResponse>, Status> {
            let peer = request.extensions().get::<PeerIdentity>();
            Ok(Response::new(GetInfoResponse {
                version: self.version.to_owned(),
                api_revision: API_REVISION,
                pid: peer.and_then(|peer| peer.pid).unwrap_or_default(),
            }))
        }

        async fn get_status(
            &self,
            _: Request<GetStatusRequest>,
        ) -> Result<Response<GetStatusResponse>, Status> {
            Err(Fault {
                reason: Reason::Internal,
                message: "internal error".to_owned(),
                hint: None,
            }
            .into_status())
        }

        async fn shutdown(
            &self,
            _: Request<ShutdownRequest>,
        ) -> Result<Response<ShutdownResponse>, Status> {
            panic!("the daemon crashes while it answers")
        }
    }

    /// Runs `test` beside a daemon of `version`, and ends the daemon when the test ends.
    async fn beside<T>(version: &'static str, test: impl AsyncFnOnce(Endpoint) -> T) -> T {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(dir.path().join("run/control.sock"));
        let listener = Listener::bind(&endpoint).await.unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(DaemonServer::new(Fake { version }))
            .serve_with_incoming(listener.incoming(|_| ()));
        tokio::select! {
            ended = server => panic!("the server ended: {ended:?}"),
            value = test(endpoint) => value,
        }
    }

    #[tokio::test]
    async fn the_handshake_tells_versions_apart_and_the_handler_who_called() {
        let same = beside(VERSION, async |endpoint| Client::connect(&endpoint).await).await;
        let same = same.unwrap();
        assert_eq!(same.skew(), None);
        assert_eq!(same.info().pid, std::process::id());

        let other = beside("9.9.9", async |endpoint| Client::connect(&endpoint).await).await;
        assert_eq!(other.unwrap().skew().unwrap().daemon, "9.9.9");
    }

    #[tokio::test]
    async fn what_the_daemon_says_is_not_a_disconnect() {
        let status = beside(VERSION, async |endpoint| {
            let client = Client::connect(&endpoint).await.unwrap();
            client.daemon().get_status(GetStatusRequest {}).await
        })
        .await
        .unwrap_err();
        assert!(!is_disconnect(&status));
        assert_eq!(Fault::from_status(&status).reason, Reason::Internal);
    }

    #[tokio::test]
    async fn a_daemon_that_dies_in_a_call_is_a_disconnect() {
        let status = beside(VERSION, async |endpoint| {
            let client = Client::connect(&endpoint).await.unwrap();
            client.daemon().shutdown(ShutdownRequest {}).await
        })
        .await
        .unwrap_err();
        assert!(is_disconnect(&status), "{status:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_daemon_is_waited_for_and_then_reported() {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(dir.path().join("control.sock"));
        let before = Instant::now();
        let error = Client::connect(&endpoint).await.unwrap_err();
        assert!(
            matches!(error, ConnectError::NotRunning { .. }),
            "{error:?}"
        );
        assert!(before.elapsed() >= START_GRACE);
    }

    /// What waits to be accepted when a daemon ends is reset, which is no refusal.
    #[tokio::test]
    async fn a_daemon_that_ends_while_it_is_connected_to_is_not_running() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let endpoint = Endpoint::Unix(path.clone());
        let over = Arc::new(AtomicBool::new(false));
        let daemons = {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
                    std::fs::remove_file(&path).unwrap();
                }
            })
        };
        let mut met = 0;
        for _ in 0..60_000 {
            match open(&endpoint, Duration::ZERO).await {
                Ok(_) => met += 1,
                Err(ConnectError::NotRunning { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        over.store(true, Ordering::Relaxed);
        daemons.join().unwrap();
        assert!(met > 0, "no connection met a daemon that listened");
    }

    #[tokio::test]
    async fn something_else_on_the_socket_is_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(dir.path().join("run/control.sock"));
        let listener = Listener::bind(&endpoint).await.unwrap();
        let mut incoming = std::pin::pin!(listener.incoming(|_| ()));
        let imposter = async {
            while let Some(connection) = futures_util::StreamExt::next(&mut incoming).await {
                drop(connection);
            }
        };
        let error = tokio::select! {
            () = imposter => panic!("the socket ended"),
            result = Client::connect(&endpoint) => result.unwrap_err(),
        };
        assert!(matches!(error, ConnectError::Handshake { .. }), "{error:?}");
    }
}
