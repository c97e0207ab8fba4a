//! Where a run puts what the client gets, and how the run notices that nobody wants it any more.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use tokio::sync::mpsc;

use super::super::refusal::Refusal;

/// SDKs try again within eight seconds of a broken connection, and then find the run alive.
const GRACE: Duration = Duration::from_secs(15);
/// Frames that a client may be behind before the run waits for it.
const AHEAD: usize = 64;

#[derive(Debug)]
pub(super) enum Piece {
    /// The answer begins: from here on it is a success. Fields that the vendor has no place for are
    /// told in a header.
    Begin {
        dropped: Vec<String>,
    },
    Frames(Bytes),
    /// The whole answer, for clients that do not stream. Last.
    Finish(String),
    /// Nothing was begun. Last.
    Refuse {
        refusal: Refusal,
        may_retry: bool,
    },
    /// It was begun, and cannot be completed. Last.
    Fail {
        object: String,
        refusal: Refusal,
        may_retry: bool,
    },
    /// The vendor's own answer. Last.
    Pass(Response<Bytes>),
}

#[derive(Debug, Clone)]
pub(super) struct Outlet {
    pieces: mpsc::Sender<Piece>,
}

impl Outlet {
    pub(super) fn new() -> (Self, mpsc::Receiver<Piece>) {
        let (pieces, received) = mpsc::channel(AHEAD);
        (Self { pieces }, received)
    }

    /// Does nothing when nobody listens: a run may have reasons to go on.
    pub(super) async fn put(&self, piece: Piece) {
        let _ = self.pieces.send(piece).await;
    }

    pub(super) async fn frames(&self, frames: Vec<u8>) {
        if !frames.is_empty() {
            self.put(Piece::Frames(frames.into())).await;
        }
    }

    /// Resolves when nobody has listened for a while.
    pub(super) async fn abandoned(&self) {
        self.pieces.closed().await;
        tokio::time::sleep(GRACE).await;
    }

    /// Whether somebody listens, or begins to within a while.
    pub(super) async fn is_abandoned(&self) -> bool {
        if !self.pieces.is_closed() {
            return false;
        }
        self.abandoned().await;
        true
    }
}
