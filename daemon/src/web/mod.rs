//! Pages and JSON for people and their tools: health, configured servers, the OAuth redirect.

mod callback;
mod health;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use crate::credentials::Credentials;
use crate::http::Problem;
use crate::registry::Registry;

#[derive(Clone)]
pub struct Web {
    pub registry: Registry,
    pub credentials: Credentials,
    /// What clients use, such as `http://localhost:3000`.
    pub base_url: String,
}

pub fn router(web: Web) -> Router {
    Router::new()
        .route("/", get(health::root))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/config/servers", get(health::servers))
        .route("/callback", get(callback::callback))
        .fallback(no_such_page)
        .method_not_allowed_fallback(wrong_method)
        .with_state(web)
}

async fn no_such_page() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address")
        .with_hint("MCP servers are at /mcp/NAME; /config/servers lists them")
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "this address does not take this method",
    )
}
