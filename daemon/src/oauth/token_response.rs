//! Token endpoint answers as they come, made into what RFC 6749 §5.1 says they should be.
//!
//! Seen in the field: form-encoded bodies, errors with status 200, `token_type: "user"`, lifetimes as
//! text, HTML error pages. An error is looked for before a success, so that none passes as a token.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::error::{OAuthError, clean};
use super::token::TokenError;
use crate::net::Response;

/// A conforming success answer, or the error that `response` amounts to.
pub(super) fn normalise(
    host: &str,
    response: &Response,
) -> Result<http::Response<Vec<u8>>, TokenError> {
    let host = || host.to_owned();
    let status = response.status;
    let fields = fields(response);
    if let Some(error) = fields.as_ref().and_then(OAuthError::in_object) {
        return Err(TokenError::Refused {
            host: host(),
            error,
        });
    }
    if !status.is_success() {
        return Err(TokenError::Status {
            host: host(),
            status: status.as_u16(),
        });
    }
    let Some(fields) = fields else {
        return Err(TokenError::NotJson {
            host: host(),
            content_type: content_type(response),
        });
    };
    let unusable = |reason| TokenError::Unusable {
        host: host(),
        reason,
    };
    let access_token =
        text(&fields, "access_token").ok_or_else(|| unusable("it has no access_token"))?;
    // It becomes part of an Authorization header (RFC 6750 §2.1).
    if !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable(
            "access_token has characters that no header may carry",
        ));
    }
    // `token_type` is not read: with an access token present, odd types have all meant Bearer.
    let mut clean_fields = json!({ "access_token": access_token, "token_type": "bearer" });
    if let Some(seconds) = seconds(fields.get("expires_in")) {
        clean_fields["expires_in"] = seconds.into();
    }
    if let Some(token) = text(&fields, "refresh_token") {
        clean_fields["refresh_token"] = token.into();
    }
    if let Some(scope) = scope(fields.get("scope")) {
        clean_fields["scope"] = scope.into();
    }
    let mut answer = http::Response::new(clean_fields.to_string().into_bytes());
    *answer.status_mut() = StatusCode::OK;
    Ok(answer)
}

/// The body as an object, whether it is JSON or a form; None for anything else.
fn fields(response: &Response) -> Option<Map<String, Value>> {
    let body = response.body.trim_ascii();
    if body.starts_with(b"{") {
        return serde_json::from_slice(body).ok();
    }
    let kind = content_type(response);
    let is_form = kind == "application/x-www-form-urlencoded" || kind == "text/plain";
    let looks_like_form = body.starts_with(b"access_token=")
        || body.starts_with(b"error=")
        || kind == "application/x-www-form-urlencoded";
    (is_form && looks_like_form).then(|| {
        form_urlencoded::parse(body)
            .map(|(key, value)| (key.into_owned(), Value::String(value.into_owned())))
            .collect()
    })
}

/// The media type without parameters, lower case, fit for a message.
fn content_type(response: &Response) -> String {
    let value = response
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = value
        .and_then(|value| value.split(';').next())
        .unwrap_or("no content type");
    clean(&kind.to_ascii_lowercase())
}

fn text(fields: &Map<String, Value>, name: &str) -> Option<String> {
    let text = fields.get(name)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// Zero and nonsense count as not stated: taking zero at its word would refresh without end.
fn seconds(value: Option<&Value>) -> Option<u64> {
    let seconds = match value? {
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        other => other.as_f64()?,
    };
    // No more than a clock can add up; `clamp` and `as` take "NaN" to zero.
    let capped = seconds.clamp(0.0, f64::from(u32::MAX)) as u64;
    (capped > 0).then_some(capped)
}

fn scope(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Array(list) => {
            let scopes: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            (!scopes.is_empty()).then(|| scopes.join(" "))
        }
        _ => None,
    }
}
