//! One task owns one credential, so that no refresh ever runs twice at once.
//!
//! Commands are handled one after another; while a refresh is under way further callers queue and
//! then find its result. Readers take the current token from a `watch` without asking the task.
//! The order that keeps logins alive: a rotated refresh token is on disk (synced) *before* the
//! access token that came with it is published. Once begun, a refresh runs to its end: shutdown waits
//! for it, and callers who leave do not stop it.

mod refresh;
mod status;

use std::sync::Arc;

use http::{HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

use super::events;
use super::handle::{Command, Handle, LiveToken, Refusal, View};
use super::record::CredentialRecord;
use super::schedule::{self, BACKOFF_CAP, is_due, last_use, refresh_at};
use super::state::{Authorization, State, Status, TokenId};
use crate::audit::{Audit, Kind};
use crate::clock::SharedClock;
use crate::error::chain;
use crate::lifecycle::Lifecycle;
use crate::net;
use crate::types::{Secret, ServerName};
use crate::vault::Vault;

/// A token made because its predecessor was refused, and refused itself this soon, is not replaced
/// again: the server does not want tokens of this login, and asking for more would hammer both.
const REFUSAL_WINDOW: SignedDuration = SignedDuration::from_secs(30);

/// What the task needs from the daemon.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) vault: Vault,
    pub(super) audit: Audit,
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
    // A dead task would leave its servers without tokens until somebody looks.
    lifecycle.spawn_no_panic("credential", task.run(inbox));
    Handle::new(commands, view, clock, policy)
}

struct Task {
    context: Context,
    /// For the logs only: the server the sign-in was made for.
    server: ServerName,
    policy: net::AddressPolicy,
    record: CredentialRecord,
    /// `record` holds tokens that are not on disk yet, and how they came. Nothing new is published
    /// and nothing is refreshed until they are.
    unsaved: Option<Kind>,
    live: Option<LiveToken>,
    last_id: u64,
    next_refresh: Option<Timestamp>,
    last_refreshed: Option<Timestamp>,
    /// Whether the current token was made because its predecessor was refused.
    replaced_refused: bool,
    /// The server refused the current token, and there is no refresh token to replace it with. It
    /// still goes out: some servers refuse one kind of request and take all others.
    refused: bool,
    /// The client was registered anew since the last good refresh. Once is enough.
    registered_anew: bool,
    /// Failed refreshes in a row, and what the last one said.
    failures: u32,
    problem: Option<String>,
    /// The audit log says that a person has to sign in.
    login_needed: bool,
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
            unsaved: None,
            live: None,
            last_id: 0,
            next_refresh: None,
            last_refreshed: None,
            replaced_refused: false,
            refused: false,
            registered_anew: false,
            failures: 0,
            problem: None,
            login_needed: false,
            view: watch::Sender::new(View {
                status,
                token: None,
            }),
        };
        task.activate();
        task.login_needed = task.state().0 == State::NeedsLogin;
        task
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let lifecycle = self.context.lifecycle.clone();
        loop {
            // Only waiting is cancelled here; a refresh, once begun, runs to the end.
            let nap = schedule::nap(self.next_refresh, self.context.clock.now());
            tokio::select! {
                biased;
                () = lifecycle.stopping() => return self.leave().await,
                command = inbox.recv() => match command {
                    Some(command) => {
                        if self.handle(command).await.is_break() {
                            return;
                        }
                    }
                    None => return self.leave().await,
                },
                () = tokio::time::sleep(nap) => self.on_time().await,
            }
            self.announce().await;
        }
    }

    /// The last chance for a token that could not be stored so far.
    async fn leave(self) {
        if self.unsaved.is_some()
            && let Err(error) = self.save().await
        {
            tracing::error!(server = %self.server, error = chain(&error), "a new token is lost: it cannot be stored");
        }
    }

    async fn handle(&mut self, command: Command) -> std::ops::ControlFlow<()> {
        // A caller that has gone away does not need its answer, nor the work for it.
        match command {
            Command::Token {
                refused,
                seen,
                reply,
            } if !reply.is_closed() => {
                let _ = reply.send(self.token(refused, seen).await);
            }
            Command::Refresh { seen, reply } if !reply.is_closed() => {
                let _ = reply.send(self.refresh_on_request(seen).await);
            }
            Command::Quiet { reply } => {
                let _ = reply.send(Ok(()));
            }
            Command::Install { record, reply } => {
                // Also for a caller that has gone: a person consented to this.
                self.record = *record;
                self.unsaved = Some(Kind::TokenIssued);
                self.registered_anew = false;
                let _ = reply.send(self.settle().await);
            }
            Command::Forget { reply } if !reply.is_closed() => {
                let result = self.context.vault.remove(self.record.id.record_id()).await;
                let done = result.is_ok();
                let answer = result.map(|()| Box::new(self.record.clone()));
                let _ = reply.send(answer.map_err(Refusal::Vault));
                if done {
                    return std::ops::ControlFlow::Break(());
                }
            }
            Command::Token { .. } | Command::Refresh { .. } | Command::Forget { .. } => {}
        }
        std::ops::ControlFlow::Continue(())
    }

    async fn on_time(&mut self) {
        if self.refresh_is_due() {
            // What went wrong is in the status and the log.
            let _ = self.refresh().await;
        } else {
            // A token without a refresh token ends by time alone.
            self.publish();
        }
    }

    fn refresh_is_due(&self) -> bool {
        let Some(due) = self.next_refresh else {
            return false;
        };
        let tokens = &self.record.tokens;
        let longest = match tokens.expires_at {
            Some(expires) if self.failures == 0 => expires.duration_since(tokens.issued_at),
            _ => SignedDuration::from_secs(BACKOFF_CAP.as_secs() as i64),
        };
        is_due(due, longest, self.context.clock.now())
    }

    /// A token that is not `refused`, refreshing if that is what it takes. A token newer than `seen`
    /// is given without asking whether it is still good: one refresh serves all who waited for it.
    async fn token(
        &mut self,
        refused: Option<TokenId>,
        seen: Option<TokenId>,
    ) -> Result<Authorization, Refusal> {
        let now = self.context.clock.now();
        let mut replaces_refused = false;
        if let Some(live) = &self.live {
            let good = live.is_usable(now);
            if refused != Some(live.id) {
                if good || seen != Some(live.id) {
                    return Ok(live.authorization.clone());
                }
            } else if good {
                if self.was_refused_a_moment_ago(now) {
                    return Err(Refusal::FreshTokenRefused);
                }
                replaces_refused = true;
            }
        }
        if self.failures > 0 && !self.refresh_is_due() {
            return Err(self.unavailable());
        }
        // The present token stays for those who were not refused: the refresh may fail.
        self.refused = replaces_refused && self.record.tokens.refresh_token.is_none();
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

    /// Puts the stored tokens into use.
    fn activate(&mut self) {
        let tokens = &self.record.tokens;
        self.failures = 0;
        self.problem = None;
        self.replaced_refused = false;
        self.refused = false;
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
                usable_until: expires_at.map(|expires| last_use(tokens.issued_at, expires)),
            }),
            _ => None,
        };
        self.next_refresh = match (expires_at, &tokens.refresh_token) {
            (Some(expires), Some(_)) if self.record.ended.is_none() => {
                refresh_at(tokens.issued_at, expires, jitter())
            }
            _ => None,
        };
        self.publish();
    }

    /// Records, once, that a person has to sign in.
    async fn announce(&mut self) {
        let (state, reason) = self.state();
        let needed = state == State::NeedsLogin;
        if needed && !self.login_needed {
            let event = events::login_needed(&self.server, reason.as_deref());
            self.context.audit.record_afterwards(event).await;
        }
        self.login_needed = needed;
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
