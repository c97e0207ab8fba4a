//! What is sent: bytes that are at hand, or a body as it comes in.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::watch;
use tokio::time::Instant;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that is passed on while it comes in.
pub type PassingBody = UnsyncBoxBody<Bytes, BoxError>;

pub(super) enum Payload {
    Whole(Full<Bytes>),
    Passing {
        body: PassingBody,
        /// When something of it last came.
        moved: watch::Sender<Instant>,
    },
}

impl Payload {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }

    /// And what tells when something of it last came.
    pub(super) fn passing(body: PassingBody) -> (Self, watch::Receiver<Instant>) {
        let (moved, when) = watch::channel(Instant::now());
        (Self::Passing { body, moved }, when)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Self::Passing { body, moved } => {
                let frame = ready!(Pin::new(body).poll_frame(context));
                moved.send_replace(Instant::now());
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Passing { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Passing { body, .. } => body.size_hint(),
        }
    }
}
