//! Who may call: bearer check, challenges, protected-resource metadata (RFC 9728, RFC 6750 §3).

use serde_json::json;

use super::{ADMIN_SCOPE, Access, PrmAt, State};
use crate::wire::{Answer, Request};

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

pub(super) fn prm_path(state: &State) -> Option<String> {
    match state.options.prm {
        PrmAt::Path => Some(format!("{WELL_KNOWN}/mcp")),
        PrmAt::Root => Some(WELL_KNOWN.to_owned()),
        PrmAt::Header => Some("/about/this-resource".to_owned()),
        PrmAt::Nowhere => None,
    }
}

pub(super) fn is_prm_request(state: &State, path: &str) -> bool {
    path.starts_with(WELL_KNOWN) || prm_path(state).is_some_and(|here| here == path)
}

pub(super) fn prm(state: &State, path: &str) -> Answer {
    let here = prm_path(state).is_some_and(|here| here == path);
    match &state.options.access {
        Access::OAuth(authz) if here => {
            let document = json!({
                "resource": state.resource(),
                "authorization_servers": [authz.issuer()],
                "scopes_supported": authz.options().scopes,
                "bearer_methods_supported": ["header"],
            });
            Answer::json(200, &document)
        }
        _ => Answer::text(404, "text/plain", "not found"),
    }
}

/// The scopes of the caller's token, or the refusal.
pub(super) fn admit(state: &State, request: &Request) -> Result<Vec<String>, Box<Answer>> {
    match &state.options.access {
        Access::Open => Ok(Vec::new()),
        Access::Header(name, value) => {
            let matches = request.header(name) == Some(value);
            matches
                .then(Vec::new)
                .ok_or_else(|| Box::new(Answer::text(401, "text/plain", "no key")))
        }
        Access::OAuth(authz) => {
            let token = request
                .header("authorization")
                .and_then(|header| header.strip_prefix("Bearer "));
            let Some(token) = token else {
                return Err(Box::new(challenge(state, 401, None)));
            };
            match authz.live(token) {
                Some(live) if audience_fits(state, live.resource.as_deref()) => Ok(live.scopes),
                _ => Err(Box::new(challenge(state, 401, Some("invalid_token")))),
            }
        }
    }
}

fn audience_fits(state: &State, resource: Option<&str>) -> bool {
    resource.is_none_or(|resource| resource == state.resource())
}

/// 403 for a tool beyond the token's scopes.
pub(super) fn insufficient_scope(state: &State) -> Answer {
    challenge(state, 403, Some("insufficient_scope"))
}

fn challenge(state: &State, status: u16, error: Option<&str>) -> Answer {
    let mut parts = Vec::new();
    if let Some(error) = error {
        parts.push(format!("error=\"{error}\""));
    }
    if let (true, Some(path)) = (state.options.challenge_names_prm, prm_path(state)) {
        parts.push(format!("resource_metadata=\"{}{path}\"", state.origin));
    }
    let scope = match error {
        Some("insufficient_scope") => Some(ADMIN_SCOPE),
        _ => state.options.scope.as_deref(),
    };
    if let Some(scope) = scope {
        parts.push(format!("scope=\"{scope}\""));
    }
    let value = format!("Bearer {}", parts.join(", "));
    let body = json!({ "error": error.unwrap_or("unauthorized") });
    Answer::json(status, &body).with_header("www-authenticate", value.trim_end())
}
