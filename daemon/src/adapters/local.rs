//! Requests that are answered here: those with MCP servers of ours, those that go on with an answer of
//! ours, and those for a model of the other vendor.

mod messages;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::header::HeaderMap;
use http::request::Parts;
use http::{HeaderName, Method};
use serde_json::value::RawValue;

use super::Adapters;
use super::dialect::Request;
use super::event::Wire;
use super::handler::Incoming;
use super::kept;
use super::openai;
use super::pass;
use super::refusal::Refusal;
use super::route::Target;
use super::run::{Job, Model};
use super::translate::without_foreign_reasoning;
use crate::config::Api;
use crate::mcp::edit::Members;
use crate::types::Digest;
use crate::vendors::Vendor;

const RETRIES: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// None where nothing in the request is for us.
pub(super) async fn answer(
    adapters: &Adapters,
    incoming: &Incoming,
) -> Option<Result<Response, Refusal>> {
    if let Some(answered) = kept::answer(adapters, incoming).await {
        return Some(answered);
    }
    if incoming.method != Method::POST {
        return None;
    }
    let body = str::from_utf8(&incoming.body).ok()?;
    match (incoming.target.api, incoming.target.path.as_str()) {
        (Api::Openai, "/responses") => responses(adapters, incoming, body).await,
        (Api::Anthropic, "/v1/messages") => messages::answer(adapters, incoming, body).await,
        (Api::Anthropic, "/v1/messages/count_tokens") => {
            // Large, as it lists tools itself, and every request would make room for it.
            Box::pin(messages::count(adapters, incoming, body)).await
        }
        (Api::Anthropic, "/v1/messages/batches") => messages::batch(adapters, body),
        (Api::Openai, "/chat/completions") => chat(adapters, incoming, body).await,
        _ => None,
    }
}

/// Whether what becomes of a request depends on its body, so that this is taken in first.
pub(super) fn reads(adapters: &Adapters, target: &Target, head: &Parts) -> bool {
    if head.method != Method::POST {
        return false;
    }
    match (target.api, target.path.as_str()) {
        (Api::Openai, "/responses" | "/chat/completions")
        | (Api::Anthropic, "/v1/messages" | "/v1/messages/count_tokens") => true,
        // Nothing of it is executed here: it is looked at for what could never work.
        (Api::Anthropic, "/v1/messages/batches") => adapters.limits.fits(&head.headers),
        _ => pass::names_model(&adapters.vendors, target.api, &head.headers),
    }
}

/// To the vendor, as it is; but it refuses what the other vendor's model thought, which a client carries
/// that had that one's model before.
pub(super) async fn pass(
    adapters: &Adapters,
    mut incoming: Incoming,
    rest: Option<Body>,
) -> Result<Response, Refusal> {
    let path = incoming.target.path.as_str();
    if matches!(
        path,
        "/responses" | "/v1/messages" | "/v1/messages/count_tokens"
    ) && let Ok(body) = str::from_utf8(&incoming.body)
        && let Some(own) = without_foreign_reasoning(incoming.target.wire(), body)
    {
        incoming.body = own.into();
    }
    pass::pass(adapters, incoming, rest).await
}

async fn responses(
    adapters: &Adapters,
    incoming: &Incoming,
    body: &str,
) -> Option<Result<Response, Refusal>> {
    let name = model_name(body)?;
    let vendor = adapters.vendors.route(Api::Openai, &name);
    let target = |url: &str| adapters.gateway.target(url);
    let is_foreign = vendor.api != Api::Openai;
    let request = match openai::parse(body, &target, is_foreign) {
        Ok(openai::Parsed::Ours(request)) => request,
        Ok(openai::Parsed::Plain) => return None,
        Err(refusal) => return Some(Err(refusal)),
    };
    let job = job(adapters, incoming, vendor, request, Wire::Responses);
    Some(Ok(adapters.runner.answer(job.await).await))
}

async fn chat(
    adapters: &Adapters,
    incoming: &Incoming,
    body: &str,
) -> Option<Result<Response, Refusal>> {
    let name = model_name(body)?;
    let vendor = adapters.vendors.route(Api::Openai, &name);
    let target = |url: &str| adapters.gateway.target(url);
    let request = match openai::chat::parse(body, &target) {
        Ok(openai::Parsed::Ours(request)) => request,
        Ok(openai::Parsed::Plain) => return None,
        Err(refusal) => return Some(Err(refusal)),
    };
    if vendor.api != Api::Openai {
        let message = format!(
            "The model {name:?} is with {}, which does not speak Chat Completions. Use the Responses or the \
             Messages API for it, or name another vendor for it in ai.models of config.json.",
            vendor.name
        );
        return Some(Err(Refusal::invalid("model", message)));
    }
    let job = job(adapters, incoming, vendor, request, Wire::Chat);
    Some(Ok(adapters.runner.answer(job.await).await))
}

async fn job(
    adapters: &Adapters,
    incoming: &Incoming,
    vendor: &Arc<Vendor>,
    request: Box<dyn Request>,
    wire: Wire,
) -> Job {
    Job {
        request,
        wire,
        model: model(adapters, incoming, vendor, wire),
        owner: incoming.visitor.owner().await,
        key: key(incoming),
        is_retry: is_retry(&incoming.headers),
    }
}

/// The model that `body` asks for, as far as it can be told: what is wrong with it is said by the one who
/// answers. None if it is no object.
fn model_name(body: &str) -> Option<String> {
    let members = Members::of(body).ok()?;
    let model = members.get("model").map(RawValue::get);
    let name = model.and_then(|model| serde_json::from_str(model).ok());
    Some(name.unwrap_or_default())
}

fn model(adapters: &Adapters, incoming: &Incoming, vendor: &Arc<Vendor>, wire: Wire) -> Model {
    let is_own = vendor.api == incoming.target.api;
    let wire = match vendor.api {
        _ if is_own => wire,
        Api::Openai => Wire::Responses,
        Api::Anthropic => Wire::Messages,
    };
    Model {
        wire,
        vendors: adapters.vendors.clone(),
        visitor: incoming.visitor.clone(),
        vendor: Arc::clone(vendor),
        // What a client tells one vendor means nothing to another.
        headers: match is_own {
            true => incoming.headers.clone(),
            false => HeaderMap::new(),
        },
    }
}

fn key(incoming: &Incoming) -> Digest {
    Digest::of_parts([incoming.target.path.as_bytes(), &*incoming.body])
}

/// SDKs count how often they have sent a request before.
fn is_retry(headers: &HeaderMap) -> bool {
    let count = headers.get(RETRIES).and_then(|value| value.to_str().ok());
    count.is_some_and(|count| count.parse::<u32>().is_ok_and(|count| count > 0))
}
