//! A vendor's stream of Messages events, taken apart.

mod building;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::building::Building;
use super::json::unquoted;
use super::usage::Counted;
use crate::adapters::dialect::{Decoder as Decodes, Malformed};
use crate::adapters::event::{Block, End, Event, Native, TurnEnd};
use crate::adapters::raw::raw;
use crate::mcp::edit::{self, Edit, Members};

/// Of one answer. The largest that a model writes is some megabytes.
const MAX_BYTES: usize = 64 << 20;
const MAX_BLOCKS: usize = 10_000;

#[derive(Default)]
pub struct Decoder {
    phase: Phase,
    /// In the order in which they began, with the vendor's index. Taken when they are complete.
    blocks: Vec<(u64, Option<Building>)>,
    bytes: usize,
    counted: Counted,
    delta: Option<Box<RawValue>>,
}

#[derive(Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Waiting,
    Begun,
    Done,
}

#[derive(Deserialize)]
struct Start<'a> {
    index: u64,
    #[serde(borrow)]
    content_block: &'a RawValue,
}

#[derive(Deserialize)]
struct Delta<'a> {
    index: u64,
    #[serde(borrow)]
    delta: &'a RawValue,
}

#[derive(Deserialize)]
struct Stop {
    index: u64,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    error: Option<FailureBody>,
}

#[derive(Deserialize)]
struct FailureBody {
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Decodes for Decoder {
    fn event(&mut self, name: Option<&str>, data: &str) -> Result<Vec<Event>, Malformed> {
        if self.phase == Phase::Done {
            return Ok(Vec::new());
        }
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > MAX_BYTES {
            return Err(Malformed(format!("it is larger than {MAX_BYTES} bytes")));
        }
        let members = Members::of(data).map_err(|_| malformed("an event is no object"))?;
        let kind = members.get("type").and_then(unquoted);
        match kind.as_deref().or(name).unwrap_or_default() {
            "message_start" => self.start(&members),
            "content_block_start" => self.open(data),
            "content_block_delta" => self.delta(data),
            "content_block_stop" => self.close(data),
            "message_delta" => self.message_delta(data, &members),
            "message_stop" => self.stop(),
            "error" => Ok(vec![self.fail(data)]),
            _ => Ok(Vec::new()),
        }
    }
}

impl Decoder {
    fn start(&mut self, members: &Members<'_>) -> Result<Vec<Event>, Malformed> {
        if self.phase != Phase::Waiting {
            return Err(malformed("it begins twice"));
        }
        self.phase = Phase::Begun;
        let message = members.get("message").map(|it| Members::of(it.get()));
        let Some(Ok(message)) = message else {
            return Err(malformed("message_start has no message"));
        };
        if let Some(usage) = message.get("usage") {
            self.counted.update(usage);
        }
        let model = message.get("model").and_then(unquoted);
        Ok(vec![Event::Begin {
            model: model.unwrap_or_default(),
            usage: self.counted.usage(),
        }])
    }

    fn open(&mut self, data: &str) -> Result<Vec<Event>, Malformed> {
        let start: Start<'_> = self.read(data, "content_block_start")?;
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(malformed("it has too many blocks"));
        }
        if self.blocks.iter().any(|(index, _)| *index == start.index) {
            return Err(malformed("a block begins twice"));
        }
        let building = Building::of(start.content_block)?;
        let index = self.blocks.len();
        let kind = building.kind();
        self.blocks.push((start.index, Some(building)));
        Ok(vec![Event::Open {
            index,
            kind,
            native: Some(native("content_block_start", data)),
        }])
    }

    fn delta(&mut self, data: &str) -> Result<Vec<Event>, Malformed> {
        let delta: Delta<'_> = self.read(data, "content_block_delta")?;
        let (index, slot) = self.slot(delta.index)?;
        let building = slot
            .as_mut()
            .ok_or_else(|| malformed("a block goes on after its end"))?;
        let more = building.grow(delta.delta)?;
        Ok(vec![Event::Delta {
            index,
            delta: more,
            native: Some(native("content_block_delta", data)),
        }])
    }

    fn close(&mut self, data: &str) -> Result<Vec<Event>, Malformed> {
        let stop: Stop = self.read(data, "content_block_stop")?;
        let (index, slot) = self.slot(stop.index)?;
        let building = slot.take().ok_or_else(|| malformed("a block ends twice"))?;
        Ok(vec![Event::Close {
            index,
            block: building.finish(),
        }])
    }

    fn message_delta(
        &mut self,
        data: &str,
        members: &Members<'_>,
    ) -> Result<Vec<Event>, Malformed> {
        if self.phase != Phase::Begun {
            return Err(malformed("message_delta comes before message_start"));
        }
        if let Some(usage) = members.get("usage") {
            self.counted.update(usage);
        }
        self.delta = Some(raw(data.to_owned()));
        Ok(Vec::new())
    }

    fn stop(&mut self) -> Result<Vec<Event>, Malformed> {
        let delta = self.delta.take();
        let Some(delta) = delta else {
            return Err(malformed("it ends without a message_delta"));
        };
        self.phase = Phase::Done;
        let mut events = Vec::new();
        for (index, (_, slot)) in self.blocks.iter_mut().enumerate() {
            if let Some(building) = slot.take() {
                let block: Block = building.finish();
                events.push(Event::Close { index, block });
            }
        }
        let usage = self.counted.json();
        let whole = edit::object(delta.get(), &[("usage", Edit::Put(usage.into()))]);
        events.push(Event::End(TurnEnd {
            reason: reason(&delta),
            usage: self.counted.usage(),
            native: Some(whole.map_or(delta, raw)),
        }));
        Ok(events)
    }

    fn fail(&mut self, data: &str) -> Event {
        self.phase = Phase::Done;
        let error = serde_json::from_str(data)
            .ok()
            .and_then(|failure: Failure| failure.error);
        let (code, message) = error.map_or((None, None), |it| (it.r#type, it.message));
        Event::End(TurnEnd {
            reason: End::Failed {
                code: code.unwrap_or_else(|| "api_error".to_owned()),
                message: message.unwrap_or_else(|| "the vendor broke the answer off".to_owned()),
            },
            usage: self.counted.usage(),
            native: Some(raw(data.to_owned())),
        })
    }

    fn read<'a, T: Deserialize<'a>>(&self, data: &'a str, what: &str) -> Result<T, Malformed> {
        if self.phase != Phase::Begun {
            return Err(Malformed(format!("{what} comes before message_start")));
        }
        serde_json::from_str(data).map_err(|_| Malformed(format!("{what} lacks a member")))
    }

    fn slot(&mut self, index: u64) -> Result<(usize, &mut Option<Building>), Malformed> {
        let mut blocks = self.blocks.iter_mut().enumerate().rev();
        blocks
            .find(|(_, (vendors, _))| *vendors == index)
            .map(|(own, (_, slot))| (own, slot))
            .ok_or_else(|| malformed("a block goes on that never began"))
    }
}

/// Why the model stopped, by the `message_delta` event.
fn reason(delta: &RawValue) -> End {
    let delta = Members::of(delta.get()).ok().and_then(|it| it.get("delta"));
    let delta = delta.and_then(|it| Members::of(it.get()).ok());
    let get = |key| delta.as_ref().and_then(|it| it.get(key)).and_then(unquoted);
    match get("stop_reason").unwrap_or_default().as_str() {
        "end_turn" | "tool_use" => End::Complete,
        "stop_sequence" => End::StopSequence(get("stop_sequence").unwrap_or_default()),
        "max_tokens" => End::MaxTokens,
        "model_context_window_exceeded" => End::ContextWindow,
        "refusal" => End::Refusal,
        "pause_turn" => End::Pause,
        other => End::Other(other.to_owned()),
    }
}

fn native(name: &str, data: &str) -> Native {
    Native {
        name: name.to_owned(),
        json: raw(data.to_owned()),
    }
}

fn malformed(what: &str) -> Malformed {
    Malformed(what.to_owned())
}
