//! Values that every layer shares, parsed once at the edge.

mod caller;
mod decider;
mod digest;
mod effect;
mod ids;
mod loopback;
mod secret;
mod shell;

pub use caller::{Caller, Channel, Process};
pub use decider::Decider;
pub use digest::{Digest, InvalidDigest};
pub use effect::{Effect, InvalidEffect};
pub use ids::{
    ApprovalId, ClientName, InvalidApprovalId, InvalidClientName, InvalidServerName, ServerName,
};
pub use loopback::{is_confidential, is_loopback};
pub use secret::Secret;
pub use shell::shell_word;
