//! What the messages of a client stand for in the hidden transcript.
//!
//! Messages have no ids. An answer of ours is known again by the digest of the conversation up to it:
//! the roles, texts and calls, and not the bytes, which clients write anew.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::encode::tool_call;
use crate::adapters::event::{Content, ModelTurn};
use crate::adapters::openai::outcome;
use crate::adapters::raw::{Object, list, quoted};
use crate::adapters::record::Fragment;
use crate::adapters::step::{CallResult, Step};
use crate::types::Digest;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default)]
    role: String,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<Call>>,
    #[serde(default)]
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    id: String,
}

/// The digest of a conversation, message by message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path(Digest);

impl Path {
    pub(super) fn begin() -> Self {
        Self(Digest::of(b"chat"))
    }

    pub(super) fn key(self) -> String {
        format!("chat_{}", self.0)
    }

    fn with(self, role: &str, texts: &[&str], calls: &[String]) -> Self {
        let before = self.0.as_bytes().as_slice();
        let texts = texts.iter().map(|text| text.as_bytes());
        let calls = calls.iter().map(|call| call.as_bytes());
        let parts = [before, role.as_bytes()].into_iter();
        Self(Digest::of_parts(parts.chain(texts).chain(calls)))
    }

    /// With one message more.
    pub(super) fn then(self, message: &RawValue) -> Self {
        let Ok(read) = serde_json::from_str::<Message<'_>>(message.get()) else {
            return self.with("", &[message.get()], &[]);
        };
        // A text is the same in every spelling; parts are compared as they are written.
        let text = read.content.map(|content| {
            let text = serde_json::from_str::<Option<String>>(content.get());
            text.map_or_else(|_| content.get().to_owned(), Option::unwrap_or_default)
        });
        let calls = read.tool_calls.unwrap_or_default();
        let calls: Vec<String> = calls.into_iter().map(|call| call.id).collect();
        let texts = [
            text.unwrap_or_default(),
            read.refusal.unwrap_or_default(),
            read.tool_call_id.unwrap_or_default(),
        ];
        self.with(&read.role, &texts.each_ref().map(String::as_str), &calls)
    }
}

/// The messages, each with the path that ends with it.
pub(super) fn paths(messages: &[Box<RawValue>]) -> Vec<(Path, &RawValue)> {
    let step = |path: &mut Path, message: &'_ RawValue| {
        *path = path.then(message);
        *path
    };
    let mut path = Path::begin();
    let messages = messages.iter().map(|message| &**message);
    messages
        .map(|message| (step(&mut path, message), message))
        .collect()
}

/// Whether `message` is an answer.
pub(super) fn is_answer(message: &RawValue) -> bool {
    role(message) == "assistant"
}

fn role(message: &RawValue) -> String {
    let read = serde_json::from_str::<Message<'_>>(message.get());
    read.map(|message| message.role).unwrap_or_default()
}

/// The hidden messages that `messages` stand for: what an answer of ours was made of in its place. What
/// it leaves to say comes behind the results of the client's own calls.
pub(super) fn hidden(
    messages: &[Box<RawValue>],
    fragments: &HashMap<String, Fragment>,
) -> Vec<Box<RawValue>> {
    let mut all = Vec::new();
    let mut waiting: &[Box<RawValue>] = &[];
    for (path, message) in paths(messages) {
        let role = role(message);
        if role != "tool" {
            all.extend_from_slice(std::mem::take(&mut waiting));
        }
        let fragment = fragments.get(&path.key());
        match fragment.filter(|_| role == "assistant") {
            Some(fragment) => {
                all.extend_from_slice(&fragment.call);
                waiting = &fragment.output;
            }
            None => all.push(message.to_owned()),
        }
    }
    all.extend_from_slice(waiting);
    all
}

/// The hidden messages of an answer so far: of turns that are over, and their results.
pub(super) fn of_steps(steps: &[Step]) -> Vec<Box<RawValue>> {
    let (mut all, images) = told(steps);
    all.extend(images);
    all
}

/// The same, and apart from it the images of the last results: a tool's message is text, so they come
/// in one of the user, and that comes when all calls of the turn are answered.
fn told(steps: &[Step]) -> (Vec<Box<RawValue>>, Option<Box<RawValue>>) {
    let (mut all, mut images) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Turn(turn) => {
                all.extend(shown(&std::mem::take(&mut images)));
                all.push(message(turn));
            }
            Step::Results(results) => {
                for result in results {
                    all.push(answer(result));
                    images.extend(pictures(result));
                }
            }
            Step::Opened { .. } | Step::Listed(_) | Step::Started(_) => {}
        }
    }
    let images = shown(&images);
    (all, images)
}

fn answer(result: &CallResult) -> Box<RawValue> {
    let message = Object::new()
        .text("role", "tool")
        .text("tool_call_id", &result.call.call().id);
    let output = outcome::as_text(&result.outcome);
    message.text("content", &output).done()
}

/// The images of a result as content of the user, after a line that says whose they are.
fn pictures(result: &CallResult) -> Vec<String> {
    let urls = outcome::images(&result.outcome);
    if urls.is_empty() {
        return Vec::new();
    }
    let call = result.call.call();
    let text = format!("Images in the result of {} ({}):", call.name, call.id);
    let mut parts = vec![Object::of_type("text").text("text", &text).json()];
    parts.extend(urls.iter().map(|url| {
        let image = Object::new().text("url", url).json();
        Object::of_type("image_url").put("image_url", &image).json()
    }));
    parts
}

fn shown(parts: &[String]) -> Option<Box<RawValue>> {
    let message = Object::new().text("role", "user");
    (!parts.is_empty()).then(|| message.put("content", &list(parts)).done())
}

/// What the model said, as it is sent back to it.
fn message(turn: &ModelTurn) -> Box<RawValue> {
    let (mut text, mut calls) = (String::new(), Vec::new());
    for block in &turn.blocks {
        match &block.content {
            Content::Text(more) | Content::Refusal(more) => text.push_str(more),
            Content::Call(call) => calls.push(tool_call(call)),
            Content::Thinking { .. } | Content::Other(_) => {}
        }
    }
    let content = match text.is_empty() && !calls.is_empty() {
        true => "null".to_owned(),
        false => quoted(&text),
    };
    let message = Object::new()
        .text("role", "assistant")
        .put("content", &content);
    match calls.is_empty() {
        true => message.done(),
        false => message.put("tool_calls", &list(calls)).done(),
    }
}

/// What an answer that is complete leaves behind.
pub(super) fn fragment(steps: &[Step], id: &str) -> Fragment {
    let (call, images) = told(steps);
    Fragment {
        turn: id.to_owned(),
        at: 0,
        call,
        output: images.into_iter().collect(),
    }
}
