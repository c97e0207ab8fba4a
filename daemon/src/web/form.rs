//! What a page or a program sends to change something, and the proof that it was meant.
//!
//! A change needs a session and a token that only pages of that session carry. Beyond that, whatever a
//! browser says about where the request comes from must say that it comes from here.

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::Web;
use super::page::{refusal, wants_page};
use super::visit::no_session;
use crate::http::Problem;
use crate::http::limits::{BodyError, BodyLimits};
use crate::http::sessions::Session;
use crate::types::{Decider, Secret};

/// Edited arguments are the largest thing sent here.
const MAX_BODY: u64 = 4 * 1024 * 1024;
const TOKEN_HEADER: &str = "x-csrf-token";

/// A change that a session asks for. Extracted last, and by every route that takes a POST.
pub(super) struct Posted {
    pub session: Session,
    pub headers: HeaderMap,
    fields: Vec<(String, String)>,
}

impl Posted {
    /// The field `name`; None when it is missing or empty.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.fields.iter();
        let mut values = fields.filter(|(field, value)| field == name && !value.is_empty());
        values.next().map(|(_, value)| value.as_str())
    }

    /// The field `name`; None when it is missing.
    pub(super) fn as_sent(&self, name: &str) -> Option<&str> {
        let mut values = self.fields().filter(|(field, _)| *field == name);
        values.next().map(|(_, value)| value)
    }

    /// Every value of `name` that is not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let fields = self.fields.iter();
        fields
            .filter(move |(field, value)| field == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// All fields as they were sent.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.fields.iter();
        fields.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What was typed as the approval PIN.
    pub(super) fn pin(&self) -> Option<Secret> {
        self.field("pin").map(Secret::new)
    }

    pub(super) fn wants_page(&self) -> bool {
        wants_page(&self.headers)
    }

    pub(super) fn decider(&self) -> Decider {
        Decider::Web {
            session: self.session.id(),
        }
    }

    /// It is done: leads a browser on to `page`, so that reloading does not do it again.
    pub(super) fn done(&self, page: &str) -> Response {
        if self.wants_page() {
            Redirect::to(page).into_response()
        } else {
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

impl FromRequest<Web> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let headers = parts.headers;
        if !is_from_here(&headers) {
            let problem = Problem::new(StatusCode::FORBIDDEN, "another site sent this request");
            return Err(refusal(&headers, problem));
        }
        let Some(session) = web.sessions.find(&headers) else {
            return Err(no_session(&headers));
        };
        let read = BodyLimits::new(MAX_BODY).read(&headers, body).await;
        let fields = read
            .map_err(unreadable)
            .and_then(|bytes| parse(&headers, &bytes));
        let fields = fields.map_err(|problem| refusal(&headers, problem))?;
        let posted = Self {
            session,
            headers,
            fields,
        };
        let header = posted.headers.get(TOKEN_HEADER);
        let token = header.and_then(|token| token.to_str().ok());
        let token = token.or_else(|| posted.field("csrf")).unwrap_or_default();
        if !posted.session.is_csrf_token(token) {
            let problem = Problem::new(
                StatusCode::FORBIDDEN,
                "the request does not carry the token of this session",
            )
            .with_hint("reload the page and try again");
            return Err(refusal(&posted.headers, problem));
        }
        Ok(posted)
    }
}

/// Programs say nothing about where a request comes from; browsers do.
fn is_from_here(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_ours = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        authority.is_some() && authority == host
    };
    matches!(site, None | Some(b"same-origin")) && headers.get_all(ORIGIN).iter().all(is_ours)
}

fn unreadable(error: BodyError) -> Problem {
    let status = match error {
        BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
        BodyError::BrokenOff => StatusCode::BAD_REQUEST,
    };
    Problem::new(status, "the body of the request could not be read")
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    let kind = content_type.and_then(|kind| kind.split(';').next());
    match kind.map(|kind| kind.trim().to_ascii_lowercase()).as_deref() {
        Some("application/json") => parse_json(body),
        Some("application/x-www-form-urlencoded") => {
            let pairs = url::form_urlencoded::parse(body);
            Ok(pairs.into_owned().collect())
        }
        None if body.is_empty() => Ok(Vec::new()),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the body is neither a form nor JSON",
        )),
    }
}

/// An object of texts, numbers and lists of texts: what a form can say.
fn parse_json(body: &[u8]) -> Result<Vec<(String, String)>, Problem> {
    let bad = |detail: &str| Problem::new(StatusCode::BAD_REQUEST, detail);
    let object: serde_json::Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| bad("the body is not a JSON object"))?;
    let mut fields = Vec::with_capacity(object.len());
    for (name, value) in object {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let text = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Null => continue,
                Value::Array(_) | Value::Object(_) => {
                    return Err(bad(&format!(
                        "{name:?} is neither a text nor a list of texts"
                    )));
                }
            };
            fields.push((name.clone(), text));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        pairs.collect()
    }

    #[test]
    fn a_browser_must_say_that_a_change_comes_from_here() {
        let host = ("host", "localhost:3000");
        for ours in [
            vec![host],
            vec![host, ("origin", "http://localhost:3000")],
            vec![
                host,
                ("origin", "http://localhost:3000"),
                ("sec-fetch-site", "same-origin"),
            ],
        ] {
            assert!(is_from_here(&headers(&ours)), "{ours:?}");
        }
        for foreign in [
            vec![host, ("origin", "http://localhost:4000")],
            vec![host, ("origin", "http://127.0.0.1:3000")],
            vec![host, ("origin", "https://evil.example")],
            vec![host, ("origin", "null")],
            vec![host, ("sec-fetch-site", "same-site")],
            vec![host, ("sec-fetch-site", "cross-site")],
            vec![host, ("sec-fetch-site", "none")],
        ] {
            assert!(!is_from_here(&headers(&foreign)), "{foreign:?}");
        }
    }

    #[test]
    fn a_form_and_json_say_the_same() {
        let form = headers(&[("content-type", "application/x-www-form-urlencoded")]);
        let json = headers(&[("content-type", "application/json; charset=utf-8")]);
        let expected = [("id", "a"), ("id", "b"), ("reason", "too much")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            parse(&form, b"id=a&id=b&reason=too+much").unwrap(),
            expected
        );
        assert_eq!(
            parse(
                &json,
                br#"{"id": ["a", "b"], "reason": "too much", "x": null}"#
            )
            .unwrap(),
            expected
        );
        assert!(parse(&json, br#"{"id": {}}"#).is_err());
        assert!(parse(&json, b"[]").is_err());
        let text = headers(&[("content-type", "text/plain")]);
        assert_eq!(parse(&text, b"id=a").unwrap_err().status, 415);
    }
}
