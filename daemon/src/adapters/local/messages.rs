//! Requests in the Messages language.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{job, model_name, pass};
use crate::adapters::Adapters;
use crate::adapters::anthropic::{MessagesRequest, upstream_betas};
use crate::adapters::event::Wire;
use crate::adapters::handler::Incoming;
use crate::adapters::refusal::Refusal;
use crate::config::Api;

const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// What all blocks, tools and members of the feature have in their names. Whatever lacks it is not
/// looked at any closer.
const TRACE: &str = "mcp_";

/// An answer, made here.
pub(super) async fn answer(
    adapters: &Adapters,
    incoming: &Incoming,
    body: &str,
) -> Result<Option<Response>, Refusal> {
    let Some(request) = read(adapters, incoming, body)? else {
        return Ok(None);
    };
    let vendor = adapters.vendors.route(Api::Anthropic, request.model());
    let keeps_mcp = request.keeps_mcp();
    let mut job = job(
        adapters,
        incoming,
        vendor,
        Box::new(request),
        Wire::Messages,
    )
    .await;
    keep_betas(&mut job.model.headers, keeps_mcp);
    Ok(Some(adapters.runner.answer(job).await))
}

/// How many tokens the model would be sent: the vendor counts what it would get.
pub(super) async fn count(
    adapters: &Adapters,
    incoming: &Incoming,
    body: &str,
) -> Result<Option<Response>, Refusal> {
    let Some(request) = read(adapters, incoming, body)? else {
        return Ok(None);
    };
    let vendor = adapters.vendors.route(Api::Anthropic, request.model());
    if vendor.api != Api::Anthropic {
        let message =
            "belongs to a vendor that does not count tokens; ask for a model of Anthropic's";
        return Err(Refusal::invalid("model", message));
    }
    let mut headers = incoming.headers.clone();
    keep_betas(&mut headers, request.keeps_mcp());
    let owner = incoming.visitor.owner().await;
    let caller = incoming.visitor.caller.clone();
    let (found, listings) = adapters.runner.look_up(&request, owner, caller).await?;
    let counted = Incoming {
        target: incoming.target.clone(),
        method: incoming.method.clone(),
        query: incoming.query.clone(),
        headers,
        body: request.count(found, listings)?.into(),
        visitor: incoming.visitor.clone(),
    };
    pass(adapters, counted, None).await.map(Some)
}

/// None if the vendor can do all of it.
fn read(
    adapters: &Adapters,
    incoming: &Incoming,
    body: &str,
) -> Result<Option<MessagesRequest>, Refusal> {
    let Some(name) = model_name(body) else {
        return Ok(None);
    };
    let vendor = adapters.vendors.route(Api::Anthropic, &name);
    let is_own = vendor.api == Api::Anthropic;
    if is_own && !body.contains(TRACE) {
        return Ok(None);
    }
    let request = MessagesRequest::parse(body, &betas(&incoming.headers), &adapters.gateway)?;
    Ok((!is_own || !request.is_plain()).then_some(request))
}

/// Refuses what would run on the vendor's machines when nobody is here to answer.
pub(super) fn check_batch(adapters: &Adapters, body: &str) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Batch<'a> {
        #[serde(borrow)]
        requests: Vec<One<'a>>,
    }
    #[derive(Deserialize)]
    struct One<'a> {
        #[serde(borrow)]
        params: &'a RawValue,
    }
    if !body.contains(TRACE) {
        return Ok(());
    }
    let Ok(batch) = serde_json::from_str::<Batch<'_>>(body) else {
        return Ok(());
    };
    for (at, one) in batch.requests.iter().enumerate() {
        let request = MessagesRequest::parse(one.params.get(), "", &adapters.gateway);
        let param = format!("requests[{at}].params");
        match request {
            Ok(request) if request.is_plain() => {}
            Ok(_) => {
                let message = "names an MCP server of this machine, but a batch runs later, on the vendor's \
                               machines, which cannot reach it; send the request to /v1/messages";
                return Err(Refusal::invalid(format!("{param}.mcp_servers"), message));
            }
            Err(refusal) => {
                let inner = refusal.param.as_deref().map(|it| format!("{param}.{it}"));
                let message = refusal.message;
                let refusal = Refusal::new(StatusCode::BAD_REQUEST, message);
                return Err(Refusal {
                    param: inner.or(Some(param)),
                    ..refusal
                });
            }
        }
    }
    Ok(())
}

/// All values of the header, which may be there more than once.
fn betas(headers: &HeaderMap) -> String {
    let values = headers.get_all(BETA).iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

fn keep_betas(headers: &mut HeaderMap, keeps_mcp: bool) {
    let kept = upstream_betas(&betas(headers), keeps_mcp);
    headers.remove(BETA);
    if let Some(Ok(value)) = kept.map(HeaderValue::try_from) {
        headers.insert(BETA, value);
    }
}
