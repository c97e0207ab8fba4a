//! The envelope of a JSON-RPC body: just enough to decide, borrowed from the bytes that are forwarded.
//!
//! The danger is a server that reads the same bytes differently and runs a tool nobody allowed. So
//! whatever two readers may disagree about is refused: a key we decide by that occurs twice, or in
//! another spelling of case (some JSON libraries match keys ignoring case), a message that is both a
//! call and an answer, a tool name that is not a string. Everything else is skipped unread; skipping
//! keeps no stack, so nesting cannot exhaust it.

use std::borrow::Cow;
use std::slice;

use serde::de::{Deserialize, IgnoredAny};
use serde_json::value::RawValue;

use super::codes;
use super::reader::{Batch, folds_to};

const TOOL_CALL: &str = "tools/call";
/// Of the JSON reader's words, which quote a value that is not as expected.
const EXPLANATION: usize = 200;

/// One body: one message, or an array of them.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per request, on the stack, and nearly all are single"
)]
pub enum Envelope<'a> {
    Single(Message<'a>),
    Batch(Vec<Message<'a>>),
}

/// One JSON-RPC message, as far as decisions need it.
#[derive(Debug)]
pub struct Message<'a> {
    pub kind: MessageKind<'a>,
    /// Empty for a response.
    pub method: Cow<'a, str>,
    /// What `Mcp-Name` must repeat: `params.name`, `params.uri` or `params.taskId`, by method.
    pub name: Option<Cow<'a, str>>,
    /// `params._meta["io.modelcontextprotocol/protocolVersion"]`, which makes a message modern.
    pub claimed_version: Option<Cow<'a, str>>,
    pub params: Params<'a>,
}

/// What else of `params` decisions need, as it stands in the body.
#[derive(Debug, Default)]
pub struct Params<'a> {
    pub arguments: Option<&'a RawValue>,
    /// What an `input_required` result gave, of a call that is made again.
    pub request_state: Option<Cow<'a, str>>,
    pub input_responses: Option<&'a RawValue>,
    /// `_meta.progressToken`: the client wants to hear how it goes.
    pub progress_token: Option<&'a RawValue>,
    /// Of a modern request, or of `initialize`.
    pub capabilities: Option<&'a RawValue>,
    /// Of a modern request, or of `initialize`.
    pub client_info: Option<&'a RawValue>,
    /// Of `notifications/cancelled`.
    pub request_id: Option<&'a RawValue>,
    /// A key that a reader ignoring case would take for one that decides about a tool call.
    pub(super) lookalike: bool,
}

#[derive(Debug)]
pub enum MessageKind<'a> {
    /// The id as it stands in the body, to be echoed unchanged.
    Request {
        id: &'a RawValue,
    },
    Notification,
    /// Answers a request of the server; without a result, by an error.
    Response {
        id: Option<&'a RawValue>,
        result: Option<&'a RawValue>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error("the body is not a JSON-RPC message: {0}")]
    Invalid(String),
    #[error("{0}")]
    Params(&'static str),
}

impl EnvelopeError {
    pub fn code(&self) -> i32 {
        match self {
            Self::NotJson(_) => codes::PARSE_ERROR,
            Self::Invalid(_) => codes::INVALID_REQUEST,
            Self::Params(_) => codes::INVALID_PARAMS,
        }
    }
}

impl<'a> Envelope<'a> {
    /// Reads `body`. An array is accepted only if `batch_allowed`.
    pub fn parse(body: &'a [u8], batch_allowed: bool) -> Result<Self, EnvelopeError> {
        // RFC 8259 §8.1: UTF-8, also inside what is skipped. Other bytes invite other readings.
        let text =
            str::from_utf8(body).map_err(|error| EnvelopeError::NotJson(error.to_string()))?;
        match text.trim_ascii_start().as_bytes().first() {
            Some(b'[') if batch_allowed => {
                let Batch(messages) = read(text)?;
                check_batch(&messages)?;
                Ok(Self::Batch(messages))
            }
            Some(b'[') => Err(EnvelopeError::Invalid(
                "arrays exist only in protocol version 2025-03-26; send one message".to_owned(),
            )),
            Some(b'{') => {
                let message: Message<'a> = read(text)?;
                message.check()?;
                Ok(Self::Single(message))
            }
            _ => {
                read::<IgnoredAny>(text)?;
                Err(EnvelopeError::Invalid("it is not an object".to_owned()))
            }
        }
    }

    pub fn messages(&self) -> &[Message<'a>] {
        match self {
            Self::Single(message) => slice::from_ref(message),
            Self::Batch(messages) => messages,
        }
    }

    pub fn is_batch(&self) -> bool {
        matches!(self, Self::Batch(_))
    }
}

impl<'a> Message<'a> {
    pub fn id(&self) -> Option<&'a RawValue> {
        match self.kind {
            MessageKind::Request { id } => Some(id),
            MessageKind::Notification | MessageKind::Response { .. } => None,
        }
    }

    /// The tool this message would run. A `tools/call` without an id counts: a careless server
    /// runs it all the same.
    pub fn tool(&self) -> Option<&str> {
        if self.is_tool_call() {
            self.name.as_deref()
        } else {
            None
        }
    }

    pub fn is_tool_call(&self) -> bool {
        self.method == TOOL_CALL
    }

    fn check(&self) -> Result<(), EnvelopeError> {
        if !self.is_tool_call() {
            return if resembles_tool_call(&self.method) {
                Err(EnvelopeError::Invalid(format!(
                    "the method must be written {TOOL_CALL:?}"
                )))
            } else {
                Ok(())
            };
        }
        if self.name.is_none() {
            return Err(EnvelopeError::Params(
                "tools/call needs params.name, a string",
            ));
        }
        if self.params.lookalike {
            return Err(EnvelopeError::Params(
                "params of tools/call has a key that differs only by case from one the call is decided by",
            ));
        }
        Ok(())
    }
}

/// Whether a careless server would take `method` for a tool call: by case, or by what trimming or
/// the end of a C string leaves of it.
fn resembles_tool_call(method: &str) -> bool {
    let blank = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    let method = method.trim_start_matches(blank);
    let method = method.split('\0').next().unwrap_or_default();
    folds_to(method.trim_end_matches(blank), TOOL_CALL)
}

fn check_batch(messages: &[Message<'_>]) -> Result<(), EnvelopeError> {
    if messages.is_empty() {
        return Err(EnvelopeError::Invalid("the array is empty".to_owned()));
    }
    if messages
        .iter()
        .any(|message| message.claimed_version.is_some())
    {
        return Err(EnvelopeError::Invalid(
            "an element claims a protocol version that has no arrays".to_owned(),
        ));
    }
    messages.iter().try_for_each(Message::check)
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, EnvelopeError> {
    serde_json::from_str(text).map_err(|error| {
        let text = error.to_string().chars().take(EXPLANATION).collect();
        if error.is_data() {
            EnvelopeError::Invalid(text)
        } else {
            EnvelopeError::NotJson(text)
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn single(body: &str) -> Result<Message<'_>, EnvelopeError> {
        match Envelope::parse(body.as_bytes(), false)? {
            Envelope::Single(message) => Ok(message),
            Envelope::Batch(_) => panic!("not asked for"),
        }
    }

    fn code(body: &str) -> i32 {
        Envelope::parse(body.as_bytes(), true).unwrap_err().code()
    }

    #[test]
    fn a_tool_call_is_read_without_copying() {
        let message = single(
            r#" {"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"add","arguments":{"x":[1,{}]},"_meta":{"progressToken":1}}}"#,
        )
        .unwrap();
        assert_eq!(message.tool(), Some("add"));
        assert_eq!(message.id().unwrap().get(), r#""a-1""#);
        assert!(matches!(message.name, Some(Cow::Borrowed(_))));
        assert!(message.claimed_version.is_none());
    }

    #[test]
    fn ids_keep_their_digits() {
        let message = single(r#"{"id":12345678901234567890123,"method":"ping"}"#).unwrap();
        assert_eq!(message.id().unwrap().get(), "12345678901234567890123");
    }

    #[test]
    fn a_call_without_an_id_is_still_a_call() {
        let message = single(r#"{"method":"tools/call","params":{"name":"x"}}"#).unwrap();
        assert!(message.id().is_none());
        assert_eq!(message.tool(), Some("x"));
    }

    #[test]
    fn escaped_keys_and_values_are_read_as_written() {
        let message =
            single(r#"{"id":1,"m\u0065thod":"tools\/call","params":{"n\u0061me":"r\u006d"}}"#)
                .unwrap();
        assert_eq!(message.tool(), Some("rm"));
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for body in [
            r#"{"id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"id":1,"method":"tools/call","params":{"name":"a"},"params":{"name":"b"}}"#,
            r#"{"id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#,
            r#"{"id":1,"method":"tools/call","params":{"name":"a","n\u0061me":"b"}}"#,
            r#"{"id":1,"method":"ping","Method":"tools/call"}"#,
            r#"{"id":1,"method":"ping","result":{}}"#,
            r#"{"id":1,"method":"ping","param\u017f":{}}"#,
        ] {
            assert_eq!(code(body), codes::INVALID_REQUEST, "{body}");
        }
        let body = r#"{"id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#;
        assert_eq!(code(body), codes::INVALID_PARAMS);
    }

    #[test]
    fn a_method_that_only_resembles_a_call_is_refused() {
        for method in [
            "Tools/Call",
            "tools/call ",
            "\\ttools/call",
            "tools/call\\u0000x",
            "\\ufefftools/call",
            "tool\\u017f/call",
        ] {
            let body = format!(r#"{{"id":1,"method":"{method}","params":{{"name":"x"}}}}"#);
            assert_eq!(code(&body), codes::INVALID_REQUEST, "{body}");
        }
        assert!(single(r#"{"id":1,"method":"tools/calls"}"#).is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_in_few_words() {
        let long = "x".repeat(1_000_000);
        for body in [
            format!(r#"["{long}"]"#),
            format!(r#"{{"method":"a","params":"{long}"}}"#),
        ] {
            let error = Envelope::parse(body.as_bytes(), true).unwrap_err();
            assert!(error.to_string().len() < 1000);
        }
    }

    #[test]
    fn a_call_without_a_usable_name_is_refused() {
        for params in ["{}", "[]", "null", r#"{"name":1}"#, r#"{"name":null}"#] {
            let body = format!(r#"{{"id":1,"method":"tools/call","params":{params}}}"#);
            assert_eq!(code(&body), codes::INVALID_PARAMS, "{body}");
        }
    }

    #[test]
    fn what_is_not_json_and_what_is_not_a_message_differ() {
        for body in [
            "",
            "{",
            "hello",
            "{\"id\":1,}",
            "{\"method\":\"a\"} {}",
            "\u{feff}{}",
        ] {
            assert_eq!(code(body), codes::PARSE_ERROR, "{body:?}");
        }
        for body in [
            "1",
            "\"x\"",
            "null",
            "{}",
            "[]",
            "[1]",
            r#"{"id":{},"method":"a"}"#,
        ] {
            assert_eq!(code(body), codes::INVALID_REQUEST, "{body:?}");
        }
        assert_eq!(code(r#"{"id":null,"method":"a"}"#), codes::INVALID_REQUEST);
    }

    #[test]
    fn every_element_of_an_array_is_seen() {
        let body =
            br#"[{"id":1,"method":"ping"},{"id":2,"method":"tools/call","params":{"name":"b"}}]"#;
        let envelope = Envelope::parse(body, true).unwrap();
        let tools: Vec<_> = envelope.messages().iter().map(Message::tool).collect();
        assert_eq!(tools, [None, Some("b")]);
        assert!(
            Envelope::parse(body, false).is_err(),
            "other revisions have no arrays"
        );
    }

    #[test]
    fn an_array_with_a_modern_element_or_too_many_elements_is_refused() {
        let modern = r#"[{"id":1,"method":"a","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}]"#;
        assert_eq!(code(modern), codes::INVALID_REQUEST);
        let many = format!("[{}]", vec![r#"{"method":"a"}"#; 257].join(","));
        assert_eq!(code(&many), codes::INVALID_REQUEST);
    }

    #[test]
    fn deep_nesting_is_skipped_without_a_stack() {
        let depth = 200_000;
        let body = format!(
            r#"{{"id":1,"method":"x","params":{{"a":{}{}}}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        );
        assert_eq!(single(&body).unwrap().method, "x");
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
            Just(json!("tools/call")),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop_oneof![
                Just("name".to_owned()),
                Just("_meta".to_owned()),
                Just("method".to_owned()),
                "\\PC{0,4}"
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Envelope::parse(&body, true);
        }

        #[test]
        fn no_mutation_of_a_call_makes_the_parser_panic(at in 0_usize..80, byte in any::<u8>()) {
            let mut body =
                br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_meta":{}}}"#.to_vec();
            let at = at % body.len();
            body[at] = byte;
            if let Ok(Envelope::Single(message)) = Envelope::parse(&body, true) {
                let value: Value = serde_json::from_slice(&body).unwrap();
                prop_assert_eq!(value["method"].as_str().unwrap_or(""), message.method.as_ref());
                if let Some(tool) = message.tool() {
                    prop_assert_eq!(value["params"]["name"].as_str(), Some(tool));
                }
            }
        }

        #[test]
        fn an_accepted_call_names_the_tool_serde_json_reads(params in json_value(), id in json_value()) {
            let body = json!({"id": id, "method": "tools/call", "params": params}).to_string();
            if let Ok(Envelope::Single(message)) = Envelope::parse(body.as_bytes(), true) {
                prop_assert_eq!(params["name"].as_str(), message.tool());
                prop_assert!(id.is_string() || id.is_number());
            }
        }
    }
}
