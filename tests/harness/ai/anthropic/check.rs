//! What Anthropic refuses: calls without results, tools that are none, changed signed conversations.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{binding, error, error_body};
use crate::ai::server::{Refusal, State};
use crate::ai::{Endpoint, Seen};
use crate::wire::Answer;

pub(in crate::ai) fn check(state: &State, seen: &Seen) -> Result<(), Refusal> {
    let Ok(body) = serde_json::from_slice::<Value>(&seen.body) else {
        return Err(error(400, "The request body is not valid JSON"));
    };
    if !body["thread"].is_null() {
        return Err(Box::new(threads_unsupported()));
    }
    check_head(seen, &body)
        .and_then(|()| check_tools(&body))
        .and_then(|()| check_hosted(seen, &body))
        .and_then(|()| check_thinking(&body))
        .and_then(|()| check_results(&body))
        .and_then(|()| binding::verify(seen))
        .map_err(|message| state.complain(message))
}

/// Server-held history, which tool runners ask for first; told so, they send all of it themselves.
fn threads_unsupported() -> Answer {
    let mut body = error_body(
        "invalid_request_error",
        "thread: not supported with this request",
    );
    body["error"]["details"] = json!({
        "error_code": "thread_unsupported_request", "unsupported": ["inference_hooks"],
    });
    Answer::json(400, &body)
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[name].as_array().into_iter().flatten()
}

fn check_head(seen: &Seen, body: &Value) -> Result<(), String> {
    let Some(version) = seen.header("anthropic-version") else {
        return Err("anthropic-version: header is required".to_owned());
    };
    if !body["model"].is_string() {
        return Err("model: Field required".to_owned());
    }
    if seen.endpoint == Endpoint::Messages && !body["max_tokens"].is_u64() {
        return Err("max_tokens: Field required".to_owned());
    }
    if list(body, "messages").next().is_none() {
        return Err("messages: at least one message is required".to_owned());
    }
    let sampling = ["temperature", "top_p", "top_k"];
    let sampling = sampling.into_iter().find(|name| !body[*name].is_null());
    match sampling {
        Some(name) if version >= "2026-10-21" => Err(format!(
            "{name}: Extra inputs are not permitted in this version"
        )),
        _ => Ok(()),
    }
}

fn check_tools(body: &Value) -> Result<(), String> {
    let mut names = HashSet::new();
    for (index, tool) in list(body, "tools").enumerate() {
        if tool["type"].as_str().is_some_and(|kind| kind != "custom") {
            continue;
        }
        let name = tool["name"].as_str().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
            return Err(format!(
                "tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
            ));
        }
        if !names.insert(name) {
            return Err("tools: Tool names must be unique.".to_owned());
        }
        if tool["input_schema"]["type"] != "object" {
            return Err(format!(
                "tools.{index}.custom.input_schema.type: Field required"
            ));
        }
    }
    let choice = &body["tool_choice"];
    let chosen = choice["name"].as_str().unwrap_or_default();
    if choice["type"] == "tool" && !names.contains(chosen) {
        return Err(format!("Tool '{chosen}' not found in provided tools"));
    }
    Ok(())
}

/// The vendor's own MCP feature needs its beta; without it these are mistakes.
fn check_hosted(seen: &Seen, body: &Value) -> Result<(), String> {
    let betas = seen.header("anthropic-beta").unwrap_or_default();
    if betas.contains("mcp-client-") {
        return Ok(());
    }
    if !body["mcp_servers"].is_null() {
        return Err("mcp_servers: Extra inputs are not permitted".to_owned());
    }
    if list(body, "tools").any(|tool| tool["type"] == "mcp_toolset") {
        return Err(
            "tools.0: Input tag 'mcp_toolset' found using 'type' does not match".to_owned(),
        );
    }
    for (at, message) in list(body, "messages").enumerate() {
        let foreign = list(message, "content")
            .filter_map(|block| block["type"].as_str())
            .find(|kind| kind.starts_with("mcp_"));
        if let Some(kind) = foreign {
            return Err(format!(
                "messages.{at}.content.0: Input tag '{kind}' does not match"
            ));
        }
    }
    Ok(())
}

fn check_thinking(body: &Value) -> Result<(), String> {
    let thinking = &body["thinking"];
    let forced = matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool"));
    match thinking["type"].as_str() {
        Some("enabled" | "adaptive") if forced => {
            Err("Thinking may not be enabled when tool_choice forces tool use.".to_owned())
        }
        Some("enabled") => {
            let budget = thinking["budget_tokens"].as_u64().unwrap_or_default();
            if budget < 1024 {
                return Err(
                    "thinking.enabled.budget_tokens: Input should be at least 1024".to_owned(),
                );
            }
            if body["max_tokens"].as_u64().is_some_and(|max| max <= budget) {
                return Err(
                    "`max_tokens` must be greater than `thinking.budget_tokens`.".to_owned(),
                );
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Every use is answered at the head of the next message, and nothing else is.
fn check_results(body: &Value) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in list(body, "messages").enumerate() {
        let mut results = HashSet::new();
        let mut results_over = false;
        for (index, block) in list(message, "content").enumerate() {
            match block["type"].as_str() {
                Some("tool_result") => {
                    let id = block["tool_use_id"].as_str().unwrap_or_default();
                    if message["role"] != "user" || !open.contains(&id) {
                        return Err(format!(
                            "messages.{at}.content.{index}: unexpected `tool_use_id` found in `tool_result` \
                             blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` \
                             block in the previous message."
                        ));
                    }
                    if results_over || !results.insert(id) {
                        return Err(format!(
                            "messages.{at}.content.{index}: tool_result blocks come first, one for each use"
                        ));
                    }
                }
                Some("text") if block["text"] == "" => {
                    return Err(format!(
                        "messages.{at}: text content blocks must be non-empty"
                    ));
                }
                _ => results_over = true,
            }
        }
        if let Some(id) = open.iter().find(|id| !results.contains(*id)) {
            return Err(format!(
                "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
            ));
        }
        let uses = list(message, "content").filter(|block| block["type"] == "tool_use");
        open = uses.filter_map(|block| block["id"].as_str()).collect();
    }
    match open.first() {
        Some(id) => Err(format!(
            "messages: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
        )),
        None => Ok(()),
    }
}
