//! The upstream: echoes request bodies, streams events, refuses callers without the token.

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::message::{Connection, Head};
use crate::model;

pub(crate) async fn serve(port: u16, token: String) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let credential = format!("authorization: bearer {token}").to_ascii_lowercase();
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        let credential = credential.clone();
        connections.spawn(async move {
            // A peer that goes away ends its connection and nothing else.
            let _ = answer_all(Connection::new(stream)?, &credential).await;
            anyhow::Ok(())
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer_all(mut connection: Connection, credential: &str) -> Result<()> {
    let mut answer = Vec::new();
    let mut body = Vec::new();
    while let Some(head) = connection.head().await? {
        connection
            .body(head.content_length.unwrap_or(0), &mut body)
            .await?;
        if !head.text.lines().any(|line| line == credential) {
            connection
                .send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
                .await?;
        } else if head.text.starts_with("get ") {
            return stream(connection).await;
        } else if head.text.starts_with("post /v1/responses") {
            model::speak(&mut connection, &body).await?;
        } else if head.text.starts_with("post /tools") {
            model::call_tool(&mut connection, &body).await?;
        } else {
            answer.clear();
            answer.extend_from_slice(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ",
            );
            answer.extend_from_slice(length(&head)?.to_string().as_bytes());
            answer.extend_from_slice(b"\r\n\r\n");
            answer.extend_from_slice(&body);
            connection.send(&answer).await?;
        }
    }
    Ok(())
}

fn length(head: &Head) -> Result<usize> {
    head.content_length
        .context("a request without Content-Length")
}

/// One event at once, then silence until the peer leaves.
async fn stream(mut connection: Connection) -> Result<()> {
    let event = ": open\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection
        .send(format!("{head}{:x}\r\n{event}\r\n", event.len()).as_bytes())
        .await?;
    connection.closed().await
}
