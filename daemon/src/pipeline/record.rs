//! One log line per call, written when all of it is over; bodies besides at debug level.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tracing::Level;

use super::RelayRequest;
use super::body::RelayError;
use super::error::{CallError, NAME_SHOWN};
use super::redact::redacted;
use super::trail::Trail;
use crate::error::chain;
use crate::mcp::{Envelope, MessageKind};
use crate::types::{Caller, Digest, ServerName};

/// Of a body, this much is logged at debug level.
const SHOWN: usize = 8 * 1024;

/// What is known of a call so far. Dropping it writes the line.
pub(super) struct Record {
    server: ServerName,
    caller: Caller,
    method: String,
    tool: Option<String>,
    started: Instant,
    bytes_in: usize,
    bytes_out: u64,
    status: Option<StatusCode>,
    outcome: Outcome,
    /// The beginning of the answer, when debug logging is on.
    answer: Option<BytesMut>,
    /// Of the tool calls in it that a rule allowed.
    trails: Vec<Trail>,
    result: Digesting,
}

#[derive(Debug)]
enum Outcome {
    /// The client went away before the end.
    Abandoned,
    Complete,
    BrokenOff(String),
    Refused(String),
}

impl Record {
    pub(super) fn start(request: &RelayRequest) -> Self {
        Self {
            server: request.server.clone(),
            caller: request.caller.clone(),
            method: request.method.as_str().to_owned(),
            tool: None,
            started: Instant::now(),
            bytes_in: request.body.len(),
            bytes_out: 0,
            status: None,
            outcome: Outcome::Abandoned,
            answer: None,
            trails: Vec::new(),
            result: Digesting::default(),
        }
    }

    /// A tool call in it begins, by a rule.
    pub(super) fn follow(&mut self, trail: Trail) {
        self.trails.push(trail);
    }

    /// Adds what the body says; without one the HTTP method stands for it.
    pub(super) fn describe(&mut self, envelope: &Envelope<'_>, method: &Method, body: &Bytes) {
        if let [message] = envelope.messages() {
            self.method = match message.kind {
                MessageKind::Response { .. } => "response".to_owned(),
                MessageKind::Request { .. } | MessageKind::Notification => shown(&message.method),
            };
            self.tool = message.tool().map(shown);
        } else {
            let tools: Vec<_> = envelope
                .messages()
                .iter()
                .filter_map(|m| m.tool())
                .collect();
            self.method = "batch".to_owned();
            self.tool = (!tools.is_empty()).then(|| shown(&tools.join(",")));
        }
        if tracing::enabled!(Level::DEBUG) {
            let body = redacted(&body[..body.len().min(SHOWN)]);
            tracing::debug!(server = %self.server, %method, body, "request");
        }
    }

    pub(super) fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.status = Some(status);
        if tracing::enabled!(Level::DEBUG) && !headers.contains_key(header::CONTENT_ENCODING) {
            self.answer = Some(BytesMut::new());
        }
    }

    pub(super) fn relayed(&mut self, data: &Bytes) {
        self.bytes_out += data.len() as u64;
        if !self.trails.is_empty() {
            self.result.take(data);
        }
        if let Some(answer) = &mut self.answer {
            let room = SHOWN.saturating_sub(answer.len());
            answer.extend_from_slice(&data[..data.len().min(room)]);
        }
    }

    pub(super) fn complete(&mut self) {
        self.outcome = Outcome::Complete;
    }

    pub(super) fn broken_off(&mut self, error: &RelayError) {
        self.outcome = Outcome::BrokenOff(chain(error));
    }

    pub(super) fn refused(&mut self, error: &CallError) {
        self.outcome = Outcome::Refused(chain(error));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (outcome, error) = match &self.outcome {
            Outcome::Abandoned => ("abandoned", None),
            Outcome::Complete => ("complete", None),
            Outcome::BrokenOff(error) => ("broken off", Some(error.as_str())),
            Outcome::Refused(error) => ("refused", Some(error.as_str())),
        };
        tracing::info!(
            server = %self.server,
            method = self.method,
            tool = self.tool,
            status = self.status.map(|status| status.as_u16()),
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes_in = self.bytes_in,
            bytes_out = self.bytes_out,
            caller = %self.caller,
            outcome,
            error,
            "call"
        );
        for trail in std::mem::take(&mut self.trails) {
            trail.end(json!({
                "outcome": outcome,
                "error": error,
                "status": self.status.map(|status| status.as_u16()),
                "is_error": self.result.is_error(),
                "bytes": self.bytes_out,
                "result": self.result.digest(),
            }));
        }
        if let Some(answer) = &self.answer {
            tracing::debug!(server = %self.server, body = redacted(answer), "answer");
        }
    }
}

/// What a record keeps of an answer.
#[derive(Default)]
struct Digesting {
    context: Option<ring::digest::Context>,
    /// The answer, if it came in one small piece. A copy: a piece shares the whole buffer that the
    /// connection reads into, and a stream may go on for hours.
    only: Option<Vec<u8>>,
    pieces: usize,
}

impl Digesting {
    fn take(&mut self, data: &Bytes) {
        let context = self
            .context
            .get_or_insert_with(|| ring::digest::Context::new(&ring::digest::SHA256));
        context.update(data);
        self.pieces += 1;
        let whole = self.pieces == 1 && data.len() <= SHOWN;
        self.only = whole.then(|| data.to_vec());
    }

    fn digest(&mut self) -> Option<Digest> {
        let digest = self.context.take()?.finish();
        digest.as_ref().try_into().ok().map(Digest::from_bytes)
    }

    /// Whether the tool reported an error, where that is cheap to know.
    fn is_error(&self) -> Option<bool> {
        #[derive(Deserialize)]
        struct Answer {
            result: Outcome,
        }
        #[derive(Deserialize)]
        struct Outcome {
            #[serde(default, rename = "isError")]
            is_error: bool,
        }
        let answer: Answer = serde_json::from_slice(self.only.as_deref()?).ok()?;
        Some(answer.result.is_error)
    }
}

fn shown(name: &str) -> String {
    name[..name.floor_char_boundary(NAME_SHOWN)].to_owned()
}
