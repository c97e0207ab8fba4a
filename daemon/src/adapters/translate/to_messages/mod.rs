//! OpenAI Responses → Anthropic Messages.

mod items;
#[cfg(test)]
mod tests;
mod tools;
mod turns;

use self::items::Items;
use self::tools::Tools;
use self::turns::Role;
use super::effort::{Thinking, to_thinking};
use super::fields::{Dropped, Fields, Result, Unmappable, required, shown, string};
use super::media::text_block;
use super::models::{Claude, Thinks};
use super::{Translated, translated};
use crate::adapters::raw::{Object, list};

const EPHEMERAL: &str = r#"{"type":"ephemeral"}"#;
const JSON_ONLY: &str = r#""Answer with one JSON object and nothing else.""#;

/// Fields that are read here, or that the daemon itself has seen to.
const KNOWN: [&str; 25] = [
    "model",
    "input",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "max_output_tokens",
    "max_tool_calls",
    "stop",
    "reasoning",
    "text",
    "user",
    "safety_identifier",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "previous_response_id",
    "store",
    "conversation",
    "background",
    "stream",
    "stream_options",
    "include",
    "metadata",
    "top_logprobs",
];

/// A Responses body, with its MCP servers resolved to functions and its history complete, as a
/// Messages body. Sampling parameters are dropped: newer models refuse them.
///
/// # Errors
/// A field changes the meaning and cannot be said, or cannot be read.
pub fn to_messages(body: &str) -> Result<Translated> {
    translated(body, &KNOWN, request)
}

fn request(body: &Fields<'_>, dropped: &mut Dropped) -> Result<String> {
    refuse(body)?;
    let model = required(body.text("model")?, "model")?;
    let claude = Claude::of(&model);
    let max_tokens = match body.count("max_output_tokens")? {
        Some(tokens) => claude.most.map_or(tokens, |most| tokens.min(most)),
        None => claude.usual,
    };
    let Tools {
        mut tools,
        choice,
        is_forced,
        is_subset,
    } = tools::read(body, dropped)?;
    let (mut system, turns) = conversation(body, !is_subset, dropped)?;
    let lacks_thinking = claude.thinks == Thinks::Budget && turns.answers_calls_without_thinking();
    let can_think = !is_forced && !is_subset && !lacks_thinking;
    let reasoning = body.object("reasoning")?;
    let thinking = to_thinking(reasoning.as_ref(), &claude, max_tokens, can_think, dropped)?;
    let format = format(body, &mut system, dropped)?;
    if body
        .get("prompt_cache_key")
        .or(body.get("prompt_cache_options"))
        .is_some()
    {
        mark_cached(if system.is_empty() {
            &mut tools
        } else {
            &mut system
        });
    }
    let output = output_config(&thinking, format);
    Ok(Object::new()
        .text("model", &model)
        .put("max_tokens", &max_tokens.to_string())
        .put_if("system", (!system.is_empty()).then(|| list(&system)))
        .put_if("tools", (!tools.is_empty()).then(|| list(&tools)))
        .put_if("tool_choice", choice)
        .put_if("thinking", thinking.config)
        .put_if("output_config", output)
        .put_if("stop_sequences", stops(body)?)
        .put_if("metadata", user(body)?)
        .text_if("service_tier", service_tier(body, dropped)?)
        .put_if(
            "stream",
            body.flag("stream")?.map(|stream| stream.to_string()),
        )
        .put("messages", &list(turns.into_messages()))
        .json())
}

/// What an Anthropic model cannot do at all.
fn refuse(body: &Fields<'_>) -> Result<()> {
    let held =
        "this is kept at OpenAI, where an Anthropic model cannot read it; send all of the input";
    for key in ["previous_response_id", "conversation", "prompt"] {
        if body.get(key).is_some() {
            return Err(Unmappable::new(key, held));
        }
    }
    if body.flag("background")? == Some(true) {
        let message =
            "answers in the background are not to be had from Anthropic models; leave it out";
        return Err(Unmappable::new("background", message));
    }
    let no_probabilities =
        "Anthropic models tell no log probabilities; leave this out or use an OpenAI model";
    if body.count("top_logprobs")?.is_some_and(|count| count > 0) {
        return Err(Unmappable::new("top_logprobs", no_probabilities));
    }
    for (at, raw) in body
        .array("include")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        if raw.get() == "\"message.output_text.logprobs\"" {
            return Err(Unmappable::new(format!("include[{at}]"), no_probabilities));
        }
    }
    Ok(())
}

/// System blocks and turns.
fn conversation(
    body: &Fields<'_>,
    keeps_thinking: bool,
    dropped: &mut Dropped,
) -> Result<(Vec<String>, turns::Turns)> {
    let input = required(body.get("input"), "input")?;
    let mut items = Items::new(keeps_thinking, dropped);
    items.read(input).map_err(|error| error.inside("input"))?;
    let mut system: Vec<String> = body
        .quoted("instructions")?
        .and_then(text_block)
        .into_iter()
        .collect();
    system.append(&mut items.system);
    match items.turns.last() {
        Some(Role::User) => Ok((system, items.turns)),
        Some(Role::Assistant) => Err(Unmappable::new(
            "input",
            "the input ends with the model's own words; Anthropic models need a user message or a function's output last",
        )),
        None => Err(Unmappable::new(
            "input",
            "there is nothing for the model to answer; add a user message",
        )),
    }
}

/// `text.format` as `output_config.format`, or as a hint.
fn format<'a>(
    body: &Fields<'a>,
    system: &mut Vec<String>,
    dropped: &mut Dropped,
) -> Result<Option<&'a str>> {
    let inside = |error: Unmappable| error.inside("text");
    let Some(text) = body.object("text")? else {
        return Ok(None);
    };
    if text.get("verbosity").is_some() {
        dropped.add("text.verbosity");
    }
    let Some(format) = text.object("format").map_err(inside)? else {
        return Ok(None);
    };
    let inside = |error: Unmappable| error.inside("text.format");
    match format.kind().map_err(inside)?.as_ref() {
        "text" => Ok(None),
        "json_object" => {
            system.extend(text_block(JSON_ONLY));
            Ok(None)
        }
        "json_schema" => {
            let schema = required(format.get("schema"), "schema").map_err(inside)?;
            Ok(Some(schema.get()))
        }
        other => {
            let message = format!("the format {} is not known", shown(other));
            Err(Unmappable::new("text.format.type", message))
        }
    }
}

fn output_config(thinking: &Thinking, schema: Option<&str>) -> Option<String> {
    let format = schema.map(|schema| Object::of_type("json_schema").put("schema", schema).json());
    let config = Object::new()
        .text_if("effort", thinking.effort)
        .put_if("format", format);
    (!config.is_empty()).then(|| config.json())
}

/// OpenAI caches by itself; here the end of what stays the same has to be marked.
fn mark_cached(blocks: &mut [String]) {
    if let Some(last) = blocks.last_mut()
        && last.pop().is_some()
    {
        last.push_str(",\"cache_control\":");
        last.push_str(EPHEMERAL);
        last.push('}');
    }
}

fn user(body: &Fields<'_>) -> Result<Option<String>> {
    let id = match body.quoted("safety_identifier")? {
        None => body.quoted("user")?,
        id => id,
    };
    Ok(id.map(|id| Object::new().put("user_id", id).json()))
}

/// `stop` is of Chat Completions; clients of compatible servers send it here, too.
fn stops(body: &Fields<'_>) -> Result<Option<String>> {
    let Some(stop) = body.get("stop") else {
        return Ok(None);
    };
    if string(stop).is_some() {
        return Ok(Some(list([stop.get()])));
    }
    let wrong = || Unmappable::new("stop", "this has to be a string or a list of strings");
    let stops = body.array("stop").map_err(|_| wrong())?.unwrap_or_default();
    match stops.iter().all(|stop| string(stop).is_some()) {
        true if stops.is_empty() => Ok(None),
        true => Ok(Some(list(stops.iter().map(|stop| stop.get())))),
        false => Err(wrong()),
    }
}

fn service_tier(body: &Fields<'_>, dropped: &mut Dropped) -> Result<Option<&'static str>> {
    Ok(match body.text("service_tier")?.as_deref() {
        None => None,
        Some("auto") => Some("auto"),
        Some("default") => Some("standard_only"),
        Some(_) => {
            dropped.add("service_tier");
            None
        }
    })
}
