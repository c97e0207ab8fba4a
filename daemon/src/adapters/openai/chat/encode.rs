//! Puts together what a client of Chat Completions gets: chunks, or one object.

use std::collections::{HashMap, HashSet};

use crate::adapters::dialect::{Encoder, Ending, Finish, Shown};
use crate::adapters::event::{Block, Content, Delta, End, Event, FunctionCall, Kind, Usage, Wire};
use crate::adapters::problem;
use crate::adapters::raw::{Object, list, quoted};

/// Between the texts of two turns, which this language has as one.
const PARAGRAPH: &str = "\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

#[derive(Debug)]
pub(super) struct ChatEncoder {
    id: String,
    created: i64,
    model: String,
    /// The client asked for a chunk with the usage.
    shows_usage: bool,
    text: String,
    refusal: String,
    thinking: String,
    /// Of the client's functions.
    calls: Vec<FunctionCall>,
    /// Which of `calls` a block is, by turn and index.
    places: HashMap<(usize, usize), usize>,
    /// Blocks of which something was shown before they ended.
    begun: HashSet<(usize, usize)>,
    /// The turn that the last text is of.
    turn: usize,
    finish_reason: &'static str,
    usage: Usage,
    error: Option<String>,
}

impl ChatEncoder {
    pub(super) fn new(id: &str, created: i64, model: &str, shows_usage: bool) -> Self {
        Self {
            id: id.to_owned(),
            created,
            model: model.to_owned(),
            shows_usage,
            text: String::new(),
            refusal: String::new(),
            thinking: String::new(),
            calls: Vec::new(),
            places: HashMap::new(),
            begun: HashSet::new(),
            turn: 0,
            finish_reason: "stop",
            usage: Usage::default(),
            error: None,
        }
    }

    fn head(&self, object: &str) -> Object {
        Object::new()
            .text("id", &self.id)
            .text("object", object)
            .put("created", &self.created.to_string())
            .text("model", &self.model)
    }

    fn chunk(&self, delta: Object, reason: Option<&str>, frames: &mut Vec<u8>) {
        let reason = reason.map_or_else(|| "null".to_owned(), quoted);
        let choice = Object::new()
            .put("index", "0")
            .put("delta", &delta.json())
            .put("logprobs", "null")
            .put("finish_reason", &reason);
        let chunk = self
            .head("chat.completion.chunk")
            .put("choices", &list([choice.json()]));
        let chunk = match self.shows_usage {
            true => chunk.put("usage", "null"),
            false => chunk,
        };
        frame(&chunk.json(), frames);
    }

    fn model_event(&mut self, turn: usize, event: &Event, frames: &mut Vec<u8>) {
        match event {
            Event::Open {
                index,
                kind: Kind::Call { id, name },
                ..
            } => self.open_call((turn, *index), id, name, frames),
            Event::Delta {
                index,
                delta: Some(delta),
                ..
            } => {
                self.begun.insert((turn, *index));
                self.more((turn, *index), delta, frames);
            }
            Event::Close { index, block } => self.close((turn, *index), block, frames),
            _ => {}
        }
    }

    fn open_call(&mut self, at: (usize, usize), id: &str, name: &str, frames: &mut Vec<u8>) {
        let place = self.calls.len();
        self.places.insert(at, place);
        self.calls.push(FunctionCall {
            id: id.to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
        });
        let function = Object::new().text("name", name).text("arguments", "");
        let call = Object::new()
            .put("index", &place.to_string())
            .text("id", id)
            .text("type", "function")
            .put("function", &function.json());
        let delta = Object::new().put("tool_calls", &list([call.json()]));
        self.chunk(delta, None, frames);
    }

    fn more(&mut self, at: (usize, usize), delta: &Delta, frames: &mut Vec<u8>) {
        match delta {
            Delta::Text(more) => {
                let mut more = more.clone();
                if at.0 > self.turn && !self.text.is_empty() {
                    more.insert_str(0, PARAGRAPH);
                }
                self.turn = at.0;
                self.text.push_str(&more);
                self.chunk(Object::new().text("content", &more), None, frames);
            }
            Delta::Refusal(more) => {
                self.refusal.push_str(more);
                self.chunk(Object::new().text("refusal", more), None, frames);
            }
            Delta::Thinking(more) => {
                self.thinking.push_str(more);
                let delta = Object::new().text("reasoning_content", more);
                self.chunk(delta, None, frames);
            }
            Delta::Arguments(more) => {
                let Some(place) = self.places.get(&at).copied() else {
                    return;
                };
                if let Some(call) = self.calls.get_mut(place) {
                    call.arguments.push_str(more);
                }
                let function = Object::new().text("arguments", more);
                let call = Object::new()
                    .put("index", &place.to_string())
                    .put("function", &function.json());
                let delta = Object::new().put("tool_calls", &list([call.json()]));
                self.chunk(delta, None, frames);
            }
        }
    }

    /// Shows what of the block was not shown yet: all of it, where it was kept back.
    fn close(&mut self, at: (usize, usize), block: &Block, frames: &mut Vec<u8>) {
        let shown = self.begun.contains(&at);
        match &block.content {
            Content::Text(text) if !shown => self.more(at, &Delta::Text(text.clone()), frames),
            Content::Refusal(text) if !shown => {
                self.more(at, &Delta::Refusal(text.clone()), frames);
            }
            Content::Thinking { text } if !shown && !text.is_empty() => {
                self.more(at, &Delta::Thinking(text.clone()), frames);
            }
            Content::Call(call) => {
                if !self.places.contains_key(&at) {
                    self.open_call(at, &call.id, &call.name, frames);
                }
                if !shown {
                    self.more(at, &Delta::Arguments(call.arguments.clone()), frames);
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self, finish: &Finish<'_>, frames: &mut Vec<u8>) {
        self.usage = finish.usage;
        self.finish_reason = match &finish.ending {
            Ending::Model(End::Failed { code, message }) => {
                let error = Object::new().text("message", message);
                let error = error.text("type", "server_error").put("param", "null");
                let error = error.text("code", code).json();
                return self.fail(Object::new().put("error", &error).json(), frames);
            }
            Ending::Model(End::MaxTokens | End::ContextWindow) | Ending::Cap => "length",
            Ending::Model(End::ContentFilter) => "content_filter",
            Ending::Model(_) if self.calls.is_empty() => "stop",
            Ending::Model(_) => "tool_calls",
        };
        self.chunk(Object::new(), Some(self.finish_reason), frames);
        if self.shows_usage {
            let chunk = self.head("chat.completion.chunk").put("choices", "[]");
            frame(&chunk.put("usage", &usage(self.usage)).json(), frames);
        }
        frames.extend_from_slice(DONE);
    }

    fn fail(&mut self, error: String, frames: &mut Vec<u8>) {
        frame(&error, frames);
        self.error = Some(error);
    }

    fn message(&self) -> String {
        let or_null = |text: &str| match text.is_empty() {
            true => "null".to_owned(),
            false => quoted(text),
        };
        // A text that is empty is still one, unless something else stands for it.
        let content = match self.calls.is_empty() && self.refusal.is_empty() {
            true => quoted(&self.text),
            false => or_null(&self.text),
        };
        let message = Object::new()
            .text("role", "assistant")
            .put("content", &content)
            .put("refusal", &or_null(&self.refusal));
        let thinking = Some(self.thinking.as_str()).filter(|text| !text.is_empty());
        let message = message.text_if("reasoning_content", thinking);
        match self.calls.is_empty() {
            true => message.json(),
            false => message
                .put("tool_calls", &list(self.calls.iter().map(tool_call)))
                .json(),
        }
    }
}

impl Encoder for ChatEncoder {
    fn show(&mut self, shown: Shown<'_>, frames: &mut Vec<u8>) {
        match shown {
            Shown::Begin { model, .. } => {
                model.clone_into(&mut self.model);
                let delta = Object::new().text("role", "assistant").text("content", "");
                self.chunk(delta, None, frames);
            }
            Shown::Model { turn, event, .. } => self.model_event(turn, event, frames),
            // This language has no words for them.
            Shown::Listing(_) | Shown::Calls(_) | Shown::Ended(_) | Shown::Approval(_) => {}
            Shown::Finish(end) => self.finish(end, frames),
            Shown::Failed(refusal) => {
                self.fail(problem::body(Wire::Chat, refusal).to_string(), frames);
            }
        }
    }

    fn object(&self) -> String {
        if let Some(error) = &self.error {
            return error.clone();
        }
        let choice = Object::new()
            .put("index", "0")
            .put("message", &self.message())
            .put("logprobs", "null")
            .text("finish_reason", self.finish_reason);
        self.head("chat.completion")
            .put("choices", &list([choice.json()]))
            .put("usage", &usage(self.usage))
            .json()
    }
}

/// A call in a message.
pub(super) fn tool_call(call: &FunctionCall) -> String {
    let function = Object::new()
        .text("name", &call.name)
        .text("arguments", &call.arguments);
    Object::new()
        .text("id", &call.id)
        .text("type", "function")
        .put("function", &function.json())
        .json()
}

fn usage(usage: Usage) -> String {
    let number = |value: u64| value.to_string();
    let input = Object::new().put("cached_tokens", &number(usage.cache_read));
    let output = Object::new().put("reasoning_tokens", &number(usage.reasoning));
    let total = usage.input.saturating_add(usage.output);
    Object::new()
        .put("prompt_tokens", &number(usage.input))
        .put("completion_tokens", &number(usage.output))
        .put("total_tokens", &number(total))
        .put("prompt_tokens_details", &input.json())
        .put("completion_tokens_details", &output.json())
        .json()
}

fn frame(json: &str, frames: &mut Vec<u8>) {
    frames.extend_from_slice(b"data: ");
    frames.extend_from_slice(json.as_bytes());
    frames.extend_from_slice(b"\n\n");
}
