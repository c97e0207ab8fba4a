//! One task owns one credential, so that no refresh ever runs twice at once.
//!
//! Commands are handled one after another; while a refresh is under way further callers queue and
//! then find its result. Readers take the current token from a `watch` without asking the task.
//! The order that keeps logins alive: a rotated refresh token is on disk (synced) *before* the
//! access token that came with it is published.

use std::sync::Arc;

use http::{HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

use super::grant::{Reach, client_is_unknown, grant_is_dead};
use super::handle::{Command, Handle, LiveToken, Refusal, View};
use super::record::{CredentialRecord, Tokens, encode};
use super::schedule::{self, backoff, refresh_at, usable};
use super::state::{Authorization, State, Status, TokenId};
use crate::clock::SharedClock;
use crate::error::chain;
use crate::lifecycle::Lifecycle;
use crate::net;
use crate::oauth::token::TokenError;
use crate::types::{Secret, ServerName};
use crate::vault::{Vault, VaultError};

/// A token made because its predecessor was refused, and refused itself this soon, is not replaced
/// again: the server does not want tokens of this login, and asking for more would hammer both.
const REFUSAL_WINDOW: SignedDuration = SignedDuration::from_secs(30);

/// What the task needs from the daemon.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) vault: Vault,
    pub(super) net: net::Client,
    pub(super) clock: SharedClock,
    pub(super) lifecycle: Lifecycle,
    /// Counts changes of any credential, for those who show them.
    pub(super) pulse: Arc<watch::Sender<u64>>,
}

/// Starts the task of a credential that is in the vault already.
///
/// `server` names it in the log, `policy` says where its endpoints may be.
pub(super) fn spawn(
    context: Context,
    server: ServerName,
    policy: net::AddressPolicy,
    record: CredentialRecord,
) -> Handle {
    let clock = context.clock.clone();
    let (commands, inbox) = mpsc::channel(64);
    let task = Task::new(context, server, policy, record);
    let view = task.view.subscribe();
    let lifecycle = task.context.lifecycle.clone();
    lifecycle.spawn("credential", task.run(inbox));
    Handle::new(commands, view, clock, policy)
}

struct Task {
    context: Context,
    /// For the log only: the server the sign-in was made for.
    server: ServerName,
    policy: net::AddressPolicy,
    record: CredentialRecord,
    /// `record` holds a rotated refresh token that is not on disk yet. Nothing new is published
    /// and nothing is refreshed until it is.
    unsaved: bool,
    live: Option<LiveToken>,
    last_id: u64,
    next_refresh: Option<Timestamp>,
    last_refreshed: Option<Timestamp>,
    /// Whether the current token was made because its predecessor was refused.
    replaced_refused: bool,
    /// Failed refreshes in a row, and what the last one said.
    failures: u32,
    problem: Option<String>,
    view: watch::Sender<View>,
}

impl Task {
    fn new(
        context: Context,
        server: ServerName,
        policy: net::AddressPolicy,
        record: CredentialRecord,
    ) -> Self {
        let status = Status::plain(State::LoggedOut, None);
        let mut task = Self {
            context,
            server,
            policy,
            record,
            unsaved: false,
            live: None,
            last_id: 0,
            next_refresh: None,
            last_refreshed: None,
            replaced_refused: false,
            failures: 0,
            problem: None,
            view: watch::Sender::new(View {
                status,
                token: None,
            }),
        };
        task.activate();
        task
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let lifecycle = self.context.lifecycle.clone();
        loop {
            // Only waiting is cancelled here; a refresh, once begun, runs to the end.
            let nap = schedule::nap(self.next_refresh, self.context.clock.now());
            tokio::select! {
                biased;
                () = lifecycle.stopping() => return,
                command = inbox.recv() => match command {
                    Some(command) => {
                        if self.handle(command).await.is_break() {
                            return;
                        }
                    }
                    None => return,
                },
                () = tokio::time::sleep(nap) => self.on_time().await,
            }
        }
    }

    async fn handle(&mut self, command: Command) -> std::ops::ControlFlow<()> {
        // A caller that has gone away does not need its answer.
        match command {
            Command::Token { refused, reply } => {
                let _ = reply.send(self.token(refused).await);
            }
            Command::Refresh { reply } => {
                self.failures = 0;
                let _ = reply.send(self.refresh().await);
            }
            Command::Install { record, reply } => {
                self.record = *record;
                self.unsaved = true;
                let _ = reply.send(self.settle().await);
            }
            Command::Forget { reply } => {
                let result = self.context.vault.remove(self.record.id.record_id()).await;
                let done = result.is_ok();
                let answer = result.map(|()| Box::new(self.record.clone()));
                let _ = reply.send(answer.map_err(Refusal::Vault));
                if done {
                    return std::ops::ControlFlow::Break(());
                }
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    async fn on_time(&mut self) {
        if self
            .next_refresh
            .is_some_and(|due| due <= self.context.clock.now())
        {
            // What went wrong is in the status and the log.
            let _ = self.refresh().await;
        } else {
            // A token without a refresh token ends by time alone.
            self.publish();
        }
    }

    /// A token that is not `refused`, refreshing if that is what it takes.
    async fn token(&mut self, refused: Option<TokenId>) -> Result<Authorization, Refusal> {
        let now = self.context.clock.now();
        let mut replaces_refused = false;
        if let Some(live) = &self.live {
            let good = usable(live.expires_at, now);
            if refused != Some(live.id) {
                if good {
                    return Ok(live.authorization.clone());
                }
            } else if good && self.was_refused_a_moment_ago(now) {
                return Err(Refusal::FreshTokenRefused);
            } else {
                replaces_refused = true;
            }
        }
        self.live = None;
        if self.failures > 0 && self.next_refresh.is_some_and(|retry| retry > now) {
            return Err(self.unavailable());
        }
        self.refresh().await?;
        self.replaced_refused = replaces_refused;
        self.live
            .as_ref()
            .map(|live| live.authorization.clone())
            .ok_or_else(|| self.unavailable())
    }

    fn was_refused_a_moment_ago(&self, now: Timestamp) -> bool {
        let young = |made: Timestamp| now.duration_since(made) < REFUSAL_WINDOW;
        self.replaced_refused && self.last_refreshed.is_some_and(young)
    }

    async fn refresh(&mut self) -> Result<(), Refusal> {
        if self.unsaved {
            return self.settle().await;
        }
        if self.record.ended.is_some() {
            return Err(self.unavailable());
        }
        let Some(refresh_token) = self.record.tokens.refresh_token.clone() else {
            self.publish();
            return Err(match self.live {
                Some(_) => Refusal::NotRefreshable,
                None => self.unavailable(),
            });
        };
        self.publish_as(State::Refreshing, None);
        match self.request_tokens(&refresh_token).await {
            Ok(tokens) => {
                self.record.tokens = tokens;
                self.unsaved = true;
                self.last_refreshed = Some(self.context.clock.now());
                tracing::info!(server = %self.server, "token refreshed");
                self.settle().await
            }
            Err(error) if grant_is_dead(&error) => {
                self.end(format!(
                    "the authorization server ended this sign-in: {error}"
                ))
                .await
            }
            Err(error) => {
                self.back_off(chain(&error));
                Err(self.unavailable())
            }
        }
    }

    /// New tokens from the token endpoint. A client that the server has forgotten is registered
    /// again, once; some servers lose clients and keep tokens.
    async fn request_tokens(&mut self, refresh_token: &Secret) -> Result<Tokens, TokenError> {
        let net = self.context.net.clone();
        let reach = Reach {
            net: &net,
            policy: self.policy,
        };
        let now = self.context.clock.now();
        let first = reach.refresh(&self.record, refresh_token, now).await;
        let client = &self.record.client;
        match (&first, &self.record.registration_endpoint) {
            (Err(error), Some(endpoint)) if client_is_unknown(error) && client.dynamic => {
                tracing::info!(server = %self.server, "the client is unknown; registering anew");
                let supported = [client.auth_method];
                let scopes = &self.record.tokens.scopes;
                let uri = &client.redirect_uri;
                // When that fails too, the first refusal is the one that tells.
                let Ok(client) = reach.register(endpoint, uri, scopes, &supported).await else {
                    return first;
                };
                self.record.client = client;
                reach.refresh(&self.record, refresh_token, now).await
            }
            _ => first,
        }
    }

    /// The end of a sign-in. What the disk says matters less than what people see: a failed write
    /// only means that the next start asks the authorization server once more.
    async fn end(&mut self, reason: String) -> Result<(), Refusal> {
        tracing::warn!(server = %self.server, reason, "signed out by the authorization server");
        self.record.ended = Some(reason);
        self.live = None;
        self.next_refresh = None;
        if let Err(error) = self.save().await {
            tracing::warn!(server = %self.server, error = chain(&error), "cannot store the end of a sign-in");
        }
        self.publish();
        Err(self.unavailable())
    }

    async fn save(&self) -> Result<(), VaultError> {
        self.context
            .vault
            .put(self.record.id.record_id(), &encode(&self.record))
            .await
    }

    /// Stores the record, then publishes its token. In this order: see the module's head.
    async fn settle(&mut self) -> Result<(), Refusal> {
        match self.save().await {
            Ok(()) => {
                self.unsaved = false;
                self.activate();
                Ok(())
            }
            Err(source) => {
                self.back_off(format!(
                    "the new token cannot be stored: {}",
                    chain(&source)
                ));
                Err(Refusal::Vault(source))
            }
        }
    }

    /// Puts the stored tokens into use.
    fn activate(&mut self) {
        let tokens = &self.record.tokens;
        self.failures = 0;
        self.problem = None;
        self.replaced_refused = false;
        self.last_id += 1;
        let id = TokenId(self.last_id);
        let expires_at = tokens.expires_at;
        self.live = match bearer(&tokens.access_token) {
            Some(value) if self.record.ended.is_none() => Some(LiveToken {
                authorization: Authorization {
                    headers: Arc::new([(header::AUTHORIZATION, value)]),
                    token: Some(id),
                },
                id,
                expires_at,
            }),
            _ => None,
        };
        self.next_refresh = match (expires_at, &tokens.refresh_token) {
            (Some(expires), Some(_)) if self.record.ended.is_none() => {
                Some(refresh_at(tokens.issued_at, expires, jitter()))
            }
            _ => None,
        };
        self.publish();
    }

    fn back_off(&mut self, problem: String) {
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(server = %self.server, problem, failures = self.failures, "refresh failed");
        self.problem = Some(problem);
        let wait = backoff(self.failures, jitter());
        let now = self.context.clock.now();
        self.next_refresh = now.checked_add(wait).ok();
        self.publish();
    }

    fn publish(&self) {
        let (state, reason) = self.state();
        self.publish_as(state, reason);
    }

    fn state(&self) -> (State, Option<String>) {
        if let Some(reason) = &self.record.ended {
            return (State::NeedsLogin, Some(reason.clone()));
        }
        if self.problem.is_some() {
            return (State::Backoff, self.problem.clone());
        }
        let usable_now = |live: &LiveToken| usable(live.expires_at, self.context.clock.now());
        if self.record.tokens.refresh_token.is_none() && !self.live.as_ref().is_some_and(usable_now)
        {
            let reason = "the token ended and the authorization server gave no refresh token";
            return (State::NeedsLogin, Some(reason.to_owned()));
        }
        (State::Active, None)
    }

    fn publish_as(&self, state: State, reason: Option<String>) {
        let record = &self.record;
        let status = Status {
            state,
            reason,
            issuer: Some(record.issuer.clone()),
            resource: record.resource.clone(),
            client_id: Some(record.client.id.clone()),
            scopes: record.tokens.scopes.clone(),
            expires_at: record.tokens.expires_at,
            next_refresh_at: self.next_refresh,
            last_refreshed_at: self.last_refreshed,
            refreshable: record.tokens.refresh_token.is_some(),
        };
        let token = self.live.clone();
        let changed = self.view.send_if_modified(|view| {
            let same = view.status == status
                && view.token.as_ref().map(|t| t.id) == token.as_ref().map(|t| t.id);
            *view = View { status, token };
            !same
        });
        if changed {
            self.context
                .pulse
                .send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// Why there is no token, in the state things are in.
    fn unavailable(&self) -> Refusal {
        let (state, reason) = self.state();
        let reason = reason.unwrap_or_else(|| "no token is left".to_owned());
        match state {
            State::NeedsLogin | State::LoggedOut => Refusal::NeedsLogin(reason),
            State::Active | State::Refreshing | State::Backoff => Refusal::Backoff(reason),
        }
    }
}

/// The `Authorization` value; None for a token that cannot be sent in a header.
fn bearer(token: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).ok()?;
    // hyper and tracing leave sensitive values out of their output.
    value.set_sensitive(true);
    Some(value)
}

fn jitter() -> f64 {
    let mut bytes = [0u8; 4];
    match ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5,
    }
}
