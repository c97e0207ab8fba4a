//! From an HTTP request to a [`RelayRequest`].

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{Method, Request};

use super::{Proxy, reply};
use crate::http::is_from_another_site;
use crate::pipeline::{CallError, RelayRequest};
use crate::types::{Caller, Channel, Process, ServerName};

/// Not relayed: TRACE would show a client its server's token, CONNECT is not about a server at all.
/// All others pass, as a server may know more methods than MCP names.
const REFUSED_METHODS: [Method; 2] = [Method::TRACE, Method::CONNECT];
/// Documents by which clients look for an authorization server.
const METADATA: [&str; 3] = [
    "/.well-known/oauth-protected-resource",
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

pub(super) async fn relay(State(proxy): State<Proxy>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    if is_from_another_site(&parts.headers) {
        return reply::foreign_page();
    }
    if REFUSED_METHODS.contains(&parts.method) {
        return reply::wrong_method();
    }
    let (name, path) = split(parts.uri.path());
    if METADATA.iter().any(|document| path.contains(document)) {
        return reply::no_metadata();
    }
    let body = match proxy.limits.read(&parts.headers, body).await {
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
            .unwrap_or_else(|| Caller::new(Channel::Http, Process::default())),
        asked: None,
    };
    match proxy.pipeline.call(request).await {
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
