//! What an answer leaves behind for the client's next request.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::event::Wire;
use super::step::{Listing, McpCall};

/// One answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// `resp_…`, `msg_…`.
    pub id: String,
    pub wire: Wire,
    /// The answer that this one continues (`previous_response_id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// An answer that only the vendor has, which the conversation continues before all of `hidden`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendors: Option<String>,
    /// What this request and its answer add to the hidden transcript, exactly as it was sent and
    /// received. With a parent the parent's comes before it.
    pub hidden: Vec<Box<RawValue>>,
    /// The listings of the conversation.
    pub listings: Vec<Listing>,
    /// Version of name mangling and flattening that `hidden` was made with.
    pub version: u32,
    /// Calls that wait for the client.
    pub open: Vec<OpenCall>,
    /// The answer as the client got it; what `GET /responses/{id}` gives.
    pub object: Box<RawValue>,
    /// The client's own input, for `GET /responses/{id}/input_items`.
    pub input: Vec<Box<RawValue>>,
}

/// A call that the client has to approve, and the id of the request for that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenCall {
    pub call: McpCall,
    pub approval: String,
}

/// What a visible item or block stands for in the hidden transcript.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fragment {
    /// Numbers the model's turns over all answers: those of one turn go together, all calls first,
    /// then all outputs.
    pub turn: String,
    /// The item's place among those of its turn, in the order of the model.
    #[serde(default)]
    pub at: u32,
    /// Hidden elements that stand at the item's place.
    pub call: Vec<Box<RawValue>>,
    /// Those that come after the whole turn.
    pub output: Vec<Box<RawValue>>,
}

/// What a request refers to and the store may know.
#[derive(Debug, Clone, Default)]
pub struct References {
    /// `previous_response_id`.
    pub parent: Option<String>,
    /// Ids of items and blocks in the request, and of approval requests.
    pub items: Vec<String>,
    /// Digests under which listings may be pinned, where no id leads to them.
    pub pins: Vec<String>,
}

/// What the store knows of a request's [`References`]. Only what the same owner left.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The chain of answers that ends with the parent, oldest first.
    pub chain: Vec<Record>,
    pub fragments: HashMap<String, Fragment>,
    /// Approval requests that are still open, by id.
    pub open: HashMap<String, OpenCall>,
    /// Those that were answered already.
    pub used: HashMap<String, OpenCall>,
    pub pins: HashMap<String, Vec<Listing>>,
}

/// What is kept of an answer, besides its [`Record`].
#[derive(Debug, Clone, Default)]
pub struct Kept {
    pub fragments: Vec<(String, Fragment)>,
    pub pins: Vec<(String, Vec<Listing>)>,
    /// Calls that wait for the client's approval, whether the answer itself is kept or not.
    pub open: Vec<OpenCall>,
}
