//! The one way to a model API: which vendor has a model, whose key it gets, one request there and the
//! answer back as it comes.
//!
//! Invariants:
//! - A key goes to the vendor it is for and to nobody else: one that the daemon holds only to the URL it
//!   was stored for, a client's own only to the vendor whose path the client called.
//! - A held key works for clients that present a token of ours, and for nobody else.
//! - A client's token of ours never leaves this process.

mod error;
mod keys;
#[cfg(test)]
mod tests;
mod visitor;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::body::Incoming;
use url::Url;

pub use self::error::VendorError;
use self::keys::Keys;
pub use self::keys::{Listed, Standing};
pub use self::visitor::Visitor;
use crate::audit::Audit;
use crate::clients::Clients;
use crate::clock::SharedClock;
use crate::config::{AiConfig, Api, VendorConfig};
use crate::net::AddressPolicy;
use crate::types::{Caller, Decider, Pattern, Secret, VendorName};
use crate::upstream::{Outgoing, PassingBody, Upstream, keep_relayable};
use crate::vault::Vault;

/// A model may think this long before it begins to answer; SDKs wait as long.
const HEAD_LIMIT: Duration = Duration::from_secs(600);

/// Cloneable handle.
#[derive(Clone)]
pub struct Vendors {
    inner: Arc<Inner>,
}

struct Inner {
    vendors: Vec<Arc<Vendor>>,
    openai: Arc<Vendor>,
    anthropic: Arc<Vendor>,
    /// The pattern that spells out most comes first.
    models: Vec<(Pattern, Arc<Vendor>)>,
    keys: Keys,
    clients: Clients,
    upstream: Upstream,
}

/// What it works with.
pub struct Parts {
    pub vault: Vault,
    pub clients: Clients,
    pub audit: Audit,
    pub clock: SharedClock,
}

/// One configured model API.
#[derive(Debug)]
pub struct Vendor {
    pub name: VendorName,
    pub api: Api,
    url: Url,
    addresses: AddressPolicy,
    needs_key: bool,
}

/// A request for a model API, in its language.
#[derive(Debug)]
pub struct ModelRequest {
    pub method: Method,
    /// Behind the vendor's URL.
    pub path: String,
    pub query: Option<String>,
    /// As a client sent them, or made here. Credentials in them are left out.
    pub headers: HeaderMap,
    pub body: ModelBody,
}

#[derive(Debug)]
pub enum ModelBody {
    Whole(Bytes),
    /// Goes up as it comes in, and is held nowhere.
    Passing(PassingBody),
}

impl Vendor {
    fn new(name: &VendorName, config: &VendorConfig) -> Self {
        let built_in = AiConfig::default();
        let is_built_in = built_in.vendors.get(name) == Some(config);
        Self {
            name: name.clone(),
            api: config.api,
            url: config.url.clone(),
            // Who writes a URL into the file may mean any address.
            addresses: AddressPolicy {
                allow_loopback: !is_built_in,
                allow_private: !is_built_in,
            },
            needs_key: config.needs_key,
        }
    }
}

impl Vendors {
    /// # Errors
    /// `config` lacks the vendor of a path; one that was read from a file does not.
    pub fn new(config: &AiConfig, parts: Parts) -> Result<Self, VendorError> {
        let vendors: Vec<_> = config
            .vendors
            .iter()
            .map(|(name, config)| Arc::new(Vendor::new(name, config)))
            .collect();
        let mut models: Vec<_> = config
            .models
            .iter()
            .filter_map(|(pattern, name)| {
                let vendor = vendors.iter().find(|vendor| vendor.name == *name)?;
                Some((pattern.clone(), Arc::clone(vendor)))
            })
            .collect();
        let precedence = |pattern: &Pattern| (pattern.is_exact(), pattern.literal_length());
        models.sort_by_key(|(pattern, _)| std::cmp::Reverse(precedence(pattern)));
        let own = |api| find(&vendors, &VendorName::from(api)).cloned();
        Ok(Self {
            inner: Arc::new(Inner {
                openai: own(Api::Openai)?,
                anthropic: own(Api::Anthropic)?,
                vendors,
                models,
                keys: Keys::open(parts.vault, parts.audit, parts.clock),
                clients: parts.clients,
                upstream: Upstream::new(HEAD_LIMIT),
            }),
        })
    }

    /// The vendor whose path is that of `api`.
    pub fn own(&self, api: Api) -> &Arc<Vendor> {
        match api {
            Api::Openai => &self.inner.openai,
            Api::Anthropic => &self.inner.anthropic,
        }
    }

    /// The vendor that has `model`, for a client that called the path of `api`.
    pub fn route(&self, api: Api, model: &str) -> &Arc<Vendor> {
        let mut models = self.inner.models.iter();
        let found = models.find(|(pattern, _)| pattern.matches(model));
        found.map_or_else(|| self.own(api), |(_, vendor)| vendor)
    }

    /// Whether some model of a client that calls the path of `api` is with another vendor that speaks
    /// the same language.
    pub fn has_several(&self, api: Api) -> bool {
        let own = self.own(api);
        let mut models = self.inner.models.iter();
        models.any(|(_, vendor)| vendor.api == api && !Arc::ptr_eq(vendor, own))
    }

    /// Who asks, and with which key, at the path of `api`.
    ///
    /// # Errors
    /// Its token is not one of ours, or there is none and one is required.
    pub fn admit(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        api: Api,
    ) -> Result<Visitor, VendorError> {
        let caller = self.inner.clients.identify_by_key(caller, headers)?;
        Ok(Visitor::new(caller, headers, api))
    }

    /// Whether a request of `visitor` may go to `vendor`: what [`Self::send`] looks at first.
    ///
    /// # Errors
    /// There is no key for it, or the visitor may not use the one there is.
    pub fn authorize(&self, visitor: &Visitor, vendor: &Vendor) -> Result<(), VendorError> {
        self.credentials(visitor, vendor).map(drop)
    }

    fn credentials(
        &self,
        visitor: &Visitor,
        vendor: &Vendor,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, VendorError> {
        if !vendor.needs_key {
            return Ok(Vec::new());
        }
        let name = || vendor.name.clone();
        match self.inner.keys.held(&vendor.name) {
            Some(held) if !held.is_for(&vendor.url) => Err(VendorError::Moved(name())),
            Some(held) if visitor.has_token() => {
                // An answer may take hours, and a token may be revoked meanwhile.
                self.inner.clients.recheck(&visitor.caller)?;
                Ok(vec![held.header(vendor.api)])
            }
            Some(_) => Err(VendorError::NoToken(name())),
            None => visitor
                .keys_for(vendor)
                .ok_or_else(|| VendorError::NoKey(name())),
        }
    }

    /// Sends `request` of `visitor`. The answer's body streams as it comes; its headers are those that
    /// may reach a client.
    ///
    /// Redirects are not followed and nothing is sent twice.
    ///
    /// # Errors
    /// As for [`Self::authorize`]; or the vendor cannot be reached, or does not answer as an API.
    pub async fn send(
        &self,
        visitor: &Visitor,
        vendor: &Vendor,
        request: ModelRequest,
    ) -> Result<Response<Incoming>, VendorError> {
        let credentials = self.credentials(visitor, vendor)?;
        let failed = |source| VendorError::Upstream {
            vendor: vendor.name.clone(),
            source,
        };
        let target = (request.method, &*request.path, request.query.as_deref());
        let (whole, passing) = match request.body {
            ModelBody::Whole(bytes) => (bytes, None),
            ModelBody::Passing(body) => (Bytes::new(), Some(body)),
        };
        let (url, headers) = (&vendor.url, request.headers);
        let outgoing = Outgoing::to_model(url, vendor.addresses, target, headers, whole);
        let outgoing = outgoing.map_err(failed)?;
        let upstream = &self.inner.upstream;
        let sent = match passing {
            None => upstream.send(&outgoing, &credentials).await,
            Some(body) => upstream.pass(&outgoing, &credentials, body).await,
        };
        let mut response = sent.map_err(failed)?;
        let status = response.status();
        let redirects = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
        if redirects || status.is_informational() {
            return Err(VendorError::Unasked {
                vendor: vendor.name.clone(),
                status: status.as_u16(),
            });
        }
        keep_relayable(response.headers_mut());
        Ok(response)
    }

    /// All vendors, and the keys that are held for others, with how they stand.
    pub fn list(&self) -> Vec<Listed> {
        self.inner.keys.list(&self.inner.vendors)
    }

    /// Stores the key of a vendor, in place of the one there was. Run it to its end.
    ///
    /// # Errors
    /// There is no such vendor, it takes none, the text cannot be a key, or it cannot be stored.
    pub async fn set_key(
        &self,
        name: &VendorName,
        key: Secret,
        by: &Decider,
    ) -> Result<(), VendorError> {
        let vendor = Arc::clone(find(&self.inner.vendors, name)?);
        if !vendor.needs_key {
            return Err(VendorError::TakesNoKey(name.clone()));
        }
        self.inner.keys.set(&vendor, key, by).await
    }

    /// Forgets the key of a vendor, also of one that is configured no longer. Run it to its end.
    ///
    /// # Errors
    /// There is none, or the change cannot be stored.
    pub async fn remove_key(&self, name: &VendorName, by: &Decider) -> Result<(), VendorError> {
        self.inner.keys.remove(name, by).await
    }
}

fn find<'v>(vendors: &'v [Arc<Vendor>], name: &VendorName) -> Result<&'v Arc<Vendor>, VendorError> {
    let found = vendors.iter().find(|vendor| vendor.name == *name);
    found.ok_or_else(|| VendorError::Unknown {
        name: name.clone(),
        known: vendors.iter().map(|vendor| vendor.name.clone()).collect(),
    })
}
