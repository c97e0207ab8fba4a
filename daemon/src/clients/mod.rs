//! Tokens by which clients identify themselves at the HTTP port.
//!
//! A token names its client and limits what it may be used for; whether a call runs is still up to
//! policy. `state.db` has the hash of each, the process a copy of that table: a call looks its hash up
//! there. The lookup need not take constant time, because what it compares is a hash of what was sent,
//! and nobody can steer that towards a stored one.

mod error;
mod refusals;
mod table;
mod token;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use http::HeaderMap;
use serde_json::json;
use tokio::sync::watch;

pub use self::error::ClientError;
use self::refusals::Refusals;
pub use self::token::API_KEY_HEADERS;
use crate::audit::{self, Event, Kind};
use crate::clock::SharedClock;
use crate::error::chain;
use crate::lifecycle::Lifecycle;
use crate::store::{Durability, Store};
use crate::types::{
    Caller, Channel, Client, ClientName, Decider, Digest, Scope, Secret, ServerName,
};

const MAX_CLIENTS: usize = 1_000;
/// Of the servers of a token, and of its tools.
const MAX_SCOPE: usize = 100;
/// How far the stored time of the last use may be behind, in seconds. A call must not cost a write.
const USE_STORED_EVERY: i64 = 3_600;
const NEVER: i64 = i64::MIN;

/// Cloneable handle.
#[derive(Clone)]
pub struct Clients {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: SharedClock,
    lifecycle: Lifecycle,
    is_required: bool,
    refusals: Refusals,
    by_token: RwLock<HashMap<Digest, Arc<Issued>>>,
    revocations: watch::Sender<()>,
}

/// A client and its token's dates, in seconds since 1970.
#[derive(Debug)]
pub struct Issued {
    pub client: Client,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    used_at: AtomicI64,
    used_stored_at: AtomicI64,
}

impl Issued {
    fn new(client: Client, created_at: i64, expires_at: Option<i64>, used_at: Option<i64>) -> Self {
        let used_at = used_at.unwrap_or(NEVER);
        Self {
            client,
            created_at,
            expires_at,
            used_at: used_at.into(),
            used_stored_at: used_at.into(),
        }
    }

    /// When it was presented last.
    pub fn used_at(&self) -> Option<i64> {
        Some(self.used_at.load(Ordering::Relaxed)).filter(|at| *at != NEVER)
    }

    fn is_expired(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Notes a use; true when it is time to store it.
    fn note_use(&self, now: i64) -> bool {
        self.used_at.store(now, Ordering::Relaxed);
        let stored = self.used_stored_at.load(Ordering::Relaxed);
        now.saturating_sub(stored) >= USE_STORED_EVERY
            && self
                .used_stored_at
                .compare_exchange(stored, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

impl Clients {
    /// Reads the table. With `is_required`, requests without a token are refused.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn open(
        store: Store,
        clock: SharedClock,
        lifecycle: Lifecycle,
        is_required: bool,
    ) -> Result<Self, ClientError> {
        let rows = store.read(table::all).await?;
        let by_token = rows.into_iter().map(|(token, row)| (token, Arc::new(row)));
        Ok(Self {
            inner: Arc::new(Inner {
                store,
                clock,
                lifecycle,
                is_required,
                refusals: Refusals::default(),
                by_token: RwLock::new(by_token.collect()),
                revocations: watch::Sender::new(()),
            }),
        })
    }

    /// Whether clients at the HTTP port must have a token.
    pub fn is_required(&self) -> bool {
        self.inner.is_required
    }

    /// `caller`, with the client whose token is in `headers`. At the control socket the kernel
    /// identifies the caller, so tokens mean nothing there. Whoever was identified before, on the way
    /// to a call in this process, needs no token again.
    ///
    /// # Errors
    /// The token is not known, expired or cannot be read, or there is none and it is required.
    pub fn identify(&self, caller: &Caller, headers: &HeaderMap) -> Result<Caller, ClientError> {
        self.identify_by(caller, || token::presented(headers))
    }

    /// As [`Self::identify`], for the APIs of vendors: their clients have one place for a key, which
    /// may hold a token of ours, or send it beside the vendor's own key in `X-MCPBridge-Token`.
    ///
    /// # Errors
    /// As for [`Self::identify`].
    pub fn identify_by_key(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
    ) -> Result<Caller, ClientError> {
        self.identify_by(caller, || token::presented_as_key(headers))
    }

    fn identify_by(
        &self,
        caller: &Caller,
        presented: impl FnOnce() -> Result<Option<Digest>, ClientError>,
    ) -> Result<Caller, ClientError> {
        if caller.channel() == Channel::Control {
            return Ok(caller.clone());
        }
        if caller.authenticated().is_some() {
            self.recheck(caller)?;
            return Ok(caller.clone());
        }
        let identified = presented().and_then(|token| self.by_token(caller, token));
        if let Err(error) = &identified {
            self.record_refusal(caller, error);
        }
        identified
    }

    fn by_token(&self, caller: &Caller, token: Option<Digest>) -> Result<Caller, ClientError> {
        let Some(token) = token else {
            return match self.inner.is_required {
                true => Err(ClientError::Missing),
                false => Ok(caller.clone()),
            };
        };
        let issued = self.inner.by_token().get(&token).cloned();
        let issued = issued.ok_or(ClientError::Unknown)?;
        let now = self.inner.now();
        if issued.is_expired(now) {
            return Err(ClientError::Expired(issued.client.name().clone()));
        }
        let identified = caller.with_client(issued.client.clone());
        if issued.note_use(now) {
            self.store_use(issued.client.name().clone(), now);
        }
        Ok(identified)
    }

    /// Whether the token by which `caller` was identified still counts: for calls that waited.
    ///
    /// # Errors
    /// It was revoked or has expired since.
    pub fn recheck(&self, caller: &Caller) -> Result<(), ClientError> {
        let Some(client) = caller.authenticated() else {
            return Ok(());
        };
        let issued = self.inner.named(client.name());
        // Another token of the same name is another client.
        match issued.filter(|issued| issued.client == *client) {
            None => Err(ClientError::Unknown),
            Some(issued) if issued.is_expired(self.inner.now()) => {
                Err(ClientError::Expired(client.name().clone()))
            }
            Some(_) => Ok(()),
        }
    }

    /// Makes a client whose token lasts for `lifetime` seconds. It is nowhere but in the answer.
    ///
    /// Like [`Clients::revoke`] it must be run to its end, and one at a time.
    ///
    /// # Errors
    /// The name is taken, there are too many, or it cannot be stored.
    pub async fn add(
        &self,
        name: ClientName,
        scope: Scope,
        lifetime: Option<i64>,
        by: &Decider,
    ) -> Result<(Secret, Arc<Issued>), ClientError> {
        if scope.servers.len().max(scope.tools.len()) > MAX_SCOPE {
            return Err(ClientError::TooWide(MAX_SCOPE));
        }
        if self.inner.named(&name).is_some() {
            return Err(ClientError::Exists(name));
        }
        let present = self.inner.by_token().len();
        if present >= MAX_CLIENTS {
            return Err(ClientError::TooMany(present));
        }
        let secret = token::generate()?;
        let token = token::hash(secret.expose());
        let client = Client::issued(name, scope, token);
        let now = self.inner.now();
        let expires_at = lifetime.map(|lifetime| now.saturating_add(lifetime));
        let issued = Arc::new(Issued::new(client, now, expires_at, None));
        let (row, at) = (Arc::clone(&issued), self.inner.clock.now());
        let event = Event::new(Kind::ClientAdded).actor(by).detail(json!({
            "client": issued.client.name(),
            "servers": issued.client.scope().servers,
            "tools": issued.client.scope().tools,
            "expires_at": expires_at,
        }));
        let insert = self.inner.store.write(Durability::Power, move |tx| {
            table::insert(tx, &token, &row)?;
            audit::append(tx, at, &event)
        });
        insert.await?;
        self.inner.by_token_mut().insert(token, Arc::clone(&issued));
        Ok((secret, issued))
    }

    /// Ends a client's token; no request with it is accepted after this returns.
    ///
    /// # Errors
    /// There is no such client, or the change cannot be stored.
    pub async fn revoke(&self, name: &ClientName, by: &Decider) -> Result<(), ClientError> {
        let unknown = || ClientError::NotFound(name.clone());
        let revoked = self.inner.named(name).ok_or_else(unknown)?;
        let (name, at) = (name.clone(), self.inner.clock.now());
        let detail = json!({ "client": name });
        let event = Event::new(Kind::ClientRevoked).actor(by).detail(detail);
        let delete = self.inner.store.write(Durability::Power, move |tx| {
            table::delete(tx, &name)?;
            audit::append(tx, at, &event)
        });
        delete.await?;
        self.inner
            .by_token_mut()
            .retain(|_, issued| !Arc::ptr_eq(issued, &revoked));
        self.inner.revocations.send_replace(());
        Ok(())
    }

    /// Sees that a token was revoked.
    pub fn revocations(&self) -> watch::Receiver<()> {
        self.inner.revocations.subscribe()
    }

    /// All clients by name, expired ones too.
    pub fn list(&self) -> Vec<Arc<Issued>> {
        let mut all: Vec<_> = self.inner.by_token().values().cloned().collect();
        all.sort_by(|a, b| a.client.name().cmp(b.client.name()));
        all
    }

    /// Nothing waits for this record, as nothing happens because of the request.
    fn record_refusal(&self, caller: &Caller, error: &ClientError) {
        let Some(unrecorded) = self.inner.refusals.count(self.inner.now()) else {
            return;
        };
        let (store, at) = (self.inner.store.clone(), self.inner.clock.now());
        let (caller, reason) = (caller.clone(), error.to_string());
        self.inner.lifecycle.spawn("refused client", async move {
            caller.resolve().await;
            let event = Event::new(Kind::ClientRefused)
                .actor(&caller)
                .detail(json!({
                    "reason": reason,
                    "exe": caller.process().exe,
                    "unrecorded_before": unrecorded,
                }));
            let write = store.write(Durability::Process, move |tx| audit::append(tx, at, &event));
            if let Err(error) = write.await {
                tracing::warn!(error = chain(&error), "a refused client is not recorded");
            }
        });
    }

    fn store_use(&self, name: ClientName, at: i64) {
        let store = self.inner.store.clone();
        self.inner.lifecycle.spawn("client use", async move {
            let write = store.write(Durability::Process, move |tx| table::used(tx, &name, at));
            if let Err(error) = write.await {
                tracing::warn!(error = chain(&error), "the use of a token is not stored");
            }
        });
    }
}

impl Inner {
    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn named(&self, name: &ClientName) -> Option<Arc<Issued>> {
        let by_token = self.by_token();
        let issued = by_token.values();
        issued
            .into_iter()
            .find(|i| i.client.name() == name)
            .cloned()
    }

    fn by_token(&self) -> RwLockReadGuard<'_, HashMap<Digest, Arc<Issued>>> {
        self.by_token.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn by_token_mut(&self) -> RwLockWriteGuard<'_, HashMap<Digest, Arc<Issued>>> {
        self.by_token
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses what the token of `caller` is not made for: `tool` of `server`, or anything of it.
///
/// # Errors
/// It is not made for it.
pub fn cover(caller: &Caller, server: &ServerName, tool: Option<&str>) -> Result<(), ClientError> {
    let Some(client) = caller.authenticated() else {
        return Ok(());
    };
    let (name, server_name) = (client.name(), server);
    match tool {
        _ if !client.may_use(server) => Err(ClientError::OtherServer {
            client: name.clone(),
            server: server_name.clone(),
        }),
        Some(tool) if !client.may(server, tool) => Err(ClientError::OtherTool {
            client: name.clone(),
            server: server_name.clone(),
            tool: tool.to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
