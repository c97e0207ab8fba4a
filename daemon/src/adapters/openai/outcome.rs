//! How a call ended, for the model and for the client.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::hidden_output;
use crate::adapters::image::is_shown;
use crate::adapters::raw::{Object, list, quoted};
use crate::adapters::step::Outcome;

/// The model's output of a resent call whose result nobody has any more.
const LOST: &str = "The result of this call is no longer available.";

/// A `CallToolResult`, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToolResult<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow, rename = "structuredContent")]
    structured: Option<&'a RawValue>,
}

/// A content block of MCP; one that cannot be read is a block of no kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part<'a> {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    data: Option<String>,
    #[serde(rename = "mimeType")]
    media: Option<String>,
    uri: Option<String>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Resource {
    uri: Option<String>,
    text: Option<String>,
    blob: Option<String>,
    #[serde(rename = "mimeType")]
    media: Option<String>,
}

/// What the client sees of a call that ended: JSON of `output` and of `error`.
#[derive(Debug, PartialEq, Eq)]
pub struct Visible {
    pub output: String,
    pub error: String,
}

/// None where the client is not shown the call.
pub fn visible(outcome: &Outcome) -> Option<Visible> {
    let failed = |error: Object| Visible {
        output: "null".to_owned(),
        error: error.json(),
    };
    Some(match outcome {
        Outcome::Answered {
            is_error: false,
            result,
        } => Visible {
            output: quoted(&flat(result)),
            error: "null".to_owned(),
        },
        Outcome::Answered { result, .. } => {
            let content = content(result);
            failed(Object::of_type("mcp_tool_execution_error").put("content", &content))
        }
        Outcome::Protocol { code, message } => failed(
            Object::of_type("mcp_protocol_error")
                .put("code", &code.to_string())
                .text("message", message),
        ),
        Outcome::Http { code, message } => failed(
            Object::of_type("http_error")
                .put("code", &code.to_string())
                .text("message", message),
        ),
        Outcome::Declined { .. } | Outcome::NotRun { .. } => return None,
    })
}

/// What the model is given for the call `call_id`.
pub fn hidden(call_id: &str, outcome: &Outcome) -> Box<RawValue> {
    let output = match outcome {
        Outcome::Answered { is_error, result } => answered(*is_error, &content(result), result),
        Outcome::Protocol { code, message } => protocol(*code, message),
        Outcome::Http { code, message } => http(*code, message),
        Outcome::Declined { reason } => declined(reason.as_deref()),
        Outcome::NotRun { text } => quoted(text),
    };
    hidden_output(call_id, &output)
}

/// The same where the model takes nothing but text: what is none is named.
pub fn as_text(outcome: &Outcome) -> String {
    let json = match outcome {
        Outcome::Answered { is_error, result } => {
            let content = content(result);
            let parts = parts(&content);
            let text = plain(&parts).unwrap_or_else(|| structured(result));
            return match is_error {
                true => format!("Error: {text}"),
                false => text,
            };
        }
        Outcome::Protocol { code, message } => protocol(*code, message),
        Outcome::Http { code, message } => http(*code, message),
        Outcome::Declined { reason } => declined(reason.as_deref()),
        Outcome::NotRun { text } => return text.clone(),
    };
    serde_json::from_str(&json).unwrap_or(json)
}

/// The images of a result as data URLs, which [`as_text`] only names.
pub fn images(outcome: &Outcome) -> Vec<String> {
    let Outcome::Answered { result, .. } = outcome else {
        return Vec::new();
    };
    let content = content(result);
    parts(&content).iter().filter_map(Part::image).collect()
}

/// The same of a resent `mcp_call`: of its `output` and `error`.
pub fn hidden_again(
    call_id: &str,
    output: Option<&str>,
    error: Option<&RawValue>,
) -> Box<RawValue> {
    let text = match (error, output) {
        (Some(error), _) => failed_again(error),
        (None, Some(output)) => again(output),
        (None, None) => quoted(LOST),
    };
    hidden_output(call_id, &text)
}

/// JSON of what the model is told where the client declined.
pub fn declined(reason: Option<&str>) -> String {
    match reason.map(str::trim).filter(|reason| !reason.is_empty()) {
        Some(reason) => quoted(&format!("The user declined this call. Reason: {reason}")),
        None => quoted("The user declined this call."),
    }
}

fn failed_again(error: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Error<'a> {
        #[serde(rename = "type")]
        kind: String,
        code: Option<i64>,
        message: Option<String>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    let Ok(error) = serde_json::from_str::<Error<'_>>(error.get()) else {
        // Clients of 2025 know a text here.
        let text: String = serde_json::from_str(error.get()).unwrap_or_default();
        return quoted(&format!("Error: {text}"));
    };
    let (code, message) = (error.code.unwrap_or(0), error.message.unwrap_or_default());
    match (error.kind.as_str(), error.content) {
        (_, Some(content)) => answered(true, content.get(), RawValue::NULL),
        ("mcp_protocol_error", None) => protocol(code, &message),
        _ => http(u16::try_from(code).unwrap_or(0), &message),
    }
}

fn protocol(code: i64, message: &str) -> String {
    quoted(&format!("Error: {message} (code {code})"))
}

fn http(code: u16, message: &str) -> String {
    quoted(&format!("Error: {message} (HTTP status {code})"))
}

/// `output` of an `mcp_call` that is resent: the content itself where it was no plain text.
fn again(output: &str) -> String {
    match parts(output).iter().any(|part| part.kind != "text") {
        true => answered(false, output, RawValue::NULL),
        false => quoted(output),
    }
}

fn answered(is_error: bool, content: &str, result: &RawValue) -> String {
    let parts = parts(content);
    let images: Vec<Option<String>> = parts.iter().map(Part::image).collect();
    let mark = if is_error { "Error: " } else { "" };
    if images.iter().all(Option::is_none) {
        let text = match parts.iter().all(|part| part.kind == "text") {
            true => plain(&parts).unwrap_or_else(|| structured(result)),
            false => joined(parts.iter().map(Part::note)),
        };
        return quoted(&format!("{mark}{text}"));
    }
    let mut out = Vec::new();
    if is_error {
        out.push(input_text("Error:"));
    }
    for (part, image) in parts.iter().zip(images) {
        out.push(match image {
            Some(url) => Object::of_type("input_image")
                .text("image_url", &url)
                .text("detail", "auto")
                .json(),
            None => input_text(&part.note()),
        });
    }
    list(out)
}

fn input_text(text: &str) -> String {
    Object::of_type("input_text").text("text", text).json()
}

/// The result as one text: its text parts by line, or what there is as JSON.
fn flat(result: &RawValue) -> String {
    let content = content(result);
    let parts = parts(&content);
    match parts.iter().all(|part| part.kind == "text") {
        true => plain(&parts).unwrap_or_else(|| structured(result)),
        false => content,
    }
}

fn content(result: &RawValue) -> String {
    let read: ToolResult<'_> = serde_json::from_str(result.get()).unwrap_or_default();
    read.content.map_or("[]", RawValue::get).to_owned()
}

fn parts(content: &str) -> Vec<Part<'_>> {
    let parts: Vec<&RawValue> = serde_json::from_str(content).unwrap_or_default();
    let read = parts
        .into_iter()
        .map(RawValue::get)
        .map(serde_json::from_str);
    read.map(Result::unwrap_or_default).collect()
}

fn structured(result: &RawValue) -> String {
    let read: ToolResult<'_> = serde_json::from_str(result.get()).unwrap_or_default();
    read.structured.map_or("", RawValue::get).to_owned()
}

fn plain(parts: &[Part<'_>]) -> Option<String> {
    (!parts.is_empty()).then(|| joined(parts.iter().map(Part::note)))
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join("\n")
}

impl Part<'_> {
    /// The part as a data URL, if it is an image that models take.
    fn image(&self) -> Option<String> {
        let resource = self.resource();
        let (media, data) = match self.kind.as_str() {
            "image" => (self.media.as_deref()?, self.data.as_deref()?),
            "resource" => {
                let resource = resource.as_ref()?;
                (resource.media.as_deref()?, resource.blob.as_deref()?)
            }
            _ => return None,
        };
        is_shown(media, data).then(|| format!("data:{media};base64,{data}"))
    }

    fn note(&self) -> String {
        if let Some(text) = &self.text {
            return text.clone();
        }
        let resource = self.resource();
        if let Some(text) = resource.as_ref().and_then(|resource| resource.text.clone()) {
            return text;
        }
        let uri = resource.and_then(|resource| resource.uri);
        match uri.as_ref().or(self.uri.as_ref()) {
            Some(uri) => format!("[resource: {uri}]"),
            None => format!("[{}]", self.kind),
        }
    }

    fn resource(&self) -> Option<Resource> {
        serde_json::from_str(self.resource?.get()).ok()
    }
}
