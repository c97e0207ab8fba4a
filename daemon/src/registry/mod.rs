//! The configured servers: the only writer of `config.json` after start, and the view everyone reads.
//!
//! A change is written to the file first and published then; readers hold an immutable
//! [`Snapshot`] and never wait. A change by hand is published when it is noticed ([`FileWatch`]) or when
//! the next command runs, whichever comes first. A file that is not valid changes nothing, and
//! [`FileState`] says what is wrong with it.

mod error;
mod file;
mod hand;
mod rules;
#[cfg(test)]
mod tests;
mod watcher;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

pub use self::error::RegistryError;
pub use self::file::{FileState, Rejected};
use self::hand::HandEdits;
pub use self::hand::PolicyEdit;
pub use self::rules::{PolicyChange, RuleKey};
pub use self::watcher::FileWatch;
use crate::config::{self, Config, ConfigError, ServerConfig};
use crate::net::AddressPolicy;
use crate::paths::ConfigDir;
use crate::policy::PolicySet;
use crate::types::ServerName;

/// One configured server, with its rules compiled.
#[derive(Debug)]
pub struct Server {
    pub name: ServerName,
    pub config: ServerConfig,
    pub policy: PolicySet,
    /// Where the server, and the authorization server it names, may be.
    pub addresses: AddressPolicy,
}

impl Server {
    fn new(name: ServerName, config: ServerConfig) -> Self {
        let policy = PolicySet::compile(&config.policy, config.trusted);
        let addresses = AddressPolicy::for_server(&config.url, config.allow_private_network);
        Self {
            name,
            config,
            policy,
            addresses,
        }
    }
}

/// All servers at one moment.
#[derive(Debug, Default, Clone)]
pub struct Snapshot {
    servers: BTreeMap<ServerName, Arc<Server>>,
}

impl Snapshot {
    pub fn get(&self, name: &str) -> Option<&Arc<Server>> {
        self.servers.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.values()
    }

    pub fn names(&self) -> impl Iterator<Item = &ServerName> {
        self.servers.keys()
    }

    pub fn len(&self) -> usize {
        self.servers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Whether it shares all servers with `other`.
    fn is_same(&self, other: &Self) -> bool {
        let pairs = self.servers.iter().zip(&other.servers);
        self.len() == other.len()
            && pairs
                .into_iter()
                .all(|(one, other)| one.0 == other.0 && Arc::ptr_eq(one.1, other.1))
    }
}

/// Whether [`Registry::add`] changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    New,
    AlreadyPresent,
}

/// Cloneable handle.
#[derive(Clone)]
pub struct Registry {
    dir: ConfigDir,
    /// Held from reading the file to publishing, so that writers do not cross.
    writing: Arc<Mutex<()>>,
    published: watch::Sender<Arc<Snapshot>>,
    /// The settings the daemon was started with, as the file had them.
    started_with: Arc<Config>,
    by_hand: HandEdits,
    file: watch::Sender<FileState>,
}

impl Registry {
    /// Takes over the servers of a loaded configuration.
    pub fn new(dir: ConfigDir, config: &Config) -> Self {
        Self {
            dir,
            writing: Arc::default(),
            published: watch::Sender::new(Arc::new(compile(config, &Snapshot::default()))),
            started_with: Arc::new(config.clone()),
            by_hand: HandEdits::default(),
            file: watch::Sender::default(),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published.borrow())
    }

    /// Follows the published snapshots.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.published.subscribe()
    }

    /// How many follow.
    #[cfg(test)]
    pub fn followers(&self) -> usize {
        self.published.receiver_count()
    }

    pub fn get(&self, name: &str) -> Result<Arc<Server>, RegistryError> {
        let unknown = || RegistryError::UnknownServer(name.chars().take(64).collect());
        self.snapshot().get(name).cloned().ok_or_else(unknown)
    }

    /// Adds a server. The same settings once more are no error; other settings under a name that
    /// is taken are.
    pub async fn add(
        &self,
        name: &ServerName,
        server: ServerConfig,
    ) -> Result<Added, RegistryError> {
        let _writing = self.writing.lock().await;
        self.read(None).await?;
        if let Some(present) = self.snapshot().get(name.as_str()) {
            return match difference(&present.config, &server) {
                None => Ok(Added::AlreadyPresent),
                Some(difference) => Err(RegistryError::Exists {
                    name: name.clone(),
                    difference,
                }),
            };
        }
        let target = name.clone();
        self.edit(name, move |dir| {
            config::upsert_server(dir, &target, &server)
        })
        .await?;
        Ok(Added::New)
    }

    pub async fn remove(&self, name: &ServerName) -> Result<(), RegistryError> {
        let _writing = self.writing.lock().await;
        self.read(None).await?;
        let target = name.clone();
        self.edit(name, move |dir| {
            config::remove_server(dir, &target).map(drop)
        })
        .await
    }

    /// Remembers scopes a person asked for, so that the next sign-in asks for them too.
    pub async fn add_scopes(
        &self,
        name: &ServerName,
        scopes: &[String],
    ) -> Result<(), RegistryError> {
        let _writing = self.writing.lock().await;
        self.read(None).await?;
        let mut server = self.get(name.as_str())?.config.clone();
        let known = server.oauth.scopes.len();
        for scope in scopes {
            if !server.oauth.scopes.contains(scope) {
                server.oauth.scopes.push(scope.clone());
            }
        }
        if server.oauth.scopes.len() == known {
            return Ok(());
        }
        let target = name.clone();
        self.edit(name, move |dir| {
            config::upsert_server(dir, &target, &server)
        })
        .await
    }

    /// Runs `change`, which is about `name`, on the file, then publishes what the file says. A file that
    /// is not valid is not changed.
    async fn edit(
        &self,
        name: &ServerName,
        change: impl FnOnce(&ConfigDir) -> Result<(), ConfigError> + Send + 'static,
    ) -> Result<(), RegistryError> {
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || change(&dir));
        written.await.map_err(|_| RegistryError::Interrupted)??;
        self.read(Some(name)).await
    }
}

/// What has not changed since `before` is shared with it.
fn compile(config: &Config, before: &Snapshot) -> Snapshot {
    let servers = config.servers.iter().map(|(name, server)| {
        let server = match before.get(name.as_str()) {
            Some(present) if present.config == *server => Arc::clone(present),
            _ => Arc::new(Server::new(name.clone(), server.clone())),
        };
        (name.clone(), server)
    });
    Snapshot {
        servers: servers.collect(),
    }
}

/// The first setting in which two configurations of one server differ.
fn difference(present: &ServerConfig, wanted: &ServerConfig) -> Option<&'static str> {
    [
        ("url", present.url != wanted.url),
        ("auth", present.auth != wanted.auth),
        ("oauth", present.oauth != wanted.oauth),
        ("trusted", present.trusted != wanted.trusted),
        ("policy", present.policy != wanted.policy),
        (
            "allow_private_network",
            present.allow_private_network != wanted.allow_private_network,
        ),
    ]
    .into_iter()
    .find_map(|(name, differs)| differs.then_some(name))
}
