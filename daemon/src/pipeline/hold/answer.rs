//! Reading a server's answer to an approved call while it passes: how it ends is recorded, and a state
//! that the server gives the client is sealed into ours.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::events::event;
use super::seal::{SealError, Stamp};
use crate::approval::Settled;
use crate::mcp::Answer;
use crate::mcp::edit::{self, Edit};
use crate::mcp::sse::EventReader;

/// Larger answers, and larger events, pass unread.
const READ_LIMIT: usize = 8 * 1024 * 1024;
/// Of what a server says about a failure, for the record.
const WHY: usize = 300;

/// What the client gets of it.
pub(super) enum Into {
    /// The bytes as they came, under the server's own head.
    Same,
    /// Events of a stream that is open already. Progress up to this was told before.
    Events { progress: f64 },
}

pub(super) struct AnswerReader {
    id: Value,
    is_modern: bool,
    status: StatusCode,
    shape: Shape,
    into: Into,
    /// None where a state of the server's may pass as it is.
    stamp: Option<Stamp>,
    ending: Option<Settled>,
    /// The ending was told.
    is_over: bool,
    /// The client can ask for the rest of the stream by itself.
    is_resumable: bool,
}

enum Shape {
    Json(Vec<u8>),
    Events(EventReader),
    /// Not to be read: too large, or encoded.
    Opaque,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    method: Option<String>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    #[serde(default)]
    is_error: bool,
    #[serde(default)]
    result_type: Option<String>,
    #[serde(default)]
    request_state: Option<String>,
}

#[derive(Deserialize)]
struct Notice {
    method: String,
    #[serde(default)]
    params: Progress,
}

#[derive(Deserialize, Default)]
struct Progress {
    #[serde(default)]
    progress: Option<f64>,
}

impl AnswerReader {
    pub(super) fn new(
        (id, is_modern): (&RawValue, bool),
        (status, headers): (StatusCode, &HeaderMap),
        into: Into,
        stamp: Option<Stamp>,
    ) -> Self {
        let content_type = headers.get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let media = content_type.and_then(|value| value.split(';').next());
        let media = media.unwrap_or_default().trim().to_ascii_lowercase();
        let shape = match media.as_str() {
            _ if headers.contains_key(CONTENT_ENCODING) => Shape::Opaque,
            "text/event-stream" => Shape::Events(EventReader::new(READ_LIMIT)),
            _ => Shape::Json(Vec::new()),
        };
        Self {
            id: serde_json::from_str(id.get()).unwrap_or_default(),
            is_modern,
            status,
            shape,
            into,
            stamp,
            ending: None,
            is_over: false,
            is_resumable: false,
        }
    }

    /// Takes a piece in; returns what may pass now.
    pub(super) fn feed(&mut self, piece: Bytes) -> Result<Option<Bytes>, SealError> {
        match &mut self.shape {
            Shape::Opaque => Ok(matches!(self.into, Into::Same).then_some(piece)),
            Shape::Json(read) => {
                read.extend_from_slice(&piece);
                if read.len() <= READ_LIMIT {
                    return Ok(None);
                }
                let read = std::mem::take(read);
                self.shape = Shape::Opaque;
                Ok(matches!(self.into, Into::Same).then(|| read.into()))
            }
            Shape::Events(reader) => {
                let Ok(events) = reader.feed(&piece) else {
                    self.shape = Shape::Opaque;
                    return Ok(None);
                };
                let mut passing = Vec::new();
                for event in events {
                    self.is_resumable |= event.has_id;
                    let Some(data) = &event.data else {
                        passing.extend_from_slice(&event.raw);
                        continue;
                    };
                    match self.message(data)? {
                        Passing::AsItIs => passing.extend_from_slice(&event.raw),
                        Passing::Changed(json) => {
                            passing.extend(event.with_data(&one_line(json.as_bytes())));
                        }
                        Passing::Nothing => {}
                    }
                }
                Ok((!passing.is_empty()).then(|| passing.into()))
            }
        }
    }

    /// How the call ended, once, as soon as that is known.
    pub(super) fn ending(&mut self) -> Option<Settled> {
        let ending = self.ending.take();
        self.is_over |= ending.is_some();
        ending
    }

    /// The answer has ended in order: what is left of it, and how the call ended if that was not
    /// known before.
    pub(super) fn finish(mut self) -> Result<(Option<Bytes>, Option<Settled>), SealError> {
        let mut rest = None;
        if let Shape::Json(read) = &mut self.shape {
            let read = std::mem::take(read);
            let passing = self.message(&read)?;
            let answered = self.ending.is_some();
            rest = match (&self.into, passing) {
                (Into::Same, Passing::Changed(json)) => Some(json.into()),
                (Into::Same, _) => Some(read.into()),
                (Into::Events { .. }, Passing::Changed(json)) => {
                    Some(event(&one_line(json.as_bytes())))
                }
                (Into::Events { .. }, _) if answered => Some(event(&one_line(&read))),
                (Into::Events { .. }, _) => None,
            };
        }
        if self.ending.is_some() || self.is_over {
            return Ok((rest, self.ending));
        }
        let readable = !matches!(self.shape, Shape::Opaque);
        let why = match self.shape {
            Shape::Opaque => "the server's answer cannot be read".to_owned(),
            _ if !self.status.is_success() => {
                format!(
                    "the server answered with HTTP status {}",
                    self.status.as_u16()
                )
            }
            _ => "the server ended its answer without a result".to_owned(),
        };
        let told = matches!(self.into, Into::Events { .. }) && !self.is_resumable;
        if told {
            rest = Some(self.lost(&why));
        }
        let ending = match self.status.is_success() {
            // Passed on unread, and complete as far as anybody can tell.
            true if !readable && !told => Settled::Done,
            true => Settled::Unknown { why },
            false => Settled::Failed { why },
        };
        Ok((rest, Some(ending)))
    }

    /// The answer broke off: what the client is told in an open stream.
    pub(super) fn broken(self, why: &str) -> (Option<Bytes>, Option<Settled>) {
        if self.is_over {
            return (None, None);
        }
        let told = matches!(self.into, Into::Events { .. }) && !self.is_resumable;
        let why = why.to_owned();
        (
            told.then(|| self.lost(&why)),
            Some(Settled::Unknown { why }),
        )
    }

    fn lost(&self, why: &str) -> Bytes {
        let text = match self.status.is_success() {
            true => format!(
                "{why}. The call was approved and sent; whether it has run is not known, and it is not \
                 sent again by itself."
            ),
            false => why.to_owned(),
        };
        let id = serde_json::value::to_raw_value(&self.id).unwrap_or_default();
        let answer = Answer::tool_error(&id, self.is_modern, &text, None);
        event(&serde_json::to_vec(&answer).unwrap_or_default())
    }

    /// Looks at one message of the server.
    fn message(&mut self, json: &[u8]) -> Result<Passing, SealError> {
        let Ok(response) = serde_json::from_slice::<Response<'_>>(json) else {
            return Ok(Passing::AsItIs);
        };
        if response.method.is_some() {
            return Ok(self.notice(json));
        }
        if response
            .id
            .as_ref()
            .is_some_and(|id| !id.is_null() && *id != self.id)
        {
            return Ok(Passing::AsItIs);
        }
        if let Some(failure) = response.error {
            let why = format!("{} (code {})", failure.message, failure.code);
            self.ending = Some(Settled::Failed {
                why: why.chars().take(WHY).collect(),
            });
            return Ok(Passing::AsItIs);
        }
        let Some(result) = response.result else {
            return Ok(Passing::AsItIs);
        };
        let outcome = serde_json::from_str::<Outcome>(result.get());
        let Ok(outcome) = outcome else {
            self.ending = Some(Settled::Done);
            return Ok(Passing::AsItIs);
        };
        if outcome.result_type.as_deref() != Some("input_required") {
            self.ending = Some(match outcome.is_error {
                true => Settled::Failed {
                    why: "the tool reported an error".to_owned(),
                },
                false => Settled::Done,
            });
            return Ok(Passing::AsItIs);
        }
        self.ending = Some(Settled::InputRequired);
        let Some(stamp) = &self.stamp else {
            return Ok(Passing::AsItIs);
        };
        let state = serde_json::to_string(&stamp.seal(outcome.request_state)?);
        let edit = [("requestState", Edit::Put(state.unwrap_or_default().into()))];
        let text = str::from_utf8(json).unwrap_or_default();
        let changed = edit::member(text, "result", &edit).map_err(|_| SealError::Crypto)?;
        Ok(Passing::Changed(changed))
    }

    /// A client must not see progress go back.
    fn notice(&self, json: &[u8]) -> Passing {
        let Into::Events { progress: told } = self.into else {
            return Passing::AsItIs;
        };
        let stale = serde_json::from_slice::<Notice>(json).is_ok_and(|notice| {
            notice.method == "notifications/progress"
                && notice
                    .params
                    .progress
                    .is_some_and(|progress| progress <= told)
        });
        if stale {
            Passing::Nothing
        } else {
            Passing::AsItIs
        }
    }
}

enum Passing {
    AsItIs,
    Changed(String),
    Nothing,
}

/// Line ends in JSON are blanks between tokens.
fn one_line(json: &[u8]) -> Vec<u8> {
    let blank = |byte: &u8| match byte {
        b'\n' | b'\r' => b' ',
        byte => *byte,
    };
    json.iter().map(blank).collect()
}
