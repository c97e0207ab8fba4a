//! Values that every layer shares, parsed once at the edge.

mod caller;
mod client;
mod decider;
mod decimal;
mod digest;
mod effect;
mod ids;
mod json;
mod loopback;
mod pattern;
mod pointer;
mod secret;
mod shell;

pub use caller::{Caller, Channel, Process};
pub use client::{
    CLIENT_TOKEN_PREFIX, Client, Scope, may_hold_client_token, without_client_tokens,
};
pub use decider::Decider;
pub use decimal::{Decimal, InvalidDecimal};
pub use digest::{Digest, InvalidDigest};
pub use effect::{Effect, InvalidEffect};
pub use ids::{
    ApprovalId, ClientName, InvalidApprovalId, InvalidClientName, InvalidServerName,
    InvalidVendorName, ServerName, VendorName,
};
pub use json::{Exact, InvalidExact, Level};
pub use loopback::{is_confidential, is_loopback};
pub use mcpbridge_proto::visible;
pub use pattern::{InvalidPattern, Pattern};
pub use pointer::{InvalidPointer, Pointer};
pub use secret::Secret;
pub use shell::shell_word;
