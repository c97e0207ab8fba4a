//! Keys of vendors that the daemon holds: sealed in the vault, each bound to the URL it was stored for.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::{Vendor, VendorError};
use crate::audit::{Audit, Event, Kind};
use crate::clients::API_KEY_HEADERS;
use crate::clock::SharedClock;
use crate::config::Api;
use crate::error::chain;
use crate::net::display_url;
use crate::types::{CLIENT_TOKEN_PREFIX, Decider, Secret, VendorName};
use crate::vault::Vault;

const PREFIX: &str = "vendor/";
/// Of a key: some are signed tokens.
const MAX_KEY: usize = 8 * 1024;

pub(super) struct Keys {
    vault: Vault,
    audit: Audit,
    clock: SharedClock,
    held: RwLock<BTreeMap<VendorName, Arc<Held>>>,
}

/// A key, ready to be sent.
pub(super) struct Held {
    url: String,
    set_at: i64,
    key: HeaderValue,
    bearer: HeaderValue,
}

/// The record in the vault.
#[derive(Serialize, Deserialize)]
struct Record<'a> {
    url: &'a str,
    key: &'a str,
    set_at: i64,
}

/// A vendor as a person is shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: VendorName,
    /// None when it is configured no longer.
    pub api: Option<Api>,
    pub url: String,
    pub standing: Standing,
    /// When its key was stored, in seconds since 1970.
    pub set_at: Option<i64>,
}

/// Whose key a vendor gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The client's own.
    Client,
    /// The one that is held here.
    Held,
    /// One is held, for another URL than the vendor has now.
    Moved,
    /// None.
    NotNeeded,
}

impl Held {
    fn new(record: &Record<'_>) -> Option<Self> {
        let sensitive = |text: &str| {
            let mut value = HeaderValue::from_str(text).ok()?;
            value.set_sensitive(true);
            Some(value)
        };
        let bearer = Zeroizing::new(format!("Bearer {}", record.key));
        Some(Self {
            url: record.url.to_owned(),
            set_at: record.set_at,
            key: sensitive(record.key)?,
            bearer: sensitive(&bearer)?,
        })
    }

    pub(super) fn is_for(&self, url: &Url) -> bool {
        self.url == url.as_str()
    }

    /// The header by which every version of the API takes a key.
    pub(super) fn header(&self, api: Api) -> (HeaderName, HeaderValue) {
        let [x_api_key, _] = API_KEY_HEADERS;
        match api {
            Api::Openai => (AUTHORIZATION, self.bearer.clone()),
            Api::Anthropic => (x_api_key, self.key.clone()),
        }
    }
}

impl Keys {
    pub(super) fn open(vault: Vault, audit: Audit, clock: SharedClock) -> Self {
        let mut held = BTreeMap::new();
        for id in vault.ids() {
            let name = id.strip_prefix(PREFIX).and_then(|name| name.parse().ok());
            let Some(name) = name else { continue };
            match read(&vault, &id) {
                Some(key) => drop(held.insert(name, Arc::new(key))),
                None => tracing::error!(
                    vendor = %name,
                    "the key in the vault cannot be read; store it again: mcpbridgectl key set {name} --stdin"
                ),
            }
        }
        Self {
            vault,
            audit,
            clock,
            held: RwLock::new(held),
        }
    }

    pub(super) fn held(&self, name: &VendorName) -> Option<Arc<Held>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.get(name).cloned()
    }

    pub(super) fn list(&self, vendors: &[Arc<Vendor>]) -> Vec<Listed> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        let configured = vendors.iter().map(|vendor| {
            let key = held.get(&vendor.name);
            let standing = match key {
                _ if !vendor.needs_key => Standing::NotNeeded,
                None => Standing::Client,
                Some(key) if key.is_for(&vendor.url) => Standing::Held,
                Some(_) => Standing::Moved,
            };
            Listed {
                name: vendor.name.clone(),
                api: Some(vendor.api),
                url: display_url(&vendor.url),
                standing,
                set_at: key.map(|key| key.set_at),
            }
        });
        let is_gone = |name: &VendorName| vendors.iter().all(|vendor| vendor.name != *name);
        let gone = held.iter().filter(|(name, _)| is_gone(name));
        let gone = gone.map(|(name, key)| Listed {
            name: name.clone(),
            api: None,
            url: Url::parse(&key.url).map_or_else(|_| String::new(), |url| display_url(&url)),
            standing: Standing::Moved,
            set_at: Some(key.set_at),
        });
        configured.chain(gone).collect()
    }

    pub(super) async fn set(
        &self,
        vendor: &Vendor,
        key: Secret,
        by: &Decider,
    ) -> Result<(), VendorError> {
        check(key.expose()).map_err(VendorError::NotAKey)?;
        let record = Record {
            url: vendor.url.as_str(),
            key: key.expose(),
            set_at: self.clock.now().as_second(),
        };
        let unusable = || VendorError::NotAKey("a header cannot carry it");
        let held = Held::new(&record).ok_or_else(unusable)?;
        let json = Zeroizing::new(serde_json::to_vec(&record).map_err(|_| unusable())?);
        self.vault.put(&record_id(&vendor.name), &json).await?;
        let detail = json!({ "vendor": vendor.name, "url": display_url(&vendor.url) });
        self.write().insert(vendor.name.clone(), Arc::new(held));
        let event = Event::new(Kind::KeySet).actor(by).detail(detail);
        self.audit.record_afterwards(event).await;
        Ok(())
    }

    pub(super) async fn remove(&self, name: &VendorName, by: &Decider) -> Result<(), VendorError> {
        let id = record_id(name);
        // Also one that could not be read.
        if !self.vault.ids().contains(&id) {
            return Err(VendorError::NoKeyHeld(name.clone()));
        }
        self.vault.remove(&id).await?;
        self.write().remove(name);
        let event = Event::new(Kind::KeyRemoved).actor(by);
        let event = event.detail(json!({ "vendor": name }));
        self.audit.record_afterwards(event).await;
        Ok(())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<VendorName, Arc<Held>>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record_id(name: &VendorName) -> String {
    format!("{PREFIX}{name}")
}

fn read(vault: &Vault, id: &str) -> Option<Held> {
    let json = vault
        .get(id)
        .inspect_err(|error| tracing::error!(error = chain(error), "a key does not open"))
        .ok()??;
    Held::new(&serde_json::from_slice(&json).ok()?)
}

/// What is certainly no key of a vendor.
fn check(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("it is empty");
    }
    if key.len() > MAX_KEY {
        return Err("it is longer than 8 KiB");
    }
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it holds blanks or characters that a header cannot carry");
    }
    if key.contains(CLIENT_TOKEN_PREFIX) {
        return Err("it is a client token of this bridge; give the key that the vendor gave you");
    }
    Ok(())
}
