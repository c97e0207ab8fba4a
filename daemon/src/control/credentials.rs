//! Signing in and out.

use std::pin::Pin;

use futures_util::Stream;
use mcpbridge_proto::v1::credentials_server::Credentials;
use mcpbridge_proto::v1::login_event::{AuthorizationRequired, Completed, Event, Progress};
use mcpbridge_proto::v1::{
    CompleteLoginRequest, CompleteLoginResponse, LoginEvent, LoginRequest, LogoutRequest,
    LogoutResponse, RefreshRequest, RefreshResponse,
};
use mcpbridge_proto::{Fault, Reason};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Control, server_name, status};
use crate::credentials::{CallbackOutcome, Farewell, LoginOptions, Step};
use crate::oauth::callback::Callback;
use crate::oauth::scope;
use crate::types::ServerName;

#[tonic::async_trait]
impl Credentials for Control {
    type LoginStream = Pin<Box<dyn Stream<Item = Result<LoginEvent, Status>> + Send>>;

    async fn login(
        &self,
        request: Request<LoginRequest>,
    ) -> Result<Response<Self::LoginStream>, Status> {
        let LoginRequest {
            name,
            scopes,
            force,
        } = request.into_inner();
        let name = server_name(&name)?;
        if !scopes.is_empty() {
            // In addition to what was granted so far: without it the new token could do less than the old.
            let granted = self.credentials.status(&name).scopes;
            let wanted = scope::union(&granted, &scopes);
            let target = name.clone();
            self.finish(move |this| async move {
                let added = this.registry.add_scopes(&target, &wanted).await;
                added.map_err(status::of)
            })
            .await?;
        }
        let server = self.registry.get(name.as_str()).map_err(status::of)?;
        let options = LoginOptions {
            force: force || !scopes.is_empty(),
        };
        let steps = self
            .credentials
            .login(&name, &server.config, options)
            .map_err(status::of)?;
        let (sender, receiver) = mpsc::channel(8);
        self.lifecycle
            .spawn("login-feed", self.clone().feed_login(name, steps, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn complete_login(
        &self,
        request: Request<CompleteLoginRequest>,
    ) -> Result<Response<CompleteLoginResponse>, Status> {
        let request = request.into_inner();
        let name = server_name(&request.name)?;
        let callback = Callback::parse_pasted(&request.redirect_url).map_err(status::of)?;
        match self.credentials.complete_login(callback, Some(&name)).await {
            CallbackOutcome::Completed(_) | CallbackOutcome::AskedAnew(_) => {
                // Who follows the login is shown the new request.
                Ok(Response::new(CompleteLoginResponse {}))
            }
            CallbackOutcome::Failed { error, .. } => Err(status::of(error)),
            CallbackOutcome::Unknown => Err(conflict(
                "no sign-in is waiting for this redirect URL: it was used already, or given up",
                &name,
            )),
            CallbackOutcome::Misdirected(other) => Err(conflict(
                &format!("this redirect URL belongs to the sign-in of {other}, not of {name}"),
                &other,
            )),
        }
    }

    async fn logout(
        &self,
        request: Request<LogoutRequest>,
    ) -> Result<Response<LogoutResponse>, Status> {
        let server = self
            .registry
            .get(&request.into_inner().name)
            .map_err(status::of)?;
        let farewell = self
            .finish(move |this| async move {
                let logout = this.credentials.logout(&server.name);
                logout.await.map_err(status::of)
            })
            .await?;
        let warnings = self.revoke(farewell).await?;
        Ok(Response::new(LogoutResponse { warnings }))
    }

    async fn refresh(
        &self,
        request: Request<RefreshRequest>,
    ) -> Result<Response<RefreshResponse>, Status> {
        let server = self
            .registry
            .get(&request.into_inner().name)
            .map_err(status::of)?;
        self.credentials
            .refresh(&server.name)
            .await
            .map_err(status::of)?;
        Ok(Response::new(RefreshResponse {
            server: Some(self.view(&server)),
        }))
    }
}

impl Control {
    /// Tells the authorization server, also for a caller that has gone. Nothing waits for this.
    pub(super) async fn revoke(&self, farewell: Farewell) -> Result<Vec<String>, Status> {
        let revoking = self.lifecycle.spawn("revocation", farewell.revoke());
        revoking
            .await
            .map_err(|_| Status::internal("the revocation was interrupted"))
    }

    /// Passes the steps of a login on, until it ends or the watcher goes. The login itself goes on.
    async fn feed_login(
        self,
        name: ServerName,
        mut steps: watch::Receiver<Step>,
        to: mpsc::Sender<Result<LoginEvent, Status>>,
    ) {
        loop {
            let step = steps.borrow_and_update().clone();
            let (message, last) = self.login_event(&name, step);
            if to.send(message).await.is_err() || last {
                return;
            }
            tokio::select! {
                () = to.closed() => return,
                changed = steps.changed() => if changed.is_err() {
                    let gone = Fault {
                        reason: Reason::Unavailable,
                        message: "the sign-in was given up".to_owned(),
                        hint: None,
                    };
                    let _ = to.send(Err(gone.into_status())).await;
                    return;
                }
            }
        }
    }

    fn login_event(&self, name: &ServerName, step: Step) -> (Result<LoginEvent, Status>, bool) {
        let event = |event, last| (Ok(LoginEvent { event: Some(event) }), last);
        match step {
            Step::Working(message) => event(Event::Progress(Progress { message }), false),
            Step::AuthorizationRequired {
                url,
                issuer,
                redirect_uri,
                expires_at,
            } => {
                let expires_at = expires_at.as_second();
                let required = AuthorizationRequired {
                    url,
                    issuer,
                    redirect_uri,
                    expires_at,
                };
                event(Event::AuthorizationRequired(required), false)
            }
            Step::Completed => match self.registry.get(name.as_str()) {
                Ok(server) => {
                    let server = Some(self.view(&server));
                    event(Event::Completed(Completed { server }), true)
                }
                Err(error) => (Err(status::of(error)), true),
            },
            Step::Failed(error) => (Err(status::of(error)), true),
        }
    }
}

fn conflict(message: &str, server: &ServerName) -> Status {
    let hint = Some(format!("start again with `mcpbridgectl login {server}`"));
    Fault {
        reason: Reason::Conflict,
        message: message.to_owned(),
        hint,
    }
    .into_status()
}
