//! What a model says, in terms of no vendor.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The languages that clients and vendors speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// OpenAI Responses.
    Responses,
    /// OpenAI Chat Completions.
    Chat,
    /// Anthropic Messages.
    Messages,
}

/// Blocks of one answer. More than any model makes, and little memory; a vendor that opens more is broken.
pub const MAX_BLOCKS: usize = 4096;

/// An event of a vendor's stream as it came, for clients that speak the vendor's language.
#[derive(Debug, Clone)]
pub struct Native {
    pub name: String,
    pub json: Box<RawValue>,
}

/// One step of a model's answer as it arrives.
///
/// An answer is a sequence of blocks (Responses: output items; Messages: content blocks; Chat: the
/// text, then each tool call), numbered from 0 in the order in which they begin.
#[derive(Debug, Clone)]
pub enum Event {
    /// The model begins to answer. First, and once per answer.
    Begin {
        model: String,
        usage: Usage,
    },
    Open {
        index: usize,
        kind: Kind,
        native: Option<Native>,
    },
    /// More of a block. `delta` is None for what only the vendor's own clients understand.
    Delta {
        index: usize,
        delta: Option<Delta>,
        native: Option<Native>,
    },
    Close {
        index: usize,
        block: Block,
    },
    /// The answer is complete. Last, and once.
    End(TurnEnd),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Text,
    Thinking,
    /// The name is known when the block begins, so where the call goes is too.
    Call {
        id: String,
        name: String,
    },
    /// What only the vendor's own clients understand: hosted tools, compaction.
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    Text(String),
    Refusal(String),
    Thinking(String),
    Arguments(String),
}

/// A complete block.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Block {
    pub content: Content,
    /// As the vendor has it: a Responses item, a Messages block. Chat has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    Text(String),
    /// The model declines, in these words.
    Refusal(String),
    /// `text` may be empty; what proves it to its vendor is in the block's native form.
    Thinking {
        text: String,
    },
    Call(FunctionCall),
    Other(String),
}

/// A call as the model makes it, of an MCP tool or of a function of the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionCall {
    /// The vendor's id of the call: `call_…`, `toolu_…`.
    pub id: String,
    /// The name that the model was given.
    pub name: String,
    /// The JSON text as the model wrote it; `{}` where it wrote nothing. Not necessarily valid.
    pub arguments: String,
}

/// A complete answer of the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelTurn {
    /// The language of the vendor, and so of the native forms.
    pub wire: Wire,
    pub model: String,
    pub blocks: Vec<Block>,
    pub end: TurnEnd,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurnEnd {
    pub reason: End,
    pub usage: Usage,
    /// Responses: the final `response` object; Messages: the `message_delta` event; Chat: the last
    /// chunk. For fields that the vendor's own clients want to see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Box<RawValue>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Complete, with or without calls.
    Complete,
    StopSequence(String),
    MaxTokens,
    ContextWindow,
    /// The vendor cut it off.
    ContentFilter,
    /// The model declined (Messages `refusal`).
    Refusal,
    /// The vendor's own tools are not done; it wants to be asked again (Messages `pause_turn`).
    Pause,
    /// Any other reason of the vendor's, by its name.
    Other(String),
    /// The vendor broke the answer off.
    Failed {
        code: String,
        message: String,
    },
}

/// Tokens. `input` counts all of the input, what was read from or written to a cache included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write: u64,
    /// Of `cache_write`, what is kept for five minutes and for an hour, where the vendor says so.
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    pub output: u64,
    /// Of `output`.
    pub reasoning: u64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, more: Self) {
        let add = |sum: &mut u64, part: u64| *sum = sum.saturating_add(part);
        add(&mut self.input, more.input);
        add(&mut self.cache_read, more.cache_read);
        add(&mut self.cache_write, more.cache_write);
        add(&mut self.cache_write_5m, more.cache_write_5m);
        add(&mut self.cache_write_1h, more.cache_write_1h);
        add(&mut self.output, more.output);
        add(&mut self.reasoning, more.reasoning);
    }
}

impl ModelTurn {
    /// The calls, in the order of the model.
    pub fn calls(&self) -> impl Iterator<Item = &FunctionCall> {
        self.blocks.iter().filter_map(|block| match &block.content {
            Content::Call(call) => Some(call),
            _ => None,
        })
    }
}
