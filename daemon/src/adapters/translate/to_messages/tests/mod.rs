mod items;
mod properties;
mod request;

use serde_json::value::RawValue;

use super::super::Translated;
use super::super::fields::Result;
use super::to_messages;
use crate::mcp::edit::Members;

/// A translation of a request whose fields besides `model` are `fields`.
fn translated(model: &str, fields: &str) -> Result<Translated> {
    to_messages(&format!(r#"{{"model":"{model}",{fields}}}"#))
}

fn field(body: &str, key: &str) -> String {
    let members = Members::of(body).unwrap();
    members.get(key).map_or("", RawValue::get).to_owned()
}

#[track_caller]
fn gives(input: &str, key: &str, expected: &str) {
    let body = translated("claude-sonnet-5-5", input).unwrap().body;
    assert_eq!(field(&body, key), expected, "{input}");
}

#[track_caller]
fn refuses(fields: &str, param: &str) {
    let error = translated("claude-sonnet-5-5", fields).unwrap_err();
    assert_eq!(error.param, param, "{fields}: {error}");
    assert!(!error.message.is_empty());
}
