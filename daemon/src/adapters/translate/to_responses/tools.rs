//! `tools` and `tool_choice` of a Messages body.

use super::super::fields::{Dropped, Fields, Result, Unmappable, required, shown};
use super::super::json::join;
use super::super::schema::is_strict;
use crate::adapters::raw::{Object, quoted};
use crate::adapters::schema::object_schema;

#[derive(Default)]
pub(super) struct Tools {
    pub(super) tools: Vec<String>,
    pub(super) choice: Option<String>,
    pub(super) is_single: bool,
    pub(super) is_cached: bool,
}

pub(super) fn read(body: &Fields<'_>, dropped: &mut Dropped) -> Result<Tools> {
    let mut read = Tools::default();
    body.each("tools", |tool| {
        read.is_cached |= tool.get("cache_control").is_some();
        read.tools.push(function(&tool, dropped)?);
        Ok(())
    })?;
    let inside = |error: Unmappable| error.inside("tool_choice");
    if let (Some(choice), false) = (body.object("tool_choice")?, read.tools.is_empty()) {
        read.choice = Some(written(&choice).map_err(inside)?);
        read.is_single = choice.flag("disable_parallel_tool_use").map_err(inside)? == Some(true);
    }
    Ok(read)
}

fn function(tool: &Fields<'_>, dropped: &mut Dropped) -> Result<String> {
    let kind = tool.kind()?;
    if !matches!(kind.as_ref(), "" | "custom") {
        let message = format!(
            "a tool of type {} has no counterpart on OpenAI models; declare it with an input_schema or leave it out",
            shown(&kind)
        );
        return Err(Unmappable::new("type", message));
    }
    if tool.flag("defer_loading")? == Some(true) {
        dropped.add("tools.defer_loading");
    }
    tool.refuse_other_callers()?;
    let schema = required(tool.get("input_schema"), "input_schema")?;
    let Some(parameters) = object_schema(schema) else {
        let message = "OpenAI models take schemas of objects only; give it \"type\": \"object\"";
        return Err(Unmappable::new("input_schema", message));
    };
    let wants_strict = tool.flag("strict")? == Some(true);
    let strict = wants_strict && is_strict(schema);
    if wants_strict && !strict {
        dropped.add("tools.strict");
    }
    Ok(Object::of_type("function")
        .put("name", required(tool.quoted("name")?, "name")?)
        .put_if("description", description(tool)?)
        .put("parameters", parameters.get())
        .put("strict", if strict { "true" } else { "false" })
        .json())
}

/// With the examples, which have no field of their own.
fn description(tool: &Fields<'_>) -> Result<Option<String>> {
    let own = tool.quoted("description")?;
    let examples = tool.array("input_examples")?.unwrap_or_default();
    if examples.is_empty() {
        return Ok(own.map(str::to_owned));
    }
    let examples: Vec<String> = examples
        .into_iter()
        .map(|raw| quoted(&format!("Example input: {}", raw.get())))
        .collect();
    let lines = own.into_iter().chain(examples.iter().map(String::as_str));
    Ok(Some(join(lines)))
}

fn written(choice: &Fields<'_>) -> Result<String> {
    Ok(match choice.kind()?.as_ref() {
        "auto" => quoted("auto"),
        "any" => quoted("required"),
        "none" => quoted("none"),
        "tool" => {
            let name = required(choice.quoted("name")?, "name")?;
            Object::of_type("function").put("name", name).json()
        }
        other => {
            let message = format!(
                "the choice {} is not known; use auto, any, tool or none",
                shown(other)
            );
            return Err(Unmappable::new("type", message));
        }
    })
}
