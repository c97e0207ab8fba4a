//! `input` of a Responses body as system text and messages.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;

use super::super::fields::{Dropped, Fields, Result, Unmappable, required, shown, string};
use super::super::half;
use super::super::json::inner;
use super::super::media::{text_block, to_block};
use super::super::thinking::{Origin, unwrap};
use super::turns::{Role, Turns};
use crate::adapters::raw::{Object, list};
use crate::types::Digest;

pub(super) struct Items<'d> {
    /// Text blocks of what the developer says before the first turn.
    pub(super) system: Vec<String>,
    pub(super) turns: Turns,
    /// Of calls whose arguments are no JSON object, by call id: what the model wrote.
    unreadable: HashMap<String, String>,
    /// Reasoning that the rest of the request does not go with is left out.
    keeps_thinking: bool,
    dropped: &'d mut Dropped,
}

impl<'d> Items<'d> {
    pub(super) fn new(keeps_thinking: bool, dropped: &'d mut Dropped) -> Self {
        Self {
            system: Vec::new(),
            turns: Turns::default(),
            unreadable: HashMap::new(),
            keeps_thinking,
            dropped,
        }
    }

    /// `input`: a text of the user or a list of items.
    pub(super) fn read(&mut self, input: &RawValue) -> Result<()> {
        if let Some(text) = string(input) {
            self.say(Role::User, text_block(text));
            return Ok(());
        }
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(input.get()) else {
            return Err(Unmappable::new(
                "",
                "this has to be a string or a list of items",
            ));
        };
        for (at, raw) in items.into_iter().enumerate() {
            self.item(raw)
                .map_err(|error| error.inside(format!("[{at}]")))?;
        }
        Ok(())
    }

    fn item(&mut self, raw: &RawValue) -> Result<()> {
        let item = Fields::of(raw)?;
        match item.kind()?.as_ref() {
            "message" => self.message(&item),
            "" if item.get("role").is_some() => self.message(&item),
            "function_call" => self.function_call(&item),
            "custom_tool_call" => self.custom_call(&item),
            "function_call_output" | "custom_tool_call_output" => self.output(&item),
            "reasoning" => self.reasoning(&item),
            other => Err(Unmappable::new(
                "type",
                format!(
                    "an item of type {} has no counterpart on Anthropic models; leave it out or use an OpenAI model",
                    shown(other)
                ),
            )),
        }
    }

    fn message(&mut self, item: &Fields<'_>) -> Result<()> {
        if item.get("phase").is_some() {
            self.dropped.add("input.phase");
        }
        match required(item.text("role")?, "role")?.as_ref() {
            "user" => self.content(Role::User, item),
            "assistant" => self.content(Role::Assistant, item),
            "system" | "developer" => self.instruct(item),
            other => Err(Unmappable::new(
                "role",
                format!("the role {} is not known", shown(other)),
            )),
        }
    }

    fn content(&mut self, role: Role, item: &Fields<'_>) -> Result<()> {
        let content = required(item.get("content"), "content")?;
        if let Some(text) = string(content) {
            self.say(role, text_block(text));
            return Ok(());
        }
        item.each("content", |part| {
            let kind = part.kind()?;
            if role == Role::Assistant && matches!(kind.as_ref(), "input_image" | "input_file") {
                let message =
                    "an Anthropic model cannot have sent this; put it into a user message";
                return Err(Unmappable::new("type", message));
            }
            let block = to_block(&part, self.dropped)?;
            self.say(role, block);
            Ok(())
        })
    }

    fn say(&mut self, role: Role, block: Option<String>) {
        if let Some(block) = block {
            self.turns.push(role, block);
        }
    }

    /// What the developer says goes before the conversation, or, once that has begun, to its place in
    /// it: moved to the front it would change what the model has read already.
    fn instruct(&mut self, item: &Fields<'_>) -> Result<()> {
        for text in self.instructions(item)? {
            if self.turns.last().is_none() {
                self.system.extend(text_block(text));
            } else {
                let tagged = format!("\"<system>\\n{}\\n</system>\"", inner(text));
                self.say(Role::User, text_block(&tagged));
            }
        }
        Ok(())
    }

    fn instructions<'a>(&self, item: &Fields<'a>) -> Result<Vec<&'a str>> {
        let content = required(item.get("content"), "content")?;
        if let Some(text) = string(content) {
            return Ok(vec![text]);
        }
        let mut texts = Vec::new();
        item.each("content", |part| {
            if !matches!(part.kind()?.as_ref(), "input_text" | "text") {
                let message = "instructions for an Anthropic model have to be text";
                return Err(Unmappable::new("type", message));
            }
            texts.push(required(part.quoted("text")?, "text")?);
            Ok(())
        })?;
        Ok(texts)
    }

    fn function_call(&mut self, item: &Fields<'_>) -> Result<()> {
        if item.get("namespace").is_some() {
            let message = "Anthropic models know no namespaces; declare the function without one";
            return Err(Unmappable::new("namespace", message));
        }
        let arguments = item.text("arguments")?.unwrap_or_default();
        let input = match object_text(&arguments) {
            Some(input) => input,
            None => {
                if !arguments.trim().is_empty() {
                    let id = required(item.text("call_id")?, "call_id")?;
                    self.unreadable
                        .insert(id.into_owned(), arguments.to_string());
                }
                "{}"
            }
        };
        self.call(item, input)
    }

    fn custom_call(&mut self, item: &Fields<'_>) -> Result<()> {
        let text = item.quoted("input")?.unwrap_or("\"\"");
        self.call(item, &Object::new().put("input", text).json())
    }

    fn call(&mut self, item: &Fields<'_>, input: &str) -> Result<()> {
        let id = required(item.text("call_id")?, "call_id")?;
        let name = required(item.quoted("name")?, "name")?;
        let block = Object::of_type("tool_use")
            .text("id", &call_id(&id))
            .put("name", name)
            .put("input", input)
            .json();
        self.turns.push(Role::Assistant, block);
        Ok(())
    }

    fn output(&mut self, item: &Fields<'_>) -> Result<()> {
        let id = required(item.text("call_id")?, "call_id")?;
        let output = required(item.get("output"), "output")?;
        let note = self
            .unreadable
            .get(id.as_ref())
            .map(|written| unreadable_note(written));
        let content = match (string(output), note) {
            (Some(text), None) => text.to_owned(),
            (text, note) => {
                let mut blocks: Vec<String> = note.into_iter().collect();
                match text {
                    Some(text) => blocks.extend(text_block(text)),
                    None => self.parts(item, &mut blocks)?,
                }
                list(&blocks)
            }
        };
        let block = Object::of_type("tool_result")
            .text("tool_use_id", &call_id(&id))
            .put("content", &content)
            .json();
        self.turns.push_result(block);
        Ok(())
    }

    fn parts(&mut self, item: &Fields<'_>, blocks: &mut Vec<String>) -> Result<()> {
        item.each("output", |part| {
            blocks.extend(to_block(&part, self.dropped)?);
            Ok(())
        })
    }

    fn reasoning(&mut self, item: &Fields<'_>) -> Result<()> {
        let wrapped = item.text("encrypted_content")?.unwrap_or_default();
        match unwrap(Origin::Anthropic, &wrapped) {
            Some(block) if self.keeps_thinking => self.turns.push_thinking(block),
            _ => self.dropped.add("input.reasoning"),
        }
        Ok(())
    }
}

/// The text of a JSON object, as it is written.
fn object_text(arguments: &str) -> Option<&str> {
    let raw: &RawValue = serde_json::from_str(arguments).ok()?;
    raw.get().starts_with('{').then(|| raw.get())
}

fn unreadable_note(written: &str) -> String {
    let text = format!(
        "The arguments of this call were not a JSON object, so it was read as {{}}: {written}"
    );
    Object::of_type("text").text("text", &text).json()
}

/// The id for the Messages API, which takes fewer characters. The same one for a call and its output.
fn call_id(id: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !id.is_empty() && id.len() <= 64 && id.chars().all(is_plain) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(format!("call_{}", half(Digest::of(id.as_bytes()))))
}
