//! The configured servers: the only writer of `config.json` after start, and the view everyone reads.
//!
//! A change is written to the file first and published then; readers hold an immutable
//! [`Snapshot`] and never wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::config::{self, Config, ConfigError, PolicyConfig, ServerConfig};
use crate::error::{Classify, ErrorKind};
use crate::net::AddressPolicy;
use crate::paths::ConfigDir;
use crate::policy::PolicySet;
use crate::types::{Effect, Pattern, ServerName};

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

    pub fn len(&self) -> usize {
        self.servers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("server {0} is not configured")]
    UnknownServer(String),
    #[error("server {name} exists with other settings: {difference} differs")]
    Exists {
        name: ServerName,
        difference: &'static str,
    },
    #[error("server {server} has no rule for {tool:?}")]
    UnknownRule { server: ServerName, tool: String },
    #[error("the change is not stored")]
    Config(#[from] ConfigError),
    #[error("the configuration could not be written")]
    Interrupted,
}

impl Classify for RegistryError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownServer(_) | Self::UnknownRule { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Conflict,
            Self::Config(error) => error.kind(),
            Self::Interrupted => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownServer(_) => Some("mcpbridgectl list shows the configured servers".into()),
            Self::Exists { name, .. } => Some(format!(
                "use another name, or remove the present one: `mcpbridgectl remove {name}`"
            )),
            Self::UnknownRule { server, .. } => {
                Some(format!("mcpbridgectl policy list {server} shows the rules"))
            }
            Self::Config(error) => error.hint(),
            Self::Interrupted => None,
        }
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
}

impl Registry {
    /// Takes over the servers of a loaded configuration.
    pub fn new(dir: ConfigDir, config: &Config) -> Self {
        Self {
            dir,
            writing: Arc::default(),
            published: watch::Sender::new(Arc::new(compile(config))),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published.borrow())
    }

    /// Follows the published snapshots.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.published.subscribe()
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
        self.edit(move |dir| config::upsert_server(dir, &target, &server))
            .await?;
        Ok(Added::New)
    }

    pub async fn remove(&self, name: &ServerName) -> Result<(), RegistryError> {
        let _writing = self.writing.lock().await;
        let target = name.clone();
        self.edit(move |dir| config::remove_server(dir, &target).map(drop))
            .await
    }

    /// Remembers scopes a person asked for, so that the next sign-in asks for them too.
    pub async fn add_scopes(
        &self,
        name: &ServerName,
        scopes: &[String],
    ) -> Result<(), RegistryError> {
        let _writing = self.writing.lock().await;
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
        self.edit(move |dir| config::upsert_server(dir, &target, &server))
            .await
    }

    /// Sets the rule for a tool glob, or the server's default when `tool` is None.
    pub async fn set_policy(
        &self,
        name: &ServerName,
        tool: Option<&Pattern>,
        effect: Effect,
    ) -> Result<(), RegistryError> {
        self.change_policy(name, |policy| {
            match tool {
                Some(glob) => {
                    policy.tools.insert(glob.clone(), effect);
                }
                None => policy.default = effect,
            }
            Ok(())
        })
        .await
    }

    /// Drops the rule for a tool glob, or puts the default back to `ask`.
    pub async fn unset_policy(
        &self,
        name: &ServerName,
        tool: Option<&Pattern>,
    ) -> Result<(), RegistryError> {
        self.change_policy(name, |policy| {
            match tool {
                Some(glob) if policy.tools.remove(glob).is_none() => {
                    let server = name.clone();
                    return Err(RegistryError::UnknownRule {
                        server,
                        tool: glob.to_string(),
                    });
                }
                Some(_) => {}
                None => policy.default = Effect::default(),
            }
            Ok(())
        })
        .await
    }

    async fn change_policy(
        &self,
        name: &ServerName,
        change: impl FnOnce(&mut PolicyConfig) -> Result<(), RegistryError>,
    ) -> Result<(), RegistryError> {
        let _writing = self.writing.lock().await;
        let mut policy = self.get(name.as_str())?.config.policy.clone();
        change(&mut policy)?;
        let target = name.clone();
        self.edit(move |dir| config::set_policy(dir, &target, &policy))
            .await
    }

    /// Runs `change` on the file, reads the file back and publishes what it says now. A file that a
    /// person left invalid is not changed.
    async fn edit(
        &self,
        change: impl FnOnce(&ConfigDir) -> Result<(), ConfigError> + Send + 'static,
    ) -> Result<(), RegistryError> {
        let dir = self.dir.clone();
        let written = tokio::task::spawn_blocking(move || {
            change(&dir)?;
            config::load(&dir)
        });
        let config = written.await.map_err(|_| RegistryError::Interrupted)??;
        self.published.send_replace(Arc::new(compile(&config)));
        Ok(())
    }
}

fn compile(config: &Config) -> Snapshot {
    let servers = config.servers.iter().map(|(name, server)| {
        let server = Server::new(name.clone(), server.clone());
        (name.clone(), Arc::new(server))
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

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::policy::Call;
    use crate::types::{Caller, Channel, Process};

    fn server(url: &str) -> ServerConfig {
        ServerConfig::new(Url::parse(url).unwrap())
    }

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    fn registry() -> (tempfile::TempDir, Registry, ServerName) {
        let temp = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(temp.path());
        let registry = Registry::new(dir, &Config::default());
        (temp, registry, "stripe".parse().unwrap())
    }

    #[tokio::test]
    async fn the_same_server_twice_is_no_error_and_a_different_one_is() {
        let (_dir, registry, name) = registry();
        let wanted = server("https://mcp.stripe.com");
        assert_eq!(
            registry.add(&name, wanted.clone()).await.unwrap(),
            Added::New
        );
        assert_eq!(
            registry.add(&name, wanted.clone()).await.unwrap(),
            Added::AlreadyPresent
        );
        let other = registry
            .add(&name, server("https://mcp.example.com"))
            .await
            .unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Conflict);
        assert_eq!(registry.get("stripe").unwrap().config, wanted);
    }

    #[tokio::test]
    async fn a_rule_is_in_the_file_before_it_counts_and_goes_with_unset() {
        let (dir, registry, name) = registry();
        registry
            .add(&name, server("https://mcp.stripe.com"))
            .await
            .unwrap();
        registry
            .set_policy(&name, Some(&pattern("list_*")), Effect::Allow)
            .await
            .unwrap();
        let effect = |tool| {
            let call = Call {
                tool,
                arguments: None,
                annotations: None,
                caller: &Caller::new(Channel::Http, Process::default()),
            };
            registry
                .get("stripe")
                .unwrap()
                .policy
                .evaluate(&call)
                .effect
        };
        assert_eq!(
            (effect("list_all"), effect("pay")),
            (Effect::Allow, Effect::Ask)
        );
        let reloaded = config::load(&ConfigDir::new(dir.path())).unwrap();
        assert_eq!(
            reloaded.servers[&name].policy.tools["list_*"],
            Effect::Allow
        );
        registry
            .unset_policy(&name, Some(&pattern("list_*")))
            .await
            .unwrap();
        assert_eq!(effect("list_all"), Effect::Ask);
        let again = registry
            .unset_policy(&name, Some(&pattern("list_*")))
            .await
            .unwrap_err();
        assert_eq!(again.kind(), ErrorKind::NotFound);
    }

    #[tokio::test]
    async fn a_broken_file_keeps_the_servers_that_were_read_before() {
        let (dir, registry, name) = registry();
        registry
            .add(&name, server("https://mcp.stripe.com"))
            .await
            .unwrap();
        let path = ConfigDir::new(dir.path()).config_file();
        crate::paths::write_atomic(&path, b"{ not json").unwrap();
        assert!(
            registry
                .set_policy(&name, None, Effect::Allow)
                .await
                .is_err()
        );
        assert_eq!(
            registry.get("stripe").unwrap().config.policy.default,
            Effect::Ask
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"{ not json");
    }

    #[tokio::test]
    async fn a_rule_that_cannot_be_used_in_the_file_keeps_it_from_being_changed() {
        let (dir, registry, name) = registry();
        let path = ConfigDir::new(dir.path()).config_file();
        let file = br#"{"version": "1.0", "servers": {"x": {"url": "https://x.example/",
            "policy": {"tools": {"[a-z]": "allow"}}}}}"#;
        crate::paths::write_atomic(&path, file).unwrap();
        let error = registry
            .add(&name, server("https://mcp.stripe.com"))
            .await
            .unwrap_err();
        assert!(matches!(error, RegistryError::Config(_)), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), file);
        assert!(registry.get("stripe").is_err());
    }
}
