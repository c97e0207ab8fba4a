//! Pages for people, and JSON for their tools: approvals, servers, tools, policies, audit, health, the
//! OAuth redirect.
//!
//! Pages are rendered here and work without their script, which only saves reloading. Everything but
//! health, assets and the redirect needs a session (`http::sessions`), and every change a token of that
//! session besides (`form`).

mod approvals;
mod assets;
mod audit;
mod callback;
mod form;
mod health;
mod open;
mod page;
mod policies;
mod servers;
#[cfg(test)]
mod tests;
mod text;
mod tools;
mod visit;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::routing::{get, post};

use crate::admin::Admin;
use crate::approval::Approvals;
use crate::audit::Audit;
use crate::catalog::Catalog;
use crate::credentials::Credentials;
use crate::http::Problem;
use crate::http::sessions::Sessions;
use crate::lifecycle::Lifecycle;
use crate::registry::Registry;

#[derive(Clone)]
pub struct Web {
    pub admin: Admin,
    pub registry: Registry,
    pub credentials: Credentials,
    pub approvals: Approvals,
    pub catalog: Catalog,
    pub audit: Audit,
    pub sessions: Sessions,
    pub lifecycle: Lifecycle,
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
        .route("/ui/open", get(open::open))
        .route("/ui/sign-out", post(open::sign_out))
        .route("/ui/assets/{file}", get(assets::asset))
        .route("/ui/servers", get(servers::servers))
        .route("/ui/servers/{server}/login", post(servers::login))
        .route("/ui/tools", get(tools::overview))
        .route("/ui/tools/{server}", get(tools::tools))
        .route("/ui/tools/{server}/approve", post(tools::approve))
        .route("/ui/policies", get(policies::policies))
        .route("/ui/policies/{server}/set", post(policies::set))
        .route("/ui/policies/{server}/unset", post(policies::unset))
        .route("/ui/policies/{server}/options", post(policies::options_set))
        .route("/ui/audit", get(audit::audit))
        .route("/ui/audit/verify", post(audit::verify))
        .merge(approvals::routes())
        .fallback(no_such_page)
        .method_not_allowed_fallback(wrong_method)
        .layer(map_response(page::harden))
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
