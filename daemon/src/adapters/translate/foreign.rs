//! Reasoning that a client carried for a model of the other vendor, on its way to a model of its own:
//! the client has changed the model in the middle of a conversation, and no vendor takes what another
//! one's model thought.

use serde_json::value::RawValue;

use super::fields::Fields;
use super::thinking::{MARK, is_wrapped};
use crate::adapters::event::Wire;
use crate::adapters::raw::list;
use crate::mcp::edit::{self, Edit, Members};

/// The body, in the language `wire`, without the other vendor's reasoning; None if it has none. What is
/// left keeps its bytes.
pub fn without_foreign_reasoning(wire: Wire, body: &str) -> Option<String> {
    if !body.contains(MARK) {
        return None;
    }
    match wire {
        Wire::Responses => filtered(body, "input", own),
        Wire::Messages => filtered(body, "messages", message),
        // It has no place for any.
        Wire::Chat => None,
    }
}

/// The object with those elements of its list `key` that `keep` returns, as it returns them.
fn filtered(object: &str, key: &str, keep: impl Fn(&RawValue) -> Option<String>) -> Option<String> {
    let members = Members::of(object).ok()?;
    let elements: Vec<&RawValue> = serde_json::from_str(members.get(key)?.get()).ok()?;
    let kept: Vec<String> = elements.into_iter().filter_map(keep).collect();
    edit::object(object, &[(key, Edit::Put(list(&kept).into()))]).ok()
}

/// None for a message that was nothing but such reasoning.
fn message(message: &RawValue) -> Option<String> {
    let whole = message.get();
    if !whole.contains(MARK) {
        return Some(whole.to_owned());
    }
    match filtered(whole, "content", own) {
        Some(left) if Members::of(&left).ok()?.get("content")?.get() == "[]" => None,
        Some(left) => Some(left),
        None => Some(whole.to_owned()),
    }
}

/// The block or item, unless it is such reasoning.
fn own(element: &RawValue) -> Option<String> {
    (!is_foreign(element)).then(|| element.get().to_owned())
}

fn is_foreign(element: &RawValue) -> bool {
    let Ok(fields) = Fields::of(element) else {
        return false;
    };
    let kind = fields.kind().unwrap_or_default();
    let proof = match kind.as_ref() {
        "thinking" => fields.text("signature"),
        "reasoning" => fields.text("encrypted_content"),
        _ => return false,
    };
    proof.is_ok_and(|proof| proof.is_some_and(|proof| is_wrapped(&proof)))
}

#[cfg(test)]
mod tests {
    use super::super::thinking::{Origin, wrap};
    use super::*;

    #[test]
    fn a_message_of_nothing_else_is_left_out_too() {
        let foreign = wrap(Origin::OpenAi, r#"{"type":"reasoning"}"#);
        let thinking = format!(r#"{{"type":"thinking","thinking":"","signature":"{foreign}"}}"#);
        let user = r#"{"role":"user","content":"q"}"#;
        let text = r#"{"type":"text","text":"a"}"#;
        let body = format!(
            r#"{{"messages":[{user},{{"role":"assistant","content":[{thinking}]}},{user},{{"role":"assistant","content":[{thinking},{text}]}},{user}]}}"#
        );
        let left = format!(
            r#"{{"messages":[{user},{user},{{"role":"assistant","content":[{text}]}},{user}]}}"#
        );
        assert_eq!(without_foreign_reasoning(Wire::Messages, &body), Some(left));
    }

    #[test]
    fn an_item_is_left_out_and_the_others_keep_their_bytes() {
        let foreign = wrap(Origin::Anthropic, r#"{"type":"thinking"}"#);
        let user = r#"{ "role":"user","content":"\u00e4" }"#;
        let own = r#"{"type":"reasoning","encrypted_content":"gAAA","n":1.0}"#;
        let body = format!(
            r#"{{"input":[{user},{{"type":"reasoning","encrypted_content":"{foreign}"}},{own}],"x":1.0}}"#
        );
        assert_eq!(
            without_foreign_reasoning(Wire::Responses, &body),
            Some(format!(r#"{{"input":[{user},{own}],"x":1.0}}"#))
        );
    }

    #[test]
    fn what_has_none_stays_as_it_is() {
        for (wire, body) in [
            (
                Wire::Messages,
                r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","signature":"Eu8="}]}]}"#,
            ),
            (
                Wire::Messages,
                r#"{"messages":[{"role":"user","content":"mcpbridge.reasoning.x"}]}"#,
            ),
            (
                Wire::Responses,
                r#"{"input":[{"type":"message","encrypted_content":"mcpbridge.reasoning.x"}]}"#,
            ),
            (Wire::Responses, r#"{"input":"mcpbridge.reasoning.x"}"#),
            (Wire::Chat, r#"{"messages":["mcpbridge.reasoning.x"]}"#),
            (Wire::Messages, "mcpbridge.reasoning."),
        ] {
            let left = without_foreign_reasoning(wire, body);
            assert_eq!(left.as_deref().unwrap_or(body), body);
        }
    }
}
