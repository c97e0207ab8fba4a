//! A scripted authorization server on loopback: RFC 8414 or OIDC metadata, dynamic registration,
//! PKCE, resource indicators, rotation with family revocation on reuse, revocation.
//!
//! Strict by default: it refuses what a careful deployed server refuses, so that the product's
//! mistakes show. Leniency and misbehaviour are options or faults.

mod authorize;
mod grants;
mod metadata;
mod register;
mod serve;
mod token;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

pub use grants::{Client, LiveToken};

use crate::journal::Journal;
use crate::script::{Fault, Script};
use crate::secrets::Secrets;
use crate::wire::{self, Listening};
use grants::Grants;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Metadata,
    Register,
    Authorize,
    /// The consent page's form.
    Consent,
    Token,
    Revoke,
    /// Anything else: probing that the test did not expect.
    Unknown,
}

/// How clients authenticate at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    None,
    Basic,
    Post,
}

impl ClientAuth {
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }
}

/// Where the metadata document is found, for an issuer with or without path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataAt {
    OAuth,
    OidcInserted,
    OidcAppended,
    Nowhere,
}

/// RFC 9207.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iss {
    Absent,
    SentUnadvertised,
    Advertised,
}

/// RFC 8707.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceRule {
    Required,
    Ignored,
    /// As Entra ID answers a resource it does not know.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// `GET /authorize` redirects at once, as if the person had agreed.
    Automatic,
    /// A page with a form, for real browsers.
    Page,
}

#[derive(Debug, Clone)]
pub struct AsOptions {
    /// Empty, or such as `/tenant1`.
    pub issuer_path: String,
    pub metadata: MetadataAt,
    pub client_auth: ClientAuth,
    pub registration: bool,
    /// Client ID metadata documents: an https URL is a client_id.
    pub cimd: bool,
    pub pkce_advertised: bool,
    pub iss: Iss,
    pub resource: ResourceRule,
    pub refresh_tokens: bool,
    /// Whether a refresh replaces the refresh token; reuse of a replaced one revokes the family.
    pub rotation: bool,
    /// Whether only the client that a refresh token was issued to can use it (RFC 6749 §6).
    pub bound_refresh_tokens: bool,
    pub revocation: bool,
    pub scopes: Vec<String>,
    pub access_lifetime: Duration,
    /// Whether token answers carry `expires_in`.
    pub expires_in: bool,
    pub consent: Consent,
    /// 0 picks a free one.
    pub port: u16,
}

impl Default for AsOptions {
    fn default() -> Self {
        Self {
            issuer_path: String::new(),
            metadata: MetadataAt::OAuth,
            client_auth: ClientAuth::None,
            registration: true,
            cimd: false,
            pkce_advertised: true,
            iss: Iss::Advertised,
            resource: ResourceRule::Required,
            refresh_tokens: true,
            rotation: true,
            bound_refresh_tokens: true,
            revocation: true,
            scopes: vec!["mcp".to_owned()],
            access_lifetime: Duration::from_secs(3600),
            expires_in: true,
            consent: Consent::Automatic,
            port: 0,
        }
    }
}

#[derive(Debug)]
struct State {
    options: AsOptions,
    origin: String,
    /// Resources that tokens may be asked for.
    resources: Mutex<BTreeSet<String>>,
    access_lifetime: Mutex<Duration>,
    grants: Mutex<Grants>,
    script: Script<Endpoint>,
    journal: Journal<Endpoint>,
    secrets: Secrets,
}

impl State {
    fn issuer(&self) -> String {
        format!("{}{}", self.origin, self.options.issuer_path)
    }
}

/// Handle to a running fake; clones share it.
#[derive(Debug, Clone)]
pub struct FakeAs {
    state: Arc<State>,
    _listening: Arc<Listening>,
}

impl FakeAs {
    pub async fn start(options: AsOptions, secrets: &Secrets) -> Self {
        let listener = wire::bind(options.port).await;
        let state = Arc::new(State {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            resources: Mutex::default(),
            access_lifetime: Mutex::new(options.access_lifetime),
            grants: Mutex::default(),
            script: Script::default(),
            journal: Journal::default(),
            secrets: secrets.clone(),
            options,
        });
        let listening = wire::serve(listener, state.clone(), serve::handle);
        Self {
            state,
            _listening: Arc::new(listening),
        }
    }

    pub fn issuer(&self) -> String {
        self.state.issuer()
    }

    pub fn options(&self) -> &AsOptions {
        &self.state.options
    }

    pub fn journal(&self) -> &Journal<Endpoint> {
        &self.state.journal
    }

    pub fn script(&self) -> &Script<Endpoint> {
        &self.state.script
    }

    /// Queues `fault` for the next request to `endpoint`.
    pub fn once(&self, endpoint: Endpoint, fault: Fault) {
        self.state.script.once(endpoint, fault);
    }

    /// Accepts `resource` in authorization and token requests.
    pub fn accept_resource(&self, resource: &str) {
        self.state
            .resources
            .lock()
            .unwrap()
            .insert(resource.to_owned());
    }

    /// Lifetime of access tokens issued from now on.
    pub fn set_access_lifetime(&self, lifetime: Duration) {
        *self.state.access_lifetime.lock().unwrap() = lifetime;
    }

    /// Registers a client beforehand; the secret, if its method needs one, is in the answer.
    pub fn preregister(&self, id: &str, auth: ClientAuth, redirect_uris: &[&str]) -> Client {
        let secret = (auth != ClientAuth::None).then(|| self.state.secrets.issue("client-secret"));
        let client = Client {
            secret,
            auth,
            redirect_uris: redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
            metadata: serde_json::Value::Null,
        };
        self.grants().clients.insert(id.to_owned(), client.clone());
        client
    }

    /// Forgets every client: `invalid_client` from now on.
    pub fn forget_clients(&self) {
        self.grants().clients.clear();
    }

    /// What the client registered, most recent last.
    pub fn registered(&self) -> Vec<(String, Client)> {
        let grants = self.grants();
        grants
            .clients
            .iter()
            .map(|(id, client)| (id.clone(), client.clone()))
            .collect()
    }

    /// Makes every access token issued so far invalid, as if its time had come.
    pub fn expire_access_tokens(&self) {
        self.grants().access.clear();
    }

    /// Makes every refresh token issued so far invalid: `invalid_grant`.
    pub fn expire_refresh_tokens(&self) {
        self.grants().refresh.clear();
    }

    /// What a live access token stands for.
    pub fn live(&self, token: &str) -> Option<LiveToken> {
        self.grants().live(token)
    }

    /// Families revoked because a spent refresh token or code was used again.
    pub fn reuse_detected(&self) -> usize {
        self.grants().reuse_detected
    }

    pub fn metadata_requests(&self) -> usize {
        self.state.journal.count(Endpoint::Metadata)
    }

    pub fn registrations(&self) -> usize {
        self.state.journal.count(Endpoint::Register)
    }

    pub fn authorizations(&self) -> usize {
        self.state.journal.count(Endpoint::Authorize)
    }

    pub fn code_exchanges(&self) -> usize {
        self.token_requests("authorization_code")
    }

    /// Requests to refresh, failed ones included.
    pub fn refreshes(&self) -> usize {
        self.token_requests("refresh_token")
    }

    pub fn revocations(&self) -> usize {
        self.state.journal.count(Endpoint::Revoke)
    }

    fn token_requests(&self, grant_type: &str) -> usize {
        let requests = self.state.journal.of(Endpoint::Token);
        let of_type = |grant: Option<&str>| grant == Some(grant_type);
        requests
            .iter()
            .filter(|entry| of_type(entry.param("grant_type")))
            .count()
    }

    fn grants(&self) -> std::sync::MutexGuard<'_, Grants> {
        self.state.grants.lock().unwrap()
    }
}

/// `base` with `params` appended to its query.
fn with_params(base: &str, params: &[(&str, &str)]) -> String {
    let mut url = Url::parse(base).unwrap();
    url.query_pairs_mut().extend_pairs(params);
    url.into()
}
