//! Connections that stay open between requests.
//!
//! hyper-util's own pool makes room for its 3 KB of state, and looks a request over three times, for every
//! request that passes; this one does what one protocol over one kind of connection takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::Executor;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::Instant;
use tower::ServiceExt;
use tower::timeout::Timeout;

use super::body::{BoxError, Payload};
use crate::net::{AddressPolicy, GuardedResolver, tls_config};

/// DNS, TCP and TLS together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Common servers close idle connections after 5 s and more. Ours go earlier than most of theirs,
/// so that few calls meet a connection that is just being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

type Connector = Timeout<HttpsConnector<HttpConnector<GuardedResolver>>>;

/// Cloneable handle on the connections that were opened under one address policy.
#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is the last.
    by_origin: HashMap<Origin, Vec<Resting>>,
    /// Somebody looks after them.
    is_swept: bool,
}

struct Resting {
    sender: SendRequest<Payload>,
    since: Instant,
}

/// What a connection leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    scheme: Scheme,
    pub(super) authority: Authority,
}

/// Why there is no answer.
pub(super) enum Failure {
    /// Nothing was sent.
    Connect(BoxError),
    Exchange(hyper::Error),
}

impl Origin {
    /// Of an absolute URL, and what is asked there. None of a relative one.
    pub(super) fn split(url: Uri) -> Option<(Self, Uri)> {
        let mut parts = url.into_parts();
        let origin = Self {
            scheme: parts.scheme.take()?,
            authority: parts.authority.take()?,
        };
        Some((origin, Uri::from_parts(parts).ok()?))
    }

    fn url(self) -> Result<Uri, http::Error> {
        let url = Uri::builder().scheme(self.scheme).authority(self.authority);
        url.path_and_query(PathAndQuery::from_static("/")).build()
    }
}

impl Pool {
    pub(super) fn new(addresses: AddressPolicy) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(GuardedResolver::new(addresses));
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new()
            .with_tls_config((*tls_config()).clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self {
            shared: Arc::new(Shared {
                connector: Timeout::new(tls, CONNECT_LIMIT),
                idle: Mutex::default(),
            }),
        }
    }

    /// Sends `request`, whose URI is path and query, to `origin`.
    ///
    /// Nothing is sent twice: only a request that never left a dead connection is put on another one.
    pub(super) async fn send(
        &self,
        origin: &Origin,
        mut request: Request<Payload>,
    ) -> Result<Response<Incoming>, Failure> {
        loop {
            let (mut sender, is_used) = match self.shared.take(origin) {
                Some(sender) => (sender, true),
                None => (Box::pin(self.connect(origin.clone())).await?, false),
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.shared.keep(origin, sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_used => request = unsent,
                    Some(_) => return Err(Failure::Connect(error.into_error().into())),
                    None => return Err(Failure::Exchange(error.into_error())),
                },
            }
        }
    }

    async fn connect(&self, origin: Origin) -> Result<SendRequest<Payload>, Failure> {
        let url = origin
            .url()
            .map_err(|error| Failure::Connect(error.into()))?;
        let connected = self.shared.connector.clone().oneshot(url).await;
        let stream = connected.map_err(Failure::Connect)?;
        let unusable = |error: hyper::Error| Failure::Connect(error.into());
        let (mut sender, connection) = http1::handshake(stream).await.map_err(unusable)?;
        run(async move {
            // Whatever ends it is told to the request that it answers, too.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a server ended early");
            }
        });
        sender.ready().await.map_err(unusable)?;
        Ok(sender)
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, origin: &Origin) -> Option<SendRequest<Payload>> {
        let mut idle = self.idle();
        let resting = idle.by_origin.get_mut(origin)?;
        loop {
            let last = resting.pop()?;
            if last.is_usable() {
                return Some(last.sender);
            }
        }
    }

    /// Keeps the connection for the next request, once the answer that it carries is over.
    fn keep(self: &Arc<Self>, origin: &Origin, mut sender: SendRequest<Payload>) {
        if sender.is_ready() {
            return self.put(origin.clone(), sender);
        }
        if !sender.is_closed() {
            let (shared, origin) = (Arc::clone(self), origin.clone());
            run(async move {
                if sender.ready().await.is_ok() {
                    shared.put(origin, sender);
                }
            });
        }
    }

    fn put(self: &Arc<Self>, origin: Origin, sender: SendRequest<Payload>) {
        let mut idle = self.idle();
        let since = Instant::now();
        let resting = Resting { sender, since };
        idle.by_origin.entry(origin).or_default().push(resting);
        if !std::mem::replace(&mut idle.is_swept, true) {
            run(Arc::clone(self).sweep());
        }
    }

    /// Closes what nobody uses any more, until there is nothing left.
    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(IDLE_LIMIT).await;
            let mut idle = self.idle();
            idle.by_origin.retain(|_, resting| {
                resting.retain(Resting::is_usable);
                !resting.is_empty()
            });
            idle.is_swept = !idle.by_origin.is_empty();
            if !idle.is_swept {
                return;
            }
        }
    }
}

/// Beside everything else. What an idle connection needs is over with the runtime; nobody waits for it.
fn run(work: impl Future<Output = ()> + Send + 'static) {
    TokioExecutor::new().execute(work);
}

impl Resting {
    fn is_usable(&self) -> bool {
        self.sender.is_ready() && self.since.elapsed() < IDLE_LIMIT
    }
}

#[cfg(test)]
mod tests;
