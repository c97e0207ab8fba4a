//! A protected MCP server that speaks both eras: stateless 2026-07-28 and the `initialize` handshake.
//!
//! It checks tokens against the fake authorization server, keeps every request it received, and counts
//! what its tools did, so that a test can tell a call that ran twice from one that was answered twice.

mod dispatch;
mod guard;
mod offer;
mod session;
mod stream;
mod tools;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::authz::FakeAs;
use crate::journal::Journal;
use crate::script::{Gate, Script};
use crate::secrets::Secrets;
use crate::wire::{self, Listening};
pub use offer::Offer;
use session::Sessions;

pub const MODERN: &str = "2026-07-28";
pub const LEGACY: &str = "2025-11-25";

/// Sent with every answer; the product must never pass it on.
pub const COOKIE: &str = "upstream-session";

/// The scope that the tool `scoped` needs.
pub const ADMIN_SCOPE: &str = "mcp:admin";

/// What the `retry` field says; clients must keep it.
pub const RETRY_MS: u32 = 1500;

/// A comment line, sent as keep-alive; a relay must pass it on.
pub const COMMENT: &str = ": still working\n\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Protected-resource metadata (RFC 9728).
    Prm,
    Mcp,
    /// Anything else: probing that the test did not expect.
    Unknown,
}

/// Where protected-resource metadata is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrmAt {
    /// `/.well-known/oauth-protected-resource/mcp`
    Path,
    /// `/.well-known/oauth-protected-resource`
    Root,
    /// An address that only the challenge names.
    Header,
    Nowhere,
}

/// Who may call.
#[derive(Debug, Clone)]
pub enum Access {
    OAuth(FakeAs),
    /// A fixed request header, such as an API key.
    Header(&'static str, String),
    Open,
}

#[derive(Debug, Clone)]
pub struct McpOptions {
    pub access: Access,
    pub prm: PrmAt,
    /// Whether the challenge names the metadata's address.
    pub challenge_names_prm: bool,
    /// Scope in the challenge.
    pub scope: Option<String>,
    /// `resource` in the metadata; None for the server's own URL.
    pub resource: Option<String>,
    pub port: u16,
}

impl McpOptions {
    pub fn new(access: Access) -> Self {
        Self {
            access,
            prm: PrmAt::Path,
            challenge_names_prm: true,
            scope: Some("mcp".to_owned()),
            resource: None,
            port: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Started,
    Finished,
    /// The caller left before the result was sent.
    Abandoned,
}

#[derive(Debug)]
struct State {
    options: McpOptions,
    origin: String,
    script: Script<Endpoint>,
    journal: Journal<Endpoint>,
    tools: Mutex<Vec<(String, Outcome)>>,
    /// Tools that wait at a gate before they finish.
    gates: Mutex<HashMap<String, Gate>>,
    offer: Mutex<Offer>,
    sessions: Sessions,
    cookie: String,
}

impl State {
    fn url(&self) -> String {
        format!("{}/mcp", self.origin)
    }

    fn resource(&self) -> String {
        self.options.resource.clone().unwrap_or_else(|| self.url())
    }

    fn record(&self, tool: &str, outcome: Outcome) {
        self.tools.lock().unwrap().push((tool.to_owned(), outcome));
    }

    fn offer(&self) -> Offer {
        self.offer.lock().unwrap().clone()
    }

    fn gate(&self, tool: &str) -> Option<Gate> {
        self.gates.lock().unwrap().get(tool).cloned()
    }
}

/// Handle to a running fake; clones share it.
#[derive(Debug, Clone)]
pub struct FakeMcp {
    state: Arc<State>,
    _listening: Arc<Listening>,
}

impl FakeMcp {
    /// Starts the server and makes its authorization server accept its resource.
    pub async fn start(options: McpOptions, secrets: &Secrets) -> Self {
        let listener = wire::bind(options.port).await;
        let state = Arc::new(State {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            script: Script::default(),
            journal: Journal::default(),
            tools: Mutex::default(),
            gates: Mutex::default(),
            offer: Mutex::default(),
            sessions: Sessions::default(),
            cookie: secrets.issue("cookie"),
            options,
        });
        if let Access::OAuth(authz) = &state.options.access {
            authz.accept_resource(&state.resource());
        }
        let listening = wire::serve(listener, state.clone(), dispatch::handle);
        Self {
            state,
            _listening: Arc::new(listening),
        }
    }

    /// The MCP endpoint.
    pub fn url(&self) -> String {
        self.state.url()
    }

    /// `resource` as the metadata names it.
    pub fn resource(&self) -> String {
        self.state.resource()
    }

    pub fn journal(&self) -> &Journal<Endpoint> {
        &self.state.journal
    }

    pub fn script(&self) -> &Script<Endpoint> {
        &self.state.script
    }

    /// Makes `tool` wait, after it started, until the gate is released.
    pub fn hold(&self, tool: &str) -> Gate {
        let gate = Gate::new();
        self.state
            .gates
            .lock()
            .unwrap()
            .insert(tool.to_owned(), gate.clone());
        gate
    }

    /// How often `tool` began to run.
    pub fn executions(&self, tool: &str) -> usize {
        self.count(tool, Outcome::Started)
    }

    pub fn finished(&self, tool: &str) -> usize {
        self.count(tool, Outcome::Finished)
    }

    /// How many callers of `tool` left before its result was sent.
    pub fn abandoned(&self, tool: &str) -> usize {
        self.count(tool, Outcome::Abandoned)
    }

    /// Changes what the server says that it has, from the next request on.
    pub fn offer(&self, change: impl FnOnce(&mut Offer)) {
        change(&mut self.state.offer.lock().unwrap());
    }

    /// Sends a message to every open GET stream, and to every subscriber.
    pub fn notify(&self, message: &Value) {
        self.state.sessions.notify(message);
    }

    /// Ends every session: 404 from now on.
    pub fn forget_sessions(&self) {
        self.state.sessions.clear();
    }

    /// Requests to the MCP endpoint that passed the guard or not.
    pub fn requests(&self) -> usize {
        self.state.journal.count(Endpoint::Mcp)
    }

    fn count(&self, tool: &str, outcome: Outcome) -> usize {
        let tools = self.state.tools.lock().unwrap();
        tools
            .iter()
            .filter(|(name, what)| name == tool && *what == outcome)
            .count()
    }
}
