//! Event streams in which lists may come, and into which we say that a list has changed.

use http::StatusCode;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use super::news::{News, Word};
use super::{Expected, READ_LIMIT, Watched};
use crate::error::chain;
use crate::mcp::split::{Part, Splitter};
use crate::pipeline::body::{DRAIN_BYTES, DRAIN_TIME, Pieces, RelayBody, RelayError};
use crate::pipeline::hold::carry;
use crate::pipeline::record::Record;

const LIST_CHANGED: &str = "notifications/tools/list_changed";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

struct Stream {
    watched: Watched,
    splitter: Splitter,
    pieces: Pieces,
    /// None where nothing may be said.
    news: Option<News>,
    /// The client waits for such news.
    is_awaited: bool,
    /// It has to be told, as soon as that is possible.
    is_due: bool,
    /// None as long as the client is there; what was read since it left.
    unread: Option<usize>,
}

/// The body that the client gets while the server's answer comes.
pub(super) fn relay(
    watched: Watched,
    status: StatusCode,
    incoming: Incoming,
    record: Record,
    permit: OwnedSemaphorePermit,
) -> RelayBody {
    let lifecycle = watched.inner.lifecycle.clone();
    let outlives_client = watched.outlives_client;
    let speaks = watched.expected.is_endless() && status.is_success();
    let work = |pieces| {
        let stream = Stream {
            news: speaks.then(|| News::since(&watched.server, &watched.caller, &watched.inner)),
            is_awaited: matches!(watched.expected, Expected::Stream(None)),
            watched,
            splitter: Splitter::new(READ_LIMIT),
            pieces,
            is_due: false,
            unread: None,
        };
        async move {
            // A place of its own, because each future around it would keep room for it twice.
            let work = Box::pin(async move {
                stream.run(incoming).await;
                drop(permit);
            });
            carry(&lifecycle, !outlives_client, work).await;
        }
    };
    RelayBody::made(work, record)
}

/// What happens next in a stream.
enum Next {
    Data(bytes::Bytes),
    Trailers,
    News(Word),
    /// Nobody reads any more.
    Left,
    Broken(hyper::Error),
    End,
}

impl Stream {
    async fn run(mut self, mut incoming: Incoming) {
        loop {
            let alive = match self.next(&mut incoming).await {
                Next::Data(data) => self.take(&data).await,
                Next::Trailers => true,
                Next::News(Word::Over) => return,
                Next::News(Word::ListChanged) => {
                    self.is_due = true;
                    self.tell().await
                }
                Next::Left => self.go_on_alone(0),
                Next::Broken(error) => return self.pieces.break_off(error.into()).await,
                Next::End => return,
            };
            if !alive {
                return;
            }
        }
    }

    async fn next(&mut self, incoming: &mut Incoming) -> Next {
        let stopping = self.watched.inner.lifecycle.stopping_token();
        let (is_endless, unread) = (self.news.is_some(), self.unread);
        let news = async {
            match &mut self.news {
                Some(news) => news.come().await,
                None => std::future::pending().await,
            }
        };
        let frame = async {
            match unread {
                None => incoming.frame().await,
                Some(_) => tokio::time::timeout(DRAIN_TIME, incoming.frame())
                    .await
                    .unwrap_or_default(),
            }
        };
        tokio::select! {
            frame = frame => match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => Next::Data(data),
                Some(Ok(Err(_))) => Next::Trailers,
                Some(Err(error)) => Next::Broken(error),
                None => Next::End,
            },
            word = news => Next::News(word),
            () = self.pieces.left(), if unread.is_none() => Next::Left,
            () = stopping.cancelled(), if is_endless => Next::End,
        }
    }

    /// Passes on what may pass of `data`; false when that is over.
    async fn take(&mut self, data: &[u8]) -> bool {
        let parts = match self.splitter.feed(data) {
            Ok(parts) => parts,
            Err(error) => {
                let error = RelayError::Broken(chain(&error));
                self.pieces.break_off(error).await;
                return false;
            }
        };
        let mut passing = Vec::with_capacity(data.len());
        for part in parts {
            let event = match part {
                Part::Bytes(bytes) => {
                    passing.extend(bytes);
                    continue;
                }
                Part::Data(event) => event,
            };
            let text = str::from_utf8(&event.data).unwrap_or_default();
            if !event.is_message || event.data.is_empty() {
                passing.extend(event.raw);
                continue;
            }
            self.note_acknowledgement(text);
            match self.watched.look(text).await {
                Ok(None) => passing.extend(event.raw),
                Ok(Some(changed)) => {
                    passing.extend(event.with(&changed.replace(['\n', '\r'], " ")))
                }
                Err(error) => {
                    let server = &self.watched.server.name;
                    tracing::warn!(%server, error = chain(&error), "a message is not passed on");
                    passing.extend(event.without());
                }
            }
        }
        self.send(passing).await && self.tell().await
    }

    /// Sends; false when nobody waits for more, and the server may notice.
    async fn send(&mut self, passing: Vec<u8>) -> bool {
        let length = passing.len();
        if length == 0 || self.pieces.send(passing.into()).await {
            return true;
        }
        self.go_on_alone(length)
    }

    /// Whether the server is let finish what nobody reads.
    fn go_on_alone(&mut self, length: usize) -> bool {
        let unread = self.unread.get_or_insert_default();
        *unread += length;
        self.watched.outlives_client && *unread <= DRAIN_BYTES
    }

    /// A subscriber may hear what the server agreed to, and after that.
    fn note_acknowledgement(&mut self, text: &str) {
        #[derive(Deserialize)]
        struct Notice {
            method: String,
            #[serde(default)]
            params: Params,
        }
        #[derive(Deserialize, Default)]
        struct Params {
            #[serde(default)]
            notifications: Honoured,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase")]
        struct Honoured {
            #[serde(default)]
            tools_list_changed: bool,
        }
        if self.is_awaited || self.news.is_none() {
            return;
        }
        if let Ok(notice) = serde_json::from_str::<Notice>(text)
            && notice.method == ACKNOWLEDGED
        {
            self.is_awaited = notice.params.notifications.tools_list_changed;
        }
    }

    /// Says that the list has changed, if that is so and can be said here and now.
    async fn tell(&mut self) -> bool {
        if !self.is_due || !self.is_awaited || !self.splitter.is_between_events() {
            return true;
        }
        self.is_due = false;
        let catalog = &self.watched.inner.catalog;
        let known = catalog.server(&self.watched.server.name);
        if !known.is_some_and(|known| known.announces_changes()) {
            return true;
        }
        let subscription = match &self.watched.expected {
            Expected::Stream(Some(id)) => Some(&**id),
            _ => None,
        };
        self.send(event(subscription)).await
    }
}

fn event(subscription: Option<&RawValue>) -> Vec<u8> {
    // The id as the client wrote it.
    let params = subscription.map_or_else(String::new, |id| {
        format!(r#","params":{{"_meta":{{"{SUBSCRIPTION}":{id}}}}}"#)
    });
    let notice = format!(r#"{{"jsonrpc":"2.0","method":"{LIST_CHANGED}"{params}}}"#);
    format!("event: message\ndata: {notice}\n\n").into_bytes()
}
