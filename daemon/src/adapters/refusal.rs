//! A request that is not answered, in terms that every vendor's error shape can be made of.

use http::{HeaderMap, StatusCode};

use crate::conversations::ConversationError;
use crate::error::{Classify, ErrorKind, chain};
use crate::http::limits::BodyError;
use crate::http::problem::http_status;
use crate::vendors::VendorError;

/// SDKs of Anthropic go on without a history that the vendor keeps when they read this.
pub const THREADS_UNSUPPORTED: &str = "thread_unsupported_request";

/// What SDKs read to decide whether and when they send a request again.
const RETRY_HEADERS: [&str; 3] = ["retry-after", "retry-after-ms", "x-should-retry"];

/// The status decides the vendor's error type (OpenAI `type`/`code`, Anthropic `type`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    pub status: StatusCode,
    /// The field at fault, as a path of the request's own language: `tools[0].server_url`.
    pub param: Option<String>,
    /// OpenAI's `code`, Anthropic's `details.error_code`, where clients know one: `missing_required_parameter`.
    pub code: Option<&'static str>,
    /// Names the field or server, the reason and the next step. No secrets.
    pub message: String,
    /// When the vendor wants to be asked again, in its own headers.
    pub retry: Option<Box<HeaderMap>>,
}

impl Refusal {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            param: None,
            code: None,
            message: message.into(),
            retry: None,
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

    /// With what the vendor's `headers` say about trying again.
    #[must_use]
    pub fn with_retry(mut self, headers: &HeaderMap) -> Self {
        let mut kept = HeaderMap::new();
        for name in RETRY_HEADERS {
            if let Some(value) = headers.get(name) {
                kept.insert(name, value.clone());
            }
        }
        self.retry = (!kept.is_empty()).then(|| Box::new(kept));
        self
    }
}

impl From<&VendorError> for Refusal {
    fn from(error: &VendorError) -> Self {
        let status = match error.is_authentication() {
            true => StatusCode::UNAUTHORIZED,
            false => http_status(error.kind()),
        };
        // The causes of an internal fault are for the log, not for whoever sent the request.
        let reason = match error.kind() {
            ErrorKind::Internal => error.to_string(),
            _ => chain(error),
        };
        let message = match error.hint() {
            Some(hint) => format!("{reason}; {hint}"),
            None => reason,
        };
        Self::new(status, message)
    }
}

impl From<&ConversationError> for Refusal {
    fn from(error: &ConversationError) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::NotFound | ErrorKind::Conflict => {
                StatusCode::BAD_REQUEST
            }
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hint = error
            .hint()
            .map(|hint| format!("; {hint}"))
            .unwrap_or_default();
        Self::new(status, format!("{}{hint}", chain(error)))
    }
}

impl From<&BodyError> for Refusal {
    fn from(error: &BodyError) -> Self {
        let status = match error {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
            BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::BrokenOff => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}
