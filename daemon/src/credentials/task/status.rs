//! What the outside sees of a credential's task.

use super::Task;
use crate::credentials::handle::{Refusal, View};
use crate::credentials::state::{State, Status};

impl Task {
    pub(super) fn publish(&self) {
        let (state, reason) = self.state();
        self.publish_as(state, reason);
    }

    pub(super) fn state(&self) -> (State, Option<String>) {
        if let Some(reason) = &self.record.ended {
            return (State::NeedsLogin, Some(reason.clone()));
        }
        if self.problem.is_some() {
            return (State::Backoff, self.problem.clone());
        }
        if self.record.tokens.refresh_token.is_none() {
            let now = self.context.clock.now();
            let what = match &self.live {
                Some(_) if self.refused => "the server refuses the token",
                Some(live) if live.is_usable(now) => return (State::Active, None),
                _ => "the token ended",
            };
            let reason = format!("{what}, and the authorization server gave no refresh token");
            return (State::NeedsLogin, Some(reason));
        }
        (State::Active, None)
    }

    pub(super) fn publish_as(&self, state: State, reason: Option<String>) {
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
    pub(super) fn unavailable(&self) -> Refusal {
        let (state, reason) = self.state();
        let reason = reason.unwrap_or_else(|| "no token is left".to_owned());
        match state {
            State::NeedsLogin | State::LoggedOut => Refusal::NeedsLogin(reason),
            State::Active | State::Refreshing | State::Backoff => Refusal::Backoff(reason),
        }
    }
}
