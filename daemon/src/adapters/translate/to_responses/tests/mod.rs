mod items;
mod properties;
mod request;

use serde_json::value::RawValue;

use super::super::Translated;
use super::super::fields::Result;
use super::to_responses;
use crate::mcp::edit::Members;

const ASKING: &str = r#""messages":[{"role":"user","content":"q"}]"#;

fn translated(model: &str, fields: &str) -> Result<Translated> {
    to_responses(&format!(r#"{{"model":"{model}",{fields}}}"#))
}

fn field(body: &str, key: &str) -> String {
    let members = Members::of(body).unwrap();
    members.get(key).map_or("", RawValue::get).to_owned()
}

#[track_caller]
fn gives(fields: &str, key: &str, expected: &str) {
    let body = translated("gpt-5.4", fields).unwrap().body;
    assert_eq!(field(&body, key), expected, "{fields}");
}

#[track_caller]
fn refuses(fields: &str, param: &str) {
    let error = translated("gpt-5.4", fields).unwrap_err();
    assert_eq!(error.param, param, "{fields}: {error}");
    assert!(!error.message.is_empty());
}
