//! How the proxy says no: the only place here that chooses status codes and JSON-RPC shapes.
//!
//! Never 401 or 403: clients would start OAuth against us. What a person or a model can act on is
//! answered with HTTP 200 in the protocol itself, a tool call with a result that the model can read.
//! Ids come back as they came.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};

use crate::error::{Classify, ErrorKind};
use crate::http::Problem;
use crate::http::limits::BodyError;
use crate::mcp::{Answer, Envelope, Message, codes};
use crate::pipeline::CallError;

/// Of a tool's name, which clients choose.
const NAME_SHOWN: usize = 128;

/// How an error is told, before anyone has looked at what was asked.
enum Manner {
    /// In the protocol, to every request in the body, with HTTP 200.
    Spoken(i32),
    /// As an error of the protocol; where nobody waits for an answer, as a failed HTTP exchange.
    Failed(StatusCode, i32),
}

fn manner(error: &CallError) -> Manner {
    use Manner::{Failed, Spoken};
    // As a server answers for a tool it does not have.
    if error.hidden_tool().is_some() {
        return Failed(StatusCode::OK, codes::INVALID_PARAMS);
    }
    match error {
        CallError::UnknownServer => Failed(StatusCode::NOT_FOUND, codes::REFUSED),
        CallError::Envelope(error) => Failed(StatusCode::BAD_REQUEST, error.code()),
        CallError::Headers(error) => Failed(StatusCode::BAD_REQUEST, error.code()),
        CallError::Arguments(_) => Failed(StatusCode::BAD_REQUEST, codes::INVALID_PARAMS),
        CallError::Media(_) => Failed(StatusCode::UNSUPPORTED_MEDIA_TYPE, codes::INVALID_REQUEST),
        CallError::NoDiscovery(_) => Failed(StatusCode::NOT_FOUND, codes::METHOD_NOT_FOUND),
        CallError::Busy(_) => Failed(StatusCode::SERVICE_UNAVAILABLE, codes::REFUSED),
        CallError::Redirected { .. } | CallError::Unasked { .. } | CallError::Unreadable { .. } => {
            Failed(StatusCode::BAD_GATEWAY, codes::UPSTREAM_FAULT)
        }
        CallError::Upstream(error) => match error.kind() {
            ErrorKind::InvalidInput => Failed(StatusCode::BAD_REQUEST, codes::REFUSED),
            ErrorKind::TimedOut => Failed(StatusCode::GATEWAY_TIMEOUT, codes::UPSTREAM_FAULT),
            _ => Failed(StatusCode::BAD_GATEWAY, codes::UPSTREAM_FAULT),
        },
        CallError::State(_) => Failed(StatusCode::OK, codes::INVALID_PARAMS),
        CallError::Refused { .. }
        | CallError::Forbidden(_)
        | CallError::Client(_)
        | CallError::NoId(_)
        | CallError::NotAlone(_) => Spoken(codes::DENIED),
        CallError::Approval(_)
        | CallError::Claim(_)
        | CallError::NotRecorded(_)
        | CallError::Seal(_)
        | CallError::Cancelled
        | CallError::Withheld
        | CallError::Overtaken(_)
        | CallError::Unwritable => Spoken(codes::REFUSED),
        CallError::Unauthorized(_)
        | CallError::WantsCredential(_)
        | CallError::InsufficientScope { .. } => Spoken(codes::LOGIN_NEEDED),
        CallError::Credential(error) => match error.kind() {
            ErrorKind::NeedsLogin => Spoken(codes::LOGIN_NEEDED),
            _ => Spoken(codes::REFUSED),
        },
    }
}

/// The answer to a request that `error` kept from its server. `body` is read again for its ids.
pub(super) fn refusal(error: &CallError, method: &Method, body: &[u8]) -> Response {
    let text = match error.hidden_tool() {
        Some(tool) => format!(
            "Unknown tool: {}",
            &tool[..tool.floor_char_boundary(NAME_SHOWN)]
        ),
        None => error.told(),
    };
    // Whether the client may send arrays was judged before; here they are just several ids.
    let envelope = Envelope::parse(body, true).ok();
    let asked = envelope
        .as_ref()
        .map(Envelope::messages)
        .unwrap_or_default();
    let is_batch = envelope.as_ref().is_some_and(Envelope::is_batch);
    let nobody_waits = asked.iter().all(|message| message.id().is_none());
    match manner(error) {
        Manner::Failed(StatusCode::OK, code) if nobody_waits => {
            let answer = Answer::failure(None, code, &text);
            respond(StatusCode::BAD_REQUEST, vec![answer], false)
        }
        Manner::Failed(status, code) if nobody_waits => {
            respond(status, vec![Answer::failure(None, code, &text)], false)
        }
        Manner::Failed(status, code) => {
            let ids = asked.iter().filter_map(Message::id);
            let answers = ids
                .map(|id| Answer::failure(Some(id), code, &text))
                .collect();
            respond(status, answers, is_batch)
        }
        // A message that is not accepted gets a 4xx (2026-07-28, streamable HTTP); a stream or
        // session that cannot be had now, a 503.
        Manner::Spoken(code) if nobody_waits => {
            let status = match *method {
                Method::POST => StatusCode::BAD_REQUEST,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            };
            respond(status, vec![Answer::failure(None, code, &text)], false)
        }
        Manner::Spoken(code) => {
            let spoken = |message| Answer::refusal(message, code, &text);
            respond(
                StatusCode::OK,
                asked.iter().filter_map(spoken).collect(),
                is_batch,
            )
        }
    }
}

pub(super) fn unreadable(error: &BodyError) -> Response {
    let status = match error {
        BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
        BodyError::BrokenOff => StatusCode::BAD_REQUEST,
    };
    let text = error.to_string();
    let answer = Answer::failure(None, codes::INVALID_REQUEST, &text);
    respond(status, vec![answer], false)
}

pub(super) fn wrong_method() -> Response {
    let text = "TRACE and CONNECT are not relayed; MCP uses GET, POST and DELETE";
    let answer = Answer::failure(None, codes::INVALID_REQUEST, text);
    let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, vec![answer], false);
    let methods = HeaderValue::from_static("GET, POST, DELETE");
    response.headers_mut().insert(ALLOW, methods);
    response
}

/// The one 403 here: what asked is a web page in a browser, not an MCP client.
pub(super) fn foreign_page() -> Response {
    Problem::new(
        StatusCode::FORBIDDEN,
        "a page of another site may not use MCP servers through this daemon",
    )
    .into_response()
}

/// Nothing here speaks OAuth.
pub(super) fn no_metadata() -> Response {
    Problem::new(
        StatusCode::NOT_FOUND,
        "the bridge signs in by itself; clients need no OAuth",
    )
    .into_response()
}

fn respond(status: StatusCode, answers: Vec<Answer<'_>>, is_batch: bool) -> Response {
    let json = match answers.as_slice() {
        [only] if !is_batch => serde_json::to_vec(only),
        all => serde_json::to_vec(all),
    };
    let mut response = Response::new(Body::from(json.unwrap_or_default()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
