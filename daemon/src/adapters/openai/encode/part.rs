//! An item of the model that is being shown.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapters::event::{Block, Content, Delta, FunctionCall, Kind};
use crate::adapters::openai::{ids, items};
use crate::adapters::raw::{Object, quoted, raw};
use crate::mcp::edit::{self, Edit};

/// The type of an event about an item, and its members besides those that all have.
pub(super) type Shown = (String, Object);

pub(super) struct Open {
    id: String,
    kind: Kind,
    /// As the vendor began it.
    native: Option<Box<RawValue>>,
    parts: Vec<Part>,
    part_is_open: bool,
    arguments: String,
}

#[derive(Clone)]
struct Part {
    kind: PartKind,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PartKind {
    Text,
    Refusal,
    Summary,
    Reasoning,
}

impl Open {
    pub(super) fn native(kind: Kind, item: &RawValue) -> Self {
        #[derive(Deserialize)]
        struct Id {
            id: Option<String>,
        }
        let id = serde_json::from_str::<Id>(item.get()).ok();
        Self {
            id: id.and_then(|item| item.id).unwrap_or_default(),
            native: Some(item.to_owned()),
            ..Self::new(kind, String::new())
        }
    }

    /// None for what this language has no item for.
    pub(super) fn made(kind: Kind, response: &str, place: &str) -> Option<Self> {
        let id = ids::made(items::prefix(&kind)?, response, place);
        Some(Self::new(kind, id))
    }

    fn new(kind: Kind, id: String) -> Self {
        Self {
            id,
            kind,
            native: None,
            parts: Vec::new(),
            part_is_open: false,
            arguments: String::new(),
        }
    }

    /// The item as it is now.
    pub(super) fn item(&self, status: &str) -> Box<RawValue> {
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|part| part.json(&part.text))
            .collect();
        match (&self.kind, &self.native) {
            (Kind::Text, _) => items::message(&self.id, status, &parts),
            (Kind::Thinking, _) => {
                let summary = self
                    .parts
                    .iter()
                    .filter(|part| part.kind == PartKind::Summary);
                let texts: Vec<&str> = summary.map(|part| part.text.as_str()).collect();
                items::reasoning(Some(&self.id), &texts.join(items::PARAGRAPH), None)
            }
            (_, Some(native)) => {
                let edits = [("status", Edit::Put(quoted(status).into()))];
                edit::object(native.get(), &edits).map_or_else(|_| native.clone(), raw)
            }
            (Kind::Call { id, name }, None) => {
                let call = FunctionCall {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: self.arguments.clone(),
                };
                items::function_call(&self.id, status, &call)
            }
            (Kind::Other(_), None) => RawValue::NULL.to_owned(),
        }
    }

    /// Keeps account of an event that is passed on as it is.
    pub(super) fn follow(&mut self, name: &str, delta: Option<&Delta>) {
        match name {
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                self.part_is_open = true;
                let kind = match (&self.kind, name) {
                    (Kind::Thinking, "response.content_part.added") => PartKind::Reasoning,
                    (Kind::Thinking, _) => PartKind::Summary,
                    _ => PartKind::Text,
                };
                self.begin(kind);
            }
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                self.part_is_open = false;
            }
            _ => {
                if let (
                    Some(Delta::Text(text) | Delta::Refusal(text) | Delta::Thinking(text)),
                    Some(part),
                ) = (delta, self.parts.last_mut())
                {
                    if matches!(delta, Some(Delta::Refusal(_))) {
                        part.kind = PartKind::Refusal;
                    }
                    part.text.push_str(text);
                }
            }
        }
    }

    /// More of it, which no event of this language came with.
    pub(super) fn delta(&mut self, delta: &Delta) -> Vec<Shown> {
        let (kind, text) = match delta {
            Delta::Text(text) => (PartKind::Text, text),
            Delta::Refusal(text) => (PartKind::Refusal, text),
            Delta::Thinking(text) => (PartKind::Summary, text),
            Delta::Arguments(text) => {
                self.arguments.push_str(text);
                let own = self.about().text("delta", text);
                return vec![("response.function_call_arguments.delta".to_owned(), own)];
            }
        };
        let mut events = Vec::new();
        if self.part_is_open && self.parts.last().is_some_and(|part| part.kind != kind) {
            events.extend(self.end_part());
        }
        if !self.part_is_open {
            self.part_is_open = true;
            self.begin(kind);
            events.push((
                kind.event("part.added"),
                self.about_part(&Part::empty(kind)),
            ));
        }
        if let Some(part) = self.parts.last_mut() {
            part.text.push_str(text);
        }
        let own = self.about_place(kind).text("delta", text);
        events.push((kind.event("delta"), with_logprobs(kind, own)));
        events
    }

    /// The rest of it, whose whole content is `content`.
    pub(super) fn finish(&mut self, content: &Content) -> Vec<Shown> {
        let delta = match content {
            Content::Text(text) => Delta::Text(text.clone()),
            Content::Refusal(text) => Delta::Refusal(text.clone()),
            Content::Thinking { text } => Delta::Thinking(text.clone()),
            Content::Call(call) => return self.finish_call(call),
            Content::Other(_) => return Vec::new(),
        };
        let mut events = Vec::new();
        // A message has a part even if it says nothing; reasoning may have none.
        let says = !matches!(content, Content::Thinking { text } if text.is_empty());
        if self.parts.is_empty() && says {
            events = self.delta(&delta);
        }
        events.extend(self.cut());
        events
    }

    fn finish_call(&mut self, call: &FunctionCall) -> Vec<Shown> {
        let mut events = Vec::new();
        if self.arguments.is_empty() {
            events = self.delta(&Delta::Arguments(call.arguments.clone()));
        }
        self.arguments.clone_from(&call.arguments);
        let own = self.about().text("arguments", &call.arguments);
        events.push(("response.function_call_arguments.done".to_owned(), own));
        events
    }

    /// Closes the part that is open.
    pub(super) fn cut(&mut self) -> Vec<Shown> {
        match self.part_is_open {
            true => self.end_part(),
            false => Vec::new(),
        }
    }

    fn end_part(&mut self) -> Vec<Shown> {
        self.part_is_open = false;
        let Some(part) = self.parts.last().cloned() else {
            return Vec::new();
        };
        let text = self
            .about_place(part.kind)
            .text(part.kind.member(), &part.text);
        vec![
            (part.kind.event("done"), with_logprobs(part.kind, text)),
            (part.kind.event("part.done"), self.about_part(&part)),
        ]
    }

    /// The complete item that was put together here.
    pub(super) fn finished(&self, block: &Block) -> Box<RawValue> {
        match &block.content {
            Content::Thinking { text } => {
                items::reasoning(Some(&self.id), text, items::sealed(block).as_deref())
            }
            _ => self.item("completed"),
        }
    }

    fn begin(&mut self, kind: PartKind) {
        self.parts.push(Part::empty(kind));
    }

    fn about(&self) -> Object {
        Object::new().text("item_id", &self.id)
    }

    fn about_place(&self, kind: PartKind) -> Object {
        // Of parts of its own kind.
        let same = |part: &&Part| (part.kind == PartKind::Summary) == (kind == PartKind::Summary);
        let index = self.parts.iter().filter(same).count().saturating_sub(1);
        let member = match kind {
            PartKind::Summary => "summary_index",
            _ => "content_index",
        };
        self.about().put(member, &index.to_string())
    }

    fn about_part(&self, part: &Part) -> Object {
        self.about_place(part.kind)
            .put("part", &part.json(&part.text))
    }
}

impl Part {
    fn empty(kind: PartKind) -> Self {
        Self {
            kind,
            text: String::new(),
        }
    }

    fn json(&self, text: &str) -> String {
        let part = match self.kind {
            PartKind::Text => items::text_part(text),
            PartKind::Refusal => items::refusal_part(text),
            PartKind::Summary => items::summary_part(text),
            PartKind::Reasoning => Object::of_type("reasoning_text").text("text", text),
        };
        part.json()
    }
}

impl PartKind {
    /// The type of the event of this kind that is called `what` here.
    fn event(self, what: &str) -> String {
        let name = match (self, what) {
            (Self::Summary, "part.added" | "part.done") => "reasoning_summary_",
            (_, "part.added" | "part.done") => "content_",
            (Self::Text, _) => "output_text.",
            (Self::Refusal, _) => "refusal.",
            (Self::Summary, _) => "reasoning_summary_text.",
            (Self::Reasoning, _) => "reasoning_text.",
        };
        format!("response.{name}{what}")
    }

    fn member(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            _ => "text",
        }
    }
}

fn with_logprobs(kind: PartKind, own: Object) -> Object {
    match kind {
        PartKind::Text => own.put("logprobs", "[]"),
        _ => own,
    }
}
