//! What the audit log says about tokens: all but the tokens.

use serde_json::json;

use super::record::CredentialRecord;
use crate::audit::{Event, Kind};
use crate::types::ServerName;

/// New tokens of `record`, by a sign-in or by a refresh.
pub(super) fn new_tokens(kind: Kind, server: &ServerName, record: &CredentialRecord) -> Event {
    let tokens = &record.tokens;
    Event::new(kind).server(server).detail(json!({
        "issuer": record.issuer,
        "client_id": record.client.id,
        "scopes": tokens.scopes,
        "expires_at": tokens.expires_at,
        "refreshable": tokens.refresh_token.is_some(),
    }))
}

/// Fixed headers that a person typed in, by their names.
pub(super) fn fixed_headers(server: &ServerName, names: &[String]) -> Event {
    let detail = json!({ "headers": names });
    Event::new(Kind::TokenIssued).server(server).detail(detail)
}

pub(super) fn refresh_failed(server: &ServerName, problem: &str) -> Event {
    let detail = json!({ "problem": problem });
    Event::new(Kind::TokenRefreshFailed)
        .server(server)
        .detail(detail)
}

pub(super) fn login_needed(server: &ServerName, reason: Option<&str>) -> Event {
    let detail = json!({ "reason": reason });
    Event::new(Kind::LoginNeeded).server(server).detail(detail)
}

/// Tokens that are forgotten here; `problem` says why their server does not know.
pub(super) fn revoked(server: &ServerName, issuer: &str, problem: Option<&str>) -> Event {
    let detail = json!({ "issuer": issuer, "problem": problem });
    Event::new(Kind::TokenRevoked).server(server).detail(detail)
}
