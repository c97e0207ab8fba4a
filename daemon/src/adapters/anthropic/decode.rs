//! A vendor's stream of Messages events, taken apart.

mod building;
#[cfg(test)]
mod tests;

use serde_json::value::RawValue;

use self::building::Building;
use super::json::unquoted;
use super::usage::Counted;
use crate::adapters::dialect::{Decoder as Decodes, Malformed};
use crate::adapters::event::{Block, End, Event, MAX_BLOCKS, Native, TurnEnd};
use crate::adapters::raw::raw;
use crate::mcp::edit::{self, Edit, Members};

#[derive(Default)]
pub struct Decoder {
    phase: Phase,
    /// In the order in which they began, with the vendor's index. Taken when they are complete.
    blocks: Vec<(u64, Option<Building>)>,
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

/// An event of the stream, read once.
struct Incoming<'a> {
    kind: &'a str,
    members: Members<'a>,
    data: &'a str,
}

impl<'a> Incoming<'a> {
    fn member(&self, key: &str) -> Result<&'a RawValue, Malformed> {
        let lacking = || Malformed(format!("{} lacks {key}", self.kind));
        self.members.get(key).ok_or_else(lacking)
    }

    /// The members of the object `key`.
    fn inner(&self, key: &str) -> Option<Members<'a>> {
        Members::of(self.members.get(key)?.get()).ok()
    }

    fn native(&self) -> Native {
        Native {
            name: self.kind.to_owned(),
            json: raw(self.data.to_owned()),
        }
    }
}

impl Decodes for Decoder {
    fn event(&mut self, name: Option<&str>, data: &str) -> Result<Vec<Event>, Malformed> {
        if self.phase == Phase::Done {
            return Ok(Vec::new());
        }
        let members = Members::of(data).map_err(|_| malformed("an event is no object"))?;
        let kind = members.get("type").and_then(unquoted);
        let event = Incoming {
            kind: kind.as_deref().or(name).unwrap_or_default(),
            members,
            data,
        };
        match event.kind {
            "message_start" => self.start(&event),
            "content_block_start" => self.open(&event),
            "content_block_delta" => self.delta(&event),
            "content_block_stop" => self.close(&event),
            "message_delta" => self.message_delta(&event),
            "message_stop" => self.stop(),
            "error" => Ok(vec![self.fail(&event)]),
            _ => Ok(Vec::new()),
        }
    }
}

impl Decoder {
    fn start(&mut self, event: &Incoming<'_>) -> Result<Vec<Event>, Malformed> {
        if self.phase != Phase::Waiting {
            return Err(malformed("it begins twice"));
        }
        self.phase = Phase::Begun;
        let message = event.inner("message");
        let message = message.ok_or_else(|| malformed("message_start has no message"))?;
        if let Some(usage) = message.get("usage") {
            self.counted.update(usage);
        }
        let model = message.get("model").and_then(unquoted);
        Ok(vec![Event::Begin {
            model: model.unwrap_or_default(),
            usage: self.counted.usage(),
        }])
    }

    fn open(&mut self, event: &Incoming<'_>) -> Result<Vec<Event>, Malformed> {
        let vendors = self.place(event)?;
        if self.blocks.len() >= MAX_BLOCKS {
            return Err(malformed("it has too many blocks"));
        }
        if self.blocks.iter().any(|(index, _)| *index == vendors) {
            return Err(malformed("a block begins twice"));
        }
        let building = Building::of(event.member("content_block")?)?;
        let index = self.blocks.len();
        let kind = building.kind();
        self.blocks.push((vendors, Some(building)));
        Ok(vec![Event::Open {
            index,
            kind,
            native: Some(event.native()),
        }])
    }

    fn delta(&mut self, event: &Incoming<'_>) -> Result<Vec<Event>, Malformed> {
        let (index, slot) = self.slot(event)?;
        let building = slot
            .as_mut()
            .ok_or_else(|| malformed("a block goes on after its end"))?;
        let more = building.grow(event.member("delta")?)?;
        Ok(vec![Event::Delta {
            index,
            delta: more,
            native: Some(event.native()),
        }])
    }

    fn close(&mut self, event: &Incoming<'_>) -> Result<Vec<Event>, Malformed> {
        let (index, slot) = self.slot(event)?;
        let building = slot.take().ok_or_else(|| malformed("a block ends twice"))?;
        Ok(vec![Event::Close {
            index,
            block: building.finish(),
        }])
    }

    fn message_delta(&mut self, event: &Incoming<'_>) -> Result<Vec<Event>, Malformed> {
        if self.phase != Phase::Begun {
            return Err(malformed("message_delta comes before message_start"));
        }
        if let Some(usage) = event.members.get("usage") {
            self.counted.update(usage);
        }
        self.delta = Some(raw(event.data.to_owned()));
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

    fn fail(&mut self, event: &Incoming<'_>) -> Event {
        self.phase = Phase::Done;
        let error = event.inner("error");
        let text = |key| error.as_ref().and_then(|it| it.get(key)).and_then(unquoted);
        let (code, message) = (text("type"), text("message"));
        Event::End(TurnEnd {
            reason: End::Failed {
                code: code.unwrap_or_else(|| "api_error".to_owned()),
                message: message.unwrap_or_else(|| "the vendor broke the answer off".to_owned()),
            },
            usage: self.counted.usage(),
            native: Some(raw(event.data.to_owned())),
        })
    }

    /// The vendor's index of the block that `event` is about.
    fn place(&self, event: &Incoming<'_>) -> Result<u64, Malformed> {
        if self.phase != Phase::Begun {
            let kind = event.kind;
            return Err(Malformed(format!("{kind} comes before message_start")));
        }
        let index = event.member("index")?.get().parse();
        index.map_err(|_| malformed("the index of a block is no whole number"))
    }

    fn slot(&mut self, event: &Incoming<'_>) -> Result<(usize, &mut Option<Building>), Malformed> {
        let index = self.place(event)?;
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

fn malformed(what: &str) -> Malformed {
    Malformed(what.to_owned())
}
