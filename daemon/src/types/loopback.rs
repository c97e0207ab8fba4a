//! Which URLs stay on this machine: the exception every "https only" rule makes.

use url::{Host, Url};

/// True when the host of `url` is `localhost` or a loopback address.
///
/// Only the exact name counts: where `x.localhost` leads is up to the resolver.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// True for https, and for http that does not leave this machine.
pub fn is_confidential(url: &Url) -> bool {
    match url.scheme() {
        "https" => url.has_host(),
        "http" => is_loopback(url),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_loopback_http_are_confidential() {
        for (url, loopback, confidential) in [
            ("https://mcp.example", false, true),
            ("http://mcp.example", false, false),
            ("http://localhost:3000/x", true, true),
            ("http://LOCALHOST", true, true),
            ("http://127.0.0.9", true, true),
            ("http://[::1]:80", true, true),
            ("http://0x7f000001", true, true),
            ("http://localhost.example", false, false),
            ("http://evil.localhost", false, false),
            ("http://[::ffff:127.0.0.1]", false, false),
            ("http://0.0.0.0", false, false),
            ("ftp://localhost", true, false),
            ("file:///etc/passwd", false, false),
            ("javascript:alert(1)", false, false),
        ] {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(is_loopback(&parsed), loopback, "{url}");
            assert_eq!(is_confidential(&parsed), confidential, "{url}");
        }
    }
}
