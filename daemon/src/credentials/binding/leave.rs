//! Sign-outs, and what becomes of credentials that no server uses any more.

use std::collections::HashSet;

use super::Tasks;
use super::records::vault_error;
use crate::audit::Audit;
use crate::credentials::error::CredentialError;
use crate::credentials::events;
use crate::credentials::grant::Reach;
use crate::credentials::handle::Handle;
use crate::credentials::record::{
    CREDENTIAL_PREFIX, CredentialId, CredentialRecord, SERVER_PREFIX, server_record_id,
};
use crate::credentials::{Credentials, Slot, Source};
use crate::error::chain;
use crate::net::{self, AddressPolicy};
use crate::types::ServerName;
use crate::vault::VaultError;

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

    /// Removes a credential unless a server still names it.
    pub(super) async fn drop_unused(
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
}
