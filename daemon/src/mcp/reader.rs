//! The serde side of [`super::jsonrpc`]: reads the decisive keys, borrows them, skips the rest.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::jsonrpc::{Message, MessageKind, Params};

/// Elements of one array. Legacy clients send a handful.
const MAX_BATCH: usize = 256;

const TOP_LEVEL: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
const VERSION_CLAIM: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// Of `params`: what a tool call is decided by.
const DECISIVE_PARAMS: [&str; 5] = [
    "name",
    "arguments",
    "_meta",
    "requestState",
    "inputResponses",
];

/// A text borrowed from the input where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Reads the value of `key` into `slot`; a second one is an error.
fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    slot: &mut Option<T>,
    key: &'static str,
    map: &mut A,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(de::Error::custom(format_args!(
            "the key {key:?} occurs twice"
        )));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}

/// The decisive key that a reader ignoring case would take `key` for.
fn lookalike_of(key: &str, decisive: &[&'static str]) -> Option<&'static str> {
    decisive.iter().copied().find(|name| folds_to(key, name))
}

/// Whether `key` equals the ASCII `name` under Unicode case folding, where two characters beyond
/// ASCII fold into it: U+017F (long s) and U+212A (Kelvin sign).
pub(super) fn folds_to(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars()
        .map(fold)
        .eq(name.chars().map(|c| c.to_ascii_lowercase()))
}

impl<'de> Deserialize<'de> for Message<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MessageVisitor)
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut version: Option<IgnoredAny> = None;
        let mut id: Option<&'de RawValue> = None;
        let mut method: Option<Text<'de>> = None;
        let mut params: Option<Read<'de>> = None;
        let mut result: Option<&'de RawValue> = None;
        let mut error: Option<IgnoredAny> = None;
        while let Some(Text(key)) = map.next_key()? {
            match key.as_ref() {
                "jsonrpc" => once(&mut version, "jsonrpc", &mut map)?,
                "id" => once(&mut id, "id", &mut map)?,
                "method" => once(&mut method, "method", &mut map)?,
                "params" => once(&mut params, "params", &mut map)?,
                "result" => once(&mut result, "result", &mut map)?,
                "error" => once(&mut error, "error", &mut map)?,
                other => {
                    if let Some(meant) = lookalike_of(other, &TOP_LEVEL) {
                        return Err(de::Error::custom(format_args!(
                            "the key {other:?} must be written {meant:?}"
                        )));
                    }
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let answers = result.is_some() || error.is_some();
        let Some(Text(method)) = method else {
            if !answers {
                return Err(de::Error::custom("it has no method, result or error"));
            }
            return Ok(Message {
                kind: MessageKind::Response { id, result },
                method: Cow::Borrowed(""),
                name: None,
                claimed_version: None,
                params: Params::default(),
            });
        };
        if answers {
            return Err(de::Error::custom("it is both a request and a response"));
        }
        let kind = match id {
            Some(id) if is_request_id(id) => MessageKind::Request { id },
            Some(_) => return Err(de::Error::custom("the id is not a string or a number")),
            None => MessageKind::Notification,
        };
        let Read {
            names,
            version,
            params,
        } = params.unwrap_or_default();
        Ok(Message {
            kind,
            name: names.of(&method),
            claimed_version: version,
            params,
            method,
        })
    }
}

/// MCP forbids null ids, JSON-RPC anything but strings and numbers.
fn is_request_id(id: &RawValue) -> bool {
    id.get()
        .starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
}

/// `params`, and the keys that are a name in some methods only.
#[derive(Default)]
struct Read<'a> {
    names: Names<'a>,
    version: Option<Cow<'a, str>>,
    params: Params<'a>,
}

#[derive(Default)]
struct Names<'a> {
    name: Option<Cow<'a, str>>,
    uri: Option<Cow<'a, str>>,
    task_id: Option<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    fn of(self, method: &str) -> Option<Cow<'a, str>> {
        match method {
            "tools/call" | "prompts/get" => self.name,
            "resources/read" => self.uri,
            "tasks/get" | "tasks/update" | "tasks/cancel" => self.task_id,
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Read<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamsVisitor)
    }
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Read<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut name: Option<MaybeText<'de>> = None;
        let mut uri: Option<MaybeText<'de>> = None;
        let mut task_id: Option<MaybeText<'de>> = None;
        let mut meta: Option<Meta<'de>> = None;
        let mut state: Option<MaybeText<'de>> = None;
        let mut params = Params::default();
        while let Some(Text(key)) = map.next_key()? {
            match key.as_ref() {
                "name" => once(&mut name, "name", &mut map)?,
                "uri" => once(&mut uri, "uri", &mut map)?,
                "taskId" => once(&mut task_id, "taskId", &mut map)?,
                "_meta" => once(&mut meta, "_meta", &mut map)?,
                "arguments" => once(&mut params.arguments, "arguments", &mut map)?,
                "requestState" => once(&mut state, "requestState", &mut map)?,
                "inputResponses" => once(&mut params.input_responses, "inputResponses", &mut map)?,
                "requestId" => once(&mut params.request_id, "requestId", &mut map)?,
                "capabilities" => once(&mut params.capabilities, "capabilities", &mut map)?,
                "clientInfo" => once(&mut params.client_info, "clientInfo", &mut map)?,
                other => {
                    // Refused only in a tools/call: elsewhere the key may be a vendor's own.
                    params.lookalike |= lookalike_of(other, &DECISIVE_PARAMS).is_some();
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let text = |field: Option<MaybeText<'de>>| field.and_then(|MaybeText(text)| text);
        params.request_state = text(state);
        let meta = meta.unwrap_or_default();
        params.progress_token = meta.progress_token;
        params.capabilities = meta.capabilities.or(params.capabilities);
        params.client_info = meta.client_info.or(params.client_info);
        let names = Names {
            name: text(name),
            uri: text(uri),
            task_id: text(task_id),
        };
        Ok(Read {
            names,
            version: text(meta.version),
            params,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Read::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Read::default())
    }
}

/// The text of a string; None for any other JSON value, which is skipped.
struct MaybeText<'a>(Option<Cow<'a, str>>);

impl<'de> Deserialize<'de> for MaybeText<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        if !raw.starts_with('"') {
            return Ok(Self(None));
        }
        let Text(text) = serde_json::from_str(raw).map_err(de::Error::custom)?;
        Ok(Self(Some(text)))
    }
}

/// `params._meta`: an object, or something that claims nothing.
#[derive(Default)]
struct Meta<'a> {
    version: Option<MaybeText<'a>>,
    capabilities: Option<&'a RawValue>,
    client_info: Option<&'a RawValue>,
    progress_token: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Meta<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MetaVisitor;
        impl<'de> Visitor<'de> for MetaVisitor {
            type Value = Meta<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut meta = Meta::default();
                while let Some(Text(key)) = map.next_key()? {
                    match key.as_ref() {
                        VERSION_CLAIM => once(&mut meta.version, VERSION_CLAIM, &mut map)?,
                        CAPABILITIES => once(&mut meta.capabilities, CAPABILITIES, &mut map)?,
                        CLIENT_INFO => once(&mut meta.client_info, CLIENT_INFO, &mut map)?,
                        "progressToken" => {
                            once(&mut meta.progress_token, "progressToken", &mut map)?;
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(meta)
            }
        }
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        if !raw.starts_with('{') {
            return Ok(Self::default());
        }
        let mut reader = serde_json::Deserializer::from_str(raw);
        reader
            .deserialize_map(MetaVisitor)
            .map_err(de::Error::custom)
    }
}

/// An array of messages, of bounded length.
pub(super) struct Batch<'a>(pub(super) Vec<Message<'a>>);

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BatchVisitor;
        impl<'de> Visitor<'de> for BatchVisitor {
            type Value = Batch<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of JSON-RPC messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut messages = Vec::new();
                while let Some(message) = seq.next_element()? {
                    if messages.len() == MAX_BATCH {
                        return Err(de::Error::custom(format_args!(
                            "the array has more than {MAX_BATCH} elements"
                        )));
                    }
                    messages.push(message);
                }
                Ok(Batch(messages))
            }
        }
        deserializer.deserialize_seq(BatchVisitor)
    }
}
