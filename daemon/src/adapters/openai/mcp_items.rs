//! The items that only MCP has, as the client sees them.

use serde_json::value::RawValue;

use super::ids;
use super::outcome::Visible;
use crate::adapters::raw::{Object, list, quoted};
use crate::adapters::step::{Listing, McpCall, Tool};

pub fn listing(id: &str, listing: &Listing, tools: &[Tool]) -> Box<RawValue> {
    Object::new()
        .text("id", id)
        .text("type", "mcp_list_tools")
        .text("server_label", &listing.label)
        .put("error", "null")
        .put("tools", &list(tools.iter().map(tool)))
        .done()
}

fn tool(tool: &Tool) -> String {
    let description = tool.description.as_deref().map(quoted);
    Object::new()
        .text("name", &tool.name)
        .put("description", description.as_deref().unwrap_or("null"))
        .put("input_schema", tool.input_schema.get())
        .put(
            "annotations",
            tool.annotations.as_ref().map_or("null", |raw| raw.get()),
        )
        .json()
}

/// Before its arguments are shown.
pub fn call_begun(id: &str, call: &McpCall) -> Box<RawValue> {
    let nothing = Visible {
        output: "null".to_owned(),
        error: "null".to_owned(),
    };
    of_call(id, call, "", &nothing, "in_progress")
}

pub fn call(id: &str, call: &McpCall, outcome: &Visible) -> Box<RawValue> {
    let status = match outcome.error == "null" {
        true => "completed",
        false => "failed",
    };
    of_call(id, call, &call.call.arguments, outcome, status)
}

/// Of a call whose end is not known when the answer breaks off.
pub fn call_lost(id: &str, call: &McpCall) -> Box<RawValue> {
    let error = Object::of_type("http_error")
        .put("code", "500")
        .text("message", "The answer broke off before the call ended.");
    let lost = Visible {
        output: "null".to_owned(),
        error: error.json(),
    };
    of_call(id, call, &call.call.arguments, &lost, "failed")
}

fn of_call(
    id: &str,
    call: &McpCall,
    arguments: &str,
    outcome: &Visible,
    status: &str,
) -> Box<RawValue> {
    let approval = call.approval.as_deref().map(quoted);
    Object::new()
        .text("id", id)
        .text("type", "mcp_call")
        .text("server_label", &call.label)
        .text("name", &call.tool)
        .text("arguments", arguments)
        .put("output", &outcome.output)
        .put("error", &outcome.error)
        .put("approval_request_id", approval.as_deref().unwrap_or("null"))
        .text("status", status)
        .done()
}

pub fn approval_request(response: &str, call: &McpCall) -> Box<RawValue> {
    Object::new()
        .text("id", &ids::approval(response, &call.call.id))
        .text("type", "mcp_approval_request")
        .text("server_label", &call.label)
        .text("name", &call.tool)
        .text("arguments", &call.call.arguments)
        .done()
}
