//! Bodies fit for a log: values under secret-looking keys are masked.
//!
//! Works on text, not on parsed JSON: what is logged is cut off at some length, may be an event
//! stream, and often carries JSON inside a JSON string, where quotes are escaped.

use std::borrow::Cow;

use crate::types::CLIENT_TOKEN_PREFIX;

/// Compared with the end of a key, without case, `_` and `-`.
const SECRET_KEYS: [&str; 8] = [
    "token",
    "secret",
    "password",
    "passwd",
    "authorization",
    "apikey",
    "credential",
    "cookie",
];
const MASK: &str = "[redacted]";

/// `body` as text, with secrets masked. When in doubt it masks too much.
pub(super) fn redacted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut out = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(colon) = rest.find(':') {
        let (before, after) = rest.split_at(colon);
        let value = after[1..].trim_start();
        let gap = after.len() - value.len();
        out.push_str(before);
        out.push_str(&after[..gap]);
        rest = if is_secret(before) {
            out.push_str(MASK);
            &value[length_of(value)..]
        } else {
            value
        };
    }
    out.push_str(rest);
    // Any token in a header, and our clients' tokens anywhere.
    let out = mask_behind(&out, "bearer ");
    mask_behind(&out, CLIENT_TOKEN_PREFIX).into_owned()
}

/// Whether the text before a colon ends in a quoted key that names a secret.
fn is_secret(before: &str) -> bool {
    let Some(quoted) = before.trim_end().strip_suffix('"') else {
        return false;
    };
    let start = quoted
        .trim_end_matches('\\')
        .rfind('"')
        .map_or(0, |quote| quote + 1);
    let key: String = quoted[start..]
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    SECRET_KEYS.iter().any(|secret| key.ends_with(secret))
}

/// Length of the JSON value that `text` begins with, at whatever depth of escaping its quotes are.
fn length_of(text: &str) -> usize {
    let escapes = text.len() - text.trim_start_matches('\\').len();
    if text[escapes..].starts_with('"') {
        let quote = format!("{}\"", "\\".repeat(escapes));
        let mut at = quote.len();
        while let Some(found) = text[at..].find(&quote) {
            let end = at + found;
            // A quote that is escaped once more belongs to the value.
            if !text[..end].ends_with('\\') {
                return end + quote.len();
            }
            at = end + quote.len();
        }
        return text.len();
    }
    if text.starts_with(['{', '[']) {
        // A structure under a secret key: all of it goes, and the rest of its line with it.
        return text.find('\n').unwrap_or(text.len());
    }
    text.find([',', '}', ']', '\n']).unwrap_or(text.len())
}

/// Masks the word behind each `marker`, which is in lower case.
fn mask_behind<'t>(text: &'t str, marker: &str) -> Cow<'t, str> {
    let lower = text.to_ascii_lowercase();
    if !lower.contains(marker) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in lower.match_indices(marker) {
        let start = at + marker.len();
        if start < done {
            continue;
        }
        let token = text[start..]
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ','))
            .map_or(text.len(), |length| start + length);
        out.push_str(&text[done..start]);
        out.push_str(MASK);
        done = token;
    }
    out.push_str(&text[done..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_kept() {
        for (body, expected) in [
            (
                r#"{"access_token":"s3cret","n":1}"#,
                r#"{"access_token":[redacted],"n":1}"#,
            ),
            (
                r#"{"Api-Key" : "s3\"cret", "x":"y"}"#,
                r#"{"Api-Key" : [redacted], "x":"y"}"#,
            ),
            (
                r#"{"password":12345,"x":2}"#,
                r#"{"password":[redacted],"x":2}"#,
            ),
            (r#"{"token":"s3cr"#, r#"{"token":[redacted]"#),
            (
                r#"{"text":"{\"token\":\"s3cret\",\"a\":1}"}"#,
                r#"{"text":"{\"token\":[redacted],\"a\":1}"}"#,
            ),
            (
                "data: {\"secret\":{\"a\":\"s3cret\"}}\n\nid: 1",
                "data: {\"secret\":[redacted]\n\nid: 1",
            ),
            (
                r#"{"h":"Authorization: Bearer s3cret"}"#,
                r#"{"h":"Authorization: Bearer [redacted]"}"#,
            ),
            (
                r#"{"text":"it is mcpb_s3cret, or not"}"#,
                r#"{"text":"it is mcpb_[redacted], or not"}"#,
            ),
            (
                r#"{"name":"hello","x":{"tokens":3}}"#,
                r#"{"name":"hello","x":{"tokens":3}}"#,
            ),
        ] {
            let shown = redacted(body.as_bytes());
            assert_eq!(shown, expected);
            assert!(!shown.contains("s3cr"));
        }
    }

    proptest! {
        #[test]
        fn any_text_can_be_shown(text in "[\\\\\":,{}a-c tokenBr \n]{0,40}\\PC{0,5}") {
            let _ = redacted(text.as_bytes());
        }

        #[test]
        fn a_secret_never_shows_at_any_depth_of_escaping(depth in 0_usize..3) {
            let mut body = serde_json::json!({"refresh_token": "s3cret-\"quoted\"-s3cret", "z": 1}).to_string();
            for _ in 0..depth {
                body = serde_json::json!({"text": body}).to_string();
            }
            prop_assert!(!redacted(body.as_bytes()).contains("s3cret"), "{}", redacted(body.as_bytes()));
        }
    }
}
