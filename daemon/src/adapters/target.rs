//! Where the URL of an MCP server in a request leads: to a server of ours, which is executed here, or
//! elsewhere.

use std::net::IpAddr;

use url::{Host, Url};

use crate::net::AddressClass;
use crate::types::{ServerName, is_loopback};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One of our own gateway paths.
    Ours(ServerName),
    /// The vendor may be able to reach it.
    Elsewhere,
    /// No vendor can ever reach it.
    Private,
}

/// The addresses under which this daemon's gateway is known.
#[derive(Debug, Clone)]
pub struct Gateway {
    port: u16,
    /// `allowed_hosts` of the settings, with or without a port.
    hosts: Vec<String>,
}

impl Gateway {
    pub fn new(port: u16, allowed_hosts: &[String]) -> Self {
        Self {
            port,
            hosts: allowed_hosts.to_vec(),
        }
    }

    /// `http://localhost:3000/mcp/NAME`, `mcp://NAME` and the bare name all mean the server NAME.
    pub fn target(&self, server_url: &str) -> Target {
        if let Ok(name) = server_url.parse() {
            return Target::Ours(name);
        }
        if let Some(name) = server_url.strip_prefix("mcp://") {
            let name = name.strip_suffix('/').unwrap_or(name);
            return name.parse().map_or(Target::Private, Target::Ours);
        }
        let Ok(url) = Url::parse(server_url) else {
            // Whoever gets it says what is wrong with it.
            return Target::Elsewhere;
        };
        match server_path(&url) {
            Some(name) if self.is_own(&url) => Target::Ours(name),
            _ if is_unreachable(&url) => Target::Private,
            _ => Target::Elsewhere,
        }
    }

    fn is_own(&self, url: &Url) -> bool {
        if !matches!(url.scheme(), "http" | "https") {
            return false;
        }
        let port = url.port_or_known_default();
        if is_loopback(url) {
            return port == Some(self.port);
        }
        let Some(host) = url.host_str() else {
            return false;
        };
        self.hosts.iter().any(|allowed| {
            allowed.eq_ignore_ascii_case(host)
                || port.is_some_and(|port| allowed.eq_ignore_ascii_case(&format!("{host}:{port}")))
        })
    }
}

/// NAME of the path `/mcp/NAME`.
fn server_path(url: &Url) -> Option<ServerName> {
    let rest = url.path().strip_prefix("/mcp/")?;
    rest.strip_suffix('/').unwrap_or(rest).parse().ok()
}

/// Names and addresses that mean something else, or nothing, on the vendor's machines.
fn is_unreachable(url: &Url) -> bool {
    const LOCAL: [&str; 6] = [
        "localhost",
        "local",
        "internal",
        "lan",
        "home",
        "localdomain",
    ];
    let address = match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            let last = name.rsplit('.').next().unwrap_or(name);
            return !name.contains('.') || LOCAL.iter().any(|tld| last.eq_ignore_ascii_case(tld));
        }
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        None => return false,
    };
    AddressClass::of(address) != AddressClass::Public
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        let hosts = ["bridge.test:81".to_owned(), "Any.Test".to_owned()];
        Gateway::new(3000, &hosts).target(url)
    }

    #[test]
    fn our_own_addresses_and_short_forms_are_executed_here() {
        for url in [
            "http://localhost:3000/mcp/stripe",
            "http://LOCALHOST:3000/mcp/stripe/",
            "http://127.0.0.1:3000/mcp/stripe?x=1",
            "http://[::1]:3000/mcp/stripe",
            "http://bridge.test:81/mcp/stripe",
            "https://any.test/mcp/stripe",
            "https://any.test:8443/mcp/stripe",
            "mcp://stripe",
            "mcp://stripe/",
            "stripe",
        ] {
            assert_eq!(
                target(url),
                Target::Ours("stripe".parse().unwrap()),
                "{url}"
            );
        }
    }

    #[test]
    fn what_no_vendor_can_reach_is_told_from_the_rest() {
        for url in [
            "http://localhost:3001/mcp/stripe",
            "http://localhost:3000/other/stripe",
            "http://localhost:3000/mcp/",
            "http://localhost:3000/mcp/a/b",
            "http://192.168.1.2/mcp/stripe",
            "http://[fd00::1]/mcp",
            "http://169.254.169.254/mcp",
            "http://0.0.0.0:3000/mcp/stripe",
            "http://mcp-server:8080/mcp",
            "http://printer.local/mcp",
            "http://a.localhost./mcp",
            "mcp://",
            "mcp://a/b",
        ] {
            assert_eq!(target(url), Target::Private, "{url}");
        }
        for url in [
            "https://mcp.stripe.com",
            "https://mcp.stripe.com/mcp/stripe",
            "https://8.8.8.8/mcp",
            "not a url",
            "",
        ] {
            assert_eq!(target(url), Target::Elsewhere, "{url}");
        }
    }
}
