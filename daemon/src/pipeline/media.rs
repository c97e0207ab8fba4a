//! Whether a body can be read as its server will read it.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Method};

use super::error::CallError;
use crate::mcp::{Envelope, version};

/// The envelope of a body. A request other than POST may have none, and then carries no message.
pub(super) fn read<'b>(
    method: &Method,
    headers: &HeaderMap,
    body: &'b [u8],
) -> Result<Option<Envelope<'b>>, CallError> {
    if body.is_empty() && method != Method::POST {
        return Ok(None);
    }
    check_media(headers)?;
    Ok(Some(Envelope::parse(body, version::allows_batch(headers))?))
}

/// The server must read the same text we read: not another encoding of these bytes.
fn check_media(headers: &HeaderMap) -> Result<(), CallError> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(CallError::Media("send the body without Content-Encoding"));
    }
    const WRONG_TYPE: CallError =
        CallError::Media("send the body with Content-Type: application/json, in UTF-8");
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(WRONG_TYPE);
    };
    let value = value.to_str().map_err(|_| WRONG_TYPE)?;
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => charset
            .trim()
            .trim_matches('"')
            .eq_ignore_ascii_case("utf-8"),
        _ => true,
    });
    if is_json && is_utf8 {
        Ok(())
    } else {
        Err(WRONG_TYPE)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn media(content_type: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        check_media(&headers).is_ok()
    }

    #[test]
    fn only_json_in_utf8_is_read() {
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(media(good), "{good}");
        }
        for bad in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/json; charset=utf-7",
            "application/json; x=y; charset=utf-16",
            "",
        ] {
            assert!(!media(bad), "{bad}");
        }
        let mut headers = HeaderMap::new();
        assert!(check_media(&headers).is_err(), "no type at all");
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(check_media(&headers).is_err(), "compressed");
    }
}
