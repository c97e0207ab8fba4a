//! `GET /callback`: where the browser returns after consent.
//!
//! The query is as hostile as any: a page elsewhere can send a browser here. It only counts when
//! its `state` is one that a running sign-in waits for, and that works once.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, REFERRER_POLICY};
use maud::html;

use super::Web;
use super::page::message;
use super::text::Shown;
use crate::credentials::{CallbackOutcome, login_command};
use crate::error::{Classify, chain};
use crate::http::problem::http_status;
use crate::oauth::callback::Callback;

pub(super) async fn callback(State(web): State<Web>, RawQuery(query): RawQuery) -> Response {
    let callback = match Callback::parse(query.as_deref().unwrap_or_default()) {
        Ok(callback) => callback,
        Err(error) => {
            let text = format!("This is not an answer to a sign-in: {}.", chain(&error));
            return page(StatusCode::BAD_REQUEST, "Sign-in failed", &text, "");
        }
    };
    match web.credentials.complete_login(callback, None).await {
        CallbackOutcome::Completed(server) => page(
            StatusCode::OK,
            "Signed in",
            &format!("{server} is ready to use. You can close this page."),
            "",
        ),
        CallbackOutcome::AskedAnew(server) => page(
            StatusCode::OK,
            "Once more, please",
            &format!(
                "The authorization server of {server} had forgotten this bridge, which has introduced itself again."
            ),
            "Consent on the page that opens now, or on the URL in your terminal. You can close this one.",
        ),
        CallbackOutcome::Failed { server, error } => page(
            http_status(error.kind()),
            "Sign-in failed",
            &format!("{server}: {}.", chain(&error)),
            &error
                .hint()
                .unwrap_or_else(|| format!("run `{}`", login_command(&server, &[]))),
        ),
        CallbackOutcome::Unknown | CallbackOutcome::Misdirected(_) => page(
            StatusCode::BAD_REQUEST,
            "Nothing is waiting for this sign-in",
            "It was completed already, has expired, or did not start here.",
            "If you still need it, start again with `mcpbridgectl login NAME`.",
        ),
    }
}

/// The code is in this page's URL, which no other place may learn.
fn page(status: StatusCode, title: &str, text: &str, hint: &str) -> Response {
    let content = html! {
        p { (Shown(text)) }
        @if !hint.is_empty() { p.hint { (Shown(hint)) } }
    };
    let mut response = message(status, title, &content);
    let no_referrer = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(REFERRER_POLICY, no_referrer);
    response
}
