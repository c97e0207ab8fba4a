//! Why an outbound exchange failed, without secrets: URLs are shown without query and userinfo.

use url::Url;

use super::address::AddressClass;
use super::guard::{Refused, refused_in};
use crate::error::{Classify, ErrorKind};

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("{url} cannot be used: {reason}")]
    InvalidUrl { url: String, reason: &'static str },
    #[error("{url} is plain http, which is only used on this machine itself")]
    NotHttps { url: String },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{host} redirected {reason}")]
    Redirect { host: String, reason: &'static str },
    #[error("could not connect to {host}")]
    Connect {
        host: String,
        #[source]
        source: Source,
    },
    #[error("the exchange with {host} broke off")]
    Exchange {
        host: String,
        #[source]
        source: Source,
    },
    #[error("{host} did not answer completely within {seconds} s")]
    TimedOut { host: String, seconds: u64 },
    #[error("{host} answered with more than {limit} bytes")]
    TooLarge { host: String, limit: usize },
    #[error("the HTTP client could not be set up")]
    Setup(#[source] Source),
}

impl NetError {
    /// `url` must be the URL of the request, for its host; reqwest's own copy is dropped because it
    /// shows the query.
    pub(super) fn from_reqwest(url: &Url, error: reqwest::Error) -> Self {
        if let Some(refused) = refused_in(&error) {
            return Self::Refused(refused.clone());
        }
        let host = host_of(url);
        let connect = error.is_connect();
        let source = Source::from(error.without_url());
        if connect {
            Self::Connect { host, source }
        } else {
            Self::Exchange { host, source }
        }
    }
}

impl Classify for NetError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidUrl { .. } | Self::NotHttps { .. } => ErrorKind::InvalidInput,
            Self::Refused(_) => ErrorKind::Denied,
            Self::Redirect { .. } | Self::TooLarge { .. } => ErrorKind::UpstreamFault,
            Self::Connect { .. } | Self::Exchange { .. } => ErrorKind::Unavailable,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Setup(_) => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotHttps { .. } => Some("Use an https URL.".to_owned()),
            Self::Refused(refused) => Some(refused.hint()),
            Self::Connect { .. } => {
                Some("Check the URL and the network, then try again.".to_owned())
            }
            _ => None,
        }
    }
}

impl Refused {
    fn hint(&self) -> String {
        match self.class {
            AddressClass::Loopback | AddressClass::Private => format!(
                "If {} is meant to be reached on your own network, add the server with \
                 --allow-private-network.",
                self.host
            ),
            _ => format!("{} addresses are never connected to.", self.class),
        }
    }
}

pub(super) fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or("(no host)").to_owned()
}

/// A URL fit for a message: no userinfo, query or fragment, and not too long.
pub fn display_url(url: &Url) -> String {
    const MAX: usize = 200;
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    // Both fail only for URLs that cannot have them.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    let text = String::from(shown);
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_urls_carry_no_secrets() {
        let url = Url::parse("https://me:pw@as.example/cb?code=s3cret#frag").unwrap();
        assert_eq!(display_url(&url), "https://as.example/cb");
    }

    #[test]
    fn a_private_address_names_the_option_that_permits_it() {
        let refused = |class| Refused {
            host: "mcp.example".to_owned(),
            address: "10.0.0.1".parse().unwrap(),
            class,
        };
        let error = NetError::from(refused(AddressClass::Private));
        assert_eq!(
            error.to_string(),
            "mcp.example is at the private address 10.0.0.1, which this server may not reach"
        );
        assert!(error.hint().unwrap().contains("--allow-private-network"));
        let error = NetError::from(refused(AddressClass::Metadata));
        assert!(!error.hint().unwrap().contains("--allow-private-network"));
    }
}
