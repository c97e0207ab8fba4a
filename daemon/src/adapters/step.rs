//! What happened while a request was answered, piece by piece.
//!
//! Each step is on the disk before the next thing is done, so that a run that was cut off goes on
//! where it was, and a tool runs at most once.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event::{FunctionCall, ModelTurn};
use crate::types::ServerName;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// First, and once: the id of the answer, when it was begun, in seconds since 1970, and the client's
    /// approvals that it used up.
    Opened {
        id: String,
        at: i64,
        #[serde(default)]
        decided: Vec<String>,
    },
    /// The tools that the model is offered. Second, and once.
    Listed(Vec<Listing>),
    Turn(ModelTurn),
    /// These calls (by their vendor's id) are about to be sent; what could have kept them back, such as a person,
    /// has not. What is started and has no result after a crash is never sent again, and what is not was
    /// not sent.
    Started(Vec<String>),
    /// Of the calls of one turn, or of those that an earlier answer left to the client's decision. On the
    /// disk as they end, each by itself; for everybody else all of a turn, in the order of the model.
    Results(Vec<CallResult>),
}

/// The tools of one server, as they are pinned for a conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listing {
    /// The name that the request gives the server (`server_label`, `name`).
    pub label: String,
    /// The one of ours that it means.
    pub server: ServerName,
    /// Filtered as the request asks, in the order of the server.
    pub tools: Vec<Tool>,
    /// The client has seen it before, so it is not shown again.
    pub known: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tool {
    /// The server's own name.
    pub name: String,
    /// The name that the model is given. Decided once, when the listing is pinned.
    pub function: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// An object schema, byte for byte as the server has it.
    pub input_schema: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Box<RawValue>>,
    #[serde(default)]
    pub read_only: bool,
}

/// A call of an MCP tool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct McpCall {
    pub call: FunctionCall,
    pub label: String,
    pub server: ServerName,
    /// The server's own name of the tool.
    pub tool: String,
    pub read_only: bool,
    /// The client's approval (`mcpr_…`) that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallResult {
    pub call: CallRef,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallRef {
    Mcp(McpCall),
    /// The model called what it was never offered.
    Unknown(FunctionCall),
}

impl CallRef {
    pub fn call(&self) -> &FunctionCall {
        match self {
            Self::Mcp(mcp) => &mcp.call,
            Self::Unknown(call) => call,
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A `CallToolResult`, byte for byte. Refusals of the daemon (rules, people) are such results too.
    Answered {
        is_error: bool,
        result: Box<RawValue>,
    },
    /// A JSON-RPC error.
    Protocol { code: i64, message: String },
    /// No usable answer. Shown as a failed call.
    Http { code: u16, message: String },
    /// The client declined it. The model is told, nothing is shown.
    Declined { reason: Option<String> },
    /// Not run, and for a reason that only the model is told: a cap, a name that does not exist.
    NotRun { text: String },
}

impl Outcome {
    /// Whether the client is shown a call at all.
    pub fn is_shown(&self) -> bool {
        match self {
            Self::Answered { .. } | Self::Protocol { .. } | Self::Http { .. } => true,
            Self::Declined { .. } | Self::NotRun { .. } => false,
        }
    }

    /// Of what an answer has to hold.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Answered { result, .. } => result.get().len(),
            Self::Protocol { message, .. } | Self::Http { message, .. } => message.len(),
            Self::Declined { .. } | Self::NotRun { .. } => 0,
        }
    }

    pub fn is_error(&self) -> bool {
        !matches!(
            self,
            Self::Answered {
                is_error: false,
                ..
            }
        )
    }
}
