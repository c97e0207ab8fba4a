//! Reading `config.json` while the daemon runs: what is wrong with it, and what needs a restart.

use std::sync::Arc;

use super::{Registry, RegistryError, Snapshot, compile};
use crate::config::{self, AuditConfig, Config};
use crate::error::{Classify, chain};
use crate::types::ServerName;

/// How the file stands to what the daemon goes by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileState {
    /// Why the file is not followed; the daemon goes by what it said before.
    pub rejected: Option<Rejected>,
    /// Settings that have changed since the start, and count after the next one.
    pub restart: Vec<&'static str>,
    /// Counts at once.
    pub audit: AuditConfig,
}

/// A file that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// With the place.
    pub reason: String,
    pub remedy: String,
}

impl Registry {
    /// Reads the file and publishes what it says now.
    ///
    /// # Errors
    /// The file cannot be read or is not valid: nothing changes then, and [`FileState`] says so.
    pub async fn reload(&self) -> Result<(), RegistryError> {
        let _writing = self.writing.lock().await;
        self.read(None).await
    }

    /// Follows how the file stands.
    pub fn file(&self) -> tokio::sync::watch::Receiver<FileState> {
        self.file.subscribe()
    }

    /// `edited` is the server that a command has just changed; other changes were made by hand.
    pub(super) async fn read(&self, edited: Option<&ServerName>) -> Result<(), RegistryError> {
        let dir = self.dir.clone();
        let before = self.snapshot();
        let reading = tokio::task::spawn_blocking(move || {
            // Some editors move the old file away before they write the new one.
            let config = match before.is_empty() {
                true => config::load(&dir)?,
                false => config::reload(&dir)?,
            };
            let snapshot = compile(&config, &before);
            Ok((config, snapshot))
        });
        let read: Result<_, config::ConfigError> =
            reading.await.map_err(|_| RegistryError::Interrupted)?;
        match read {
            Ok((config, snapshot)) => {
                self.by_hand.note(&self.snapshot(), &snapshot, edited);
                self.publish(snapshot);
                self.accept(&config);
                Ok(())
            }
            Err(error) => {
                self.reject(&error);
                Err(error.into())
            }
        }
    }

    /// Nobody is woken by a file that says what it said before.
    fn publish(&self, snapshot: Snapshot) {
        self.published.send_if_modified(|present| {
            let is_new = !present.is_same(&snapshot);
            if is_new {
                *present = Arc::new(snapshot);
            }
            is_new
        });
    }

    fn accept(&self, config: &Config) {
        let now = FileState {
            rejected: None,
            restart: differing(&self.started_with, config),
            audit: config.audit.clone(),
        };
        self.file.send_if_modified(|state| {
            if *state == now {
                return false;
            }
            if state.rejected.is_some() {
                tracing::info!("config.json is valid again and followed");
            }
            if !now.restart.is_empty() && now.restart != state.restart {
                let settings = now.restart.join(", ");
                tracing::warn!(settings, "these settings count after a restart");
            }
            *state = now;
            true
        });
    }

    fn reject(&self, error: &config::ConfigError) {
        let rejected = Some(Rejected {
            reason: chain(error),
            remedy: error.hint().unwrap_or_default(),
        });
        self.file.send_if_modified(|state| {
            if state.rejected == rejected {
                return false;
            }
            let reason = chain(error);
            tracing::error!(
                reason,
                "config.json is not followed: what it said before counts"
            );
            state.rejected = rejected;
            true
        });
    }
}

/// The settings that are read at the start only, and differ.
fn differing(started_with: &Config, now: &Config) -> Vec<&'static str> {
    let (then, now) = (started_with, now);
    [
        ("proxy_host", then.proxy_host != now.proxy_host),
        ("proxy_port", then.proxy_port != now.proxy_port),
        (
            "max_request_bytes",
            then.max_request_bytes != now.max_request_bytes,
        ),
        (
            "max_connections",
            then.max_connections != now.max_connections,
        ),
        ("max_streams", then.max_streams != now.max_streams),
        ("allowed_uids", then.allowed_uids != now.allowed_uids),
        ("allowed_hosts", then.allowed_hosts != now.allowed_hosts),
        (
            "allowed_origins",
            then.allowed_origins != now.allowed_origins,
        ),
        (
            "require_client_token",
            then.require_client_token != now.require_client_token,
        ),
        ("approvals", then.approvals != now.approvals),
        ("ai", then.ai != now.ai),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}
