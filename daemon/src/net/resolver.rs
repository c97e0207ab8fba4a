//! DNS with the address guard in it, for both HTTP clients of the daemon.
//!
//! The addresses handed out are the ones connected to, so an answer cannot change between check and
//! use. A name that has permitted and refused addresses keeps the permitted ones: connecting to
//! those is exactly what the policy allows, and dual-homed names are common. A name with none left
//! is refused, naming the address that was in the way.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower_service::Service;

use super::guard::{AddressPolicy, LOCALHOST, Refused, is_localhost};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Addresses = std::vec::IntoIter<SocketAddr>;

/// Resolves names to permitted addresses only.
#[derive(Debug, Clone, Copy)]
pub struct GuardedResolver {
    policy: AddressPolicy,
}

impl GuardedResolver {
    pub fn new(policy: AddressPolicy) -> Self {
        Self { policy }
    }

    async fn resolve(self, host: String) -> Result<Addresses, BoxError> {
        let found: Vec<SocketAddr> = if is_localhost(&host) {
            LOCALHOST
                .iter()
                .map(|address| SocketAddr::new(*address, 0))
                .collect()
        } else {
            tokio::net::lookup_host((host.as_str(), 0)).await?.collect()
        };
        Ok(permitted(self.policy, &host, found)?.into_iter())
    }
}

fn permitted(
    policy: AddressPolicy,
    host: &str,
    found: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, BoxError> {
    let mut kept = Vec::with_capacity(found.len());
    let mut refused: Option<Refused> = None;
    for address in found {
        match policy.check_address(host, address.ip()) {
            Ok(()) => kept.push(address),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match refused {
        _ if !kept.is_empty() => Ok(kept),
        Some(refusal) => Err(refusal.into()),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
    }
}

impl reqwest::dns::Resolve for GuardedResolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolver = *self;
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str().to_owned()).await?;
            Ok(Box::new(addresses) as reqwest::dns::Addrs)
        })
    }
}

impl Service<Name> for GuardedResolver {
    type Response = Addresses;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Addresses, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let resolver = *self;
        Box::pin(resolver.resolve(name.as_str().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::refused_in;

    const PUBLIC: AddressPolicy = AddressPolicy {
        allow_loopback: false,
        allow_private: false,
    };
    const LOCAL: AddressPolicy = AddressPolicy {
        allow_loopback: true,
        allow_private: false,
    };

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_permitted_addresses_of_a_mixed_answer_are_used() {
        let found = addresses(&["10.0.0.1:0", "1.1.1.1:0", "[::1]:0"]);
        let kept = permitted(PUBLIC, "mixed.example", found).unwrap();
        assert_eq!(kept, addresses(&["1.1.1.1:0"]));
    }

    #[test]
    fn a_name_with_only_refused_addresses_is_refused_by_its_first() {
        let found = addresses(&["10.0.0.1:0", "127.0.0.1:0"]);
        let error = permitted(PUBLIC, "inside.example", found).unwrap_err();
        let refused = refused_in(&*error).unwrap();
        assert_eq!(refused.address.to_string(), "10.0.0.1");
        assert_eq!(refused.host, "inside.example");
    }

    #[tokio::test]
    async fn localhost_is_loopback_without_asking_dns() {
        let mut resolver = GuardedResolver::new(LOCAL);
        let found = resolver
            .call("app.localhost".parse().unwrap())
            .await
            .unwrap();
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
        let mut resolver = GuardedResolver::new(PUBLIC);
        assert!(resolver.call("localhost".parse().unwrap()).await.is_err());
    }

    #[tokio::test]
    async fn both_http_clients_report_the_refusal_and_not_a_dns_error() {
        let mut connector = hyper_util::client::legacy::connect::HttpConnector::new_with_resolver(
            GuardedResolver::new(PUBLIC),
        );
        let uri = http::Uri::from_static("http://localhost:9/");
        let error = connector.call(uri).await.unwrap_err();
        assert!(refused_in(&error).is_some(), "{error:?}");

        #[expect(
            clippy::disallowed_methods,
            reason = "the resolver alone is under test"
        )]
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured((*crate::net::tls_config()).clone())
            .dns_resolver(GuardedResolver::new(PUBLIC))
            .build()
            .unwrap();
        let error = client.get("http://localhost:9/").send().await.unwrap_err();
        assert!(refused_in(&error).is_some(), "{error:?}");
    }
}
