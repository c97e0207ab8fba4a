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
pub mod image;
mod kept;
mod local;
pub mod names;
pub mod openai;
mod pass;
pub mod problem;
pub mod raw;
pub mod record;
pub mod refusal;
mod route;
mod run;
pub mod schema;
pub mod step;
pub mod target;
pub mod translate;
mod upload;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;

use self::hub::Hub;
use self::run::Runner;
use self::target::Gateway;
use crate::approval::Approvals;
use crate::clock::SharedClock;
use crate::config::Config;
use crate::conversations::Conversations;
use crate::http::limits::BodyLimits;
use crate::lifecycle::Lifecycle;
use crate::pipeline::Pipeline;
use crate::vendors::Vendors;

/// What every request needs.
struct Adapters {
    vendors: Vendors,
    limits: BodyLimits,
    gateway: Gateway,
    runner: Runner,
}

/// What the adapters work with.
pub struct Parts {
    pub vendors: Vendors,
    pub pipeline: Pipeline,
    pub conversations: Conversations,
    pub approvals: Approvals,
    pub lifecycle: Lifecycle,
    pub clock: SharedClock,
    /// Of the daemon's own.
    pub port: u16,
}

pub fn router(config: &Config, parts: Parts) -> Router {
    let adapters = Adapters {
        vendors: parts.vendors,
        limits: BodyLimits::new(config.max_request_bytes),
        gateway: Gateway::new(parts.port, &config.allowed_hosts),
        runner: Runner {
            pipeline: parts.pipeline,
            conversations: parts.conversations,
            approvals: parts.approvals,
            hub: Hub::new(&parts.lifecycle),
            lifecycle: parts.lifecycle,
            clock: parts.clock,
            settings: Arc::new(config.ai.clone()),
        },
    };
    Router::new()
        .route("/openai/{*path}", any(handler::serve))
        .route("/anthropic/{*path}", any(handler::serve))
        .with_state(Arc::new(adapters))
}
