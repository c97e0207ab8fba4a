//! One answer of a model, told independently of any vendor's wire language.

use serde::Deserialize;
use serde_json::Value;

use crate::script::Gate;

/// What the model says in one answer, and how the connection behaves meanwhile.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Turn {
    pub(super) parts: Vec<Part>,
    pub(super) end: End,
    pub(super) usage: Usage,
    /// An HTTP error instead of an answer.
    pub(super) error: Option<HttpError>,
    /// These very frames or this very body instead of an answer.
    pub(super) raw: Option<Raw>,
    pub(super) headers: Vec<(String, String)>,
    /// Cut the connection after so many frames.
    pub(super) cut_after: Option<usize>,
    /// Send the stream in pieces of so many bytes, whatever they split.
    pub(super) fragment: Option<usize>,
    /// Wait here before the head of the answer is sent.
    #[serde(skip)]
    pub(super) before_head: Option<Gate>,
    /// Wait here after so many frames.
    #[serde(skip)]
    pub(super) pause: Option<(usize, Gate)>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Part {
    Text(String),
    /// Signed by Anthropic, encrypted by OpenAI.
    Thinking(String),
    RedactedThinking,
    Call(Call),
    Refusal(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    /// As the model knows it; `*echo` is the only tool of the request that ends in `echo`.
    pub(super) name: String,
    /// JSON text, sent as it is written.
    #[serde(default)]
    pub(super) arguments: String,
    /// The vendor's id of the call; made up when absent.
    #[serde(default)]
    pub(super) id: Option<String>,
    /// No delta with arguments is streamed: only the events around them.
    #[serde(default)]
    pub(super) without_deltas: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum End {
    /// The model said all it had to say, or waits for results.
    #[default]
    Natural,
    /// `max_output_tokens`, `max_tokens`, `length`.
    Length,
    ContentFilter,
    PauseTurn,
    StopSequence(String),
    ContextWindow,
    /// The answer breaks off with an error of this code and message.
    Failed(String, String),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Neither read from nor written to a cache.
    pub input: u64,
    pub cached: u64,
    pub cache_written: u64,
    pub output: u64,
    /// Part of `output`.
    pub reasoning: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            input: 11,
            cached: 0,
            cache_written: 0,
            output: 7,
            reasoning: 0,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpError {
    pub(super) status: u16,
    pub(super) message: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Raw {
    /// Each becomes a frame with its `type` as event name.
    Events(Vec<Value>),
    /// Frames as they are written, with their blank lines.
    Frames(Vec<String>),
    Json(Value),
}

impl Turn {
    /// Silence: to be extended.
    pub fn new() -> Self {
        Self::default()
    }

    pub fn text(text: &str) -> Self {
        Self::new().and_text(text)
    }

    pub fn call_only(name: &str, arguments: &str) -> Self {
        Self::new().call(name, arguments)
    }

    /// An HTTP error in the vendor's shape.
    pub fn error(status: u16) -> Self {
        Self {
            error: Some(HttpError {
                status,
                message: format!("scripted {status}"),
            }),
            ..Self::default()
        }
    }

    /// A streamed answer, event by event.
    pub fn events(events: Vec<Value>) -> Self {
        Self {
            raw: Some(Raw::Events(events)),
            ..Self::default()
        }
    }

    /// A streamed answer, as it is written.
    pub fn frames(frames: &[&str]) -> Self {
        let frames = frames.iter().map(|&frame| frame.to_owned()).collect();
        Self {
            raw: Some(Raw::Frames(frames)),
            ..Self::default()
        }
    }

    /// A body, whatever was asked.
    pub fn json(body: Value) -> Self {
        Self {
            raw: Some(Raw::Json(body)),
            ..Self::default()
        }
    }

    #[must_use]
    pub fn and_text(self, text: &str) -> Self {
        self.part(Part::Text(text.to_owned()))
    }

    #[must_use]
    pub fn thinking(self, text: &str) -> Self {
        self.part(Part::Thinking(text.to_owned()))
    }

    #[must_use]
    pub fn redacted_thinking(self) -> Self {
        self.part(Part::RedactedThinking)
    }

    /// Calls a function: `*echo` is the only offered one whose name ends in `echo`; `arguments` is JSON text.
    #[must_use]
    pub fn call(self, name: &str, arguments: &str) -> Self {
        self.part(Part::Call(Call {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            id: None,
            without_deltas: false,
        }))
    }

    /// The last call gets this id.
    #[must_use]
    pub fn with_id(self, id: &str) -> Self {
        self.last_call(|call| call.id = Some(id.to_owned()))
    }

    /// The arguments of the last call are not streamed.
    #[must_use]
    pub fn without_deltas(self) -> Self {
        self.last_call(|call| call.without_deltas = true)
    }

    #[must_use]
    pub fn refusal(self, text: &str) -> Self {
        self.part(Part::Refusal(text.to_owned()))
    }

    /// Ends by the token limit.
    #[must_use]
    pub fn length(self) -> Self {
        self.ending(End::Length)
    }

    #[must_use]
    pub fn content_filter(self) -> Self {
        self.ending(End::ContentFilter)
    }

    /// Anthropic's end of a long turn that the client is to continue.
    #[must_use]
    pub fn pause_turn(self) -> Self {
        self.ending(End::PauseTurn)
    }

    #[must_use]
    pub fn stop_sequence(self, sequence: &str) -> Self {
        self.ending(End::StopSequence(sequence.to_owned()))
    }

    #[must_use]
    pub fn context_window_exceeded(self) -> Self {
        self.ending(End::ContextWindow)
    }

    /// Breaks off inside the stream: `response.failed`, or an `error` event.
    #[must_use]
    pub fn failed(self, code: &str, message: &str) -> Self {
        self.ending(End::Failed(code.to_owned(), message.to_owned()))
    }

    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// A header of the answer, such as `retry-after`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Slow first byte: not even the head is sent until the gate is released.
    #[must_use]
    pub fn held(mut self, gate: &Gate) -> Self {
        self.before_head = Some(gate.clone());
        self
    }

    /// Sends `frames` frames, then waits until the gate is released.
    #[must_use]
    pub fn held_after(mut self, frames: usize, gate: &Gate) -> Self {
        self.pause = Some((frames, gate.clone()));
        self
    }

    /// Drops the connection after so many frames; of a whole answer after its head.
    #[must_use]
    pub fn cut_after(mut self, frames: usize) -> Self {
        self.cut_after = Some(frames);
        self
    }

    /// Sends the stream in pieces of so many bytes.
    #[must_use]
    pub fn fragmented(mut self, bytes: usize) -> Self {
        self.fragment = Some(bytes);
        self
    }

    pub(super) fn has_calls(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Call(_)))
    }

    fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    fn ending(mut self, end: End) -> Self {
        self.end = end;
        self
    }

    fn last_call(mut self, change: impl FnOnce(&mut Call)) -> Self {
        match self.parts.last_mut() {
            Some(Part::Call(call)) => change(call),
            _ => panic!("this changes the call that was added last; there is none"),
        }
        self
    }
}

/// Pieces as a vendor streams them: small, and splitting escapes.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(9).map(String::from_iter).collect()
}
