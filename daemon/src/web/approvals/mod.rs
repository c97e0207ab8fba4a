//! Questions and answers: what waits now, one item, what was, and the answers themselves.

mod arguments;
mod card;
mod decide;
mod events;
mod grants;
mod history;

use axum::extract::{Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::HeaderMap;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use self::arguments::Extent;
pub(super) use self::arguments::laid_out;
use self::card::{Asking, answered, digests, question};
use super::Web;
use super::page::{Section, csrf, page, refusal, wants_page};
use super::visit::Visit;
use crate::approval::{Filter, Item, State as Standing};
use crate::http::Problem;
use crate::http::sessions::Session;
use crate::types::ApprovalId;

/// More are in the list once some of these are answered.
const MAX_LISTED: usize = 100;
/// Answers shown below what waits.
const RECENT: u32 = 5;

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/approvals", get(list))
        .route("/approvals/events", get(events::events))
        .route("/approvals/history", get(history::history))
        .route("/approvals/grants", get(grants::grants))
        .route("/approvals/grants/{id}/revoke", post(grants::revoke))
        .route("/approvals/approve", post(decide::approve_several))
        .route("/approvals/deny", post(decide::deny_several))
        .route("/approvals/{id}", get(item))
        .route("/approvals/{id}/approve", post(decide::approve))
        .route("/approvals/{id}/deny", post(decide::deny))
}

/// The pages about approvals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Waiting,
    History,
    Grants,
}

/// The way between them.
fn parts(current: Part) -> Markup {
    let all = [
        (Part::Waiting, "/approvals", "Waiting"),
        (Part::History, "/approvals/history", "History"),
        (Part::Grants, "/approvals/grants", "Standing permissions"),
    ];
    html! {
        nav.parts aria-label="Approvals" {
            @for (part, address, name) in all {
                a href=(address) aria-current=[(part == current).then_some("page")] { (name) }
            }
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    /// The script asks for what changes, and not for the frame.
    part: Option<String>,
}

/// `GET /approvals`
async fn list(
    State(web): State<Web>,
    Query(Wanted { part }): Query<Wanted>,
    headers: HeaderMap,
    visit: Visit,
) -> Response {
    let pending = web.approvals.pending();
    if !wants_page(&headers) {
        let items: Vec<Value> = pending.iter().map(|item| item_json(item)).collect();
        return Json(json!({ "approvals": items })).into_response();
    }
    let recent = Filter {
        states: answered_states(),
        limit: RECENT,
        ..Filter::default()
    };
    let recent = match web.approvals.history(recent).await {
        Ok(recent) => recent,
        Err(error) => return refusal(&headers, Problem::from(&error)),
    };
    let pin_is_set = web.approvals.pin_state().await.set_at.is_some();
    let live = html! {
        div #live-list data-live="list" data-pending=(pending.len()) {
            (questions(&web, &visit.session, pin_is_set, &pending))
            @if !recent.is_empty() {
                section.recent aria-labelledby="recent" {
                    h2 #recent { "Last answers" }
                    (history::table(&recent))
                }
            }
        }
    };
    if part.is_some() {
        return Html(live.into_string()).into_response();
    }
    let title = match pending.len() {
        0 => "Approvals".to_owned(),
        count => format!("({count}) Approvals"),
    };
    let content = html! {
        div.page-head {
            h1 { "Approvals" }
            div.actions {
                label.toggle hidden { input #sound type="checkbox"; " Sound" }
                button.quiet #help-button type="button" hidden { "Keys" kbd { "?" } }
            }
        }
        (parts(Part::Waiting))
        p #connection.notice.warning role="alert" hidden {}
        (live)
        (help())
    };
    page(&visit.session, Section::Approvals, &title, &content)
}

fn questions(
    web: &Web,
    session: &Session,
    pin_is_set: bool,
    pending: &[std::sync::Arc<Item>],
) -> Markup {
    html! {
        @if pending.is_empty() {
            div.empty {
                p { strong { "Nothing waits for a decision." } }
                p { "When a client calls a tool that asks first, the call appears here, without reloading." }
                p { "In a terminal, the same list is" }
                pre { code { "mcpbridgectl approvals watch" } }
                p { "To try it, call a tool whose rule is “always ask”:" }
                pre { code { "mcpbridgectl call NAME TOOL '{}'" } }
            }
        }
        @if pending.len() > 1 { (several(session, pin_is_set)) }
        @for item in pending.iter().take(MAX_LISTED) {
            (question(item, &Asking { session, pin_is_set, waiting: web.approvals.waiting(item.id) }, Extent::Listed))
        }
        @if pending.len() > MAX_LISTED {
            p.hint { (pending.len() - MAX_LISTED) " more wait. They are shown when some of these are answered." }
        }
    }
}

/// The form that the boxes of all items belong to.
fn several(session: &Session, pin_is_set: bool) -> Markup {
    html! {
        details.card.several {
            summary { "Answer several at once" }
            form #batch method="post" action="/approvals/deny" {
                (csrf(session))
                // What Enter in a field or on a box would press: nothing, because it says nothing.
                button type="submit" disabled hidden {}
                p.hint { "Tick the calls below." button.quiet #pick-all type="button" hidden { "Tick all" } }
                @if pin_is_set {
                    div.pin {
                        label for="batch-pin" { "PIN, to approve" }
                        input type="password" name="pin" id="batch-pin" autocomplete="off" maxlength="128";
                    }
                }
                label for="batch-reason" { "Reason, if they are denied" }
                input type="text" name="reason" id="batch-reason" maxlength="2000" autocomplete="off";
                div.actions {
                    button formaction="/approvals/approve" name="remember" value="once" { "Approve ticked, once each" }
                    button.danger { "Deny ticked" }
                }
            }
        }
    }
}

/// `GET /approvals/{id}`: also where links in other programs lead. Looking decides nothing.
async fn item(
    State(web): State<Web>,
    Path(id): Path<String>,
    headers: HeaderMap,
    visit: Visit,
) -> Response {
    let item = match find(&web, &id).await {
        Ok(item) => item,
        Err(problem) => return refusal(&headers, problem),
    };
    if !wants_page(&headers) {
        return Json(item_json(&item)).into_response();
    }
    item_page(&web, &visit.session, &item, None).await
}

/// The page of one item, below `notice` if there is something to say.
async fn item_page(web: &Web, session: &Session, item: &Item, notice: Option<Markup>) -> Response {
    let asking = Asking {
        session,
        pin_is_set: web.approvals.pin_state().await.set_at.is_some(),
        waiting: web.approvals.waiting(item.id),
    };
    let content = html! {
        div.page-head {
            h1 { "One call" }
            a href="/approvals" { "All that wait" }
        }
        @if let Some(notice) = notice { (notice) }
        p #connection.notice.warning role="alert" hidden {}
        div #live-list data-live="item" {
            @if item.state == Standing::Pending {
                (question(item, &asking, Extent::Whole))
            } @else {
                (answered(item))
            }
        }
        (digests(item))
    };
    let title = format!("{} on {}", item.action.tool, item.action.server);
    let title = crate::types::visible::visible_line(&title);
    page(session, Section::Approvals, &title, &content)
}

async fn find(web: &Web, id: &str) -> Result<std::sync::Arc<Item>, Problem> {
    let not_found = |_| Problem::new(http::StatusCode::NOT_FOUND, "there is no such approval");
    let id: ApprovalId = id.parse().map_err(not_found)?;
    let found = web.approvals.get(id).await;
    found.map_err(|error| Problem::from(&error))
}

fn answered_states() -> Vec<Standing> {
    let states = Standing::ALL.into_iter();
    states.filter(|state| *state != Standing::Pending).collect()
}

/// An item for programs.
fn item_json(item: &Item) -> Value {
    let action = &item.action;
    json!({
        "id": item.id,
        "state": item.state,
        "standing": item.standing(),
        "server": action.server,
        "tool": action.tool,
        "tool_digest": action.tool_digest,
        "arguments": item.arguments(),
        "argument_digest": item.argument_digest(),
        "reason": action.reason,
        "change": action.change,
        "caller": action.caller,
        "asked_at": item.asked_at,
        "expires_at": item.expires_at,
        "decision": item.decision,
        "outcome": item.outcome,
    })
}

fn help() -> Markup {
    let keys = [
        ("j", "next call"),
        ("k", "call before"),
        ("a", "approve once"),
        ("A", "always allow"),
        ("d", "give a reason and deny"),
        ("Enter", "details"),
        ("?", "this list"),
    ];
    html! {
        dialog #help aria-labelledby="help-title" {
            h2 #help-title { "Keys" }
            dl.keys { @for (key, meaning) in keys { dt { kbd { (key) } } dd { (meaning) } } }
            p.hint { "They act on the call that has the focus." }
            label.toggle { input #keys type="checkbox" checked; " Use these keys" }
            form method="dialog" { button { "Close" } }
        }
    }
}
