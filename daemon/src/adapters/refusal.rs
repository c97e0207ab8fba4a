//! A request that is not answered, in terms that every vendor's error shape can be made of.

use http::StatusCode;

/// The status decides the vendor's error type (OpenAI `type`/`code`, Anthropic `type`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub status: StatusCode,
    /// The field at fault, as a path of the request's own language: `tools[0].server_url`.
    pub param: Option<String>,
    /// OpenAI's `code`, Anthropic's `details.error_code`, where clients know one: `missing_required_parameter`,
    /// `thread_unsupported_request`.
    pub code: Option<&'static str>,
    /// Names the field or server, the reason and the next step. No secrets.
    pub message: String,
}

impl Refusal {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            param: None,
            code: None,
            message: message.into(),
        }
    }

    /// 400: the request cannot be understood, at `param`.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..Self::new(StatusCode::BAD_REQUEST, message)
        }
    }

    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }
}
