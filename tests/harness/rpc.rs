//! The control API without the types of its schema: any method, called with any bytes.

use std::path::Path;
use std::time::Duration;

use axum::http::uri::PathAndQuery;
use bytes::{Buf as _, BufMut as _, Bytes};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, client};

/// A stream that says nothing for so long has said what it has to say.
const SILENCE: Duration = Duration::from_millis(300);

#[derive(Debug, Clone)]
pub struct RpcSocket {
    channel: Channel,
}

impl RpcSocket {
    pub async fn connect(socket: &Path) -> Self {
        let address = format!("unix:{}", socket.display());
        let endpoint = Endpoint::from_shared(address).unwrap();
        Self {
            channel: endpoint.connect().await.unwrap(),
        }
    }

    /// Calls `path`, such as `/mcpbridge.v1.Tools/CallTool`, and returns the messages of the answer: one,
    /// or what a stream had to say.
    ///
    /// # Errors
    /// What the daemon answers instead, also when it comes after the first messages.
    pub async fn call(&self, path: &str, message: Bytes) -> Result<Vec<Bytes>, Status> {
        let mut grpc = client::Grpc::new(self.channel.clone());
        let ready = grpc.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::try_from(path).unwrap();
        // An answer of one message is a stream that ends after it.
        let answer = grpc.server_streaming(Request::new(message), path, Raw);
        let mut stream = answer.await?.into_inner();
        let mut said = Vec::new();
        while let Ok(next) = tokio::time::timeout(SILENCE, stream.message()).await {
            match next? {
                Some(message) => said.push(message),
                None => break,
            }
        }
        Ok(said)
    }
}

struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}
