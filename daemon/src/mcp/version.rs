//! The two eras of the protocol, and how one message tells which it belongs to.

use http::{HeaderMap, HeaderName};

use super::jsonrpc::{Message, MessageKind};

pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// First revision without a handshake.
const FIRST_MODERN: &str = "2026-07-28";
/// The only revision with JSON-RPC arrays.
const BATCH_REVISION: &str = "2025-03-26";

/// Stateless requests of 2026-07-28 and later, or sessions opened by `initialize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    Modern,
    Legacy,
}

impl Era {
    /// The body decides, as in the reference SDKs: a request is modern when its `_meta` claims a
    /// protocol version. Other messages carry no claim and follow the header.
    pub fn of(message: &Message<'_>, headers: &HeaderMap) -> Self {
        let modern = match message.kind {
            MessageKind::Request { .. } => message.claimed_version.is_some(),
            MessageKind::Notification => {
                message.claimed_version.is_some() || header_is_modern(headers)
            }
            MessageKind::Response { .. } => false,
        };
        if modern { Self::Modern } else { Self::Legacy }
    }
}

/// Whether `MCP-Protocol-Version` names a modern revision. Revisions are ISO dates, so text order
/// is time order.
pub fn header_is_modern(headers: &HeaderMap) -> bool {
    protocol_version(headers).is_some_and(|version| version >= FIRST_MODERN)
}

/// Arrays existed only in 2025-03-26, which is also what an absent header means.
pub fn allows_batch(headers: &HeaderMap) -> bool {
    match headers.get(PROTOCOL_VERSION) {
        None => true,
        Some(value) => value.as_bytes() == BATCH_REVISION.as_bytes(),
    }
}

fn protocol_version(headers: &HeaderMap) -> Option<&str> {
    headers.get(PROTOCOL_VERSION)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::mcp::Envelope;

    fn era(body: &str, version: Option<&'static str>) -> Era {
        let mut headers = HeaderMap::new();
        if let Some(version) = version {
            headers.insert(PROTOCOL_VERSION, HeaderValue::from_static(version));
        }
        let envelope = Envelope::parse(body.as_bytes(), false).unwrap();
        Era::of(&envelope.messages()[0], &headers)
    }

    #[test]
    fn a_request_is_modern_by_its_claim_and_nothing_else() {
        let claim = r#"{"id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        assert_eq!(era(claim, None), Era::Modern);
        let plain = r#"{"id":1,"method":"tools/list"}"#;
        assert_eq!(era(plain, Some("2026-07-28")), Era::Legacy);
    }

    #[test]
    fn a_notification_without_a_claim_follows_the_header() {
        let note = r#"{"method":"notifications/cancelled"}"#;
        assert_eq!(era(note, Some("2026-07-28")), Era::Modern);
        assert_eq!(era(note, Some("2025-11-25")), Era::Legacy);
        assert_eq!(era(note, None), Era::Legacy);
    }

    #[test]
    fn arrays_are_for_one_revision() {
        let mut headers = HeaderMap::new();
        assert!(allows_batch(&headers));
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static("2025-03-26"));
        assert!(allows_batch(&headers));
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static("2025-06-18"));
        assert!(!allows_batch(&headers));
    }
}
