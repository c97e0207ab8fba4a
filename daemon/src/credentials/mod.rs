//! Owner of every credential: who is signed in where, and the token to send.
//!
//! A [`Slot`] per configured server says where its authorization comes from; one task per
//! credential keeps the tokens fresh (see `task`). Only this module reads or writes token records
//! in the vault, and no token text leaves it except inside an [`Authorization`].

mod discover;
mod error;
mod grant;
mod handle;
mod login;
mod logins;
mod record;
mod schedule;
mod state;
mod task;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use http::{HeaderName, HeaderValue};
use tokio::sync::{Mutex, watch};

pub use error::CredentialError;
pub use login::{LoginError, LoginOptions, SharedLoginError};
pub use logins::{CallbackOutcome, Step};
pub use state::{Authorization, State, Status, TokenId, login_command};

use self::grant::Reach;
use self::handle::Handle;
use self::logins::Logins;
use self::record::{
    CredentialId, CredentialRecord, HeaderRecord, ServerRecord, decode, encode, server_record_id,
};
use self::task::Context;
use crate::clock::SharedClock;
use crate::config::{AuthMode, ServerConfig};
use crate::lifecycle::Lifecycle;
use crate::net::{self, AddressPolicy};
use crate::types::{Secret, ServerName};
use crate::vault::{Vault, VaultError};

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

/// Where the authorization of one configured server comes from.
#[derive(Clone)]
enum Slot {
    /// Fixed headers, or none at all.
    Fixed(Authorization),
    OAuth(Handle),
    /// Nothing to send, and why.
    LoggedOut(Option<String>),
}

/// What a person typed in for a server; goes straight into the vault.
#[derive(Debug, Default)]
pub struct ServerSecrets {
    pub headers: Vec<(HeaderName, Secret)>,
    pub client_secret: Option<Secret>,
}

impl Credentials {
    pub fn new(
        vault: Vault,
        net: net::Client,
        clock: SharedClock,
        lifecycle: Lifecycle,
        redirect_uri: String,
    ) -> Self {
        let pulse = Arc::new(watch::Sender::new(0));
        let context = Context {
            vault,
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

    /// What to send to `server`. With `refused`, the token that the server just refused, the answer
    /// is a newer one; all callers that were refused share one refresh.
    pub async fn authorization(
        &self,
        server: &ServerName,
        refused: Option<TokenId>,
    ) -> Result<Authorization, CredentialError> {
        match self.slot(server)? {
            Slot::Fixed(authorization) => Ok(authorization),
            Slot::OAuth(handle) => handle.token(server, refused).await,
            Slot::LoggedOut(reason) => Err(CredentialError::NeedsLogin {
                server: server.clone(),
                reason: reason.unwrap_or_else(|| "nobody has signed in".to_owned()),
            }),
        }
    }

    pub fn status(&self, server: &ServerName) -> Status {
        match self.slot(server) {
            Ok(Slot::Fixed(_)) => Status::plain(State::Active, None),
            Ok(Slot::OAuth(handle)) => handle.view().borrow().status.clone(),
            Ok(Slot::LoggedOut(reason)) => Status::plain(State::LoggedOut, reason),
            Err(_) => Status::plain(State::LoggedOut, None),
        }
    }

    /// Takes charge of a configured server, from what the vault knows about it.
    pub async fn adopt(
        &self,
        server: &ServerName,
        config: &ServerConfig,
    ) -> Result<(), CredentialError> {
        let mut tasks = self.inner.tasks.lock().await;
        let record = self.server_record(server)?;
        let slot = self.slot_for(server, config, record, &mut tasks)?;
        self.put_slot(server, slot);
        Ok(())
    }

    /// Stores what a person typed in for a server that is about to be adopted.
    pub async fn store_secrets(
        &self,
        server: &ServerName,
        config: &ServerConfig,
        secrets: ServerSecrets,
    ) -> Result<(), CredentialError> {
        let _tasks = self.inner.tasks.lock().await;
        let header = |(name, value): (HeaderName, Secret)| HeaderRecord {
            name: name.as_str().to_owned(),
            value,
        };
        let record = ServerRecord {
            headers: secrets.headers.into_iter().map(header).collect(),
            client_secret: secrets.client_secret,
            ..ServerRecord::new(config.url.clone())
        };
        self.put_server_record(server, &record).await
    }

    /// Names of the fixed headers sent to a server.
    pub fn header_names(&self, server: &ServerName) -> Vec<String> {
        match self.slot(server) {
            Ok(Slot::Fixed(authorization)) => authorization
                .headers
                .iter()
                .map(|(name, _)| name.as_str().to_owned())
                .collect(),
            _ => Vec::new(),
        }
    }

    pub async fn refresh(&self, server: &ServerName) -> Result<(), CredentialError> {
        match self.slot(server)? {
            Slot::OAuth(handle) => handle.refresh(server).await,
            Slot::Fixed(_) => Err(CredentialError::NotOAuth {
                server: server.clone(),
                action: "refresh",
            }),
            Slot::LoggedOut(_) => self.authorization(server, None).await.map(drop),
        }
    }

    /// Revokes and forgets the sign-in of `server`. Answers with what could not be undone.
    ///
    /// Servers that share the credential are signed out with it.
    pub async fn logout(&self, server: &ServerName) -> Result<Vec<String>, CredentialError> {
        let Slot::OAuth(handle) = self.slot(server)? else {
            return match self.slot(server)? {
                Slot::Fixed(_) => Err(CredentialError::NotOAuth {
                    server: server.clone(),
                    action: "sign out of",
                }),
                _ => Ok(Vec::new()),
            };
        };
        let policy = handle.policy();
        let mut tasks = self.inner.tasks.lock().await;
        let credential = handle.forget(server).await?;
        tasks.remove(&credential.id);
        for name in self.servers_on(&handle) {
            if let Some(mut record) = self.server_record(&name)? {
                record.credential = None;
                self.put_server_record(&name, &record).await?;
            }
            self.put_slot(&name, Slot::LoggedOut(None));
        }
        drop(tasks);
        let reach = Reach {
            net: &self.inner.context.net,
            policy,
        };
        Ok(reach.revoke(&credential).await.into_iter().collect())
    }

    /// Forgets all about a server that leaves the configuration.
    pub async fn forget(&self, server: &ServerName) -> Result<Vec<String>, CredentialError> {
        self.inner.logins.cancel(server);
        let shared = match self.slot(server) {
            Ok(Slot::OAuth(handle)) => self.servers_on(&handle).len() > 1,
            _ => true,
        };
        let warnings = if shared {
            Vec::new()
        } else {
            self.logout(server).await?
        };
        let _tasks = self.inner.tasks.lock().await;
        self.inner
            .context
            .vault
            .remove(&server_record_id(server))
            .await
            .map_err(|source| CredentialError::Vault {
                server: server.clone(),
                source,
            })?;
        self.slots().remove(server);
        self.pulse();
        Ok(warnings)
    }

    /// Puts the outcome of a sign-in into use: stored first, then published.
    async fn install(
        &self,
        server: &ServerName,
        config: &ServerConfig,
        credential: Option<CredentialRecord>,
    ) -> Result<(), CredentialError> {
        let mut tasks = self.inner.tasks.lock().await;
        let mut record = self
            .server_record(server)?
            .filter(|record| record.url == config.url)
            .unwrap_or_else(|| ServerRecord::new(config.url.clone()));
        let previous = record.credential.take();
        record.open = credential.is_none();
        if let Some(credential) = credential {
            let id = credential.id.clone();
            match tasks.get(&id) {
                Some(handle) => handle.install(server, credential).await?,
                None => {
                    let vault = &self.inner.context.vault;
                    vault
                        .put(id.record_id(), &encode(&credential))
                        .await
                        .map_err(|source| CredentialError::Vault {
                            server: server.clone(),
                            source,
                        })?;
                }
            }
            record.credential = Some(id);
        }
        self.put_server_record(server, &record).await?;
        let slot = self.slot_for(server, config, Some(record.clone()), &mut tasks)?;
        self.put_slot(server, slot);
        // A sign-in with another client or at another issuer leaves an orphan behind.
        if let Some(old) = previous.filter(|old| Some(old) != record.credential.as_ref())
            && let Some(handle) = tasks.get(&old).cloned()
            && self.servers_on(&handle).is_empty()
        {
            handle.forget(server).await?;
            tasks.remove(&old);
        }
        Ok(())
    }

    fn slot_for(
        &self,
        server: &ServerName,
        config: &ServerConfig,
        record: Option<ServerRecord>,
        tasks: &mut HashMap<CredentialId, Handle>,
    ) -> Result<Slot, CredentialError> {
        if config.auth == AuthMode::None {
            return Ok(Slot::Fixed(nothing_to_send()));
        }
        let Some(record) = record else {
            return Ok(Slot::LoggedOut(None));
        };
        if record.url != config.url {
            let reason = "its URL in config.json is not the one it was set up for";
            return Ok(Slot::LoggedOut(Some(reason.to_owned())));
        }
        if config.auth == AuthMode::Static {
            return Ok(match fixed_headers(&record.headers) {
                Some(authorization) => Slot::Fixed(authorization),
                None => Slot::LoggedOut(Some("its fixed headers are not in the vault".to_owned())),
            });
        }
        if record.open {
            return Ok(Slot::Fixed(nothing_to_send()));
        }
        let Some(id) = record.credential else {
            return Ok(Slot::LoggedOut(None));
        };
        if let Some(handle) = tasks.get(&id) {
            return Ok(Slot::OAuth(handle.clone()));
        }
        let credential: Option<CredentialRecord> = self.read(server, id.record_id())?;
        let Some(credential) = credential else {
            return Ok(Slot::LoggedOut(None));
        };
        let policy = AddressPolicy::for_server(&config.url, config.allow_private_network);
        let context = self.inner.context.clone();
        let handle = task::spawn(context, server.clone(), policy, credential);
        tasks.insert(id, handle.clone());
        Ok(Slot::OAuth(handle))
    }

    /// The credential a server is bound to, if it was made for the URL the server has now.
    fn credential_of(
        &self,
        server: &ServerName,
        config: &ServerConfig,
    ) -> Result<Option<CredentialRecord>, CredentialError> {
        let record = self
            .server_record(server)?
            .filter(|record| record.url == config.url);
        match record.and_then(|record| record.credential) {
            Some(id) => self.read(server, id.record_id()),
            None => Ok(None),
        }
    }

    /// The secret a person gave for the pre-registered client of a server.
    fn client_secret(
        &self,
        server: &ServerName,
        config: &ServerConfig,
    ) -> Result<Option<Secret>, CredentialError> {
        let record = self
            .server_record(server)?
            .filter(|record| record.url == config.url);
        Ok(record.and_then(|record| record.client_secret))
    }

    /// Names of the servers that use the credential behind `handle`.
    fn servers_on(&self, handle: &Handle) -> Vec<ServerName> {
        let slots = self
            .inner
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let shares = |slot: &Slot| matches!(slot, Slot::OAuth(other) if other.is_same(handle));
        slots
            .iter()
            .filter(|(_, slot)| shares(slot))
            .map(|(name, _)| name.clone())
            .collect()
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

    fn put_slot(&self, server: &ServerName, slot: Slot) {
        self.slots().insert(server.clone(), slot);
        self.pulse();
    }

    fn pulse(&self) {
        self.inner
            .context
            .pulse
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    fn server_record(&self, server: &ServerName) -> Result<Option<ServerRecord>, CredentialError> {
        self.read(server, &server_record_id(server))
    }

    fn read<T: serde::de::DeserializeOwned>(
        &self,
        server: &ServerName,
        id: &str,
    ) -> Result<Option<T>, CredentialError> {
        let sealed = self.inner.context.vault.get(id);
        let bytes = sealed.map_err(|source| CredentialError::Vault {
            server: server.clone(),
            source,
        })?;
        let Some(bytes) = bytes else { return Ok(None) };
        decode(id, &bytes)
            .map(Some)
            .map_err(|source| CredentialError::Record {
                server: server.clone(),
                source,
            })
    }

    async fn put_server_record(
        &self,
        server: &ServerName,
        record: &ServerRecord,
    ) -> Result<(), CredentialError> {
        let vault = &self.inner.context.vault;
        let stored: Result<(), VaultError> =
            vault.put(&server_record_id(server), &encode(record)).await;
        stored.map_err(|source| CredentialError::Vault {
            server: server.clone(),
            source,
        })
    }
}

fn nothing_to_send() -> Authorization {
    Authorization {
        headers: Arc::new([]),
        token: None,
    }
}

fn fixed_headers(records: &[HeaderRecord]) -> Option<Authorization> {
    let mut headers = Vec::with_capacity(records.len());
    for record in records {
        let name = HeaderName::try_from(record.name.as_str()).ok()?;
        let mut value = HeaderValue::from_str(record.value.expose()).ok()?;
        value.set_sensitive(true);
        headers.push((name, value));
    }
    (!headers.is_empty()).then(|| Authorization {
        headers: headers.into(),
        token: None,
    })
}
