//! The one way to call a tool: policy, approval, credential, forward, record.
//!
//! Proxy, control API and every later surface go through [`Pipeline::call`]. It decides on the very
//! bytes it forwards, so what was judged is what the server gets.

mod admit;
mod basis;
mod body;
mod bounded;
mod call;
mod client;
mod error;
mod exchange;
mod hold;
mod judge;
mod listing;
mod media;
mod record;
mod redact;
mod session;
mod sessions;
mod trail;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use tokio::sync::Semaphore;

pub use self::body::{RelayBody, RelayError};
pub use self::error::CallError;
pub use self::hold::{MARKER, SealError};
use self::hold::{Sealer, Settings};
pub use self::judge::is_hidden;
pub use self::session::{Asked, Gate, Go, ListedTool, McpSession, SessionError, ToolResult};
use self::sessions::Sessions;
use crate::approval::Approvals;
use crate::audit::Audit;
use crate::catalog::Catalog;
use crate::clients::Clients;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::lifecycle::Lifecycle;
use crate::registry::Registry;
use crate::types::{Caller, ServerName};
use crate::upstream::Upstream;
use crate::vault::Vault;

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// A server may work this long before it begins to answer.
const HEAD_LIMIT: Duration = Duration::from_secs(300);

/// Cloneable handle.
#[derive(Clone)]
pub struct Pipeline {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    credentials: Credentials,
    clients: Clients,
    catalog: Catalog,
    approvals: Approvals,
    audit: Audit,
    upstream: Upstream,
    sealer: Sealer,
    sessions: Sessions,
    settings: Settings,
    clock: SharedClock,
    lifecycle: Lifecycle,
    /// One permit per exchange with a server, from its request to the end of its answer.
    streams: Arc<Semaphore>,
    max_streams: usize,
    max_request_bytes: u64,
    /// Servers that answered 401 to `server/discover` with a fresh token.
    refuse_discover: Mutex<HashSet<ServerName>>,
}

/// What a pipeline works with.
pub struct Parts {
    pub registry: Registry,
    pub credentials: Credentials,
    pub clients: Clients,
    pub catalog: Catalog,
    pub approvals: Approvals,
    pub audit: Audit,
    /// For the key that seals what clients bring back.
    pub vault: Vault,
    pub clock: SharedClock,
    pub lifecycle: Lifecycle,
    /// Where people decide.
    pub base_url: String,
}

/// A client's request, on its way to a server.
#[derive(Debug)]
pub struct RelayRequest {
    pub server: ServerName,
    pub method: Method,
    /// The raw path behind `/mcp/{server}`, empty or beginning with `/`.
    pub path: String,
    pub query: Option<String>,
    /// As received. Which of them cross the bridge is not the caller's business.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub caller: Caller,
    /// For a caller that waits until the question is answered.
    pub asked: Option<Asked>,
}

impl Pipeline {
    pub fn new(config: &Config, parts: Parts) -> Self {
        let max_streams = config.max_streams.min(Semaphore::MAX_PERMITS);
        let approvals = &config.approvals;
        Self {
            inner: Arc::new(Inner {
                registry: parts.registry,
                credentials: parts.credentials,
                clients: parts.clients,
                catalog: parts.catalog,
                approvals: parts.approvals,
                audit: parts.audit,
                upstream: Upstream::new(HEAD_LIMIT),
                sealer: Sealer::new(parts.vault),
                sessions: Sessions::new(),
                settings: Settings {
                    patience: Duration::from_secs(approvals.expiry_seconds),
                    hold: Duration::from_secs(approvals.hold_seconds),
                    long_hold: Duration::from_secs(approvals.max_hold_seconds),
                    base_url: parts.base_url,
                },
                clock: parts.clock,
                lifecycle: parts.lifecycle,
                streams: Arc::new(Semaphore::new(max_streams)),
                max_streams,
                max_request_bytes: config.max_request_bytes,
                refuse_discover: Mutex::default(),
            }),
        }
    }

    /// How long a question stands.
    fn patience(&self) -> Duration {
        self.inner.settings.patience
    }

    /// How large the body of a [`RelayRequest`] may be.
    pub fn max_request_bytes(&self) -> u64 {
        self.inner.max_request_bytes
    }
}
