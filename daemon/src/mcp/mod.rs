//! What the bridge must understand of MCP to decide about a message it forwards unchanged.
//!
//! Pure: bytes and headers in, decisions out. Nothing here re-serialises a message; the data path
//! forwards the original bytes, so a field this module does not know is never lost.

pub mod answer;
pub mod canonical;
pub mod codes;
pub mod edit;
pub mod headers;
pub mod jsonrpc;
mod reader;
pub mod split;
pub mod sse;
pub mod version;

pub use answer::Answer;
pub use headers::HeaderMismatch;
pub use jsonrpc::{Envelope, EnvelopeError, Message, MessageKind, Params};
pub use version::Era;
