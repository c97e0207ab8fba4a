//! What was said and what came of it, as blocks: for the vendor, and for the client.

use serde_json::value::RawValue;

use super::block;
use super::content::{self, Part};
use super::json::unquoted;
use crate::adapters::event::{Block, Content, Wire};
use crate::adapters::raw::{Object, list};
use crate::adapters::step::{CallResult, McpCall};
use crate::adapters::translate::{Origin, wrap};
use crate::mcp::edit::Members;

/// A block of a model's turn, in this language whoever made it. None where nothing of it can be said.
pub(super) fn said(wire: Wire, block: &Block) -> Option<String> {
    if wire == Wire::Messages {
        return block.native.as_ref().map(|native| native.get().to_owned());
    }
    match &block.content {
        Content::Text(text) | Content::Refusal(text) if text.is_empty() => None,
        Content::Text(text) | Content::Refusal(text) => {
            Some(Object::of_type("text").text("text", text).json())
        }
        Content::Thinking { text } => {
            let signature = signature(block)?;
            let object = Object::of_type("thinking").text("thinking", text);
            Some(object.text("signature", &signature).json())
        }
        Content::Call(call) => {
            let input = block::input(&call.arguments);
            Some(tool_use(&call.id, &call.name, &input))
        }
        Content::Other(_) => None,
    }
}

/// What the client has to return so that the vendor of another language gets its reasoning back.
pub(super) fn signature(block: &Block) -> Option<String> {
    let native = block.native.as_ref()?;
    Some(wrap(Origin::OpenAi, native.get()))
}

/// The call as the model is told that it made it.
pub(super) fn tool_use(id: &str, function: &str, input: &str) -> String {
    let object = Object::of_type("tool_use").text("id", id);
    object.text("name", function).put("input", input).json()
}

/// What the model is told of a call's end.
pub(super) fn tool_result(result: &CallResult) -> String {
    let parts = content::parts(&result.outcome);
    let content = list(parts.iter().map(of_part));
    let id = &result.call.call().id;
    result_block(id, &content, result.outcome.is_error())
}

/// `content` is a JSON list of blocks, or a JSON string.
pub(super) fn result_block(id: &str, content: &str, is_error: bool) -> String {
    let object = Object::of_type("tool_result").text("tool_use_id", id);
    let object = object.put("content", content);
    match is_error {
        true => object.put("is_error", "true").json(),
        false => object.json(),
    }
}

fn of_part(part: &Part) -> String {
    let source = |media: &str, data: &str| {
        let source = Object::of_type("base64").text("media_type", media);
        source.text("data", data).json()
    };
    match part {
        Part::Text(text) => Object::of_type("text").text("text", text).json(),
        Part::Image { mime, data } => {
            let image = Object::of_type("image");
            image.put("source", &source(mime, data)).json()
        }
        Part::Pdf { data } => {
            let document = Object::of_type("document");
            document
                .put("source", &source("application/pdf", data))
                .json()
        }
    }
}

pub(super) fn mcp_tool_use(call: &McpCall) -> String {
    let object = Object::of_type("mcp_tool_use").text("id", &super::ids::visible(&call.call.id));
    let object = object
        .text("name", &call.tool)
        .text("server_name", &call.label);
    object
        .put("input", &block::input(&call.call.arguments))
        .json()
}

/// What the client sees of a call's end: texts only.
pub(super) fn mcp_tool_result(result: &CallResult) -> String {
    let id = super::ids::visible(&result.call.call().id);
    let hidden = tool_result(result);
    let texts = visible_texts(&hidden);
    let texts = texts
        .iter()
        .map(|text| Object::of_type("text").text("text", text).json());
    let object = Object::of_type("mcp_tool_result").text("tool_use_id", &id);
    let is_error = result.outcome.is_error().to_string();
    object
        .put("is_error", &is_error)
        .put("content", &list(texts))
        .json()
}

/// The texts of a result block, with a note for each block that is none.
pub(super) fn visible_texts(result: &str) -> Vec<String> {
    let content = Members::of(result).ok().and_then(|it| it.get("content"));
    let Some(content) = content else {
        return Vec::new();
    };
    if let Some(text) = unquoted(content) {
        return vec![text];
    }
    let blocks: Vec<&RawValue> = serde_json::from_str(content.get()).unwrap_or_default();
    blocks.into_iter().filter_map(visible_text).collect()
}

fn visible_text(block: &RawValue) -> Option<String> {
    let members = Members::of(block.get()).ok()?;
    if let Some(text) = members.get("text") {
        return unquoted(text);
    }
    let kind = members.get("type").and_then(unquoted)?;
    let source = members
        .get("source")
        .and_then(|it| Members::of(it.get()).ok());
    let media = source.and_then(|it| it.get("media_type").and_then(unquoted));
    Some(format!("[{kind}: {}]", media.unwrap_or_default()))
}
