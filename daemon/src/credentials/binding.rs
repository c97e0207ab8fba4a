//! Which credential a server uses, and every change to that.
//!
//! The table of tasks is locked during a change, so that changes do not cross. Nobody waits for an
//! authorization server meanwhile: refreshes under way are waited for before, revocation comes after.
//! Every change is on disk before it is seen.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;

use super::error::CredentialError;
use super::events;
use super::grant::Reach;
use super::handle::Handle;
use super::record::{
    CREDENTIAL_PREFIX, CredentialId, CredentialRecord, HeaderRecord, SERVER_PREFIX, ServerRecord,
    decode, encode, server_record_id,
};
use super::state::Authorization;
use super::{Credentials, OTHER_URL, Slot, Source, task};
use crate::audit::{Audit, Kind};
use crate::config::{AuthMode, ServerConfig};
use crate::error::chain;
use crate::net::{self, AddressPolicy};
use crate::types::{Secret, ServerName};
use crate::vault::VaultError;

type Tasks = HashMap<CredentialId, Handle>;

/// What a person typed in for a server; goes straight into the vault.
#[derive(Debug, Default)]
pub struct ServerSecrets {
    pub headers: Vec<(HeaderName, Secret)>,
    pub client_secret: Option<Secret>,
}

impl ServerSecrets {
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty() && self.client_secret.is_none()
    }
}

/// A credential that is forgotten here and not yet at its authorization server.
#[must_use = "the authorization server does not know yet"]
pub struct Farewell {
    net: net::Client,
    audit: Audit,
    server: ServerName,
    credential: Option<(AddressPolicy, Box<CredentialRecord>)>,
}

impl Farewell {
    /// Revokes what can be revoked. Answers with what could not be undone.
    pub async fn revoke(self) -> Vec<String> {
        let Some((policy, record)) = self.credential else {
            return Vec::new();
        };
        let reach = Reach {
            net: &self.net,
            policy,
        };
        let problem = reach.revoke(&record).await;
        let event = events::revoked(&self.server, &record.issuer, problem.as_deref());
        self.audit.record_afterwards(event).await;
        problem.into_iter().collect()
    }
}

impl Credentials {
    /// Takes charge of exactly these servers, from what the vault knows about them.
    ///
    /// What it holds for a server that is not among them stays: a server that was taken out of
    /// config.json by hand and put back is signed in as before.
    pub async fn sync<'a>(
        &self,
        servers: impl IntoIterator<Item = (&'a ServerName, &'a ServerConfig)> + Send,
    ) {
        let mut tasks = self.inner.tasks.lock().await;
        let mut gone: HashSet<ServerName> = self.slots().keys().cloned().collect();
        for (server, config) in servers {
            gone.remove(server);
            let record = self.server_record(server);
            let source = record.and_then(|r| self.source_for(server, config, r, &mut tasks));
            // One record that cannot be read must not keep the other servers from working.
            let source = source.unwrap_or_else(|error| {
                tracing::warn!(%server, error = chain(&error), "its credential cannot be used");
                Source::LoggedOut(Some(chain(&error)))
            });
            self.put_slot(server, config, source);
        }
        for server in gone {
            self.inner.logins.cancel(&server);
            self.slots().remove(&server);
            self.pulse();
        }
    }

    /// Removes credentials that no server uses: left when the daemon died in the middle of a change.
    pub async fn sweep(&self) -> Result<(), VaultError> {
        let _tasks = self.inner.tasks.lock().await;
        let vault = &self.inner.context.vault;
        let mut used = HashSet::new();
        for id in vault.ids() {
            if let Some(name) = id.strip_prefix(SERVER_PREFIX) {
                let Ok(server) = name.parse() else {
                    return Ok(());
                };
                // What cannot be read may name any of them.
                let Ok(record) = self.server_record(&server) else {
                    return Ok(());
                };
                used.extend(record.and_then(|record| record.credential));
            }
        }
        for id in vault.ids() {
            if id.starts_with(CREDENTIAL_PREFIX) && used.iter().all(|used| used.record_id() != id) {
                tracing::info!("a credential that no server uses is removed");
                vault.remove(&id).await?;
            }
        }
        Ok(())
    }

    /// Stores what a person typed in for a server. A sign-in that it has stays.
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
        let present = self.server_record_for(server, config)?;
        let record = ServerRecord {
            headers: secrets.headers.into_iter().map(header).collect(),
            client_secret: secrets.client_secret,
            ..present
        };
        self.put_server_record(server, &record).await?;
        let names: Vec<String> = record
            .headers
            .into_iter()
            .map(|header| header.name)
            .collect();
        if !names.is_empty() {
            let event = events::fixed_headers(server, &names);
            self.inner.context.audit.record_afterwards(event).await;
        }
        Ok(())
    }

    /// Forgets the sign-in of `server`.
    ///
    /// Servers that share the credential are signed out with it.
    pub async fn logout(&self, server: &ServerName) -> Result<Farewell, CredentialError> {
        match self.slot(server)?.source {
            Source::Fixed(_) => {
                return Err(CredentialError::NotOAuth {
                    server: server.clone(),
                    action: "sign out of",
                });
            }
            Source::OAuth(handle) => handle.quiet(server).await?,
            Source::LoggedOut(_) => {}
        }
        let mut tasks = self.inner.tasks.lock().await;
        self.sign_out(server, &mut tasks).await
    }

    /// Forgets all about a server that leaves the configuration.
    pub async fn forget(&self, server: &ServerName) -> Result<Farewell, CredentialError> {
        self.inner.logins.cancel(server);
        if let Ok(Source::OAuth(handle)) = self.slot(server).map(|slot| slot.source) {
            handle.quiet(server).await?;
        }
        let mut tasks = self.inner.tasks.lock().await;
        let shared = match self.slot(server).map(|slot| slot.source) {
            Ok(Source::OAuth(handle)) => self.servers_on(&handle).len() > 1,
            _ => false,
        };
        let farewell = if shared {
            self.nothing_to_revoke(server)
        } else {
            self.sign_out(server, &mut tasks).await?
        };
        // After a change of the URL by hand, the record names a credential that no slot shows.
        let named = self.server_record(server).ok().flatten();
        let vault = &self.inner.context.vault;
        let removed = vault.remove(&server_record_id(server)).await;
        removed.map_err(|source| vault_error(server, source))?;
        self.slots().remove(server);
        self.pulse();
        if let Some(id) = named.and_then(|record| record.credential) {
            self.drop_unused(server, &id, &mut tasks).await?;
        }
        Ok(farewell)
    }

    /// The credential leaves the vault first: a reference to it that stays behind means nothing.
    async fn sign_out(
        &self,
        server: &ServerName,
        tasks: &mut Tasks,
    ) -> Result<Farewell, CredentialError> {
        let Ok(Source::OAuth(handle)) = self.slot(server).map(|slot| slot.source) else {
            return Ok(self.nothing_to_revoke(server));
        };
        let credential = handle.forget(server).await?;
        tasks.remove(&credential.id);
        for name in self.servers_on(&handle) {
            if let Some(slot) = self.slots().get_mut(&name) {
                slot.source = Source::LoggedOut(None);
            }
            if let Ok(Some(mut record)) = self.server_record(&name) {
                record.credential = None;
                if let Err(error) = self.put_server_record(&name, &record).await {
                    tracing::warn!(server = %name, error = chain(&error), "a reference stays behind");
                }
            }
        }
        self.pulse();
        Ok(Farewell {
            credential: Some((handle.policy(), credential)),
            ..self.nothing_to_revoke(server)
        })
    }

    fn nothing_to_revoke(&self, server: &ServerName) -> Farewell {
        Farewell {
            net: self.inner.context.net.clone(),
            audit: self.inner.context.audit.clone(),
            server: server.clone(),
            credential: None,
        }
    }

    /// Puts the outcome of a sign-in into use: stored first, then published.
    pub(super) async fn install(
        &self,
        server: &ServerName,
        config: &ServerConfig,
        credential: Option<CredentialRecord>,
    ) -> Result<(), CredentialError> {
        for handle in self.handles_to_replace(server, credential.as_ref()).await {
            handle.quiet(server).await?;
        }
        let mut tasks = self.inner.tasks.lock().await;
        if !self.slot(server).is_ok_and(|slot| slot.url == config.url) {
            return Err(CredentialError::Changed(server.clone()));
        }
        let previous = self.server_record(server)?.and_then(|r| r.credential);
        let mut record = self.server_record_for(server, config)?;
        record.open = credential.is_none();
        record.credential = None;
        if let Some(credential) = credential {
            let id = credential.id.clone();
            match tasks.get(&id) {
                Some(handle) => handle.install(server, credential).await?,
                None => {
                    let vault = &self.inner.context.vault;
                    let stored = vault.put(id.record_id(), &encode(&credential)).await;
                    stored.map_err(|source| vault_error(server, source))?;
                    let event = events::new_tokens(Kind::TokenIssued, server, &credential);
                    self.inner.context.audit.record_afterwards(event).await;
                }
            }
            record.credential = Some(id);
        }
        self.put_server_record(server, &record).await?;
        let source = self.source_for(server, config, Some(record.clone()), &mut tasks)?;
        self.put_slot(server, config, source);
        match previous {
            // A sign-in with another client or at another issuer leaves an orphan behind.
            Some(old) if Some(&old) != record.credential.as_ref() => {
                self.drop_unused(server, &old, &mut tasks).await
            }
            _ => Ok(()),
        }
    }

    /// Removes a credential unless a server still names it.
    async fn drop_unused(
        &self,
        server: &ServerName,
        id: &CredentialId,
        tasks: &mut Tasks,
    ) -> Result<(), CredentialError> {
        if self.is_used(id) {
            return Ok(());
        }
        match tasks.get(id) {
            Some(handle) => drop(handle.forget(server).await?),
            None => {
                let removed = self.inner.context.vault.remove(id.record_id()).await;
                removed.map_err(|source| vault_error(server, source))?;
            }
        }
        tasks.remove(id);
        Ok(())
    }

    /// The tasks that [`Self::install`] will need to talk to.
    async fn handles_to_replace(
        &self,
        server: &ServerName,
        credential: Option<&CredentialRecord>,
    ) -> Vec<Handle> {
        let tasks = self.inner.tasks.lock().await;
        let same = credential.and_then(|credential| tasks.get(&credential.id).cloned());
        let present = match self.slot(server).map(|slot| slot.source) {
            Ok(Source::OAuth(handle)) => Some(handle),
            _ => None,
        };
        same.into_iter().chain(present).collect()
    }

    fn source_for(
        &self,
        server: &ServerName,
        config: &ServerConfig,
        record: Option<ServerRecord>,
        tasks: &mut Tasks,
    ) -> Result<Source, CredentialError> {
        if config.auth == AuthMode::None {
            return Ok(Source::Fixed(nothing_to_send()));
        }
        let Some(record) = record else {
            return Ok(Source::LoggedOut(None));
        };
        if record.url != config.url {
            return Ok(Source::LoggedOut(Some(OTHER_URL.to_owned())));
        }
        if config.auth == AuthMode::Static {
            return Ok(match fixed_headers(&record.headers) {
                Some(authorization) => Source::Fixed(authorization),
                None => {
                    Source::LoggedOut(Some("its fixed headers are not in the vault".to_owned()))
                }
            });
        }
        if record.open {
            return Ok(Source::Fixed(nothing_to_send()));
        }
        let Some(id) = record.credential else {
            return Ok(Source::LoggedOut(None));
        };
        if let Some(handle) = tasks.get(&id) {
            return Ok(Source::OAuth(handle.clone()));
        }
        let credential: Option<CredentialRecord> = self.read(server, id.record_id())?;
        let Some(credential) = credential else {
            return Ok(Source::LoggedOut(None));
        };
        let policy = AddressPolicy::for_server(&config.url, config.allow_private_network);
        let context = self.inner.context.clone();
        let handle = task::spawn(context, server.clone(), policy, credential);
        tasks.insert(id, handle.clone());
        Ok(Source::OAuth(handle))
    }

    /// The credential a server is bound to, if it was made for the URL the server has now.
    pub(super) fn credential_of(
        &self,
        server: &ServerName,
        config: &ServerConfig,
    ) -> Result<Option<CredentialRecord>, CredentialError> {
        match self.server_record_for(server, config)?.credential {
            Some(id) => self.read(server, id.record_id()),
            None => Ok(None),
        }
    }

    /// The secret a person gave for the pre-registered client of a server.
    pub(super) fn client_secret(
        &self,
        server: &ServerName,
        config: &ServerConfig,
    ) -> Result<Option<Secret>, CredentialError> {
        Ok(self.server_record_for(server, config)?.client_secret)
    }

    /// Names of the servers that use the credential behind `handle`.
    fn servers_on(&self, handle: &Handle) -> Vec<ServerName> {
        let shares =
            |slot: &Slot| matches!(&slot.source, Source::OAuth(other) if other.is_same(handle));
        self.slots()
            .iter()
            .filter(|(_, slot)| shares(slot))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether any server's record names the credential. What cannot be read may.
    fn is_used(&self, id: &CredentialId) -> bool {
        let names = |record_id: &String| {
            let name = record_id.strip_prefix(SERVER_PREFIX)?;
            let record = self.server_record(&name.parse().ok()?);
            Some(record.is_ok_and(|r| r.is_none_or(|r| r.credential.as_ref() != Some(id))))
        };
        let records = self.inner.context.vault.ids();
        !records.iter().filter_map(names).all(|unrelated| unrelated)
    }

    /// What the vault knows about the server at the URL that it has now.
    fn server_record_for(
        &self,
        server: &ServerName,
        config: &ServerConfig,
    ) -> Result<ServerRecord, CredentialError> {
        let record = self.server_record(server)?;
        Ok(record
            .filter(|record| record.url == config.url)
            .unwrap_or_else(|| ServerRecord::new(config.url.clone())))
    }

    fn server_record(&self, server: &ServerName) -> Result<Option<ServerRecord>, CredentialError> {
        self.read(server, &server_record_id(server))
    }

    fn read<T: DeserializeOwned>(
        &self,
        server: &ServerName,
        id: &str,
    ) -> Result<Option<T>, CredentialError> {
        let sealed = self.inner.context.vault.get(id);
        let Some(bytes) = sealed.map_err(|source| vault_error(server, source))? else {
            return Ok(None);
        };
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
        let stored = vault.put(&server_record_id(server), &encode(record)).await;
        stored.map_err(|source| vault_error(server, source))
    }
}

fn vault_error(server: &ServerName, source: VaultError) -> CredentialError {
    CredentialError::Vault {
        server: server.clone(),
        source,
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
