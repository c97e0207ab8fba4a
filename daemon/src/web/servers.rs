//! The configured servers: whether each can be used, and the way to sign in.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};

use super::Web;
use super::form::Posted;
use super::page::{self, Section, csrf, page, refusal};
use super::text::{Shown, moment};
use super::tools;
use super::visit::Visit;
use crate::config::AuthMode;
use crate::credentials::{LoginOptions, State as Credential, Status, Step};
use crate::http::Problem;
use crate::http::sessions::Session;
use crate::registry::Server;

/// How long the page waits for an authorization server to be found and a client to be registered.
const PATIENCE: Duration = Duration::from_secs(30);

/// `GET /ui/servers`
pub(super) async fn servers(State(web): State<Web>, visit: Visit) -> Response {
    let snapshot = web.registry.snapshot();
    let content = html! {
        h1 { "Servers" }
        @if snapshot.is_empty() {
            div.empty {
                p { "No server is configured. Add one and sign in to it with" }
                pre { code { "mcpbridgectl add stripe https://mcp.stripe.com" } }
            }
        }
        div #servers data-refresh {
            @for server in snapshot.iter() {
                (card(&web, &visit.session, server))
            }
        }
    };
    page(&visit.session, Section::Servers, "Servers", &content)
}

fn card(web: &Web, session: &Session, server: &Server) -> Markup {
    let status = web.credentials.status(&server.name);
    let name = server.name.as_str();
    let (tone, state) = state(status.state);
    html! {
        article.card aria-labelledby=(format!("server-{name}")) {
            div.card-head {
                h2 id=(format!("server-{name}")) { (name) }
                span.chip.(tone) { (state) }
            }
            @if let Some(reason) = &status.reason { p { (Shown(reason)) } }
            dl.facts {
                dt { "Upstream" } dd { code { (Shown(&crate::net::display_url(&server.config.url))) } }
                dt { "For clients" } dd { code { (web.base_url) "/mcp/" (name) } }
                (sign_in(&status))
                dt { "Tools" }
                dd { a href=(tools::address(server)) { "Show" } " " (tools::summary(web.catalog.server(&server.name).as_deref())) }
                dt { "Policy" }
                dd { a href=(format!("/ui/policies#server-{name}")) { "Where no rule fits: " (server.config.policy.default.in_words()) } }
            }
            div.actions {
                @if server.config.auth == AuthMode::Oauth {
                    form method="post" action=(format!("/ui/servers/{name}/login")) target="_blank" {
                        (csrf(session))
                        button.primary[needs_person(status.state)] type="submit" {
                            @if needs_person(status.state) { "Sign in" } @else { "Sign in again" }
                        }
                    }
                }
                @if let Some(remedy) = status.remedy(&server.name) {
                    span.hint { "or run " code { (Shown(&remedy)) } }
                }
            }
        }
    }
}

fn sign_in(status: &Status) -> Markup {
    html! {
        @if let Some(issuer) = &status.issuer { dt { "Signed in at" } dd { (Shown(issuer)) } }
        @if !status.scopes.is_empty() { dt { "Scopes" } dd { (Shown(&status.scopes.join(" "))) } }
        @if let Some(at) = status.expires_at { dt { "Token until" } dd { (moment(at)) } }
    }
}

fn needs_person(state: Credential) -> bool {
    matches!(state, Credential::LoggedOut | Credential::NeedsLogin)
}

fn state(state: Credential) -> (&'static str, &'static str) {
    match state {
        Credential::Active => ("good", "ready"),
        Credential::Refreshing => ("good", "ready, renewing"),
        Credential::Backoff => ("warning", "renewing fails"),
        Credential::LoggedOut => ("bad", "signed out"),
        Credential::NeedsLogin => ("bad", "sign-in needed"),
    }
}

/// `POST /ui/servers/{server}/login`: leads to the page where the person consents.
pub(super) async fn login(
    State(web): State<Web>,
    Path(server): Path<String>,
    posted: Posted,
) -> Response {
    let fail = |problem| refusal(&posted.headers, problem);
    let server = match web.registry.get(&server) {
        Ok(server) => server,
        Err(error) => return fail(Problem::from(&error)),
    };
    let options = LoginOptions { force: true };
    let steps = web.credentials.login(&server.name, &server.config, options);
    let mut steps = match steps {
        Ok(steps) => steps,
        Err(error) => return fail(Problem::from(&error)),
    };
    let arrived = steps.wait_for(|step| !matches!(step, Step::Working(_)));
    let step = match tokio::time::timeout(PATIENCE, arrived).await {
        Ok(Ok(step)) => step.clone(),
        Ok(Err(_)) | Err(_) => {
            let late = "the authorization server was not found in time";
            return fail(Problem::new(StatusCode::GATEWAY_TIMEOUT, late));
        }
    };
    match step {
        Step::AuthorizationRequired { url, issuer, .. } => leave(&url, &issuer),
        Step::Failed(error) => fail(Problem::from(&error)),
        Step::Completed | Step::Working(_) => page::message(
            StatusCode::OK,
            "Signed in",
            &html! { p { (server.name) " is ready to use. You can close this page." } },
        ),
    }
}

/// A page that goes on by itself: the policy for forms forbids a redirect to another site.
fn leave(url: &str, issuer: &str) -> Response {
    page::message(
        StatusCode::OK,
        "To the sign-in",
        &html! {
            meta http-equiv="refresh" content=(format!("0; url={url}"));
            p { a href=(url) { "Continue to " (Shown(issuer)) } }
        },
    )
}
