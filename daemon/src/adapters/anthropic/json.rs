//! JSON in one spelling.

use serde_json::value::RawValue;

use crate::adapters::raw::quoted;

/// The JSON string `json`, or None if it is none.
pub(super) fn unquoted(json: &RawValue) -> Option<String> {
    serde_json::from_str(json.get()).ok()
}

/// `json` without the blanks between its tokens, and with its strings spelled in one way. Numbers keep
/// their digits and members their order.
///
/// Clients read JSON and write it again: what went through one of them has the same form afterwards.
pub(super) fn normal(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find(|c: char| c == '"' || c.is_ascii_whitespace()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('"') {
            let (string, after) = rest.split_at(end_of_string(rest));
            match serde_json::from_str::<String>(string) {
                Ok(text) => out.push_str(&quoted(&text)),
                Err(_) => out.push_str(string),
            }
            rest = after;
        } else {
            rest = rest.trim_ascii_start();
        }
    }
    out.push_str(rest);
    out
}

/// Where the string that `json` begins with is over.
fn end_of_string(json: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in json.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_has_one_spelling_and_keeps_its_digits_and_its_order() {
        for (from, to) in [
            (
                r#"{ "b" : 1.0 , "a":[ 1e3, null ] }"#,
                r#"{"b":1.0,"a":[1e3,null]}"#,
            ),
            (r#""\u00e4\/ \"x\\""#, r#""ä/ \"x\\""#),
            (r#"{"a":"\ud800 b"}"#, r#"{"a":"\ud800 b"}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
            ("12345678901234567890123.10", "12345678901234567890123.10"),
        ] {
            assert_eq!(normal(from), to);
            assert_eq!(normal(to), to);
        }
    }
}
