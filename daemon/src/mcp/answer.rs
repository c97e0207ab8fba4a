//! The answers that we write ourselves, in place of a server.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::jsonrpc::Message;

/// One JSON-RPC response.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    jsonrpc: &'static str,
    /// Null where nobody knows what is answered.
    id: Option<&'a RawValue>,
    #[serde(flatten)]
    outcome: Outcome<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome<'a> {
    Result(Result<'a>),
    Error(Failure<'a>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Result<'a> {
    Tool(ToolResult<'a>),
    Input(InputRequired<'a>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult<'a> {
    content: [Text<'a>; 1],
    is_error: bool,
    /// Part of every result since 2026-07-28.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_type: Option<&'static str>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    meta: Option<&'a Value>,
}

#[derive(Debug, Serialize)]
struct Text<'a> {
    r#type: &'static str,
    text: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct InputRequired<'a> {
    result_type: &'static str,
    input_requests: Value,
    request_state: &'a str,
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    code: i32,
    message: &'a str,
}

impl<'a> Answer<'a> {
    /// What a model can read and act on: clients keep errors of the protocol from it.
    pub fn tool_error(
        id: &'a RawValue,
        modern: bool,
        text: &'a str,
        meta: Option<&'a Value>,
    ) -> Self {
        let result = ToolResult {
            content: [Text {
                r#type: "text",
                text,
            }],
            is_error: true,
            result_type: modern.then_some("complete"),
            meta,
        };
        Self::result(id, Result::Tool(result))
    }

    /// 2026-07-28: the client asks its user and sends the call again, with `state` and the answers
    /// under the keys of `requests`.
    pub fn input_required(id: &'a RawValue, requests: Value, state: &'a str) -> Self {
        let result = InputRequired {
            result_type: "input_required",
            input_requests: requests,
            request_state: state,
        };
        Self::result(id, Result::Input(result))
    }

    pub fn failure(id: Option<&'a RawValue>, code: i32, message: &'a str) -> Self {
        Self {
            jsonrpc: "2.0",
            id,
            outcome: Outcome::Error(Failure { code, message }),
        }
    }

    /// How a refusal of `message` is told: a tool call gets a result. None if nobody waits for it.
    pub fn refusal(message: &Message<'a>, code: i32, text: &'a str) -> Option<Self> {
        let id = message.id()?;
        Some(if message.is_tool_call() {
            Self::tool_error(id, message.claimed_version.is_some(), text, None)
        } else {
            Self::failure(Some(id), code, text)
        })
    }

    fn result(id: &'a RawValue, result: Result<'a>) -> Self {
        Self {
            jsonrpc: "2.0",
            id: Some(id),
            outcome: Outcome::Result(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(answer: &Answer<'_>) -> Value {
        serde_json::to_value(answer).unwrap()
    }

    #[test]
    fn a_tool_call_is_refused_with_a_result_and_all_else_with_an_error() {
        let call = r#"{"id":"a","method":"tools/call","params":{"name":"x"}}"#;
        let call: Message<'_> = serde_json::from_str(call).unwrap();
        let result = json!({"content": [{"type": "text", "text": "no"}], "isError": true});
        assert_eq!(
            written(&Answer::refusal(&call, -1, "no").unwrap()),
            json!({"jsonrpc": "2.0", "id": "a", "result": result})
        );
        let list: Message<'_> = serde_json::from_str(r#"{"id":2,"method":"tools/list"}"#).unwrap();
        assert_eq!(
            written(&Answer::refusal(&list, -1, "no").unwrap()),
            json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -1, "message": "no"}})
        );
        let notice: Message<'_> = serde_json::from_str(r#"{"method":"x"}"#).unwrap();
        assert!(Answer::refusal(&notice, -1, "no").is_none());
    }

    #[test]
    fn a_modern_result_names_its_type_and_may_carry_a_marker() {
        let id = RawValue::from_string("1".to_owned()).unwrap();
        let meta = json!({"x": 1});
        let answer = written(&Answer::tool_error(&id, true, "t", Some(&meta)));
        assert_eq!(answer["result"]["resultType"], "complete");
        assert_eq!(answer["result"]["_meta"], meta);
    }
}
