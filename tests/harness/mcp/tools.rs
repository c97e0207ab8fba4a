//! The tools, the same in both eras.

use serde_json::{Value, json};

/// Definitions as `tools/list` gives them.
pub(super) fn list() -> Vec<Value> {
    let tool = |name: &str, description: &str, properties: Value, required: &[&str]| {
        json!({
            "name": name,
            "description": description,
            "inputSchema": {
                "type": "object", "properties": properties, "required": required,
            },
        })
    };
    let string = json!({ "type": "string" });
    let integer = json!({ "type": "integer" });
    vec![
        tool(
            "hello_world",
            "Greets somebody",
            json!({ "name": string }),
            &["name"],
        ),
        tool(
            "server_info",
            "Name and version of this server",
            json!({}),
            &[],
        ),
        tool("echo", "Returns its arguments", json!({}), &[]),
        tool(
            "slow",
            "Reports progress while it works",
            json!({ "steps": integer }),
            &[],
        ),
        tool(
            "big",
            "Returns that many bytes",
            json!({ "bytes": integer }),
            &["bytes"],
        ),
        tool("fail", "Always fails", json!({}), &[]),
        tool("scoped", "Needs the scope mcp:admin", json!({}), &[]),
    ]
}

/// The result of a tool that always is there, or None for another one.
pub(super) fn run(name: &str, arguments: &Value) -> Option<Value> {
    let result = match name {
        "hello_world" => text(&format!(
            "Hello, {}!",
            arguments["name"].as_str().unwrap_or("?")
        )),
        "server_info" => text("mcpbridge demo server 1.0"),
        "echo" => {
            let mut result = text(&arguments.to_string());
            result["structuredContent"] = arguments.clone();
            result
        }
        "slow" => text("done"),
        "big" => {
            let bytes = arguments["bytes"].as_u64().unwrap_or(0);
            text(&"x".repeat(usize::try_from(bytes).unwrap()))
        }
        "fail" => json!({ "content": [{ "type": "text", "text": "it broke" }], "isError": true }),
        "scoped" => text("administered"),
        _ => return None,
    };
    Some(result)
}

pub(super) fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}
