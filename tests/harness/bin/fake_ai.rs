//! Fake model vendors and a fake MCP server for test programs in other languages.
//!
//! Prints one line of JSON with the addresses and keys, then serves until standard input ends. Turns are
//! queued over HTTP, in the JSON form of `mcpbridge_tests::ai::Turn`:
//!
//! ```text
//! POST CONTROL/openai/turns         [{"parts":[{"call":{"name":"*echo","arguments":"{}"}}]},{"parts":[{"text":"Done."}]}]
//! GET  CONTROL/openai/requests      what it was asked, with bodies as text
//! GET  CONTROL/openai/complaints    what was wrong with it
//! GET  CONTROL/tools/echo           how often the tool ran
//! POST CONTROL/reset                forgets scripts, requests and complaints of both vendors
//! ```

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test program: standard output is what it is for, and a mistake may end it"
)]

use std::io::Read as _;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use mcpbridge_tests::ai::{FakeAi, Seen, Turn};
use mcpbridge_tests::mcp::{Access, FakeMcp, McpOptions};
use mcpbridge_tests::secrets::Secrets;
use serde_json::{Value, json};

#[derive(Clone)]
struct Fakes {
    openai: FakeAi,
    anthropic: FakeAi,
    mcp: FakeMcp,
}

impl Fakes {
    fn vendor(&self, name: &str) -> &FakeAi {
        match name {
            "openai" => &self.openai,
            _ => &self.anthropic,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let secrets = Secrets::default();
    let fakes = Fakes {
        openai: FakeAi::openai(&secrets).await,
        anthropic: FakeAi::anthropic(&secrets).await,
        mcp: FakeMcp::start(McpOptions::new(Access::Open), &secrets).await,
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let vendor = |fake: &FakeAi| json!({ "url": fake.url(), "key": fake.key() });
    let addresses = json!({
        "openai": vendor(&fakes.openai), "anthropic": vendor(&fakes.anthropic), "mcp": fakes.mcp.url(),
        "control": format!("http://{}", listener.local_addr()?),
    });
    println!("{addresses}");
    let control = Router::new()
        .route("/{vendor}/turns", post(queue))
        .route("/{vendor}/requests", get(requests))
        .route("/{vendor}/complaints", get(complaints))
        .route("/tools/{tool}", get(executions))
        .route("/reset", post(reset))
        .with_state(fakes);
    let parent = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        served = axum::serve(listener, control) => served?,
        ended = parent => { ended??; }
    }
    Ok(())
}

async fn queue(
    State(fakes): State<Fakes>,
    Path(vendor): Path<String>,
    Json(turns): Json<Vec<Turn>>,
) {
    for turn in turns {
        fakes.vendor(&vendor).push(turn);
    }
}

async fn requests(State(fakes): State<Fakes>, Path(vendor): Path<String>) -> Json<Vec<Value>> {
    let requests = fakes.vendor(&vendor).requests();
    Json(requests.iter().map(told).collect())
}

fn told(seen: &Seen) -> Value {
    let headers = seen.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.as_str().to_owned(), json!(value))
    });
    let headers: Value = headers.collect::<serde_json::Map<_, _>>().into();
    json!({
        "method": seen.method.as_str(), "path": seen.path, "query": seen.query, "headers": headers,
        "body": String::from_utf8_lossy(&seen.body),
    })
}

async fn complaints(State(fakes): State<Fakes>, Path(vendor): Path<String>) -> Json<Vec<String>> {
    Json(fakes.vendor(&vendor).complaints())
}

async fn executions(State(fakes): State<Fakes>, Path(tool): Path<String>) -> Json<usize> {
    Json(fakes.mcp.executions(&tool))
}

async fn reset(State(fakes): State<Fakes>) {
    fakes.openai.reset();
    fakes.anthropic.reset();
}
