//! The standard headers of a modern request must say what its body says (2026-07-28, transports).
//!
//! Decisions are taken from the body. The headers are checked all the same: routers and servers
//! behind us may read them, and two readings of one request are how a check is passed by.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::codes;
use super::jsonrpc::{Message, MessageKind};
use super::version::{PROTOCOL_VERSION, header_is_modern};

const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// Why the headers were not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderMismatch {
    #[error("the header {0} is missing; protocol version 2026-07-28 requires it")]
    Missing(&'static str),
    #[error("the header {0} occurs more than once")]
    Repeated(&'static str),
    #[error("the header {0} cannot be decoded")]
    Malformed(&'static str),
    #[error("the header {0} differs from the body")]
    Differs(&'static str),
    #[error(
        "MCP-Protocol-Version names a modern revision but params._meta claims no protocol version"
    )]
    NoClaim,
}

impl HeaderMismatch {
    pub fn code(&self) -> i32 {
        match self {
            Self::NoClaim => codes::INVALID_PARAMS,
            Self::Missing(_) | Self::Repeated(_) | Self::Malformed(_) | Self::Differs(_) => {
                codes::HEADER_MISMATCH
            }
        }
    }
}

/// Compares the headers with `message`. Messages of the `initialize` era need no such headers, but
/// whoever routes by headers reads them there too, so those that are sent must be right.
pub fn validate(headers: &HeaderMap, message: &Message<'_>) -> Result<(), HeaderMismatch> {
    let is_request = matches!(message.kind, MessageKind::Request { .. });
    only_once(headers, PROTOCOL_VERSION, "MCP-Protocol-Version")?;
    let Some(claim) = message.claimed_version.as_deref() else {
        // `initialize` is how a client falls back to the older era, whatever its header still says.
        let legacy = !is_request || message.method == "initialize" || !header_is_modern(headers);
        if !legacy {
            return Err(HeaderMismatch::NoClaim);
        }
        return standard(headers, message, false);
    };
    expect(headers, PROTOCOL_VERSION, "MCP-Protocol-Version", claim)?;
    // Whether a notification needs Mcp-Method the specification leaves open; a wrong one is wrong.
    standard(headers, message, is_request)
}

/// `Mcp-Method` and `Mcp-Name`: right if they are there, and there if `required`.
fn standard(
    headers: &HeaderMap,
    message: &Message<'_>,
    required: bool,
) -> Result<(), HeaderMismatch> {
    if required || headers.contains_key(METHOD) {
        expect(headers, METHOD, "Mcp-Method", &message.method)?;
    }
    match message.name.as_deref() {
        Some(name) if required || headers.contains_key(NAME) => {
            expect(headers, NAME, "Mcp-Name", name)
        }
        None if takes_a_name(&message.method) && headers.contains_key(NAME) => {
            Err(HeaderMismatch::Differs("Mcp-Name"))
        }
        Some(_) | None => Ok(()),
    }
}

fn takes_a_name(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

fn expect(
    headers: &HeaderMap,
    key: HeaderName,
    shown: &'static str,
    body: &str,
) -> Result<(), HeaderMismatch> {
    let value = only_once(headers, key, shown)?.ok_or(HeaderMismatch::Missing(shown))?;
    match matches_body(value, body) {
        Some(true) => Ok(()),
        Some(false) => Err(HeaderMismatch::Differs(shown)),
        None => Err(HeaderMismatch::Malformed(shown)),
    }
}

fn only_once<'h>(
    headers: &'h HeaderMap,
    key: HeaderName,
    shown: &'static str,
) -> Result<Option<&'h HeaderValue>, HeaderMismatch> {
    let mut values = headers.get_all(key).iter();
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(HeaderMismatch::Repeated(shown)),
    }
}

/// `text` as the value of `Mcp-Name` or `Mcp-Param-*`: as it is where that is unambiguous, else as
/// `=?base64?…?=`.
pub fn encode(text: &str) -> HeaderValue {
    let blank_ends = text.starts_with([' ', '\t']) || text.ends_with([' ', '\t']);
    let printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let plain = printable && !blank_ends && !text.starts_with("=?base64?");
    let value = if plain {
        HeaderValue::from_str(text)
    } else {
        HeaderValue::try_from(format!("=?base64?{}?=", STANDARD.encode(text)))
    };
    // Neither printable ASCII nor base64 can be refused.
    value.unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// None if the value is not text. What is not plain ASCII travels as `=?base64?…?=` of its UTF-8.
fn matches_body(value: &HeaderValue, body: &str) -> Option<bool> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    let encoded = text
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    match encoded {
        Some(encoded) => Some(STANDARD.decode(encoded).ok()? == body.as_bytes()),
        None => Some(text == body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::Envelope;

    const CALL: &str = r#"{"id":1,"method":"tools/call","params":{"name":"größe","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

    fn check(body: &str, headers: &[(&'static str, &'static str)]) -> Result<(), HeaderMismatch> {
        let mut map = HeaderMap::new();
        for (key, value) in headers {
            map.append(*key, HeaderValue::from_static(value));
        }
        let envelope = Envelope::parse(body.as_bytes(), false).unwrap();
        validate(&map, &envelope.messages()[0])
    }

    const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
    const CALLS: (&str, &str) = ("mcp-method", "tools/call");
    const SIZE: (&str, &str) = ("mcp-name", "=?base64?Z3LDtsOfZQ==?=");

    #[test]
    fn matching_headers_pass_with_the_name_decoded() {
        assert_eq!(check(CALL, &[VERSION, CALLS, SIZE]), Ok(()));
    }

    #[test]
    fn a_missing_repeated_malformed_or_different_header_is_a_mismatch() {
        use HeaderMismatch::{Differs, Malformed, Missing, Repeated};
        let cases = [
            (vec![CALLS, SIZE], Missing("MCP-Protocol-Version")),
            (vec![VERSION, SIZE], Missing("Mcp-Method")),
            (vec![VERSION, CALLS], Missing("Mcp-Name")),
            (vec![VERSION, CALLS, SIZE, SIZE], Repeated("Mcp-Name")),
            (
                vec![VERSION, CALLS, ("mcp-name", "=?base64?%?=")],
                Malformed("Mcp-Name"),
            ),
            (
                vec![VERSION, CALLS, ("mcp-name", "other")],
                Differs("Mcp-Name"),
            ),
            (
                vec![VERSION, ("mcp-method", "Tools/Call"), SIZE],
                Differs("Mcp-Method"),
            ),
            (
                vec![("mcp-protocol-version", "2025-11-25")],
                Differs("MCP-Protocol-Version"),
            ),
        ];
        for (headers, expected) in cases {
            assert_eq!(expected.code(), codes::HEADER_MISMATCH);
            assert_eq!(check(CALL, &headers), Err(expected));
        }
    }

    #[test]
    fn an_encoded_name_is_decoded_to_itself() {
        for name in [
            "plain",
            "",
            "two words",
            " lead",
            "größe",
            "=?base64?eA==?=",
            "a\nb",
        ] {
            assert_eq!(matches_body(&encode(name), name), Some(true), "{name:?}");
        }
        assert_eq!(encode("plain"), "plain");
    }

    #[test]
    fn the_older_era_is_not_bothered() {
        let plain = r#"{"id":1,"method":"tools/call","params":{"name":"a"}}"#;
        assert_eq!(
            check(plain, &[("mcp-protocol-version", "2025-11-25")]),
            Ok(())
        );
        let initialize = r#"{"id":1,"method":"initialize","params":{}}"#;
        assert_eq!(check(initialize, &[VERSION]), Ok(()));
    }

    #[test]
    fn headers_that_an_older_message_need_not_have_must_still_be_right() {
        use HeaderMismatch::{Differs, Repeated};
        let plain = r#"{"id":1,"method":"tools/call","params":{"name":"a"}}"#;
        assert_eq!(check(plain, &[CALLS, ("mcp-name", "a")]), Ok(()));
        let other = [CALLS, ("mcp-name", "b")];
        assert_eq!(check(plain, &other), Err(Differs("Mcp-Name")));
        let other = [("mcp-method", "tools/list")];
        assert_eq!(check(plain, &other), Err(Differs("Mcp-Method")));
        let twice = [("mcp-protocol-version", "2025-11-25"), VERSION];
        assert_eq!(check(plain, &twice), Err(Repeated("MCP-Protocol-Version")));
    }

    #[test]
    fn a_modern_header_without_a_claim_is_invalid_params() {
        let plain = r#"{"id":1,"method":"tools/call","params":{"name":"a"}}"#;
        let error = check(plain, &[VERSION]).unwrap_err();
        assert_eq!(error.code(), codes::INVALID_PARAMS);
    }
}
