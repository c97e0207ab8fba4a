//! The HTTP client for everything that is not the data path: metadata, registration, tokens.
//!
//! No cookies, no proxy from the environment, no automatic redirects. Every exchange is bounded in
//! time and size, so a hostile server can neither hold a task nor fill memory.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, AUTHORIZATION, COOKIE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::error::{NetError, display_url, host_of};
use super::guard::AddressPolicy;
use super::resolver::GuardedResolver;
use super::tls::tls_config;

const MAX_REDIRECTS: usize = 3;
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const USER_AGENT: &str = concat!("mcp-oauth-bridge/", env!("CARGO_PKG_VERSION"));

/// Idle connections are dropped soon: a refresh sent on a connection that the server is just
/// closing has an unknown fate, and with token rotation that can cost a login.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
struct Limits {
    connect: Duration,
    /// From the first byte of DNS to the last byte of the body, redirects included.
    total: Duration,
    body: usize,
}

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(30),
    body: 1024 * 1024,
};

/// A cheap handle; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    /// One client per [`AddressPolicy`], as the resolver and so the pooled connections depend on it.
    clients: [OnceLock<reqwest::Client>; 4],
}

/// A complete answer; `url` is where it came from after redirects.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub url: Url,
}

impl From<Response> for http::Response<Vec<u8>> {
    fn from(response: Response) -> Self {
        let mut converted = Self::new(response.body.into());
        *converted.status_mut() = response.status;
        *converted.headers_mut() = response.headers;
        converted
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    pub fn new() -> Self {
        Self::with_limits(LIMITS)
    }

    fn with_limits(limits: Limits) -> Self {
        Self {
            shared: Arc::new(Shared {
                limits,
                clients: Default::default(),
            }),
        }
    }

    /// One exchange. A redirect is returned as the answer it is. Without an `Accept` of its own the
    /// request asks for JSON.
    pub async fn send(
        &self,
        policy: AddressPolicy,
        request: http::Request<Vec<u8>>,
    ) -> Result<Response, NetError> {
        let (parts, body) = request.into_parts();
        let url = Url::parse(&parts.uri.to_string()).map_err(|_| NetError::InvalidUrl {
            url: parts.uri.host().unwrap_or_default().to_owned(),
            reason: "it is not an absolute URL",
        })?;
        let exchange = self.exchange(policy, parts.method, &url, parts.headers, body);
        self.in_time(&url, exchange).await
    }

    /// A GET that follows up to three redirects, each judged like a URL of its own.
    pub async fn get_following(
        &self,
        policy: AddressPolicy,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<Response, NetError> {
        self.in_time(url, self.follow(policy, url.clone(), headers))
            .await
    }

    async fn follow(
        &self,
        policy: AddressPolicy,
        mut url: Url,
        mut headers: HeaderMap,
    ) -> Result<Response, NetError> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self
                .exchange(policy, Method::GET, &url, headers.clone(), Vec::new())
                .await?;
            let Some(target) = redirect_target(&response)? else {
                return Ok(response);
            };
            if target.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
                headers.remove(COOKIE);
            }
            url = target;
        }
        Err(NetError::Redirect {
            host: host_of(&url),
            reason: "more than three times",
        })
    }

    async fn in_time<T>(
        &self,
        url: &Url,
        work: impl Future<Output = Result<T, NetError>>,
    ) -> Result<T, NetError> {
        let total = self.shared.limits.total;
        let late = || NetError::TimedOut {
            host: host_of(url),
            seconds: total.as_secs(),
        };
        tokio::time::timeout(total, work)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    async fn exchange(
        &self,
        policy: AddressPolicy,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response, NetError> {
        policy.check_url(url)?;
        headers.entry(ACCEPT).or_insert(JSON);
        let mut request = self
            .client(policy)?
            .request(method, url.clone())
            .headers(headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let mut answer = request
            .send()
            .await
            .map_err(|error| NetError::from_reqwest(url, error))?;
        let body = self.read_body(url, &mut answer).await?;
        Ok(Response {
            status: answer.status(),
            headers: std::mem::take(answer.headers_mut()),
            body,
            url: url.clone(),
        })
    }

    async fn read_body(
        &self,
        url: &Url,
        answer: &mut reqwest::Response,
    ) -> Result<Bytes, NetError> {
        let limit = self.shared.limits.body;
        let too_large = || NetError::TooLarge {
            host: host_of(url),
            limit,
        };
        if answer
            .content_length()
            .is_some_and(|length| length > limit as u64)
        {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| NetError::from_reqwest(url, error))?
        {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn client(&self, policy: AddressPolicy) -> Result<&reqwest::Client, NetError> {
        let index = usize::from(policy.allow_loopback) | usize::from(policy.allow_private) << 1;
        let slot = &self.shared.clients[index];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = build(policy, self.shared.limits)?;
        Ok(slot.get_or_init(|| client))
    }
}

fn build(policy: AddressPolicy, limits: Limits) -> Result<reqwest::Client, NetError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that applies the guard"
    )]
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured((*tls_config()).clone())
        .dns_resolver(GuardedResolver::new(policy))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(limits.connect)
        .pool_idle_timeout(IDLE)
        .build()
        .map_err(|error| NetError::Setup(error.into()))
}

/// Where a redirect leads; None for any other answer.
fn redirect_target(response: &Response) -> Result<Option<Url>, NetError> {
    use StatusCode as S;
    let redirects = [
        S::MOVED_PERMANENTLY,
        S::FOUND,
        S::SEE_OTHER,
        S::TEMPORARY_REDIRECT,
        S::PERMANENT_REDIRECT,
    ];
    if !redirects.contains(&response.status) {
        return Ok(None);
    }
    let from = &response.url;
    let refuse = |reason| NetError::Redirect {
        host: host_of(from),
        reason,
    };
    let location = response
        .headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| refuse("without a readable Location"))?;
    let target = from
        .join(location)
        .map_err(|_| refuse("to something that is not a URL"))?;
    if from.scheme() == "https" && target.scheme() != "https" {
        return Err(refuse("from https to another scheme"));
    }
    tracing::debug!(from = %display_url(from), to = %display_url(&target), "following a redirect");
    Ok(Some(target))
}

#[cfg(test)]
mod tests;
