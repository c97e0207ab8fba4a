//! A plain MCP client without any OAuth, as the product's users run: both eras, raw access included.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::mcp::{LEGACY, MODERN};

/// An HTTP client that follows nothing and knows no proxy.
pub fn http() -> reqwest::Client {
    // Fails when another test installed it first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap()
}

#[derive(Debug)]
pub struct McpClient {
    http: reqwest::Client,
    url: String,
    /// Some in the `initialize` era.
    session: Option<String>,
    modern: bool,
    /// Of its own, as `mcpbridgectl client add` prints it.
    token: Option<String>,
    capabilities: Value,
    next_id: AtomicU64,
}

/// An answer read to its end.
#[derive(Debug, Clone)]
pub struct McpAnswer {
    pub status: u16,
    pub headers: HeaderMap,
    pub raw: Bytes,
    /// The JSON-RPC response: the body, or the last event's data.
    pub message: Value,
}

impl McpAnswer {
    pub async fn read(response: reqwest::Response) -> Self {
        Self::try_read(response).await.unwrap()
    }

    /// # Errors
    /// It breaks off.
    pub async fn try_read(response: reqwest::Response) -> reqwest::Result<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let raw = response.bytes().await?;
        let message = serde_json::from_slice(&raw)
            .ok()
            .or_else(|| events(&String::from_utf8_lossy(&raw)).pop())
            .unwrap_or_default();
        Ok(Self {
            status,
            headers,
            raw,
            message,
        })
    }

    /// Text of the first content item of a tool result.
    pub fn text(&self) -> &str {
        self.message["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
    }

    pub fn is_tool_error(&self) -> bool {
        self.message["result"]["isError"] == true
    }

    pub fn error_message(&self) -> &str {
        self.message["error"]["message"]
            .as_str()
            .unwrap_or_default()
    }

    pub fn error_code(&self) -> Option<i64> {
        self.message["error"]["code"].as_i64()
    }

    /// # Panics
    /// Unless the tool answered with exactly `text`.
    #[track_caller]
    pub fn assert_text(&self, text: &str) {
        assert!(
            self.status == 200 && !self.is_tool_error() && self.text() == text,
            "expected the text {text:?}, got {} {}",
            self.status,
            String::from_utf8_lossy(&self.raw)
        );
    }
}

/// The JSON payloads of a server-sent event stream.
pub fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter_map(|data| serde_json::from_str(data).ok())
        .collect()
}

/// The messages of an answer while it is still being sent.
#[derive(Debug)]
pub struct Messages {
    response: reqwest::Response,
    unread: Vec<u8>,
}

impl Messages {
    pub fn of(response: reqwest::Response) -> Self {
        Self {
            response,
            unread: Vec::new(),
        }
    }

    /// The next message; None at the end, or when the connection broke. Cancel safe.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let data = line.strip_prefix(b"data:").unwrap_or(&line);
                if let Ok(message) = serde_json::from_slice(data) {
                    return Some(message);
                }
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.unread.extend_from_slice(&chunk),
                Ok(None) | Err(_) => {
                    return serde_json::from_slice(&std::mem::take(&mut self.unread)).ok();
                }
            }
        }
    }
}

impl McpClient {
    /// A stateless client of 2026-07-28.
    pub fn modern(url: &str) -> Self {
        Self {
            http: http(),
            url: url.to_owned(),
            session: None,
            modern: true,
            token: None,
            capabilities: json!({}),
            next_id: AtomicU64::new(1),
        }
    }

    /// A client of 2025-11-25, its session open.
    pub async fn legacy(url: &str) -> Self {
        Self::modern(url).in_session().await
    }

    /// With a client token of its own.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// With what it says it can do, such as `{"elicitation": {"form": {}}}`.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: Value) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// The same client in a session of 2025-11-25.
    #[must_use]
    pub async fn in_session(self) -> Self {
        let mut client = Self {
            modern: false,
            ..self
        };
        let params = json!({
            "protocolVersion": LEGACY,
            "capabilities": client.capabilities,
            "clientInfo": { "name": "harness", "version": "1.0" },
        });
        let hello = client.request("initialize", params).await;
        assert_eq!(
            hello.status,
            200,
            "initialize: {}",
            String::from_utf8_lossy(&hello.raw)
        );
        let session = &hello.headers["mcp-session-id"];
        client.session = Some(session.to_str().unwrap().to_owned());
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let accepted = client.post(&ready).await;
        assert_eq!(accepted.status().as_u16(), 202);
        client
    }

    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    pub async fn call(&self, tool: &str, arguments: Value) -> McpAnswer {
        McpAnswer::read(self.open(tool, arguments).await).await
    }

    /// Calls `tool` and returns with the answer's head, for a test that reads the stream itself.
    pub async fn open(&self, tool: &str, arguments: Value) -> reqwest::Response {
        self.post(&self.message("tools/call", self.call_params(tool, arguments)))
            .await
    }

    pub async fn request(&self, method: &str, params: Value) -> McpAnswer {
        McpAnswer::read(self.post(&self.message(method, params)).await).await
    }

    /// Parameters of a `tools/call`, with a progress token.
    pub fn call_params(&self, tool: &str, arguments: Value) -> Value {
        json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": "p1" } })
    }

    /// The request as it goes out, envelope included.
    pub fn message(&self, method: &str, mut params: Value) -> Value {
        if self.modern {
            let meta = "io.modelcontextprotocol";
            params["_meta"][format!("{meta}/protocolVersion")] = json!(MODERN);
            params["_meta"][format!("{meta}/clientCapabilities")] = self.capabilities.clone();
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }

    /// A POST with the headers the era wants.
    pub fn prepare(&self, message: &Value) -> reqwest::RequestBuilder {
        let mut post = self
            .http
            .post(&self.url)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .body(message.to_string());
        if let Some(token) = &self.token {
            post = post.bearer_auth(token);
        }
        if let Some(session) = &self.session {
            post = post
                .header("mcp-session-id", session)
                .header("mcp-protocol-version", LEGACY);
        }
        if self.modern {
            let method = message["method"].as_str().unwrap_or_default();
            post = post
                .header("mcp-protocol-version", MODERN)
                .header("mcp-method", method);
            if let Some(name) = message["params"]["name"].as_str() {
                post = post.header("mcp-name", name);
            }
        }
        post
    }

    pub async fn post(&self, message: &Value) -> reqwest::Response {
        self.prepare(message).send().await.unwrap()
    }

    /// The GET stream of the `initialize` era.
    pub async fn listen(&self, last_event_id: Option<&str>) -> reqwest::Response {
        let mut get = self
            .http
            .get(&self.url)
            .header("accept", "text/event-stream")
            .header("mcp-protocol-version", LEGACY)
            .header(
                "mcp-session-id",
                self.session.as_deref().unwrap_or_default(),
            );
        if let Some(id) = last_event_id {
            get = get.header("last-event-id", id);
        }
        get.send().await.unwrap()
    }
}
