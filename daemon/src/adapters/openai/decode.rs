//! Takes the stream of a Responses API apart.
//!
//! An item's final form is the one in its `response.output_item.done`; what comes before is passed on
//! and not collected.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::items::{Finished, ItemHead};
use crate::adapters::dialect::{Decoder, Malformed};
use crate::adapters::event::{Block, Delta, End, Event, Kind, MAX_BLOCKS, Native, TurnEnd, Usage};

#[derive(Debug, Default)]
pub struct ResponsesDecoder {
    begun: bool,
    ended: bool,
    blocks: Vec<Opened>,
    /// The vendor's `output_index` of each block that is open or was the last of that index.
    places: HashMap<u64, usize>,
    call_ids: HashSet<String>,
}

#[derive(Debug)]
struct Opened {
    kind: Kind,
    open: bool,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    output_index: Option<u64>,
    summary_index: Option<u64>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

/// A `response` object, as far as the stream's end is read from it.
#[derive(Deserialize)]
struct Answer<'a> {
    model: Option<String>,
    #[serde(borrow)]
    output: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    incomplete_details: Option<Incomplete>,
    usage: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

impl Decoder for ResponsesDecoder {
    fn event(&mut self, name: Option<&str>, data: &str) -> Result<Vec<Event>, Malformed> {
        // Some compatible servers end their stream as that of Chat Completions ends.
        if self.ended || data.trim() == "[DONE]" {
            return Ok(Vec::new());
        }
        let frame: Frame<'_> = read(data, "an event")?;
        let kind = frame.kind.as_deref().or(name).unwrap_or_default();
        let mut events = Vec::new();
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.begin(frame.response, &mut events)?;
            }
            "response.output_item.added" => {
                self.begin(None, &mut events)?;
                let native = Some(native(kind, data)?);
                self.open(place(&frame)?, item(&frame)?, native, &mut events)?;
            }
            "response.output_item.done" => {
                self.begin(None, &mut events)?;
                self.close(place(&frame)?, item(&frame)?, &mut events)?;
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.end(kind, frame.response, &mut events)?;
            }
            "error" => events.push(self.failed(&frame)),
            _ => self.more(kind, &frame, data, &mut events)?,
        }
        Ok(events)
    }
}

impl ResponsesDecoder {
    fn begin(
        &mut self,
        response: Option<&RawValue>,
        events: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let answer: Option<Answer<'_>> = response
            .map(|response| read(response.get(), "its response object"))
            .transpose()?;
        events.push(Event::Begin {
            model: answer.and_then(|answer| answer.model).unwrap_or_default(),
            usage: Usage::default(),
        });
        Ok(())
    }

    fn open(
        &mut self,
        place: u64,
        item: &RawValue,
        native: Option<Native>,
        events: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        if let Some(at) = self.places.get(&place)
            && self.blocks[*at].open
        {
            return Err(Malformed(format!("output item {place} begins twice")));
        }
        if self.blocks.len() == MAX_BLOCKS {
            return Err(Malformed(format!("more than {MAX_BLOCKS} output items")));
        }
        let head: ItemHead = read(item.get(), "an output item")?;
        let kind = head.kind().map_err(Malformed)?;
        if let Kind::Call { id, .. } = &kind
            && !self.call_ids.insert(id.clone())
        {
            return Err(Malformed(format!("two calls have the id {id:?}")));
        }
        let index = self.blocks.len();
        self.places.insert(place, index);
        self.blocks.push(Opened {
            kind: kind.clone(),
            open: true,
        });
        events.push(Event::Open {
            index,
            kind,
            native,
        });
        Ok(())
    }

    fn close(
        &mut self,
        place: u64,
        item: &RawValue,
        events: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let is_open = |at: &usize| self.blocks[*at].open;
        let index = match self.places.get(&place).copied().filter(is_open) {
            Some(index) => index,
            // Some compatible servers show an item only when it is complete.
            None => {
                self.open(place, item, None, events)?;
                self.blocks.len() - 1
            }
        };
        let finished: Finished = read(item.get(), "an output item")?;
        let head: ItemHead = read(item.get(), "an output item")?;
        let block = &mut self.blocks[index];
        if head.kind().map_err(Malformed)? != block.kind {
            return Err(Malformed(format!(
                "output item {place} ends as another than it began"
            )));
        }
        block.open = false;
        events.push(Event::Close {
            index,
            block: Block {
                content: finished.content(&block.kind),
                native: Some(item.to_owned()),
            },
        });
        Ok(())
    }

    fn more(
        &mut self,
        kind: &str,
        frame: &Frame<'_>,
        data: &str,
        events: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let Some(place) = frame.output_index else {
            return Ok(());
        };
        let Some(&index) = self.places.get(&place) else {
            return Err(Malformed(format!(
                "{kind} is about output item {place}, which has not begun"
            )));
        };
        if !self.blocks[index].open {
            return Ok(());
        }
        events.push(Event::Delta {
            index,
            delta: delta(kind, frame)?,
            native: Some(native(kind, data)?),
        });
        Ok(())
    }

    fn end(
        &mut self,
        kind: &str,
        response: Option<&RawValue>,
        events: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let response =
            response.ok_or_else(|| Malformed(format!("{kind} has no response object")))?;
        let answer: Answer<'_> = read(response.get(), "its response object")?;
        let reason = match kind {
            "response.completed" => End::Complete,
            "response.incomplete" => incomplete(answer.incomplete_details),
            _ => failure(answer.error),
        };
        if kind != "response.failed" {
            self.begin(Some(response), events)?;
            self.close_open(
                &reason,
                answer.output.as_deref().unwrap_or_default(),
                events,
            )?;
        }
        self.ended = true;
        events.push(Event::End(TurnEnd {
            reason,
            usage: answer.usage.as_ref().map(usage).unwrap_or_default(),
            native: Some(response.to_owned()),
        }));
        Ok(())
    }

    /// What the stream left open, or never showed, is taken from the final object.
    fn close_open(
        &mut self,
        reason: &End,
        output: &[&RawValue],
        events: &mut Vec<Event>,
    ) -> Result<(), Malformed> {
        let unseen = self.blocks.is_empty();
        let mut waiting: Vec<(u64, bool)> = self
            .places
            .iter()
            .map(|(place, index)| (*place, self.blocks[*index].open))
            .filter(|(_, open)| *open)
            .collect();
        if unseen {
            waiting.extend((0..output.len() as u64).map(|place| (place, false)));
        }
        waiting.sort_unstable();
        for (place, open) in waiting {
            let item = usize::try_from(place).ok().and_then(|at| output.get(at));
            match item {
                Some(item) => self.close(place, item, events)?,
                None if open && *reason == End::Complete => {
                    return Err(Malformed(format!("output item {place} has no end")));
                }
                None => {}
            }
        }
        Ok(())
    }

    fn failed(&mut self, frame: &Frame<'_>) -> Event {
        self.ended = true;
        // Documented flat; seen with its fields in an `error` object as well.
        let reason = match frame.error {
            Some(error) => failure(Some(error)),
            None => failed(text(frame.code), text(frame.message)),
        };
        Event::End(TurnEnd {
            reason,
            usage: Usage::default(),
            native: None,
        })
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a str, what: &str) -> Result<T, Malformed> {
    serde_json::from_str(json).map_err(|error| Malformed(format!("{what} cannot be read: {error}")))
}

fn native(name: &str, data: &str) -> Result<Native, Malformed> {
    Ok(Native {
        name: name.to_owned(),
        json: read(data, "an event")?,
    })
}

fn place(frame: &Frame<'_>) -> Result<u64, Malformed> {
    frame
        .output_index
        .ok_or_else(|| Malformed("an output item has no output_index".to_owned()))
}

fn item<'a>(frame: &Frame<'a>) -> Result<&'a RawValue, Malformed> {
    frame
        .item
        .ok_or_else(|| Malformed("an event about an output item has no item".to_owned()))
}

fn delta(kind: &str, frame: &Frame<'_>) -> Result<Option<Delta>, Malformed> {
    let make = match kind {
        "response.output_text.delta" => Delta::Text,
        "response.refusal.delta" => Delta::Refusal,
        "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
            Delta::Thinking
        }
        "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
            Delta::Arguments
        }
        "response.reasoning_summary_part.added" if frame.summary_index.unwrap_or(0) > 0 => {
            return Ok(Some(Delta::Thinking(super::items::PARAGRAPH.to_owned())));
        }
        _ => return Ok(None),
    };
    let text = frame.delta.map_or(Ok(String::new()), |delta| {
        read(delta.get(), "the delta of an event")
    })?;
    Ok(Some(make(text)))
}

fn incomplete(details: Option<Incomplete>) -> End {
    match details.and_then(|details| details.reason).as_deref() {
        Some("max_output_tokens") => End::MaxTokens,
        Some("content_filter") => End::ContentFilter,
        Some(reason) => End::Other(reason.to_owned()),
        None => End::Other("incomplete".to_owned()),
    }
}

fn failure(error: Option<&RawValue>) -> End {
    #[derive(Deserialize)]
    struct Error<'a> {
        #[serde(borrow)]
        code: Option<&'a RawValue>,
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        message: Option<&'a RawValue>,
    }
    let error = error.and_then(|error| serde_json::from_str::<Error<'_>>(error.get()).ok());
    match error {
        Some(error) => failed(
            text(error.code).or_else(|| text(error.kind)),
            text(error.message),
        ),
        None => failed(None, None),
    }
}

fn failed(code: Option<String>, message: Option<String>) -> End {
    End::Failed {
        code: code.unwrap_or_else(|| "server_error".to_owned()),
        message: message.unwrap_or_else(|| "the model API gave no reason".to_owned()),
    }
}

fn text(value: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(value?.get()).ok()
}

/// Numbers that are missing or no numbers count as 0.
fn usage(value: &serde_json::Value) -> Usage {
    let number = |path: &str| {
        value
            .pointer(path)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0)
    };
    Usage {
        input: number("/input_tokens"),
        cache_read: number("/input_tokens_details/cached_tokens"),
        cache_write: number("/input_tokens_details/cache_write_tokens"),
        output: number("/output_tokens"),
        reasoning: number("/output_tokens_details/reasoning_tokens"),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests;
