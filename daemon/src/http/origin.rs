//! `Host` and `Origin`: whether a request was really meant for us, or a web page sent it.
//!
//! A page can make the browser connect to a loopback port, by its own name once DNS was pointed
//! here (rebinding). Then `Host` is not ours. A page that names us directly cannot hide its
//! `Origin`.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::error::{Classify, ErrorKind};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The names under which this daemon is reached, and the pages that may call it.
#[derive(Debug)]
pub struct OriginCheck {
    /// `name:port` of our own listeners.
    own: [String; 3],
    hosts: Vec<String>,
    origins: Vec<String>,
    /// Port 80 is left out of `Host` and `Origin`.
    port_is_implied: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignOrigin {
    #[error("the request has no usable Host header")]
    NoHost,
    #[error("the Host {0:?} is not this daemon")]
    Host(String),
    #[error("pages of the Origin {0:?} may not call this daemon")]
    Origin(String),
}

impl Classify for ForeignOrigin {
    fn kind(&self) -> ErrorKind {
        match self {
            // RFC 9112 §3.2: a missing or repeated Host is a bad request.
            Self::NoHost => ErrorKind::InvalidInput,
            Self::Host(_) | Self::Origin(_) => ErrorKind::Denied,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoHost => None,
            Self::Host(_) => Some(
                "Use http://localhost with the daemon's port, or add the name to allowed_hosts in \
                 config.json."
                    .to_owned(),
            ),
            Self::Origin(origin) if origin == "null" => None,
            Self::Origin(_) => {
                Some("Add the origin to allowed_origins in config.json to permit it.".to_owned())
            }
        }
    }
}

impl OriginCheck {
    pub fn new(port: u16, allowed_hosts: &[String], allowed_origins: &[String]) -> Self {
        Self {
            own: ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("{host}:{port}")),
            hosts: allowed_hosts.to_vec(),
            origins: allowed_origins.to_vec(),
            port_is_implied: port == 80,
        }
    }

    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ForeignOrigin> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(ForeignOrigin::NoHost);
        };
        let host = host.to_str().map_err(|_| ForeignOrigin::NoHost)?;
        self.check_host(host)?;
        // RFC 9112 §3.2.2: in absolute form the target counts, and Host is only a second claim.
        if let Some(authority) = uri.authority() {
            self.check_host(authority.as_str())?;
        }
        headers
            .get_all(ORIGIN)
            .iter()
            .try_for_each(|origin| self.check_origin(origin))
    }

    fn check_host(&self, host: &str) -> Result<(), ForeignOrigin> {
        if self.is_own(host) || self.hosts.iter().any(|allowed| covers(allowed, host)) {
            Ok(())
        } else {
            Err(ForeignOrigin::Host(shown(host)))
        }
    }

    fn check_origin(&self, origin: &HeaderValue) -> Result<(), ForeignOrigin> {
        let text = String::from_utf8_lossy(origin.as_bytes());
        let own = text
            .strip_prefix("http://")
            .is_some_and(|host| self.is_own(host));
        // `null` is what sandboxed frames and local files send: it names nobody.
        let listed = text != "null"
            && self
                .origins
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(&text));
        if own || listed {
            Ok(())
        } else {
            Err(ForeignOrigin::Origin(shown(&text)))
        }
    }

    fn is_own(&self, host: &str) -> bool {
        self.own.iter().any(|own| {
            host.eq_ignore_ascii_case(own)
                || (self.port_is_implied
                    && own
                        .strip_suffix(":80")
                        .is_some_and(|own| host.eq_ignore_ascii_case(own)))
        })
    }
}

/// Whether the setting `allowed` covers `host`: with a port only that one, else any.
fn covers(allowed: &str, host: &str) -> bool {
    host.eq_ignore_ascii_case(allowed) || without_port(host).eq_ignore_ascii_case(allowed)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether a browser says that a page of another site made this request without naming itself: an
/// image, a link, a frame. No such request needs an answer, but one would be given, with our token
/// sent on its behalf. Another port of this machine is another site here, which Fetch Metadata calls
/// `same-site`. A request that names its `Origin` was judged by that.
pub fn is_from_another_site(headers: &HeaderMap) -> bool {
    let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
    !matches!(site, None | Some(b"none" | b"same-origin")) && !headers.contains_key(ORIGIN)
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &[&'static str], origin: Option<&'static str>) -> Result<(), ForeignOrigin> {
        let allowed_hosts = ["bridge.test".to_owned(), "exact.test:81".to_owned()];
        let allowed_origins = ["https://app.test".to_owned(), "null".to_owned()];
        let check = OriginCheck::new(3000, &allowed_hosts, &allowed_origins);
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, HeaderValue::from_static(host));
        }
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        check.check(&Uri::from_static("/mcp/x"), &headers)
    }

    #[test]
    fn our_own_names_and_configured_ones_pass() {
        for host in [
            "localhost:3000",
            "LOCALHOST:3000",
            "127.0.0.1:3000",
            "[::1]:3000",
            "bridge.test",
            "bridge.test:9",
            "exact.test:81",
        ] {
            assert_eq!(check(&[host], None), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_foreign_missing_or_repeated_host_is_refused() {
        for host in [
            "evil.example:3000",
            "localhost",
            "localhost:3001",
            "localhost.evil.example:3000",
            "127.0.0.1:3000@evil.example",
            "exact.test:82",
            "",
        ] {
            assert!(
                matches!(check(&[host], None), Err(ForeignOrigin::Host(_))),
                "{host}"
            );
        }
        assert_eq!(check(&[], None), Err(ForeignOrigin::NoHost));
        let twice = ["localhost:3000", "localhost:3000"];
        assert_eq!(check(&twice, None), Err(ForeignOrigin::NoHost));
    }

    #[test]
    fn only_our_own_and_listed_origins_may_call() {
        for origin in [
            "http://localhost:3000",
            "http://[::1]:3000",
            "https://app.test",
        ] {
            assert_eq!(check(&["localhost:3000"], Some(origin)), Ok(()), "{origin}");
        }
        for origin in [
            "https://evil.example",
            "http://localhost:8080",
            "https://localhost:3000",
            "http://localhost:3000.evil.example",
            "null",
            "",
        ] {
            let refused = check(&["localhost:3000"], Some(origin));
            assert!(matches!(refused, Err(ForeignOrigin::Origin(_))), "{origin}");
        }
    }

    #[test]
    fn an_absolute_target_must_be_ours_too() {
        let check = OriginCheck::new(3000, &[], &[]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost:3000"));
        assert!(
            check
                .check(&Uri::from_static("http://evil.example/"), &headers)
                .is_err()
        );
        assert!(
            check
                .check(&Uri::from_static("http://localhost:3000/"), &headers)
                .is_ok()
        );
    }

    #[test]
    fn a_page_of_another_site_is_recognised_when_it_does_not_name_itself() {
        let from = |site: &'static str, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            if let Some(origin) = origin {
                headers.insert(ORIGIN, HeaderValue::from_static(origin));
            }
            is_from_another_site(&headers)
        };
        assert!(from("cross-site", None) && from("same-site", None) && from("?", None));
        assert!(!from("same-origin", None) && !from("none", None));
        assert!(!from("cross-site", Some("https://app.test")));
        assert!(!is_from_another_site(&HeaderMap::new()));
    }

    #[test]
    fn port_80_may_be_left_out() {
        let check = OriginCheck::new(80, &[], &[]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("localhost"));
        headers.insert(ORIGIN, HeaderValue::from_static("http://localhost"));
        assert_eq!(check.check(&Uri::from_static("/"), &headers), Ok(()));
    }
}
