//! One text for all JSON texts that mean the same, so that a digest of it names the value.
//!
//! After RFC 8785: object keys sorted, no blanks, strings with the fewest escapes. Numbers keep the
//! text they came with, because not every reader computes with the same precision: `1`, `1.0` and
//! `1e0` stay different. A key that occurs twice is refused, as readers disagree on which one counts.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::types::Digest;

/// Deeper values are refused: nobody sends them, and each level is read once more.
const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    #[error("it is not JSON: {0}")]
    NotJson(String),
    #[error("the key {0:?} occurs twice in one object")]
    DuplicateKey(String),
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Digest of the value that `json` stands for.
pub fn digest(json: &str) -> Result<Digest, CanonicalError> {
    Ok(Digest::of(canonical(json)?.as_bytes()))
}

/// The canonical text of `json`.
pub fn canonical(json: &str) -> Result<String, CanonicalError> {
    let mut text = String::with_capacity(json.len());
    write(json, 0, &mut text)?;
    Ok(text)
}

fn write(json: &str, depth: usize, out: &mut String) -> Result<(), CanonicalError> {
    if depth > MAX_DEPTH {
        return Err(CanonicalError::TooDeep);
    }
    let json = json.trim_ascii();
    match json.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = read(json)?;
            out.push('{');
            for (at, (key, value)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_string(key, out)?;
                out.push(':');
                write(value.get(), depth + 1, out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = read(json)?;
            out.push('[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(element.get(), depth + 1, out)?;
            }
            out.push(']');
        }
        Some(b'"') => write_string(&read::<String>(json)?, out)?,
        _ => out.push_str(read::<&RawValue>(json)?.get()),
    }
    Ok(())
}

fn write_string(text: &str, out: &mut String) -> Result<(), CanonicalError> {
    let quoted = serde_json::to_string(text).map_err(not_json)?;
    out.push_str(&quoted);
    Ok(())
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, CanonicalError> {
    serde_json::from_str(json).map_err(|error| {
        let text = error.to_string();
        match text.strip_prefix(TWICE) {
            Some(rest) => {
                let key = rest.rsplit_once(" at line ").map_or(rest, |(key, _)| key);
                CanonicalError::DuplicateKey(key.chars().take(80).collect())
            }
            None => CanonicalError::NotJson(text),
        }
    })
}

fn not_json(error: impl fmt::Display) -> CanonicalError {
    CanonicalError::NotJson(error.to_string())
}

const TWICE: &str = "this key occurs twice: ";

/// The members of an object, sorted by key.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut members = BTreeMap::new();
                while let Some(key) = access.next_key::<String>()? {
                    let value = access.next_value()?;
                    if members.contains_key(&key) {
                        return Err(serde::de::Error::custom(format_args!("{TWICE}{key}")));
                    }
                    members.insert(key, value);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn spelling_does_not_change_the_digest() {
        let one = r#"{"b":[1,{"y":null,"x":"\u00e9\/"}],"a":1.50}"#;
        let other = "{ \"a\" : 1.50,\n\t\"b\":[ 1, {\"x\":\"é/\",\"y\":null} ] }";
        assert_eq!(
            canonical(one).unwrap(),
            r#"{"a":1.50,"b":[1,{"x":"é/","y":null}]}"#
        );
        assert_eq!(digest(one).unwrap(), digest(other).unwrap());
    }

    #[test]
    fn numbers_that_a_reader_may_tell_apart_stay_apart() {
        for (one, other) in [
            ("1", "1.0"),
            ("9007199254740993", "9007199254740992"),
            ("12345678901234567890123", "12345678901234567890124"),
            ("\"1\"", "1"),
            ("[]", "{}"),
            ("null", "false"),
        ] {
            assert_ne!(
                digest(one).unwrap(),
                digest(other).unwrap(),
                "{one} {other}"
            );
        }
    }

    #[test]
    fn a_key_that_occurs_twice_is_named() {
        for json in [r#"{"a":1,"a":1}"#, r#"{"x":[{"a":1,"b":2,"\u0061":3}]}"#] {
            assert_eq!(
                canonical(json).unwrap_err(),
                CanonicalError::DuplicateKey("a".to_owned()),
                "{json}"
            );
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(canonical(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            canonical(&nested(MAX_DEPTH + 1)).unwrap_err(),
            CanonicalError::TooDeep
        );
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_canonical_text_means_the_same_and_is_its_own_canonical_text(value in json()) {
            let text = canonical(&serde_json::to_string_pretty(&value).unwrap()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
            prop_assert_eq!(canonical(&text).unwrap(), text);
        }
    }
}
