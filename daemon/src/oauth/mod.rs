//! The OAuth client's protocol: what to ask for, how to read the answer, when to refuse it.
//!
//! Pure: no tasks, no disk, no clock, and no network of its own. Callers fetch documents and pass
//! them in; [`token::request`] takes the HTTP exchange as a function. Everything a server says is
//! untrusted here: parsers never panic, texts are cleaned before they can reach a terminal, URLs
//! are checked before they become endpoints, and secrets leave only as [`crate::types::Secret`].

pub mod authorize;
pub mod callback;
pub mod challenge;
pub mod client;
pub mod discovery;
pub mod error;
pub mod pkce;
pub mod registration;
pub mod revocation;
pub mod scope;
pub mod token;
mod token_response;
