//! How an answer goes out: whole or frame by frame, held, split or cut as its turn says.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::Value;

use super::Turn;
use super::turn::Raw;
use crate::script::Gate;
use crate::wire::Answer;

/// An answer in a vendor's language, ready to be sent.
pub(super) enum Spoken {
    Whole(Answer),
    Stream(Vec<String>),
}

pub(super) fn spoken_raw(raw: &Raw) -> Spoken {
    match raw {
        Raw::Events(events) => Spoken::Stream(events.iter().map(frame).collect()),
        Raw::Frames(frames) => Spoken::Stream(frames.clone()),
        Raw::Json(body) => Spoken::Whole(Answer::json(200, body)),
    }
}

/// One event under its own name.
pub(super) fn frame(event: &Value) -> String {
    let name = event["type"].as_str().unwrap_or_default();
    format!("event: {name}\ndata: {event}\n\n")
}

pub(super) fn send(turn: &Turn, spoken: Spoken) -> Response {
    let mut response = match spoken {
        Spoken::Whole(answer) if turn.cut_after.is_some() => {
            let mut response = answer.into_response();
            *response.body_mut() = stream_of(vec![Step::Cut]);
            response
        }
        Spoken::Whole(answer) => answer.into_response(),
        Spoken::Stream(frames) => {
            let headers = [
                (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, stream_of(steps(turn, frames))).into_response()
        }
    };
    for (name, value) in &turn.headers {
        let name = HeaderName::try_from(name.as_str()).unwrap();
        let value = HeaderValue::from_str(value).unwrap();
        response.headers_mut().insert(name, value);
    }
    response
}

enum Step {
    Send(Bytes),
    Wait(Gate),
    Cut,
}

fn steps(turn: &Turn, frames: Vec<String>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, frame) in frames.into_iter().enumerate() {
        if let Some((_, gate)) = turn.pause.as_ref().filter(|(after, _)| *after == index) {
            steps.push(Step::Wait(gate.clone()));
        }
        if turn.cut_after == Some(index) {
            steps.push(Step::Cut);
            return steps;
        }
        let size = turn.fragment.unwrap_or(frame.len()).max(1);
        let bytes = Bytes::from(frame);
        let starts = (0..bytes.len()).step_by(size);
        steps.extend(starts.map(|at| Step::Send(bytes.slice(at..bytes.len().min(at + size)))));
    }
    steps
}

fn stream_of(steps: Vec<Step>) -> Body {
    let steps = stream::unfold(steps.into_iter(), |mut steps| async move {
        loop {
            match steps.next()? {
                Step::Wait(gate) => gate.pass().await,
                Step::Send(bytes) => {
                    // Lets hyper write each piece by itself.
                    tokio::task::yield_now().await;
                    return Some((Ok(bytes), steps));
                }
                Step::Cut => {
                    let cut = Err(std::io::Error::other("cut"));
                    return Some((cut, Vec::new().into_iter()));
                }
            }
        }
    });
    Body::from_stream(steps)
}
