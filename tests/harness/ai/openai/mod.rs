//! OpenAI: Responses and Chat Completions.

pub(super) mod chat;
mod check;
mod responses;

use std::collections::HashMap;

use serde_json::{Value, json};

pub(super) use check::check;
pub(super) use responses::speak;

use super::server::Refusal;
use crate::wire::Answer;

/// What the vendor knows of answers it gave, stored or not.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The item that followed each reasoning item.
    following: HashMap<String, Follower>,
}

#[derive(Debug, Clone)]
struct Follower {
    id: String,
    kind: String,
}

pub(super) fn error(status: u16, code: Option<&str>, message: &str) -> Refusal {
    let kind = match status {
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    };
    let code = code.or(match status {
        429 => Some("rate_limit_exceeded"),
        500.. => Some("server_error"),
        _ => None,
    });
    let error = json!({ "message": message, "type": kind, "param": null, "code": code });
    Box::new(Answer::json(status, &json!({ "error": error })))
}

/// Differs with the input, so that answers can be told apart.
pub(super) fn embeddings(request: &Value) -> Value {
    let length = request["input"].to_string().len();
    json!({
        "object": "list", "model": request["model"],
        "data": [{ "object": "embedding", "index": 0, "embedding": [0.0, 0.25, length] }],
        "usage": { "prompt_tokens": length, "total_tokens": length },
    })
}
