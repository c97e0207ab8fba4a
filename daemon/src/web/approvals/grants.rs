//! `GET /approvals/grants`: what needs no further decision, and the way to take that back.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};

use super::super::Web;
use super::super::form::Posted;
use super::super::page::{Section, csrf, page, refusal};
use super::super::text::{Shown, moment};
use super::super::visit::Visit;
use super::arguments::{Extent, arguments};
use super::{Part, parts};
use crate::approval::Grant;
use crate::http::Problem;
use crate::http::sessions::Session;
use crate::types::ApprovalId;

const ADDRESS: &str = "/approvals/grants";

pub(super) async fn grants(State(web): State<Web>, headers: HeaderMap, visit: Visit) -> Response {
    let grants = match web.approvals.grants().await {
        Ok(grants) => grants,
        Err(error) => return refusal(&headers, Problem::from(&error)),
    };
    let content = html! {
        h1 { "Standing permissions" }
        (parts(Part::Grants))
        @if grants.is_empty() {
            div.empty {
                p { "There is none. “Always allow” and “Approve for” give one, for a tool as it is now." }
                p { "In a terminal:" }
                pre { code { "mcpbridgectl approvals grants" } }
            }
        } @else {
            p.hint { "Calls that fit one of these run without a question. A permission ends when the tool or the server's address changes." }
        }
        div data-refresh { @for grant in &grants { (card(&visit.session, grant)) } }
    };
    page(
        &visit.session,
        Section::Approvals,
        "Standing permissions",
        &content,
    )
}

fn card(session: &Session, grant: &Grant) -> Markup {
    let id = grant.id.as_str();
    html! {
        article.card aria-labelledby=(format!("grant-{id}")) {
            div.card-head {
                h2 id=(format!("grant-{id}")) { bdi { (Shown(&grant.tool)) } " " span.on { "on " (grant.server) } }
                form method="post" action=(format!("{ADDRESS}/{id}/revoke")) {
                    (csrf(session))
                    button.danger aria-describedby=(format!("grant-{id}")) { "Take back" }
                }
            }
            dl.facts {
                dt { "For calls of" }
                dd { @match &grant.principal { Some(principal) => code { (Shown(principal)) }, None => "anybody" } }
                dt { "Given by" } dd { (Shown(&grant.by.to_string())) " at " (moment(grant.given_at)) }
                dt { "Until" }
                dd { @match grant.expires_at { Some(end) => (moment(end)), None => "the tool changes" } }
                dt { "Given with" } dd { a href=(format!("/approvals/{id}")) { code { (id) } } }
                @if grant.argument_digest.is_none() { dt { "Arguments" } dd { "any" } }
            }
            @if let Some(digest) = &grant.argument_digest {
                div.sent {
                    h3 { "With exactly these arguments" }
                    @match &grant.arguments {
                        Some(text) => (arguments(text, Extent::Listed)),
                        None => p.hint { "They are not kept; their digest is " code title=(digest) { (digest.short()) } },
                    }
                }
            }
        }
    }
}

/// `POST /approvals/grants/{id}/revoke`
pub(super) async fn revoke(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let Ok(id) = id.parse::<ApprovalId>() else {
        let problem = Problem::new(StatusCode::NOT_FOUND, "there is no such permission");
        return refusal(&posted.headers, problem);
    };
    match web.approvals.revoke_grant(id, posted.decider()).await {
        Ok(_) => posted.done(ADDRESS).into_response(),
        Err(error) => refusal(&posted.headers, Problem::from(&error)),
    }
}
