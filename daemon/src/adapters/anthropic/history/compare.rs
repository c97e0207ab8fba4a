//! Whether a client returned what it was given, though it wrote it in its own way.

use serde_json::Value;
use serde_json::value::RawValue;

use crate::adapters::anthropic::render::visible_texts;

/// The same values, where `1.0` is `1`, null is nothing, and order does not count.
pub(super) fn is_same_input(ours: &RawValue, theirs: &RawValue) -> bool {
    ours.get() == theirs.get()
        || matches!(
            (serde_json::from_str(ours.get()), serde_json::from_str(theirs.get())),
            (Ok(ours), Ok(theirs)) if is_same(&ours, &theirs)
        )
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(one), Value::Object(other)) => {
            let covers = |one: &serde_json::Map<String, Value>, other: &serde_json::Map<_, _>| {
                let mut members = one.iter();
                members.all(|(key, value)| {
                    value.is_null() || other.get(key).is_some_and(|it| is_same(value, it))
                })
            };
            covers(one, other) && covers(other, one)
        }
        _ => one == other,
    }
}

/// `ours` are the hidden results of a turn, the first of them that of the call; `theirs` is the block that the
/// client returned.
pub(super) fn is_same_result(ours: &[Box<RawValue>], id: &str, theirs: &RawValue) -> bool {
    let own = ours.iter().find(|result| {
        let members = crate::mcp::edit::Members::of(result.get()).ok();
        let own = members.and_then(|it| it.get("tool_use_id"));
        own.and_then(crate::adapters::anthropic::json::unquoted)
            .as_deref()
            == Some(id)
    });
    own.is_some_and(|own| visible_texts(own.get()).concat() == visible_texts(theirs.get()).concat())
}
