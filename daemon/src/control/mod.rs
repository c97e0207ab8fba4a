//! The control API: one file per RPC group, each facing `ctl/src/commands`.
//!
//! Translates between messages and the services below; rules and storage live there. Nothing
//! outside this module sees a message type.

mod approval_view;
mod approvals;
mod audit;
mod call;
mod clients;
mod config_file;
mod credentials;
mod daemon;
mod keys;
mod policy;
mod server_view;
mod servers;
mod status;
mod tools;
mod ui;

use std::io;

use futures_util::Stream;
use mcpbridge_proto::transport::Connection;
use mcpbridge_proto::v1::approvals_server::ApprovalsServer;
use mcpbridge_proto::v1::audit_server::AuditServer;
use mcpbridge_proto::v1::clients_server::ClientsServer;
use mcpbridge_proto::v1::credentials_server::CredentialsServer;
use mcpbridge_proto::v1::daemon_server::DaemonServer;
use mcpbridge_proto::v1::keys_server::KeysServer;
use mcpbridge_proto::v1::policy_server::PolicyServer;
use mcpbridge_proto::v1::servers_server::ServersServer;
use mcpbridge_proto::v1::tools_server::ToolsServer;
use mcpbridge_proto::v1::ui_server::UiServer;
use mcpbridge_proto::{MAX_MESSAGE_BYTES, PeerIdentity};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Status};

pub use daemon::Facts;

use crate::admin::Admin;
use crate::approval::Approvals;
use crate::audit::Audit;
use crate::catalog::Catalog;
use crate::clients::Clients;
use crate::credentials::Credentials;
use crate::http::peer::at_control_socket;
use crate::http::sessions::Sessions;
use crate::lifecycle::Lifecycle;
use crate::pipeline::Pipeline;
use crate::registry::Registry;
use crate::types::{Caller, Decider, Secret, ServerName};
use crate::vendors::Vendors;

/// What the handlers work on.
#[derive(Clone)]
pub struct Control {
    pub admin: Admin,
    pub registry: Registry,
    pub credentials: Credentials,
    pub catalog: Catalog,
    pub approvals: Approvals,
    pub clients: Clients,
    pub vendors: Vendors,
    pub audit: Audit,
    pub pipeline: Pipeline,
    pub sessions: Sessions,
    pub lifecycle: Lifecycle,
    pub facts: Facts,
}

impl Control {
    /// Runs a change to its end, whether or not the caller waits for it, and one at a time: a server's
    /// entry and its credential come and go together.
    async fn finish<T, F>(
        &self,
        change: impl FnOnce(Self) -> F + Send + 'static,
    ) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Status>> + Send,
    {
        let this = self.clone();
        let done = self.admin.finish(async move { change(this).await });
        let interrupted = || Err(Status::internal("the change was interrupted"));
        done.await.unwrap_or_else(interrupted)
    }

    /// Serves until `ended`. It outlives the rest of the daemon, so that `mcpbridgectl stop` gets
    /// its answer.
    pub async fn serve(
        self,
        incoming: impl Stream<Item = io::Result<Connection>> + Send + 'static,
        ended: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        Server::builder()
            .add_service(DaemonServer::new(self.clone()))
            .add_service(ServersServer::new(self.clone()))
            .add_service(CredentialsServer::new(self.clone()))
            .add_service(ClientsServer::new(self.clone()))
            .add_service(KeysServer::new(self.clone()))
            .add_service(
                ApprovalsServer::new(self.clone())
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(
                ToolsServer::new(self.clone())
                    .max_decoding_message_size(MAX_MESSAGE_BYTES)
                    .max_encoding_message_size(MAX_MESSAGE_BYTES),
            )
            .add_service(AuditServer::new(self.clone()))
            .add_service(UiServer::new(self.clone()))
            .add_service(PolicyServer::new(self))
            .serve_with_incoming_shutdown(incoming, ended.cancelled_owned())
            .await
    }
}

fn caller<T>(request: &Request<T>) -> Caller {
    let peer = request.extensions().get::<PeerIdentity>();
    at_control_socket(peer.and_then(|p| p.uid), peer.and_then(|p| p.pid))
}

/// The caller as the one who decides: for what changes by this request.
async fn decider<T>(request: &Request<T>) -> Decider {
    let caller = caller(request);
    caller.resolve().await;
    let process = caller.process();
    Decider::Control {
        pid: process.pid,
        exe: process.exe.clone(),
    }
}

/// The schema writes a PIN that was not given as an empty text.
fn pin(text: String) -> Option<Secret> {
    (!text.is_empty()).then(|| Secret::new(text))
}

fn server_name(text: &str) -> Result<ServerName, Status> {
    text.parse()
        .map_err(|error| status::invalid("name", &error))
}
