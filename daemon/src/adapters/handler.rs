//! From an HTTP request to what answers it: the one place where that is decided.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body::Body as _;

use super::refusal::Refusal;
use super::route::Target;
use super::{Adapters, local, problem};
use crate::http::is_from_another_site;
use crate::types::{Caller, Channel, Process};
use crate::vendors::Visitor;

/// A request that was taken in, from somebody who may ask.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) target: Target,
    pub(super) method: Method,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    /// Empty where nothing here reads it.
    pub(super) body: Bytes,
    pub(super) visitor: Visitor,
}

pub(super) async fn serve(
    State(adapters): State<Arc<Adapters>>,
    request: Request<Body>,
) -> Response {
    let Some(target) = Target::of(request.uri().path()) else {
        let nowhere = Refusal::new(
            StatusCode::NOT_FOUND,
            "there is no model API at this address",
        );
        return problem::refusal(super::event::Wire::Responses, &nowhere, true);
    };
    let wire = target.wire();
    let answered = match take_in(&adapters, target, request).await {
        Ok((incoming, rest)) => handle(&adapters, incoming, rest).await,
        Err(refusal) => Err(refusal),
    };
    answered.unwrap_or_else(|refusal| {
        let status = refusal.status.as_u16();
        tracing::info!(
            status,
            reason = refusal.message,
            "a model request is refused"
        );
        problem::refusal(wire, &refusal, true)
    })
}

/// Finds out who asks, and takes the body in where it has to be read. Otherwise it is returned as it
/// came: uploads may be larger than anything that fits in memory.
async fn take_in(
    adapters: &Adapters,
    target: Target,
    request: Request<Body>,
) -> Result<(Incoming, Option<Body>), Refusal> {
    let (parts, body) = request.into_parts();
    may_ask(&parts.method, &parts.headers)?;
    let nobody = || Caller::new(Channel::Http, Process::default());
    let caller = parts.extensions.get().cloned().unwrap_or_else(nobody);
    let visitor = adapters
        .vendors
        .admit(&caller, &parts.headers, target.api)
        .map_err(|error| Refusal::from(&error))?;
    // What has no length would be sent without the body.
    let is_unsized =
        matches!(parts.method, Method::GET | Method::HEAD) && body.size_hint().exact().is_none();
    let reads = is_unsized || body.is_end_stream() || local::reads(adapters, &target, &parts);
    let (body, rest) = match reads {
        true => (adapters.limits.read(&parts.headers, body).await, None),
        false => (Ok(Bytes::new()), Some(body)),
    };
    let body = body.map_err(|error| Refusal::from(&error))?;
    let incoming = Incoming {
        target,
        method: parts.method,
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
        visitor,
    };
    Ok((incoming, rest))
}

fn may_ask(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if is_from_another_site(headers) {
        let reason = "a page of another site may not use model APIs through this daemon";
        return Err(Refusal::new(StatusCode::FORBIDDEN, reason));
    }
    if matches!(*method, Method::TRACE | Method::CONNECT) {
        let reason = "TRACE and CONNECT are not passed on; model APIs use GET, POST and DELETE";
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, reason));
    }
    // Not 426: that would promise that another protocol is served here.
    if headers.contains_key(header::UPGRADE) {
        let reason = "WebSocket is not served here: use HTTP POST, with \"stream\": true for a stream \
                      of events; a realtime client needs the vendor's own URL";
        return Err(Refusal::new(StatusCode::BAD_REQUEST, reason));
    }
    Ok(())
}

/// Decides what answers. Whatever nothing here knows about goes to the vendor as it is.
async fn handle(
    adapters: &Adapters,
    incoming: Incoming,
    rest: Option<Body>,
) -> Result<Response, Refusal> {
    match local::answer(adapters, &incoming).await? {
        Some(answered) => Ok(answered),
        None => local::pass(adapters, incoming, rest).await,
    }
}
