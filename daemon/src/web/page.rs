//! The frame of every page, and the headers that keep others out of it.

use axum::response::{Html, IntoResponse, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use maud::{DOCTYPE, Markup, html};
use url::form_urlencoded;

use super::Web;
use super::assets;
use super::text::Shown;
use crate::http::Problem;
use crate::http::sessions::Session;

/// Nothing but our own files, nothing inline, no frame around it, and no form that leads elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Where a session begins.
pub(super) const HOME: &str = "/approvals";

const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    // Not `no-referrer`: browsers then hide the origin of our own forms from us as well.
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), clipboard-read=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Adds what a response does not say itself.
pub(super) async fn harden(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// The parts of the site, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Approvals,
    Servers,
    Tools,
    Policies,
    Audit,
}

impl Section {
    const ALL: [Self; 5] = [
        Self::Approvals,
        Self::Servers,
        Self::Tools,
        Self::Policies,
        Self::Audit,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Approvals => "Approvals",
            Self::Servers => "Servers",
            Self::Tools => "Tools",
            Self::Policies => "Policies",
            Self::Audit => "Audit",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Approvals => "/approvals",
            Self::Servers => "/ui/servers",
            Self::Tools => "/ui/tools",
            Self::Policies => "/ui/policies",
            Self::Audit => "/ui/audit",
        }
    }
}

/// A page of a session.
pub(super) fn page(session: &Session, section: Section, title: &str, content: &Markup) -> Response {
    let navigation = html! {
        nav aria-label="Pages" {
            @for one in Section::ALL {
                a href=(one.path()) aria-current=[(one == section).then_some("page")] { (one.name()) }
            }
        }
        form.sign-out method="post" action="/ui/sign-out" {
            (csrf(session))
            button.quiet type="submit" { "Sign out" }
        }
    };
    Html(frame(title, &navigation, content).into_string()).into_response()
}

/// The hidden field that every form needs.
pub(super) fn csrf(session: &Session) -> Markup {
    html! { input type="hidden" name="csrf" value=(session.csrf_token()); }
}

/// The PIN, in a form that may need it. `when` says when it does; empty means always.
pub(super) fn pin_field(id: &str, when: &str) -> Markup {
    html! {
        div.pin {
            label for=(id) { "PIN" @if !when.is_empty() { ", " (when) } }
            input type="password" name="pin" id=(id) required[when.is_empty()] autocomplete="off" maxlength="128";
        }
    }
}

/// The fields of a filter that choose calls of one server or tool.
pub(super) fn call_fields(web: &Web, chosen: &str, tool: &str) -> Markup {
    html! {
        label { "Server"
            select name="server" {
                option value="" { "all" }
                @for server in web.registry.snapshot().iter() {
                    option value=(server.name) selected[chosen == server.name.as_str()] { (server.name) }
                }
            }
        }
        label { "Tool" input type="search" name="tool" value=(tool) maxlength="200"; }
    }
}

/// The address of the page of what is older than `before`, by the filters that are not empty.
pub(super) fn earlier(path: &str, filters: &[(&str, &String)], before: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filters.iter().filter(|(_, value)| !value.is_empty()));
    query.append_pair("before", before);
    format!("{path}?{}", query.finish())
}

/// Why something that was asked for is not done, on the page where it was asked.
pub(super) fn not_done(problem: &Problem) -> Markup {
    html! {
        p.notice.bad role="alert" {
            strong { "Not done: " } (Shown(&problem.detail)) "."
            @if let Some(hint) = &problem.hint { " " (Shown(hint)) "." }
        }
    }
}

/// A page that says one thing, to anybody.
pub(super) fn message(status: StatusCode, title: &str, content: &Markup) -> Response {
    let content = html! { div.message { h1 { (title) } (content) } };
    let html = frame(title, &html! {}, &content).into_string();
    (status, Html(html)).into_response()
}

/// A refusal or failure, as whoever asked can read it best.
pub(super) fn refusal(headers: &HeaderMap, problem: Problem) -> Response {
    if !wants_page(headers) {
        return problem.into_response();
    }
    let title = problem.status.canonical_reason().unwrap_or("Error");
    let content = html! {
        p { (Shown(&problem.detail)) "." }
        @if let Some(hint) = &problem.hint { p.hint { (Shown(hint)) } }
        p { a href=(HOME) { "Back to the pages" } }
    };
    message(problem.status, title, &content)
}

/// Whether a browser asks for a page, and not a program for JSON.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    accept.is_some_and(|accept| accept.windows(9).any(|part| part == b"text/html"))
}

fn frame(title: &str, navigation: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – mcp-oauth-bridge" }
                link rel="icon" href=(assets::icon());
                link rel="stylesheet" href=(assets::style());
                script src=(assets::script()) defer {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.site {
                    a.brand href=(HOME) { "mcp-oauth-bridge" }
                    (navigation)
                }
                main #content tabindex="-1" { (content) }
                p #live.visually-hidden role="status" aria-live="polite" {}
            }
        }
    }
}
