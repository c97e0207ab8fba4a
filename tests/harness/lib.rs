//! Drives the real binaries against scripted peers on real sockets.
//!
//! A test reads as a story: [`Scenario`] starts a fake authorization server, a fake MCP server and a
//! daemon in a throwaway home; faults are scripts ([`script::Fault`]); what happened is read from the
//! journals; [`Scenario::finish`] searches everything the product wrote for every secret the fakes
//! issued. The crate knows the product by its contracts only: binaries, files, HTTP, JSON output.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test support: a failed expectation is a panic, and the product's handles are out of reach"
)]

pub mod ai;
pub mod authz;
pub mod bins;
pub mod browser;
pub mod client;
pub mod ctl;
pub mod daemon;
pub mod desktop;
pub mod journal;
pub mod keyring;
pub mod leaks;
pub mod mcp;
pub mod pages;
pub mod queue;
pub mod rpc;
pub mod scenario;
pub mod script;
pub mod secrets;
#[cfg(test)]
mod self_test;
pub mod terminal;
pub mod wait;
pub mod wire;

pub use authz::{AsOptions, FakeAs};
pub use client::McpClient;
pub use ctl::Ctl;
pub use daemon::TestDaemon;
pub use mcp::{FakeMcp, McpOptions};
pub use pages::WebSession;
pub use queue::Queue;
pub use scenario::Scenario;
pub use script::{Fault, Gate};
