//! `messages` of a Messages body as input items. Every message becomes items of its own.

use serde_json::value::RawValue;

use super::super::fields::{Dropped, Fields, Result, Unmappable, required, shown, string};
use super::super::half;
use super::super::media::{text_part, texts, to_part, tool_output};
use super::super::thinking::{Origin, unwrap};
use crate::adapters::raw::{Object, list, quoted};
use crate::types::Digest;

pub(super) struct Items<'d> {
    pub(super) items: Vec<String>,
    /// The client marks what is to be cached.
    pub(super) is_cached: bool,
    dropped: &'d mut Dropped,
}

impl<'d> Items<'d> {
    pub(super) fn new(dropped: &'d mut Dropped) -> Self {
        Self {
            items: Vec::new(),
            is_cached: false,
            dropped,
        }
    }

    pub(super) fn read(&mut self, messages: &[&RawValue]) -> Result<()> {
        let mut last = None;
        for (at, raw) in messages.iter().enumerate() {
            let inside = |error: Unmappable| error.inside(format!("messages[{at}]"));
            let message = Fields::of(raw).map_err(inside)?;
            last = Some((at, self.message(&message).map_err(inside)?));
        }
        match last {
            Some((_, Speaker::Other)) => Ok(()),
            Some((at, Speaker::Model)) => Err(Unmappable::new(
                format!("messages[{at}]"),
                "OpenAI models do not go on where the last message of the assistant ends; add a user message",
            )),
            None => Err(Unmappable::new(
                "messages",
                "there is nothing for the model to answer; add a user message",
            )),
        }
    }

    fn message(&mut self, message: &Fields<'_>) -> Result<Speaker> {
        match required(message.text("role")?, "role")?.as_ref() {
            "user" => self.user(message).map(|()| Speaker::Other),
            "assistant" => self.assistant(message).map(|()| Speaker::Model),
            "system" => {
                let parts = vec![text_part(&texts(message, "content")?)];
                self.say("developer", parts);
                Ok(Speaker::Other)
            }
            other => Err(Unmappable::new(
                "role",
                format!("the role {} is not known", shown(other)),
            )),
        }
    }

    fn user(&mut self, message: &Fields<'_>) -> Result<()> {
        let content = required(message.get("content"), "content")?;
        if let Some(text) = string(content) {
            self.say("user", vec![text_part(text)]);
            return Ok(());
        }
        let mut parts = Vec::new();
        message.each("content", |block| {
            self.is_cached |= block.get("cache_control").is_some();
            match block.kind()?.as_ref() {
                "tool_result" => self.result(&block)?,
                _ => parts.push(to_part(&block, self.dropped)?),
            }
            Ok(())
        })?;
        self.say("user", parts);
        Ok(())
    }

    fn result(&mut self, block: &Fields<'_>) -> Result<()> {
        let id = required(block.text("tool_use_id")?, "tool_use_id")?;
        let output = tool_output(block, self.dropped)?;
        let item = Object::of_type("function_call_output")
            .put("call_id", &call_id(&id))
            .put("output", &output);
        self.items.push(item.json());
        Ok(())
    }

    fn assistant(&mut self, message: &Fields<'_>) -> Result<()> {
        let content = required(message.get("content"), "content")?;
        if let Some(text) = string(content) {
            self.say("assistant", vec![spoken(text)]);
            return Ok(());
        }
        let mut parts = Vec::new();
        message.each("content", |block| {
            self.is_cached |= block.get("cache_control").is_some();
            if block.kind()? == "text" {
                parts.push(spoken(required(block.quoted("text")?, "text")?));
                if block.get("citations").is_some() {
                    self.dropped.add("citations");
                }
            } else if let Some(item) = self.act(&block)? {
                self.say("assistant", std::mem::take(&mut parts));
                self.items.push(item);
            }
            Ok(())
        })?;
        self.say("assistant", parts);
        Ok(())
    }

    /// What the model did besides speaking. None for reasoning that no OpenAI model can read.
    fn act(&mut self, block: &Fields<'_>) -> Result<Option<String>> {
        match block.kind()?.as_ref() {
            "tool_use" => {
                let id = required(block.text("id")?, "id")?;
                let input = block.get("input").map_or("{}", RawValue::get);
                let item = Object::of_type("function_call")
                    .put("call_id", &call_id(&id))
                    .put("name", required(block.quoted("name")?, "name")?)
                    .text("arguments", input);
                Ok(Some(item.json()))
            }
            "thinking" => {
                let signature = block.text("signature")?.unwrap_or_default();
                let item = unwrap(Origin::OpenAi, &signature);
                if item.is_none() {
                    self.dropped.add("messages.thinking");
                }
                Ok(item)
            }
            "redacted_thinking" => {
                self.dropped.add("messages.thinking");
                Ok(None)
            }
            other => Err(Unmappable::new(
                "type",
                format!(
                    "a block of type {} has no counterpart on OpenAI models; leave it out or use an Anthropic model",
                    shown(other)
                ),
            )),
        }
    }

    fn say(&mut self, role: &str, parts: Vec<String>) {
        if !parts.is_empty() {
            let item = Object::of_type("message").text("role", role);
            self.items.push(item.put("content", &list(&parts)).json());
        }
    }
}

enum Speaker {
    Model,
    Other,
}

fn spoken(quoted: &str) -> String {
    Object::of_type("output_text").put("text", quoted).json()
}

/// The Responses API takes ids of up to 64 characters. The same one for a call and its output.
fn call_id(id: &str) -> String {
    if id.chars().count() <= 64 {
        return quoted(id);
    }
    quoted(&half(Digest::of(id.as_bytes())))
}
