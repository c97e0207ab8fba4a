//! Sign-ins under way: at most one per server, found by server name or by their `state`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::login::SharedLoginError;
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
}

/// What became of a redirect to the callback.
#[derive(Debug)]
pub enum CallbackOutcome {
    Completed(ServerName),
    Failed {
        server: ServerName,
        error: SharedLoginError,
    },
    /// No sign-in waits for this `state`: used already, given up, or never ours.
    Unknown,
    /// It belongs to the sign-in of another server than the one it was given for.
    Misdirected(ServerName),
}

#[derive(Default)]
pub(super) struct Logins {
    running: Mutex<HashMap<ServerName, Running>>,
    waiting: Mutex<HashMap<String, Waiting>>,
}

#[derive(Clone)]
struct Running {
    steps: watch::Receiver<Step>,
    cancelled: CancellationToken,
}

struct Waiting {
    server: ServerName,
    redirect: oneshot::Sender<Callback>,
}

impl Logins {
    /// Joins the sign-in of `server`, or starts one with what `start` makes of its step channel.
    pub(super) fn join_or_start(
        &self,
        server: &ServerName,
        start: impl FnOnce(watch::Sender<Step>, CancellationToken),
    ) -> watch::Receiver<Step> {
        let mut running = lock(&self.running);
        // A closed channel is a task that is gone.
        if let Some(login) = running.get(server)
            && !login.steps.borrow().is_last()
            && login.steps.has_changed().is_ok()
        {
            return login.steps.clone();
        }
        let (sender, steps) = watch::channel(Step::Working(format!("Signing in to {server}")));
        let cancelled = CancellationToken::new();
        let login = Running {
            steps: steps.clone(),
            cancelled: cancelled.clone(),
        };
        running.insert(server.clone(), login);
        start(sender, cancelled);
        steps
    }

    /// Registers a `state`; the receiver gets the redirect that brings it back, once.
    pub(super) fn expect(&self, state: &str, server: &ServerName) -> Expected<'_> {
        let (redirect, receiver) = oneshot::channel();
        let waiting = Waiting {
            server: server.clone(),
            redirect,
        };
        lock(&self.waiting).insert(state.to_owned(), waiting);
        Expected {
            logins: self,
            state: state.to_owned(),
            redirect: receiver,
        }
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
        let Some(Waiting { server, redirect }) = waiting else {
            return CallbackOutcome::Unknown;
        };
        let steps = lock(&self.running)
            .get(&server)
            .map(|login| login.steps.clone());
        let (Some(mut steps), Ok(())) = (steps, redirect.send(callback)) else {
            return CallbackOutcome::Unknown;
        };
        let last = steps.wait_for(Step::is_last).await;
        match last.as_deref() {
            Ok(Step::Failed(error)) => CallbackOutcome::Failed {
                server,
                error: error.clone(),
            },
            Ok(_) => CallbackOutcome::Completed(server),
            Err(_) => CallbackOutcome::Unknown,
        }
    }

    pub(super) fn cancel(&self, server: &ServerName) {
        if let Some(login) = lock(&self.running).remove(server) {
            login.cancelled.cancel();
        }
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
