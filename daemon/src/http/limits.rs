//! What a client may make us hold of its request body: its size, the time it takes, and the memory
//! of all bodies together.
//!
//! A body that decides something is read whole before, so without these limits one client with many
//! slow ones could take all connections or all memory. Uploads to model APIs, which are held nowhere, have
//! only the limit of time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// A body may keep us waiting this long in all, and a second more for every [`RATE`] bytes that came.
const PATIENCE: Duration = Duration::from_secs(30);
const RATE: usize = 16 * 1024;
/// Memory for the parts of all bodies beyond [`SMALL`].
const ROOM: usize = 256 * 1024 * 1024;
/// So much of every body needs no room: the limit of connections bounds it well enough.
const SMALL: usize = 64 * 1024;
/// A refused body is read on so far and so long, because most clients look for an answer only when
/// they have sent all of it.
const DISCARDED: usize = 64 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Cloneable handle; the clones share the room.
#[derive(Debug, Clone)]
pub struct BodyLimits {
    max_bytes: usize,
    room: Arc<Semaphore>,
}

/// Why a body was not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is larger than {0} bytes, max_request_bytes in config.json")]
    TooLarge(usize),
    #[error(
        "the body came too slowly: nothing of it came for {} s in all, and a second more for every {RATE} \
         bytes; send it again",
        PATIENCE.as_secs()
    )]
    TooSlow,
    #[error("the bodies of other requests take all memory there is for them; try again")]
    NoRoom,
    #[error("the body broke off")]
    BrokenOff,
}

/// How slowly a body comes. Only the time in which we wait for it counts.
#[derive(Debug, Default)]
pub struct Pace {
    length: usize,
    /// Until the last piece came.
    waited: Duration,
    /// Since when we wait for the next.
    since: Option<Instant>,
}

impl Pace {
    /// We wait, from now on if we have not before. Until when.
    pub fn deadline(&mut self) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        let earned = Duration::from_secs((self.length / RATE) as u64);
        since + (PATIENCE + earned).saturating_sub(self.waited)
    }

    /// We do not wait any more.
    pub fn came(&mut self, bytes: usize) {
        self.length += bytes;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }
}

impl BodyLimits {
    pub fn new(max_bytes: u64) -> Self {
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let room = ROOM.max(max_bytes).min(Semaphore::MAX_PERMITS);
        Self {
            max_bytes,
            room: Arc::new(Semaphore::new(room)),
        }
    }

    /// Reads `body` to its end. What it takes of the room is given back when the last clone of the
    /// bytes is dropped.
    pub async fn read(&self, headers: &HeaderMap, mut body: Body) -> Result<Bytes, BodyError> {
        let read = self.take(announced(headers), &mut body).await;
        if matches!(read, Err(BodyError::TooLarge(_))) && !waits(headers) {
            discard(body).await;
        }
        read
    }

    /// Whether a body with these headers is known not to be too large.
    pub fn fits(&self, headers: &HeaderMap) -> bool {
        announced(headers).is_some_and(|length| length <= self.max_bytes)
    }

    async fn take(&self, announced: Option<usize>, body: &mut Body) -> Result<Bytes, BodyError> {
        let too_large = BodyError::TooLarge(self.max_bytes);
        if announced.is_some_and(|length| length > self.max_bytes) {
            return Err(too_large);
        }
        let mut pace = Pace::default();
        let mut room: Option<OwnedSemaphorePermit> = None;
        let mut length = 0;
        // Nearly every body comes in one piece, which is not copied.
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        loop {
            let Ok(frame) = timeout_at(pace.deadline(), body.frame()).await else {
                return Err(BodyError::TooSlow);
            };
            let Some(frame) = frame else { break };
            // Trailers are dropped: nothing in MCP uses them.
            let Ok(data) = frame.map_err(|_| BodyError::BrokenOff)?.into_data() else {
                continue;
            };
            length += data.len();
            pace.came(data.len());
            if length > self.max_bytes {
                return Err(too_large);
            }
            self.reserve(&mut room, length)?;
            if first.is_empty() {
                first = data;
                continue;
            }
            if whole.is_empty() {
                whole.reserve(announced.unwrap_or(length));
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
        let bytes = if whole.is_empty() {
            first
        } else {
            whole.freeze()
        };
        Ok(match room {
            Some(room) => Bytes::from_owner(Held { bytes, _room: room }),
            None => bytes,
        })
    }

    /// Makes `held` cover a body of `length` bytes.
    fn reserve(
        &self,
        held: &mut Option<OwnedSemaphorePermit>,
        length: usize,
    ) -> Result<(), BodyError> {
        let has = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let lacks = length.saturating_sub(SMALL + has);
        if lacks == 0 {
            return Ok(());
        }
        // One piece of a body is never near 4 GiB.
        let lacks = u32::try_from(lacks).map_err(|_| BodyError::NoRoom)?;
        let more = Arc::clone(&self.room).try_acquire_many_owned(lacks);
        let more = more.map_err(|_| BodyError::NoRoom)?;
        match held {
            Some(held) => held.merge(more),
            None => *held = Some(more),
        }
        Ok(())
    }
}

/// A body and the room it takes.
struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Whether the client waits for permission to send the body, so that nobody has to read it.
pub fn waits(headers: &HeaderMap) -> bool {
    headers.contains_key(header::EXPECT)
}

/// Reads on what nobody wants, for a while, so that the client gets to its answer.
pub async fn discard(mut body: Body) {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > DISCARDED {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARD_TIME, reading).await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http::HeaderValue;

    use super::*;

    const KIB: usize = 1024;

    fn pieces(count: usize, size: usize, pause: Duration) -> Body {
        let pieces = stream::iter(0..count).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(vec![b'x'; size])
        });
        Body::from_stream(pieces)
    }

    async fn read(limits: &BodyLimits, body: Body) -> Result<Bytes, BodyError> {
        limits.read(&HeaderMap::new(), body).await
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied_and_others_are_put_together() {
        let limits = BodyLimits::new(100);
        let sent = Bytes::from(vec![b'x'; 10]);
        let got = read(&limits, Body::from(sent.clone())).await.unwrap();
        assert_eq!(got.as_ptr(), sent.as_ptr());
        let got = read(&limits, pieces(3, 10, Duration::ZERO)).await.unwrap();
        assert_eq!(got, vec![b'x'; 30]);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_announced_or_not() {
        let limits = BodyLimits::new(100);
        let too_large = Err(BodyError::TooLarge(100));
        assert_eq!(
            read(&limits, pieces(11, 10, Duration::ZERO)).await,
            too_large
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("101"));
        let body = Body::from(vec![b'x'; 101]);
        assert_eq!(limits.read(&headers, body).await, too_large);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_makes_progress_may_take_long_and_one_that_drips_may_not() {
        let limits = BodyLimits::new(u64::MAX);
        let steady = pieces(300, 16 * KIB, Duration::from_secs(1));
        assert_eq!(read(&limits, steady).await.unwrap().len(), 300 * 16 * KIB);
        let begun = Instant::now();
        let dripping = pieces(300, 1, Duration::from_secs(1));
        assert_eq!(read(&limits, dripping).await, Err(BodyError::TooSlow));
        assert_eq!(begun.elapsed(), PATIENCE);
        let silent = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
        assert_eq!(read(&limits, silent).await, Err(BodyError::TooSlow));
    }

    #[tokio::test]
    async fn all_bodies_share_one_room_and_give_it_back_when_dropped() {
        let limits = BodyLimits {
            max_bytes: usize::MAX,
            room: Arc::new(Semaphore::new(100 * KIB)),
        };
        let large = || pieces(10, 15 * KIB, Duration::ZERO);
        let held = read(&limits, large()).await.unwrap();
        let copy = held.clone();
        drop(held);
        assert_eq!(read(&limits, large()).await, Err(BodyError::NoRoom));
        let small = pieces(4, 16 * KIB, Duration::ZERO);
        assert!(read(&limits, small).await.is_ok(), "needs no room");
        drop(copy);
        assert!(read(&limits, large()).await.is_ok());
        assert_eq!(limits.room.available_permits(), 100 * KIB);
    }
}
