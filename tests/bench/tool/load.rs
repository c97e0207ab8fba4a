//! The load generator: every connection sends its next request when the last answer is complete.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::message::{Connection, Head, Request};

/// Calls for `duration` on `connections` connections.
pub(crate) async fn calls(
    request: Request,
    connections: usize,
    duration: Duration,
) -> Result<Value> {
    let mut workers = JoinSet::new();
    let started = Instant::now();
    for _ in 0..connections {
        let request = request.clone();
        workers.spawn(async move {
            let mut connection = Connection::open(request.address).await?;
            let mut latencies = Vec::new();
            while started.elapsed() < duration {
                let sent = Instant::now();
                exchange(&mut connection, &request).await?;
                latencies.push(sent.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(worker) = workers.join_next().await {
        latencies.extend(worker??);
    }
    let seconds = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    ensure!(
        !latencies.is_empty(),
        "no call was answered within {duration:?}"
    );
    Ok(json!({
        "calls": latencies.len(),
        "per_second": latencies.len() as f64 / seconds,
        "p50_us": micros(&latencies, 0.50),
        "p99_us": micros(&latencies, 0.99),
    }))
}

/// Sends `request`; the head of its answer, which is a success.
pub(crate) async fn ask(connection: &mut Connection, request: &Request) -> Result<Head> {
    connection.send(&request.bytes).await?;
    let head = connection
        .head()
        .await?
        .context("the connection was closed instead of an answer")?;
    ensure!(
        head.text.starts_with("http/1.1 200"),
        "unexpected answer: {}",
        head.text
    );
    Ok(head)
}

async fn exchange(connection: &mut Connection, request: &Request) -> Result<()> {
    let head = ask(connection, request).await?;
    let mut body = Vec::new();
    match head.content_length {
        Some(length) => {
            ensure!(
                length == request.body_length,
                "{length} bytes came back instead of {}",
                request.body_length
            );
            connection.body(length, &mut body).await
        }
        None if head.chunked => connection.skip_past(b"\r\n0\r\n\r\n").await,
        None => bail!("an answer without length"),
    }
}

/// Opens `count` streams in turn and takes the time from the request to the first event.
pub(crate) async fn first_event(request: Request, count: usize) -> Result<Value> {
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(request.address).await?;
        let sent = Instant::now();
        await_event(&mut connection, &request).await?;
        latencies.push(sent.elapsed());
    }
    latencies.sort_unstable();
    Ok(
        json!({ "streams": count, "p50_us": micros(&latencies, 0.50), "p99_us": micros(&latencies, 0.99) }),
    )
}

/// Opens `count` streams, prints `holding`, and keeps them open until standard input ends.
pub(crate) async fn hold(request: Request, count: usize) -> Result<Value> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = Connection::open(request.address).await?;
        await_event(&mut connection, &request).await?;
        streams.push(connection);
    }
    writeln!(std::io::stdout(), "holding")?;
    // Nothing else runs here, so blocking the only thread is what is wanted: the streams stay idle.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(json!({ "streams": streams.len() }))
}

async fn await_event(connection: &mut Connection, request: &Request) -> Result<()> {
    ask(connection, request).await?;
    connection.skip_past(b"data: ").await
}

pub(crate) fn micros(sorted: &[Duration], quantile: f64) -> f64 {
    let index = ((sorted.len() - 1) as f64 * quantile).round() as usize;
    sorted.get(index).map_or(0.0, |d| d.as_secs_f64() * 1e6)
}
