//! A configured server as the control API shows it.

use mcpbridge_proto::v1;

use super::Control;
use crate::config::AuthMode;
use crate::credentials::State;
use crate::registry::Server;

impl Control {
    pub(super) fn view(&self, server: &Server) -> v1::Server {
        let status = self.credentials.status(&server.name);
        let seconds = |time: Option<jiff::Timestamp>| time.map_or(0, jiff::Timestamp::as_second);
        v1::Server {
            name: server.name.to_string(),
            url: server.config.url.to_string(),
            proxy_url: format!("{}/mcp/{}", self.facts.base_url, server.name),
            auth: auth_mode(server.config.auth).into(),
            state: credential_state(status.state).into(),
            remedy: status.remedy(&server.name).unwrap_or_default(),
            reason: status.reason.unwrap_or_default(),
            issuer: status.issuer.unwrap_or_default(),
            resource: status.resource.unwrap_or_default(),
            client_id: status.client_id.unwrap_or_default(),
            scopes: status.scopes,
            expires_at: seconds(status.expires_at),
            next_refresh_at: seconds(status.next_refresh_at),
            last_refreshed_at: seconds(status.last_refreshed_at),
            refreshable: status.refreshable,
            policy_default: server.config.policy.default.to_string(),
            header_names: self.credentials.header_names(&server.name),
            allow_private_network: server.config.allow_private_network,
            changes: self.held(server),
        }
    }
}

impl Control {
    /// How much of a server waits for approval.
    fn held(&self, server: &Server) -> u32 {
        let known = self.catalog.server(&server.name);
        known.map_or(0, |known| u32::try_from(known.held()).unwrap_or(u32::MAX))
    }
}

fn auth_mode(mode: AuthMode) -> v1::AuthMode {
    match mode {
        AuthMode::Oauth => v1::AuthMode::Oauth,
        AuthMode::Static => v1::AuthMode::Static,
        AuthMode::None => v1::AuthMode::None,
    }
}

fn credential_state(state: State) -> v1::CredentialState {
    match state {
        State::LoggedOut => v1::CredentialState::LoggedOut,
        State::Active => v1::CredentialState::Active,
        State::Refreshing => v1::CredentialState::Refreshing,
        State::Backoff => v1::CredentialState::Backoff,
        State::NeedsLogin => v1::CredentialState::NeedsLogin,
    }
}
