//! How new tokens are asked for and stored, and what happens where that fails.

use super::{Task, jitter};
use crate::audit::Kind;
use crate::credentials::events;
use crate::credentials::grant::{Reach, client_is_unknown, grant_is_dead};
use crate::credentials::handle::Refusal;
use crate::credentials::record::{Tokens, encode};
use crate::credentials::schedule::backoff;
use crate::credentials::state::{State, TokenId};
use crate::error::chain;
use crate::oauth::token::TokenError;
use crate::types::Secret;
use crate::vault::VaultError;

impl Task {
    pub(super) async fn refresh_on_request(
        &mut self,
        seen: Option<TokenId>,
    ) -> Result<(), Refusal> {
        if self.live.as_ref().is_some_and(|live| seen != Some(live.id)) {
            return Ok(());
        }
        self.refresh().await
    }

    pub(super) async fn refresh(&mut self) -> Result<(), Refusal> {
        if self.unsaved.is_some() {
            return self.settle().await;
        }
        if self.record.ended.is_some() {
            return Err(self.unavailable());
        }
        let Some(refresh_token) = self.record.tokens.refresh_token.clone() else {
            self.publish();
            return Err(match self.state() {
                (State::NeedsLogin, _) => self.unavailable(),
                _ => Refusal::NotRefreshable,
            });
        };
        let _finish = self.context.lifecycle.must_finish();
        self.publish_as(State::Refreshing, None);
        match self.request_tokens(&refresh_token).await {
            Ok(tokens) => {
                self.record.tokens = tokens;
                self.unsaved = Some(Kind::TokenRefreshed);
                self.registered_anew = false;
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
                self.back_off(chain(&error)).await;
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
        let (Err(error), Some(endpoint)) = (&first, &self.record.registration_endpoint) else {
            return first;
        };
        let client = &self.record.client;
        if !client_is_unknown(error) || !client.dynamic || self.registered_anew {
            return first;
        }
        tracing::info!(server = %self.server, "the client is unknown; registering anew");
        self.registered_anew = true;
        let supported = [client.auth_method];
        let scopes = &self.record.tokens.scopes;
        let uri = &client.redirect_uri;
        // When that fails too, the first refusal is the one that tells.
        let Ok(client) = reach.register(endpoint, uri, scopes, &supported).await else {
            return first;
        };
        let old = std::mem::replace(&mut self.record.client, client);
        let second = reach.refresh(&self.record, refresh_token, now).await;
        if second.as_ref().is_err_and(client_is_unknown) {
            // The trouble is not the registration, and the refresh token belongs to the old client.
            self.record.client = old;
        }
        second
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

    pub(super) async fn save(&self) -> Result<(), VaultError> {
        self.context
            .vault
            .put(self.record.id.record_id(), &encode(&self.record))
            .await
    }

    /// Stores the record, then publishes its token. In this order: see the module's head. Who sees the
    /// token finds it in the audit log.
    pub(super) async fn settle(&mut self) -> Result<(), Refusal> {
        match self.save().await {
            Ok(()) => {
                if let Some(kind) = self.unsaved.take() {
                    let event = events::new_tokens(kind, &self.server, &self.record);
                    self.context.audit.record_afterwards(event).await;
                }
                self.activate();
                Ok(())
            }
            Err(source) => {
                self.back_off(format!(
                    "the new token cannot be stored: {}",
                    chain(&source)
                ))
                .await;
                Err(Refusal::Vault(source))
            }
        }
    }

    async fn back_off(&mut self, problem: String) {
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(server = %self.server, problem, failures = self.failures, "refresh failed");
        let event = events::refresh_failed(&self.server, &problem);
        self.problem = Some(problem);
        let wait = backoff(self.failures, jitter());
        let now = self.context.clock.now();
        self.next_refresh = now.checked_add(wait).ok();
        self.publish();
        self.context.audit.record_afterwards(event).await;
    }
}
