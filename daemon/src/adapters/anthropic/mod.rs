//! The Messages API: a client's requests with `mcp_servers`, and a vendor's answers.
//!
//! Everything here is a function of its arguments. What goes to the vendor is a list of messages whose
//! bytes depend on nothing but what was said (`json`, `block`, `render`), because models reject
//! thinking whose prefix has changed; `history` gets the same messages out of what a client sends back.

mod betas;
mod block;
mod content;
pub mod decode;
mod dialog;
mod encode;
mod history;
mod ids;
mod json;
mod keep;
mod render;
mod request;
#[cfg(test)]
mod testing;
mod toolset;
mod usage;

pub use self::betas::upstream as upstream_betas;
pub use self::request::MessagesRequest;
