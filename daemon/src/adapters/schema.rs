//! Schemas of tools as vendors take them.

use serde_json::value::RawValue;

use crate::mcp::edit::{self, Edit, Members};

/// `schema` with what vendors insist on: `"type": "object"` and `properties`. None if it says that
/// it is something else.
pub fn object_schema(schema: &RawValue) -> Option<Box<RawValue>> {
    let members = Members::of(schema.get()).ok()?;
    let mut edits = Vec::new();
    match members.get("type").map(RawValue::get) {
        Some(r#""object""#) => {}
        None => edits.push(("type", Edit::Put(r#""object""#.into()))),
        Some(_) => return None,
    }
    match members.get("properties").map(RawValue::get) {
        Some(properties) if properties.starts_with('{') => {}
        None => edits.push(("properties", Edit::Put("{}".into()))),
        Some(_) => return None,
    }
    if edits.is_empty() {
        return Some(schema.to_owned());
    }
    let text = edit::object(schema.get(), &edits).ok()?;
    RawValue::from_string(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn a_schema_is_completed_and_otherwise_kept() {
        let whole = r#"{"type":"object","properties":{"b":{"minimum":1.0}},"x":"\u00e9"}"#;
        assert_eq!(object_schema(&raw(whole)).unwrap().get(), whole);
        let bare = object_schema(&raw(r#"{"x":1}"#)).unwrap();
        assert_eq!(bare.get(), r#"{"x":1,"type":"object","properties":{}}"#);
        for bad in [r#"{"type":"string"}"#, r#"{"properties":[]}"#, "[]", "true"] {
            assert!(object_schema(&raw(bad)).is_none(), "{bad}");
        }
    }
}
