//! Owner of every credential: who is signed in where, and the token to send.
//!
//! A [`Slot`] per configured server says where its authorization comes from (see `binding`); one task
//! per credential keeps the tokens fresh (see `task`). Only this module reads or writes token records
//! in the vault, and no token text leaves it except inside an [`Authorization`].

mod binding;
mod discover;
mod error;
mod events;
mod grant;
mod handle;
mod login;
mod logins;
mod record;
mod schedule;
mod state;
mod task;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, watch};
use url::Url;

pub use binding::{Farewell, ServerSecrets};
pub use error::CredentialError;
pub use login::{LoginError, LoginOptions, SharedLoginError};
pub use logins::{CallbackOutcome, Step};
pub use state::{Authorization, State, Status, TokenId, login_command};

use self::handle::Handle;
use self::logins::Logins;
use self::record::CredentialId;
use self::task::Context;
use crate::audit::Audit;
use crate::clock::SharedClock;
use crate::config::ServerConfig;
use crate::lifecycle::Lifecycle;
use crate::net;
use crate::types::ServerName;
use crate::vault::Vault;

/// Why a server is signed out that was set up with another URL.
const OTHER_URL: &str = "its URL in config.json is not the one it was set up for";

/// Cloneable handle.
#[derive(Clone)]
pub struct Credentials {
    inner: Arc<Inner>,
}

struct Inner {
    context: Context,
    slots: RwLock<HashMap<ServerName, Slot>>,
    /// Running credential tasks. Held while slots or records change, so that changes do not cross.
    tasks: Mutex<HashMap<CredentialId, Handle>>,
    logins: Logins,
    /// Our callback.
    redirect_uri: String,
}

/// The authorization of one configured server.
#[derive(Clone)]
struct Slot {
    /// The only place it is sent to.
    url: Url,
    source: Source,
}

/// Where an authorization comes from.
#[derive(Clone)]
enum Source {
    /// Fixed headers, or none at all.
    Fixed(Authorization),
    OAuth(Handle),
    /// Nothing to send, and why.
    LoggedOut(Option<String>),
}

impl Credentials {
    pub fn new(
        vault: Vault,
        audit: Audit,
        net: net::Client,
        clock: SharedClock,
        lifecycle: Lifecycle,
        redirect_uri: String,
    ) -> Self {
        let pulse = Arc::new(watch::Sender::new(0));
        let context = Context {
            vault,
            audit,
            net,
            clock,
            lifecycle,
            pulse,
        };
        let inner = Inner {
            context,
            slots: RwLock::default(),
            tasks: Mutex::default(),
            logins: Logins::default(),
            redirect_uri,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Counts up whenever the status of any server may have changed.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.context.pulse.subscribe()
    }

    /// What to send to `server` at `url`. With `refused`, the token that the server just refused, the
    /// answer is a newer one; all callers that were refused share one refresh.
    ///
    /// The URL is compared because config.json may have changed under a running call: a token goes
    /// only where it was made for.
    pub async fn authorization(
        &self,
        server: &ServerName,
        url: &Url,
        refused: Option<TokenId>,
    ) -> Result<Authorization, CredentialError> {
        let slot = self.slot(server)?;
        let reason = match slot.source {
            _ if slot.url != *url => Some(OTHER_URL.to_owned()),
            Source::Fixed(authorization) => return Ok(authorization),
            Source::OAuth(handle) => return handle.token(server, refused).await,
            Source::LoggedOut(reason) => reason,
        };
        Err(CredentialError::logged_out(server, reason))
    }

    pub fn status(&self, server: &ServerName) -> Status {
        match self.slot(server).map(|slot| slot.source) {
            Ok(Source::Fixed(_)) => Status::plain(State::Active, None),
            Ok(Source::OAuth(handle)) => handle.view().borrow().status.clone(),
            Ok(Source::LoggedOut(reason)) => Status::plain(State::LoggedOut, reason),
            Err(_) => Status::plain(State::LoggedOut, None),
        }
    }

    /// Names of the fixed headers sent to a server.
    pub fn header_names(&self, server: &ServerName) -> Vec<String> {
        match self.slot(server).map(|slot| slot.source) {
            Ok(Source::Fixed(authorization)) => authorization
                .headers
                .iter()
                .map(|(name, _)| name.as_str().to_owned())
                .collect(),
            _ => Vec::new(),
        }
    }

    pub async fn refresh(&self, server: &ServerName) -> Result<(), CredentialError> {
        match self.slot(server)?.source {
            Source::OAuth(handle) => handle.refresh(server).await,
            Source::Fixed(_) => Err(CredentialError::NotOAuth {
                server: server.clone(),
                action: "refresh",
            }),
            Source::LoggedOut(reason) => Err(CredentialError::logged_out(server, reason)),
        }
    }

    fn slot(&self, server: &ServerName) -> Result<Slot, CredentialError> {
        let slots = self
            .inner
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        slots
            .get(server)
            .cloned()
            .ok_or_else(|| CredentialError::UnknownServer(server.clone()))
    }

    fn slots(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<ServerName, Slot>> {
        self.inner
            .slots
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn put_slot(&self, server: &ServerName, config: &ServerConfig, source: Source) {
        let url = config.url.clone();
        self.slots().insert(server.clone(), Slot { url, source });
        self.pulse();
    }

    fn pulse(&self) {
        self.inner
            .context
            .pulse
            .send_modify(|count| *count = count.wrapping_add(1));
    }
}
