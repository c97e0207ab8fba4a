//! `GET /callback`: where the browser returns after consent.
//!
//! The query is as hostile as any: a page elsewhere can send a browser here. It only counts when
//! its `state` is one that a running sign-in waits for, and that works once.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::Web;
use crate::credentials::{CallbackOutcome, login_command};
use crate::error::{Classify, chain};
use crate::http::problem::http_status;
use crate::oauth::callback::Callback;

/// The code is in this page's URL: no other place may learn it, and nothing may run here.
const PAGE_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
];

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

fn page(status: StatusCode, title: &str, text: &str, hint: &str) -> Response {
    let html = format!(
        include_str!("callback.html"),
        title = escape(title),
        text = escape(text),
        hint = escape(hint),
    );
    (status, PAGE_HEADERS, Html(html)).into_response()
}

/// Texts here may come from an authorization server.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_become_markup() {
        assert_eq!(escape("<b a='x'>&\""), "&lt;b a=&#39;x&#39;&gt;&amp;&quot;");
    }
}
