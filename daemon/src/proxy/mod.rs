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

use crate::pipeline::Pipeline;

pub fn router(pipeline: Pipeline) -> Router {
    Router::new()
        .route("/mcp/{server}", any(handler::relay))
        .route("/mcp/{server}/", any(handler::relay))
        .route("/mcp/{server}/{*path}", any(handler::relay))
        // A client that found OAuth metadata here would sign in to us instead of using us.
        .route(
            "/.well-known/{*path}",
            any(|| async { reply::no_metadata() }),
        )
        .with_state(pipeline)
}
