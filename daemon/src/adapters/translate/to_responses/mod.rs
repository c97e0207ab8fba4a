//! Anthropic Messages → OpenAI Responses.

mod items;
#[cfg(test)]
mod tests;
mod tools;

use self::items::Items;
use self::tools::Tools;
use super::effort::{Reasoning, to_reasoning};
use super::fields::{Dropped, Fields, Result, Unmappable, required, shown, string};
use super::media::texts;
use super::models::{Gpt, Reasons};
use super::schema::is_strict;
use super::{Translated, half, translated};
use crate::adapters::raw::{Object, list};
use crate::types::Digest;

/// Fields that are read here, or that the daemon itself has seen to.
const KNOWN: [&str; 18] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "max_tokens",
    "stop_sequences",
    "thinking",
    "output_config",
    "output_format",
    "metadata",
    "service_tier",
    "stream",
    "cache_control",
    "temperature",
    "top_p",
    "container",
    "thread",
];

/// A Messages body, with its MCP servers resolved to functions, as a Responses body. Nothing is stored
/// at the vendor.
///
/// # Errors
/// A field changes the meaning and cannot be said, or cannot be read.
pub fn to_responses(body: &str) -> Result<Translated> {
    translated(body, &KNOWN, request)
}

fn request(body: &Fields<'_>, dropped: &mut Dropped) -> Result<String> {
    refuse(body)?;
    let model = required(body.text("model")?, "model")?;
    let gpt = Gpt::of(&model);
    let Tools {
        tools,
        choice,
        is_single,
        is_cached,
    } = tools::read(body, dropped)?;
    let reasoning = to_reasoning(body, &gpt, dropped)?;
    let instructions = instructions(body)?;
    let text = text(body, dropped)?;
    let sampling = sampling(body, &gpt, dropped)?;
    let messages = required(body.array("messages")?, "messages")?;
    let mut items = Items::new(dropped);
    items.read(&messages)?;
    let Items {
        items,
        is_cached: has_marks,
        ..
    } = items;
    let wants_cache = is_cached || has_marks || marks_cache(body)?;
    let tools = (!tools.is_empty()).then(|| list(&tools));
    let key = wants_cache.then(|| cache_key(instructions.as_deref(), tools.as_deref(), &items));
    let Reasoning {
        config,
        max_output_tokens,
    } = reasoning;
    // Only models that reason know what that is.
    let include = match gpt.reasons {
        Reasons::Never => None,
        _ => Some(r#"["reasoning.encrypted_content"]"#),
    };
    let mut request = Object::new()
        .text("model", &model)
        .put_if("instructions", instructions)
        .put_if("tools", tools)
        .put_if("tool_choice", choice)
        .put_if("parallel_tool_calls", is_single.then_some("false"))
        .put_if("reasoning", config)
        .put_if("text", text)
        .put_if(
            "max_output_tokens",
            max_output_tokens.map(|limit| limit.to_string()),
        );
    for (name, value) in sampling {
        request = request.put(name, value);
    }
    Ok(request
        .put_if("safety_identifier", user(body, dropped)?)
        .text_if("service_tier", service_tier(body, dropped)?)
        .text_if("prompt_cache_key", key.as_deref())
        .put_if(
            "stream",
            body.flag("stream")?.map(|stream| stream.to_string()),
        )
        .put("store", "false")
        .put_if("include", include)
        .put("input", &list(&items))
        .json())
}

/// What an OpenAI model cannot do at all.
fn refuse(body: &Fields<'_>) -> Result<()> {
    if body
        .array("stop_sequences")?
        .is_some_and(|stops| !stops.is_empty())
    {
        let message = "OpenAI models of the Responses API know no stop sequences; leave them out or use an Anthropic model";
        return Err(Unmappable::new("stop_sequences", message));
    }
    for key in ["container", "thread"] {
        if body.get(key).is_some() {
            let message =
                "this is kept at Anthropic, where an OpenAI model cannot reach it; leave it out";
            return Err(Unmappable::new(key, message));
        }
    }
    if body
        .array("mcp_servers")?
        .is_some_and(|servers| !servers.is_empty())
    {
        let message = "these servers are reached from Anthropic only; an OpenAI model can use the servers of this daemon";
        return Err(Unmappable::new("mcp_servers", message));
    }
    Ok(())
}

fn instructions(body: &Fields<'_>) -> Result<Option<String>> {
    if body.get("system").is_none() {
        return Ok(None);
    }
    let text = texts(body, "system")?;
    Ok((text != "\"\"").then_some(text))
}

/// `output_config.format` as `text.format`.
fn text(body: &Fields<'_>, dropped: &mut Dropped) -> Result<Option<String>> {
    let config = body.object("output_config")?;
    let inside = |error: Unmappable| error.inside("output_config");
    let format = match config {
        Some(config) => config.object("format").map_err(inside)?,
        None => None,
    };
    // `output_format` is what it was called before.
    let (format, place) = match format {
        Some(format) => (Some(format), "output_config.format"),
        None => (body.object("output_format")?, "output_format"),
    };
    let Some(format) = format else {
        return Ok(None);
    };
    let inside = |error: Unmappable| error.inside(place);
    let kind = format.kind().map_err(inside)?;
    if kind != "json_schema" {
        let message = format!("the format {} is not known", shown(&kind));
        return Err(inside(Unmappable::new("type", message)));
    }
    let schema = required(format.get("schema"), "schema").map_err(inside)?;
    let strict = is_strict(schema);
    if !strict {
        dropped.add("output_config.format.strict");
    }
    let format = Object::of_type("json_schema")
        .text("name", "answer")
        .put("schema", schema.get())
        .put("strict", if strict { "true" } else { "false" });
    Ok(Some(Object::new().put("format", &format.json()).json()))
}

/// Models that reason refuse sampling parameters.
fn sampling<'a>(
    body: &Fields<'a>,
    gpt: &Gpt,
    dropped: &mut Dropped,
) -> Result<Vec<(&'static str, &'a str)>> {
    let mut kept = Vec::new();
    for name in ["temperature", "top_p"] {
        let Some(raw) = body.get(name) else { continue };
        if raw.get().parse::<f64>().is_err() {
            return Err(Unmappable::new(name, "this has to be a number"));
        }
        match gpt.reasons {
            Reasons::Never | Reasons::Unknown => kept.push((name, raw.get())),
            Reasons::Always | Reasons::Unless => dropped.add(name),
        }
    }
    Ok(kept)
}

fn marks_cache(body: &Fields<'_>) -> Result<bool> {
    if body.get("cache_control").is_some() {
        return Ok(true);
    }
    // A system that is a text has no marks.
    if body.get("system").and_then(string).is_some() {
        return Ok(false);
    }
    let mut is_marked = false;
    body.each("system", |block| {
        is_marked |= block.get("cache_control").is_some();
        Ok(())
    })?;
    Ok(is_marked)
}

/// The same for all requests of a conversation, and for no other: it is made of how that begins.
fn cache_key(instructions: Option<&str>, tools: Option<&str>, items: &[String]) -> String {
    let first = items.first().map_or("", String::as_str);
    let parts = [instructions.unwrap_or(""), tools.unwrap_or(""), first];
    half(Digest::of_parts(parts.map(str::as_bytes)))
}

fn user<'a>(body: &Fields<'a>, dropped: &mut Dropped) -> Result<Option<&'a str>> {
    let Some(metadata) = body.object("metadata")? else {
        return Ok(None);
    };
    if metadata.names().any(|name| name != "user_id") {
        dropped.add("metadata");
    }
    metadata
        .quoted("user_id")
        .map_err(|error| error.inside("metadata"))
}

fn service_tier(body: &Fields<'_>, dropped: &mut Dropped) -> Result<Option<&'static str>> {
    Ok(match body.text("service_tier")?.as_deref() {
        None => None,
        Some("auto") => Some("auto"),
        Some("standard_only") => Some("default"),
        Some(_) => {
            dropped.add("service_tier");
            None
        }
    })
}
