//! Everything that has nothing to do with MCP: the same bytes to the vendor and back.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use serde::Deserialize;

use super::handler::Incoming;
use super::problem;
use super::refusal::Refusal;
use crate::error::chain;
use crate::types::{Caller, VendorName};
use crate::vendors::{ModelRequest, Vendor, Vendors};

/// Of a path, which clients choose.
const PATH_SHOWN: usize = 128;

/// Sends it on. Status, headers and body of the answer are the vendor's own, as they come.
pub(super) async fn pass(vendors: &Vendors, incoming: Incoming) -> Result<Response, Refusal> {
    let vendor = Arc::clone(vendor_of(vendors, &incoming));
    let wire = incoming.target.wire();
    let mut line = Line::new(&vendor, &incoming);
    let request = ModelRequest {
        method: incoming.method,
        path: incoming.target.path,
        query: incoming.query,
        headers: incoming.headers,
        body: incoming.body,
    };
    let sent = vendors.send(&incoming.visitor, &vendor, request).await;
    let mut response = sent.map_err(|error| {
        line.outcome = Outcome::Refused(chain(&error));
        Refusal::from(&error)
    })?;
    let id = problem::identify(wire, response.headers_mut());
    line.request_id = id.to_str().unwrap_or_default().to_owned();
    line.status = Some(response.status());
    Ok(response.map(|incoming| Body::new(Passing { incoming, line })))
}

/// The one that has the model, if it speaks the language of the path: nothing is translated here.
fn vendor_of<'v>(vendors: &'v Vendors, incoming: &Incoming) -> &'v Arc<Vendor> {
    let api = incoming.target.api;
    let own = vendors.own(api);
    if incoming.method != Method::POST || !vendors.has_several(api) {
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
    let kind = incoming.headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !kind.starts_with("application/json") {
        return None;
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
            Some(Err(error)) => this.line.outcome = Outcome::BrokenOff(chain(error)),
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

/// The log line of a request, written when all of it is over.
struct Line {
    vendor: VendorName,
    method: Method,
    path: String,
    caller: Caller,
    started: Instant,
    bytes_in: usize,
    bytes_out: usize,
    status: Option<StatusCode>,
    request_id: String,
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
            bytes_in: incoming.body.len(),
            bytes_out: 0,
            status: None,
            request_id: String::new(),
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
        tracing::info!(
            vendor = %self.vendor,
            method = %self.method,
            path = self.path,
            status = self.status.map(|status| status.as_u16()),
            request_id = self.request_id,
            duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes_in = self.bytes_in,
            bytes_out = self.bytes_out,
            caller = %self.caller,
            outcome,
            error,
            "model request"
        );
    }
}
