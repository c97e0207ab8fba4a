//! Frames of a stream of Messages events.

use serde_json::value::RawValue;

use crate::adapters::anthropic::json::unquoted;
use crate::adapters::event::Kind;
use crate::adapters::raw::Object;
use crate::mcp::edit::{self, Edit, Members};

/// Clients skip frames without a name.
pub(super) fn frame(name: &str, json: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    // Blanks between tokens are the only line breaks that JSON can have.
    out.extend(json.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    out.extend_from_slice(b"\n\n");
}

pub(super) fn start(index: usize, block: &str, out: &mut Vec<u8>) {
    let event = at("content_block_start", index).put("content_block", block);
    frame("content_block_start", &event.json(), out);
}

pub(super) fn delta(index: usize, delta: &str, out: &mut Vec<u8>) {
    let event = at("content_block_delta", index).put("delta", delta);
    frame("content_block_delta", &event.json(), out);
}

pub(super) fn stop(index: usize, out: &mut Vec<u8>) {
    frame(
        "content_block_stop",
        &at("content_block_stop", index).json(),
        out,
    );
}

fn at(kind: &str, index: usize) -> Object {
    Object::of_type(kind).put("index", &index.to_string())
}

/// How a block begins that a model of another vendor begins. None if it cannot be shown.
pub(super) fn started(kind: &Kind) -> Option<String> {
    Some(match kind {
        Kind::Text => Object::of_type("text").text("text", "").json(),
        Kind::Thinking => {
            let object = Object::of_type("thinking").text("thinking", "");
            object.text("signature", "").json()
        }
        Kind::Call { id, name } => {
            let object = Object::of_type("tool_use")
                .text("id", id)
                .text("name", name);
            object.put("input", "{}").json()
        }
        Kind::Other(_) => return None,
    })
}

/// How a complete block is told: its beginning, and the deltas that lead to it.
pub(super) fn deltas(block: &str) -> (String, Vec<String>) {
    let whole = || (block.to_owned(), Vec::new());
    let Ok(members) = Members::of(block) else {
        return whole();
    };
    let get = |key: &str| members.get(key).map(RawValue::get);
    let (emptied, deltas): (Vec<(&str, &str)>, Vec<String>) = match members
        .get("type")
        .and_then(unquoted)
        .unwrap_or_default()
        .as_str()
    {
        "text" => {
            let mut deltas = vec![of("text_delta", "text", get("text"))];
            let citations = get("citations").and_then(|it| serde_json::from_str(it).ok());
            let citations: Vec<&RawValue> = citations.unwrap_or_default();
            let each = citations.into_iter().map(|it| {
                Some(
                    Object::of_type("citations_delta")
                        .put("citation", it.get())
                        .json(),
                )
            });
            deltas.extend(each);
            let emptied = match get("citations") {
                Some(_) => vec![("text", "\"\""), ("citations", "[]")],
                None => vec![("text", "\"\"")],
            };
            (emptied, deltas.into_iter().flatten().collect())
        }
        "thinking" => {
            let deltas = [
                of("thinking_delta", "thinking", get("thinking")),
                of("signature_delta", "signature", get("signature")),
            ];
            let emptied = vec![("thinking", "\"\""), ("signature", "\"\"")];
            (emptied, deltas.into_iter().flatten().collect())
        }
        "tool_use" => {
            let input = get("input").unwrap_or("{}");
            let delta = Object::of_type("input_json_delta").text("partial_json", input);
            (vec![("input", "{}")], vec![delta.json()])
        }
        _ => return whole(),
    };
    let edits: Vec<_> = emptied
        .iter()
        .map(|(key, value)| (*key, Edit::Put((*value).into())))
        .collect();
    match edit::object(block, &edits) {
        Ok(start) => (start, deltas),
        Err(_) => whole(),
    }
}

/// A delta with the text `json`, or None if that is empty.
fn of(kind: &str, key: &str, json: Option<&str>) -> Option<String> {
    let json = json.filter(|json| *json != "\"\"")?;
    Some(Object::of_type(kind).put(key, json).json())
}
