//! What a person changes about the daemon, on whatever surface: one change at a time, each to its end.
//!
//! A server's entry, its credential, what waits for it and its pinned tools come and go together.

mod trail;

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::approval::{ApprovalError, Approvals, PinError};
use crate::audit::Audit;
use crate::catalog::Catalog;
use crate::credentials::Credentials;
use crate::error::{Classify, ErrorKind, chain};
use crate::lifecycle::Lifecycle;
use crate::registry::{PolicyChange, PolicyEdit, Registry, RegistryError};
use crate::types::{Decider, Secret, ServerName};

/// Cloneable handle.
#[derive(Clone)]
pub struct Admin {
    parts: Parts,
    /// Held while the configuration or a sign-in is changed.
    changing: Arc<Mutex<()>>,
}

/// What is changed.
#[derive(Clone)]
pub struct Parts {
    pub registry: Registry,
    pub credentials: Credentials,
    pub approvals: Approvals,
    pub catalog: Catalog,
    pub audit: Audit,
    pub lifecycle: Lifecycle,
}

/// Why the rules of a server are not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Pin(PinError),
    #[error(transparent)]
    Approval(ApprovalError),
    #[error("the change was interrupted")]
    Interrupted,
}

impl From<ApprovalError> for ChangeError {
    fn from(error: ApprovalError) -> Self {
        match error {
            ApprovalError::Pin(error) => Self::Pin(error),
            error => Self::Approval(error),
        }
    }
}

impl Classify for ChangeError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Registry(error) => error.kind(),
            Self::Pin(error) => error.kind(),
            Self::Approval(error) => error.kind(),
            Self::Interrupted => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Pin(error) => error.hint(),
            Self::Approval(error) => error.hint(),
            Self::Interrupted => None,
        }
    }
}

impl Admin {
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            changing: Arc::default(),
        }
    }

    /// Runs a change to its end, whether or not the caller waits for it, and one at a time. None when
    /// it did not come to its end.
    pub async fn finish<T: Send + 'static>(
        &self,
        change: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let this = self.clone();
        let changing = self.parts.lifecycle.spawn("change", async move {
            let _changing = this.changing.lock().await;
            let outcome = change.await;
            this.sync().await;
            outcome
        });
        changing.await.ok()
    }

    /// Hands the configured servers to their credentials, approvals and pinned tools: at the start, and
    /// after every change. The registry reads the whole file again then, so what a person wrote into
    /// it arrives as well.
    pub async fn sync(&self) {
        self.record_hand_edits().await;
        let parts = &self.parts;
        let snapshot = parts.registry.snapshot();
        let servers = snapshot.iter().map(|server| (&server.name, &server.config));
        parts.credentials.sync(servers).await;
        if let Err(error) = parts.approvals.sync(snapshot.names()).await {
            tracing::warn!(
                error = chain(&error),
                "approvals and grants of servers that are gone stay in state.db"
            );
        }
        let versions = snapshot
            .iter()
            .map(|server| (server.name.clone(), server.policy.version()));
        let withdrawn = parts.approvals.withdraw_outdated(versions.collect());
        if let Err(error) = withdrawn.await {
            tracing::warn!(
                error = chain(&error),
                "questions that were asked by other rules stay until they expire"
            );
        }
        let servers = snapshot.iter();
        let addresses = servers.map(|server| (&server.name, server.config.url.as_str()));
        if let Err(error) = parts.catalog.sync(addresses).await {
            tracing::warn!(
                error = chain(&error),
                "pinned tools of servers that are gone stay in state.db"
            );
        }
    }

    /// Changes the rules of a server. What loosens them needs the PIN, where one is set.
    ///
    /// # Errors
    /// `edit` refuses, the PIN is missing or wrong, or the file cannot be changed; nothing has
    /// changed then.
    pub async fn change_rules(
        &self,
        name: ServerName,
        pin: Option<Secret>,
        by: Decider,
        edit: impl FnOnce(&mut PolicyChange) -> Result<(), RegistryError> + Send + 'static,
    ) -> Result<(), ChangeError> {
        let this = self.clone();
        let change = async move {
            let registry = &this.parts.registry;
            let mut change = registry.propose(&name).await?;
            this.record_hand_edits().await;
            edit(&mut change)?;
            if change.new == change.old {
                return Ok(());
            }
            if change.is_loosening() {
                let approvals = &this.parts.approvals;
                approvals.authorize(pin.as_ref(), &by).await?;
            }
            let before = Some(registry.get(name.as_str())?);
            registry.apply(change).await?;
            let after = Some(registry.get(name.as_str())?);
            let edit = PolicyEdit {
                name,
                before,
                after,
            };
            this.record_policy(&edit, &by).await;
            Ok(())
        };
        let done = self.finish(change).await;
        done.unwrap_or(Err(ChangeError::Interrupted))
    }
}
