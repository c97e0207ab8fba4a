//! Lists of tools on their way to a client: each is shown to the catalog before anyone else sees it,
//! and what the caller may not use is taken out of it.
//!
//! A list is looked for where the protocol has it: in the answer to `tools/list`, and in a GET stream,
//! where answers are repeated or, in the oldest revision, all of them come. The answers to
//! `initialize` and `server/discover` are read for the server's instructions. An answer that has to be
//! read and cannot be is refused; one in which nothing has to change passes byte for byte.

mod message;
mod news;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use self::message::{List, ListError, Reading};
use super::body::{OnDisconnect, RelayBody};
use super::error::CallError;
use super::judge::is_hidden;
use super::record::Record;
use super::{HEAD_LIMIT, Inner};
use crate::error::chain;
use crate::mcp::{Answer, Envelope, Message, codes};
use crate::registry::Server;
use crate::types::{Caller, Channel};

/// Larger lists, and larger messages of a stream that may have some, do not pass.
const READ_LIMIT: usize = 16 * 1024 * 1024;
/// A server that began to answer may take this long to the end of a body.
const BODY_LIMIT: Duration = HEAD_LIMIT;

/// What an answer may bring that has to be looked at.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    Lists,
    /// What a server says about itself.
    Greeting,
    /// A stream without an end of its own. The id is that of `subscriptions/listen`.
    Stream(Option<Box<RawValue>>),
}

/// An answer that is looked at.
pub(super) struct Watched {
    pub(super) inner: Arc<Inner>,
    pub(super) server: Arc<Server>,
    pub(super) caller: Caller,
    pub(super) expected: Expected,
    /// The exchange goes on when the client leaves.
    pub(super) outlives_client: bool,
}

impl Expected {
    pub(super) fn of(method: &Method, envelope: Option<&Envelope<'_>>) -> Option<Self> {
        if *method == Method::GET {
            return Some(Self::Stream(None));
        }
        let lists = |message: &Message<'_>| message.method == "tools/list";
        match envelope?.messages() {
            [message] => match message.method.as_ref() {
                "tools/list" => Some(Self::Lists),
                "initialize" | "server/discover" => Some(Self::Greeting),
                "subscriptions/listen" => message.id().map(|id| Self::Stream(Some(id.to_owned()))),
                _ => None,
            },
            batch => batch.iter().any(lists).then_some(Self::Lists),
        }
    }

    /// It has no end of its own.
    pub(super) fn is_endless(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Asks the server for an answer that can be read.
    pub(super) fn adapt(headers: &mut HeaderMap) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

impl Watched {
    /// The answer that the client gets.
    ///
    /// # Errors
    /// It has to be read and cannot be.
    pub(super) async fn pass(
        self,
        relayed: Response<()>,
        incoming: Incoming,
        record: Record,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response<RelayBody>, CallError> {
        let headers = relayed.headers();
        let media = media(headers);
        let streams = media == "text/event-stream";
        if matches!(self.expected, Expected::Stream(None)) && !streams {
            let until = self.inner.lifecycle.stopping_token().cancelled_owned();
            let (until, on_disconnect) = (Some(until), OnDisconnect::Cancel);
            let body = RelayBody::relayed(incoming, record, permit, on_disconnect, until);
            return Ok(relayed.map(|()| body));
        }
        if headers.contains_key(CONTENT_ENCODING) {
            return self.refuse(record, "it is encoded, although nobody asked for that");
        }
        if streams {
            let body = stream::relay(self, relayed.status(), incoming, record, permit);
            return Ok(relayed.map(|()| body));
        }
        let body = match tokio::time::timeout(BODY_LIMIT, whole(incoming)).await {
            Ok(Ok(body)) => body,
            Ok(Err(why)) => return self.refuse(record, why),
            Err(_) => return self.refuse(record, "it does not end"),
        };
        let text = str::from_utf8(&body).ok();
        let passing = match text.map(|text| self.look(text)) {
            Some(looking) => looking.await,
            None => Err(ListError::NotJson),
        };
        let body = match passing {
            Ok(None) => body.freeze(),
            Ok(Some(changed)) => changed.into(),
            // No client reads a message out of these.
            Err(ListError::NotJson)
                if body.is_empty()
                    || !relayed.status().is_success()
                    || !(media.is_empty() || media.contains("json")) =>
            {
                body.freeze()
            }
            Err(_) => return self.refuse(record, "it is not JSON"),
        };
        drop(permit);
        Ok(relayed.map(|()| RelayBody::whole(body, record)))
    }

    fn refuse<T>(&self, mut record: Record, why: &'static str) -> Result<T, CallError> {
        let error = CallError::Unreadable {
            server: self.server.name.clone(),
            why,
        };
        record.refused(&error);
        Err(error)
    }

    /// Looks at a message, or an array of them. Returns what is to pass instead.
    ///
    /// # Errors
    /// It is not JSON.
    async fn look(&self, json: &str) -> Result<Option<String>, ListError> {
        if !json.trim_ascii_start().starts_with('[') {
            return self.look_at_one(json).await;
        }
        let messages: Vec<&RawValue> =
            serde_json::from_str(json).map_err(|_| ListError::NotJson)?;
        let mut passing = Vec::with_capacity(messages.len());
        for message in &messages {
            passing.push(self.look_at_one(message.get()).await?);
        }
        if passing.iter().all(Option::is_none) {
            return Ok(None);
        }
        let texts = messages.iter().zip(&passing);
        let texts: Vec<&str> = texts
            .map(|(message, changed)| changed.as_deref().unwrap_or(message.get()))
            .collect();
        Ok(Some(format!("[{}]", texts.join(","))))
    }

    async fn look_at_one(&self, json: &str) -> Result<Option<String>, ListError> {
        let taken = match message::read(json, matches!(self.expected, Expected::Greeting)) {
            Ok(Reading::Other) => return Ok(None),
            Ok(Reading::Greeting(greeting)) => self.greet(&greeting).await,
            Ok(Reading::List(list)) => self.take(&list).await,
            Err(error) => Err(error),
        };
        match taken {
            Err(ListError::NotJson) => Err(ListError::NotJson),
            Err(error) => Ok(Some(self.refusal(json, &error))),
            Ok(passing) => Ok(passing),
        }
    }

    async fn greet(&self, greeting: &message::Greeting) -> Result<Option<String>, ListError> {
        let url = self.server.config.url.as_str();
        let (instructions, announces) = (greeting.instructions.as_deref(), greeting.announces);
        let catalog = &self.inner.catalog;
        let greeted = catalog.greet(&self.server.name, url, instructions, announces);
        greeted.await.map_err(ListError::NotRecorded)?;
        Ok(None)
    }

    async fn take(&self, list: &List<'_>) -> Result<Option<String>, ListError> {
        let url = self.server.config.url.as_str();
        let observed = self
            .inner
            .catalog
            .observe(&self.server.name, url, list.page());
        observed.await.map_err(ListError::NotRecorded)?;
        if list.nameless() > 0 {
            let (server, count) = (&self.server.name, list.nameless());
            tracing::warn!(%server, count, "tools without a name of their own are left out of a list");
        }
        // The rules of this moment: whoever waits for news of them has been told already.
        let server = self.inner.server(self.server.name.as_str()).ok();
        let server = server.as_ref().unwrap_or(&self.server);
        let mut names = list.named().map(|tool| &tool.name);
        if names.any(|name| server.policy.asks_for_program(name)) {
            self.caller.resolve().await;
        }
        // A person who looks after the rules has to see what they hide.
        let sees_all = self.caller.channel() == Channel::Control;
        let changed = list.without(|tool| {
            !sees_all
                && is_hidden(
                    server,
                    &self.caller,
                    &tool.name,
                    tool.annotations().as_ref(),
                )
        });
        changed.map_err(|_| ListError::NotJson)
    }

    /// What the client gets instead of a list that must not pass.
    fn refusal(&self, json: &str, error: &ListError) -> String {
        let server = &self.server.name;
        let why = chain(error);
        tracing::warn!(%server, error = why, "an answer is not passed on");
        let text = format!("the answer of {server} is not passed on: {why}");
        let answer = Answer::failure(message::id(json), codes::UPSTREAM_FAULT, &text);
        serde_json::to_string(&answer).unwrap_or_default()
    }
}

async fn whole(mut incoming: Incoming) -> Result<BytesMut, &'static str> {
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| "the connection to the server broke")?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if body.len() + data.len() > READ_LIMIT {
            return Err("it is too large");
        }
        body.extend_from_slice(&data);
    }
    Ok(body)
}

fn media(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE);
    let value = value
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default();
    media.trim().to_ascii_lowercase()
}
