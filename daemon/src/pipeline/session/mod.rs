//! A small MCP client of our own, for calls that begin in this process. Every request it makes goes
//! through [`Pipeline::call`], so it can do nothing that a client at the port could not.
//!
//! It asks a server for the 2026-07-28 form first and falls back to `initialize`, as the
//! specification's versioning page has it.

mod error;
mod message;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};

pub use self::error::SessionError;
use self::message::{Answer, AnswerError, Message, Params, answer_to, client_info};
use super::{CallError, Pipeline, RelayRequest, SESSION_ID};
use crate::mcp::sse::EventReader;
use crate::types::{ApprovalId, Caller, ServerName};

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Largest answer that is taken in; the relay has no such limit.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Pages of one list. A server that never ends its list is broken.
const MAX_PAGES: usize = 100;
const ANSWER_LIMIT: Duration = Duration::from_secs(300);

/// A tool as a server lists it.
#[derive(Debug, Deserialize)]
pub struct ListedTool {
    pub name: String,
    #[serde(default)]
    pub title: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    /// The whole definition, byte for byte.
    #[serde(skip, default = "null")]
    pub definition: Box<RawValue>,
}

fn null() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// A `CallToolResult`, byte for byte.
#[derive(Debug)]
pub struct ToolResult {
    pub is_error: bool,
    pub json: Box<RawValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    Modern,
    Legacy {
        version: HeaderValue,
        session: Option<HeaderValue>,
    },
}

/// An open exchange with one server.
pub struct McpSession {
    pipeline: Pipeline,
    server: ServerName,
    caller: Caller,
    form: Form,
    last_id: AtomicU64,
}

/// How a call waits for a person, as long as that takes.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Where it says at which question.
    pub question: watch::Sender<Option<ApprovalId>>,
    /// Its caller wants a person to approve it, also where the rules allow it.
    pub in_any_case: bool,
    /// None where its caller need not know when it is sent.
    pub gate: Option<Gate>,
}

/// Where a call that is about to be sent waits for its caller's word, so that the caller can put down
/// before that it may have been sent.
#[derive(Debug, Clone)]
pub struct Gate(mpsc::Sender<Go>);

/// The word. Dropping it means that the call is not sent.
pub type Go = oneshot::Sender<()>;

impl Gate {
    pub fn new() -> (Self, mpsc::Receiver<Go>) {
        let (gate, waiting) = mpsc::channel(1);
        (Self(gate), waiting)
    }

    async fn pass(&self) -> Result<(), CallError> {
        let (go, word) = oneshot::channel();
        // With a caller that is gone the word is, too.
        let _ = self.0.send(go).await;
        word.await.map_err(|_| CallError::Withheld)
    }
}

impl Asked {
    /// Waits until the call may be sent.
    ///
    /// # Errors
    /// Its caller does not want that any more.
    pub(super) async fn let_go(asked: Option<&Self>) -> Result<(), CallError> {
        match asked.and_then(|asked| asked.gate.as_ref()) {
            Some(gate) => gate.pass().await,
            None => Ok(()),
        }
    }
}

impl McpSession {
    pub async fn open(
        pipeline: Pipeline,
        server: ServerName,
        caller: Caller,
    ) -> Result<Self, SessionError> {
        let mut session = Self {
            pipeline,
            server,
            caller,
            form: Form::Modern,
            last_id: AtomicU64::new(0),
        };
        match session.request("server/discover", Params::default()).await {
            Ok(discovered) => {
                #[derive(Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct Discovered {
                    #[serde(default)]
                    supported_versions: Vec<String>,
                }
                let known = serde_json::from_str::<Discovered>(discovered.get())
                    .is_ok_and(|d| d.supported_versions.iter().any(|v| v == MODERN));
                if !known {
                    session.initialize().await?;
                }
            }
            // Whatever an older server makes of a method it does not know.
            Err(SessionError::Status { .. } | SessionError::Refused { .. }) => {
                session.initialize().await?;
            }
            Err(SessionError::Malformed { .. } | SessionError::Call(CallError::NoDiscovery(_))) => {
                session.initialize().await?;
            }
            Err(other) => return Err(other),
        }
        Ok(session)
    }

    async fn initialize(&mut self) -> Result<(), SessionError> {
        self.form = Form::Legacy {
            version: HeaderValue::from_static(LEGACY),
            session: None,
        };
        let params = Params {
            protocol_version: Some(LEGACY),
            capabilities: Some(json!({})),
            client_info: Some(client_info()),
            ..Params::default()
        };
        let (headers, result) = self.exchange("initialize", params, None).await?;
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Initialized {
            protocol_version: String,
        }
        let initialized: Initialized = self.decode("initialize", &result)?;
        let version = HeaderValue::try_from(initialized.protocol_version)
            .map_err(|_| self.malformed("initialize", "protocolVersion is not a version"))?;
        self.form = Form::Legacy {
            version,
            session: headers.get(SESSION_ID).cloned(),
        };
        let request = self.relay("notifications/initialized", None, None, None)?;
        self.pipeline.call(request).await?;
        Ok(())
    }

    /// All pages of `tools/list`.
    pub async fn list_tools(&self) -> Result<Vec<ListedTool>, SessionError> {
        const METHOD: &str = "tools/list";
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Page {
            tools: Vec<Box<RawValue>>,
            // An empty cursor is a cursor; only its absence ends the list.
            #[serde(default)]
            next_cursor: Option<String>,
        }
        let mut tools = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let params = Params {
                cursor: cursor.as_deref(),
                ..Params::default()
            };
            let result = self.request(METHOD, params).await?;
            let page: Page = self.decode(METHOD, &result)?;
            for definition in page.tools {
                let tool: ListedTool = self.decode(METHOD, &definition)?;
                tools.push(ListedTool { definition, ..tool });
            }
            match page.next_cursor {
                None => return Ok(tools),
                next => cursor = next,
            }
        }
        Err(self.malformed(METHOD, "the list does not end"))
    }

    /// Where a person has to decide, waits with `asked` until they have, and without it as long as any
    /// client would.
    pub async fn call_tool(
        &self,
        tool: &str,
        arguments: &RawValue,
        asked: Option<&Asked>,
    ) -> Result<ToolResult, SessionError> {
        const METHOD: &str = "tools/call";
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outcome {
            #[serde(default)]
            is_error: bool,
        }
        let params = Params {
            name: Some(tool),
            arguments: Some(arguments),
            ..Params::default()
        };
        let (_, json) = self.exchange(METHOD, params, asked).await?;
        let outcome: Outcome = self.decode(METHOD, &json)?;
        Ok(ToolResult {
            is_error: outcome.is_error,
            json,
        })
    }

    /// Ends a legacy session. Failure means nothing: the server forgets it in time.
    pub async fn close(self) {
        if let Form::Legacy {
            session: Some(_), ..
        } = &self.form
        {
            let request = RelayRequest {
                method: Method::DELETE,
                headers: self.headers("", None),
                body: Bytes::new(),
                ..self.blank()
            };
            let _ = self.pipeline.call(request).await;
        }
    }

    async fn request(
        &self,
        method: &'static str,
        params: Params<'_>,
    ) -> Result<Box<RawValue>, SessionError> {
        Ok(self.exchange(method, params, None).await?.1)
    }

    async fn exchange(
        &self,
        method: &'static str,
        mut params: Params<'_>,
        asked: Option<&Asked>,
    ) -> Result<(HeaderMap, Box<RawValue>), SessionError> {
        if self.form == Form::Modern {
            params.meta = Some(json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": client_info(),
            }));
        }
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let request = self.relay(method, Some(id), Some(params), asked)?;
        let limit = match asked {
            Some(_) => ANSWER_LIMIT.saturating_add(self.pipeline.patience()),
            None => ANSWER_LIMIT,
        };
        let answered = async {
            let response = self.pipeline.call(request).await?;
            let headers = response.headers().clone();
            let answer = self.answer(method, id, response).await?;
            Ok((headers, answer))
        };
        let (headers, answer) =
            tokio::time::timeout(limit, answered)
                .await
                .unwrap_or_else(|_| {
                    Err(SessionError::TimedOut {
                        server: self.server.clone(),
                        method,
                    })
                })?;
        match (answer.result, answer.error) {
            (_, Some(AnswerError { code, message })) => {
                let server = self.server.clone();
                Err(SessionError::Refused {
                    server,
                    method,
                    code,
                    message,
                })
            }
            (Some(result), None) => Ok((headers, result)),
            (None, None) => Err(self.malformed(method, "neither result nor error")),
        }
    }

    /// The message with our id, from a JSON body or an event stream.
    async fn answer<B>(
        &self,
        method: &'static str,
        id: u64,
        response: http::Response<B>,
    ) -> Result<Answer, SessionError>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: std::fmt::Display,
    {
        let status = response.status();
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let streams = content_type
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("text/event-stream"));
        let mut body = response.into_body();
        let mut events = EventReader::new(MAX_ANSWER);
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.malformed(method, error))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if !streams {
                whole.extend_from_slice(&data);
                if whole.len() > MAX_ANSWER {
                    return Err(self.malformed(method, "the answer is too large"));
                }
                continue;
            }
            let found = events
                .feed(&data)
                .map_err(|error| self.malformed(method, error))?;
            let mut data = found.iter().filter_map(|event| event.data.as_ref());
            if let Some(answer) = data.find_map(|data| answer_to(id, data)) {
                return Ok(answer);
            }
        }
        match answer_to(id, &whole) {
            Some(answer) => Ok(answer),
            None if !status.is_success() => {
                let server = self.server.clone();
                Err(SessionError::Status {
                    server,
                    status: status.as_u16(),
                })
            }
            None => Err(self.malformed(method, "no JSON-RPC answer in the body")),
        }
    }

    fn relay(
        &self,
        method: &'static str,
        id: Option<u64>,
        params: Option<Params<'_>>,
        asked: Option<&Asked>,
    ) -> Result<RelayRequest, SessionError> {
        let headers = self.headers(method, params.as_ref().and_then(|params| params.name));
        let message = Message {
            jsonrpc: "2.0",
            id,
            method,
            params,
        };
        let body = serde_json::to_vec(&message).map_err(|error| self.malformed(method, error))?;
        Ok(RelayRequest {
            headers,
            body: body.into(),
            asked: asked.cloned(),
            ..self.blank()
        })
    }

    fn headers(&self, method: &str, name: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let accepts = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, accepts);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        match &self.form {
            Form::Modern => {
                headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(MODERN));
                if let Ok(method) = HeaderValue::from_str(method) {
                    headers.insert("mcp-method", method);
                }
                if let Some(name) = name {
                    headers.insert("mcp-name", crate::mcp::headers::encode(name));
                }
            }
            Form::Legacy { version, session } => {
                if method != "initialize" {
                    headers.insert(PROTOCOL_VERSION, version.clone());
                }
                if let Some(session) = session {
                    headers.insert(SESSION_ID, session.clone());
                }
            }
        }
        headers
    }

    fn blank(&self) -> RelayRequest {
        RelayRequest {
            server: self.server.clone(),
            method: Method::POST,
            path: String::new(),
            query: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            caller: self.caller.clone(),
            asked: None,
        }
    }

    fn decode<'a, T: Deserialize<'a>>(
        &self,
        method: &'static str,
        json: &'a RawValue,
    ) -> Result<T, SessionError> {
        serde_json::from_str(json.get()).map_err(|error| self.malformed(method, error))
    }

    fn malformed(&self, method: &'static str, problem: impl std::fmt::Display) -> SessionError {
        let server = self.server.clone();
        SessionError::Malformed {
            server,
            method,
            problem: problem.to_string(),
        }
    }
}
