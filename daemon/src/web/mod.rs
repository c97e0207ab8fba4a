//! Pages and JSON for people and their tools: health, configured servers, the OAuth redirect.

mod callback;
mod health;

use axum::Router;
use axum::routing::get;

use crate::credentials::Credentials;
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
        .with_state(web)
}
