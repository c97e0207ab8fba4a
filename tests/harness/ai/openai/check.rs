//! What OpenAI refuses: items that do not belong together, and tools that are none.

use std::collections::HashSet;

use serde_json::Value;

use super::error;
use crate::ai::Seen;
use crate::ai::canon::{Members, canonical, fingerprint};
use crate::ai::server::{Refusal, State};

const SEAL: &str = "gAAAA";

/// Everything that came before a reasoning item, which is sealed into it.
pub(super) struct Prefix(Vec<String>);

impl Prefix {
    pub(super) fn of(seen: &Seen) -> Self {
        let mut prefix = Self::empty(seen);
        for item in input(seen) {
            prefix.extend(&item);
        }
        prefix
    }

    fn empty(seen: &Seen) -> Self {
        let fixed = ["instructions", "tools"];
        Self(
            fixed
                .map(|name| canonical(&seen.raw(name).unwrap_or_default()))
                .to_vec(),
        )
    }

    /// Reasoning itself may be dropped, so it is no part of it.
    pub(super) fn extend(&mut self, item: &str) {
        let members = Members::of(item);
        if members.text("type") == "reasoning" {
            return;
        }
        let content = members.get("content").unwrap_or_default();
        let role = members.text("role");
        if content.starts_with('"') {
            let kind = if role == "assistant" {
                "output_text"
            } else {
                "input_text"
            };
            let list = format!(r#"[{{"type":"{kind}","text":{content}}}]"#);
            self.0.push(format!("{role} {}", canonical(&list)));
        } else if role.is_empty() {
            self.0.push(canonical(item));
        } else {
            self.0.push(format!("{role} {}", canonical(content)));
        }
    }

    pub(super) fn seal(&self) -> String {
        let parts: Vec<&str> = self.0.iter().map(String::as_str).collect();
        format!("{SEAL}{}", fingerprint(&parts))
    }
}

/// Raw items; a plain string is one message of the user.
fn input(seen: &Seen) -> Vec<String> {
    let items = seen.elements("input");
    match items.as_slice() {
        [text] if text.starts_with('"') => vec![format!(r#"{{"role":"user","content":{text}}}"#)],
        _ => items,
    }
}

pub(super) fn parsed(seen: &Seen) -> Result<Value, Refusal> {
    let why = "We could not parse the JSON body of your request.";
    serde_json::from_slice(&seen.body).map_err(|_| error(400, None, why))
}

pub(in crate::ai) fn check(state: &State, seen: &Seen) -> Result<(), Refusal> {
    let body = parsed(seen)?;
    if !body["model"].is_string() {
        return Err(state.complain("Missing required parameter: 'model'.".to_owned()));
    }
    let hosted = tools(&body).any(|tool| tool["type"] == "mcp");
    let items: Vec<Value> = input(seen)
        .iter()
        .map(|raw| serde_json::from_str(raw).unwrap_or_default())
        .collect();
    check_tools(&body)
        .and_then(|()| check_ids(&items))
        .and_then(|()| check_calls(&body, &items))
        .and_then(|()| check_reasoning(state, &items))
        .and_then(|()| check_foreign(&items, hosted))
        .map_err(|message| state.complain(message))?;
    note_changed_prefixes(state, seen);
    Ok(())
}

fn tools(body: &Value) -> impl Iterator<Item = &Value> {
    body["tools"].as_array().into_iter().flatten()
}

fn check_tools(body: &Value) -> Result<(), String> {
    let mut names = HashSet::new();
    for (index, tool) in tools(body).enumerate() {
        if tool["type"] != "function" {
            continue;
        }
        let name = tool["name"].as_str().unwrap_or_default();
        check_name(name).map_err(|why| format!("Invalid 'tools[{index}].name': {why}"))?;
        if !names.insert(name) {
            return Err(format!("Invalid 'tools': duplicate name '{name}'."));
        }
        let schema = &tool["parameters"];
        if schema["type"] != "object" || !schema["properties"].is_object() {
            return Err(format!(
                "Invalid schema for function '{name}': schema must have type 'object' and properties."
            ));
        }
    }
    let choice = &body["tool_choice"];
    let chosen = match choice["type"].as_str() {
        Some("function") => vec![choice],
        Some("allowed_tools") => choice["tools"].as_array().into_iter().flatten().collect(),
        _ => Vec::new(),
    };
    for one in chosen {
        let name = one["name"].as_str().unwrap_or_default();
        if one["type"] == "function" && !names.contains(name) {
            return Err(format!(
                "Tool choice '{name}' not found in 'tools' parameter."
            ));
        }
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(fits) {
        return Err(format!(
            "'{name}' does not match pattern '^[a-zA-Z0-9_-]+$'."
        ));
    }
    if name.len() > 64 {
        return Err(format!("'{name}' is longer than 64 characters."));
    }
    Ok(())
}

fn check_ids(items: &[Value]) -> Result<(), String> {
    let mut known = HashSet::new();
    for (index, item) in items.iter().enumerate() {
        let Some(id) = item["id"].as_str() else {
            continue;
        };
        let prefix = match item["type"].as_str().unwrap_or("message") {
            "reasoning" => "rs",
            "function_call" => "fc",
            "message" if item["role"] == "assistant" => "msg",
            _ => continue,
        };
        if !id.starts_with(prefix) {
            return Err(format!(
                "Invalid 'input[{index}].id': '{id}'. Expected an ID that begins with '{prefix}'."
            ));
        }
        if !known.insert(id) {
            return Err(format!(
                "Duplicate item found with id {id}. Remove duplicate items from your input and try again."
            ));
        }
    }
    Ok(())
}

fn check_calls(body: &Value, items: &[Value]) -> Result<(), String> {
    let of = |kind: &'static str| items.iter().filter(move |item| item["type"] == kind);
    let called: HashSet<&str> = of("function_call")
        .filter_map(|item| item["call_id"].as_str())
        .collect();
    let mut answered = HashSet::new();
    for output in of("function_call_output") {
        let id = output["call_id"].as_str().unwrap_or_default();
        if !called.contains(id) && !body["previous_response_id"].is_string() {
            return Err(format!(
                "No tool call found for function call output with call_id {id}."
            ));
        }
        if !answered.insert(id) {
            return Err(format!("Duplicate function call output for call_id {id}."));
        }
        if !output["output"].is_string() && !output["output"].is_array() {
            return Err(format!(
                "Invalid type for 'output' of call_id {id}: expected a string or an array."
            ));
        }
    }
    let open = of("function_call").filter_map(|item| item["call_id"].as_str());
    match open.into_iter().find(|id| !answered.contains(id)) {
        Some(id) => Err(format!("No tool output found for function call {id}.")),
        None => Ok(()),
    }
}

fn check_reasoning(state: &State, items: &[Value]) -> Result<(), String> {
    let memory = state.memory.lock().unwrap();
    for (index, item) in items.iter().enumerate() {
        if item["type"] != "reasoning" {
            continue;
        }
        let id = item["id"].as_str().unwrap_or_default();
        if !item["encrypted_content"].is_string() {
            return Err(format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false."
            ));
        }
        let Some(due) = memory.following.get(id) else {
            continue;
        };
        let next = items.get(index + 1).unwrap_or(&Value::Null);
        let follows = match next["id"].as_str() {
            Some(id) => id == due.id,
            // A message that is the user's does not follow anything.
            None => next["type"] == due.kind.as_str() && next["role"] != "user",
        };
        if !follows {
            return Err(format!(
                "Item '{id}' of type 'reasoning' was provided without its required following item."
            ));
        }
    }
    Ok(())
}

/// Items of hosted MCP servers in a request that has none: somebody forwarded what is not OpenAI's.
fn check_foreign(items: &[Value], hosted: bool) -> Result<(), String> {
    let foreign = items.iter().find(|item| {
        let kind = item["type"].as_str().unwrap_or_default();
        !hosted && kind.starts_with("mcp_")
    });
    foreign.map_or(Ok(()), |item| {
        Err(format!("Item with id {} not found.", item["id"]))
    })
}

/// The vendor drops such reasoning and tells so; here it is a complaint without a refusal.
fn note_changed_prefixes(state: &State, seen: &Seen) {
    let mut prefix = Prefix::empty(seen);
    for (index, item) in input(seen).iter().enumerate() {
        let members = Members::of(item);
        let sealed = members.text("encrypted_content");
        if members.text("type") == "reasoning" && sealed != prefix.seal() {
            // Told, but answered all the same.
            let _ = state.complain(format!(
                "input_transformations: input[{index}] `{}` removed: prefix_mismatch",
                members.text("id")
            ));
        }
        prefix.extend(item);
    }
}
