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
use super::route::{Endpoint, Target};
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
) -> Result<Option<Response>, Refusal> {
    if let Some(answered) = kept::answer(adapters, incoming).await? {
        return Ok(Some(answered));
    }
    let Some(endpoint) = incoming.target.endpoint(&incoming.method) else {
        return Ok(None);
    };
    let Ok(body) = str::from_utf8(&incoming.body) else {
        return Ok(None);
    };
    match endpoint {
        Endpoint::Responses => responses(adapters, incoming, body).await,
        Endpoint::Chat => chat(adapters, incoming, body).await,
        Endpoint::Messages => messages::answer(adapters, incoming, body).await,
        // Large, as it lists tools itself, and every request would make room for it.
        Endpoint::CountTokens => Box::pin(messages::count(adapters, incoming, body)).await,
        Endpoint::Batches => messages::check_batch(adapters, body).map(|()| None),
    }
}

/// Whether what becomes of a request depends on its body, so that this is taken in first.
pub(super) fn reads(adapters: &Adapters, target: &Target, head: &Parts) -> bool {
    match target.endpoint(&head.method) {
        // Nothing of it is executed here: it is looked at for what could never work.
        Some(Endpoint::Batches) => adapters.limits.fits(&head.headers),
        Some(_) => true,
        None => {
            head.method == Method::POST
                && pass::names_model(&adapters.vendors, target.api, &head.headers)
        }
    }
}

/// To the vendor, as it is; but it refuses what the other vendor's model thought, which a client carries
/// that had that one's model before.
pub(super) async fn pass(
    adapters: &Adapters,
    mut incoming: Incoming,
    rest: Option<Body>,
) -> Result<Response, Refusal> {
    if let Some(Endpoint::Responses | Endpoint::Messages | Endpoint::CountTokens) =
        incoming.target.endpoint(&incoming.method)
        && let Ok(body) = str::from_utf8(&incoming.body)
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
) -> Result<Option<Response>, Refusal> {
    let Some(name) = model_name(body) else {
        return Ok(None);
    };
    let vendor = adapters.vendors.route(Api::Openai, &name);
    let target = |url: &str| adapters.gateway.target(url);
    let is_foreign = vendor.api != Api::Openai;
    let openai::Parsed::Ours(request) = openai::parse(body, &target, is_foreign)? else {
        return Ok(None);
    };
    let job = job(adapters, incoming, vendor, request, Wire::Responses);
    Ok(Some(adapters.runner.answer(job.await).await))
}

async fn chat(
    adapters: &Adapters,
    incoming: &Incoming,
    body: &str,
) -> Result<Option<Response>, Refusal> {
    let Some(name) = model_name(body) else {
        return Ok(None);
    };
    let vendor = adapters.vendors.route(Api::Openai, &name);
    let target = |url: &str| adapters.gateway.target(url);
    let openai::Parsed::Ours(request) = openai::chat::parse(body, &target)? else {
        return Ok(None);
    };
    if vendor.api != Api::Openai {
        let message = format!(
            "The model {name:?} is with {}, which does not speak Chat Completions. Use the Responses or the \
             Messages API for it, or name another vendor for it in ai.models of config.json.",
            vendor.name
        );
        return Err(Refusal::invalid("model", message));
    }
    let job = job(adapters, incoming, vendor, request, Wire::Chat);
    Ok(Some(adapters.runner.answer(job.await).await))
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
