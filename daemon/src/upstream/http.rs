//! Pooled HTTP connections to servers, each opened under its server's address policy.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;
use tower::timeout::Timeout;
use tower_service::Service;
use url::{Position, Url};

use super::body::{BoxError, PassingBody, Payload};
use super::headers::{end_to_end, forwarded};
use crate::error::{Classify, ErrorKind};
use crate::net::{AddressPolicy, GuardedResolver, NetError, refused_in, tls_config};

/// DNS, TCP and TLS together.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Common servers close idle connections after 5 s and more. Ours go earlier than most of theirs,
/// so that few calls meet a connection that is just being closed.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

type Client = legacy::Client<Connector, Payload>;

/// Opens connections. The pool clones it for every request and calls it for few.
#[derive(Clone)]
struct Connector(Arc<Timeout<HttpsConnector<HttpConnector<GuardedResolver>>>>);

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(Timeout::clone(&self.0).oneshot(uri))
    }
}

/// Cloneable handle on all connection pools.
///
/// A pool per address policy: a connection opened for a server that may reach private addresses
/// must not serve one that may not.
#[derive(Clone)]
pub struct Upstream {
    pools: Arc<[OnceLock<Client>; 4]>,
    head_limit: Duration,
}

/// A client's request, aimed at a server. Kept whole, so that it can be sent again after a 401.
#[derive(Debug)]
pub struct Outgoing {
    method: Method,
    uri: Uri,
    /// What `Host` says.
    authority: HeaderValue,
    addresses: AddressPolicy,
    /// As received; what crosses the bridge is chosen when it is sent.
    headers: HeaderMap,
    crossing: fn(&HeaderMap) -> HeaderMap,
    body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("the path under the server's URL cannot be used: {0}")]
    Path(&'static str),
    #[error(transparent)]
    Address(#[from] NetError),
    #[error("could not connect to {host}")]
    Connect {
        host: String,
        #[source]
        source: legacy::Error,
    },
    #[error("{host} broke off the exchange before it answered")]
    Exchange {
        host: String,
        #[source]
        source: legacy::Error,
    },
    #[error("{host} did not begin to answer within {seconds} s")]
    TimedOut { host: String, seconds: u64 },
}

impl UpstreamError {
    /// Whether nothing can have reached the server.
    pub fn is_before_sending(&self) -> bool {
        match self {
            Self::Path(_) | Self::Address(_) | Self::Connect { .. } => true,
            Self::Exchange { .. } | Self::TimedOut { .. } => false,
        }
    }
}

impl Classify for UpstreamError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Path(_) => ErrorKind::InvalidInput,
            Self::Address(error) => error.kind(),
            Self::Connect { .. } => ErrorKind::Unavailable,
            Self::Exchange { .. } => ErrorKind::UpstreamFault,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Address(error) => error.hint(),
            Self::Connect { .. } => {
                Some("Check that the server runs and its URL is right.".to_owned())
            }
            Self::Exchange { .. } => {
                Some("A tool call may have run; it is not sent again by itself.".to_owned())
            }
            Self::Path(_) | Self::TimedOut { .. } => None,
        }
    }
}

impl Outgoing {
    /// `suffix` is the raw path behind `/mcp/{server}`, empty or beginning with `/`.
    pub fn new(
        base: &Url,
        addresses: AddressPolicy,
        (method, suffix, query): (Method, &str, Option<&str>),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Self, UpstreamError> {
        let uri = target(base, suffix, query)?;
        Self::aimed(base, addresses, (method, uri), headers, body)
    }

    /// The same for a model API. Ids of models have slashes in them, which clients may write as `%2F`.
    pub fn to_model(
        base: &Url,
        addresses: AddressPolicy,
        (method, suffix, query): (Method, &str, Option<&str>),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Self, UpstreamError> {
        let uri = below(base, suffix, query, &with_plain_slashes(suffix))?;
        let outgoing = Self::aimed(base, addresses, (method, uri), headers, body)?;
        Ok(Self {
            crossing: end_to_end,
            ..outgoing
        })
    }

    fn aimed(
        base: &Url,
        addresses: AddressPolicy,
        (method, uri): (Method, Uri),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Self, UpstreamError> {
        // Connectors do not resolve IP literals, so those are judged here.
        addresses.check_url(base)?;
        let authority = HeaderValue::from_str(base.authority())
            .map_err(|_| UpstreamError::Path("the server's URL has no usable host"))?;
        Ok(Self {
            method,
            uri,
            authority,
            addresses,
            headers,
            crossing: forwarded,
            body,
        })
    }

    fn host(&self) -> String {
        self.uri.host().unwrap_or_default().to_owned()
    }
}

impl Upstream {
    /// `head_limit` bounds the wait for response headers. What streams after them has no limit.
    pub fn new(head_limit: Duration) -> Self {
        Self {
            pools: Arc::default(),
            head_limit,
        }
    }

    /// Sends `outgoing` with `authorization` in place of whatever the client sent under these names.
    ///
    /// Redirects are not followed, and nothing is sent twice: only a request that never left a dead
    /// pooled connection is put on another one.
    pub async fn send(
        &self,
        outgoing: &Outgoing,
        authorization: &[(HeaderName, HeaderValue)],
    ) -> Result<Response<Incoming>, UpstreamError> {
        let payload = Payload::whole(outgoing.body.clone());
        let answer = self.begin(outgoing, authorization, payload);
        let answer = tokio::time::timeout(self.head_limit, answer).await;
        self.ended(outgoing, answer.ok())
    }

    /// The same with `body` in place of that of `outgoing`, as it comes. The limit is on the time in
    /// which nothing of it comes.
    pub async fn pass(
        &self,
        outgoing: &Outgoing,
        authorization: &[(HeaderName, HeaderValue)],
        body: PassingBody,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let (payload, moved) = Payload::passing(body);
        let mut answer = std::pin::pin!(self.begin(outgoing, authorization, payload));
        loop {
            let limit = self.limit(&moved);
            match timeout_at(limit, &mut answer).await {
                Ok(answer) => return self.ended(outgoing, Some(answer)),
                Err(_) if self.limit(&moved) > limit => {}
                Err(_) => return self.ended(outgoing, None),
            }
        }
    }

    fn limit(&self, moved: &watch::Receiver<Instant>) -> Instant {
        *moved.borrow() + self.head_limit
    }

    fn begin(
        &self,
        outgoing: &Outgoing,
        authorization: &[(HeaderName, HeaderValue)],
        payload: Payload,
    ) -> legacy::ResponseFuture {
        let mut request = Request::new(payload);
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.uri.clone();
        let mut headers = (outgoing.crossing)(&outgoing.headers);
        headers.insert(HOST, outgoing.authority.clone());
        for (name, value) in authorization {
            headers.insert(name.clone(), value.clone());
        }
        *request.headers_mut() = headers;
        self.pool(outgoing.addresses).request(request)
    }

    /// None where the time is up.
    fn ended(
        &self,
        outgoing: &Outgoing,
        answer: Option<Result<Response<Incoming>, legacy::Error>>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        match answer {
            Some(answer) => answer.map_err(|error| failure(outgoing, error)),
            None => {
                let seconds = self.head_limit.as_secs();
                Err(UpstreamError::TimedOut {
                    host: outgoing.host(),
                    seconds,
                })
            }
        }
    }

    fn pool(&self, addresses: AddressPolicy) -> &Client {
        let index =
            usize::from(addresses.allow_loopback) + 2 * usize::from(addresses.allow_private);
        self.pools[index].get_or_init(|| client(addresses))
    }
}

fn client(addresses: AddressPolicy) -> Client {
    let mut tcp = HttpConnector::new_with_resolver(GuardedResolver::new(addresses));
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(TCP_KEEPALIVE));
    tcp.enforce_http(false);
    let tls = HttpsConnectorBuilder::new()
        .with_tls_config((*tls_config()).clone())
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    legacy::Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE_LIMIT)
        // Ours is made with the target; theirs is printed and parsed for every request.
        .set_host(false)
        .pool_timer(TokioTimer::new())
        .build(Connector(Arc::new(Timeout::new(tls, CONNECT_LIMIT))))
}

fn failure(outgoing: &Outgoing, error: legacy::Error) -> UpstreamError {
    if let Some(refused) = refused_in(&error) {
        return NetError::from(refused.clone()).into();
    }
    let host = outgoing.host();
    if error.is_connect() {
        UpstreamError::Connect {
            host,
            source: error,
        }
    } else {
        UpstreamError::Exchange {
            host,
            source: error,
        }
    }
}

/// The URL that a request for `suffix` and `query` goes to, where `base` is the server's.
pub fn address(base: &Url, suffix: &str, query: Option<&str>) -> Result<String, UpstreamError> {
    Ok(target(base, suffix, query)?.to_string())
}

fn target(base: &Url, suffix: &str, query: Option<&str>) -> Result<Uri, UpstreamError> {
    below(base, suffix, query, suffix)
}

/// The server's URL with `suffix` behind its path and `query` behind its own query, if `suffix` does
/// not climb where it is read as `read`.
fn below(base: &Url, suffix: &str, query: Option<&str>, read: &str) -> Result<Uri, UpstreamError> {
    let suffix = suffix.strip_prefix('/').unwrap_or(suffix);
    check_suffix(read)?;
    let query = query.filter(|query| !query.is_empty());
    let length = base.as_str().len() + suffix.len() + query.map_or(0, str::len) + 2;
    let mut text = String::with_capacity(length);
    text.push_str(&base[..Position::AfterPath]);
    if !suffix.is_empty() {
        if !text.ends_with('/') {
            text.push('/');
        }
        text.push_str(suffix);
    }
    let mut separator = '?';
    for part in [base.query(), query].into_iter().flatten() {
        text.push(separator);
        text.push_str(part);
        separator = '&';
    }
    Uri::try_from(text).map_err(|_| UpstreamError::Path("it is not a valid path"))
}

/// `suffix` as a server reads it that takes `%2F` for the end of a segment.
fn with_plain_slashes(suffix: &str) -> String {
    suffix.replace("%2f", "/").replace("%2F", "/")
}

/// The token is for the server's own path; nothing in a request may climb out of it, not even in a
/// spelling that only the server or a proxy before it decodes.
fn check_suffix(suffix: &str) -> Result<(), UpstreamError> {
    // %25 begins what a second decoding would turn into one of the others.
    const CODED: [&str; 5] = ["%2e", "%2f", "%5c", "%00", "%25"];
    let climbs = suffix
        .split('/')
        .any(|segment| segment == "." || segment == "..");
    let coded = suffix.as_bytes().windows(3).any(|window| {
        CODED
            .iter()
            .any(|code| window.eq_ignore_ascii_case(code.as_bytes()))
    });
    if climbs || coded || suffix.contains(['\\', ';']) {
        return Err(UpstreamError::Path(
            "dots, slashes and parameters in segments are not allowed",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
