//! From an HTTP request to what answers it: the one place where that is decided.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};

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
        Ok(incoming) => handle(&adapters, incoming).await,
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

/// Reads it whole and finds out who asks.
async fn take_in(
    adapters: &Adapters,
    target: Target,
    request: Request<Body>,
) -> Result<Incoming, Refusal> {
    let (parts, body) = request.into_parts();
    may_ask(&parts.method, &parts.headers)?;
    let nobody = || Caller::new(Channel::Http, Process::default());
    let caller = parts.extensions.get().cloned().unwrap_or_else(nobody);
    let visitor = adapters
        .vendors
        .admit(&caller, &parts.headers, target.api)
        .map_err(|error| Refusal::from(&error))?;
    let body = adapters.limits.read(&parts.headers, body).await;
    let body = body.map_err(|error| Refusal::from(&error))?;
    Ok(Incoming {
        target,
        method: parts.method,
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
        visitor,
    })
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
async fn handle(adapters: &Adapters, incoming: Incoming) -> Result<Response, Refusal> {
    match local::answer(adapters, &incoming).await {
        Some(answered) => answered,
        None => local::pass(adapters, incoming).await,
    }
}
