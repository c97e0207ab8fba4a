//! `tool_choice`: MCP tools that the client names are functions for the model.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapters::dialect::Table;
use crate::adapters::raw::{Object, list};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::Listing;
use crate::mcp::edit::{self, Edit};

const AUTO: &str = r#""auto""#;

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(rename = "type")]
    kind: String,
    server_label: Option<String>,
    name: Option<String>,
    mode: Option<String>,
    #[serde(borrow)]
    tools: Option<Vec<&'a RawValue>>,
}

/// What the model is told on the first round (`first`) and on later ones, when a call that was
/// demanded has been made.
///
/// # Errors
/// It names a tool that its server does not offer.
pub fn rewritten(choice: &RawValue, table: &Table, first: bool) -> Result<String, Refusal> {
    let text = choice.get();
    if let Ok(word) = serde_json::from_str::<String>(text) {
        return Ok(match word == "required" && !first {
            true => AUTO.to_owned(),
            false => text.to_owned(),
        });
    }
    let Ok(read) = serde_json::from_str::<Choice<'_>>(text) else {
        return Ok(text.to_owned());
    };
    match read.kind.as_str() {
        "mcp" => match functions(&read, table)? {
            None => Ok(text.to_owned()),
            Some(_) if !first => Ok(AUTO.to_owned()),
            Some(functions) => Ok(demanded(&read, &functions)),
        },
        "allowed_tools" => expanded(text, &read, table, first),
        "function" | "custom" if !first => Ok(AUTO.to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn demanded(choice: &Choice<'_>, functions: &[String]) -> String {
    match functions {
        [one] if choice.name.is_some() => function(one),
        all => Object::of_type("allowed_tools")
            .text("mode", "required")
            .put("tools", &list(all.iter().map(|name| function(name))))
            .json(),
    }
}

fn expanded(
    text: &str,
    choice: &Choice<'_>,
    table: &Table,
    first: bool,
) -> Result<String, Refusal> {
    let mut tools = Vec::new();
    for tool in choice.tools.iter().flatten() {
        let read = serde_json::from_str::<Choice<'_>>(tool.get()).ok();
        let mcp = read.filter(|read| read.kind == "mcp");
        let found = mcp
            .map(|read| functions(&read, table))
            .transpose()?
            .flatten();
        match found {
            Some(names) => tools.extend(names.iter().map(|name| function(name))),
            None => tools.push(tool.get().to_owned()),
        }
    }
    let mut edits = vec![("tools", Edit::Put(list(tools).into()))];
    if choice.mode.as_deref() == Some("required") && !first {
        edits.push(("mode", Edit::Put(AUTO.into())));
    }
    Ok(edit::object(text, &edits).unwrap_or_else(|_| text.to_owned()))
}

fn function(name: &str) -> String {
    Object::of_type("function").text("name", name).json()
}

/// The functions that an entry of the kind `mcp` means; None if its server is none of ours.
fn functions(choice: &Choice<'_>, table: &Table) -> Result<Option<Vec<String>>, Refusal> {
    let label = choice.server_label.as_deref();
    let is_meant = |listing: &&Listing| Some(listing.label.as_str()) == label;
    let Some(listing) = table.listings().iter().find(is_meant) else {
        return Ok(None);
    };
    let name = choice.name.as_deref();
    let tools = listing.tools.iter();
    let names: Vec<String> = tools
        .filter(|tool| name.is_none_or(|name| name == tool.name))
        .map(|tool| tool.function.clone())
        .collect();
    match (name, names.is_empty()) {
        (Some(name), true) => Err(Refusal::invalid(
            "tool_choice",
            format!(
                "tool_choice names {name:?}, which is none of the tools of the MCP server {:?} that \
                 this request allows. See its mcp_list_tools item for their names.",
                listing.label
            ),
        )),
        _ => Ok(Some(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::openai::tests::listing;

    #[test]
    fn tools_of_servers_become_functions_and_a_demand_is_met_once() {
        let table = Table::new(vec![listing("s", &["a", "b.c"])]);
        let hashed = &table.listings()[0].tools[1].function;
        let both = format!(
            r#"[{{"type":"function","name":"s__a"}},{{"type":"function","name":"{hashed}"}}]"#
        );
        let required = format!(r#"{{"type":"allowed_tools","mode":"required","tools":{both}}}"#);
        let f = r#"{"type":"function","name":"f"}"#;
        for (choice, first, later) in [
            (r#""none""#, r#""none""#, r#""none""#),
            (r#""auto""#, r#""auto""#, r#""auto""#),
            (r#""required""#, r#""required""#, AUTO),
            (f, f, AUTO),
            (r#"{"type":"mcp","server_label":"s"}"#, &required, AUTO),
            (
                r#"{"type":"mcp","server_label":"s","name":"a"}"#,
                r#"{"type":"function","name":"s__a"}"#,
                AUTO,
            ),
            (
                r#"{"type":"mcp","server_label":"hosted"}"#,
                r#"{"type":"mcp","server_label":"hosted"}"#,
                r#"{"type":"mcp","server_label":"hosted"}"#,
            ),
            (
                r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"mcp","server_label":"s","name":"a"},{ "type":"function","name":"f"}]}"#,
                r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"s__a"},{ "type":"function","name":"f"}]}"#,
                r#"{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"s__a"},{ "type":"function","name":"f"}]}"#,
            ),
            ("7", "7", "7"),
            (
                r#"{"type":"web_search_preview"}"#,
                r#"{"type":"web_search_preview"}"#,
                r#"{"type":"web_search_preview"}"#,
            ),
        ] {
            let raw: &RawValue = serde_json::from_str(choice).unwrap();
            assert_eq!(rewritten(raw, &table, true).unwrap(), first, "{choice}");
            assert_eq!(rewritten(raw, &table, false).unwrap(), later, "{choice}");
        }
    }

    #[test]
    fn a_tool_that_is_not_offered_cannot_be_chosen() {
        let table = Table::new(vec![listing("s", &["a"])]);
        for choice in [
            r#"{"type":"mcp","server_label":"s","name":"x"}"#,
            r#"{"type":"allowed_tools","mode":"auto","tools":[{"type":"mcp","server_label":"s","name":"x"}]}"#,
        ] {
            let raw: &RawValue = serde_json::from_str(choice).unwrap();
            let refusal = rewritten(raw, &table, true).unwrap_err();
            assert_eq!(refusal.param.as_deref(), Some("tool_choice"));
        }
    }
}
