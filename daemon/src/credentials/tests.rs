//! The credentials as a whole: real vault, real HTTP, a clock that moves by hand.

mod audit;
mod changes;
mod fake;
mod refresh;
mod sign_in;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use url::Url;

use self::fake::Fake;
use super::*;
use crate::clock::ManualClock;
use crate::oauth::callback::Callback;
use crate::paths::ConfigDir;
use crate::vault::{KeyOptions, KeySource};

/// A directory, a server in it, and the credentials under test.
struct World {
    home: tempfile::TempDir,
    fake: Fake,
    clock: Arc<ManualClock>,
    lifecycle: Lifecycle,
    audit: Audit,
    credentials: Credentials,
    config: ServerConfig,
}

impl World {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let fake = Fake::start().await;
        let clock = ManualClock::at(Timestamp::from_second(1_800_000_000).unwrap());
        let lifecycle = Lifecycle::new();
        let audit = Audit::temporary();
        let credentials = open(&home, &audit, clock.clone(), &lifecycle);
        let config = ServerConfig::new(fake.server_url());
        let world = Self {
            home,
            fake,
            clock,
            lifecycle,
            audit,
            credentials,
            config,
        };
        world.sync(&world.config).await;
        world
    }

    async fn signed_in() -> Self {
        let world = Self::new().await;
        world.sign_in().await;
        world
    }

    /// Makes `x` with `config` the only configured server.
    async fn sync(&self, config: &ServerConfig) {
        self.credentials.sync([(&name(), config)]).await;
    }

    fn login(&self, force: bool) -> watch::Receiver<Step> {
        self.credentials
            .login(&name(), &self.config, LoginOptions { force })
            .unwrap()
    }

    async fn sign_in(&self) {
        let mut steps = self.login(true);
        let asked = authorization_request(&mut steps).await;
        let outcome = self.redirect(&asked["state"]).await;
        assert!(
            matches!(outcome, CallbackOutcome::Completed(_)),
            "{outcome:?}"
        );
    }

    async fn redirect(&self, state: &str) -> CallbackOutcome {
        let callback = Callback::parse(&format!("state={state}&code=code-secret")).unwrap();
        self.credentials.complete_login(callback, None).await
    }

    async fn token(&self) -> Result<String, CredentialError> {
        Ok(bearer(&self.authorization(None).await?))
    }

    async fn authorization(
        &self,
        refused: Option<TokenId>,
    ) -> Result<Authorization, CredentialError> {
        self.credentials
            .authorization(&name(), &self.config.url, refused)
            .await
    }

    fn status(&self) -> Status {
        self.credentials.status(&name())
    }

    fn wait(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// The credential's record as a daemon that starts now would read it.
    fn on_disk(&self) -> record::CredentialRecord {
        let vault = vault(&self.home);
        let ids = vault.ids();
        let mut ids = ids.iter().filter(|id| id.starts_with("credential/"));
        let id = ids.next().expect("no credential on disk");
        assert_eq!(ids.next(), None, "more than one credential on disk");
        record::decode(id, &vault.get(id).unwrap().unwrap()).unwrap()
    }

    /// Ends the daemon in order, and starts it again.
    async fn restart(&mut self) {
        self.lifecycle.begin_shutdown("test");
        self.lifecycle.drain(Duration::from_secs(10)).await;
        self.lifecycle = Lifecycle::new();
        let clock = self.clock.clone();
        self.credentials = open(&self.home, &self.audit, clock, &self.lifecycle);
        self.sync(&self.config).await;
    }

    /// Makes writes of the vault fail, or work again.
    fn break_disk(&self, broken: bool) {
        // A directory where the second name of the file has to go; permissions do not stop root.
        let obstacle = self.home.path().join("tokens.enc.prev");
        if broken {
            std::fs::create_dir(obstacle).unwrap();
        } else {
            std::fs::remove_dir(obstacle).unwrap();
        }
    }
}

fn name() -> ServerName {
    "x".parse().unwrap()
}

fn vault(home: &tempfile::TempDir) -> Vault {
    let options = KeyOptions {
        choice: Some(KeySource::KeyFile),
        ..KeyOptions::default()
    };
    Vault::open(&ConfigDir::new(home.path()), &options).unwrap()
}

fn open(
    home: &tempfile::TempDir,
    audit: &Audit,
    clock: SharedClock,
    lifecycle: &Lifecycle,
) -> Credentials {
    let callback = "http://localhost:3000/callback".to_owned();
    let net = net::Client::new();
    let (vault, audit) = (vault(home), audit.clone());
    Credentials::new(vault, audit, net, clock, lifecycle.clone(), callback)
}

fn bearer(authorization: &Authorization) -> String {
    let [(_, value)] = &authorization.headers[..] else {
        panic!("not one header: {authorization:?}");
    };
    value.to_str().unwrap().replace("Bearer ", "")
}

/// Waits for the authorization request of a sign-in; its parameters.
async fn authorization_request(steps: &mut watch::Receiver<Step>) -> HashMap<String, String> {
    let asked = |step: &Step| match step {
        Step::AuthorizationRequired { .. } => true,
        Step::Failed(error) => panic!("{}", crate::error::chain(error)),
        _ => false,
    };
    match &*steps.wait_for(asked).await.unwrap() {
        Step::AuthorizationRequired { url, .. } => {
            let url = Url::parse(url).unwrap();
            url.query_pairs().into_owned().collect()
        }
        _ => unreachable!(),
    }
}
