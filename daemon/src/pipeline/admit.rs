//! What is decided about a request before anything is sent.

use std::sync::Arc;

use http::{HeaderMap, Method};
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use super::basis::Basis;
use super::client::ClientView;
use super::error::CallError;
use super::hold::{AskedCall, Known, is_ours};
use super::judge::{Judgement, Question};
use super::listing::Expected;
use super::media::read;
use super::record::Record;
use super::sessions::SessionKey;
use super::trail::{self, Subject, Trail};
use super::{Inner, RelayRequest, SESSION_ID};
use crate::clients;
use crate::mcp::{Envelope, Era, Message, canonical, headers};
use crate::registry::Server;
use crate::types::Digest;
use crate::upstream::Outgoing;

/// What becomes of a request.
pub(super) enum Admission {
    Forward(Box<Admitted>),
    Ask(Box<AskedCall>, Box<Question>, OwnedSemaphorePermit),
    /// It was for us.
    Taken,
}

/// A request that may go out.
pub(super) struct Admitted {
    pub(super) server: Arc<Server>,
    pub(super) outgoing: Outgoing,
    pub(super) traits: Traits,
    pub(super) expected: Option<Expected>,
    /// As it came, for another look at it.
    pub(super) request: RelayRequest,
    /// By what it was judged.
    pub(super) basis: Basis,
    /// What a client that begins a session says about itself.
    pub(super) greeting: Option<ClientView>,
    pub(super) permit: OwnedSemaphorePermit,
}

/// What a message says about the stream that answers it.
#[derive(Default)]
pub(super) struct Traits {
    /// `server/discover`: the question by which clients find out a server's era.
    pub(super) is_probe: bool,
    /// The client leaving does not end the exchange.
    pub(super) outlives_client: bool,
}

/// A tool call that a rule allows.
struct Allowed<'m> {
    tool: &'m str,
    arguments: &'m str,
    digest: Digest,
    rule: Option<String>,
}

impl Inner {
    pub(super) async fn admit(
        &self,
        request: RelayRequest,
        record: &mut Record,
    ) -> Result<Admission, CallError> {
        let basis = Basis::of(self);
        let envelope = read(&request.method, &request.headers, &request.body)?;
        if let Some(envelope) = &envelope {
            record.describe(envelope, &request.method, &request.body);
        }
        let server = self.server(request.server.as_str())?;
        if request.method == Method::DELETE {
            self.end_session(&request).await;
        }
        let messages = envelope
            .as_ref()
            .map(Envelope::messages)
            .unwrap_or_default();
        let mut allowed = Vec::new();
        let mut rewritten = None;
        // One refusal refuses the whole body, because it can only be forwarded whole.
        for message in messages {
            headers::validate(&request.headers, message)?;
            let Some(tool) = message.tool() else {
                if messages.len() == 1 && self.is_for_us(message, &request).await {
                    return Ok(Admission::Taken);
                }
                continue;
            };
            let arguments = message.params.arguments.map_or("{}", RawValue::get);
            // Two readers may take different values for a key that occurs twice.
            let digest = canonical::digest(arguments)?;
            let judgement = self.judge_call(&server, &request, message, tool).await?;
            let resumes = message.params.request_state.as_deref().is_some_and(is_ours);
            let needs_call = resumes || matches!(judgement, Judgement::Ask(_));
            if needs_call && envelope.as_ref().is_some_and(Envelope::is_batch) {
                return Err(CallError::NotAlone(tool.to_owned()));
            }
            match judgement {
                Judgement::Ask(question) => {
                    let call = self.asked(&server, &request, message, digest).await?;
                    let permit = self.permit()?;
                    return Ok(Admission::Ask(Box::new(call), question, permit));
                }
                Judgement::Allow { rule } => allowed.push(Allowed {
                    tool,
                    arguments,
                    digest,
                    rule,
                }),
                Judgement::Deny(error) => {
                    let subject = subject(&request, tool);
                    trail::refused(&self.audit, &subject, &error.to_string());
                    return Err(error);
                }
            }
            if resumes {
                let call = self.asked(&server, &request, message, digest).await?;
                rewritten = Some(call.outgoing(None, false)?);
            }
        }
        let traits = traits(&request.headers, envelope.as_ref());
        let permit = self.permit()?;
        let expected = Expected::of(&request.method, envelope.as_ref());
        let outgoing = match rewritten {
            Some(outgoing) => outgoing,
            None => outgoing(&server, &request, expected.as_ref())?,
        };
        for Allowed {
            tool,
            arguments,
            digest,
            rule,
        } in allowed
        {
            let subject = subject(&request, tool);
            let trail = Trail::begin(&self.audit, subject, (arguments, digest), rule);
            record.follow(trail.await?);
        }
        let greeting = match messages {
            [hello] if hello.method == "initialize" => Some(ClientView::of(&hello.params)),
            _ => None,
        };
        Ok(Admission::Forward(Box::new(Admitted {
            server,
            outgoing,
            traits,
            expected,
            request,
            basis,
            greeting,
            permit,
        })))
    }

    /// The client ends its session: nobody waits in it any more.
    async fn end_session(&self, request: &RelayRequest) {
        let Some(session) = session(&request.headers) else {
            return;
        };
        request.caller.resolve().await;
        self.sessions.end(&SessionKey {
            server: request.server.clone(),
            session: session.to_owned(),
            principal: request.caller.principal(),
        });
    }

    async fn is_for_us(&self, message: &Message<'_>, request: &RelayRequest) -> bool {
        let session = session(&request.headers);
        let parties = (&request.server, &request.caller);
        self.intercept(message, session, parties).await
    }

    pub(super) async fn judge_call(
        &self,
        server: &Server,
        request: &RelayRequest,
        message: &Message<'_>,
        tool: &str,
    ) -> Result<Judgement, CallError> {
        if let Err(error) = clients::cover(&request.caller, &server.name, Some(tool)) {
            return Ok(Judgement::Deny(error.into()));
        }
        if server.policy.asks_for_program(tool) {
            request.caller.resolve().await;
        }
        let arguments = message.params.arguments;
        Ok(self.judge(
            server,
            &request.caller,
            (tool, arguments),
            request.asked.as_ref(),
        ))
    }

    /// The call as it waits.
    async fn asked(
        &self,
        server: &Arc<Server>,
        request: &RelayRequest,
        message: &Message<'_>,
        argument_digest: Digest,
    ) -> Result<AskedCall, CallError> {
        request.caller.resolve().await;
        let principal = request.caller.principal();
        let modern = Era::of(message, &request.headers) == Era::Modern;
        let session = session(&request.headers).filter(|_| !modern);
        let session = session.map(|session| SessionKey {
            server: server.name.clone(),
            session: session.to_owned(),
            principal: principal.clone(),
        });
        let client = match &session {
            _ if modern => ClientView::of(&message.params),
            Some(session) => match self.sessions.client(session) {
                Some(client) => ClientView::clone(&client).limited_to(&request.headers),
                None => ClientView::default(),
            },
            None => ClientView::default(),
        };
        let known = Known {
            server: Arc::clone(server),
            principal,
            client: Arc::new(client),
            session,
            argument_digest,
        };
        let tool = message.tool().unwrap_or_default();
        let call = AskedCall::new(known, message, request);
        let mut call = call.ok_or_else(|| CallError::NoId(tool.to_owned()))?;
        let state = message.params.request_state.as_deref();
        if let Some(state) = state.filter(|state| is_ours(state)) {
            let about = (&server.name, tool);
            let resumed = self.resume(state, about, &call.principal, argument_digest);
            call.resume(resumed.await?);
        }
        Ok(call)
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, CallError> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        permit.map_err(|_| CallError::Busy(self.max_streams))
    }

    pub(super) fn server(&self, name: &str) -> Result<Arc<Server>, CallError> {
        let snapshot = self.registry.snapshot();
        snapshot.get(name).cloned().ok_or(CallError::UnknownServer)
    }
}

fn subject<'a>(request: &'a RelayRequest, tool: &'a str) -> Subject<'a> {
    Subject {
        caller: &request.caller,
        server: &request.server,
        tool,
    }
}

fn session(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION_ID)?.to_str().ok()
}

fn outgoing(
    server: &Server,
    request: &RelayRequest,
    expected: Option<&Expected>,
) -> Result<Outgoing, CallError> {
    let aim = (
        request.method.clone(),
        request.path.as_str(),
        request.query.as_deref(),
    );
    let (mut headers, body) = (request.headers.clone(), request.body.clone());
    if expected.is_some() {
        Expected::adapt(&mut headers);
    }
    let url = &server.config.url;
    Ok(Outgoing::new(url, server.addresses, aim, headers, body)?)
}

fn traits(headers: &HeaderMap, envelope: Option<&Envelope<'_>>) -> Traits {
    match envelope {
        None => Traits::default(),
        Some(Envelope::Batch(_)) => Traits {
            outlives_client: true,
            ..Traits::default()
        },
        Some(Envelope::Single(message)) => Traits {
            is_probe: message.method == "server/discover",
            outlives_client: Era::of(message, headers) == Era::Legacy,
        },
    }
}
