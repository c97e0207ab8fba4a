//! What an authorization server says when it refuses.

use std::fmt;

use serde_json::{Map, Value};

/// The `error` of an OAuth error response: RFC 6749 §4.1.2.1 and §5.2, RFC 7591 §3.2.2, RFC 8707 §2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorCode {
    AccessDenied,
    InvalidClient,
    InvalidClientMetadata,
    InvalidGrant,
    InvalidRedirectUri,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    ServerError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    /// Any other code, cleaned.
    Other(String),
}

/// A refusal in the server's own words, cleaned for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthError {
    pub code: ErrorCode,
    pub description: Option<String>,
}

impl ErrorCode {
    pub fn parse(text: &str) -> Self {
        match text {
            "access_denied" => Self::AccessDenied,
            "invalid_client" => Self::InvalidClient,
            "invalid_client_metadata" => Self::InvalidClientMetadata,
            "invalid_grant" => Self::InvalidGrant,
            "invalid_redirect_uri" => Self::InvalidRedirectUri,
            "invalid_request" => Self::InvalidRequest,
            "invalid_scope" => Self::InvalidScope,
            "invalid_target" => Self::InvalidTarget,
            "server_error" => Self::ServerError,
            "temporarily_unavailable" => Self::TemporarilyUnavailable,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "unsupported_response_type" => Self::UnsupportedResponseType,
            // GitHub's and Slack's own names. Without the translation a dead grant would be retried
            // forever, as only `invalid_grant` ends a login.
            "bad_refresh_token"
            | "bad_verification_code"
            | "invalid_refresh_token"
            | "invalid_code" => Self::InvalidGrant,
            "incorrect_client_credentials" | "invalid_client_id" | "bad_client_secret" => {
                Self::InvalidClient
            }
            other => Self::Other(clean(other)),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::InvalidClient => "invalid_client",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::Other(text) => text,
        }
    }
}

impl OAuthError {
    pub fn new(code: &str, description: Option<&str>) -> Self {
        Self {
            code: ErrorCode::parse(code),
            description: description.map(clean).filter(|text| !text.is_empty()),
        }
    }

    /// The error a JSON object reports, if it does. `ok: false` is Slack's way.
    pub(super) fn in_object(object: &Map<String, Value>) -> Option<Self> {
        let description = object.get("error_description").and_then(Value::as_str);
        match object.get("error") {
            Some(Value::String(code)) if !code.is_empty() => Some(Self::new(code, description)),
            Some(Value::Object(inner)) => {
                let text = |key| inner.get(key).and_then(Value::as_str);
                let code = text("code").or(text("type")).unwrap_or("unknown_error");
                Some(Self::new(code, text("message").or(description)))
            }
            _ if object.get("ok") == Some(&Value::Bool(false)) => {
                Some(Self::new("unknown_error", description))
            }
            _ => None,
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_str())?;
        match &self.description {
            Some(description) => write!(f, " ({description})"),
            None => Ok(()),
        }
    }
}

/// A server's text made safe to show: no control or direction-changing characters, at most 200
/// characters.
pub fn clean(text: &str) -> String {
    const MAX: usize = 200;
    let reorders = |c: char| {
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}')
    };
    let shown = |c: &char| !c.is_control() && !reorders(*c);
    let mut rest = text.trim().chars().filter(shown);
    let mut cleaned: String = rest.by_ref().take(MAX).collect();
    if rest.next().is_some() {
        cleaned.push('…');
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_texts_cannot_steer_a_terminal_or_flood_it() {
        assert_eq!(clean(" a\u{1b}[2Jb\r\nc\u{202e}d "), "a[2Jbcd");
        let long = clean(&"ä".repeat(300));
        assert_eq!(long.chars().count(), 201);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn codes_survive_a_round_trip_and_vendor_names_are_translated() {
        for code in [
            "access_denied",
            "invalid_grant",
            "invalid_target",
            "my_own_code",
        ] {
            assert_eq!(ErrorCode::parse(code).as_str(), code);
        }
        assert_eq!(
            ErrorCode::parse("bad_refresh_token"),
            ErrorCode::InvalidGrant
        );
        assert_eq!(
            ErrorCode::parse("incorrect_client_credentials"),
            ErrorCode::InvalidClient
        );
    }

    #[test]
    fn errors_are_found_in_the_shapes_servers_use() {
        let table = [
            (
                r#"{"error":"invalid_grant","error_description":"gone"}"#,
                Some("invalid_grant (gone)"),
            ),
            (
                r#"{"error":"invalid_grant","error_description":7}"#,
                Some("invalid_grant"),
            ),
            (
                r#"{"ok":false,"error":"invalid_code"}"#,
                Some("invalid_grant"),
            ),
            (r#"{"ok":false}"#, Some("unknown_error")),
            (
                r#"{"error":{"type":"auth","message":"no"}}"#,
                Some("auth (no)"),
            ),
            (r#"{"error":null,"access_token":"x"}"#, None),
            (r#"{"error":"","access_token":"x"}"#, None),
            (r#"{"ok":true}"#, None),
        ];
        for (json, expected) in table {
            let object = serde_json::from_str(json).unwrap();
            let found = OAuthError::in_object(&object).map(|error| error.to_string());
            assert_eq!(found.as_deref(), expected, "{json}");
        }
    }
}
