//! The event stream of a call that waits, as long as it is ours: before the server's answer.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::carrier::marker;
use crate::approval::Item;
use crate::pipeline::body::Pieces;

/// How our progress grows. So little that the server's own numbers, which begin anew, soon pass it.
const STEP: f64 = 0.0001;

/// An open event stream. Sending into one that nobody reads does nothing.
pub(super) struct Events {
    pub(super) pieces: Pieces,
    /// The client wants to hear how it goes; what it hears resets its patience.
    token: Option<Box<RawValue>>,
    told: u32,
}

impl Events {
    pub(super) fn new(pieces: Pieces, token: Option<Box<RawValue>>) -> Self {
        Self {
            pieces,
            token,
            told: 0,
        }
    }

    /// The progress that was told last.
    pub(super) fn progress(&self) -> f64 {
        f64::from(self.told) * STEP
    }

    /// Whether the client hears how it goes, and so knows that it should wait.
    pub(super) fn tells_progress(&self) -> bool {
        self.token.is_some()
    }

    /// Shows that the call is alive; a client that does not read is not waited for.
    pub(super) fn keep_alive(&mut self, item: &Item) {
        let Some(token) = &self.token else {
            let comment = Bytes::from_static(b": waiting for approval\n\n");
            return self.pieces.send_if_read(comment);
        };
        self.told += 1;
        let notice = json!({
            "jsonrpc": "2.0",
            "method": "notifications/progress",
            "params": {
                "progressToken": token,
                "progress": self.progress(),
                "message": format!("waiting for approval {}", item.id),
                "_meta": marker(item),
            },
        });
        self.pieces
            .send_if_read(event(notice.to_string().as_bytes()));
    }

    pub(super) async fn notice(&self, notice: &Value) {
        self.message(notice.to_string().as_bytes()).await;
    }

    /// `json` is in one line.
    pub(super) async fn message(&self, json: &[u8]) {
        self.pieces.send(event(json)).await;
    }
}

/// One event with a message, which is in one line.
pub(super) fn event(json: &[u8]) -> Bytes {
    [b"event: message\ndata: ", json, b"\n\n"].concat().into()
}
