//! Whether a JSON schema is one that OpenAI's strict mode takes.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::types::Level;

const MAX_DEPTH: usize = 32;

type Members<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Every object is closed and requires all that it has. A schema that is nested too deep is not.
pub(super) fn is_strict(schema: &RawValue) -> bool {
    within(schema, MAX_DEPTH)
}

fn within(schema: &RawValue, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    let Some(Level::Object(members)) = Level::read(schema) else {
        return false;
    };
    is_closed(&members)
        && members.iter().all(|(key, value)| match key.as_ref() {
            "properties" | "$defs" | "definitions" => match Level::read(value) {
                Some(Level::Object(inner)) => inner.iter().all(|(_, raw)| within(raw, depth)),
                _ => false,
            },
            "anyOf" => match Level::read(value) {
                Some(Level::Array(inner)) => inner.iter().all(|raw| within(raw, depth)),
                _ => false,
            },
            "items" => within(value, depth),
            _ => true,
        })
}

fn is_closed(members: &Members<'_>) -> bool {
    let get = |key: &str| members.iter().find(|(name, _)| name == key);
    let Some((_, properties)) = get("properties") else {
        return get("type").is_none_or(|(_, kind)| kind.get() != "\"object\"");
    };
    let Some(Level::Object(properties)) = Level::read(properties) else {
        return false;
    };
    let required: Vec<String> = get("required")
        .and_then(|(_, raw)| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    get("additionalProperties").is_some_and(|(_, raw)| raw.get() == "false")
        && properties
            .iter()
            .all(|(name, _)| required.iter().any(|known| known == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(schema: &str) -> bool {
        is_strict(serde_json::from_str(schema).unwrap())
    }

    #[test]
    fn closed_objects_that_require_everything_are_strict() {
        assert!(strict(
            r#"{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"}}},"required":["a"],"additionalProperties":false}"#
        ));
        for loose in [
            r#"{"type":"object"}"#,
            r#"{"type":"object","properties":{"a":{}},"required":["a"]}"#,
            r#"{"type":"object","properties":{"a":{}},"additionalProperties":false}"#,
            r#"{"type":"object","properties":{"a":{"type":"object"}},"required":["a"],"additionalProperties":false}"#,
            r#"{"anyOf":[{"type":"object"}]}"#,
            "[]",
        ] {
            assert!(!strict(loose), "{loose}");
        }
    }

    #[test]
    fn an_endless_schema_is_not_strict() {
        let deep = format!(
            "{}{{}}{}",
            r#"{"items":"#.repeat(50_000),
            "}".repeat(50_000)
        );
        assert!(!strict(&deep));
    }
}
