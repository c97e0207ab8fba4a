//! What a vendor compares when it checks that a conversation was not changed: numbers by their text, keys
//! in their order where a model wrote them, white space and ways of escaping not at all.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Members whose keys keep their order: what a model or a tool's author wrote.
const ORDERED: [&str; 3] = ["input", "input_schema", "parameters"];

/// Members of no meaning to a model.
const IGNORED: [&str; 4] = ["cache_control", "id", "status", "citations"];

/// An object's members in the order they are written.
pub(super) struct Members(pub(super) Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Members, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Members {
    pub(super) fn of(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or(Self(Vec::new()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.get())
    }

    /// A member that is a string, decoded.
    pub(super) fn text(&self, name: &str) -> String {
        let raw = self.get(name).unwrap_or_default();
        serde_json::from_str(raw).unwrap_or_default()
    }
}

/// The form in which two JSON texts are compared.
pub(super) fn canonical(text: &str) -> String {
    let mut out = String::new();
    write_value(text.trim(), false, &mut out);
    out
}

fn write_value(text: &str, exact: bool, out: &mut String) {
    match text.as_bytes().first() {
        Some(b'{') => write_object(Members::of(text), exact, out),
        Some(b'[') => {
            let elements: Vec<Box<RawValue>> = serde_json::from_str(text).unwrap_or_default();
            out.push('[');
            for element in elements {
                write_value(element.get(), exact, out);
                out.push(',');
            }
            out.push(']');
        }
        Some(b'"') => {
            let decoded: String = serde_json::from_str(text).unwrap_or_default();
            write!(out, "{decoded:?}").unwrap();
        }
        _ => out.push_str(text),
    }
}

fn write_object(Members(mut members): Members, exact: bool, out: &mut String) {
    if !exact {
        members.retain(|(key, value)| {
            !IGNORED.contains(&key.as_str()) && !matches!(value.get(), "null" | "[]" | "false")
        });
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    out.push('{');
    for (key, value) in members {
        write!(out, "{key:?}:").unwrap();
        let exact = exact || ORDERED.contains(&key.as_str());
        write_value(value.get(), exact, out);
        out.push(',');
    }
    out.push('}');
}

/// Looks like what vendors sign with.
pub(super) fn fingerprint(parts: &[&str]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&part.len().to_le_bytes());
        context.update(part.as_bytes());
    }
    STANDARD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_count_and_meaning_does() {
        let one =
            r#"{"type":"tool_use","name":"é","input":{"b":1.0,"a":[2]},"cache_control":{"x":1}}"#;
        let same =
            r#"{ "name":"\u00e9", "input": {"b" : 1.0, "a": [2]}, "type":"tool_use","id":null }"#;
        assert_eq!(canonical(one), canonical(same));
        for changed in [
            r#"{"type":"tool_use","name":"é","input":{"a":[2],"b":1.0}}"#,
            r#"{"type":"tool_use","name":"é","input":{"b":1,"a":[2]}}"#,
            r#"{"type":"tool_use","name":"e","input":{"b":1.0,"a":[2]}}"#,
        ] {
            assert_ne!(canonical(one), canonical(changed), "{changed}");
        }
    }
}
