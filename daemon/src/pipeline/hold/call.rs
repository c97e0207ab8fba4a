//! The call that waits: what it says, what is sent of it, and how it is answered.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response};
use serde_json::value::RawValue;

use super::carrier::{INPUT_KEY, marker};
use super::seal::Sealed;
use crate::approval::Item;
use crate::mcp::edit::{self, Edit, Members};
use crate::mcp::{Answer, Era, Message};
use crate::pipeline::body::RelayBody;
use crate::pipeline::client::ClientView;
use crate::pipeline::error::CallError;
use crate::pipeline::record::Record;
use crate::pipeline::sessions::SessionKey;
use crate::pipeline::{Asked, RelayRequest};
use crate::registry::Server;
use crate::types::{ApprovalId, Caller, Digest};
use crate::upstream::{Outgoing, address};

/// Answers are read and put into our stream, which needs them as they are.
const UNREADABLE: [http::HeaderName; 1] = [ACCEPT_ENCODING];

/// One `tools/call` of its own, with an id.
pub(in crate::pipeline) struct AskedCall {
    pub(in crate::pipeline) server: Arc<Server>,
    pub(in crate::pipeline) caller: Caller,
    pub(in crate::pipeline) principal: String,
    /// What the client says about itself: in this request, or when its session began.
    pub(in crate::pipeline) client: Arc<ClientView>,
    /// Of the `initialize` era, where the server gives sessions.
    pub(in crate::pipeline) session: Option<SessionKey>,
    pub(in crate::pipeline) tool: String,
    pub(in crate::pipeline) argument_digest: Digest,
    pub(super) id: Box<RawValue>,
    pub(super) modern: bool,
    pub(super) accepts_events: bool,
    pub(super) progress_token: Option<Box<RawValue>>,
    arguments: Option<Box<RawValue>>,
    pub(super) input_responses: Option<Box<RawValue>>,
    asked: Option<Asked>,
    /// The state of ours that it brought back.
    pub(super) resumed: Option<Sealed>,
    /// It brought a state of ours, so what it has of ours must not reach the server.
    brought_ours: bool,
    /// It brought a state, or answers to questions, whoever's.
    brought_any: bool,
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

/// What is known of a call besides its message.
pub(in crate::pipeline) struct Known {
    pub(in crate::pipeline) server: Arc<Server>,
    pub(in crate::pipeline) principal: String,
    pub(in crate::pipeline) client: Arc<ClientView>,
    pub(in crate::pipeline) session: Option<SessionKey>,
    pub(in crate::pipeline) argument_digest: Digest,
}

impl AskedCall {
    /// None if it has no id, and so nobody to answer.
    pub(in crate::pipeline) fn new(
        known: Known,
        message: &Message<'_>,
        request: &RelayRequest,
    ) -> Option<Self> {
        let params = &message.params;
        let owned = |json: Option<&RawValue>| json.map(ToOwned::to_owned);
        let mut headers = request.headers.clone();
        for name in UNREADABLE {
            headers.remove(name);
        }
        Some(Self {
            server: known.server,
            caller: request.caller.clone(),
            principal: known.principal,
            client: known.client,
            session: known.session,
            tool: message.tool()?.to_owned(),
            argument_digest: known.argument_digest,
            id: message.id()?.to_owned(),
            modern: Era::of(message, &request.headers) == Era::Modern,
            accepts_events: accepts_events(&request.headers),
            progress_token: owned(params.progress_token),
            arguments: owned(params.arguments),
            input_responses: owned(params.input_responses),
            asked: request.asked.clone(),
            resumed: None,
            brought_ours: false,
            brought_any: params.request_state.is_some() || params.input_responses.is_some(),
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers,
            body: request.body.clone(),
        })
    }

    /// It brought back `state`, of ours; None where that was made for other arguments.
    pub(in crate::pipeline) fn resume(&mut self, state: Option<Sealed>) {
        self.brought_ours = true;
        self.resumed = state;
    }

    /// Whether its caller waits as long as the question stands.
    pub(super) fn waits(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn asked(&self) -> Option<&Asked> {
        self.asked.as_ref()
    }

    /// Says at which question it waits.
    pub(super) fn waits_at(&self, approval: ApprovalId) {
        if let Some(asked) = &self.asked {
            asked.question.send_replace(Some(approval));
        }
    }

    /// The JSON text that is judged, shown and sent.
    pub(super) fn arguments(&self) -> &str {
        self.arguments.as_deref().map_or("{}", RawValue::get)
    }

    pub(super) fn raw_arguments(&self) -> Option<&RawValue> {
        self.arguments.as_deref()
    }

    /// The URL that it goes to.
    pub(super) fn address(&self) -> Result<String, CallError> {
        let url = &self.server.config.url;
        Ok(address(url, &self.path, self.query.as_deref())?)
    }

    /// Headers repeat arguments in a way that only the tool's schema tells (`Mcp-Param-*`).
    pub(super) fn is_editable(&self) -> bool {
        let repeats = |name: &http::HeaderName| name.as_str().starts_with("mcp-param-");
        !self.headers.keys().any(repeats)
    }

    /// What goes to the server: the very bytes that came, except for `edited` arguments and for what
    /// is between the client and us. Of a call that `was_shown` to a person nothing goes that they
    /// were not shown: answers to what the server never asked among it.
    pub(in crate::pipeline) fn outgoing(
        &self,
        edited: Option<&str>,
        was_shown: bool,
    ) -> Result<Outgoing, CallError> {
        let mut edits = Vec::new();
        if let Some(arguments) = edited {
            // The question may be that of a repetition with other headers.
            if !self.is_editable() {
                return Err(CallError::Unwritable);
            }
            edits.push(("arguments", Edit::Put(arguments.into())));
        }
        if self.brought_ours || (was_shown && self.brought_any) {
            edits.extend(self.without_ours());
        }
        let body = if edits.is_empty() {
            self.body.clone()
        } else {
            let text = str::from_utf8(&self.body).unwrap_or_default();
            let edited = edit::member(text, "params", &edits);
            edited.map_err(|_| CallError::Unwritable)?.into()
        };
        let aim = (
            self.method.clone(),
            self.path.as_str(),
            self.query.as_deref(),
        );
        let server = &self.server;
        let headers = self.headers.clone();
        Ok(Outgoing::new(
            &server.config.url,
            server.addresses,
            aim,
            headers,
            body,
        )?)
    }

    /// Hands the server's own state back to it, and its answers.
    fn without_ours(&self) -> [(&'static str, Edit<'_>); 2] {
        let inner = self.resumed.as_ref().and_then(|state| state.inner.as_ref());
        let state = inner.and_then(|inner| serde_json::to_string(inner).ok());
        let responses = self
            .input_responses
            .as_ref()
            .filter(|_| self.resumed.as_ref().is_some_and(Sealed::is_of_server))
            .and_then(|json| theirs(json));
        let put = |json: Option<String>| json.map_or(Edit::Drop, |json| Edit::Put(json.into()));
        [
            ("requestState", put(state)),
            ("inputResponses", put(responses)),
        ]
    }

    /// The result that a model reads.
    pub(super) fn tool_error(&self, item: &Item, text: &str) -> Bytes {
        let marker = marker(item);
        let answer = Answer::tool_error(&self.id, self.modern, text, Some(&marker));
        serde_json::to_vec(&answer).unwrap_or_default().into()
    }

    /// The same where there is no item.
    pub(super) fn refusal(&self, text: &str) -> Bytes {
        let answer = Answer::tool_error(&self.id, self.modern, text, None);
        serde_json::to_vec(&answer).unwrap_or_default().into()
    }

    pub(super) fn whole(&self, json: Bytes, record: Record) -> Response<RelayBody> {
        let mut response = Response::new(RelayBody::whole(json, record));
        let media = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, media);
        response
    }
}

fn accepts_events(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.to_ascii_lowercase().contains("text/event-stream")
    })
}

/// The answers that are not ours; None if there is none.
fn theirs(responses: &RawValue) -> Option<String> {
    let Members(members) = Members::of(responses.get()).ok()?;
    let any = members.iter().any(|(key, _)| key != INPUT_KEY);
    let stripped = edit::object(responses.get(), &[(INPUT_KEY, Edit::Drop)]);
    stripped.ok().filter(|_| any)
}
