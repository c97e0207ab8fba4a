//! `tool_choice`: a demand is met once, and MCP tools that the client names are functions.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapters::dialect::Table;
use crate::adapters::raw::Object;
use crate::adapters::refusal::Refusal;

const AUTO: &str = r#""auto""#;

#[derive(Deserialize)]
struct Choice {
    #[serde(rename = "type")]
    kind: String,
    server_label: Option<String>,
    name: Option<String>,
}

/// What the model is told on the first round (`first`) and on later ones, when a call that was
/// demanded has been made.
///
/// # Errors
/// It names a tool that its server does not offer.
pub(super) fn rewritten(choice: &RawValue, table: &Table, first: bool) -> Result<String, Refusal> {
    let text = choice.get();
    if let Ok(word) = serde_json::from_str::<String>(text) {
        return Ok(match word == "required" && !first {
            true => AUTO.to_owned(),
            false => text.to_owned(),
        });
    }
    match serde_json::from_str::<Choice>(text) {
        Ok(_) if !first => Ok(AUTO.to_owned()),
        Ok(choice) if choice.kind == "mcp" => demanded(&choice, table),
        _ => Ok(text.to_owned()),
    }
}

fn demanded(choice: &Choice, table: &Table) -> Result<String, Refusal> {
    let label = choice.server_label.as_deref().unwrap_or_default();
    let mut listings = table.listings().iter();
    let listing = listings.find(|listing| listing.label == label);
    let wanted = |name: &str| {
        let mut tools = listing?.tools.iter();
        tools.find(|tool| tool.name == name)
    };
    match choice.name.as_deref().map(|name| (name, wanted(name))) {
        Some((_, Some(tool))) => {
            let function = Object::new().text("name", &tool.function);
            let choice = Object::of_type("function").put("function", &function.json());
            Ok(choice.json())
        }
        Some((name, None)) => {
            let message = format!(
                "tool_choice names {name:?}, which is none of the tools of the MCP server {label:?} \
                 that this request allows."
            );
            Err(Refusal::invalid("tool_choice", message))
        }
        None => {
            let message = "tool_choice of type mcp needs the name of a tool here; \"required\" \
                           demands a call of any.";
            Err(Refusal::invalid("tool_choice.name", message))
        }
    }
}
