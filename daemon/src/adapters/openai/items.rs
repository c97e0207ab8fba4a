//! What is read from output items, and those that are put together here.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapters::event::{Block, Content, FunctionCall, Kind};
use crate::adapters::raw::{Object, list};
use crate::adapters::translate::{Origin, wrap};
use crate::mcp::edit::Members;

/// Stands between the parts of a summary where they become one text.
pub const PARAGRAPH: &str = "\n\n";

/// Items by which the model asks something of the client, besides calls of its functions. They are
/// calls by the name of their type, so that the answer ends with them.
pub const CLIENT_ITEMS: [&str; 5] = [
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "mcp_approval_request",
];

const MAX_CALL_ID: usize = 256;

/// What an item is, known from its beginning.
#[derive(Debug, Deserialize)]
pub struct ItemHead {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
}

impl ItemHead {
    /// # Errors
    /// A call has no usable id or name.
    pub fn kind(self) -> Result<Kind, String> {
        let name = match self.kind.as_str() {
            "message" => return Ok(Kind::Text),
            "reasoning" => return Ok(Kind::Thinking),
            "function_call" | "custom_tool_call" => self.name,
            other if CLIENT_ITEMS.contains(&other) => Some(self.kind),
            _ => return Ok(Kind::Other(self.kind)),
        };
        let id = self.call_id.or(self.id).unwrap_or_default();
        if id.is_empty() || id.len() > MAX_CALL_ID {
            return Err(format!("a call has no id of 1 to {MAX_CALL_ID} bytes"));
        }
        match name {
            Some(name) if !name.is_empty() => Ok(Kind::Call { id, name }),
            _ => Err(format!("the call {id:?} has no name")),
        }
    }
}

/// The content of a complete item.
#[derive(Debug, Deserialize)]
pub struct Finished {
    arguments: Option<serde_json::Value>,
    input: Option<serde_json::Value>,
    #[serde(default)]
    summary: Parts,
    #[serde(default)]
    content: Parts,
}

/// Texts of an item's parts; what is no list of parts has none.
#[derive(Debug, Default)]
struct Parts(Vec<Part>);

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
    refusal: Option<String>,
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(serde_json::from_str(raw.get()).unwrap_or_default()))
    }
}

impl Parts {
    fn joined(&self, separator: &str) -> String {
        let texts: Vec<&str> = self
            .0
            .iter()
            .filter_map(|part| part.text.as_deref().or(part.refusal.as_deref()))
            .collect();
        texts.join(separator)
    }
}

impl Finished {
    pub fn content(self, kind: &Kind) -> Content {
        match kind {
            Kind::Text if self.content.0.iter().any(|part| part.refusal.is_some()) => {
                Content::Refusal(self.content.joined(""))
            }
            Kind::Text => Content::Text(self.content.joined("")),
            Kind::Thinking => {
                let summary = self.summary.joined(PARAGRAPH);
                let text = match summary.is_empty() {
                    true => self.content.joined(""),
                    false => summary,
                };
                Content::Thinking { text }
            }
            Kind::Call { id, name } => Content::Call(FunctionCall {
                id: id.clone(),
                name: name.clone(),
                arguments: arguments(self.arguments.or(self.input)),
            }),
            Kind::Other(name) => Content::Other(name.clone()),
        }
    }
}

/// What the item is that is made up for `content` of another language; none where this one has no word.
pub fn kind_of(content: &Content) -> Option<Kind> {
    Some(match content {
        Content::Text(_) | Content::Refusal(_) => Kind::Text,
        Content::Thinking { .. } => Kind::Thinking,
        Content::Call(call) => Kind::Call {
            id: call.id.clone(),
            name: call.name.clone(),
        },
        Content::Other(_) => return None,
    })
}

/// How the id begins of an item that is made up.
pub fn prefix(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Text => Some("msg"),
        Kind::Thinking => Some("rs"),
        Kind::Call { .. } => Some("fc"),
        Kind::Other(_) => None,
    }
}

/// A call without arguments may have none at all.
fn arguments(value: Option<serde_json::Value>) -> String {
    match value {
        Some(serde_json::Value::String(text)) if !text.is_empty() => text,
        Some(serde_json::Value::String(_) | serde_json::Value::Null) | None => "{}".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// A part of a message. `kind` is `output_text` or `refusal`.
pub fn text_part(text: &str) -> Object {
    Object::of_type("output_text")
        .put("annotations", "[]")
        .put("logprobs", "[]")
        .text("text", text)
}

pub fn refusal_part(text: &str) -> Object {
    Object::of_type("refusal").text("refusal", text)
}

pub fn summary_part(text: &str) -> Object {
    Object::of_type("summary_text").text("text", text)
}

/// A message of the model with these parts.
pub fn message(id: &str, status: &str, parts: &[String]) -> Box<RawValue> {
    Object::new()
        .text("id", id)
        .text("type", "message")
        .text("status", status)
        .text("role", "assistant")
        .put("content", &list(parts))
        .done()
}

/// `sealed` is what proves it to the vendor that made it.
pub fn reasoning(id: Option<&str>, text: &str, sealed: Option<&str>) -> Box<RawValue> {
    let summary = match text.is_empty() {
        true => Vec::new(),
        false => vec![summary_part(text).json()],
    };
    Object::new()
        .text_if("id", id)
        .text("type", "reasoning")
        .put("summary", &list(summary))
        .text_if("encrypted_content", sealed)
        .done()
}

/// Reasoning of a vendor of another language, for that vendor to see again.
pub fn sealed(block: &Block) -> Option<String> {
    let native = block.native.as_ref()?;
    Some(wrap(Origin::Anthropic, native.get()))
}

pub fn function_call(id: &str, status: &str, call: &FunctionCall) -> Box<RawValue> {
    Object::new()
        .text("id", id)
        .text("type", "function_call")
        .text("status", status)
        .text("arguments", &call.arguments)
        .text("call_id", &call.id)
        .text("name", &call.name)
        .done()
}

/// What a model of another language said, as it is told again; nothing where this one has no word.
pub fn hidden(block: &Block) -> Option<Box<RawValue>> {
    let message = |part: Object| {
        let content = list([part.json()]);
        Object::of_type("message")
            .text("role", "assistant")
            .put("content", &content)
            .done()
    };
    match &block.content {
        Content::Text(text) => Some(message(Object::of_type("output_text").text("text", text))),
        Content::Refusal(text) => Some(message(refusal_part(text))),
        Content::Thinking { text } => {
            sealed(block).map(|sealed| reasoning(None, text, Some(&sealed)))
        }
        Content::Call(call) => Some(hidden_call(call)),
        Content::Other(_) => None,
    }
}

/// The call of an MCP tool that the vendor has as `native`.
pub fn hidden_native(call: &FunctionCall, native: &RawValue) -> Box<RawValue> {
    const OWN: [&str; 6] = ["type", "id", "status", "call_id", "name", "arguments"];
    let members = Members::of(native.get()).map(|Members(members)| members);
    let is_plain =
        |(key, value): &(String, &RawValue)| OWN.contains(&key.as_str()) || value.get() == "null";
    match members.is_ok_and(|members| members.iter().all(is_plain)) {
        true => hidden_call(call),
        // It says more, such as which program of the model calls; that must come back.
        false => native.to_owned(),
    }
}

/// A call of an MCP tool as the model knows it. Made of what the client sees too, so that it can be
/// made again of a resent item.
pub fn hidden_call(call: &FunctionCall) -> Box<RawValue> {
    Object::of_type("function_call")
        .text("call_id", &call.id)
        .text("name", &call.name)
        .text("arguments", &call.arguments)
        .done()
}

/// `output` is JSON: a string or a list of parts.
pub fn hidden_output(call_id: &str, output: &str) -> Box<RawValue> {
    Object::of_type("function_call_output")
        .text("call_id", call_id)
        .put("output", output)
        .done()
}
