//! What the vault knows about servers.

use serde::de::DeserializeOwned;

use crate::config::ServerConfig;
use crate::credentials::Credentials;
use crate::credentials::error::CredentialError;
use crate::credentials::record::{
    CredentialRecord, ServerRecord, decode, encode, server_record_id,
};
use crate::types::{Secret, ServerName};
use crate::vault::VaultError;

impl Credentials {
    /// The credential a server is bound to, if it was made for the URL the server has now.
    pub(in crate::credentials) fn credential_of(
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
    pub(in crate::credentials) fn client_secret(
        &self,
        server: &ServerName,
        config: &ServerConfig,
    ) -> Result<Option<Secret>, CredentialError> {
        Ok(self.server_record_for(server, config)?.client_secret)
    }

    /// What the vault knows about the server at the URL that it has now.
    pub(super) fn server_record_for(
        &self,
        server: &ServerName,
        config: &ServerConfig,
    ) -> Result<ServerRecord, CredentialError> {
        let record = self.server_record(server)?;
        Ok(record
            .filter(|record| record.url == config.url)
            .unwrap_or_else(|| ServerRecord::new(config.url.clone())))
    }

    pub(super) fn server_record(
        &self,
        server: &ServerName,
    ) -> Result<Option<ServerRecord>, CredentialError> {
        self.read(server, &server_record_id(server))
    }

    pub(super) fn read<T: DeserializeOwned>(
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

    pub(super) async fn put_server_record(
        &self,
        server: &ServerName,
        record: &ServerRecord,
    ) -> Result<(), CredentialError> {
        let vault = &self.inner.context.vault;
        let stored = vault.put(&server_record_id(server), &encode(record)).await;
        stored.map_err(|source| vault_error(server, source))
    }
}

pub(super) fn vault_error(server: &ServerName, source: VaultError) -> CredentialError {
    CredentialError::Vault {
        server: server.clone(),
        source,
    }
}
