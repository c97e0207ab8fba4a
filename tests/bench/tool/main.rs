//! The two ends of the benchmark: a cheap upstream and a load generator, as small as they can be so that what is measured
//! is what stands between them. `bench/run` starts them and does the arithmetic.

mod conversation;
mod load;
mod message;
mod model;
mod upstream;

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use conversation::Conversation;
use message::Request;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Echo request bodies to callers that bring the token; answer GET with an event and an open stream. Be a model at
    /// /v1/responses, and the MCP server whose tool it calls at /tools
    Upstream { port: u16, token: String },
    /// Have conversations one after the other and print how long they take
    Converse {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        conversation: Conversation,
        #[arg(long)]
        count: usize,
    },
    /// Begin conversations that do not end, say so, and read along until standard input ends
    ConverseOn {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        conversation: Conversation,
        #[arg(long)]
        count: usize,
    },
    /// Send tool calls on a number of connections and print counts and latencies
    Calls {
        #[command(flatten)]
        target: Target,
        #[arg(long)]
        connections: usize,
        /// Size of the JSON-RPC message, echoed back
        #[arg(long)]
        bytes: usize,
        #[arg(long)]
        seconds: f64,
    },
    /// Open streams one after the other and print how long the first event takes
    FirstEvent {
        #[command(flatten)]
        target: Target,
        #[arg(long)]
        count: usize,
    },
    /// Open streams, say so, and keep them until standard input ends
    Hold {
        #[command(flatten)]
        target: Target,
        #[arg(long)]
        count: usize,
    },
}

#[derive(Args)]
struct Target {
    address: SocketAddr,
    path: String,
    /// Send this bearer token; without it, whoever is in between has to
    #[arg(long)]
    token: Option<String>,
}

// One thread each: the machine's other processors belong to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let report = match Cli::parse().command {
        Command::Upstream { port, token } => return upstream::serve(port, token).await,
        Command::Converse {
            target,
            conversation,
            count,
        } => conversation::converse(&target, &conversation, count).await?,
        Command::ConverseOn {
            target,
            conversation,
            count,
        } => conversation::stream(&target, &conversation, count).await?,
        Command::Calls {
            target,
            connections,
            bytes,
            seconds,
        } => {
            let request =
                Request::call(target.address, &target.path, target.token.as_deref(), bytes);
            load::calls(request, connections, Duration::from_secs_f64(seconds)).await?
        }
        Command::FirstEvent { target, count } => {
            let request = Request::stream(target.address, &target.path, target.token.as_deref());
            load::first_event(request, count).await?
        }
        Command::Hold { target, count } => {
            let request = Request::stream(target.address, &target.path, target.token.as_deref());
            load::hold(request, count).await?
        }
    };
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}
