//! Takes the stream of a Chat Completions API apart.
//!
//! There are no blocks on this wire: the text is one, the refusal, the reasoning, and each tool call,
//! in the order in which they begin. All of them end with the answer.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::adapters::dialect::{Decoder, Malformed};
use crate::adapters::event::{
    Block, Content, Delta, End, Event, FunctionCall, Kind, MAX_BLOCKS, TurnEnd, Usage,
};

#[derive(Debug, Default)]
pub struct ChatDecoder {
    begun: bool,
    ended: bool,
    id: String,
    blocks: Vec<Content>,
    /// The blocks of text, refusal and reasoning.
    text: Option<usize>,
    refusal: Option<usize>,
    thinking: Option<usize>,
    /// The block of each call, by its index on the wire.
    calls: HashMap<u64, usize>,
    reason: Option<String>,
    usage: Usage,
    native: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u64,
    #[serde(default)]
    delta: Option<Parts>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Parts {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    /// Servers of one's own name the reasoning in one of these ways.
    #[serde(default)]
    reasoning_content: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<CallPart>>,
}

#[derive(Deserialize)]
struct CallPart {
    #[serde(default)]
    index: Option<u64>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    function: FunctionPart,
}

#[derive(Default, Deserialize)]
struct FunctionPart {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
}

impl Decoder for ChatDecoder {
    fn event(&mut self, _name: Option<&str>, data: &str) -> Result<Vec<Event>, Malformed> {
        let mut events = Vec::new();
        if self.ended {
            return Ok(events);
        }
        if data.trim() == "[DONE]" {
            self.end(&mut events);
            return Ok(events);
        }
        let chunk: Chunk<'_> = serde_json::from_str(data)
            .map_err(|error| Malformed(format!("a chunk cannot be read: {error}")))?;
        if let Some(error) = chunk.error.filter(|error| error.get() != "null") {
            events.push(self.failed(error));
            return Ok(events);
        }
        self.begin(&chunk, &mut events);
        if let Some(usage) = chunk.usage.as_ref().filter(|usage| usage.is_object()) {
            self.usage = read_usage(usage);
        }
        let choices = chunk.choices.unwrap_or_default();
        let is_last = choices.is_empty() && self.reason.is_some();
        for choice in choices {
            self.choice(choice, &mut events)?;
        }
        if self.reason.is_some() {
            self.native = serde_json::from_str(data).ok();
        }
        if is_last {
            self.end(&mut events);
        }
        Ok(events)
    }
}

impl ChatDecoder {
    fn begin(&mut self, chunk: &Chunk<'_>, events: &mut Vec<Event>) {
        if self.begun {
            return;
        }
        self.begun = true;
        self.id = chunk.id.clone().unwrap_or_default();
        events.push(Event::Begin {
            model: chunk.model.clone().unwrap_or_default(),
            usage: Usage::default(),
        });
    }

    fn choice(&mut self, choice: Choice, events: &mut Vec<Event>) -> Result<(), Malformed> {
        if choice.index != 0 {
            return Err(Malformed(
                "it has several choices; one was asked for".to_owned(),
            ));
        }
        let parts = choice.delta.unwrap_or_default();
        let thinking = parts.reasoning_content.or(parts.reasoning);
        if let Some(text) = thinking.filter(|text| !text.is_empty()) {
            let new = || {
                (
                    Kind::Thinking,
                    Content::Thinking {
                        text: String::new(),
                    },
                )
            };
            let index = opened(&mut self.thinking, &mut self.blocks, new, events)?;
            self.more(index, Delta::Thinking(text), events);
        }
        if let Some(text) = parts.content.filter(|text| !text.is_empty()) {
            let new = || (Kind::Text, Content::Text(String::new()));
            let index = opened(&mut self.text, &mut self.blocks, new, events)?;
            self.more(index, Delta::Text(text), events);
        }
        if let Some(text) = parts.refusal.filter(|text| !text.is_empty()) {
            let new = || (Kind::Text, Content::Refusal(String::new()));
            let index = opened(&mut self.refusal, &mut self.blocks, new, events)?;
            self.more(index, Delta::Refusal(text), events);
        }
        for part in parts.tool_calls.unwrap_or_default() {
            self.call(part, events)?;
        }
        if let Some(reason) = choice.finish_reason {
            self.reason = Some(reason);
        }
        Ok(())
    }

    fn call(&mut self, part: CallPart, events: &mut Vec<Event>) -> Result<(), Malformed> {
        let known = self.calls.len() as u64;
        // Some servers send each call whole, and no index.
        let place = part.index.unwrap_or(match part.function.name {
            Some(_) => known,
            None => known.saturating_sub(1),
        });
        let index = match self.calls.get(&place) {
            Some(index) => *index,
            None => {
                let name = part.function.name.filter(|name| !name.is_empty());
                let name = name.ok_or_else(|| Malformed("a call has no name".to_owned()))?;
                // Some servers number nothing or all alike, and an answer must name its call.
                let made = || format!("call_{}_{place}", self.id.trim_start_matches("chatcmpl-"));
                let is_new = |id: &String| !id.is_empty() && !self.has_call(id);
                let id = part.id.filter(is_new).unwrap_or_else(made);
                let kind = Kind::Call {
                    id: id.clone(),
                    name: name.clone(),
                };
                let arguments = String::new();
                let content = Content::Call(FunctionCall {
                    id,
                    name,
                    arguments,
                });
                let mut none = None;
                let index = opened(&mut none, &mut self.blocks, || (kind, content), events)?;
                self.calls.insert(place, index);
                index
            }
        };
        if let Some(text) = part.function.arguments.filter(|text| !text.is_empty()) {
            self.more(index, Delta::Arguments(text), events);
        }
        Ok(())
    }

    fn has_call(&self, id: &str) -> bool {
        let is_it = |block: &Content| matches!(block, Content::Call(call) if call.id == id);
        self.blocks.iter().any(is_it)
    }

    fn more(&mut self, index: usize, delta: Delta, events: &mut Vec<Event>) {
        if let Some(block) = self.blocks.get_mut(index) {
            match (block, &delta) {
                (Content::Text(all), Delta::Text(more))
                | (Content::Refusal(all), Delta::Refusal(more))
                | (Content::Thinking { text: all }, Delta::Thinking(more)) => all.push_str(more),
                (Content::Call(call), Delta::Arguments(more)) => call.arguments.push_str(more),
                _ => {}
            }
        }
        events.push(Event::Delta {
            index,
            delta: Some(delta),
            native: None,
        });
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.ended = true;
        let blocks = std::mem::take(&mut self.blocks);
        for (index, mut content) in blocks.into_iter().enumerate() {
            if let Content::Call(call) = &mut content
                && call.arguments.trim().is_empty()
            {
                "{}".clone_into(&mut call.arguments);
            }
            let native = None;
            let block = Block { content, native };
            events.push(Event::Close { index, block });
        }
        let reason = match self.reason.as_deref() {
            Some("stop" | "tool_calls" | "function_call") => End::Complete,
            Some("length") => End::MaxTokens,
            Some("content_filter") => End::ContentFilter,
            Some(other) => End::Other(other.to_owned()),
            None => End::Failed {
                code: "server_error".to_owned(),
                message: "the model API ended its answer without a finish_reason".to_owned(),
            },
        };
        events.push(Event::End(TurnEnd {
            reason,
            usage: self.usage,
            native: self.native.take(),
        }));
    }

    fn failed(&mut self, error: &RawValue) -> Event {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Error {
            code: Value,
            message: Option<String>,
        }
        self.ended = true;
        let error: Error = serde_json::from_str(error.get()).unwrap_or_default();
        let code = error.code.as_str().unwrap_or("server_error").to_owned();
        let message = error.message;
        let message = message.unwrap_or_else(|| "the model API gave no reason".to_owned());
        Event::End(TurnEnd {
            reason: End::Failed { code, message },
            usage: self.usage,
            native: None,
        })
    }
}

/// The block that `place` says, which begins now if there is none.
fn opened(
    place: &mut Option<usize>,
    blocks: &mut Vec<Content>,
    new: impl FnOnce() -> (Kind, Content),
    events: &mut Vec<Event>,
) -> Result<usize, Malformed> {
    if let Some(index) = *place {
        return Ok(index);
    }
    let index = blocks.len();
    if index >= MAX_BLOCKS {
        return Err(Malformed("it has too many calls".to_owned()));
    }
    let (kind, content) = new();
    blocks.push(content);
    *place = Some(index);
    events.push(Event::Open {
        index,
        kind,
        native: None,
    });
    Ok(index)
}

/// Numbers that are missing or no numbers count as 0.
fn read_usage(usage: &Value) -> Usage {
    let number = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    Usage {
        input: number("/prompt_tokens"),
        cache_read: number("/prompt_tokens_details/cached_tokens"),
        output: number("/completion_tokens"),
        reasoning: number("/completion_tokens_details/reasoning_tokens"),
        ..Usage::default()
    }
}
