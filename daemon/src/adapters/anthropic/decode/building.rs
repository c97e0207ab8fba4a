//! A block of which only a part has come.

use serde_json::value::RawValue;

use super::malformed;
use crate::adapters::anthropic::block;
use crate::adapters::anthropic::json::unquoted;
use crate::adapters::dialect::Malformed;
use crate::adapters::event::{Block, Content, Delta, FunctionCall, Kind};
use crate::adapters::raw::{list, quoted, raw};
use crate::mcp::edit::Members;

pub(super) struct Building {
    kind: String,
    /// As the block began.
    start: Vec<(String, Box<RawValue>)>,
    /// What came for members that are texts.
    grown: Vec<(String, String)>,
    /// The input of a tool, as far as it came in pieces.
    input: String,
    citations: Vec<Box<RawValue>>,
}

impl Building {
    pub(super) fn of(block: &RawValue) -> Result<Self, Malformed> {
        let Members(members) =
            Members::of(block.get()).map_err(|_| malformed("a block is no object"))?;
        let start = members
            .into_iter()
            .map(|(key, value)| (key, value.to_owned()));
        let mut building = Self {
            kind: String::new(),
            start: start.collect(),
            grown: Vec::new(),
            input: String::new(),
            citations: Vec::new(),
        };
        building.kind = building
            .text("type")
            .ok_or_else(|| malformed("a block has no type"))?;
        let is_call = building.kind == "tool_use";
        if is_call && (building.text("id").is_none() || building.text("name").is_none()) {
            return Err(malformed("a tool_use has no id or no name"));
        }
        Ok(building)
    }

    pub(super) fn kind(&self) -> Kind {
        match self.kind.as_str() {
            "text" => Kind::Text,
            "thinking" | "redacted_thinking" => Kind::Thinking,
            "tool_use" => Kind::Call {
                id: self.text("id").unwrap_or_default(),
                name: self.text("name").unwrap_or_default(),
            },
            other => Kind::Other(other.to_owned()),
        }
    }

    /// Takes `delta` in, and says what of it others than the vendor's own clients understand.
    pub(super) fn grow(&mut self, delta: &RawValue) -> Result<Option<Delta>, Malformed> {
        let members = Members::of(delta.get()).map_err(|_| malformed("a delta is no object"))?;
        let text = |key| {
            let value = members.get(key).and_then(unquoted);
            value.ok_or_else(|| malformed("a delta lacks its text"))
        };
        let kind = members.get("type").and_then(unquoted).unwrap_or_default();
        match kind.as_str() {
            "text_delta" => {
                let more = text("text")?;
                self.append("text", &more);
                Ok((self.kind == "text").then_some(Delta::Text(more)))
            }
            "thinking_delta" => {
                let more = text("thinking")?;
                self.append("thinking", &more);
                Ok(Some(Delta::Thinking(more)))
            }
            "input_json_delta" => {
                let more = text("partial_json")?;
                self.input.push_str(&more);
                Ok((self.kind == "tool_use").then_some(Delta::Arguments(more)))
            }
            "citations_delta" => {
                if let Some(citation) = members.get("citation") {
                    self.citations.push(citation.to_owned());
                }
                Ok(None)
            }
            _ => {
                self.append_all(&members);
                Ok(None)
            }
        }
    }

    /// A signature, or what only the vendor knows: texts go on, anything else is replaced.
    fn append_all(&mut self, delta: &Members<'_>) {
        for (key, value) in delta.0.iter().filter(|(key, _)| key != "type") {
            if let Some(more) = unquoted(value) {
                self.append(key, &more);
                continue;
            }
            match self.start.iter_mut().find(|(name, _)| name == key) {
                Some((_, old)) => *old = (*value).to_owned(),
                None => self.start.push((key.clone(), (*value).to_owned())),
            }
        }
    }

    fn append(&mut self, key: &str, more: &str) {
        match self.grown.iter_mut().find(|(name, _)| name == key) {
            Some((_, text)) => text.push_str(more),
            None => {
                let text = self.text(key).unwrap_or_default() + more;
                self.grown.push((key.to_owned(), text));
            }
        }
    }

    /// The text member `key` as the block began with it.
    fn text(&self, key: &str) -> Option<String> {
        let member = self.start.iter().find(|(name, _)| name == key);
        member.and_then(|(_, value)| unquoted(value))
    }

    fn whole(&self, key: &str) -> String {
        let grown = self.grown.iter().find(|(name, _)| name == key);
        match grown {
            Some((_, text)) => text.clone(),
            None => self.text(key).unwrap_or_default(),
        }
    }

    /// What the model wrote as input, which some vendors send all at once.
    fn arguments(&self) -> String {
        if !self.input.trim().is_empty() {
            return self.input.clone();
        }
        let start = self.start.iter().find(|(key, _)| key == "input");
        start.map_or_else(|| "{}".to_owned(), |(_, value)| value.get().to_owned())
    }

    pub(super) fn finish(self) -> Block {
        let content = match self.kind() {
            Kind::Text => Content::Text(self.whole("text")),
            Kind::Thinking => Content::Thinking {
                text: self.whole("thinking"),
            },
            Kind::Call { id, name } => Content::Call(FunctionCall {
                id,
                name,
                arguments: self.arguments(),
            }),
            Kind::Other(kind) => Content::Other(kind),
        };
        Block {
            content,
            native: self.native(),
        }
    }

    /// The whole block in its fixed form.
    fn native(mut self) -> Option<Box<RawValue>> {
        let has_input = self.start.iter().any(|(key, _)| key == "input");
        if self.kind == "tool_use" || has_input || !self.input.is_empty() {
            let input = block::input(&self.arguments());
            self.put("input", raw(input));
        }
        for (key, text) in std::mem::take(&mut self.grown) {
            self.put(&key, raw(quoted(&text)));
        }
        if !self.citations.is_empty() {
            let all = list(self.citations.iter().map(|it| it.get()));
            self.put("citations", raw(all));
        }
        let members: Vec<(String, &RawValue)> = self
            .start
            .iter()
            .map(|(key, value)| (key.clone(), value.as_ref()))
            .collect();
        block::fixed(&members).map(raw)
    }

    fn put(&mut self, key: &str, value: Box<RawValue>) {
        match self.start.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.start.push((key.to_owned(), value)),
        }
    }
}
