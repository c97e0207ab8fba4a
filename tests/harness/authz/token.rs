//! The token and revocation endpoints.

use std::collections::HashMap;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::json;
use url::form_urlencoded;

use super::authorize::check_resource;
use super::grants::{Grants, Refresh};
use super::{ClientAuth, LiveToken, State};
use crate::wire::{Answer, Request};

type Params = HashMap<String, String>;

/// RFC 6749 §5.2.
struct Refusal(&'static str, String);

impl Refusal {
    fn into_answer(self) -> Answer {
        let Self(error, reason) = self;
        let status = if error == "invalid_client" { 401 } else { 400 };
        let body = json!({ "error": error, "error_description": reason });
        Answer::json(status, &body).with_header("cache-control", "no-store")
    }
}

fn refuse<T>(error: &'static str, reason: &str) -> Result<T, Refusal> {
    Err(Refusal(error, reason.to_owned()))
}

pub(super) fn answer(state: &State, request: &Request) -> Answer {
    let params = match params(request) {
        Ok(params) => params,
        Err(refusal) => return refusal.into_answer(),
    };
    if let Some(verifier) = params.get("code_verifier") {
        state.secrets.remember("code-verifier", verifier);
    }
    issue(state, request, &params).unwrap_or_else(Refusal::into_answer)
}

fn params(request: &Request) -> Result<Params, Refusal> {
    let form = request.header("content-type").unwrap_or_default();
    if !form.starts_with("application/x-www-form-urlencoded") {
        return refuse("invalid_request", "the request must be a form");
    }
    let pairs = request.params();
    let params: Params = pairs.iter().cloned().collect();
    if pairs.len() == params.len() {
        Ok(params)
    } else {
        refuse("invalid_request", "a parameter occurs twice")
    }
}

fn issue(state: &State, request: &Request, params: &Params) -> Result<Answer, Refusal> {
    let mut grants = state.grants.lock().unwrap();
    let client_id = authenticate(&grants, request, params)?;
    let resource = params.get("resource");
    check_resource(state, resource)
        .map_err(|reason| Refusal("invalid_target", reason.to_owned()))?;
    let grant = match params.get("grant_type").map(String::as_str) {
        Some("authorization_code") => redeem_code(&mut grants, &client_id, params)?,
        Some("refresh_token") => spend_refresh(state, &mut grants, &client_id, params)?,
        _ => {
            return refuse(
                "unsupported_grant_type",
                "authorization_code or refresh_token",
            );
        }
    };
    if resource.is_some() && resource != grant.resource.as_ref() {
        return refuse("invalid_target", "the person agreed to another resource");
    }
    Ok(tokens(state, &mut grants, grant, params))
}

/// RFC 6749 §2.3; the method must be the registered one.
fn authenticate(grants: &Grants, request: &Request, params: &Params) -> Result<String, Refusal> {
    let presented = match request.header("authorization") {
        Some(header) => Some((ClientAuth::Basic, basic(header))),
        None => params.get("client_secret").map(|secret| {
            let id = params.get("client_id").cloned();
            (ClientAuth::Post, id.map(|id| (id, secret.clone())))
        }),
    };
    let (method, id, secret) = match presented {
        Some((method, Some((id, secret)))) => (method, Some(id), Some(secret)),
        Some((_, None)) => return refuse("invalid_client", "the client credentials are malformed"),
        None => (ClientAuth::None, params.get("client_id").cloned(), None),
    };
    let known = id.and_then(|id| grants.clients.get(&id).map(|client| (id, client)));
    match known {
        Some((id, client)) if client.auth == method && client.secret == secret => Ok(id),
        _ => refuse(
            "invalid_client",
            "unknown client, wrong secret or wrong method",
        ),
    }
}

/// RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
fn basic(header: &str) -> Option<(String, String)> {
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decode = |part: &str| {
        let encoded = format!("v={part}");
        let mut pairs = form_urlencoded::parse(encoded.as_bytes());
        pairs.next().map(|(_, value)| value.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

fn redeem_code(
    grants: &mut Grants,
    client_id: &str,
    params: &Params,
) -> Result<LiveToken, Refusal> {
    let found = params
        .get("code")
        .and_then(|code| grants.codes.get_mut(code));
    let Some(code) = found else {
        return refuse("invalid_grant", "unknown code");
    };
    let grant = code.grant.clone();
    if code.spent {
        grants.punish_reuse(&grant);
        return refuse("invalid_grant", "the code was used before");
    }
    if grant.client_id != client_id {
        return refuse("invalid_grant", "the code belongs to another client");
    }
    if params.get("redirect_uri") != Some(&code.redirect_uri) {
        return refuse(
            "invalid_grant",
            "redirect_uri differs from the authorization request's",
        );
    }
    let verifier = params.get("code_verifier").map_or("", String::as_str);
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    if verifier.len() < 43 || challenge != code.challenge {
        return refuse("invalid_grant", "code_verifier does not match");
    }
    code.spent = true;
    Ok(grant)
}

fn spend_refresh(
    state: &State,
    grants: &mut Grants,
    client_id: &str,
    params: &Params,
) -> Result<LiveToken, Refusal> {
    let found = params
        .get("refresh_token")
        .and_then(|token| grants.refresh.get_mut(token));
    let Some(refresh) = found else {
        return refuse("invalid_grant", "unknown refresh token");
    };
    let grant = refresh.grant.clone();
    if state.options.bound_refresh_tokens && grant.client_id != client_id {
        return refuse(
            "invalid_grant",
            "the refresh token belongs to another client",
        );
    }
    if refresh.spent {
        grants.punish_reuse(&grant);
        return refuse("invalid_grant", "the refresh token was used before");
    }
    refresh.spent = state.options.rotation;
    if grants.is_revoked(&grant) {
        return refuse("invalid_grant", "the grant was revoked");
    }
    Ok(grant)
}

fn tokens(state: &State, grants: &mut Grants, grant: LiveToken, params: &Params) -> Answer {
    let lifetime = *state.access_lifetime.lock().unwrap();
    let access = state.secrets.issue("access-token");
    grants
        .access
        .insert(access.clone(), (grant.clone(), Instant::now() + lifetime));
    let mut body = json!({ "access_token": access, "token_type": "Bearer" });
    if state.options.expires_in {
        body["expires_in"] = json!(lifetime.as_secs());
    }
    if !grant.scopes.is_empty() {
        body["scope"] = json!(grant.scopes.join(" "));
    }
    let first = params.contains_key("code");
    if state.options.refresh_tokens && (first || state.options.rotation) {
        let refresh = state.secrets.issue("refresh-token");
        body["refresh_token"] = json!(refresh);
        grants.refresh.insert(
            refresh,
            Refresh {
                grant,
                spent: false,
            },
        );
    }
    Answer::json(200, &body).with_header("cache-control", "no-store")
}

/// RFC 7009: an unknown token is a success, too.
pub(super) fn revoke(state: &State, request: &Request) -> Answer {
    let params = match params(request) {
        Ok(params) => params,
        Err(refusal) => return refusal.into_answer(),
    };
    let mut grants = state.grants.lock().unwrap();
    let client_id = match authenticate(&grants, request, &params) {
        Ok(id) => id,
        Err(refusal) => return refusal.into_answer(),
    };
    let token = params.get("token").map_or("", String::as_str);
    let by_refresh = grants
        .refresh
        .get(token)
        .map(|refresh| refresh.grant.clone());
    let by_access = grants.access.get(token).map(|(grant, _)| grant.clone());
    if let Some(grant) = by_refresh
        .or(by_access)
        .filter(|grant| grant.client_id == client_id)
    {
        grants.revoke(&grant);
    }
    Answer::text(200, "text/plain", "")
}
