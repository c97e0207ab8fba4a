//! What a tool answered, in parts that every vendor has a place for.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapters::image::{is_base64, is_shown, is_typed};
use crate::adapters::step::Outcome;

/// One part of a tool's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Never blank: vendors refuse that.
    Text(String),
    Image {
        mime: String,
        /// Base64.
        data: String,
    },
    /// A PDF file, in base64.
    Pdf { data: String },
}

/// What the model is told of `outcome`.
pub(super) fn parts(outcome: &Outcome) -> Vec<Part> {
    match outcome {
        Outcome::Answered { result, .. } => of_result(result),
        Outcome::Protocol { code, message } => {
            vec![Part::Text(format!("MCP error {code}: {message}"))]
        }
        Outcome::Http { message, .. } => vec![Part::Text(message.clone())],
        Outcome::Declined { reason } => {
            let reason = reason.as_deref().filter(|it| !it.trim().is_empty());
            let reason = reason.map_or_else(String::new, |reason| format!(" Reason: {reason}"));
            vec![Part::Text(format!("The user declined this call.{reason}"))]
        }
        Outcome::NotRun { text } => vec![Part::Text(text.clone())],
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CallToolResult<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    structured_content: Option<&'a RawValue>,
}

/// A content block of MCP; of each kind only some members are there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    #[serde(borrow, default)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    mime_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    uri: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    blob: Option<Cow<'a, str>>,
}

fn of_result(result: &RawValue) -> Vec<Part> {
    let Ok(result) = serde_json::from_str::<CallToolResult<'_>>(result.get()) else {
        return vec![Part::Text(
            "[the answer of the tool cannot be read]".to_owned(),
        )];
    };
    let content = result.content.unwrap_or_default();
    let mut parts: Vec<Part> = content.into_iter().filter_map(of_content).collect();
    let has_text = parts.iter().any(|part| matches!(part, Part::Text(_)));
    if let Some(structured) = result.structured_content
        && structured.get() != "null"
        && !has_text
    {
        parts.push(Part::Text(structured.get().to_owned()));
    }
    parts
}

/// None for a blank text.
fn of_content(block: &RawValue) -> Option<Part> {
    let Ok(block) = serde_json::from_str::<Content<'_>>(block.get()) else {
        return Some(note("content that cannot be read"));
    };
    match &*block.r#type {
        "text" => text(&block.text.unwrap_or_default()),
        "image" => Some(image(
            block.mime_type.as_deref().unwrap_or_default(),
            block.data.as_deref().unwrap_or_default(),
        )),
        "audio" => Some(note(&format!(
            "audio: {}",
            block.mime_type.unwrap_or_default()
        ))),
        "resource_link" => {
            let name = block
                .name
                .map_or_else(String::new, |name| format!(" ({name})"));
            Some(note(&format!(
                "resource: {}{name}",
                block.uri.unwrap_or_default()
            )))
        }
        "resource" => of_resource(block.resource?),
        other => Some(note(other)),
    }
}

fn of_resource(resource: &RawValue) -> Option<Part> {
    let Ok(resource) = serde_json::from_str::<Content<'_>>(resource.get()) else {
        return Some(note("resource that cannot be read"));
    };
    if let Some(found) = &resource.text {
        return text(found);
    }
    let mime = resource.mime_type.as_deref().unwrap_or_default();
    let blob = resource.blob.as_deref().unwrap_or_default();
    if is_typed(mime) {
        return Some(image(mime, blob));
    }
    if mime == "application/pdf" && is_base64(blob) {
        return Some(Part::Pdf {
            data: blob.to_owned(),
        });
    }
    Some(note(&format!(
        "resource: {}",
        resource.uri.unwrap_or_default()
    )))
}

fn text(text: &str) -> Option<Part> {
    (!text.trim().is_empty()).then(|| Part::Text(text.to_owned()))
}

fn image(mime: &str, data: &str) -> Part {
    if is_shown(mime, data) {
        return Part::Image {
            mime: mime.to_owned(),
            data: data.to_owned(),
        };
    }
    note(&format!("image that cannot be shown: {mime}"))
}

/// What stands in the place of something that cannot be shown.
fn note(what: &str) -> Part {
    Part::Text(format!("[{what}]"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(json: &str) -> Vec<Part> {
        of_result(&RawValue::from_string(json.to_owned()).unwrap())
    }

    fn text(text: &str) -> Part {
        Part::Text(text.to_owned())
    }

    #[test]
    fn every_kind_of_content_has_a_place() {
        let image = Part::Image {
            mime: "image/png".to_owned(),
            data: "aGk=".to_owned(),
        };
        let pdf = Part::Pdf {
            data: "aGk=".to_owned(),
        };
        for (block, part) in [
            (r#"{"type":"text","text":"\u00e4"}"#, text("ä")),
            (
                r#"{"type":"image","mimeType":"image/png","data":"aGk="}"#,
                image.clone(),
            ),
            (
                r#"{"type":"image","mimeType":"image/png","data":"!"}"#,
                text("[image that cannot be shown: image/png]"),
            ),
            (
                r#"{"type":"image","mimeType":"image/svg+xml","data":"aGk="}"#,
                text("[image that cannot be shown: image/svg+xml]"),
            ),
            (
                r#"{"type":"audio","mimeType":"audio/wav","data":"aGk="}"#,
                text("[audio: audio/wav]"),
            ),
            (
                r#"{"type":"resource_link","uri":"a://b","name":"n"}"#,
                text("[resource: a://b (n)]"),
            ),
            (
                r#"{"type":"resource","resource":{"uri":"a://b","text":"t"}}"#,
                text("t"),
            ),
            (
                r#"{"type":"resource","resource":{"uri":"a://b","mimeType":"image/png","blob":"aGk="}}"#,
                image,
            ),
            (
                r#"{"type":"resource","resource":{"uri":"a://b","mimeType":"application/pdf","blob":"aGk="}}"#,
                pdf,
            ),
            (
                r#"{"type":"resource","resource":{"uri":"a://b","blob":"aGk="}}"#,
                text("[resource: a://b]"),
            ),
            (r#"{"type":"video"}"#, text("[video]")),
            ("1", text("[content that cannot be read]")),
        ] {
            assert_eq!(
                of(&format!(r#"{{"content":[{block}]}}"#)),
                [part],
                "{block}"
            );
        }
    }

    #[test]
    fn structured_content_speaks_where_no_text_does() {
        let alone = r#"{"content":[],"structuredContent":{"n": 1.0}}"#;
        assert_eq!(of(alone), [text(r#"{"n": 1.0}"#)]);
        let both = r#"{"content":[{"type":"text","text":"a"}],"structuredContent":{"n":1}}"#;
        assert_eq!(of(both), [text("a")]);
        assert_eq!(of(r#"{"content":[{"type":"text","text":" "}]}"#), []);
        assert_eq!(of("{}"), []);
    }

    #[test]
    fn what_went_wrong_is_told() {
        let refused = Outcome::Protocol {
            code: -32602,
            message: "no".to_owned(),
        };
        assert_eq!(parts(&refused), [text("MCP error -32602: no")]);
        let declined = Outcome::Declined {
            reason: Some("later".to_owned()),
        };
        assert_eq!(
            parts(&declined),
            [text("The user declined this call. Reason: later")]
        );
    }

    proptest! {
        #[test]
        fn no_answer_of_a_tool_makes_it_panic_or_leaves_a_blank_text(
            json in r#"(\{"content":)?[\[{]?(\{"type":"(text|image|resource)","(text|data|blob)":(".{0,4}"|1|null)\},?){0,3}[\]}]?\}?"#
        ) {
            let Ok(raw) = RawValue::from_string(json) else { return Ok(()) };
            for part in of_result(&raw) {
                if let Part::Text(text) = part {
                    prop_assert!(!text.trim().is_empty());
                }
            }
        }
    }
}
