//! Which part of a JSON document is meant (RFC 6901).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `/a/0/b`, checked; the empty text is the whole document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer {
    text: Box<str>,
    /// Unescaped, from the outside in.
    segments: Box<[Box<str>]>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a JSON pointer: write / and a key for each step, such as /a/b, with ~1 for a / \
     and ~0 for a ~ within a key"
)]
pub struct InvalidPointer(pub String);

impl Pointer {
    /// # Errors
    /// The text does not begin with `/`, or has a `~` that is neither `~0` nor `~1`.
    pub fn parse(text: &str) -> Result<Self, InvalidPointer> {
        let invalid = || InvalidPointer(text.chars().take(100).collect());
        let mut steps = text.split('/');
        if steps.next() != Some("") {
            return Err(invalid());
        }
        let segments: Option<_> = steps.map(unescape).collect();
        Ok(Self {
            text: text.into(),
            segments: segments.ok_or_else(invalid)?,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn segments(&self) -> &[Box<str>] {
        &self.segments
    }
}

fn unescape(segment: &str) -> Option<Box<str>> {
    let mut plain = String::with_capacity(segment.len());
    let mut chars = segment.chars();
    while let Some(c) = chars.next() {
        plain.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain.into())
}

impl Ord for Pointer {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl PartialOrd for Pointer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<String> for Pointer {
    type Error = InvalidPointer;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.text.into()
    }
}

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6901 §5.
    #[test]
    fn segments_are_unescaped() {
        for (text, segments) in [
            ("", &[][..]),
            ("/", &[""]),
            ("/foo/0", &["foo", "0"]),
            ("/a~1b", &["a/b"]),
            ("/m~0n", &["m~n"]),
            ("/~01", &["~1"]),
            ("/ ", &[" "]),
        ] {
            let pointer = Pointer::parse(text).unwrap();
            let found: Vec<&str> = pointer.segments().iter().map(|s| &**s).collect();
            assert_eq!(found, segments, "{text:?}");
            assert_eq!(pointer.to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["a", "a/b", "/~", "/~2", "/a~", "#/a"] {
            assert!(Pointer::parse(text).is_err(), "{text:?}");
        }
    }
}
