//! Fake model vendors: what `api.openai.com` and `api.anthropic.com` are in the world, on loopback ports.
//!
//! ```no_run
//! # use mcpbridge_tests::ai::{FakeAi, Turn, Usage}; use mcpbridge_tests::secrets::Secrets;
//! # async fn example() {
//! let vendor = FakeAi::openai(&Secrets::default()).await; // or `anthropic`; then point config at `vendor.url()`
//! vendor.push(Turn::new().thinking("Hm.").call("*echo", r#"{"text":"hi","n":1.0}"#)); // `*echo`: the tool so ending
//! vendor.push(Turn::text("Done.").usage(Usage { output: 5, ..Usage::default() })); // one turn per request, in order
//! vendor.then(|request| Turn::text(&format!("{} items", request.elements("input").len()))); // afterwards: a function
//! // … run the client with `vendor.key()`, then read `vendor.turns()`: headers, exact bytes, `elements("messages")`
//! vendor.assert_content(); // and that the vendor had nothing to complain about
//! # }
//! ```
//!
//! A turn is told once and spoken in the wire language of the endpoint that was called: Responses, Chat
//! Completions or Messages, streamed or whole, in the vendor's own event order. The fakes are as strict as
//! the vendors: wrong keys, unanswered calls, reasoning without its item and a changed prefix of signed
//! thinking are refused, and [`FakeAi::complaints`] tells why. What a client got is judged by [`lint`].

mod anthropic;
mod canon;
pub mod lint;
mod openai;
mod seen;
#[cfg(test)]
mod self_test;
mod send;
mod server;
mod turn;

pub use seen::Seen;
pub use server::{Endpoint, FakeAi, Kind};
pub use turn::{Turn, Usage};
