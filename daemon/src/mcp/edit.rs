//! Changing few members of a message and leaving the rest as it came: every other value keeps its
//! bytes, every object its order.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::reader::folds_to;

/// What becomes of one member of an object.
#[derive(Debug, Clone)]
pub enum Edit<'a> {
    /// It gets this JSON text as its value; appended if it is not there.
    Put(Cow<'a, str>),
    Drop,
}

/// The members of an object, in their order.
pub struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// # Errors
    /// `json` is no object.
    pub fn of(json: &'a str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        let member = self.0.iter().find(|(name, _)| name == key);
        member.map(|(_, value)| *value)
    }

    /// The member that every reader takes for `key`.
    ///
    /// # Errors
    /// Readers may disagree: it occurs twice, or besides another that differs only by case.
    pub fn decisive(&self, key: &'static str) -> Result<Option<&'a RawValue>, Ambiguous> {
        let mut meant = self.0.iter().filter(|(name, _)| folds_to(name, key));
        match (meant.next(), meant.next()) {
            (None, _) => Ok(None),
            (Some((name, value)), None) if name == key => Ok(Some(value)),
            _ => Err(Ambiguous(key)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key {0:?} occurs twice, or in another spelling of case")]
pub struct Ambiguous(pub &'static str);

/// The object `json` with `edits` applied.
///
/// # Errors
/// `json` is no object.
pub fn object(json: &str, edits: &[(&str, Edit<'_>)]) -> serde_json::Result<String> {
    let Members(members) = Members::of(json)?;
    let mut out = String::with_capacity(json.len());
    out.push('{');
    let mut put = |key: &str, value: &str| {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&serde_json::to_string(key)?);
        out.push(':');
        out.push_str(value);
        Ok::<(), serde_json::Error>(())
    };
    let mut there = Vec::new();
    for (key, value) in &members {
        match edits.iter().find(|(name, _)| name == key) {
            None => put(key, value.get())?,
            Some((name, Edit::Put(text))) => {
                there.push(*name);
                put(key, text)?;
            }
            Some((name, Edit::Drop)) => there.push(*name),
        }
    }
    for (name, edit) in edits {
        if let Edit::Put(text) = edit
            && !there.contains(name)
        {
            put(name, text)?;
        }
    }
    out.push('}');
    Ok(out)
}

/// The object `json` with `edits` applied to the object that is its member `key`.
///
/// # Errors
/// One of the two is no object.
pub fn member(json: &str, key: &str, edits: &[(&str, Edit<'_>)]) -> serde_json::Result<String> {
    let inner = Members::of(json)?.get(key).map_or("{}", RawValue::get);
    let inner = object(inner, edits)?;
    object(json, &[(key, Edit::Put(inner.into()))])
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_edited_keeps_its_bytes_and_its_order() {
        let body = r#"{ "id":1.0, "params" : {"name":"a","arguments":{"n": 1e3 },"requestState":"ours"},"z":[ 1 ] }"#;
        let edits = [
            (
                "arguments",
                Edit::Put(r#"{"n":12345678901234567890123}"#.into()),
            ),
            ("requestState", Edit::Drop),
            ("absent", Edit::Drop),
        ];
        assert_eq!(
            member(body, "params", &edits).unwrap(),
            r#"{"id":1.0,"params":{"name":"a","arguments":{"n":12345678901234567890123}},"z":[ 1 ]}"#
        );
    }

    #[test]
    fn a_member_that_is_not_there_is_added() {
        let edits = [("b", Edit::Put("2".into()))];
        assert_eq!(object("{}", &edits).unwrap(), r#"{"b":2}"#);
        assert_eq!(
            member(r#"{"a":1}"#, "p", &edits).unwrap(),
            r#"{"a":1,"p":{"b":2}}"#
        );
        assert!(object("[]", &edits).is_err());
    }

    #[test]
    fn a_key_that_readers_may_take_for_another_is_ambiguous() {
        let members = Members::of(r#"{"a":1,"b":2,"B":3,"C":4,"d":5,"d":6}"#).unwrap();
        assert_eq!(members.decisive("a").unwrap().unwrap().get(), "1");
        assert!(members.decisive("e").unwrap().is_none());
        for key in ["b", "c", "d"] {
            assert_eq!(members.decisive(key).unwrap_err(), Ambiguous(key));
        }
    }

    #[test]
    fn keys_with_escapes_are_found_and_written_again() {
        let edits = [("name", Edit::Put("1".into()))];
        let json = r#"{"n\u0061me":0,"q\"":2}"#;
        assert_eq!(object(json, &edits).unwrap(), r#"{"name":1,"q\"":2}"#);
    }
}
