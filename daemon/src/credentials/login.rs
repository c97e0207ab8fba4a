//! One sign-in from the first probe to stored tokens.
//!
//! It runs in a task of its own and goes on when the caller leaves: the person may be looking at a
//! browser. Nothing is stored until there are tokens, so giving up before the redirect loses nothing;
//! from the redirect on it is not given up, because a code works once.

mod error;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::error::{LoginError, SharedLoginError};
use super::discover::{Found, Protected, discover};
use super::error::CredentialError;
use super::grant::{CodeExchange, Reach, client_is_unknown};
use super::logins::{CallbackOutcome, Step};
use super::record::{ClientRecord, CredentialId, CredentialRecord, Tokens};
use super::state::State;
use super::{Credentials, Source};
use crate::config::{AuthMode, ResourceSetting, ServerConfig};
use crate::error::chain;
use crate::net::AddressPolicy;
use crate::oauth::authorize::AuthorizationRequest;
use crate::oauth::callback::{Callback, ExpectedIssuer};
use crate::oauth::client::{AuthMethod, ClientIdentity};
use crate::oauth::pkce::{Pkce, new_state};
use crate::oauth::registration::ClientSource;
use crate::oauth::scope;
use crate::types::ServerName;

/// How long a person has to consent.
const CONSENT_LIMIT: Duration = Duration::from_secs(10 * 60);

#[derive(Debug, Clone, Copy, Default)]
pub struct LoginOptions {
    /// Sign in again even when the present credential works.
    pub force: bool,
}

impl Credentials {
    /// Starts the sign-in of `server`, or joins the one under way.
    pub fn login(
        &self,
        server: &ServerName,
        config: &ServerConfig,
        options: LoginOptions,
    ) -> Result<watch::Receiver<Step>, CredentialError> {
        let usable = match self.slot(server)?.source {
            Source::Fixed(_) if config.auth != AuthMode::Oauth => {
                let server = server.clone();
                return Err(CredentialError::NotOAuth {
                    server,
                    action: "sign in to",
                });
            }
            Source::Fixed(_) => true,
            Source::OAuth(handle) => handle.view().borrow().status.state != State::NeedsLogin,
            Source::LoggedOut(_) => false,
        };
        if usable && !options.force {
            return Ok(watch::channel(Step::Completed).1);
        }
        let (this, name, config) = (self.clone(), server.clone(), config.clone());
        Ok(self
            .inner
            .logins
            .join_or_start(server, &config.clone(), move |steps, cancelled| {
                let lifecycle = this.inner.context.lifecycle.clone();
                lifecycle.spawn("login", async move {
                    let login = Login {
                        credentials: this,
                        server: name,
                        config,
                        steps,
                        cancelled,
                    };
                    login.run().await;
                });
            }))
    }

    /// Hands a redirect to the sign-in that waits for it, and waits for how that ends. `only` names
    /// the server it has to belong to.
    pub async fn complete_login(
        &self,
        callback: Callback,
        only: Option<&ServerName>,
    ) -> CallbackOutcome {
        self.inner.logins.complete(callback, only).await
    }
}

struct Login {
    credentials: Credentials,
    server: ServerName,
    config: ServerConfig,
    steps: watch::Sender<Step>,
    cancelled: CancellationToken,
}

impl Login {
    async fn run(self) {
        let last = match self.sign_in().await {
            Ok(()) => {
                tracing::info!(server = %self.server, "signed in");
                Step::Completed
            }
            Err(error) => {
                tracing::warn!(server = %self.server, error = chain(&error), "sign-in failed");
                Step::Failed(Arc::new(error).into())
            }
        };
        self.steps.send_replace(last);
    }

    async fn sign_in(&self) -> Result<(), LoginError> {
        self.report(format!(
            "Asking {} what it needs",
            crate::net::display_url(&self.config.url)
        ));
        let Reach { net, policy } = self.reach();
        let found = discover(net, policy, &self.config);
        let protected = match self.until_given_up(found).await?? {
            Found::Open => return self.open().await,
            Found::Protected(protected) => protected,
        };
        if let Some(client) = self.kept_client(&protected)? {
            let logins = &self.credentials.inner.logins;
            logins.set_silent(&self.server, true);
            match self.authorize(&protected, &client).await {
                // The server has forgotten the client of the last sign-in: register, once.
                Err(LoginError::Exchange(error)) if client_is_unknown(&error) => {}
                other => return other,
            }
        }
        let client = self.until_given_up(self.new_client(&protected)).await??;
        self.authorize(&protected, &client).await
    }

    /// The server needs no token.
    async fn open(&self) -> Result<(), LoginError> {
        let present = self.credentials.credential_of(&self.server, &self.config)?;
        if present.is_some_and(|credential| credential.ended.is_none()) {
            let server = self.server.clone();
            return Err(LoginError::Open { server });
        }
        self.install(None).await
    }

    /// The outcome of `work`, unless the sign-in is given up before.
    async fn until_given_up<T>(&self, work: impl Future<Output = T>) -> Result<T, LoginError> {
        let lifecycle = &self.credentials.inner.context.lifecycle;
        tokio::select! {
            biased;
            () = self.cancelled.cancelled() => Err(LoginError::Cancelled),
            () = lifecycle.stopping() => Err(LoginError::Cancelled),
            outcome = work => Ok(outcome),
        }
    }

    /// From the authorization URL to stored tokens.
    async fn authorize(
        &self,
        protected: &Protected,
        client: &ClientRecord,
    ) -> Result<(), LoginError> {
        let context = &self.credentials.inner.context;
        let resource = self.resource(protected);
        let scopes = self.scopes(protected);
        let pkce = Pkce::generate()?;
        let state = new_state()?;
        let url = AuthorizationRequest {
            endpoint: protected
                .server
                .authorization_endpoint(self.config.oauth.assume_s256)?,
            client_id: &client.id,
            redirect_uri: &client.redirect_uri,
            scopes: &scopes,
            state: &state,
            challenge: &pkce.challenge,
            resource: resource.as_deref(),
        }
        .url();

        let logins = &self.credentials.inner.logins;
        let mut expected = logins.expect(state.expose(), &self.server, self.steps.subscribe());
        let expires_at = context
            .clock
            .now()
            .checked_add(CONSENT_LIMIT)
            .unwrap_or_default();
        self.steps.send_replace(Step::AuthorizationRequired {
            url: url.into(),
            issuer: protected.server.issuer.clone(),
            redirect_uri: client.redirect_uri.clone(),
            expires_at,
        });
        let redirect = tokio::time::timeout(CONSENT_LIMIT, &mut expected.redirect);
        let callback = self
            .until_given_up(redirect)
            .await?
            .map_err(|_| LoginError::Expired {
                server: self.server.clone(),
            })?
            .map_err(|_| LoginError::Cancelled)?;
        let _finish = context.lifecycle.must_finish();
        logins.set_silent(&self.server, false);
        let code = callback.code(ExpectedIssuer {
            issuer: &protected.server.issuer,
            advertised: protected.server.iss_advertised,
        })?;

        self.report(format!("Asking {} for tokens", protected.server.issuer));
        let exchange = CodeExchange {
            endpoint: &protected.server.token_endpoint,
            client,
            resource: resource.as_deref(),
            code: &code,
            verifier: &pkce.verifier,
            scopes: &scopes,
        };
        let now = context.clock.now();
        let tokens = self
            .reach()
            .exchange_code(&exchange, now)
            .await
            .map_err(LoginError::Exchange)?;
        self.install(Some(record(protected, client, resource, tokens)))
            .await
    }

    /// The dynamic client of the last sign-in, if it was made by this server for this redirect, and
    /// the last browser that was sent there with it came back.
    fn kept_client(&self, protected: &Protected) -> Result<Option<ClientRecord>, LoginError> {
        let redirect_uri = self.redirect_uri();
        let kept = self.credentials.credential_of(&self.server, &self.config)?;
        Ok(kept
            .filter(|kept| kept.issuer == protected.server.issuer)
            .map(|kept| kept.client)
            .filter(|client| client.dynamic && client.redirect_uri == redirect_uri)
            .filter(|_| self.config.oauth.client_id.is_none())
            .filter(|_| !self.credentials.inner.logins.is_silent(&self.server)))
    }

    async fn new_client(&self, protected: &Protected) -> Result<ClientRecord, LoginError> {
        let oauth = &self.config.oauth;
        let redirect_uri = self.redirect_uri();
        let given = |identity: ClientIdentity| ClientRecord {
            id: identity.client_id,
            secret: identity.client_secret,
            auth_method: identity.auth_method,
            dynamic: false,
            redirect_uri: redirect_uri.clone(),
            registration_access_token: None,
            registration_client_uri: None,
        };
        let supported: &[AuthMethod] = &protected.server.token_auth_methods;
        let source = ClientSource::choose(
            oauth.client_id.as_deref(),
            oauth.client_metadata_url.as_deref(),
            &protected.server,
        )?;
        match source {
            ClientSource::Preregistered { client_id } => {
                let secret = self.credentials.client_secret(&self.server, &self.config)?;
                Ok(given(ClientIdentity::preregistered(
                    client_id, secret, supported,
                )))
            }
            ClientSource::MetadataDocument { url } => Ok(given(ClientIdentity::public(url))),
            ClientSource::Dynamic { endpoint } => {
                self.report(format!("Registering with {}", protected.server.issuer));
                let scopes = self.scopes(protected);
                Ok(self
                    .reach()
                    .register(endpoint, &redirect_uri, &scopes, supported)
                    .await?)
            }
        }
    }

    fn scopes(&self, protected: &Protected) -> Vec<String> {
        scope::initial(
            &self.config.oauth.scopes,
            protected
                .challenge
                .as_ref()
                .and_then(|challenge| challenge.scope.as_deref()),
            protected
                .resource
                .as_ref()
                .and_then(|found| found.scopes_supported.as_deref()),
            protected.server.scopes_supported.as_deref(),
        )
    }

    /// The `resource` parameter: the metadata's own spelling, else the server's URL.
    fn resource(&self, protected: &Protected) -> Option<String> {
        match &self.config.oauth.resource {
            ResourceSetting::None => None,
            ResourceSetting::Uri(uri) => Some(uri.clone()),
            ResourceSetting::Auto => Some(match &protected.resource {
                Some(metadata) => metadata.resource.clone(),
                None => canonical(&self.config.url),
            }),
        }
    }

    fn redirect_uri(&self) -> String {
        let configured = self.config.oauth.redirect_uri.clone();
        configured.unwrap_or_else(|| self.credentials.inner.redirect_uri.clone())
    }

    fn reach(&self) -> Reach<'_> {
        let policy = AddressPolicy::for_server(&self.config.url, self.config.allow_private_network);
        Reach {
            net: &self.credentials.inner.context.net,
            policy,
        }
    }

    async fn install(&self, credential: Option<CredentialRecord>) -> Result<(), LoginError> {
        Ok(self
            .credentials
            .install(&self.server, &self.config, credential)
            .await?)
    }

    fn report(&self, message: String) {
        self.steps.send_replace(Step::Working(message));
    }
}

fn record(
    protected: &Protected,
    client: &ClientRecord,
    resource: Option<String>,
    tokens: Tokens,
) -> CredentialRecord {
    let server = &protected.server;
    CredentialRecord {
        id: CredentialId::of(&server.issuer, resource.as_deref(), &client.id),
        issuer: server.issuer.clone(),
        resource,
        client: client.clone(),
        token_endpoint: server.token_endpoint.clone(),
        revocation_endpoint: server.revocation_endpoint.clone(),
        registration_endpoint: server.registration_endpoint.clone(),
        tokens,
        ended: None,
    }
}

/// The canonical URI of a server without metadata: no fragment, no slash that `Url` added.
fn canonical(url: &url::Url) -> String {
    let mut url = url.clone();
    url.set_fragment(None);
    let text = String::from(url.clone());
    match url.path() {
        "/" if url.query().is_none() => text.trim_end_matches('/').to_owned(),
        _ => text,
    }
}
