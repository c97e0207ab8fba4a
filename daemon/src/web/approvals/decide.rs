//! The answers: forms of a page, or JSON of a program.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::super::Web;
use super::super::form::Posted;
use super::super::page::{Section, not_done, page, refusal};
use super::super::text::Shown;
use super::{find, item_json, item_page};
use crate::approval::{ApprovalError, Item, Remember, Verdict};
use crate::http::Problem;
use crate::types::ApprovalId;

/// One request answers no more than the queue can hold for long.
const MAX_AT_ONCE: usize = 1_000;

/// `POST /approvals/{id}/approve`
pub(super) async fn approve(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    let verdict = approval(&posted);
    one(&web, &id, &posted, verdict).await
}

/// `POST /approvals/{id}/deny`
pub(super) async fn deny(
    State(web): State<Web>,
    Path(id): Path<String>,
    posted: Posted,
) -> Response {
    one(&web, &id, &posted, Ok(denial(&posted))).await
}

/// `POST /approvals/approve`
pub(super) async fn approve_several(State(web): State<Web>, posted: Posted) -> Response {
    let verdict = approval(&posted);
    several(&web, &posted, verdict).await
}

/// `POST /approvals/deny`
pub(super) async fn deny_several(State(web): State<Web>, posted: Posted) -> Response {
    several(&web, &posted, Ok(denial(&posted))).await
}

fn approval(posted: &Posted) -> Result<Verdict, Problem> {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
    let remember = match (posted.field("remember"), posted.field("for_seconds")) {
        (Some("once"), _) | (None, None) => Remember::Once,
        (Some("for"), Some(seconds)) => Remember::For {
            seconds: seconds
                .parse()
                .map_err(|_| bad("for_seconds is not a number of seconds"))?,
        },
        (Some("always"), _) => Remember::Always { arguments: false },
        (Some("always_arguments"), _) => Remember::Always { arguments: true },
        _ => {
            return Err(bad(
                "remember is one of once, for (with for_seconds), always and always_arguments",
            ));
        }
    };
    Ok(Verdict::Approve {
        remember,
        // Emptied is not unchanged: it is refused where it is read as JSON.
        arguments: posted.as_sent("arguments").map(str::to_owned),
    })
}

fn denial(posted: &Posted) -> Verdict {
    Verdict::Deny {
        reason: posted.field("reason").map(str::to_owned),
    }
}

async fn one(web: &Web, id: &str, posted: &Posted, verdict: Result<Verdict, Problem>) -> Response {
    let (item, verdict) = match (find(web, id).await, verdict) {
        (Ok(item), Ok(verdict)) => (item, verdict),
        (Err(problem), _) | (_, Err(problem)) => return refusal(&posted.headers, problem),
    };
    let pin = posted.pin();
    let decided = web
        .approvals
        .decide_one(item.id, verdict, posted.decider(), pin.as_ref());
    match decided.await {
        Ok(item) if posted.wants_page() => {
            Redirect::to(&format!("/approvals/{}", item.id)).into_response()
        }
        Ok(item) => Json(item_json(&item)).into_response(),
        Err(error) if posted.wants_page() => {
            let problem = Problem::from(&error);
            // What is there now, which may be another's answer.
            let item = find(web, id).await.unwrap_or(item);
            let notice = not_done(&problem);
            let page = item_page(web, &posted.session, &item, Some(notice)).await;
            (problem.status, page).into_response()
        }
        Err(error) => Problem::from(&error).into_response(),
    }
}

async fn several(web: &Web, posted: &Posted, verdict: Result<Verdict, Problem>) -> Response {
    let fail = |problem| refusal(&posted.headers, problem);
    let ids: Result<Vec<ApprovalId>, _> = posted.all("id").map(str::parse).collect();
    let (ids, verdict) = match (ids, verdict) {
        (Ok(ids), Ok(verdict)) => (ids, verdict),
        (_, Err(problem)) => return fail(problem),
        (Err(error), _) => {
            return fail(Problem::new(StatusCode::BAD_REQUEST, error.to_string()));
        }
    };
    if ids.is_empty() || ids.len() > MAX_AT_ONCE {
        let detail = "no call was ticked, or too many at once";
        return fail(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let pin = posted.pin();
    let decided = web
        .approvals
        .decide(&ids, verdict, posted.decider(), pin.as_ref());
    let outcomes = match decided.await {
        Ok(outcomes) => outcomes,
        Err(error) => return fail(Problem::from(&error)),
    };
    let outcomes: Vec<_> = ids.into_iter().zip(outcomes).collect();
    if !posted.wants_page() {
        let outcomes: Vec<Value> = outcomes
            .iter()
            .map(|(id, outcome)| match outcome {
                Ok(item) => json!({ "id": id, "decided": true, "state": item.state }),
                Err(error) => json!({ "id": id, "decided": false, "detail": error.to_string() }),
            })
            .collect();
        return Json(json!({ "outcomes": outcomes })).into_response();
    }
    let content = html! {
        h1 { "Answered" }
        ul.outcomes {
            @for (id, outcome) in &outcomes {
                li { (line(*id, outcome.as_deref())) }
            }
        }
        p { a href="/approvals" { "All that wait" } }
    };
    page(&posted.session, Section::Approvals, "Answered", &content)
}

fn line(id: ApprovalId, outcome: Result<&Item, &ApprovalError>) -> Markup {
    html! {
        a href=(format!("/approvals/{id}")) { code { (id) } } " "
        @match outcome {
            Ok(item) => {
                (super::card::state_chip(item.state)) " "
                bdi { (Shown(&item.action.tool)) } " on " (item.action.server)
            }
            Err(error) => span.chip.bad { (Shown(&error.to_string())) },
        }
    }
}
