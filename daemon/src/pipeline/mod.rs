//! The one way to call a tool: policy, credential, forward, record.
//!
//! Proxy, control API and every later surface go through [`Pipeline::call`]. It decides on the very
//! bytes it forwards, so what was judged is what the server gets.

mod body;
mod call;
mod error;
mod exchange;
mod record;
mod redact;
mod session;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::Semaphore;

pub use self::body::RelayBody;
pub use self::error::CallError;
pub use self::session::{McpSession, SessionError};
use crate::clients::Clients;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::lifecycle::Lifecycle;
use crate::registry::Registry;
use crate::types::{Caller, ServerName};
use crate::upstream::Upstream;

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
    upstream: Upstream,
    lifecycle: Lifecycle,
    /// One permit per exchange with a server, from its request to the end of its answer.
    streams: Arc<Semaphore>,
    max_streams: usize,
    max_request_bytes: u64,
    /// Servers that answered 401 to `server/discover` with a fresh token.
    refuse_discover: Mutex<HashSet<ServerName>>,
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
}

impl Pipeline {
    pub fn new(
        config: &Config,
        registry: Registry,
        credentials: Credentials,
        clients: Clients,
        lifecycle: Lifecycle,
    ) -> Self {
        let max_streams = config.max_streams.min(Semaphore::MAX_PERMITS);
        Self {
            inner: Arc::new(Inner {
                registry,
                credentials,
                clients,
                upstream: Upstream::new(HEAD_LIMIT),
                lifecycle,
                streams: Arc::new(Semaphore::new(max_streams)),
                max_streams,
                max_request_bytes: config.max_request_bytes,
                refuse_discover: Mutex::default(),
            }),
        }
    }

    /// How large the body of a [`RelayRequest`] may be.
    pub fn max_request_bytes(&self) -> u64 {
        self.inner.max_request_bytes
    }
}
