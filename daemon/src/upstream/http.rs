//! Pooled HTTP connections to servers, each opened under its server's address policy.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use hyper::body::Incoming;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use url::{Position, Url};

use super::body::{BoxError, PassingBody, Payload};
use super::headers::{end_to_end, forwarded};
use super::pool::{Failure, Origin, Pool};
use crate::error::{Classify, ErrorKind};
use crate::net::{AddressPolicy, NetError, refused_in};

/// Cloneable handle on all connection pools.
///
/// A pool per address policy: a connection opened for a server that may reach private addresses
/// must not serve one that may not.
#[derive(Clone)]
pub struct Upstream {
    pools: Arc<[OnceLock<Pool>; 4]>,
    head_limit: Duration,
}

/// A client's request, aimed at a server. Kept whole, so that it can be sent again after a 401.
#[derive(Debug)]
pub struct Outgoing {
    method: Method,
    origin: Origin,
    /// Path and query.
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
        source: BoxError,
    },
    #[error("{host} broke off the exchange before it answered")]
    Exchange {
        host: String,
        #[source]
        source: hyper::Error,
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
        let no_host = UpstreamError::Path("the server's URL has no usable host");
        let Some((origin, uri)) = Origin::split(uri) else {
            return Err(no_host);
        };
        let authority = HeaderValue::from_str(origin.authority.as_str()).map_err(|_| no_host)?;
        Ok(Self {
            method,
            origin,
            uri,
            authority,
            addresses,
            headers,
            crossing: forwarded,
            body,
        })
    }

    fn host(&self) -> String {
        self.origin.authority.host().to_owned()
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

    async fn begin(
        &self,
        outgoing: &Outgoing,
        authorization: &[(HeaderName, HeaderValue)],
        payload: Payload,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::new(payload);
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.uri.clone();
        let mut headers = (outgoing.crossing)(&outgoing.headers);
        headers.insert(HOST, outgoing.authority.clone());
        for (name, value) in authorization {
            headers.insert(name.clone(), value.clone());
        }
        *request.headers_mut() = headers;
        let pool = self.pool(outgoing.addresses);
        pool.send(&outgoing.origin, request).await
    }

    /// None where the time is up.
    fn ended(
        &self,
        outgoing: &Outgoing,
        answer: Option<Result<Response<Incoming>, Failure>>,
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

    fn pool(&self, addresses: AddressPolicy) -> &Pool {
        let index =
            usize::from(addresses.allow_loopback) + 2 * usize::from(addresses.allow_private);
        self.pools[index].get_or_init(|| Pool::new(addresses))
    }
}

fn failure(outgoing: &Outgoing, failure: Failure) -> UpstreamError {
    let host = outgoing.host();
    match failure {
        Failure::Connect(source) => match refused_in(&*source) {
            Some(refused) => NetError::from(refused.clone()).into(),
            None => UpstreamError::Connect { host, source },
        },
        Failure::Exchange(source) => UpstreamError::Exchange { host, source },
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
fn with_plain_slashes(suffix: &str) -> Cow<'_, str> {
    match suffix.contains('%') {
        true => suffix.replace("%2f", "/").replace("%2F", "/").into(),
        false => suffix.into(),
    }
}

/// The token is for the server's own path; nothing in a request may climb out of it, not even in a
/// spelling that only the server or a proxy before it decodes.
fn check_suffix(suffix: &str) -> Result<(), UpstreamError> {
    // %25 begins what a second decoding would turn into one of the others.
    const CODED: [&str; 5] = ["%2e", "%2f", "%5c", "%00", "%25"];
    let climbs = suffix
        .split('/')
        .any(|segment| segment == "." || segment == "..");
    let is_coded = |(at, _): (usize, &str)| {
        let code = suffix.as_bytes().get(at..at + 3).unwrap_or_default();
        CODED
            .iter()
            .any(|coded| code.eq_ignore_ascii_case(coded.as_bytes()))
    };
    let coded = suffix.match_indices('%').any(is_coded);
    if climbs || coded || suffix.contains(['\\', ';']) {
        return Err(UpstreamError::Path(
            "dots, slashes and parameters in segments are not allowed",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
