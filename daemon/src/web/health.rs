//! Is it alive, is it ready, what does it serve. No secrets, and nothing that needs a token.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::HeaderMap;
use serde_json::{Value, json};

use super::Web;
use super::page::{HOME, wants_page};
use crate::credentials::State as CredentialState;

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// By the time the port answers, configuration and vault are open and the credentials are loaded.
pub(super) async fn readyz() -> &'static str {
    "ready\n"
}

/// Health for programs, the pages for browsers.
pub(super) async fn root(State(web): State<Web>, headers: HeaderMap) -> Response {
    if wants_page(&headers) {
        return Redirect::to(HOME).into_response();
    }
    let snapshot = web.registry.snapshot();
    let usable = snapshot
        .iter()
        .filter(|server| {
            let state = web.credentials.status(&server.name).state;
            !matches!(
                state,
                CredentialState::NeedsLogin | CredentialState::LoggedOut
            )
        })
        .count();
    Json(json!({
        "name": "mcp-oauth-bridge",
        "version": env!("CARGO_PKG_VERSION"),
        "status": "ok",
        "servers": { "configured": snapshot.len(), "usable": usable },
    }))
    .into_response()
}

pub(super) async fn servers(State(web): State<Web>) -> Json<Value> {
    let server = |server: &std::sync::Arc<crate::registry::Server>| {
        let status = web.credentials.status(&server.name);
        json!({
            "name": server.name,
            // Some servers take a key in the query.
            "url": crate::net::display_url(&server.config.url),
            "proxy_url": format!("{}/mcp/{}", web.base_url, server.name),
            "auth": server.config.auth,
            "state": status.state.as_str(),
            "reason": status.reason,
            "remedy": status.remedy(&server.name),
        })
    };
    let servers: Vec<Value> = web.registry.snapshot().iter().map(server).collect();
    Json(json!({ "servers": servers }))
}
