//! Errors in the shape that each vendor's clients know.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use super::event::Wire;
use super::refusal::Refusal;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The HTTP answer. SDKs repeat requests on their own; without `may_retry` they are told not to.
pub fn refusal(wire: Wire, refusal: &Refusal, may_retry: bool) -> Response<Body> {
    let mut headers = HeaderMap::new();
    let id = identify(wire, &mut headers);
    let mut body = body(wire, refusal);
    if wire == Wire::Messages {
        body["request_id"] = Value::from(id.to_str().unwrap_or_default());
    }
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status(wire, refusal.status);
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if may_retry {
        headers.extend(refusal.retry.as_deref().cloned().unwrap_or_default());
    } else {
        headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
    }
    response
}

/// The id by which clients report a request: that of the vendor, or one of ours where there is none.
pub fn identify(wire: Wire, headers: &mut HeaderMap) -> HeaderValue {
    let name = match wire {
        Wire::Responses | Wire::Chat => HeaderName::from_static("x-request-id"),
        Wire::Messages => HeaderName::from_static("request-id"),
    };
    headers.entry(name).or_insert_with(fresh_id).clone()
}

/// It names a request in logs and proves nothing, so a number of this process and a count will do.
fn fresh_id() -> HeaderValue {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| {
        let mut bytes = [0; 8];
        // Without it ids come again after a restart, which harms nobody.
        let _ = SystemRandom::new().fill(&mut bytes);
        u64::from_ne_bytes(bytes)
    });
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    HeaderValue::try_from(format!("req_{:016x}{count:08x}", *PROCESS))
        .unwrap_or_else(|_| HeaderValue::from_static("req_0"))
}

/// The same as a JSON body.
pub fn body(wire: Wire, refusal: &Refusal) -> Value {
    let status = refusal.status;
    match wire {
        Wire::Responses | Wire::Chat => {
            let (kind, code) = openai(status);
            json!({ "error": {
                "message": refusal.message,
                "type": refusal.code.filter(|code| *code == HTTP_ERROR).map_or(kind, |_| EXTERNAL),
                "param": refusal.param,
                "code": refusal.code.or(code),
            }})
        }
        Wire::Messages => {
            let mut error = json!({ "type": anthropic(status), "message": located(refusal) });
            if let Some(code) = refusal.code.filter(|code| *code != HTTP_ERROR) {
                error["details"] = json!({ "error_code": code });
            }
            json!({ "type": "error", "error": error })
        }
    }
}

/// A server of the request failed, not the vendor.
const HTTP_ERROR: &str = "http_error";
const EXTERNAL: &str = "external_connector_error";

/// Where the shape has no place for it, the field is in the message.
fn located(refusal: &Refusal) -> String {
    match &refusal.param {
        Some(param) if !refusal.message.starts_with(param.as_str()) => {
            format!("{param}: {}", refusal.message)
        }
        _ => refusal.message.clone(),
    }
}

/// Anthropic says 400 for servers that cannot be reached, and only Anthropic says 529.
fn status(wire: Wire, status: StatusCode) -> StatusCode {
    match (wire, status.as_u16()) {
        (Wire::Messages, 424) => StatusCode::BAD_REQUEST,
        (Wire::Responses | Wire::Chat, 529) => StatusCode::SERVICE_UNAVAILABLE,
        _ => status,
    }
}

/// `error.type` and `error.code`.
pub fn openai(status: StatusCode) -> (&'static str, Option<&'static str>) {
    match status.as_u16() {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        402 => ("insufficient_quota", Some("insufficient_quota")),
        404 => ("invalid_request_error", None),
        424 => (EXTERNAL, Some(HTTP_ERROR)),
        429 => ("rate_limit_error", Some("rate_limit_exceeded")),
        400..=499 => ("invalid_request_error", None),
        _ => ("server_error", Some("server_error")),
    }
}

/// `error.type`.
pub fn anthropic(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        _ => "api_error",
    }
}

/// The task that answers is gone.
pub fn interrupted() -> Refusal {
    let message = "The bridge stopped before it could answer. Send the request again.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::refusal::THREADS_UNSUPPORTED;

    #[test]
    fn a_refusal_has_the_shape_of_the_vendor() {
        let at = Refusal::invalid("tools[0].server_url", "it is private");
        assert_eq!(
            body(Wire::Responses, &at).to_string(),
            r#"{"error":{"message":"it is private","type":"invalid_request_error","param":"tools[0].server_url","code":null}}"#
        );
        assert_eq!(
            body(Wire::Messages, &at).to_string(),
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"tools[0].server_url: it is private"}}"#
        );
    }

    #[test]
    fn a_request_keeps_the_id_of_the_vendor_and_gets_one_where_it_has_none() {
        let mut headers = HeaderMap::new();
        headers.insert("request-id", HeaderValue::from_static("req_vendor"));
        assert_eq!(identify(Wire::Messages, &mut headers), "req_vendor");
        let ours = identify(Wire::Chat, &mut headers);
        assert_eq!(headers["x-request-id"], ours);
        assert_ne!(ours, identify(Wire::Chat, &mut HeaderMap::new()));
        let refused = Refusal::new(StatusCode::UNAUTHORIZED, "x");
        assert!(refusal(Wire::Messages, &refused, true).headers()["request-id"].len() > 4);
    }

    #[test]
    fn a_server_that_cannot_be_listed_is_424_to_one_vendor_and_400_to_the_other() {
        let unlisted = Refusal::new(StatusCode::FAILED_DEPENDENCY, "x").with_code(HTTP_ERROR);
        assert_eq!(refusal(Wire::Responses, &unlisted, true).status(), 424);
        assert_eq!(refusal(Wire::Messages, &unlisted, true).status(), 400);
        let overloaded = Refusal::new(StatusCode::from_u16(529).unwrap(), "x");
        assert_eq!(refusal(Wire::Responses, &overloaded, true).status(), 503);
        assert_eq!(refusal(Wire::Messages, &overloaded, true).status(), 529);
        let said = body(Wire::Responses, &unlisted);
        assert_eq!(said["error"]["type"], EXTERNAL);
        assert_eq!(said["error"]["code"], HTTP_ERROR);
    }

    #[test]
    fn a_client_is_told_not_to_repeat_what_may_have_run() {
        let failed = Refusal::new(StatusCode::BAD_GATEWAY, "x");
        let response = refusal(Wire::Messages, &failed, false);
        assert_eq!(response.headers()[SHOULD_RETRY], "false");
        assert!(
            !refusal(Wire::Messages, &failed, true)
                .headers()
                .contains_key(SHOULD_RETRY)
        );
        let mut said = HeaderMap::new();
        said.insert("retry-after", HeaderValue::from_static("7"));
        said.insert("retry-after-ms", HeaderValue::from_static("7000"));
        said.insert("set-cookie", HeaderValue::from_static("a=b"));
        let failed = failed.with_retry(&said);
        let response = refusal(Wire::Messages, &failed, true);
        assert_eq!(response.headers()["retry-after"], "7");
        assert_eq!(response.headers()["retry-after-ms"], "7000");
        assert!(!response.headers().contains_key("set-cookie"));
        let response = refusal(Wire::Messages, &failed, false);
        assert!(!response.headers().contains_key("retry-after"));
    }

    #[test]
    fn a_code_by_which_a_client_recovers_is_where_it_looks_for_it() {
        let threads = Refusal::invalid("thread", "no").with_code(THREADS_UNSUPPORTED);
        let said = body(Wire::Messages, &threads);
        let code = &said["error"]["details"]["error_code"];
        assert_eq!(code, THREADS_UNSUPPORTED);
    }
}
