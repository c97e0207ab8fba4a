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
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::record::Record;
use crate::lifecycle::Lifecycle;

/// An abandoned answer is read this far and this long, no further.
const DRAIN_BYTES: usize = 16 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(300);

/// What the end of the client's interest means for the server.
#[derive(Clone)]
pub(super) enum OnDisconnect {
    /// The server's side is closed at once.
    Cancel,
    /// The exchange goes on in the background.
    Finish(Lifecycle),
}

/// A server's answer, frame by frame as it comes. Also holds the call's place among the streams and
/// writes its log line at the end.
pub struct RelayBody {
    /// Taken only when dropped.
    incoming: Option<Incoming>,
    record: Record,
    permit: Option<OwnedSemaphorePermit>,
    on_disconnect: OnDisconnect,
    /// For streams without an end of their own: they end when the daemon stops.
    until: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl RelayBody {
    pub(super) fn new(
        incoming: Incoming,
        record: Record,
        permit: OwnedSemaphorePermit,
        on_disconnect: OnDisconnect,
        until: Option<WaitForCancellationFutureOwned>,
    ) -> Self {
        let until = until.map(Box::pin);
        Self {
            incoming: Some(incoming),
            record,
            permit: Some(permit),
            on_disconnect,
            until,
        }
    }
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(incoming) = &mut this.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.record.relayed(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.record.broken_off(&error);
                this.incoming = None;
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.record.complete();
                this.incoming = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                let Some(until) = &mut this.until else {
                    return Poll::Pending;
                };
                ready!(until.as_mut().poll(context));
                this.record.complete();
                this.incoming = None;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming
            .as_ref()
            .map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RelayBody {
    fn drop(&mut self) {
        let Some(incoming) = self.incoming.take() else {
            return;
        };
        // A body of known length is not polled again behind its last byte.
        if incoming.is_end_stream() {
            self.record.complete();
            return;
        }
        if let (OnDisconnect::Finish(lifecycle), Some(permit)) =
            (&self.on_disconnect, self.permit.take())
        {
            spawn(lifecycle, "abandoned answer", async move {
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
            spawn(&self.lifecycle, "abandoned call", async move {
                drop(future.await)
            });
        }
    }
}

/// Background work on behalf of nobody: it ends with the daemon.
fn spawn(
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
