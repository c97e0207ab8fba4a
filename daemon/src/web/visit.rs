//! Who looks at a page: the session of a request, or the way to get one.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use maud::html;

use super::Web;
use super::page::{self, wants_page};
use crate::http::Problem;
use crate::http::sessions::Session;

/// Extracted by every page of a session.
pub(super) struct Visit {
    pub session: Session,
}

impl FromRequestParts<Web> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Response> {
        match web.sessions.find(&parts.headers) {
            Some(session) => Ok(Self { session }),
            None if came_by_a_link(parts) => Err(once_more(parts)),
            None => Err(no_session(&parts.headers)),
        }
    }
}

pub(super) fn no_session(headers: &HeaderMap) -> Response {
    if !wants_page(headers) {
        let problem = Problem::new(
            StatusCode::FORBIDDEN,
            "this address needs a browser session",
        )
        .with_hint("run `mcpbridgectl ui`");
        return page::refusal(headers, problem);
    }
    page::message(
        StatusCode::FORBIDDEN,
        "Not signed in",
        &html! {
            p { "These pages open with a link that works once. In a terminal, run" }
            pre { code { "mcpbridgectl ui" } }
            p.hint { "Sessions end after 12 hours without use, and when the daemon restarts." }
        },
    )
}

/// Whether the person followed a link on a page of another site. Browsers keep our cookie back then.
fn came_by_a_link(parts: &Parts) -> bool {
    let is = |name: &str, wanted: &[&[u8]]| {
        let value = parts.headers.get(name).map(HeaderValue::as_bytes);
        value.is_some_and(|value| wanted.contains(&value))
    };
    parts.method == Method::GET
        && is("sec-fetch-site", &[b"cross-site", b"same-site"])
        && is("sec-fetch-mode", &[b"navigate"])
        && is("sec-fetch-dest", &[b"document"])
}

/// Has the browser ask again from a page of ours, now with the cookie. Looking decides nothing.
fn once_more(parts: &Parts) -> Response {
    let target = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    page::message(
        StatusCode::OK,
        "One moment",
        &html! {
            meta http-equiv="refresh" content=(format!("0; url={target}"));
            p { a href=(target) { "Continue to the page" } }
        },
    )
}
