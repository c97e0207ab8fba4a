//! All that `mcpbridged` and `mcpbridgectl` must agree on: the control API, where it listens, how
//! to connect, how errors travel, and what text looks like that somebody else chose. It contains no policy.

mod client;
mod endpoint;
mod peer;
mod reason;
mod redact;
pub mod transport;
pub mod visible;

pub use client::{Client, ConnectError, Skew, is_disconnect};
pub use endpoint::{Endpoint, EndpointError, default_config_dir};
pub use peer::PeerIdentity;
pub use reason::{Fault, Reason};
pub use visible::{visible, visible_line};

/// Generated from `mcpbridge/v1/*.proto`.
#[allow(
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::str_to_string,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("mcpbridge.v1");
}

/// Grows by one with each addition to the API, so that two versions can tell which is newer.
pub const API_REVISION: u32 = 3;

/// Version of this build; daemon and ctl come from one workspace and share it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Largest message either side accepts: a tool's result may be big, a runaway one must not end us.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
