//! Just enough HTTP/1.1 for both ends: messages with `Content-Length` or chunks, on connections that stay open.

use std::fmt::Write;
use std::io;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request that is sent over and over.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) address: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body_length: usize,
}

impl Request {
    /// A `tools/call` whose message is `size` bytes long.
    pub(crate) fn call(address: SocketAddr, path: &str, token: Option<&str>, size: usize) -> Self {
        let (before, after) = (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":""#,
            r#""}}}"#,
        );
        let padding = "x".repeat(size.saturating_sub(before.len() + after.len()));
        Self::new(
            "POST",
            address,
            path,
            token,
            &format!("{before}{padding}{after}"),
        )
    }

    /// A GET that is answered by a stream of events.
    pub(crate) fn stream(address: SocketAddr, path: &str, token: Option<&str>) -> Self {
        Self::new("GET", address, path, token, "")
    }

    /// A POST of JSON.
    pub(crate) fn post(address: SocketAddr, path: &str, token: Option<&str>, body: &str) -> Self {
        Self::new("POST", address, path, token, body)
    }

    fn new(method: &str, address: SocketAddr, path: &str, token: Option<&str>, body: &str) -> Self {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nAccept: application/json, text/event-stream\r\n\
             MCP-Protocol-Version: 2025-11-25\r\n",
            address.port()
        );
        // Writing to a String cannot fail.
        if let Some(token) = token {
            let _ = write!(head, "Authorization: Bearer {token}\r\n");
        }
        if !body.is_empty() {
            let _ = write!(
                head,
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        Self {
            address,
            bytes: format!("{head}\r\n{body}").into_bytes(),
            body_length: body.len(),
        }
    }
}

/// A connection and what was read beyond the last message.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The start line and headers of a message; the body follows in the connection.
pub(crate) struct Head {
    pub(crate) text: String,
    pub(crate) content_length: Option<usize>,
    pub(crate) chunked: bool,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        Self::new(stream)
    }

    pub(crate) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
        })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads the head of the next message; None when the peer closed between messages.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.more().await? {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                bail!("the connection ended inside a message");
            }
        };
        let text = String::from_utf8(self.buffer.drain(..end).collect())?.to_ascii_lowercase();
        let header = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        let content_length = header("content-length:").map(str::parse).transpose()?;
        let chunked = header("transfer-encoding:") == Some("chunked");
        Ok(Some(Head {
            content_length,
            chunked,
            text,
        }))
    }

    /// Reads a body of known length into `body`.
    pub(crate) async fn body(&mut self, length: usize, body: &mut Vec<u8>) -> Result<()> {
        while self.buffer.len() < length {
            if !self.more().await? {
                bail!("the connection ended inside a body");
            }
        }
        body.clear();
        body.extend(self.buffer.drain(..length));
        Ok(())
    }

    /// Reads until `mark` has been seen and drops everything up to it.
    pub(crate) async fn skip_past(&mut self, mark: &[u8]) -> Result<()> {
        loop {
            if let Some(at) = find(&self.buffer, mark) {
                self.buffer.drain(..at + mark.len());
                return Ok(());
            }
            if !self.more().await? {
                bail!(
                    "the connection ended before {:?}",
                    String::from_utf8_lossy(mark)
                );
            }
        }
    }

    /// Waits for the peer to close.
    pub(crate) async fn closed(&mut self) -> Result<()> {
        while self.more().await? {
            self.buffer.clear();
        }
        Ok(())
    }

    async fn more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}
