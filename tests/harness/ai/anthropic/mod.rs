//! Anthropic: Messages.

mod binding;
mod check;
mod messages;

use serde_json::{Value, json};

pub(super) use check::check;
pub(super) use messages::speak;

use super::server::Refusal;
use crate::wire::Answer;

pub(super) fn error(status: u16, message: &str) -> Refusal {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    Box::new(Answer::json(status, &error_body(kind, message)))
}

fn error_body(kind: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_fake" })
}
