//! The few JSON-RPC messages that we write and read ourselves.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The params of every request we make. Arguments stay the text they came as: numbers and key order
/// are the caller's.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Params<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protocol_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) capabilities: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_info: Option<Value>,
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub(super) meta: Option<Value>,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<u64>,
    pub(super) method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) params: Option<Params<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub(super) result: Option<Box<RawValue>>,
    #[serde(default)]
    pub(super) error: Option<AnswerError>,
}

#[derive(Deserialize)]
pub(super) struct AnswerError {
    pub(super) code: i64,
    pub(super) message: String,
}

pub(super) fn client_info() -> Value {
    json!({"name": "mcp-oauth-bridge", "version": env!("CARGO_PKG_VERSION")})
}

/// The answer in `text`, if it answers our request. Requests and notices of the server do not.
pub(super) fn answer_to(id: u64, text: &[u8]) -> Option<Answer> {
    #[derive(Deserialize)]
    struct Addressed {
        #[serde(default)]
        id: Option<Value>,
        #[serde(default)]
        method: Option<Value>,
    }
    let addressed: Addressed = serde_json::from_slice(text).ok()?;
    let ours =
        addressed.id.is_none_or(|got| got.is_null() || got == id) && addressed.method.is_none();
    if ours {
        serde_json::from_slice(text).ok()
    } else {
        None
    }
}
