use std::sync::Arc;

use http::HeaderMap;
use serde_json::json;

use super::*;
use crate::clock::ManualClock;
use crate::error::Classify;
use crate::lifecycle::Lifecycle;
use crate::paths::ConfigDir;
use crate::store::Store;
use crate::types::{Channel, Process, Scope};
use crate::vault::{KeyOptions, KeySource};

struct Bench {
    home: tempfile::TempDir,
    clients: Clients,
    clock: Arc<ManualClock>,
}

impl Bench {
    async fn new() -> Self {
        let clock = ManualClock::at("2026-11-21T12:00:00Z".parse().unwrap());
        let store = Store::temporary();
        let clients = Clients::open(store, clock.clone(), Lifecycle::new(), false);
        Self {
            home: tempfile::tempdir().unwrap(),
            clients: clients.await.unwrap(),
            clock,
        }
    }

    /// As the next start finds it.
    fn vendors(&self, ai: serde_json::Value) -> Vendors {
        let ai: AiConfig = serde_json::from_value(ai).unwrap();
        let options = KeyOptions {
            choice: Some(KeySource::KeyFile),
            ..KeyOptions::default()
        };
        let parts = Parts {
            vault: Vault::open(&ConfigDir::new(self.home.path()), &options).unwrap(),
            clients: self.clients.clone(),
            audit: Audit::temporary(),
            clock: self.clock.clone(),
        };
        Vendors::new(&ai, parts).unwrap()
    }

    async fn token(&self) -> String {
        let name = "ci".parse().unwrap();
        let added = self
            .clients
            .add(name, Scope::default(), None, &Decider::Daemon);
        added.await.unwrap().0.expose().to_owned()
    }
}

fn with_ollama() -> serde_json::Value {
    json!({
        "vendors": { "ollama": { "url": "http://localhost:1/v1", "api": "openai", "needs_key": false } },
        "models": { "claude-*": "anthropic", "llama*": "ollama", "llama-guard": "openai",
                    "llama-3*": "anthropic" },
    })
}

fn name(text: &str) -> VendorName {
    text.parse().unwrap()
}

async fn set(vendors: &Vendors, vendor: &str, key: &str) -> Result<(), VendorError> {
    vendors
        .set_key(&name(vendor), Secret::new(key), &Decider::Daemon)
        .await
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), value.parse().unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn admit(vendors: &Vendors, api: Api, pairs: &[(&'static str, &str)]) -> Visitor {
    let caller = Caller::new(Channel::Http, Process::default());
    vendors.admit(&caller, &headers(pairs), api).unwrap()
}

/// What goes up, as `name: value`, or the hint of the refusal.
fn sent(vendors: &Vendors, visitor: &Visitor, vendor: &Vendor) -> Result<Vec<String>, String> {
    let credentials = vendors.credentials(visitor, vendor);
    let shown = |(name, value): (HeaderName, HeaderValue)| {
        assert!(value.is_sensitive(), "not for debug output");
        format!("{name}: {}", value.to_str().unwrap())
    };
    credentials
        .map(|headers| headers.into_iter().map(shown).collect())
        .map_err(|error| {
            assert!(error.is_authentication());
            error.hint().unwrap()
        })
}

#[tokio::test]
async fn the_pattern_that_spells_out_most_has_the_model() {
    let vendors = Bench::new().await.vendors(with_ollama());
    for (api, model, expected) in [
        (Api::Openai, "gpt-5", "openai"),
        (Api::Anthropic, "gpt-5", "anthropic"),
        (Api::Openai, "claude-opus-5", "anthropic"),
        (Api::Anthropic, "llama2", "ollama"),
        (Api::Openai, "llama-3.1", "anthropic"),
        (Api::Anthropic, "llama-guard", "openai"),
        (Api::Openai, "", "openai"),
    ] {
        assert_eq!(vendors.route(api, model).name, name(expected), "{model}");
    }
    assert!(vendors.has_several(Api::Openai) && !vendors.has_several(Api::Anthropic));
    let defaults = Bench::new().await.vendors(json!({}));
    assert_eq!(
        defaults.route(Api::Openai, "claude-x").name,
        name("anthropic")
    );
    assert!(!defaults.has_several(Api::Openai));
}

#[tokio::test]
async fn a_clients_own_key_goes_to_the_vendor_of_the_path_alone() {
    let vendors = Bench::new().await.vendors(with_ollama());
    let both = [("authorization", "Bearer sk-a"), ("x-api-key", "sk-b")];
    let at_openai = admit(&vendors, Api::Openai, &both);
    let at_anthropic = admit(&vendors, Api::Anthropic, &both);
    let (openai, anthropic) = (vendors.own(Api::Openai), vendors.own(Api::Anthropic));
    let ollama = vendors.route(Api::Openai, "llama2");
    let own = sent(&vendors, &at_openai, openai).unwrap();
    assert_eq!(own, ["authorization: Bearer sk-a"]);
    let own = sent(&vendors, &at_anthropic, anthropic).unwrap();
    assert_eq!(own, ["x-api-key: sk-b", "authorization: Bearer sk-a"]);
    let cross = sent(&vendors, &at_openai, anthropic).unwrap_err();
    assert!(
        cross.contains("mcpbridgectl key set anthropic --stdin"),
        "{cross}"
    );
    sent(&vendors, &at_anthropic, openai).unwrap_err();
    assert!(sent(&vendors, &at_openai, ollama).unwrap().is_empty());
    let keyless = admit(&vendors, Api::Openai, &[]);
    assert!(
        sent(&vendors, &keyless, openai).unwrap().is_empty(),
        "its own 401"
    );
}

#[tokio::test]
async fn a_held_key_is_for_clients_with_a_token_and_the_token_stays_here() {
    let bench = Bench::new().await;
    let vendors = bench.vendors(json!({}));
    set(&vendors, "openai", "sk-held").await.unwrap();
    set(&vendors, "anthropic", "sk-ant-held").await.unwrap();
    let token = bench.token().await;
    let bearer = format!("Bearer {token}");
    let (openai, anthropic) = (vendors.own(Api::Openai), vendors.own(Api::Anthropic));
    let refused = admit(&vendors, Api::Openai, &[("authorization", "Bearer sk-own")]);
    let refused = sent(&vendors, &refused, openai).unwrap_err();
    assert!(
        refused.contains("mcpbridgectl client add NAME"),
        "{refused}"
    );
    for pairs in [
        &[("authorization", &*bearer)][..],
        &[("x-api-key", &token)],
        &[
            ("x-mcpbridge-token", &token),
            ("authorization", "Bearer sk-own"),
        ],
    ] {
        let visitor = admit(&vendors, Api::Openai, pairs);
        assert_eq!(visitor.caller.client().unwrap().as_str(), "ci");
        let up = sent(&vendors, &visitor, openai).unwrap();
        assert_eq!(up, ["authorization: Bearer sk-held"]);
        let up = sent(&vendors, &visitor, anthropic).unwrap();
        assert_eq!(up, ["x-api-key: sk-ant-held"]);
    }
    let caller = Caller::new(Channel::Http, Process::default());
    let unknown = headers(&[("x-api-key", "mcpb_made-up")]);
    vendors.admit(&caller, &unknown, Api::Openai).unwrap_err();
    // Where no key is held, a token is no key.
    vendors
        .remove_key(&name("openai"), &Decider::Daemon)
        .await
        .unwrap();
    let visitor = admit(&vendors, Api::Openai, &[("authorization", &bearer)]);
    let refused = sent(&vendors, &visitor, openai).unwrap_err();
    assert!(refused.contains("key set openai"), "{refused}");
    let pairs = [
        ("x-mcpbridge-token", &*token),
        ("authorization", "Bearer sk-own"),
    ];
    let visitor = admit(&vendors, Api::Openai, &pairs);
    let up = sent(&vendors, &visitor, openai).unwrap();
    assert_eq!(up, ["authorization: Bearer sk-own"]);
}

#[tokio::test]
async fn a_held_key_is_out_of_reach_at_once_when_the_token_is_revoked_or_expires() {
    let bench = Bench::new().await;
    let vendors = bench.vendors(json!({}));
    set(&vendors, "openai", "sk-held").await.unwrap();
    let openai = vendors.own(Api::Openai);
    let token = bench.token().await;
    // Admitted once, for an answer that asks many times.
    let visitor = admit(&vendors, Api::Openai, &[("x-api-key", &token)]);
    assert_eq!(sent(&vendors, &visitor, openai).unwrap().len(), 1);
    let ci = "ci".parse().unwrap();
    bench.clients.revoke(&ci, &Decider::Daemon).await.unwrap();
    vendors.authorize(&visitor, openai).unwrap_err();

    let soon = bench
        .clients
        .add(ci, Scope::default(), Some(60), &Decider::Daemon);
    let (token, _) = soon.await.unwrap();
    vendors.authorize(&visitor, openai).unwrap_err();
    let visitor = admit(&vendors, Api::Openai, &[("x-api-key", token.expose())]);
    vendors.authorize(&visitor, openai).unwrap();
    bench.clock.advance(jiff::SignedDuration::from_secs(61));
    vendors.authorize(&visitor, openai).unwrap_err();
}

#[tokio::test]
async fn a_held_key_survives_a_restart_and_not_a_change_of_url() {
    let bench = Bench::new().await;
    let vendors = bench.vendors(json!({}));
    set(&vendors, "openai", "sk-held").await.unwrap();
    drop(vendors);
    let token = bench.token().await;
    let standing = |vendors: &Vendors| {
        let mut listed = vendors.list().into_iter();
        let openai = listed.find(|one| one.name == name("openai")).unwrap();
        assert!(openai.set_at.is_some());
        openai.standing
    };
    let again = bench.vendors(json!({}));
    let visitor = admit(&again, Api::Openai, &[("x-api-key", &token)]);
    sent(&again, &visitor, again.own(Api::Openai)).unwrap();
    assert_eq!(standing(&again), Standing::Held);
    drop(again);
    let elsewhere = json!({ "openai": { "url": "https://evil.example/v1", "api": "openai" } });
    let moved = bench.vendors(json!({ "vendors": elsewhere }));
    let visitor = admit(&moved, Api::Openai, &[("x-api-key", &token)]);
    let refused = sent(&moved, &visitor, moved.own(Api::Openai)).unwrap_err();
    assert!(refused.contains("key set openai"), "{refused}");
    assert_eq!(standing(&moved), Standing::Moved);
    moved
        .remove_key(&name("openai"), &Decider::Daemon)
        .await
        .unwrap();
    let again = moved.remove_key(&name("openai"), &Decider::Daemon).await;
    assert!(matches!(again, Err(VendorError::NoKeyHeld(_))));
}

#[tokio::test]
async fn what_cannot_be_a_key_of_a_vendor_is_not_stored() {
    let vendors = Bench::new().await.vendors(with_ollama());
    let long = "x".repeat(8 * 1024 + 1);
    for bad in ["", "two words", "ünï", "a\nb", "mcpb_token", &long] {
        let refused = set(&vendors, "openai", bad).await.unwrap_err();
        assert!(matches!(refused, VendorError::NotAKey(_)), "{refused}");
    }
    let unknown = set(&vendors, "mistral", "sk").await.unwrap_err();
    assert!(
        unknown.to_string().contains("anthropic, ollama, openai"),
        "{unknown}"
    );
    let refused = set(&vendors, "ollama", "sk").await.unwrap_err();
    assert!(matches!(refused, VendorError::TakesNoKey(_)), "{refused}");
    let held = vendors
        .list()
        .into_iter()
        .filter(|one| one.set_at.is_some());
    assert_eq!(held.count(), 0);
}

#[tokio::test]
async fn what_is_kept_for_somebody_is_found_by_the_same_credential() {
    let bench = Bench::new().await;
    let vendors = bench.vendors(json!({}));
    let token = bench.token().await;
    let bearer = format!("Bearer {token}");
    let owner =
        async |api, pairs: &[(&'static str, &str)]| admit(&vendors, api, pairs).owner().await;
    let one = owner(Api::Anthropic, &[("x-api-key", "sk-one")]).await;
    assert_eq!(
        one,
        owner(Api::Anthropic, &[("authorization", "Bearer sk-one")]).await
    );
    assert_ne!(one, owner(Api::Anthropic, &[("x-api-key", "sk-two")]).await);
    assert_ne!(one, owner(Api::Anthropic, &[]).await);
    let client = owner(Api::Openai, &[("authorization", &bearer)]).await;
    let beside = [
        ("x-mcpbridge-token", &*token),
        ("authorization", "Bearer sk-one"),
    ];
    assert_eq!(client, owner(Api::Openai, &beside).await);
}
