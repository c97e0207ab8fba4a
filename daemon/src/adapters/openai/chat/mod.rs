//! OpenAI Chat Completions with MCP servers in `tools`, as some gateways have it: most local models
//! and frameworks speak this language.
//!
//! It has no items for listings, calls of servers and approvals, so nothing of them is shown: what the
//! rules of this daemon or the request itself (`require_approval`) want a person to approve is put to one
//! here. The hidden transcript is a list of messages. The client sends the
//! visible ones back without ids; what stood between them is found by a digest of all up to there.

mod choice;
mod decode;
mod dialog;
mod encode;
mod history;
mod request;
#[cfg(test)]
mod tests;

pub use decode::ChatDecoder;
pub use request::parse;
