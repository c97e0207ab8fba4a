//! Where a run puts what the client gets, and how the run notices that nobody wants it any more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;

use super::super::hub::{self, Producer};
use super::super::refusal::Refusal;

/// SDKs try again within eight seconds of a broken connection, and then find the run alive.
const GRACE: Duration = Duration::from_secs(15);
/// What a piece occupies besides its text.
const PIECE: usize = 128;

#[derive(Debug, Clone)]
pub(in crate::adapters) enum Piece {
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

impl hub::Piece for Piece {
    fn bytes(&self) -> usize {
        PIECE
            + match self {
                Self::Begin { .. } | Self::Refuse { .. } => 0,
                Self::Frames(frames) => frames.len(),
                Self::Finish(object) | Self::Fail { object, .. } => object.len(),
                Self::Pass(response) => response.body().len(),
            }
    }
}

/// Cloneable handle.
#[derive(Clone)]
pub(super) struct Outlet {
    producer: Arc<Producer<Piece>>,
}

impl Outlet {
    pub(super) fn new(producer: Producer<Piece>) -> Self {
        let producer = Arc::new(producer);
        Self { producer }
    }

    /// Does nothing when nobody listens: a run may have reasons to go on.
    pub(super) async fn put(&self, piece: Piece) {
        self.producer.put(piece).await;
    }

    pub(super) async fn frames(&self, frames: Vec<u8>) {
        if !frames.is_empty() {
            self.put(Piece::Frames(frames.into())).await;
        }
    }

    /// The whole answer, which whoever sends the request again gets, too.
    pub(super) async fn finish(&self, object: String) {
        self.put(Piece::Finish(object)).await;
        self.producer.complete();
    }

    /// Resolves when nobody has listened for a while.
    pub(super) async fn deserted(&self) {
        self.producer.deserted(GRACE).await;
    }

    /// Lets nobody listen any more, unless somebody does.
    pub(super) fn give_up(&self) -> bool {
        self.producer.give_up()
    }

    /// Resolves when nobody has listened for a while. Nobody can begin to any more then.
    pub(super) async fn abandoned(&self) {
        self.producer.abandoned(GRACE).await;
    }

    /// Whether nobody listens, or begins to within a while. Nobody can any more then.
    pub(super) async fn is_abandoned(&self) -> bool {
        self.producer.is_abandoned(GRACE).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{sleep, timeout};

    use super::super::super::hub::{Hub, Joined};
    use super::*;
    use crate::lifecycle::Lifecycle;
    use crate::types::Digest;

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_in_time_is_answered() {
        let hub: Hub<Piece> = Hub::new(&Lifecycle::new());
        let key = Digest::of(b"request");
        let (producer, reader) = hub.open(key);
        let outlet = Outlet::new(producer);
        assert!(!outlet.is_abandoned().await);
        drop(reader);
        let back = async {
            sleep(GRACE / 2).await;
            match hub.join(key) {
                Ok(Joined::Reader(reader)) => reader,
                _ => panic!("nothing to join"),
            }
        };
        let asked = timeout(GRACE * 3, outlet.is_abandoned());
        let (is_abandoned, reader) = tokio::join!(asked, back);
        assert!(!is_abandoned.expect("an answer as soon as somebody is back"));
        drop(reader);
        assert!(outlet.is_abandoned().await);
        assert!(matches!(hub.join(key), Ok(Joined::Open(..))));
    }
}
