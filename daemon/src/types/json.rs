//! JSON read one level at a time, with every key and every digit kept.
//!
//! A tree of `serde_json` values has lost what two readers may disagree about: the first of two
//! equal keys, and the digits a float cannot hold. Nothing here recurses into what it is not asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Decimal;

/// One value, its inside unread.
#[derive(Debug)]
pub enum Level<'a> {
    Null,
    Bool(bool),
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<&'a RawValue>),
    /// In order, keys that occur twice included.
    Object(Vec<(Cow<'a, str>, &'a RawValue)>),
}

impl<'a> Level<'a> {
    /// None for what a strict reader refuses: half of a surrogate pair in a text or a key.
    pub fn read(raw: &'a RawValue) -> Option<Self> {
        let text = raw.get();
        Some(match text.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => Self::Text(serde_json::from_str::<Key<'a>>(text).ok()?.0),
            b'[' => Self::Array(serde_json::from_str(text).ok()?),
            b'{' => Self::Object(serde_json::from_str::<Members<'a>>(text).ok()?.0),
            _ => Self::Number(text),
        })
    }
}

struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// A value somebody wrote down to compare with: read to the bottom, and without ambiguity.
#[derive(Debug, Clone, PartialEq)]
pub enum Exact {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Array(Vec<Exact>),
    Object(BTreeMap<String, Exact>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExact {
    #[error("it is not JSON")]
    NotJson,
    #[error("the key {0:?} occurs twice")]
    Duplicate(String),
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    Deep,
}

const MAX_DEPTH: usize = 32;

impl Exact {
    /// # Errors
    /// The text is not JSON, repeats a key, or is nested too deep.
    pub fn parse(text: &str) -> Result<Self, InvalidExact> {
        let raw = serde_json::from_str(text).map_err(|_| InvalidExact::NotJson)?;
        Self::read(raw, MAX_DEPTH)
    }

    fn read(raw: &RawValue, depth: usize) -> Result<Self, InvalidExact> {
        let inside = || depth.checked_sub(1).ok_or(InvalidExact::Deep);
        Ok(match Level::read(raw).ok_or(InvalidExact::NotJson)? {
            Level::Null => Self::Null,
            Level::Bool(value) => Self::Bool(value),
            Level::Number(text) => {
                Self::Number(Decimal::parse(text).map_err(|_| InvalidExact::NotJson)?)
            }
            Level::Text(text) => Self::Text(text.into_owned()),
            Level::Array(elements) => {
                let depth = inside()?;
                let elements = elements.into_iter().map(|raw| Self::read(raw, depth));
                Self::Array(elements.collect::<Result<_, _>>()?)
            }
            Level::Object(members) => {
                let depth = inside()?;
                let mut object = BTreeMap::new();
                for (key, raw) in members {
                    if object.contains_key(&*key) {
                        return Err(InvalidExact::Duplicate(key.into_owned()));
                    }
                    object.insert(key.into_owned(), Self::read(raw, depth)?);
                }
                Self::Object(object)
            }
        })
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::read(&raw, MAX_DEPTH).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(elements) => elements.serialize(serializer),
            Self::Object(members) => members.serialize(serializer),
        }
    }
}

/// As JSON on one line.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_it_was_read() {
        for text in [
            "null",
            "true",
            "9007199254740993",
            "1e400",
            "\"a\\nb\"",
            "[1.0,[],{}]",
            "{\"a\":{\"b\":[null]}}",
        ] {
            assert_eq!(Exact::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn equal_values_are_equal_in_any_order_and_spelling() {
        let exact = |text| Exact::parse(text).unwrap();
        assert_eq!(
            exact(r#"{"a":1,"b":"ä"}"#),
            exact(r#"{"b":"\u00e4","a":1.0}"#)
        );
        assert_ne!(exact("[1,2]"), exact("[2,1]"));
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        let parse = |text: &str| Exact::parse(text).unwrap_err();
        assert_eq!(
            parse(r#"{"a":[{"b":1,"b":2}]}"#),
            InvalidExact::Duplicate("b".to_owned())
        );
        assert_eq!(parse(r#""\ud800""#), InvalidExact::NotJson);
        assert_eq!(parse("{"), InvalidExact::NotJson);
        assert_eq!(
            parse(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
            InvalidExact::Deep
        );
    }
}
