//! Who may be connected to on behalf of one configured server.
//!
//! A server's metadata is written by that server, so every URL in it is a request to connect
//! somewhere, made by someone else. The policy follows from the URL the user typed and from
//! `--allow-private-network`, never from anything a server says.

use std::error::Error;
use std::net::IpAddr;

use url::{Host, Url};

use super::address::AddressClass;
use super::error::{NetError, display_url};
use crate::types::{is_confidential, is_loopback};

/// Which address classes besides public ones may be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AddressPolicy {
    pub allow_loopback: bool,
    pub allow_private: bool,
}

/// A connection the policy does not permit. Travels as the source of a connector's error, see
/// [`refused_in`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at the {class} address {address}, which this server may not reach")]
pub struct Refused {
    pub host: String,
    pub address: IpAddr,
    pub class: AddressClass,
}

impl AddressPolicy {
    /// Loopback is open to a server that is itself on loopback, and to nobody else by default: a
    /// remote server has no business naming this machine's own ports.
    pub fn for_server(url: &Url, allow_private_network: bool) -> Self {
        Self {
            allow_loopback: allow_private_network || is_loopback(url),
            allow_private: allow_private_network,
        }
    }

    pub fn permits(self, class: AddressClass) -> bool {
        match class {
            AddressClass::Public => true,
            AddressClass::Loopback => self.allow_loopback,
            AddressClass::Private => self.allow_private,
            AddressClass::LinkLocal | AddressClass::Metadata | AddressClass::Reserved => false,
        }
    }

    pub fn check_address(self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let class = AddressClass::of(address);
        if self.permits(class) {
            Ok(())
        } else {
            Err(Refused {
                host: host.to_owned(),
                address,
                class,
            })
        }
    }

    /// Everything that can be said about a URL before its name is resolved.
    ///
    /// Connectors do not call a resolver for IP literals, so a literal must pass here before any
    /// request is built from the URL; names are checked again, with their addresses, by
    /// [`super::GuardedResolver`].
    pub fn check_url(self, url: &Url) -> Result<(), NetError> {
        let invalid = |reason| NetError::InvalidUrl {
            url: display_url(url),
            reason,
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("only http and https can be used"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it carries a user name or password"));
        }
        let host = url.host().ok_or_else(|| invalid("it has no host"))?;
        let literal = match host {
            Host::Domain(name) if is_localhost(name) => Some(LOCALHOST[0]),
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(address)),
            Host::Ipv6(address) => Some(IpAddr::V6(address)),
        };
        if let Some(address) = literal.filter(|address| !self.permits(AddressClass::of(*address))) {
            self.check_address(&host.to_string(), address)?;
        }
        if !is_confidential(url) {
            return Err(NetError::NotHttps {
                url: display_url(url),
            });
        }
        Ok(())
    }
}

/// The addresses of `localhost`, which is never looked up (RFC 6761 §6.3): plain http is allowed to
/// it, so a DNS answer must not decide where it is.
pub(super) const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
];

pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost")
}

/// The guard's refusal, wherever it is in the source chain of a connector's error.
pub fn refused_in<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e Refused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref() {
            return Some(refused);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: AddressPolicy = AddressPolicy {
        allow_loopback: false,
        allow_private: false,
    };
    const LOCAL: AddressPolicy = AddressPolicy {
        allow_loopback: true,
        allow_private: false,
    };
    const PRIVATE: AddressPolicy = AddressPolicy {
        allow_loopback: true,
        allow_private: true,
    };

    fn verdict(policy: AddressPolicy, url: &str) -> &'static str {
        match policy.check_url(&Url::parse(url).unwrap()) {
            Ok(()) => "ok",
            Err(NetError::NotHttps { .. }) => "not https",
            Err(NetError::Refused(_)) => "refused",
            Err(NetError::InvalidUrl { .. }) => "invalid",
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn urls_are_judged_by_scheme_host_and_literal_address() {
        let table: &[(AddressPolicy, &str, &str)] = &[
            (PUBLIC, "https://mcp.example/", "ok"),
            (PUBLIC, "https://mcp.example:8443/x?y", "ok"),
            (PUBLIC, "http://mcp.example/", "not https"),
            (PUBLIC, "http://1.1.1.1/", "not https"),
            (PUBLIC, "https://localhost/", "refused"),
            (PUBLIC, "https://a.localhost./", "refused"),
            (PUBLIC, "http://127.0.0.1/", "refused"),
            (PUBLIC, "https://0x7f.1/", "refused"),
            (PUBLIC, "https://2130706433/", "refused"),
            (PUBLIC, "https://[::1]/", "refused"),
            (PUBLIC, "https://[::ffff:127.0.0.1]/", "refused"),
            (PUBLIC, "https://10.0.0.1/", "refused"),
            (PUBLIC, "https://169.254.169.254/", "refused"),
            (PUBLIC, "https://user@mcp.example/", "invalid"),
            (PUBLIC, "ftp://mcp.example/", "invalid"),
            (PUBLIC, "file:///etc/passwd", "invalid"),
            (PUBLIC, "javascript:alert(1)", "invalid"),
            (LOCAL, "http://localhost:3000/", "ok"),
            (LOCAL, "http://127.0.0.1/", "ok"),
            (LOCAL, "http://[::1]:1/", "ok"),
            (LOCAL, "https://10.0.0.1/", "refused"),
            (LOCAL, "http://localhost.example/", "not https"),
            (PRIVATE, "https://10.0.0.1/", "ok"),
            (PRIVATE, "https://[fd12::1]/", "ok"),
            (PRIVATE, "http://10.0.0.1/", "not https"),
            (PRIVATE, "https://169.254.169.254/", "refused"),
            (PRIVATE, "https://100.100.100.200/", "refused"),
            (PRIVATE, "https://[fd00:ec2::254]/", "refused"),
            (PRIVATE, "https://[fe80::1]/", "refused"),
            (PRIVATE, "https://0.0.0.0/", "refused"),
        ];
        for (policy, url, expected) in table {
            assert_eq!(verdict(*policy, url), *expected, "{url} under {policy:?}");
        }
    }

    #[test]
    fn loopback_is_open_only_to_loopback_servers() {
        let policy =
            |url: &str, private| AddressPolicy::for_server(&Url::parse(url).unwrap(), private);
        assert_eq!(policy("https://mcp.example/", false), PUBLIC);
        assert_eq!(policy("http://localhost:1/mcp", false), LOCAL);
        assert_eq!(policy("http://[::1]:1/mcp", false), LOCAL);
        assert_eq!(policy("https://mcp.example/", true), PRIVATE);
    }
}
