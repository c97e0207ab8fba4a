//! Values that every layer shares, parsed once at the edge.

mod caller;
mod effect;
mod ids;
mod secret;

pub use caller::Caller;
pub use effect::{Effect, InvalidEffect};
pub use ids::{InvalidServerName, ServerName};
pub use secret::Secret;
