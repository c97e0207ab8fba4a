//! Which endpoint a request is for; faults and journal around it.

use std::sync::Arc;

use axum::http::Method;
use axum::response::{IntoResponse, Response};

use super::{Endpoint, State, authorize, metadata, register, token};
use crate::script;
use crate::wire::{Answer, Request};

pub(super) async fn handle(state: Arc<State>, request: Request) -> Response {
    let endpoint = endpoint(&request);
    let entry = state.journal.open(endpoint, &request);
    let fault = state.script.take(endpoint);
    let normal = async { process(&state, endpoint, &request).into_response() };
    let response = script::answer(fault, normal).await;
    state.journal.close(entry, response.status().as_u16());
    response
}

fn endpoint(request: &Request) -> Endpoint {
    let (get, post) = (
        request.method == Method::GET,
        request.method == Method::POST,
    );
    match request.path.as_str() {
        path if get && path.contains("/.well-known/") => Endpoint::Metadata,
        "/register" if post => Endpoint::Register,
        "/authorize" if get => Endpoint::Authorize,
        "/consent" if post => Endpoint::Consent,
        "/token" if post => Endpoint::Token,
        "/revoke" if post => Endpoint::Revoke,
        _ => Endpoint::Unknown,
    }
}

fn process(state: &State, endpoint: Endpoint, request: &Request) -> Answer {
    match endpoint {
        Endpoint::Metadata => metadata::answer(state, &request.path),
        Endpoint::Register => register::answer(state, request),
        Endpoint::Authorize => authorize::answer(state, request),
        Endpoint::Consent => authorize::consented(state, request),
        Endpoint::Token => token::answer(state, request),
        Endpoint::Revoke => token::revoke(state, request),
        Endpoint::Unknown => Answer::text(404, "text/plain", "not found"),
    }
}
