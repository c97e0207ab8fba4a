//! The MCP servers of one request: what they list, and the calls that are made of their tools.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, OnceCell};

use super::super::step::{McpCall, Outcome};
use crate::error::{Classify, ErrorKind, chain, sentences};
use crate::mcp::codes;
use crate::pipeline::{Asked, CallError, ListedTool, McpSession, Pipeline, SessionError};
use crate::types::{Caller, ServerName};

/// A server that has not listed its tools by then keeps a person waiting who only said hello.
const LIST_LIMIT: Duration = Duration::from_secs(10);

/// Opens a session with each server at most once, when it is first needed.
pub(super) struct Servers {
    pipeline: Pipeline,
    caller: Caller,
    max_result_bytes: usize,
    sessions: Mutex<HashMap<ServerName, Arc<OnceCell<McpSession>>>>,
}

impl Servers {
    pub(super) fn new(pipeline: Pipeline, caller: Caller, max_result_bytes: usize) -> Self {
        Self {
            pipeline,
            caller,
            max_result_bytes,
            sessions: Mutex::default(),
        }
    }

    pub(super) async fn list(&self, server: &ServerName) -> Result<Vec<ListedTool>, SessionError> {
        let listing = async {
            let cell = self.cell(server).await;
            self.session(&cell, server).await?.list_tools().await
        };
        tokio::time::timeout(LIST_LIMIT, listing)
            .await
            .unwrap_or_else(|_| {
                Err(SessionError::TimedOut {
                    server: server.clone(),
                    method: "tools/list",
                })
            })
    }

    /// Runs `call`, as often as it is asked to, and waits for a person as `asked` says.
    pub(super) async fn call(&self, call: &McpCall, asked: &Asked) -> Outcome {
        let Some(arguments) = object(&call.call.arguments) else {
            return Outcome::Protocol {
                code: i64::from(codes::INVALID_PARAMS),
                message: format!("the arguments of {} are not a JSON object", call.tool),
            };
        };
        match self.send(call, arguments, asked).await {
            Ok(outcome) => outcome,
            Err(error) => failed(&error),
        }
    }

    async fn send(
        &self,
        call: &McpCall,
        arguments: &RawValue,
        asked: &Asked,
    ) -> Result<Outcome, SessionError> {
        let cell = self.cell(&call.server).await;
        let session = self.session(&cell, &call.server).await?;
        let answered = session
            .call_tool(&call.tool, arguments, Some(asked))
            .await?;
        let size = answered.json.get().len();
        if size > self.max_result_bytes {
            let text = format!(
                "The result of {} has {size} bytes, more than the {} that ai.max_result_bytes in \
                 config.json allows. Ask for less at a time.",
                call.tool, self.max_result_bytes
            );
            return Ok(told(&text));
        }
        Ok(Outcome::Answered {
            is_error: answered.is_error,
            result: answered.json,
        })
    }

    /// Ends the sessions; whoever still uses one keeps it.
    pub(super) async fn close(&self) {
        let sessions = std::mem::take(&mut *self.sessions.lock().await);
        for cell in sessions.into_values() {
            if let Some(session) = Arc::into_inner(cell).and_then(OnceCell::into_inner) {
                session.close().await;
            }
        }
    }

    async fn cell(&self, server: &ServerName) -> Arc<OnceCell<McpSession>> {
        let mut sessions = self.sessions.lock().await;
        Arc::clone(sessions.entry(server.clone()).or_default())
    }

    async fn session<'a>(
        &self,
        cell: &'a OnceCell<McpSession>,
        server: &ServerName,
    ) -> Result<&'a McpSession, SessionError> {
        let open = || McpSession::open(self.pipeline.clone(), server.clone(), self.caller.clone());
        cell.get_or_try_init(open).await
    }
}

/// An error result with `text` for the model.
pub(super) fn told(text: &str) -> Outcome {
    let result = json!({ "content": [{ "type": "text", "text": text }], "isError": true });
    let json = serde_json::value::to_raw_value(&result);
    Outcome::Answered {
        is_error: true,
        result: json.unwrap_or_else(|_| RawValue::NULL.to_owned()),
    }
}

/// `text` if it is a JSON object. What a model writes for no arguments is one, too.
fn object(text: &str) -> Option<&RawValue> {
    let text = match text.trim() {
        "" => "{}",
        text => text,
    };
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    raw.get().starts_with('{').then_some(raw)
}

fn failed(error: &SessionError) -> Outcome {
    let explained = |text: &str| sentences(text, error.hint());
    match error {
        SessionError::Refused { code, message, .. } => Outcome::Protocol {
            code: *code,
            message: message.clone(),
        },
        // A rule or a person said no: the model may do something else instead.
        SessionError::Call(refused @ CallError::Refused { .. }) => {
            told(&explained(&refused.to_string()))
        }
        SessionError::Call(refused) if refused.kind() == ErrorKind::Denied => {
            told(&explained(&chain(refused)))
        }
        SessionError::Status { status, .. } => Outcome::Http {
            code: *status,
            message: error.to_string(),
        },
        other => Outcome::Http {
            code: http_code(other.kind()),
            message: explained(&chain(other)),
        },
    }
}

/// What an HTTP server in the place of ours would say.
fn http_code(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::InvalidInput | ErrorKind::Conflict => 400,
        ErrorKind::NotFound => 404,
        ErrorKind::NeedsLogin => 401,
        ErrorKind::Denied => 403,
        ErrorKind::TimedOut => 504,
        ErrorKind::Unavailable => 503,
        ErrorKind::UpstreamFault => 502,
        ErrorKind::Internal => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_taken_as_they_are_written() {
        assert_eq!(
            object(r#" {"b":1.0,"a":"\u00e9"} "#).unwrap().get(),
            r#"{"b":1.0,"a":"\u00e9"}"#
        );
        assert_eq!(object("").unwrap().get(), "{}");
        for bad in ["[]", "null", "{", "1", r#"{"a":1} {}"#] {
            assert!(object(bad).is_none(), "{bad}");
        }
    }
}
