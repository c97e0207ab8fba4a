//! Everything that has nothing to do with MCP: the same bytes to the vendor and back.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use serde::Deserialize;

use super::Adapters;
use super::handler::Incoming;
use super::problem;
use super::refusal::Refusal;
use super::upload::{Taken, Upload};
use crate::config::Api;
use crate::error::chain;
use crate::http::limits;
use crate::types::{Caller, VendorName};
use crate::vendors::{ModelBody, ModelRequest, Vendor, Vendors};

/// Of a path, which clients choose.
const PATH_SHOWN: usize = 128;

/// Sends it on, with the body that was taken in or with `rest`, which was not. Status, headers and body
/// of the answer are the vendor's own, as they come.
pub(super) async fn pass(
    adapters: &Adapters,
    incoming: Incoming,
    rest: Option<Body>,
) -> Result<Response, Refusal> {
    let vendors = &adapters.vendors;
    let vendor = Arc::clone(vendor_of(vendors, &incoming));
    let wire = incoming.target.wire();
    let mut line = Line::new(&vendor, &incoming);
    let body = match rest {
        None => ModelBody::Whole(incoming.body),
        Some(rest) => {
            if let Err(error) = vendors.authorize(&incoming.visitor, &vendor) {
                line.outcome = Outcome::Refused(chain(&error));
                if !limits::waits(&incoming.headers) {
                    limits::discard(rest).await;
                }
                return Err(Refusal::from(&error));
            }
            let comes = !limits::waits(&incoming.headers);
            let lifecycle = adapters.runner.lifecycle.clone();
            let upload = Upload::new((rest, comes), Arc::clone(&line.taken), lifecycle);
            ModelBody::Passing(upload.boxed_unsync())
        }
    };
    let request = ModelRequest {
        method: incoming.method,
        path: incoming.target.path,
        query: incoming.query,
        headers: incoming.headers,
        body,
    };
    let sent = vendors.send(&incoming.visitor, &vendor, request).await;
    let mut response = sent.map_err(|error| {
        let (why, refusal) = match line.taken.failure() {
            Some(failure) => (failure.to_string(), Refusal::from(&failure)),
            None => (chain(&error), Refusal::from(&error)),
        };
        line.outcome = Outcome::Refused(why);
        refusal
    })?;
    line.request_id = Some(problem::identify(wire, response.headers_mut()));
    line.status = Some(response.status());
    Ok(response.map(|incoming| Body::new(Passing { incoming, line })))
}

/// Whether the request's model decides which vendor of `api` gets it.
pub(super) fn names_model(vendors: &Vendors, api: Api, headers: &HeaderMap) -> bool {
    vendors.has_several(api) && is_json(headers)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/json"))
}

/// The one that has the model, if it speaks the language of the path: nothing is translated here.
fn vendor_of<'v>(vendors: &'v Vendors, incoming: &Incoming) -> &'v Arc<Vendor> {
    let api = incoming.target.api;
    let own = vendors.own(api);
    if incoming.method != Method::POST || !names_model(vendors, api, &incoming.headers) {
        return own;
    }
    let routed = model(incoming).map(|model| vendors.route(api, &model));
    routed.filter(|vendor| vendor.api == api).unwrap_or(own)
}

fn model(incoming: &Incoming) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        model: Cow<'a, str>,
    }
    let body: Body<'_> = serde_json::from_slice(&incoming.body).ok()?;
    Some(body.model)
}

/// A vendor's answer on its way to the client.
struct Passing {
    incoming: hyper::body::Incoming,
    line: Line,
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => this.line.bytes_out += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(error)) => {
                let failure = this.line.taken.failure();
                let why = failure.map_or_else(|| chain(error), |failure| failure.to_string());
                this.line.outcome = Outcome::BrokenOff(why);
            }
            None => this.line.outcome = Outcome::Complete,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // A body of known length is not polled again behind its last byte.
        if self.incoming.is_end_stream() && matches!(self.line.outcome, Outcome::Abandoned) {
            self.line.outcome = Outcome::Complete;
        }
    }
}

/// The log line of a request, written when all of it is over and something is worth saying.
struct Line {
    vendor: VendorName,
    method: Method,
    path: String,
    caller: Caller,
    started: Instant,
    taken: Arc<Taken>,
    bytes_out: usize,
    status: Option<StatusCode>,
    request_id: Option<HeaderValue>,
    outcome: Outcome,
}

enum Outcome {
    /// The client went away before the end.
    Abandoned,
    Complete,
    BrokenOff(String),
    Refused(String),
}

impl Line {
    fn new(vendor: &Vendor, incoming: &Incoming) -> Self {
        let path = &incoming.target.path;
        Self {
            vendor: vendor.name.clone(),
            method: incoming.method.clone(),
            path: path[..path.floor_char_boundary(PATH_SHOWN)].to_owned(),
            caller: incoming.visitor.caller.clone(),
            started: Instant::now(),
            taken: Arc::new(Taken::new(incoming.body.len())),
            bytes_out: 0,
            status: None,
            request_id: None,
            outcome: Outcome::Abandoned,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (outcome, error) = match &self.outcome {
            Outcome::Abandoned => ("abandoned", None),
            Outcome::Complete => ("complete", None),
            Outcome::BrokenOff(error) => ("broken off", Some(error.as_str())),
            Outcome::Refused(error) => ("refused", Some(error.as_str())),
        };
        // Those that go well are many, and nobody looks for them unasked.
        let went_well = matches!(self.outcome, Outcome::Complete)
            && self.status.is_some_and(|status| status.is_success());
        if went_well && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        tracing::info!(
            vendor = %self.vendor,
            method = %self.method,
            path = self.path,
            status = self.status.map(|status| status.as_u16()),
            request_id = self.request_id.as_ref().and_then(|id| id.to_str().ok()),
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes_in = self.taken.bytes(),
            bytes_out = self.bytes_out,
            caller = %self.caller,
            outcome,
            error,
            "model request"
        );
    }
}
