//! `call`: one tool call, under the same policy as any client's.

use clap::Args;
use mcpbridge_proto::v1::call_tool_response::Waiting;
use mcpbridge_proto::v1::{CallToolRequest, CallToolResponse};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::Failure;
use crate::exit::Exit;
use crate::input;

#[derive(Args)]
#[command(after_help = "\
Examples:
  mcpbridgectl call hello hello_world '{\"name\": \"Ada\"}'
  mcpbridgectl call hello hello_world - < arguments.json

Where a person has to approve the call, it waits and says on stderr where to do that. Ctrl-C gives it up;
the question stays, and the same call made again goes on with it.

Exits with 1 when the tool reports an error, with 7 when policy or a person refuses the call, with 8
when nobody decided in time.")]
pub struct CallArgs {
    /// Name of the server
    server: String,
    /// Name of the tool
    tool: String,
    /// Arguments as a JSON object; `-` reads them from standard input [default: {}]
    #[arg(value_name = "JSON")]
    arguments: Option<String>,
}

/// The part of an MCP CallToolResult that is printed.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult {
    #[serde(default)]
    content: Vec<Value>,
    structured_content: Option<Value>,
}

pub async fn run(context: &Context, args: CallArgs) -> Result<Exit, Failure> {
    let arguments_json = arguments(args.arguments)?;
    let client = context.connect().await?;
    let request = CallToolRequest {
        server: args.server,
        tool: args.tool,
        arguments_json,
    };
    let mut events = client.tools().call_tool(request).await?.into_inner();
    let reply = loop {
        match events.message().await? {
            Some(CallToolResponse {
                waiting: Some(waiting),
                ..
            }) => tell(context, &waiting),
            Some(reply) => break reply,
            None => {
                return Err(Failure::new(
                    Exit::Fault,
                    "the daemon ended the call without a result",
                ));
            }
        }
    };
    if context.printer.is_json() {
        context.printer.line(&reply.result_json)?;
    } else {
        context.printer.data(&readable(&reply.result_json))?;
    }
    Ok(if reply.is_error {
        Exit::Fault
    } else {
        Exit::Done
    })
}

fn tell(context: &Context, waiting: &Waiting) {
    let Waiting { approval, url } = waiting;
    let command = context.command(&format!("approve {approval}"));
    let message = format!("waiting for approval {approval}: run `{command}`, or decide at {url}");
    let value = json!({ "waiting": { "approval": approval, "url": url } });
    context.printer.waiting(&message, &value);
}

/// Checked here, where the mistake can be pointed at; sent as it was written.
fn arguments(given: Option<String>) -> Result<String, Failure> {
    let text = match given.as_deref() {
        None => return Ok(String::new()),
        Some("-") => input::everything("arguments")?,
        Some(text) => text.to_owned(),
    };
    match serde_json::from_str::<Map<String, Value>>(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Failure::usage("the arguments must be one JSON object")
            .because(&error)
            .hint(r#"such as '{"name": "Ada"}'"#)),
    }
}

fn readable(result_json: &str) -> String {
    let Ok(result) = serde_json::from_str::<ToolResult>(result_json) else {
        return format!("{result_json}\n");
    };
    if let (true, Some(structured)) = (result.content.is_empty(), result.structured_content) {
        return format!("{structured:#}\n");
    }
    let mut text = String::new();
    for block in &result.content {
        text.push_str(&block_text(block));
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// Text as it is; of everything else, what it is.
fn block_text(block: &Value) -> String {
    let field = |path: &str| block.pointer(path).and_then(Value::as_str);
    let kind = field("/type").unwrap_or("unknown");
    if let Some(text) = field("/text").or_else(|| field("/resource/text")) {
        return text.to_owned();
    }
    let about = [
        field("/mimeType").or_else(|| field("/resource/mimeType")),
        field("/uri").or_else(|| field("/resource/uri")),
    ];
    let about: Vec<&str> = [Some(kind)].into_iter().chain(about).flatten().collect();
    format!("[{}: see --json]", about.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_printed_and_other_content_is_named() {
        let result = r#"{"content":[{"type":"text","text":"Hello"},
            {"type":"image","mimeType":"image/png","data":"AAAA"},
            {"type":"resource","resource":{"uri":"file:///a","text":"body\n"}}]}"#;
        assert_eq!(
            readable(result),
            "Hello\n[image image/png: see --json]\nbody\n"
        );
    }

    #[test]
    fn structured_content_is_printed_when_there_is_nothing_else() {
        let result = r#"{"content":[],"structuredContent":{"b":1,"a":2}}"#;
        assert_eq!(readable(result), "{\n  \"b\": 1,\n  \"a\": 2\n}\n");
    }

    #[test]
    fn arguments_must_be_an_object() {
        assert_eq!(arguments(None).unwrap(), "");
        let as_written = r#"{"n": 1.50}"#;
        assert_eq!(arguments(Some(as_written.to_owned())).unwrap(), as_written);
        for wrong in ["[]", "3", "{", "name=Ada"] {
            let failure = arguments(Some(wrong.to_owned())).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage, "{wrong}");
        }
    }
}
