//! The answer on its way to the client, and what happens to it when the client goes away.
//!
//! 2026-07-28: a closed response stream cancels the request, so the server's side is closed too.
//! Before that a closed stream means nothing, and a server may still be working: the exchange is
//! carried to its end without the client, so that the server does not notice (`Last-Event-ID` can
//! then resume it).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::record::Record;
use crate::lifecycle::Lifecycle;

/// An abandoned answer is read this far and this long, no further.
pub(super) const DRAIN_BYTES: usize = 16 * 1024 * 1024;
pub(super) const DRAIN_TIME: Duration = Duration::from_secs(300);
/// Pieces of a made body that wait for the client.
const PIECES: usize = 4;

/// What the end of the client's interest means for the server.
#[derive(Clone)]
pub(super) enum OnDisconnect {
    /// The server's side is closed at once.
    Cancel,
    /// The exchange goes on in the background.
    Finish(Lifecycle),
}

/// Why an answer ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    #[error(transparent)]
    Upstream(#[from] hyper::Error),
    #[error("{0}")]
    Broken(String),
}

/// An answer, piece by piece as it comes. Also holds the call's place among the streams and writes
/// its log line at the end.
pub struct RelayBody {
    source: Source,
    record: Record,
    permit: Option<OwnedSemaphorePermit>,
}

enum Source {
    /// What a server sends, as it sends it.
    Upstream {
        incoming: Incoming,
        on_disconnect: OnDisconnect,
        /// For streams without an end of their own: they end when the daemon stops.
        until: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    },
    /// What `work` says. Dropping the body drops the work.
    Made {
        work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
        pieces: mpsc::Receiver<Piece>,
    },
    Whole(Bytes),
    Over,
}

type Piece = Result<Bytes, RelayError>;

/// Where the work behind a made body says what the body is.
#[derive(Clone)]
pub(super) struct Pieces(mpsc::Sender<Piece>);

impl Pieces {
    /// False when nobody listens any more.
    pub(super) async fn send(&self, piece: Bytes) -> bool {
        self.0.send(Ok(piece)).await.is_ok()
    }

    /// Resolves when nobody listens any more.
    pub(super) async fn left(&self) {
        self.0.closed().await;
    }

    /// Says something that can be left out, unless the client has more than enough to read.
    pub(super) fn send_if_read(&self, piece: Bytes) {
        let _ = self.0.try_send(Ok(piece));
    }

    /// Ends the body in a way that no client takes for its end.
    pub(super) async fn break_off(&self, error: RelayError) {
        let _ = self.0.send(Err(error)).await;
    }
}

impl RelayBody {
    pub(super) fn relayed(
        incoming: Incoming,
        record: Record,
        permit: OwnedSemaphorePermit,
        on_disconnect: OnDisconnect,
        until: Option<WaitForCancellationFutureOwned>,
    ) -> Self {
        let source = Source::Upstream {
            incoming,
            on_disconnect,
            until: until.map(Box::pin),
        };
        Self {
            source,
            record,
            permit: Some(permit),
        }
    }

    /// A body that the future of `work` fills while the client reads it.
    pub(super) fn made<F>(work: impl FnOnce(Pieces) -> F, record: Record) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(PIECES);
        let work = Some(Box::pin(work(Pieces(sender))) as _);
        Self {
            source: Source::Made { work, pieces },
            record,
            permit: None,
        }
    }

    pub(super) fn whole(bytes: Bytes, record: Record) -> Self {
        Self {
            source: Source::Whole(bytes),
            record,
            permit: None,
        }
    }

    fn poll_source(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        match &mut self.source {
            Source::Upstream {
                incoming, until, ..
            } => match Pin::new(incoming).poll_frame(context) {
                Poll::Ready(frame) => Poll::Ready(frame.map(|frame| Ok(frame?))),
                Poll::Pending => {
                    let Some(until) = until else {
                        return Poll::Pending;
                    };
                    ready!(until.as_mut().poll(context));
                    Poll::Ready(None)
                }
            },
            Source::Made { work, pieces } => {
                if let Poll::Ready(Some(piece)) = pieces.poll_recv(context) {
                    return Poll::Ready(Some(piece.map(Frame::data)));
                }
                if let Some(working) = work
                    && working.as_mut().poll(context).is_ready()
                {
                    *work = None;
                }
                // Pieces are open as long as the work is, or a task that it started.
                let piece = ready!(pieces.poll_recv(context));
                Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
            }
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Over => Poll::Ready(None),
        }
    }
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let this = self.get_mut();
        let frame = ready!(this.poll_source(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.record.relayed(data);
                }
            }
            Some(Err(error)) => {
                this.record.broken_off(error);
                this.source = Source::Over;
            }
            None => {
                this.record.complete();
                this.source = Source::Over;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Upstream { incoming, .. } => incoming.is_end_stream(),
            Source::Made { .. } => false,
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Upstream { incoming, .. } => incoming.size_hint(),
            Source::Made { .. } => SizeHint::default(),
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}

impl Drop for RelayBody {
    fn drop(&mut self) {
        // A body of known length is not polled again behind its last byte.
        if self.is_end_stream() {
            self.record.complete();
            return;
        }
        if let Source::Upstream {
            incoming,
            on_disconnect: OnDisconnect::Finish(lifecycle),
            ..
        } = std::mem::replace(&mut self.source, Source::Over)
            && let Some(permit) = self.permit.take()
        {
            in_background(&lifecycle, "abandoned answer", async move {
                let _ = tokio::time::timeout(DRAIN_TIME, drain(incoming)).await;
                drop(permit);
            });
        }
    }
}

async fn drain(mut incoming: Incoming) {
    let mut read = 0;
    while let Some(Ok(frame)) = incoming.frame().await {
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > DRAIN_BYTES {
            return;
        }
    }
}

/// Runs `future` to its end even if it is dropped before: then in the background.
pub(super) struct FinishAnyway<F: Answering> {
    future: Option<Pin<Box<F>>>,
    lifecycle: Lifecycle,
}

/// The future of an answer.
pub(super) trait Answering:
    Future<Output = Result<Response<RelayBody>, super::CallError>> + Send + 'static
{
}

impl<F> Answering for F where
    F: Future<Output = Result<Response<RelayBody>, super::CallError>> + Send + 'static
{
}

impl<F: Answering> FinishAnyway<F> {
    pub(super) fn new(future: F, lifecycle: Lifecycle) -> Self {
        Self {
            future: Some(Box::pin(future)),
            lifecycle,
        }
    }
}

impl<F: Answering> Future for FinishAnyway<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(future) = &mut self.future else {
            return Poll::Pending;
        };
        let output = ready!(future.as_mut().poll(context));
        self.future = None;
        Poll::Ready(output)
    }
}

impl<F: Answering> Drop for FinishAnyway<F> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            // The answer's body is dropped unread, which drains it.
            in_background(&self.lifecycle, "abandoned call", async move {
                drop(future.await)
            });
        }
    }
}

/// Background work on behalf of nobody: it ends with the daemon.
fn in_background(
    lifecycle: &Lifecycle,
    name: &'static str,
    work: impl Future<Output = ()> + Send + 'static,
) {
    // Dropped while the runtime itself is going down: there is nothing left to run on.
    if lifecycle.is_stopping() || tokio::runtime::Handle::try_current().is_err() {
        return;
    }
    let stopping = lifecycle.stopping_token();
    lifecycle.spawn(name, async move {
        stopping.run_until_cancelled(work).await;
    });
}
