//! JSON text that is put together here, member by member, in an order that never changes.

use serde_json::value::RawValue;

/// An object that is being written.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// Of a block or an event: `type` comes first.
    pub(super) fn of_type(kind: &str) -> Self {
        Self::new().text("type", kind)
    }

    /// `json` is one JSON value.
    pub(super) fn put(mut self, key: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quoted(key));
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    pub(super) fn text(self, key: &str, text: &str) -> Self {
        self.put(key, &quoted(text))
    }

    pub(super) fn number(self, key: &str, number: u64) -> Self {
        self.put(key, &number.to_string())
    }

    pub(super) fn json(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A list of JSON values.
pub(super) fn list<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> String {
    let mut out = "[".to_owned();
    for value in values {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(value.as_ref());
    }
    out.push(']');
    out
}

/// `text` as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `json`, which was written here.
pub(super) fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

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

    #[test]
    fn an_object_keeps_the_order_in_which_it_was_written() {
        let object = Object::of_type("t").put("b", "1.0").text("a", "\"").json();
        assert_eq!(object, r#"{"type":"t","b":1.0,"a":"\""}"#);
        assert_eq!(list(["1", "{}"]), "[1,{}]");
        assert_eq!(raw("{".to_owned()).get(), "null");
    }
}
