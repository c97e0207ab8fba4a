//! Who asks for a model, and with what.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Vendor;
use crate::clients::API_KEY_HEADERS;
use crate::config::Api;
use crate::types::{Caller, Digest, VendorName, may_hold_client_token};

/// A request's caller and the keys it presents.
#[derive(Clone)]
pub struct Visitor {
    pub caller: Caller,
    api: Api,
    /// For the vendor whose path was called, in the form the client chose.
    keys: Vec<(HeaderName, HeaderValue)>,
}

impl Visitor {
    pub(super) fn new(caller: Caller, headers: &HeaderMap, api: Api) -> Self {
        let [x_api_key, api_key] = API_KEY_HEADERS;
        // Where this vendor, and servers compatible with it, look for a key. A key elsewhere is meant
        // for somebody else.
        let names = match api {
            Api::Openai => [AUTHORIZATION, api_key],
            Api::Anthropic => [x_api_key, AUTHORIZATION],
        };
        let theirs = |name: HeaderName| {
            let mut values = headers.get_all(&name).iter();
            let mut value = values
                .find(|value| !may_hold_client_token(value.as_bytes()))?
                .clone();
            value.set_sensitive(true);
            Some((name, value))
        };
        Self {
            caller,
            api,
            keys: names.into_iter().filter_map(theirs).collect(),
        }
    }

    /// Whether it presented a token of ours.
    pub(super) fn has_token(&self) -> bool {
        self.caller.authenticated().is_some()
    }

    /// Its own keys, if they are for `vendor`. None where it would go without: a token of ours stands
    /// for a key then that nobody has.
    pub(super) fn keys_for(&self, vendor: &Vendor) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let is_own = vendor.name == VendorName::from(self.api);
        let stands_alone = self.keys.is_empty() && self.has_token();
        (is_own && !stands_alone).then(|| self.keys.clone())
    }

    /// Tells it from others across connections and restarts, for what is kept on its behalf: by its
    /// token of ours, else by its key, else by its program.
    pub async fn owner(&self) -> Digest {
        let by = |what: &str, value: &[u8]| Digest::of_parts([what.as_bytes(), value]);
        match (self.caller.authenticated(), self.keys.first()) {
            (Some(client), _) => by("client", client.principal().as_bytes()),
            (None, Some((_, key))) => by("key", without_scheme(key.as_bytes())),
            (None, None) => {
                self.caller.resolve().await;
                by("program", self.caller.principal().as_bytes())
            }
        }
    }
}

/// One key is the same whichever header it came in.
fn without_scheme(value: &[u8]) -> &[u8] {
    value.rsplit(|byte| *byte == b' ').next().unwrap_or(value)
}

impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.caller, self.api.as_str())
    }
}
