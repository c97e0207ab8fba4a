//! Which headers cross the bridge, in each direction.
//!
//! Requests to MCP servers by allow-list: what a client sends beyond it may be a credential meant for
//! somebody else. Requests to model APIs by deny-list: their clients were written for that very API.
//! Responses by deny-list: servers add harmless headers that clients need, and few that would
//! act on our origin.

use http::header::{
    CONNECTION, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};

use crate::types::may_hold_client_token;

const INERT: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Headers of a client's request that the server gets to see. There is room for what is added later, in
/// the place of what a client's request always has and keeps: `Host`, the length and a credential.
pub(super) fn forwarded(received: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(received.len());
    for (name, value) in received {
        if crosses(name.as_str()) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// Headers of a client's request that a model API gets to see: all but what belongs to the
/// connection, and credentials, which are chosen apart.
pub(super) fn end_to_end(received: &HeaderMap) -> HeaderMap {
    let named = named_by_connection(received);
    let mut headers = HeaderMap::with_capacity(received.len());
    for (name, value) in received {
        // A token of ours is for this daemon, wherever a client has put it.
        let is_ours = may_hold_client_token(value.as_bytes());
        if !is_ours && !is_kept_here(name.as_str()) && !named.contains(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

fn is_kept_here(name: &str) -> bool {
    match name {
        "host" | "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer"
        | "transfer-encoding" | "upgrade" | "expect" => true,
        // Said anew from the body.
        "content-length" => true,
        "authorization"
        | "proxy-authorization"
        | "x-api-key"
        | "api-key"
        | "cookie"
        | "cookie2" => true,
        _ => name.starts_with("x-mcpbridge-"),
    }
}

/// RFC 9110 §7.6.1: Connection names further headers that belong to it.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut named = Vec::new();
    for value in headers.get_all(CONNECTION) {
        let names = value.to_str().unwrap_or_default().split(',');
        named.extend(names.filter_map(|name| name.trim().parse().ok()));
    }
    named
}

/// Never `Authorization`, `Cookie`, `Host`, `Origin`, and nothing that belongs to one connection
/// (RFC 9110 §7.6.1).
fn crosses(name: &str) -> bool {
    match name {
        "accept" | "accept-encoding" | "accept-language" | "content-type" | "last-event-id"
        | "user-agent" | "traceparent" | "tracestate" | "baggage" => true,
        // MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name, Mcp-Param-*.
        _ => name.starts_with("mcp-"),
    }
}

/// Removes from a server's response what must not reach a client: what belongs to the connection,
/// and what a client would take as said by our own origin (cookies, challenges, origin policies).
///
/// Adds what keeps a browser from running an answer as a page or script of our origin, where it could
/// call every other server.
pub fn keep_relayable(headers: &mut HeaderMap) {
    let mut dropped = named_by_connection(headers);
    dropped.extend(
        headers
            .keys()
            .filter(|name| is_withheld(name.as_str()))
            .cloned(),
    );
    for name in dropped {
        headers.remove(name);
    }
    headers.insert(CONTENT_SECURITY_POLICY, INERT);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
}

fn is_withheld(name: &str) -> bool {
    match name {
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "proxy-authenticate"
        | "proxy-authentication-info"
        | "te"
        | "trailer"
        | "transfer-encoding"
        | "upgrade" => true,
        // Said anew from the body as it was read. A server may send several, or one beside
        // Transfer-Encoding, which then does not count (RFC 9112 §6.3).
        "content-length" => true,
        "set-cookie"
        | "set-cookie2"
        | "www-authenticate"
        | "authentication-info"
        | "alt-svc"
        | "strict-transport-security"
        | "clear-site-data"
        | "link"
        | "location"
        | "refresh"
        | "content-security-policy"
        | "x-content-type-options"
        | "service-worker-allowed"
        | "reporting-endpoints"
        | "report-to"
        | "nel" => true,
        _ => name.starts_with("access-control-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(names: &[&'static str]) -> HeaderMap {
        let entry =
            |name: &&'static str| (HeaderName::from_static(name), HeaderValue::from_static("x"));
        names.iter().map(entry).collect()
    }

    #[test]
    fn credentials_and_connection_headers_of_a_client_stay_here() {
        let received = map(&[
            "accept",
            "content-type",
            "mcp-session-id",
            "mcp-param-region",
            "traceparent",
            "authorization",
            "cookie",
            "host",
            "origin",
            "referer",
            "connection",
            "te",
            "upgrade",
            "proxy-authorization",
            "x-api-key",
            "forwarded",
            "x-forwarded-for",
            "content-encoding",
            "content-length",
            "expect",
        ]);
        let forwarded = forwarded(&received);
        let mut names: Vec<_> = forwarded.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept",
                "content-type",
                "mcp-param-region",
                "mcp-session-id",
                "traceparent"
            ]
        );
    }

    #[test]
    fn a_model_api_gets_all_but_connection_and_credentials() {
        let mut received = map(&[
            "accept",
            "anthropic-beta",
            "openai-organization",
            "x-stainless-retry-count",
            "authorization",
            "x-api-key",
            "api-key",
            "cookie",
            "host",
            "te",
            "upgrade",
            "x-hop",
            "content-length",
            "x-mcpbridge-token",
            "proxy-authorization",
        ]);
        received.insert(CONNECTION, HeaderValue::from_static("keep-alive, X-Hop"));
        received.insert("x-note", HeaderValue::from_static("see mcpb_abc"));
        let headers = end_to_end(&received);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept",
                "anthropic-beta",
                "openai-organization",
                "x-stainless-retry-count"
            ]
        );
    }

    #[test]
    fn repeated_headers_stay_repeated() {
        let mut received = map(&["accept"]);
        received.append("accept", HeaderValue::from_static("y"));
        assert_eq!(forwarded(&received).get_all("accept").iter().count(), 2);
    }

    #[test]
    fn what_acts_on_our_origin_or_one_connection_is_withheld_from_clients() {
        let mut headers = map(&[
            "content-type",
            "content-length",
            "mcp-session-id",
            "content-encoding",
            "cache-control",
            "x-request-id",
            "content-security-policy",
            "set-cookie",
            "www-authenticate",
            "alt-svc",
            "transfer-encoding",
            "strict-transport-security",
            "clear-site-data",
            "link",
            "access-control-allow-origin",
            "access-control-expose-headers",
            "keep-alive",
            "x-hop",
        ]);
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, X-Hop"));
        keep_relayable(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "cache-control",
                "content-encoding",
                "content-security-policy",
                "content-type",
                "mcp-session-id",
                "x-content-type-options",
                "x-request-id",
            ]
        );
        assert_eq!(headers[CONTENT_SECURITY_POLICY], INERT);
    }
}
