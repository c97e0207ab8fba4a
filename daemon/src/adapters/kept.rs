//! Answers that are kept here, under the vendor's endpoints for them. Of the vendor's own ids nothing is
//! known here.

use axum::body::Body;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};

use super::Adapters;
use super::handler::Incoming;
use super::openai::{ids, store};
use super::problem;
use super::record::Record;
use super::refusal::Refusal;
use crate::config::Api;
use crate::types::Digest;

/// None where the request is not about an answer of ours.
pub(super) async fn answer(
    adapters: &Adapters,
    incoming: &Incoming,
) -> Result<Option<Response>, Refusal> {
    let path = match incoming.target.api {
        Api::Openai => incoming.target.path.strip_prefix("/responses/"),
        Api::Anthropic => None,
    };
    let Some(path) = path else { return Ok(None) };
    let (id, rest) = path.split_once('/').unwrap_or((path, ""));
    if !ids::is_made(id) {
        return Ok(None);
    }
    let owner = incoming.visitor.owner().await;
    let query = incoming.query.as_deref();
    let json = match (&incoming.method, rest) {
        (&Method::GET, "") => store::get(&find(adapters, owner, id).await?, query)?,
        (&Method::GET, "input_items") => {
            store::input_items(&find(adapters, owner, id).await?, query)?
        }
        (&Method::POST, "cancel") => {
            find(adapters, owner, id).await?;
            return Err(store::cancelled());
        }
        (&Method::DELETE, "") => delete(adapters, owner, id).await?,
        _ => return Ok(None),
    };
    let mut response = Response::new(Body::from(json));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    problem::identify(incoming.target.wire(), headers);
    Ok(Some(response))
}

async fn find(adapters: &Adapters, owner: Digest, id: &str) -> Result<Record, Refusal> {
    let found = adapters.runner.conversations.find(owner, id).await;
    let found = found.map_err(|error| Refusal::from(&error))?;
    let record = found.and_then(|body| serde_json::from_str(&body).ok());
    record.ok_or_else(|| store::not_found(id))
}

async fn delete(adapters: &Adapters, owner: Digest, id: &str) -> Result<String, Refusal> {
    let deleted = adapters.runner.conversations.delete(owner, id).await;
    match deleted.map_err(|error| Refusal::from(&error))? {
        true => Ok(store::deleted(id)),
        false => Err(store::not_found(id)),
    }
}
