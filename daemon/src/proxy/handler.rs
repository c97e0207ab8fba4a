//! From an HTTP request to a [`RelayRequest`].

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::reply::{self, BodyError};
use crate::pipeline::{CallError, Pipeline, RelayRequest};
use crate::types::{Caller, ServerName};

/// Documents by which clients look for an authorization server.
const METADATA: [&str; 3] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

pub(super) async fn relay(State(pipeline): State<Pipeline>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let (name, path) = split(parts.uri.path());
    if METADATA.iter().any(|document| path.starts_with(document)) {
        return reply::no_metadata();
    }
    let body = match collect(&parts, body, pipeline.max_request_bytes()).await {
        Ok(body) => body,
        Err(error) => return reply::unreadable(&error),
    };
    let Ok(server) = name.parse::<ServerName>() else {
        return reply::refusal(&CallError::UnknownServer, &parts.method, &body);
    };
    let request = RelayRequest {
        server,
        method: parts.method.clone(),
        path: path.to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: body.clone(),
        caller: parts
            .extensions
            .get()
            .cloned()
            .unwrap_or(Caller::Http { uid: None }),
    };
    match pipeline.call(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => reply::refusal(&error, &parts.method, &body),
    }
}

/// The server's name and the raw path behind it. Not decoded: the server gets the same spelling.
fn split(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix("/mcp/").unwrap_or_default();
    match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    }
}

async fn collect(parts: &Parts, body: Body, limit: u64) -> Result<Bytes, BodyError> {
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(BodyError::TooLarge(limit));
    }
    let limited = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(limit)),
        Err(_) => Err(BodyError::BrokenOff),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_behind_the_name_keeps_its_spelling() {
        assert_eq!(split("/mcp/a"), ("a", ""));
        assert_eq!(split("/mcp/a/"), ("a", "/"));
        assert_eq!(split("/mcp/a/b%2Fc/d"), ("a", "/b%2Fc/d"));
    }
}
