//! The authorization endpoint and its consent page.
//!
//! A request that names no trustworthy redirect URI gets an error page; any other error goes back to the
//! client (RFC 6749 §4.1.2.1).

use std::collections::HashMap;

use super::grants::Code;
use super::{Client, ClientAuth, Consent, Iss, ResourceRule, State, with_params};
use crate::wire::{Answer, Request};

type Params = HashMap<String, String>;

pub(super) fn answer(state: &State, request: &Request) -> Answer {
    let pairs = request.params();
    let params: Params = pairs.iter().cloned().collect();
    if pairs.len() != params.len() {
        return page(400, "A parameter occurs twice");
    }
    if let Err(reason) = redirect_is_trusted(state, &params) {
        return page(400, reason);
    }
    match check(state, &params) {
        Err((error, reason)) => back(
            state,
            &params,
            &[("error", error), ("error_description", reason)],
        ),
        Ok(()) if state.options.consent == Consent::Page => consent_page(&params),
        Ok(()) => grant(state, &params),
    }
}

/// The consent page's form carries the whole request.
pub(super) fn consented(state: &State, request: &Request) -> Answer {
    let mut params: Params = request.params().into_iter().collect();
    let agreed = params
        .remove("decision")
        .is_some_and(|decision| decision == "allow");
    if let Err(reason) = redirect_is_trusted(state, &params) {
        return page(400, reason);
    }
    if agreed {
        grant(state, &params)
    } else {
        back(state, &params, &[("error", "access_denied")])
    }
}

fn redirect_is_trusted(state: &State, params: &Params) -> Result<(), &'static str> {
    let client_id = params.get("client_id").ok_or("client_id is missing")?;
    let redirect_uri = params
        .get("redirect_uri")
        .ok_or("redirect_uri is missing")?;
    let mut grants = state.grants.lock().unwrap();
    let document = state.options.cimd && client_id.starts_with("https://");
    if document && !grants.clients.contains_key(client_id) {
        // The fake cannot fetch the document; it believes what it would have found there.
        let client = Client {
            secret: None,
            auth: ClientAuth::None,
            redirect_uris: vec![redirect_uri.clone()],
            metadata: serde_json::Value::Null,
        };
        grants.clients.insert(client_id.clone(), client);
    }
    let client = grants.clients.get(client_id).ok_or("unknown client")?;
    let known = client.redirect_uris.contains(redirect_uri);
    known.then_some(()).ok_or("redirect_uri is not registered")
}

fn check(state: &State, params: &Params) -> Result<(), (&'static str, &'static str)> {
    let is = |name: &str, value: &str| params.get(name).is_some_and(|found| found == value);
    if !is("response_type", "code") {
        return Err(("unsupported_response_type", "response_type must be code"));
    }
    if !is("code_challenge_method", "S256") || !params.contains_key("code_challenge") {
        return Err(("invalid_request", "PKCE with S256 is required"));
    }
    if params.get("state").is_none_or(String::is_empty) {
        return Err(("invalid_request", "state is required"));
    }
    check_resource(state, params.get("resource")).map_err(|reason| ("invalid_target", reason))
}

pub(super) fn check_resource(state: &State, resource: Option<&String>) -> Result<(), &'static str> {
    match (state.options.resource, resource) {
        (ResourceRule::Ignored, _) | (ResourceRule::Refused, None) => Ok(()),
        (ResourceRule::Refused, Some(_)) => Err("resource is not supported here"),
        (ResourceRule::Required, None) => Err("resource is missing"),
        (ResourceRule::Required, Some(uri)) => {
            let known = state.resources.lock().unwrap().contains(uri);
            known.then_some(()).ok_or("resource is not one of ours")
        }
    }
}

fn grant(state: &State, params: &Params) -> Answer {
    let scopes = params
        .get("scope")
        .map(|scope| scope.split(' ').map(str::to_owned).collect());
    let code = state.secrets.issue("code");
    let mut grants = state.grants.lock().unwrap();
    let resource = params.get("resource").cloned();
    let grant = grants.consent(&params["client_id"], resource, scopes.unwrap_or_default());
    let issued = Code {
        grant,
        redirect_uri: params["redirect_uri"].clone(),
        challenge: params["code_challenge"].clone(),
        spent: false,
    };
    grants.codes.insert(code.clone(), issued);
    drop(grants);
    back(state, params, &[("code", &code)])
}

fn back(state: &State, params: &Params, answer: &[(&str, &str)]) -> Answer {
    let issuer = state.issuer();
    let mut all = answer.to_vec();
    if let Some(value) = params.get("state") {
        all.push(("state", value));
    }
    if state.options.iss != Iss::Absent {
        all.push(("iss", &issuer));
    }
    let location = with_params(&params["redirect_uri"], &all);
    Answer::text(302, "text/plain", "").with_header("location", &location)
}

fn consent_page(params: &Params) -> Answer {
    let fields: String = params
        .iter()
        .map(|(name, value)| {
            let (name, value) = (escape(name), escape(value));
            format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n")
        })
        .collect();
    let body = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Allow access?</title>\n\
         <h1>Allow access?</h1>\n<p><b>{client}</b> wants to use <b>{resource}</b> for you. It will return to \
         <code>{redirect}</code>.</p>\n<form method=\"post\" action=\"/consent\">\n{fields}\
         <button name=\"decision\" value=\"allow\">Allow</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button>\n</form>\n",
        client = escape(&params["client_id"]),
        resource = escape(params.get("resource").map_or("this server", String::as_str)),
        redirect = escape(&params["redirect_uri"]),
    );
    Answer::text(200, "text/html; charset=utf-8", &body)
}

fn page(status: u16, reason: &str) -> Answer {
    let body = format!(
        "<!doctype html><title>Error</title><p>{}</p>",
        escape(reason)
    );
    Answer::text(status, "text/html; charset=utf-8", &body)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
