//! Which credential a server uses, and every change to that.
//!
//! The table of tasks is locked during a change, so that changes do not cross. Nobody waits for an
//! authorization server meanwhile: refreshes under way are waited for before, revocation comes after.
//! Every change is on disk before it is seen.

mod leave;
mod records;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use super::error::CredentialError;
use super::events;
use super::handle::Handle;
use super::record::{CredentialId, CredentialRecord, HeaderRecord, ServerRecord, encode};
use super::state::Authorization;
use super::{Credentials, OTHER_URL, Source, task};
use crate::audit::Kind;
use crate::config::{AuthMode, ServerConfig};
use crate::error::chain;
use crate::net::AddressPolicy;
use crate::types::{Secret, ServerName};

pub use self::leave::Farewell;
use self::records::vault_error;

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
