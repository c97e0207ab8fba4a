//! The daemon itself: who it is, how it is, and how to end it.

use mcpbridge_proto::v1::daemon_server::Daemon;
use mcpbridge_proto::v1::{
    GetInfoRequest, GetInfoResponse, GetStatusRequest, GetStatusResponse, ShutdownRequest,
    ShutdownResponse,
};
use mcpbridge_proto::{API_REVISION, VERSION};
use tonic::{Request, Response, Status};

use super::Control;
use crate::credentials::State;

/// What does not change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Facts {
    pub started_at: jiff::Timestamp,
    pub config_dir: String,
    pub socket: String,
    /// Base URLs of the listeners.
    pub listen: Vec<String>,
    /// The base URL clients should use.
    pub base_url: String,
    pub key_store: String,
    pub log_destination: String,
}

#[tonic::async_trait]
impl Daemon for Control {
    async fn get_info(
        &self,
        _request: Request<GetInfoRequest>,
    ) -> Result<Response<GetInfoResponse>, Status> {
        Ok(Response::new(GetInfoResponse {
            version: VERSION.to_owned(),
            api_revision: API_REVISION,
            pid: std::process::id(),
        }))
    }

    async fn get_status(
        &self,
        _request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let snapshot = self.registry.snapshot();
        let needs_login = |name| {
            matches!(
                self.credentials.status(name).state,
                State::NeedsLogin | State::LoggedOut
            )
        };
        let facts = self.facts.clone();
        let pending = self.approvals.pending().len();
        let file = self.registry.file().borrow().clone();
        let (config_problem, config_remedy) = match file.rejected {
            Some(rejected) => (rejected.reason, rejected.remedy),
            None => Default::default(),
        };
        Ok(Response::new(GetStatusResponse {
            config_problem,
            config_remedy,
            restart_settings: file.restart.into_iter().map(str::to_owned).collect(),
            pending_approvals: u32::try_from(pending).unwrap_or(u32::MAX),
            version: VERSION.to_owned(),
            pid: std::process::id(),
            started_at: facts.started_at.as_second(),
            config_dir: facts.config_dir,
            socket: facts.socket,
            listen: facts.listen,
            base_url: facts.base_url,
            key_store: facts.key_store,
            log_destination: facts.log_destination,
            servers: u32::try_from(snapshot.len()).unwrap_or(u32::MAX),
            needs_login: snapshot
                .iter()
                .filter(|server| needs_login(&server.name))
                .map(|server| server.name.to_string())
                .collect(),
        }))
    }

    async fn shutdown(
        &self,
        _request: Request<ShutdownRequest>,
    ) -> Result<Response<ShutdownResponse>, Status> {
        self.lifecycle.begin_shutdown("asked by the control API");
        Ok(Response::new(ShutdownResponse {}))
    }
}
