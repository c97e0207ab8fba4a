//! Conversations with a model whose tools are called in between.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Target;
use crate::load::{ask, micros};
use crate::message::{Connection, Request};

/// For one whole conversation.
const PATIENCE: Duration = Duration::from_secs(60);
const CALLED: &[u8] = b"event: response.mcp_call.completed";
/// Pieces of text after which an endless answer counts as streaming.
const STREAMING: usize = 20;

#[derive(Args)]
pub(crate) struct Conversation {
    /// The server whose tool is called, as the one in between knows it
    #[arg(long)]
    server: String,
    /// How often
    #[arg(long)]
    calls: usize,
    /// Size of what is said at first
    #[arg(long)]
    bytes: usize,
}

impl Conversation {
    /// `word` is what the model does after the calls.
    fn request(&self, target: &Target, word: &str) -> Request {
        let said = format!("calls={} {word} {}", self.calls, "x".repeat(self.bytes));
        let url = format!(
            "http://localhost:{}/mcp/{}",
            target.address.port(),
            self.server
        );
        let tool = json!({
            "type": "mcp", "server_label": self.server, "server_url": url, "require_approval": "never",
        });
        let body = json!({ "model": "gpt-bench", "stream": true, "input": said, "tools": [tool] });
        let token = target.token.as_deref();
        Request::post(target.address, &target.path, token, &body.to_string())
    }
}

/// Has `count` conversations in turn and takes the time of each.
pub(crate) async fn converse(
    target: &Target,
    conversation: &Conversation,
    count: usize,
) -> Result<Value> {
    let request = conversation.request(target, "once");
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(request.address).await?;
        let sent = Instant::now();
        let answered = answer(&mut connection, &request, conversation.calls);
        timeout(PATIENCE, answered)
            .await
            .context("a conversation does not end")??;
        latencies.push(sent.elapsed());
    }
    latencies.sort_unstable();
    Ok(
        json!({ "conversations": count, "p50_us": micros(&latencies, 0.50), "p99_us": micros(&latencies, 0.99) }),
    )
}

async fn answer(connection: &mut Connection, request: &Request, calls: usize) -> Result<()> {
    ask(connection, request).await?;
    for _ in 0..calls {
        connection.skip_past(CALLED).await?;
    }
    connection.skip_past(b"event: response.completed").await
}

/// Begins `count` conversations that do not end, prints `holding` when all of them stream, and reads what they say until
/// standard input ends.
pub(crate) async fn stream(
    target: &Target,
    conversation: &Conversation,
    count: usize,
) -> Result<Value> {
    let request = conversation.request(target, "endless");
    let (streaming, mut ready) = mpsc::channel(count);
    let mut conversations = JoinSet::new();
    for _ in 0..count {
        let (request, streaming) = (request.clone(), streaming.clone());
        conversations.spawn(async move {
            let mut connection = Connection::open(request.address).await?;
            ask(&mut connection, &request).await?;
            for _ in 0..STREAMING {
                connection.skip_past(b"output_text.delta").await?;
            }
            streaming.send(()).await?;
            connection.closed().await
        });
    }
    let all_stream = async {
        for _ in 0..count {
            ready.recv().await;
        }
    };
    tokio::select! {
        streaming = timeout(PATIENCE, all_stream) => streaming.context("not all conversations stream")?,
        Some(ended) = conversations.join_next() => {
            ended??;
            bail!("an endless answer has ended");
        }
    }
    writeln!(std::io::stdout(), "holding")?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    let streaming = conversations.len();
    ensure!(
        conversations.try_join_next().is_none(),
        "an endless answer has ended"
    );
    Ok(json!({ "conversations": streaming }))
}
