//! Asking a model, and its answer event by event.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::super::anthropic::decode::Decoder as MessagesDecoder;
use super::super::dialect::Decoder;
use super::super::event::{Event, Wire};
use super::super::openai::ResponsesDecoder;
use super::super::openai::chat::ChatDecoder;
use super::super::refusal::Refusal;
use super::super::translate;
use super::drive::Halt;
use crate::error::{Classify, ErrorKind};
use crate::mcp::sse::EventReader;
use crate::vendors::{ModelBody, ModelRequest, Vendor, VendorError, Vendors, Visitor};

/// Of one event; whole images and files come in one.
const MAX_EVENT: usize = 64 * 1024 * 1024;
/// Of a whole answer, however many events it has: blocks and what is kept back of them are in memory.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Of an answer that is no stream: an error.
const MAX_ERROR: usize = 1024 * 1024;
/// A vendor that says nothing for so long, not even that it lives, is gone.
const SILENCE: Duration = Duration::from_secs(600);
/// Once a tool has run the client must not repeat its request, so the bridge repeats its own.
const TRIES: u32 = 3;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The Messages API wants to know which version of it is meant.
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// The one that `translate` writes.
const TRANSLATED_VERSION: &str = "2026-10-21";

/// Where the questions of one request go.
pub(in crate::adapters) struct Model {
    /// The language that the vendor is spoken to.
    pub(in crate::adapters) wire: Wire,
    pub(in crate::adapters) vendors: Vendors,
    pub(in crate::adapters) visitor: Visitor,
    pub(in crate::adapters) vendor: Arc<Vendor>,
    /// The client's, as far as they are for a vendor of its language.
    pub(in crate::adapters) headers: HeaderMap,
}

pub(super) enum Asking {
    Answers(Answer),
    /// Nothing has happened yet, so the client gets the vendor's refusal as it is.
    Refused(Response<Bytes>),
}

/// An answer that is being read.
pub(super) struct Answer {
    wire: Wire,
    dropped: Vec<String>,
    body: Incoming,
    reader: EventReader,
    /// That have been read.
    bytes: usize,
    decoder: Box<dyn Decoder>,
    ready: VecDeque<Event>,
}

impl Model {
    /// Asks with `body`, which is in the language `wire`. With `ran` the client's request must not be
    /// repeated as a whole any more.
    pub(super) async fn ask(&self, wire: Wire, body: String, ran: bool) -> Result<Asking, Halt> {
        let (body, dropped) = self.translated(wire, body)?;
        let body = Bytes::from(body);
        let tries = if ran { TRIES } else { 1 };
        let mut attempt = 1;
        loop {
            let is_last = attempt == tries;
            let response = match self.send(body.clone()).await {
                Ok(response) => response,
                Err(error) if is_last || error.kind() != ErrorKind::Unavailable => {
                    return Err(Halt::Failed(Refusal::from(&error)));
                }
                Err(_) => {
                    pause(attempt, None).await;
                    attempt += 1;
                    continue;
                }
            };
            let status = response.status();
            if status.is_success() {
                return Ok(Asking::Answers(Answer {
                    wire: self.wire,
                    dropped,
                    body: response.into_body(),
                    reader: EventReader::new(MAX_EVENT),
                    bytes: 0,
                    decoder: decoder(self.wire),
                    ready: VecDeque::new(),
                }));
            }
            if !is_last && is_passing(status) {
                pause(attempt, response.headers().get(RETRY_AFTER)).await;
                attempt += 1;
                continue;
            }
            let (head, body) = response.into_parts();
            return match whole(body).await {
                // Another vendor's words have another shape.
                Some(body) if !ran && self.wire == wire => {
                    Ok(Asking::Refused(Response::from_parts(head, body)))
                }
                body => {
                    let refusal = refused(status, &body.unwrap_or_default());
                    Err(Halt::Failed(refusal.with_retry(&head.headers)))
                }
            };
        }
    }

    /// `body` in the vendor's language, and the fields that have no place there.
    fn translated(&self, wire: Wire, body: String) -> Result<(String, Vec<String>), Halt> {
        let translated = match (wire, self.wire) {
            (Wire::Responses, Wire::Messages) => translate::to_messages(&body),
            (Wire::Messages, Wire::Responses) => translate::to_responses(&body),
            _ => {
                let own = translate::without_foreign_reasoning(wire, &body);
                return Ok((own.unwrap_or(body), Vec::new()));
            }
        };
        let translated = translated.map_err(Refusal::from)?;
        Ok((translated.body, translated.dropped))
    }

    async fn send(&self, body: Bytes) -> Result<Response<Incoming>, VendorError> {
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_LENGTH);
        // The answer is read here.
        headers.remove(ACCEPT_ENCODING);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if self.wire == Wire::Messages {
            let version = headers.entry(VERSION);
            version.or_insert(HeaderValue::from_static(TRANSLATED_VERSION));
        }
        let path = match self.wire {
            Wire::Responses => "/responses",
            Wire::Chat => "/chat/completions",
            Wire::Messages => "/v1/messages",
        };
        let request = ModelRequest {
            method: Method::POST,
            path: path.to_owned(),
            query: None,
            headers,
            body: ModelBody::Whole(body),
        };
        self.vendors
            .send(&self.visitor, &self.vendor, request)
            .await
    }
}

async fn pause(attempt: u32, wanted: Option<&HeaderValue>) {
    let seconds = wanted.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let pause = match seconds {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::from_millis(500) * 2_u32.pow(attempt - 1),
    };
    tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
}

fn decoder(wire: Wire) -> Box<dyn Decoder> {
    match wire {
        Wire::Responses => Box::new(ResponsesDecoder::default()),
        Wire::Chat => Box::new(ChatDecoder::default()),
        Wire::Messages => Box::new(MessagesDecoder::default()),
    }
}

impl Answer {
    pub(super) fn wire(&self) -> Wire {
        self.wire
    }

    /// Fields of the request that the vendor has no place for.
    pub(super) fn dropped(&self) -> &[String] {
        &self.dropped
    }

    /// None at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, Halt> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let Ok(frame) = frame else {
                return Err(Halt::Failed(cut(
                    "the vendor fell silent in the middle of its answer",
                )));
            };
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|_| {
                Halt::Failed(cut("the connection to the vendor broke in its answer"))
            })?;
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            self.bytes += chunk.len();
            if self.bytes > MAX_ANSWER {
                return Err(Halt::Failed(cut("the vendor's answer is too large")));
            }
            let found = self.reader.feed(&chunk);
            let found = found.map_err(|error| Halt::Failed(cut(&error.to_string())))?;
            for event in found {
                let Some(data) = &event.data else {
                    continue;
                };
                let data = str::from_utf8(data)
                    .map_err(|_| Halt::Failed(cut("the vendor's answer is not UTF-8")))?;
                let decoded = self.decoder.event(name(&event.raw), data);
                let decoded = decoded.map_err(|error| Halt::Failed(cut(&error.to_string())))?;
                self.ready.extend(decoded);
            }
        }
    }
}

fn name(raw: &[u8]) -> Option<&str> {
    let mut lines = raw.split(|byte| *byte == b'\n');
    let name = lines.find_map(|line| line.strip_prefix(b"event:"))?;
    str::from_utf8(name).ok().map(str::trim)
}

fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 409 | 429 | 500..)
}

/// None for what is too large, breaks off, or does not end in time.
async fn whole<B>(mut body: B) -> Option<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut all = BytesMut::new();
    let end = Instant::now() + SILENCE;
    while let Some(frame) = timeout_at(end, body.frame()).await.ok()? {
        if let Ok(data) = frame.ok()?.into_data() {
            all.extend_from_slice(&data);
        }
        if all.len() > MAX_ERROR {
            return None;
        }
    }
    Some(all.freeze())
}

fn cut(problem: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_GATEWAY, problem)
}

/// The vendor's own words, in a shape that the client's language has.
fn refused(status: StatusCode, body: &[u8]) -> Refusal {
    #[derive(serde::Deserialize)]
    struct Body {
        error: Error,
    }
    #[derive(serde::Deserialize)]
    struct Error {
        message: String,
    }
    let said = serde_json::from_slice::<Body>(body).map(|body| body.error.message);
    let message = said.unwrap_or_else(|_| format!("the vendor answered with HTTP status {status}"));
    Refusal::new(status, message)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream::{self, Stream, StreamExt};
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    type Part = Result<Frame<Bytes>, Infallible>;

    fn part(bytes: &'static [u8]) -> Part {
        Ok(Frame::data(Bytes::from_static(bytes)))
    }

    async fn read(parts: impl Stream<Item = Part> + Unpin) -> Option<Bytes> {
        let reading = whole(StreamBody::new(parts));
        let ended = tokio::time::timeout(SILENCE * 2, reading).await;
        ended.expect("an end of the wait")
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_does_not_end_is_not_waited_for() {
        let whole = stream::iter([part(b"{\"err"), part(b"or\":1}")]);
        assert_eq!(read(whole).await.unwrap(), "{\"error\":1}");
        let stalls = stream::iter([part(b"{")]).chain(stream::pending());
        assert_eq!(read(stalls).await, None);
        let drips = stream::unfold((), |()| async {
            tokio::time::sleep(SILENCE / 10).await;
            Some((part(b"{"), ()))
        });
        assert_eq!(read(drips.boxed()).await, None);
        let large = stream::repeat_with(|| part(&[b' '; 4096]));
        assert_eq!(read(large).await, None);
    }
}
