//! Dynamic client registration (RFC 7591), as strict as MCP 2026-07-28 wants clients to be.

use serde_json::{Value, json};
use url::Url;

use super::{Client, ClientAuth, State};
use crate::secrets::random_id;
use crate::wire::{Answer, Request};

pub(super) fn answer(state: &State, request: &Request) -> Answer {
    match check(request) {
        Err(reason) => {
            let error = json!({ "error": "invalid_client_metadata", "error_description": reason });
            Answer::json(400, &error)
        }
        Ok((metadata, redirect_uris)) => {
            let id = format!("client-{}", random_id());
            let auth = state.options.client_auth;
            let secret = (auth != ClientAuth::None).then(|| state.secrets.issue("client-secret"));
            let client = Client {
                secret: secret.clone(),
                auth,
                redirect_uris,
                metadata: metadata.clone(),
            };
            state
                .grants
                .lock()
                .unwrap()
                .clients
                .insert(id.clone(), client);
            let mut answer = metadata;
            answer["client_id"] = json!(id);
            answer["token_endpoint_auth_method"] = json!(auth.name());
            if let Some(secret) = secret {
                answer["client_secret"] = json!(secret);
                answer["client_secret_expires_at"] = json!(0);
            }
            Answer::json(201, &answer)
        }
    }
}

fn check(request: &Request) -> Result<(Value, Vec<String>), &'static str> {
    let metadata: Value = serde_json::from_slice(&request.body).map_err(|_| "not JSON")?;
    if metadata["application_type"] != "native" {
        return Err("application_type must be native for a loopback redirect");
    }
    let grant_types = strings(&metadata["grant_types"]);
    for needed in ["authorization_code", "refresh_token"] {
        if !grant_types.iter().any(|grant| grant == needed) {
            return Err("grant_types must list authorization_code and refresh_token");
        }
    }
    let redirect_uris = strings(&metadata["redirect_uris"]);
    let loopback = |uri: &String| {
        Url::parse(uri).is_ok_and(|uri| matches!(uri.host_str(), Some("localhost" | "127.0.0.1")))
    };
    if redirect_uris.is_empty() || !redirect_uris.iter().all(loopback) {
        return Err("redirect_uris must be loopback URLs");
    }
    Ok((metadata, redirect_uris))
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}
