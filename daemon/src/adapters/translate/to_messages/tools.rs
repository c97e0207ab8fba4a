//! `tools`, `tool_choice` and `parallel_tool_calls` of a Responses body.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::super::fields::{Dropped, Fields, Result, Unmappable, required, shown, string};
use crate::adapters::raw::Object;
use crate::mcp::edit::{self, Edit, Members};

#[derive(Default)]
pub(super) struct Tools {
    pub(super) tools: Vec<String>,
    pub(super) choice: Option<String>,
    /// A call is forced, which the Messages API does not take together with thinking.
    pub(super) is_forced: bool,
    /// Tools of the request are missing here, so thinking that was bound to all of them does not fit.
    pub(super) is_subset: bool,
}

/// How `tool_choice` restricts the tools.
struct Choice {
    mode: Mode,
    only: Option<HashSet<String>>,
}

enum Mode {
    Auto,
    Any,
    None,
    Tool(String),
}

pub(super) fn read(body: &Fields<'_>, dropped: &mut Dropped) -> Result<Tools> {
    let declared = declared(body, dropped)?;
    let choice = choice(body)?;
    let allowed = |name: &String| choice.only.as_ref().is_none_or(|only| only.contains(name));
    let count = declared.len();
    let tools: Vec<String> = declared
        .into_iter()
        .filter_map(|(name, tool)| allowed(&name).then_some(tool))
        .collect();
    if tools.is_empty() {
        return Ok(Tools {
            is_subset: count > 0,
            ..Tools::default()
        });
    }
    let is_forced = matches!(choice.mode, Mode::Any | Mode::Tool(_));
    let is_single = body.flag("parallel_tool_calls")? == Some(false);
    Ok(Tools {
        is_subset: tools.len() < count,
        is_forced,
        choice: written(&choice.mode, is_single),
        tools,
    })
}

/// Names and definitions.
fn declared(body: &Fields<'_>, dropped: &mut Dropped) -> Result<Vec<(String, String)>> {
    let mut tools = Vec::new();
    body.each("tools", |declared| {
        tools.push(tool(&declared, dropped)?);
        Ok(())
    })?;
    Ok(tools)
}

fn tool(tool: &Fields<'_>, dropped: &mut Dropped) -> Result<(String, String)> {
    let kind = tool.kind()?;
    let schema = match kind.as_ref() {
        "function" => function_schema(tool.get("parameters"))?,
        "custom" => {
            let message = "Anthropic models call tools with JSON only; declare it as a function";
            return Err(Unmappable::new("type", message));
        }
        "mcp" => {
            let message = "this MCP server is reached from OpenAI only; an Anthropic model can use the servers of this daemon";
            return Err(Unmappable::new("type", message));
        }
        other => {
            let message = format!(
                "a tool of type {} runs at OpenAI; leave it out or use an OpenAI model",
                shown(other)
            );
            return Err(Unmappable::new("type", message));
        }
    };
    if tool.flag("defer_loading")? == Some(true) {
        dropped.add("tools.defer_loading");
    }
    tool.refuse_other_callers()?;
    let name = required(tool.text("name")?, "name")?.into_owned();
    let is_strict = tool.flag("strict")? == Some(true);
    let definition = Object::new()
        .text("name", &name)
        .put_if("description", tool.quoted("description")?)
        .put("input_schema", &schema)
        .put_if("strict", is_strict.then_some("true"))
        .json();
    Ok((name, definition))
}

/// The Messages API wants an object schema; `parameters` need not say that it is one.
fn function_schema(parameters: Option<&RawValue>) -> Result<String> {
    let raw = parameters.map_or("{}", RawValue::get);
    let wrong = |_| Unmappable::new("parameters", "this has to be a JSON schema object");
    let members = Members::of(raw).map_err(wrong)?;
    let missing = |key| members.get(key).is_none();
    let mut edits = Vec::new();
    if missing("type") {
        edits.push(("type", Edit::Put("\"object\"".into())));
    }
    if raw == "{}" {
        edits.push(("properties", Edit::Put("{}".into())));
    }
    match edits.is_empty() {
        true => Ok(raw.to_owned()),
        false => edit::object(raw, &edits).map_err(wrong),
    }
}

fn choice(body: &Fields<'_>) -> Result<Choice> {
    let inside = |error: Unmappable| error.inside("tool_choice");
    let plain = |mode| Ok(Choice { mode, only: None });
    let Some(raw) = body.get("tool_choice") else {
        return plain(Mode::Auto);
    };
    if string(raw).is_some() {
        return match body.text("tool_choice")?.unwrap_or_default().as_ref() {
            "auto" => plain(Mode::Auto),
            "required" => plain(Mode::Any),
            "none" => plain(Mode::None),
            other => Err(inside(unknown_choice("", other))),
        };
    }
    let choice = Fields::of(raw).map_err(inside)?;
    match choice.kind().map_err(inside)?.as_ref() {
        "function" | "custom" => {
            let name = choice.text("name").and_then(|name| required(name, "name"));
            plain(Mode::Tool(name.map_err(inside)?.into_owned()))
        }
        "allowed_tools" => allowed(&choice).map_err(inside),
        other => Err(inside(unknown_choice("type", other))),
    }
}

fn unknown_choice(param: &str, value: &str) -> Unmappable {
    let message = format!(
        "the choice {} has no counterpart on Anthropic models; use auto, required, none, a function or allowed_tools",
        shown(value)
    );
    Unmappable::new(param, message)
}

fn allowed(choice: &Fields<'_>) -> Result<Choice> {
    let mode = match choice.text("mode")?.as_deref() {
        None | Some("auto") => Mode::Auto,
        Some("required") => Mode::Any,
        Some(other) => return Err(unknown_choice("mode", other)),
    };
    let mut only = HashSet::new();
    choice.each("tools", |entry| {
        let kind = entry.kind()?;
        if !matches!(kind.as_ref(), "function" | "custom") {
            return Err(unknown_choice("type", &kind));
        }
        only.insert(required(entry.text("name")?, "name")?.into_owned());
        Ok(())
    })?;
    // One tool that has to be called needs no shorter list, which would not go with earlier thinking.
    let mut names = only.iter();
    if let (Mode::Any, Some(name), None) = (&mode, names.next(), names.next()) {
        return Ok(Choice {
            mode: Mode::Tool(name.clone()),
            only: None,
        });
    }
    Ok(Choice {
        mode,
        only: Some(only),
    })
}

fn written(mode: &Mode, is_single: bool) -> Option<String> {
    let single = is_single.then_some("true");
    let choice = match mode {
        Mode::None => return Some(Object::of_type("none").json()),
        Mode::Auto if !is_single => return None,
        Mode::Auto => Object::of_type("auto"),
        Mode::Any => Object::of_type("any"),
        Mode::Tool(name) => Object::of_type("tool").text("name", name),
    };
    Some(choice.put_if("disable_parallel_tool_use", single).json())
}
