//! Content blocks in one fixed form, whoever wrote them down before: the vendor in pieces, or a client
//! that read them and wrote them again.

use serde_json::value::RawValue;

use super::json::normal;
use crate::adapters::raw::{Object, quoted};
use crate::mcp::edit::Members;

/// A JSON object that is not valid has no place in a block; this is how the vendor wants to get it back.
const INVALID: &str = "INVALID_JSON";

/// The block with these members. None for a text without a character, which vendors refuse.
pub(super) fn fixed(members: &[(String, &RawValue)]) -> Option<String> {
    let find = |key: &str| members.iter().find(|(name, _)| name == key);
    let kind = find("type").and_then(|(_, value)| super::json::unquoted(value));
    let kind = kind.unwrap_or_default();
    if kind == "text" && find("text").is_some_and(|(_, text)| text.get() == "\"\"") {
        return None;
    }
    let first = order(&kind);
    let mut object = Object::new();
    for key in first {
        if let Some((_, value)) = find(key)
            && !is_empty(key, value)
        {
            object = object.put(key, &normal(value.get()));
        }
    }
    let mut rest: Vec<_> = members
        .iter()
        .filter(|(key, value)| !first.contains(&key.as_str()) && !is_empty(key, value))
        .collect();
    if !first.is_empty() {
        rest.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    for (key, value) in rest {
        object = object.put(key, &normal(value.get()));
    }
    Some(object.json())
}

/// `block` in its fixed form if it is of a kind that has one.
pub(super) fn fixed_text(block: &RawValue) -> Option<String> {
    match Members::of(block.get()) {
        Ok(Members(members)) => fixed(&members),
        Err(_) => Some(block.get().to_owned()),
    }
}

/// Clients write null, or an empty list, where there is nothing.
fn is_empty(key: &str, value: &RawValue) -> bool {
    value.get() == "null" || (key == "citations" && normal(value.get()) == "[]")
}

/// The members that come first; of other kinds all keep their order.
fn order(kind: &str) -> &'static [&'static str] {
    match kind {
        "text" => &["type", "text", "citations"],
        "thinking" => &["type", "thinking", "signature"],
        "redacted_thinking" => &["type", "data"],
        "tool_use" => &["type", "id", "name", "input"],
        _ => &[],
    }
}

/// What a model wrote as the input of a tool, as an object.
pub(super) fn input(arguments: &str) -> String {
    let text = arguments.trim();
    if text.is_empty() {
        return "{}".to_owned();
    }
    if text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok() {
        return normal(text);
    }
    Object::new().put(INVALID, &quoted(arguments)).json()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_one_form_however_a_client_writes_it() {
        for (form, fixed) in [
            (
                r#"{"citations":null,"text":"a \u00e4","type":"text"}"#,
                r#"{"type":"text","text":"a ä"}"#,
            ),
            (
                r#"{"type":"text", "citations":[ ],"text":"a", "cache_control":{"type":"ephemeral"}}"#,
                r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}"#,
            ),
            (
                r#"{"signature":"s","thinking":"","type":"thinking"}"#,
                r#"{"type":"thinking","thinking":"","signature":"s"}"#,
            ),
            (
                r#"{"input":{"b":1.0, "a":2},"caller":null,"id":"toolu_1","z":1,"name":"n","y":2,"type":"tool_use"}"#,
                r#"{"type":"tool_use","id":"toolu_1","name":"n","input":{"b":1.0,"a":2},"y":2,"z":1}"#,
            ),
            (
                r#"{"z":1,"type":"web_search_tool_result","a":2}"#,
                r#"{"z":1,"type":"web_search_tool_result","a":2}"#,
            ),
        ] {
            let raw: &RawValue = serde_json::from_str(form).unwrap();
            assert_eq!(fixed_text(raw).as_deref(), Some(fixed), "{form}");
        }
        let nothing: &RawValue = serde_json::from_str(r#"{"type":"text","text":""}"#).unwrap();
        assert_eq!(fixed_text(nothing), None);
    }

    #[test]
    fn an_input_is_always_an_object() {
        for (written, object) in [
            ("", "{}"),
            ("  ", "{}"),
            (r#"{ "a": 1.0 }"#, r#"{"a":1.0}"#),
            (r#"{"a":"#, r#"{"INVALID_JSON":"{\"a\":"}"#),
            ("[1]", r#"{"INVALID_JSON":"[1]"}"#),
        ] {
            assert_eq!(input(written), object);
        }
    }
}
