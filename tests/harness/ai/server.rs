//! What both vendors have in common: the key, the script, the record, and how an answer is sent.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::openai::Memory;
use super::send::{Spoken, send, spoken_raw};
use super::turn::Call;
use super::{Seen, Turn, anthropic, openai};
use crate::script::{self, Script};
use crate::secrets::Secrets;
use crate::wait;
use crate::wire::{self, Answer, Listening, Request};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    OpenAi,
    Anthropic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    CountTokens,
    /// `GET /v1/models`
    Models,
    /// `POST /v1/embeddings`
    Embeddings,
    /// Anything else is sent back as it came.
    Echo,
}

impl Endpoint {
    /// Whether it takes a turn of the script.
    pub fn is_turn(self) -> bool {
        matches!(self, Self::Responses | Self::Chat | Self::Messages)
    }

    fn of(kind: Kind, request: &Request) -> Self {
        let post = request.method == Method::POST;
        match (kind, request.path.as_str(), post) {
            (Kind::OpenAi, "/v1/responses", true) => Self::Responses,
            (Kind::OpenAi, "/v1/chat/completions", true) => Self::Chat,
            (Kind::OpenAi, "/v1/embeddings", true) => Self::Embeddings,
            (Kind::Anthropic, "/v1/messages", true) => Self::Messages,
            (Kind::Anthropic, "/v1/messages/count_tokens", true) => Self::CountTokens,
            (_, "/v1/models", false) => Self::Models,
            _ => Self::Echo,
        }
    }
}

/// An answer other than a turn.
pub(super) type Refusal = Box<Answer>;

type Author = dyn Fn(&Seen) -> Turn + Send + Sync;

#[derive(Default)]
struct Turns {
    next: VecDeque<Turn>,
    then: Option<Arc<Author>>,
}

pub(super) struct State {
    pub(super) kind: Kind,
    origin: String,
    /// None: anybody may call, as at a model server of one's own.
    key: Option<String>,
    turns: Mutex<Turns>,
    seen: Mutex<Vec<Seen>>,
    faults: Script<Endpoint>,
    complaints: Mutex<Vec<String>>,
    serial: AtomicU64,
    pub(super) memory: Mutex<Memory>,
}

impl State {
    /// An identifier of the vendor's look, never given twice.
    pub(super) fn id(&self, prefix: &str) -> String {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}{serial:024x}")
    }

    fn turn_for(&self, seen: &Seen) -> Option<Turn> {
        let mut turns = self.turns.lock().unwrap();
        let queued = turns.next.pop_front();
        let then = turns.then.clone();
        drop(turns);
        queued.or_else(|| then.map(|author| author(seen)))
    }

    fn admits(&self, request: &Request) -> bool {
        let Some(key) = &self.key else { return true };
        let bearer = request.header("authorization");
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let by_header = request.header("x-api-key");
        match self.kind {
            Kind::OpenAi => bearer == Some(key),
            Kind::Anthropic => by_header.or(bearer) == Some(key),
        }
    }

    /// A refusal in the vendor's shape.
    pub(super) fn refusal(&self, status: u16, code: Option<&str>, message: &str) -> Refusal {
        match self.kind {
            Kind::OpenAi => openai::error(status, code, message),
            Kind::Anthropic => anthropic::error(status, message),
        }
    }

    /// A refusal that tells of a mistake in what was sent.
    pub(super) fn complain(&self, message: String) -> Refusal {
        let answer = self.refusal(400, None, &message);
        self.complaints.lock().unwrap().push(message);
        answer
    }
}

/// Handle to a running fake; clones share it.
#[derive(Clone)]
pub struct FakeAi {
    state: Arc<State>,
    _listening: Arc<Listening>,
}

impl fmt::Debug for FakeAi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FakeAi").field(&self.state.origin).finish()
    }
}

impl FakeAi {
    pub async fn openai(secrets: &Secrets) -> Self {
        let key = Some(secrets.issue("openai-key"));
        Self::start(Kind::OpenAi, key, 0).await
    }

    pub async fn anthropic(secrets: &Secrets) -> Self {
        let key = Some(secrets.issue("anthropic-key"));
        Self::start(Kind::Anthropic, key, 0).await
    }

    /// With `key`, or open to everybody.
    pub async fn start(kind: Kind, key: Option<String>, port: u16) -> Self {
        let listener = wire::bind(port).await;
        let state = Arc::new(State {
            kind,
            origin: format!("http://{}", listener.local_addr().unwrap()),
            key,
            turns: Mutex::default(),
            seen: Mutex::default(),
            faults: Script::default(),
            complaints: Mutex::default(),
            serial: AtomicU64::new(1),
            memory: Mutex::default(),
        });
        let listening = wire::serve(listener, state.clone(), handle);
        Self {
            state,
            _listening: Arc::new(listening),
        }
    }

    /// As `url` of a vendor in config: OpenAI's ends in `/v1`, Anthropic's does not.
    pub fn url(&self) -> String {
        match self.state.kind {
            Kind::OpenAi => format!("{}/v1", self.state.origin),
            Kind::Anthropic => self.state.origin.clone(),
        }
    }

    /// The only key it accepts; empty when it is open to everybody.
    pub fn key(&self) -> &str {
        self.state.key.as_deref().unwrap_or_default()
    }

    /// Queues an answer.
    pub fn push(&self, turn: Turn) {
        self.state.turns.lock().unwrap().next.push_back(turn);
    }

    /// Answers whenever the queue is empty.
    pub fn then(&self, author: impl Fn(&Seen) -> Turn + Send + Sync + 'static) {
        self.state.turns.lock().unwrap().then = Some(Arc::new(author));
    }

    /// Faults of the transport, at any endpoint.
    pub fn faults(&self) -> &Script<Endpoint> {
        &self.state.faults
    }

    /// Every request, in order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The requests that asked a model for an answer.
    pub fn turns(&self) -> Vec<Seen> {
        let mut seen = self.requests();
        seen.retain(|one| one.endpoint.is_turn());
        seen
    }

    /// Returns the request for the answer number `count` once it arrived.
    pub async fn turn(&self, count: usize) -> Seen {
        let what = format!("request {count} at the model");
        wait::until(&what, wait::PATIENCE, async || {
            self.turns().get(count - 1).cloned()
        })
        .await
    }

    /// What was wrong with requests that were refused, and changed prefixes that were noticed.
    pub fn complaints(&self) -> Vec<String> {
        self.state.complaints.lock().unwrap().clone()
    }

    /// # Panics
    /// When there was something to complain about, or queued turns were not taken.
    pub fn assert_content(&self) {
        let complaints = self.complaints();
        assert!(complaints.is_empty(), "the vendor says: {complaints:#?}");
        let left = self.state.turns.lock().unwrap().next.len();
        assert_eq!(left, 0, "turns of the script that nobody asked for");
    }

    /// Whether `text` was in any request that came here: head or body.
    pub fn received(&self, text: &str) -> bool {
        self.requests().iter().any(|seen| {
            let headers = seen.headers.values();
            let mut headers = headers.filter_map(|value| value.to_str().ok());
            headers.any(|value| value.contains(text))
                || format!("{}?{}", seen.path, seen.query).contains(text)
                || String::from_utf8_lossy(&seen.body).contains(text)
        })
    }

    /// Forgets script, record and complaints, for the next story.
    pub fn reset(&self) {
        *self.state.turns.lock().unwrap() = Turns::default();
        self.state.seen.lock().unwrap().clear();
        self.state.complaints.lock().unwrap().clear();
    }
}

async fn handle(state: Arc<State>, request: Request) -> Response {
    let endpoint = Endpoint::of(state.kind, &request);
    let seen = Seen { endpoint, request };
    state.seen.lock().unwrap().push(seen.clone());
    let fault = state.faults.take(endpoint);
    let mut response = script::answer(fault, answer(&state, &seen)).await;
    let id = HeaderValue::from_str(&state.id("req_")).unwrap();
    let name = match state.kind {
        Kind::OpenAi => "x-request-id",
        Kind::Anthropic => "request-id",
    };
    response.headers_mut().insert(name, id);
    response
}

async fn answer(state: &Arc<State>, seen: &Seen) -> Response {
    if !state.admits(&seen.request) {
        let code = Some("invalid_api_key");
        let refusal = state.refusal(401, code, "Incorrect API key provided.");
        return (*refusal).into_response();
    }
    match seen.endpoint {
        Endpoint::Models => Answer::json(200, &models(state.kind)).into_response(),
        Endpoint::Embeddings => {
            Answer::json(200, &openai::embeddings(&seen.json())).into_response()
        }
        Endpoint::CountTokens => match anthropic::check(state, seen) {
            Ok(()) => {
                Answer::json(200, &json!({ "input_tokens": seen.body.len() / 4 })).into_response()
            }
            Err(refusal) => (*refusal).into_response(),
        },
        Endpoint::Echo => echo(&seen.request).into_response(),
        Endpoint::Responses | Endpoint::Chat | Endpoint::Messages => match take_turn(state, seen) {
            Ok((turn, spoken)) => {
                if let Some(gate) = &turn.before_head {
                    gate.pass().await;
                }
                send(&turn, spoken)
            }
            Err(refusal) => (*refusal).into_response(),
        },
    }
}

/// The next turn in the language of the endpoint.
fn take_turn(state: &State, seen: &Seen) -> Result<(Turn, Spoken), Refusal> {
    match seen.endpoint {
        Endpoint::Responses => openai::check(state, seen)?,
        Endpoint::Chat => openai::chat::check(state, seen)?,
        _ => anthropic::check(state, seen)?,
    }
    let Some(turn) = state.turn_for(seen) else {
        return Err(state.complain("the script of this fake has no turn left".to_owned()));
    };
    if let Some(error) = &turn.error {
        let answer = state.refusal(error.status, None, &error.message);
        return Ok((turn.clone(), Spoken::Whole(*answer)));
    }
    if let Some(raw) = &turn.raw {
        return Ok((turn.clone(), spoken_raw(raw)));
    }
    let spoken = match seen.endpoint {
        Endpoint::Responses => openai::speak(state, seen, &turn),
        Endpoint::Chat => openai::chat::speak(state, seen, &turn),
        _ => anthropic::speak(state, seen, &turn),
    };
    Ok((turn, spoken?))
}

/// The name a call goes by, given the tools of the request.
pub(super) fn called_name(state: &State, seen: &Seen, call: &Call) -> Result<String, Refusal> {
    let Some(ending) = call.name.strip_prefix('*') else {
        return Ok(call.name.clone());
    };
    let mut names = seen.tool_names();
    names.retain(|name| name.ends_with(ending));
    match names.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(state.complain(format!(
            "the script calls `*{ending}`; tools that fit: {names:?} of {:?}",
            seen.tool_names()
        ))),
    }
}

fn echo(request: &Request) -> Answer {
    let content_type = request.header("content-type").unwrap_or("application/json");
    let mut answer = Answer::text(200, "application/json", "");
    answer = answer.with_header("content-type", content_type);
    answer = answer.with_header("x-echo-method", request.method.as_str());
    answer = answer.with_header("x-echo-path", &request.path);
    answer.body = request.body.clone();
    answer.with_header("x-echo-query", &request.query)
}

fn models(kind: Kind) -> Value {
    match kind {
        Kind::OpenAi => json!({
            "object": "list",
            "data": [{ "id": "gpt-5.4", "object": "model", "created": 1_780_000_000, "owned_by": "openai" }],
        }),
        Kind::Anthropic => json!({
            "data": [{ "type": "model", "id": "claude-sonnet-5-5", "display_name": "Claude Sonnet 5.5",
                       "created_at": "2026-09-15T00:00:00Z" }],
            "has_more": false, "first_id": "claude-sonnet-5-5", "last_id": "claude-sonnet-5-5",
        }),
    }
}
