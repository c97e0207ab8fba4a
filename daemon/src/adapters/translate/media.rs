//! Texts, images and files inside of messages and tool results.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::{Dropped, Fields, Result, Unmappable, required, shown, string};
use super::json::{inner, join};
use crate::adapters::raw::{Object, list, quoted};

const PDF: &str = "application/pdf";

/// A Messages `text` block; `quoted` is a JSON string. None for one without a visible character,
/// which the Messages API refuses.
pub(super) fn text_block(quoted: &str) -> Option<String> {
    let text = serde_json::from_str::<Cow<'_, str>>(quoted);
    let is_blank = text.is_ok_and(|text| text.trim().is_empty());
    (!is_blank).then(|| Object::of_type("text").put("text", quoted).json())
}

/// A part of a Responses message or tool output as a block for the Messages API.
pub(super) fn to_block(part: &Fields<'_>, dropped: &mut Dropped) -> Result<Option<String>> {
    match part.kind()?.as_ref() {
        "input_text" | "output_text" | "text" => {
            Ok(text_block(required(part.quoted("text")?, "text")?))
        }
        "refusal" => Ok(text_block(required(part.quoted("refusal")?, "refusal")?)),
        "input_image" => image_block(part, dropped).map(Some),
        "input_file" => document_block(part).map(Some),
        other => Err(Unmappable::new(
            "type",
            format!(
                "content of type {} has no counterpart on Anthropic models; send text, an image or a file",
                shown(other)
            ),
        )),
    }
}

fn image_block(part: &Fields<'_>, dropped: &mut Dropped) -> Result<String> {
    refuse_file_id(part)?;
    if part.text("detail")?.is_some_and(|detail| detail != "auto") {
        dropped.add("input_image.detail");
    }
    let url = required(part.text("image_url")?, "image_url")?;
    let source = match data_url(&url) {
        None if is_web(&url) => Object::of_type("url").text("url", &url),
        None => {
            return Err(Unmappable::new(
                "image_url",
                "this is neither a web address nor a base64 data URL",
            ));
        }
        Some((media, data)) => {
            let media = image_type(media).ok_or_else(|| unknown_image("image_url", media))?;
            Object::of_type("base64")
                .text("media_type", media)
                .text("data", data)
        }
    };
    Ok(Object::of_type("image")
        .put("source", &source.json())
        .json())
}

fn document_block(part: &Fields<'_>) -> Result<String> {
    refuse_file_id(part)?;
    let name = part.text("filename")?;
    let source = match (part.text("file_url")?, part.text("file_data")?) {
        (Some(url), None) if is_web(&url) => Object::of_type("url").text("url", &url).json(),
        (Some(_), None) => return Err(Unmappable::new("file_url", "this is no web address")),
        (None, Some(data)) => document_source(&data)?,
        _ => {
            return Err(Unmappable::new(
                "file_data",
                "a file has either `file_data` or `file_url`",
            ));
        }
    };
    Ok(Object::of_type("document")
        .put("source", &source)
        .text_if("title", name.as_deref())
        .json())
}

fn document_source(data: &str) -> Result<String> {
    // Without a media type only a PDF is known, by how it begins: `%PDF-`.
    let bare = data.starts_with("JVBERi0").then_some((PDF, data));
    let Some((media, data)) = data_url(data).or(bare) else {
        return Err(Unmappable::new(
            "file_data",
            "send the file as a base64 data URL with its media type",
        ));
    };
    let base64 = |media| {
        Object::of_type("base64")
            .text("media_type", media)
            .text("data", data)
    };
    if media == PDF {
        return Ok(base64(PDF).json());
    }
    let text = media
        .starts_with("text/")
        .then(|| STANDARD.decode(data).ok())
        .flatten();
    let Some(text) = text.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        let message = format!(
            "Anthropic models take PDF and plain text, not {}; convert the file",
            shown(media)
        );
        return Err(Unmappable::new("file_data", message));
    };
    Ok(Object::of_type("text")
        .text("media_type", "text/plain")
        .text("data", &text)
        .json())
}

fn refuse_file_id(part: &Fields<'_>) -> Result<()> {
    match part.get("file_id") {
        None => Ok(()),
        Some(_) => Err(Unmappable::new(
            "file_id",
            "a file that was uploaded to OpenAI cannot be read by an Anthropic model; send its content instead",
        )),
    }
}

/// A block of a Messages message or tool result as parts for the Responses API.
pub(super) fn to_part(block: &Fields<'_>, dropped: &mut Dropped) -> Result<String> {
    match block.kind()?.as_ref() {
        "text" => {
            if block.get("citations").is_some() {
                dropped.add("citations");
            }
            Ok(text_part(required(block.quoted("text")?, "text")?))
        }
        "image" => image_part(block),
        "document" => document_part(block, dropped),
        "search_result" => search_part(block, dropped),
        other => Err(Unmappable::new(
            "type",
            format!(
                "a block of type {} has no counterpart on OpenAI models; send text, an image or a document",
                shown(other)
            ),
        )),
    }
}

pub(super) fn text_part(quoted: &str) -> String {
    Object::of_type("input_text").put("text", quoted).json()
}

fn image_part(block: &Fields<'_>) -> Result<String> {
    let (source, kind) = source(block)?;
    let at = |error: Unmappable| error.inside("source");
    let url = match kind.as_ref() {
        "url" => required(source.quoted("url").map_err(at)?, "url")
            .map_err(at)?
            .to_owned(),
        "base64" => {
            let media = source.text("media_type").map_err(at)?.unwrap_or_default();
            let media =
                image_type(&media).ok_or_else(|| unknown_image("source.media_type", &media))?;
            base64_url(&source, media).map_err(at)?
        }
        _ => return Err(foreign_source(&kind)),
    };
    Ok(Object::of_type("input_image")
        .text("detail", "auto")
        .put("image_url", &url)
        .json())
}

fn document_part(block: &Fields<'_>, dropped: &mut Dropped) -> Result<String> {
    if block.get("citations").is_some() {
        dropped.add("citations");
    }
    let title = block.quoted("title")?;
    let context = block.quoted("context")?;
    let (source, kind) = source(block)?;
    let at = |error: Unmappable| error.inside("source");
    if matches!(kind.as_ref(), "text" | "content") {
        let text = match kind.as_ref() {
            "text" => required(source.quoted("data").map_err(at)?, "data")
                .map_err(at)?
                .to_owned(),
            _ => texts(&source, "content").map_err(at)?,
        };
        let all = [title, context, Some(text.as_str())];
        return Ok(text_part(&join(all.into_iter().flatten())));
    }
    if context.is_some() {
        dropped.add("document.context");
    }
    let file = Object::of_type("input_file");
    match kind.as_ref() {
        "url" => {
            let url = required(source.quoted("url").map_err(at)?, "url").map_err(at)?;
            Ok(file.put("file_url", url).json())
        }
        "base64" => {
            let media = source.text("media_type").map_err(at)?;
            if media.as_deref().is_some_and(|media| media != PDF) {
                return Err(Unmappable::new(
                    "source.media_type",
                    "a base64 document has to be a PDF",
                ));
            }
            let data = base64_url(&source, PDF).map_err(at)?;
            let name = title.unwrap_or("\"document.pdf\"");
            Ok(file.put("filename", name).put("file_data", &data).json())
        }
        _ => Err(foreign_source(&kind)),
    }
}

fn search_part(block: &Fields<'_>, dropped: &mut Dropped) -> Result<String> {
    if block.get("citations").is_some() {
        dropped.add("citations");
    }
    let title = block.quoted("title")?;
    let source = block.quoted("source")?;
    let text = texts(block, "content")?;
    let all = [title, source, Some(text.as_str())];
    Ok(text_part(&join(all.into_iter().flatten())))
}

/// The texts of a string or a list of text blocks, as one JSON string.
pub(super) fn texts(fields: &Fields<'_>, key: &str) -> Result<String> {
    if let Some(text) = fields.get(key).and_then(string) {
        return Ok(text.to_owned());
    }
    let mut found = Vec::new();
    fields.each(key, |block| {
        if block.kind()? != "text" {
            return Err(Unmappable::new("type", "only text can be sent here"));
        }
        found.push(required(block.quoted("text")?, "text")?);
        Ok(())
    })?;
    Ok(join(found))
}

fn source<'a>(block: &Fields<'a>) -> Result<(Fields<'a>, Cow<'a, str>)> {
    let source = required(block.object("source")?, "source")?;
    let kind = source.kind().map_err(|error| error.inside("source"))?;
    Ok((source, kind))
}

fn foreign_source(kind: &str) -> Unmappable {
    let message = format!(
        "a source of type {} cannot be read by an OpenAI model; send the content as base64 or its address",
        shown(kind)
    );
    Unmappable::new("source.type", message)
}

/// `data` of a base64 source as a data URL, quoted.
fn base64_url(source: &Fields<'_>, media: &str) -> Result<String> {
    let data = required(source.quoted("data")?, "data")?;
    Ok(format!("\"data:{media};base64,{}\"", inner(data)))
}

/// Media type and base64 text of a data URL.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (meta, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media = meta.strip_suffix(";base64")?;
    Some((media.split(';').next().unwrap_or(media), data))
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn image_type(media: &str) -> Option<&'static str> {
    match media {
        "image/jpeg" | "image/jpg" => Some("image/jpeg"),
        "image/png" => Some("image/png"),
        "image/gif" => Some("image/gif"),
        "image/webp" => Some("image/webp"),
        _ => None,
    }
}

fn unknown_image(param: &str, media: &str) -> Unmappable {
    let message = format!(
        "images of type {} are not taken by both vendors; send jpeg, png, gif or webp",
        shown(media)
    );
    Unmappable::new(param, message)
}

/// Content of a `tool_result` as `output` of a `function_call_output`.
pub(super) fn tool_output(result: &Fields<'_>, dropped: &mut Dropped) -> Result<String> {
    let is_error = result.flag("is_error")?.unwrap_or(false);
    let Some(raw) = result.get("content") else {
        return Ok(quoted(if is_error { "Error: " } else { "" }));
    };
    if let Some(text) = string(raw) {
        return Ok(marked(text, is_error));
    }
    let mut texts = Vec::new();
    let mut parts = Vec::new();
    result.each("content", |block| {
        if block.kind()? == "text" {
            texts.extend(block.quoted("text")?);
        }
        parts.push(to_part(&block, dropped)?);
        Ok(())
    })?;
    if texts.len() == parts.len() {
        return Ok(marked(&join(texts), is_error));
    }
    if is_error {
        parts.insert(0, text_part("\"Error: \""));
    }
    Ok(list(&parts))
}

/// A Responses output has no field for failure.
fn marked(quoted: &str, is_error: bool) -> String {
    let mark = if is_error { "Error: " } else { "" };
    format!("\"{mark}{}\"", inner(quoted))
}
