//! Faults as scripts: what an endpoint of a fake does instead of, or around, its normal answer.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use url::Url;

use crate::wait;
use crate::wire::Answer;

/// How fast an answer without end comes.
const DRIP: Duration = Duration::from_millis(50);

/// Holds requests until the test lets them go.
#[derive(Debug, Clone)]
pub struct Gate {
    arrivals: watch::Sender<usize>,
    open: watch::Sender<bool>,
}

impl Gate {
    #[expect(
        clippy::new_without_default,
        reason = "a gate is made closed, on purpose"
    )]
    pub fn new() -> Self {
        Self {
            arrivals: watch::Sender::new(0),
            open: watch::Sender::new(false),
        }
    }

    /// Returns when a request stands at the gate.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Returns when `count` requests have come to the gate in total.
    pub async fn reached_by(&self, count: usize) {
        let mut arrivals = self.arrivals.subscribe();
        wait::within("a request at the gate", arrivals.wait_for(|n| *n >= count))
            .await
            .unwrap();
    }

    /// Lets everyone pass, now and later.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// The fake's side: waits until released.
    pub async fn pass(&self) {
        self.arrivals.send_modify(|n| *n += 1);
        let mut open = self.open.subscribe();
        open.wait_for(|open| *open).await.unwrap();
    }
}

type EditFn = dyn Fn(&mut Answer) + Send + Sync;

#[derive(Clone)]
pub enum Fault {
    /// No fault: the normal answer. Lets a script say "works once, then fails".
    Pass,
    /// This answer; the request is not processed.
    Answer(Answer),
    /// The normal answer, changed.
    Edit(Arc<EditFn>),
    /// Hangs before the request is processed.
    HoldBefore(Gate),
    /// Hangs after the request took effect, before a byte of the answer is sent.
    HoldAfter(Gate),
    /// The request takes effect; the answer's head is sent, then the connection is cut.
    CutAfter,
    /// Status 200, then one byte of JSON white space every 50 ms for as long as the client listens.
    Drip,
    /// Status 200 and a body of that many bytes.
    Huge(u64),
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "Pass",
            Self::Answer(_) => "Answer",
            Self::Edit(_) => "Edit",
            Self::HoldBefore(_) => "HoldBefore",
            Self::HoldAfter(_) => "HoldAfter",
            Self::CutAfter => "CutAfter",
            Self::Drip => "Drip",
            Self::Huge(_) => "Huge",
        })
    }
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::Answer(Answer::text(status, "text/plain", "a fault"))
    }

    /// A gateway's error page where JSON was due.
    pub fn html(status: u16) -> Self {
        let page = "<!doctype html><title>Bad gateway</title><h1>Bad gateway</h1>";
        Self::Answer(Answer::text(status, "text/html", page))
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::Answer(Answer::json(status, body))
    }

    /// RFC 6749 §5.2. `invalid_client` comes with 401, the others with 400.
    pub fn oauth_error(code: &str) -> Self {
        let status = if code == "invalid_client" { 401 } else { 400 };
        Self::json(
            status,
            &json!({ "error": code, "error_description": "scripted" }),
        )
    }

    /// An error under status 200, as some deployed servers answer.
    pub fn error_with_200(code: &str) -> Self {
        Self::json(200, &json!({ "error": code }))
    }

    /// The normal JSON answer as a form-encoded document, as GitHub's token endpoint answers.
    pub fn form_encoded() -> Self {
        Self::edit(|answer| {
            let fields: Value = serde_json::from_slice(&answer.body).unwrap();
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in fields.as_object().unwrap() {
                match value.as_str() {
                    Some(text) => form.append_pair(name, text),
                    None => form.append_pair(name, &value.to_string()),
                };
            }
            answer.body = Bytes::from(form.finish());
            answer.set_content_type("application/x-www-form-urlencoded");
        })
    }

    pub fn edit(change: impl Fn(&mut Answer) + Send + Sync + 'static) -> Self {
        Self::Edit(Arc::new(change))
    }

    /// The normal JSON answer with some members changed.
    pub fn edit_json(change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::edit(move |answer| {
            let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
            change(&mut body);
            answer.body = Bytes::from(body.to_string());
        })
    }

    /// The normal redirect, to a changed URL.
    pub fn edit_redirect(change: impl Fn(&mut Url) + Send + Sync + 'static) -> Self {
        Self::edit(move |answer| {
            let mut url = Url::parse(answer.headers[header::LOCATION].to_str().unwrap()).unwrap();
            change(&mut url);
            let location = HeaderValue::from_str(url.as_str()).unwrap();
            answer.headers.insert(header::LOCATION, location);
        })
    }

    pub fn redirect(to: &str) -> Self {
        let mut answer = Answer::text(302, "text/plain", "");
        let location = HeaderValue::from_str(to).unwrap();
        answer.headers.insert(header::LOCATION, location);
        Self::Answer(answer)
    }
}

/// Sets query parameter `name` of `url`, or removes it.
pub fn set_param(url: &mut Url, name: &str, value: Option<&str>) {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(key, _)| key != name)
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect();
    let mut query = url.query_pairs_mut();
    query.clear().extend_pairs(kept);
    if let Some(value) = value {
        query.append_pair(name, value);
    }
}

/// What each endpoint does next.
#[derive(Debug)]
pub struct Script<E> {
    steps: Mutex<HashMap<E, Steps>>,
}

#[derive(Debug, Default)]
struct Steps {
    next: VecDeque<Fault>,
    afterwards: Option<Fault>,
}

impl<E> Default for Script<E> {
    fn default() -> Self {
        Self {
            steps: Mutex::new(HashMap::new()),
        }
    }
}

impl<E: Copy + Eq + Hash> Script<E> {
    /// Queues `fault` for one request.
    pub fn once(&self, endpoint: E, fault: Fault) {
        self.times(endpoint, 1, fault);
    }

    pub fn times(&self, endpoint: E, count: usize, fault: Fault) {
        let mut steps = self.steps.lock().unwrap();
        let queue = &mut steps.entry(endpoint).or_default().next;
        queue.extend(std::iter::repeat_n(fault, count));
    }

    /// What happens once the queue is used up.
    pub fn always(&self, endpoint: E, fault: Fault) {
        let mut steps = self.steps.lock().unwrap();
        steps.entry(endpoint).or_default().afterwards = Some(fault);
    }

    /// Back to normal.
    pub fn clear(&self, endpoint: E) {
        self.steps.lock().unwrap().remove(&endpoint);
    }

    pub(crate) fn take(&self, endpoint: E) -> Fault {
        let mut steps = self.steps.lock().unwrap();
        let Some(steps) = steps.get_mut(&endpoint) else {
            return Fault::Pass;
        };
        let next = steps.next.pop_front();
        next.or_else(|| steps.afterwards.clone())
            .unwrap_or(Fault::Pass)
    }
}

/// Answers under `fault`; `normal` processes the request.
pub(crate) async fn answer(fault: Fault, normal: impl Future<Output = Response>) -> Response {
    match fault {
        Fault::Pass => normal.await,
        Fault::Answer(answer) => answer.into_response(),
        Fault::Edit(change) => {
            let (head, body) = normal.await.into_parts();
            let mut answer = Answer {
                status: head.status,
                headers: head.headers,
                body: to_bytes(body, usize::MAX).await.unwrap(),
            };
            answer.headers.remove(header::CONTENT_LENGTH);
            change(&mut answer);
            answer.into_response()
        }
        Fault::HoldBefore(gate) => {
            gate.pass().await;
            normal.await
        }
        Fault::HoldAfter(gate) => {
            let response = normal.await;
            gate.pass().await;
            response
        }
        Fault::CutAfter => {
            let (mut head, _) = normal.await.into_parts();
            head.headers.remove(header::CONTENT_LENGTH);
            let cut = stream::once(async { Err::<Bytes, _>(std::io::Error::other("cut")) });
            Response::from_parts(head, Body::from_stream(cut))
        }
        Fault::Drip => json_stream(stream::unfold(
            tokio::time::interval(DRIP),
            async |mut drip| {
                drip.tick().await;
                Some((Ok(Bytes::from_static(b" ")), drip))
            },
        )),
        Fault::Huge(size) => json_stream(stream::unfold(size, |left| async move {
            const CHUNK: Bytes = Bytes::from_static(&[b' '; 65536]);
            let now = left.min(CHUNK.len() as u64);
            (now > 0).then(|| (Ok(CHUNK.slice(..usize::try_from(now).unwrap())), left - now))
        })),
    }
}

fn json_stream(
    body: impl stream::Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::OK, headers, Body::from_stream(body)).into_response()
}
