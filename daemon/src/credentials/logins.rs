//! Sign-ins under way: at most one per server and setting, found by server name or by their `state`.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::login::SharedLoginError;
use crate::config::ServerConfig;
use crate::oauth::callback::Callback;
use crate::types::ServerName;

/// How far a sign-in is. Those who join late see the present step first.
#[derive(Debug, Clone)]
pub enum Step {
    /// A line for the person waiting.
    Working(String),
    /// The person has to open this URL.
    AuthorizationRequired {
        url: String,
        issuer: String,
        redirect_uri: String,
        expires_at: Timestamp,
    },
    Completed,
    Failed(SharedLoginError),
}

impl Step {
    fn is_last(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed(_))
    }

    /// Whether the person is asked to consent to another request than the one with `state`.
    fn asks_anew(&self, state: &str) -> bool {
        matches!(self, Self::AuthorizationRequired { url, .. } if !url.contains(state))
    }
}

/// What became of a redirect to the callback.
#[derive(Debug)]
pub enum CallbackOutcome {
    Completed(ServerName),
    Failed {
        server: ServerName,
        error: SharedLoginError,
    },
    /// It could not be used, and the person has to consent once more: a new request is out.
    AskedAnew(ServerName),
    /// No sign-in waits for this `state`: used already, given up, or never ours.
    Unknown,
    /// It belongs to the sign-in of another server than the one it was given for.
    Misdirected(ServerName),
}

#[derive(Default)]
pub(super) struct Logins {
    running: Mutex<HashMap<ServerName, Running>>,
    waiting: Mutex<HashMap<String, Waiting>>,
    /// Servers whose kept client was shown to a browser that never came back. Authorization servers
    /// that have forgotten a client say so in the browser and nowhere else.
    silent: Mutex<HashSet<ServerName>>,
}

struct Running {
    /// What it was started with: one with other settings is another sign-in.
    config: ServerConfig,
    steps: watch::Receiver<Step>,
    cancelled: CancellationToken,
}

struct Waiting {
    server: ServerName,
    steps: watch::Receiver<Step>,
    redirect: oneshot::Sender<Callback>,
}

impl Logins {
    /// Joins the sign-in of `server`, or starts one with what `start` makes of its step channel. One
    /// with other settings, such as fewer scopes, is given up.
    pub(super) fn join_or_start(
        &self,
        server: &ServerName,
        config: &ServerConfig,
        start: impl FnOnce(watch::Sender<Step>, CancellationToken),
    ) -> watch::Receiver<Step> {
        let mut running = lock(&self.running);
        if let Some(login) = running.get(server) {
            // A closed channel is a task that is gone.
            let over = login.steps.borrow().is_last() || login.steps.has_changed().is_err();
            if !over && login.config.url == config.url && login.config.oauth == config.oauth {
                return login.steps.clone();
            }
            login.cancelled.cancel();
        }
        let (sender, steps) = watch::channel(Step::Working(format!("Signing in to {server}")));
        let cancelled = CancellationToken::new();
        let login = Running {
            config: config.clone(),
            steps: steps.clone(),
            cancelled: cancelled.clone(),
        };
        running.insert(server.clone(), login);
        start(sender, cancelled);
        steps
    }

    /// Registers a `state`; the receiver gets the redirect that brings it back, once.
    pub(super) fn expect(
        &self,
        state: &str,
        server: &ServerName,
        steps: watch::Receiver<Step>,
    ) -> Expected<'_> {
        let (redirect, receiver) = oneshot::channel();
        let waiting = Waiting {
            server: server.clone(),
            steps,
            redirect,
        };
        lock(&self.waiting).insert(state.to_owned(), waiting);
        Expected {
            logins: self,
            state: state.to_owned(),
            redirect: receiver,
        }
    }

    /// Notes that a browser is shown a kept client, or that one came back.
    pub(super) fn set_silent(&self, server: &ServerName, silent: bool) {
        let mut servers = lock(&self.silent);
        if silent {
            servers.insert(server.clone());
        } else {
            servers.remove(server);
        }
    }

    pub(super) fn is_silent(&self, server: &ServerName) -> bool {
        lock(&self.silent).contains(server)
    }

    /// Hands a redirect to the sign-in it belongs to and waits for how that ends. `only` names the
    /// server it must belong to.
    pub(super) async fn complete(
        &self,
        callback: Callback,
        only: Option<&ServerName>,
    ) -> CallbackOutcome {
        let waiting = {
            let mut table = lock(&self.waiting);
            match (table.get(callback.state.expose()), only) {
                (Some(waiting), Some(only)) if waiting.server != *only => {
                    return CallbackOutcome::Misdirected(waiting.server.clone());
                }
                _ => table.remove(callback.state.expose()),
            }
        };
        let Some(waiting) = waiting else {
            return CallbackOutcome::Unknown;
        };
        let Waiting {
            server,
            mut steps,
            redirect,
        } = waiting;
        let state = callback.state.clone();
        if redirect.send(callback).is_err() {
            return CallbackOutcome::Unknown;
        }
        let ends = |step: &Step| step.is_last() || step.asks_anew(state.expose());
        match steps.wait_for(ends).await.as_deref() {
            Ok(Step::Failed(error)) => CallbackOutcome::Failed {
                server,
                error: error.clone(),
            },
            Ok(Step::AuthorizationRequired { .. }) => CallbackOutcome::AskedAnew(server),
            Ok(_) => CallbackOutcome::Completed(server),
            Err(_) => CallbackOutcome::Unknown,
        }
    }

    pub(super) fn cancel(&self, server: &ServerName) {
        if let Some(login) = lock(&self.running).remove(server) {
            login.cancelled.cancel();
        }
        self.set_silent(server, false);
    }
}

/// A registered `state`, given back when dropped.
pub(super) struct Expected<'a> {
    logins: &'a Logins,
    state: String,
    pub(super) redirect: oneshot::Receiver<Callback>,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        lock(&self.logins.waiting).remove(&self.state);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
