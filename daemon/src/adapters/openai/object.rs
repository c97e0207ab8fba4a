//! The `response` object: what was asked, what came of it, and how it ended.

use serde_json::value::RawValue;

use crate::adapters::dialect::Ending;
use crate::adapters::event::{End, Usage, Wire};
use crate::adapters::raw::{Object, list, quoted, raw};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::Step;
use crate::mcp::edit::Members;

/// What the object repeats of its request.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    pub model: String,
    /// In the order in which they are shown.
    pub members: Vec<(String, Box<RawValue>)>,
}

/// What only the answer knows.
#[derive(Debug)]
pub struct Own<'a> {
    pub id: &'a str,
    pub created: i64,
    pub model: &'a str,
    pub output: &'a [&'a str],
    pub status: &'a Status,
    pub usage: Option<Usage>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Status {
    InProgress,
    Completed,
    Incomplete(String),
    Failed { code: String, message: String },
}

/// The vendor's own answer must not speak for ours here.
const OURS: [&str; 19] = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "status",
    "background",
    "error",
    "incomplete_details",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "model",
    "output",
    "parallel_tool_calls",
    "previous_response_id",
    "store",
    "tool_choice",
    "tools",
    "usage",
];

/// Codes that clients know (`response.error.code`).
const CODES: [&str; 8] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "image_too_large",
    "image_content_policy_violation",
];

impl Echo {
    /// `native` is the vendor's last answer; it fills in what it decided.
    pub fn object(&self, own: &Own<'_>, native: Option<&RawValue>) -> String {
        let mut object = Object::new()
            .text("id", own.id)
            .text("object", "response")
            .put("created_at", &own.created.to_string())
            .text("status", own.status.name())
            .put("background", "false")
            .put("error", &own.status.error())
            .put("incomplete_details", &own.status.details())
            .text("model", own.model)
            .put("output", &list(own.output));
        let native = native.and_then(|native| Members::of(native.get()).ok());
        let native = native.map(|Members(members)| members).unwrap_or_default();
        let decided = |key: &str| {
            let is_open = !OURS.contains(&key) && key != "metadata";
            let member = native.iter().find(|(name, _)| name == key);
            member.filter(|_| is_open).map(|(_, value)| value.get())
        };
        for (key, value) in &self.members {
            object = object.put(key, decided(key).unwrap_or(value.get()));
        }
        let mut more: Vec<&str> = Vec::new();
        for (key, value) in &native {
            let known = OURS.contains(&key.as_str()) || more.contains(&key.as_str());
            if !known && self.members.iter().all(|(name, _)| name != key) {
                object = object.put(key, value.get());
                more.push(key);
            }
        }
        let usage = own.usage.map(usage);
        object
            .put("usage", usage.as_deref().unwrap_or("null"))
            .json()
    }
}

impl Status {
    pub fn of(ending: &Ending) -> Self {
        let end = match ending {
            Ending::Model(end) => end,
            Ending::Cap => {
                return Self::Failed {
                    code: "server_error".to_owned(),
                    message: "The answer took more rounds or more time than this bridge allows. \
                              Continue with previous_response_id, or raise ai.max_rounds or \
                              ai.max_seconds in config.json."
                        .to_owned(),
                };
            }
        };
        match end {
            End::Complete | End::StopSequence(_) | End::Pause => Self::Completed,
            End::MaxTokens | End::ContextWindow => Self::Incomplete("max_output_tokens".to_owned()),
            End::ContentFilter | End::Refusal => Self::Incomplete("content_filter".to_owned()),
            End::Other(reason) => Self::Incomplete(reason.clone()),
            End::Failed { code, message } => Self::Failed {
                code: known_code(code).to_owned(),
                message: message.clone(),
            },
        }
    }

    pub fn refused(refusal: &Refusal) -> Self {
        let code = match refusal.status.as_u16() {
            429 => "rate_limit_exceeded",
            _ => refusal.code.map_or("server_error", known_code),
        };
        Self::Failed {
            code: code.to_owned(),
            message: refusal.message.clone(),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed { .. } => "failed",
        }
    }

    /// The event that ends the stream.
    pub fn event(&self) -> &'static str {
        match self {
            Self::InProgress | Self::Completed => "response.completed",
            Self::Incomplete(_) => "response.incomplete",
            Self::Failed { .. } => "response.failed",
        }
    }

    fn error(&self) -> String {
        match self {
            Self::Failed { code, message } => Object::new()
                .text("code", code)
                .text("message", message)
                .json(),
            _ => "null".to_owned(),
        }
    }

    fn details(&self) -> String {
        match self {
            Self::Incomplete(reason) => Object::new().text("reason", reason).json(),
            _ => "null".to_owned(),
        }
    }
}

/// The final object of the model's last turn, where its vendor speaks this language.
pub fn last_native(steps: &[Step]) -> Option<&RawValue> {
    steps
        .iter()
        .rev()
        .find_map(|step| match step {
            Step::Turn(turn) => Some(turn),
            _ => None,
        })
        .filter(|turn| turn.wire == Wire::Responses)
        .and_then(|turn| turn.end.native.as_deref())
}

/// Defaults that the vendor's answer would show; each may be in the request.
pub fn defaults() -> Vec<(String, Box<RawValue>)> {
    let text = r#"{"format":{"type":"text"}}"#;
    let defaults = [
        ("instructions", "null"),
        ("max_output_tokens", "null"),
        ("max_tool_calls", "null"),
        ("parallel_tool_calls", "true"),
        ("previous_response_id", "null"),
        ("reasoning", r#"{"effort":null,"summary":null}"#),
        ("service_tier", &quoted("default")),
        ("store", "true"),
        ("temperature", "1.0"),
        ("text", text),
        ("tool_choice", &quoted("auto")),
        ("tools", "[]"),
        ("top_p", "1.0"),
        ("truncation", &quoted("disabled")),
        ("user", "null"),
        ("metadata", "{}"),
    ];
    let owned = |(key, json): (&str, &str)| (key.to_owned(), raw(json.to_owned()));
    defaults.into_iter().map(owned).collect()
}

fn known_code(code: &str) -> &str {
    match code {
        "rate_limit_error" => "rate_limit_exceeded",
        known if CODES.contains(&known) => known,
        _ => "server_error",
    }
}

fn usage(usage: Usage) -> String {
    let total = usage.input.saturating_add(usage.output);
    let input = Object::new()
        .put("cached_tokens", &usage.cache_read.to_string())
        .put("cache_write_tokens", &usage.cache_write.to_string());
    let output = Object::new().put("reasoning_tokens", &usage.reasoning.to_string());
    Object::new()
        .put("input_tokens", &usage.input.to_string())
        .put("input_tokens_details", &input.json())
        .put("output_tokens", &usage.output.to_string())
        .put("output_tokens_details", &output.json())
        .put("total_tokens", &total.to_string())
        .json()
}
