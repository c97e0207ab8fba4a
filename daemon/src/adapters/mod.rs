//! The APIs of AI vendors on this port, with MCP executed here.
//!
//! A request comes in one of the vendors' languages (`dialect`), is read once, gets the tools of its
//! MCP servers as plain functions, and is answered by a loop that asks the model and runs the calls it
//! makes through [`crate::pipeline`]. The model's answer is taken apart into [`event::Event`]s and put
//! together again in the client's language, so any client works with any model. What happened is a
//! list of [`step::Step`]s; the hidden transcript, what a client sees and the record for its next
//! request are functions of the request and that list.

pub mod anthropic;
pub mod dialect;
pub mod event;
pub mod names;
pub mod openai;
pub mod problem;
pub mod raw;
pub mod record;
pub mod refusal;
pub mod step;
pub mod target;
pub mod translate;
