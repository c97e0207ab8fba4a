//! All that `mcpbridged` and `mcpbridgectl` must agree on: the control API, where it listens, how
//! to connect, and how errors travel. It contains no policy.

mod redact;

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
pub const API_REVISION: u32 = 1;
