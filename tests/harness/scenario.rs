//! Fakes, daemon and commands wired together: what a test starts with.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::client::{McpAnswer, McpClient};
use crate::ctl::{Ctl, Output};
use crate::daemon::{Home, TestDaemon};
use crate::mcp::{Access, FakeMcp, McpOptions};
use crate::secrets::Secrets;
use crate::wait::{self, PATIENCE};
use crate::{AsOptions, FakeAs, browser, leaks};

/// How a scenario differs from the usual one.
pub struct Builder {
    authz: AsOptions,
    mcp: Box<dyn FnOnce(&mut McpOptions) + Send>,
    daemon: Vec<String>,
    home: Option<Arc<Home>>,
    key_store: &'static str,
    settings: Vec<(&'static str, Value)>,
}

impl Builder {
    /// A setting in `config.json`, by its top-level name.
    #[must_use]
    pub fn setting(mut self, name: &'static str, value: Value) -> Self {
        self.settings.push((name, value));
        self
    }

    #[must_use]
    pub fn authz(mut self, options: AsOptions) -> Self {
        self.authz = options;
        self
    }

    #[must_use]
    pub fn mcp(mut self, change: impl FnOnce(&mut McpOptions) + Send + 'static) -> Self {
        self.mcp = Box::new(change);
        self
    }

    /// More arguments for the daemon.
    #[must_use]
    pub fn daemon(mut self, arguments: &[&str]) -> Self {
        self.daemon = arguments.iter().map(|one| (*one).to_owned()).collect();
        self
    }

    /// A home that was prepared, not initialised.
    #[must_use]
    pub fn home(mut self, home: Arc<Home>) -> Self {
        self.home = Some(home);
        self
    }

    /// Where the vault key lives; a key file unless said otherwise.
    #[must_use]
    pub fn key_store(mut self, key_store: &'static str) -> Self {
        self.key_store = key_store;
        self
    }

    pub async fn start(self) -> Scenario {
        let secrets = Secrets::default();
        let authz = FakeAs::start(self.authz, &secrets).await;
        let mut options = McpOptions::new(Access::OAuth(authz.clone()));
        (self.mcp)(&mut options);
        let mcp = FakeMcp::start(options, &secrets).await;
        let home = self.home.unwrap_or_else(Home::create);
        home.init(self.key_store).await;
        if !self.settings.is_empty() {
            edit(&home, |config| {
                for (name, value) in self.settings {
                    config[name] = value;
                }
            });
        }
        let arguments: Vec<&str> = self.daemon.iter().map(String::as_str).collect();
        let daemon = TestDaemon::start_with(&home, &arguments).await;
        let ctl = Ctl::new(&home);
        Scenario {
            authz,
            mcp,
            daemon,
            ctl,
            secrets,
            home,
            finished: false,
        }
    }
}

/// One user, one daemon, one authorization server, one MCP server. End it with [`Scenario::finish`].
pub struct Scenario {
    pub authz: FakeAs,
    pub mcp: FakeMcp,
    pub daemon: TestDaemon,
    pub ctl: Ctl,
    pub secrets: Secrets,
    pub home: Arc<Home>,
    finished: bool,
}

impl Scenario {
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// With one server, `hello`, signed in to and allowed.
    pub async fn signed_in() -> Self {
        let scenario = Self::start().await;
        scenario.add("hello").await;
        scenario
    }

    /// With one server, `hello`, that needs no credential and all of whose tools are under one rule.
    pub async fn under(effect: &str) -> Self {
        let builder = Self::builder().mcp(|mcp| mcp.access = Access::Open);
        let scenario = builder.start().await;
        scenario.add_open("hello", effect).await;
        scenario
    }

    pub fn builder() -> Builder {
        Builder {
            authz: AsOptions::default(),
            mcp: Box::new(|_| ()),
            daemon: Vec::new(),
            home: None,
            key_store: "key-file",
            settings: Vec::new(),
        }
    }

    /// Adds the MCP server under `name`, consents, and waits until it is usable. Policy: allow.
    pub async fn add(&self, name: &str) -> Output {
        self.add_with(name, &[]).await
    }

    pub async fn add_with(&self, name: &str, options: &[&str]) -> Output {
        let url = self.mcp.url();
        let mut arguments = vec!["add", name, &url, "--no-browser", "--policy", "allow"];
        arguments.extend_from_slice(options);
        self.sign_in(&arguments).await
    }

    /// Adds the MCP server, which needs no credential, under `name` and one rule for all its tools.
    pub async fn add_open(&self, name: &str, effect: &str) -> Output {
        let url = self.mcp.url();
        let add = ["add", name, &url, "--no-auth", "--policy", effect];
        self.ctl.run(&add).await.success()
    }

    /// Makes a client token; calls with it are those of `client:NAME`.
    pub async fn client_token(&self, name: &str) -> String {
        let added = self.ctl.run(&["--json", "client", "add", name]).await;
        added.success().json()["token"].as_str().unwrap().to_owned()
    }

    /// Another MCP server with an authorization server of its own.
    pub async fn another(&self, options: AsOptions) -> (FakeAs, FakeMcp) {
        let authz = FakeAs::start(options, &self.secrets).await;
        let options = McpOptions::new(Access::OAuth(authz.clone()));
        let mcp = FakeMcp::start(options, &self.secrets).await;
        (authz, mcp)
    }

    /// Signs in again to a server that was added before.
    pub async fn login(&self, name: &str) -> Output {
        self.sign_in(&["login", name, "--no-browser"]).await
    }

    /// Runs a command that prints an authorization URL, and plays the person with the browser.
    pub async fn sign_in(&self, arguments: &[&str]) -> Output {
        let mut running = self.ctl.spawn(arguments);
        let url = running.authorization_url().await;
        let page = browser::consent(&url).await;
        assert_eq!(page.status, 200, "the callback's page: {}", page.body);
        running.wait().await.success()
    }

    /// Adds the MCP server without waiting for a login: `--no-auth`, `--header`, `--bearer-stdin`.
    pub async fn add_static(&self, name: &str, options: &[&str], input: &str) -> Output {
        let url = self.mcp.url();
        let mut arguments = vec!["add", name, &url, "--policy", "allow"];
        arguments.extend_from_slice(options);
        self.ctl.run_with_input(&arguments, input).await.success()
    }

    /// Edits `config.json` by hand, as a person does, and starts the daemon anew.
    pub async fn configure(&mut self, change: impl FnOnce(&mut Value)) {
        edit(&self.home, change);
        self.daemon.restart().await;
    }

    /// Calls a tool through the proxy as a 2026-07-28 client.
    pub async fn call(&self, server: &str, tool: &str, arguments: Value) -> McpAnswer {
        self.client(server).call(tool, arguments).await
    }

    pub fn client(&self, server: &str) -> McpClient {
        McpClient::modern(&self.daemon.mcp_url(server))
    }

    pub async fn legacy_client(&self, server: &str) -> McpClient {
        McpClient::legacy(&self.daemon.mcp_url(server)).await
    }

    /// `show NAME --json`.
    pub async fn show(&self, name: &str) -> Value {
        self.ctl
            .run(&["show", name, "--json"])
            .await
            .success()
            .json()
    }

    /// Waits until `show` reports `state`, and returns what it said.
    pub async fn await_state(&self, name: &str, state: &str) -> Value {
        wait::until(&format!("{name} to be {state}"), PATIENCE, async || {
            let shown = self.show(name).await;
            (shown["state"] == state).then_some(shown)
        })
        .await
    }

    pub fn tokens_file(&self) -> PathBuf {
        self.home.tokens_file()
    }

    /// Stops the daemon and searches everything the product wrote for secrets.
    ///
    /// # Panics
    /// When a secret is found, or the daemon does not stop in order.
    pub async fn finish(mut self) {
        self.finished = true;
        if self.daemon.is_started() {
            let status = self.daemon.stop().await;
            assert!(
                status.success(),
                "the daemon ended with {status}\n{}",
                self.daemon.output()
            );
        }
        let said = [
            self.daemon.output(),
            self.home.transcript.lock().unwrap().clone(),
        ];
        for text in said {
            assert!(!tells_of_a_panic(&text), "the product panicked:\n{text}");
        }
        let found = leaks::search(&self.home, &self.secrets);
        assert!(
            found.is_empty(),
            "secrets were written:\n{}",
            found.join("\n")
        );
    }
}

fn edit(home: &Home, change: impl FnOnce(&mut Value)) {
    let path = home.config_file();
    let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
}

/// What Rust prints about a panic, and what the daemon's own hook logs instead.
pub(crate) const PANICS: [&str; 2] = ["panicked at", "a task panicked"];

fn tells_of_a_panic(text: &str) -> bool {
    PANICS.iter().any(|words| text.contains(words))
}

impl Drop for Scenario {
    /// A test that forgets [`Scenario::finish`] did not look for leaks.
    fn drop(&mut self) {
        if !self.finished && !std::thread::panicking() {
            panic!("the scenario was not finished");
        }
    }
}
