//! Reasoning that a client of the Messages API carried for an OpenAI model, on its way to Anthropic: the
//! client has changed the model in the middle of a conversation.

use serde_json::value::RawValue;

use super::fields::Fields;
use super::thinking::{MARK, is_wrapped};
use crate::adapters::raw::list;
use crate::mcp::edit::{self, Edit, Members};

/// The Messages body without the other vendor's reasoning. What is left keeps its bytes.
pub fn without_foreign_thinking(body: String) -> String {
    match body.contains(MARK) {
        true => filtered(&body, "messages", message).unwrap_or(body),
        false => body,
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
    let keep = |block: &RawValue| Some(block.get().to_owned()).filter(|_| !is_foreign(block));
    match filtered(whole, "content", keep) {
        Some(left) if Members::of(&left).ok()?.get("content")?.get() == "[]" => None,
        Some(left) => Some(left),
        None => Some(whole.to_owned()),
    }
}

fn is_foreign(block: &RawValue) -> bool {
    let Ok(block) = Fields::of(block) else {
        return false;
    };
    let is_thinking = block.kind().is_ok_and(|kind| kind == "thinking");
    let signature = block.text("signature").ok().flatten();
    is_thinking && signature.is_some_and(|signature| is_wrapped(&signature))
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
        assert_eq!(
            without_foreign_thinking(body),
            format!(
                r#"{{"messages":[{user},{user},{{"role":"assistant","content":[{text}]}},{user}]}}"#
            )
        );
    }

    #[test]
    fn what_has_none_stays_as_it_is() {
        for body in [
            r#"{ "messages": [ {"role":"assistant","content":[{"type":"thinking","signature":"Eu8="}]} ] }"#,
            r#"{"messages": [{"role":"user","content":"mcpbridge.reasoning.x"}]}"#,
            r#"mcpbridge.reasoning."#,
        ] {
            let left = without_foreign_thinking(body.to_owned());
            assert_eq!(left.replace(' ', ""), body.replace(' ', ""));
        }
    }
}
