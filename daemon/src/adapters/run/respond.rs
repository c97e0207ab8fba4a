//! From what a run puts out to an HTTP response.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::event::Wire;
use super::super::hub::Reader;
use super::super::problem;
use super::outlet::Piece;

/// Node gives up a connection that is silent for five minutes, proxies earlier.
const SILENCE: Duration = Duration::from_secs(15);

/// Names what only tunes and has no counterpart at the vendor that has the model.
const DROPPED: HeaderName = HeaderName::from_static("x-mcpbridge-dropped");

/// How the client of one request is answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) wire: Wire,
    pub(super) streams: bool,
}

pub(super) async fn respond(mut pieces: Reader<Piece>, manner: Manner) -> Response<Body> {
    let Manner { wire, streams, .. } = manner;
    // Whatever comes before the answer begins is an answer of its own.
    match pieces.recv().await {
        Some(Piece::Begin { dropped }) => {
            let mut response = match streams {
                true => event_stream(pieces, wire),
                false => whole(pieces, wire).await,
            };
            problem::identify(wire, response.headers_mut());
            if let Ok(dropped) = HeaderValue::try_from(dropped.join(", "))
                && !dropped.is_empty()
            {
                response.headers_mut().insert(DROPPED, dropped);
            }
            response
        }
        Some(Piece::Refuse { refusal, may_retry }) => problem::refusal(wire, &refusal, may_retry),
        Some(Piece::Pass(response)) => response.map(Body::from),
        _ => problem::refusal(wire, &problem::interrupted(), true),
    }
}

fn event_stream(pieces: Reader<Piece>, wire: Wire) -> Response<Body> {
    let body = stream::unfold(Some(pieces), move |pieces| async move {
        let mut pieces = pieces?;
        let frames = match timeout(SILENCE, pieces.recv()).await {
            Err(_) => Bytes::from_static(keep_alive(wire)),
            Ok(Some(Piece::Frames(frames))) => frames,
            // What ends an answer was shown in frames.
            Ok(Some(_)) => return None,
            Ok(None) => return Some((Err(broken_off()), None)),
        };
        Some((Ok(frames), Some(pieces)))
    });
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// What keeps a stream's connection alive and says nothing: comments are ignored by every client, and
/// those of Messages know a ping.
fn keep_alive(wire: Wire) -> &'static [u8] {
    match wire {
        Wire::Responses | Wire::Chat => b": keep-alive\n\n",
        Wire::Messages => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
    }
}

/// The status can be chosen as long as the answer comes soon; after that blanks keep the client, and
/// what comes is part of a success.
async fn whole(mut pieces: Reader<Piece>, wire: Wire) -> Response<Body> {
    let soon = Instant::now() + SILENCE;
    loop {
        match timeout_at(soon, pieces.recv()).await {
            Err(_) => return json(Body::from_stream(trickle(pieces))),
            Ok(Some(Piece::Frames(_) | Piece::Begin { .. })) => {}
            Ok(Some(Piece::Finish(object))) => return json(Body::from(object)),
            Ok(Some(Piece::Fail {
                refusal, may_retry, ..
            })) => {
                return problem::refusal(wire, &refusal, may_retry);
            }
            Ok(_) => return problem::refusal(wire, &problem::interrupted(), true),
        }
    }
}

/// Blanks, and then the answer.
fn trickle(pieces: Reader<Piece>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(Some((pieces, true)), |state| async move {
        let (mut pieces, is_first) = state?;
        if is_first {
            return Some((Ok(Bytes::from_static(b" ")), Some((pieces, false))));
        }
        let silence = Instant::now() + SILENCE;
        loop {
            match timeout_at(silence, pieces.recv()).await {
                Err(_) => return Some((Ok(Bytes::from_static(b" ")), Some((pieces, false)))),
                Ok(Some(Piece::Finish(object) | Piece::Fail { object, .. })) => {
                    return Some((Ok(object.into()), None));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Some((Err(broken_off()), None)),
            }
        }
    })
}

/// Cuts the connection, so that the client does not take a part for the whole.
fn broken_off() -> io::Error {
    io::Error::other("the answer broke off")
}

fn json(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let media = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, media);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::super::hub::{Hub, Producer};
    use super::*;
    use crate::lifecycle::Lifecycle;
    use crate::types::Digest;

    fn opened() -> (Producer<Piece>, Reader<Piece>) {
        Hub::new(&Lifecycle::new()).open(Digest::of(b"request"))
    }

    fn manner(streams: bool) -> Manner {
        Manner {
            wire: Wire::Responses,
            streams,
        }
    }

    /// What the client gets of the body, and whether it ends as whole ones do.
    async fn read(response: Response<Body>) -> (Vec<u8>, bool) {
        let mut body = response.into_body();
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => read.extend_from_slice(&frame.into_data().unwrap()),
                Err(_) => return (read, false),
            }
        }
        (read, true)
    }

    async fn begin(producer: &Producer<Piece>) {
        let dropped = Vec::new();
        producer.put(Piece::Begin { dropped }).await;
        producer.put(Piece::Frames("data: 1\n\n".into())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_breaks_off_does_not_look_whole() {
        for is_complete in [false, true] {
            let (producer, pieces) = opened();
            begin(&producer).await;
            if is_complete {
                producer.put(Piece::Finish("{}".to_owned())).await;
            }
            let response = respond(pieces, manner(true)).await;
            let work = async {
                tokio::time::sleep(SILENCE + SILENCE / 2).await;
                drop(producer);
            };
            let ((got, is_whole), ()) = tokio::join!(read(response), work);
            let silent = match is_complete {
                true => &b""[..],
                false => keep_alive(Wire::Responses),
            };
            assert_eq!(got, [b"data: 1\n\n", silent].concat());
            assert_eq!(is_whole, is_complete);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_is_waited_for_with_blanks_does_not_look_whole_either() {
        for is_complete in [false, true] {
            let (producer, pieces) = opened();
            begin(&producer).await;
            let work = async move {
                tokio::time::sleep(SILENCE * 5 / 2).await;
                if is_complete {
                    producer.put(Piece::Finish("{}".to_owned())).await;
                }
            };
            let answered = async { read(respond(pieces, manner(false)).await).await };
            let ((got, is_whole), ()) = tokio::join!(answered, work);
            let object = if is_complete { "{}" } else { "" };
            assert_eq!(got, format!("  {object}").as_bytes());
            assert_eq!(is_whole, is_complete);
        }
    }

    #[tokio::test]
    async fn what_breaks_off_soon_is_an_error_with_a_status() {
        let (producer, pieces) = opened();
        begin(&producer).await;
        drop(producer);
        let response = respond(pieces, manner(false)).await;
        assert!(response.status().is_server_error());
    }
}
