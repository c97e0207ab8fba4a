//! Error bodies of our own routes: RFC 9457 problem JSON.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::error::{Classify, ErrorKind, chain};

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A refusal or failure, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub detail: String,
    /// What the person should do next.
    pub hint: Option<String>,
}

#[derive(Serialize)]
struct Members<'a> {
    // RFC 9457 §4.2.1: `about:blank` says that the title is that of the status code.
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            hint: None,
        }
    }

    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl<E: Classify> From<&E> for Problem {
    fn from(error: &E) -> Self {
        // The causes of an internal fault are for the log, not for whoever sent the request.
        let detail = match error.kind() {
            ErrorKind::Internal => error.to_string(),
            _ => chain(error),
        };
        Self {
            status: http_status(error.kind()),
            detail,
            hint: error.hint(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let members = Members {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            hint: self.hint.as_deref(),
        };
        let json = serde_json::to_vec(&members).unwrap_or_default();
        let mut response = Response::new(Body::from(json));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
        response
    }
}

/// The HTTP status of a failure on our own routes.
pub fn http_status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        // Not 401: that demands a challenge (RFC 9110 §15.5.2), and an MCP client that sees one
        // starts OAuth against our origin.
        ErrorKind::NeedsLogin | ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::UpstreamFault => StatusCode::BAD_GATEWAY,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_problem_is_problem_json_with_its_hint() {
        let problem = Problem::new(StatusCode::FORBIDDEN, "no").with_hint("ask");
        let response = problem.into_response();
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["title"], "Forbidden");
        assert_eq!(json["status"], 403);
        assert_eq!(json["hint"], "ask");
    }
}
