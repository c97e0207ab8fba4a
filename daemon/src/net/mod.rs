//! Outbound HTTP, and the one guard every outbound connection passes.
//!
//! Invariants: https is required outside loopback; no connection reaches a loopback, private,
//! link-local or cloud-metadata address that the server's [`AddressPolicy`] does not permit, whether
//! the address was written in a URL, came out of DNS, or was named by a redirect; bodies are capped
//! and every exchange ends in bounded time. [`Client`] serves everything that is not the data path;
//! the data path builds its connector from [`GuardedResolver`] and [`tls_config`].

mod address;
mod client;
mod error;
mod guard;
mod resolver;
mod tls;

pub use address::AddressClass;
pub use client::{Client, Response};
pub use error::{NetError, display_url};
pub use guard::{AddressPolicy, Refused, refused_in};
pub use resolver::GuardedResolver;
pub use tls::tls_config;
