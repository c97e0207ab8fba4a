//! Opening a session with a one-time link, and ending it.

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{HeaderValue, REFERRER_POLICY, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use maud::html;

use super::Web;
use super::form::Posted;
use super::page;
use crate::http::Problem;

/// `GET /ui/open?code=…`
pub(super) async fn open(
    State(web): State<Web>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    // What only looks ahead must not use the link up.
    if method != Method::GET || headers.contains_key("sec-purpose") {
        return StatusCode::NO_CONTENT.into_response();
    }
    let query = query.unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let code = pairs.find(|(name, _)| name == "code");
    let code = code.map(|(_, code)| code).unwrap_or_default();
    let opened = match web.sessions.redeem(&code) {
        Ok(opened) => opened,
        Err(error) if page::wants_page(&headers) => {
            return page::message(
                Problem::from(&error).status,
                "This link does not work",
                &html! {
                    p { "It was used already, or it is older than 30 seconds." }
                    p { "For a new one, run" }
                    pre { code { "mcpbridgectl ui" } }
                },
            );
        }
        Err(error) => return Problem::from(&error).into_response(),
    };
    if let Some(former) = web.sessions.find(&headers) {
        web.sessions.end(&former);
    }
    tracing::info!(session = opened.session.id(), "a browser session is opened");
    // The address with the code stays in no referrer.
    let headers = [
        (SET_COOKIE, opened.set_cookie),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, Redirect::to(page::HOME)).into_response()
}

/// `POST /ui/sign-out`
pub(super) async fn sign_out(State(web): State<Web>, posted: Posted) -> Response {
    let removal = web.sessions.end(&posted.session);
    tracing::info!(session = posted.session.id(), "a browser session is ended");
    let mut response = page::message(
        StatusCode::OK,
        "Signed out",
        &html! {
            p { "This browser can no longer decide anything. To come back, run" }
            pre { code { "mcpbridgectl ui" } }
        },
    );
    if let Some(removal) = removal {
        response.headers_mut().insert(SET_COOKIE, removal);
    }
    response
}
