//! OpenAI Responses: what clients of it send and get, and the answers of models behind it.
//!
//! The hidden transcript is a list of input items. A call of an MCP tool is a `function_call` there and
//! an `mcp_call` for the client; both are made of the same call, so either leads to the other.

mod approvals;
pub mod chat;
pub mod choice;
pub mod decode;
mod dialog;
pub mod encode;
mod entry;
mod history;
pub mod ids;
pub mod items;
pub mod mcp_items;
pub mod object;
pub mod outcome;
pub mod policy;
pub mod request;
pub mod store;
#[cfg(test)]
mod tests;
mod transcript;

pub use decode::ResponsesDecoder;
pub use request::{Parsed, parse};
