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
mod handler;
pub mod hub;
pub mod names;
pub mod openai;
mod pass;
pub mod problem;
pub mod raw;
pub mod record;
pub mod refusal;
mod route;
pub mod step;
pub mod target;
pub mod translate;

use axum::Router;
use axum::routing::any;

use crate::http::limits::BodyLimits;
use crate::vendors::Vendors;

/// What every request needs.
#[derive(Clone)]
struct Adapters {
    vendors: Vendors,
    limits: BodyLimits,
}

/// `max_request_bytes` bounds the body of a request.
pub fn router(vendors: Vendors, max_request_bytes: u64) -> Router {
    Router::new()
        .route("/openai/{*path}", any(handler::serve))
        .route("/anthropic/{*path}", any(handler::serve))
        .with_state(Adapters {
            vendors,
            limits: BodyLimits::new(max_request_bytes),
        })
}
