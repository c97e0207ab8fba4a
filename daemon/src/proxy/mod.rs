//! `/mcp/{server}`: the raw relay for MCP clients of both eras.
//!
//! Translates between HTTP and the pipeline, nothing else; whatever goes wrong is worded in
//! `reply`.

mod handler;
mod reply;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::routing::any;

use crate::http::limits::BodyLimits;
use crate::pipeline::Pipeline;

/// What every request of the proxy needs.
#[derive(Clone)]
struct Proxy {
    pipeline: Pipeline,
    limits: BodyLimits,
}

pub fn router(pipeline: Pipeline) -> Router {
    let limits = BodyLimits::new(pipeline.max_request_bytes());
    Router::new()
        .route("/mcp/{server}", any(handler::relay))
        .route("/mcp/{server}/", any(handler::relay))
        .route("/mcp/{server}/{*path}", any(handler::relay))
        // A client that found OAuth metadata here would sign in to us instead of using us.
        .route(
            "/.well-known/{*path}",
            any(|| async { reply::no_metadata() }),
        )
        .with_state(Proxy { pipeline, limits })
}
