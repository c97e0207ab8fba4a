//! A client's body on its way to the vendor, as it comes in.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};

use crate::http::limits::{self, BodyError, Pace};
use crate::lifecycle::Lifecycle;

pub(super) struct Upload {
    body: Body,
    /// There is more of it, and the client sends it.
    comes: bool,
    taken: Arc<Taken>,
    pace: Pace,
    /// Ends the wait for the client. None until it is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    lifecycle: Lifecycle,
}

/// What came of it, for whoever sends it.
#[derive(Debug, Default)]
pub(super) struct Taken {
    bytes: AtomicUsize,
    is_too_slow: AtomicBool,
}

impl Taken {
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            bytes: bytes.into(),
            ..Self::default()
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Why it was broken off here.
    pub(super) fn failure(&self) -> Option<BodyError> {
        let is_too_slow = self.is_too_slow.load(Ordering::Relaxed);
        is_too_slow.then_some(BodyError::TooSlow)
    }
}

impl Upload {
    /// `comes` where the client sends it without waiting for permission.
    pub(super) fn new(
        (body, comes): (Body, bool),
        taken: Arc<Taken>,
        lifecycle: Lifecycle,
    ) -> Self {
        Self {
            body,
            comes,
            taken,
            pace: Pace::default(),
            timer: None,
            lifecycle,
        }
    }

    /// Resolves when it came too slowly. A vendor that takes nothing does not ask for it, so that its time
    /// is not the client's.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<BodyError> {
        let deadline = self.pace.deadline();
        let new = || Box::pin(sleep_until(deadline));
        let timer = self.timer.get_or_insert_with(new);
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(context));
        self.comes = false;
        self.taken.is_too_slow.store(true, Ordering::Relaxed);
        Poll::Ready(BodyError::TooSlow)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        this.comes = true;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            let error = ready!(this.poll_too_slow(context));
            return Poll::Ready(Some(Err(error.into())));
        };
        this.comes = matches!(frame, Some(Ok(_))) && !this.body.is_end_stream();
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            this.pace.came(length);
            this.taken.bytes.fetch_add(length, Ordering::Relaxed);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    /// What the client has announced.
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Upload {
    /// A vendor may answer before it has all of it. A client that is still sending would then be cut
    /// off before it has read the answer.
    fn drop(&mut self) {
        if self.comes {
            let rest = limits::discard(std::mem::take(&mut self.body));
            self.lifecycle.spawn("rest of an upload", rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;
    use tokio::time::{Instant, sleep};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Of pieces that each come so long after the last was taken.
    fn upload(pauses: Vec<Duration>, size: usize) -> (Upload, Arc<Taken>) {
        let pieces = stream::iter(pauses).then(move |pause| async move {
            sleep(pause).await;
            Ok::<_, Infallible>(vec![b'x'; size])
        });
        let taken = Arc::new(Taken::new(0));
        let body = (Body::from_stream(pieces), true);
        (
            Upload::new(body, Arc::clone(&taken), Lifecycle::new()),
            taken,
        )
    }

    /// Takes a piece each time that so long has passed.
    async fn sent(upload: &mut Upload, pause: Duration) -> Result<(), String> {
        while let Some(frame) = upload.frame().await {
            frame.map_err(|error| error.to_string())?;
            sleep(pause).await;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_drips_is_cut_off_and_one_that_makes_progress_is_not() {
        let (mut steady, taken) = upload(vec![SECOND; 300], 16 * 1024);
        assert_eq!(sent(&mut steady, Duration::ZERO).await, Ok(()));
        assert_eq!((taken.bytes(), taken.failure()), (300 * 16 * 1024, None));
        let begun = Instant::now();
        for pauses in [vec![SECOND; 300], vec![SECOND * 600]] {
            let (mut slow, taken) = upload(pauses, 1);
            let error = sent(&mut slow, Duration::ZERO).await.unwrap_err();
            assert_eq!(error, BodyError::TooSlow.to_string());
            assert_eq!(taken.failure(), Some(BodyError::TooSlow));
            assert!(!slow.comes, "nobody waits for the rest");
        }
        assert_eq!(begun.elapsed(), SECOND * 60);
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_vendor_takes_nothing_is_not_the_clients() {
        let (mut upload, taken) = upload(vec![SECOND; 29], 1);
        assert_eq!(sent(&mut upload, SECOND * 3600).await, Ok(()));
        assert_eq!((taken.bytes(), taken.failure()), (29, None));
        let (mut slow, _) = super::tests::upload(vec![SECOND; 31], 1);
        assert!(sent(&mut slow, SECOND * 3600).await.is_err());
    }
}
