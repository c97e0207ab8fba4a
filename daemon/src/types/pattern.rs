//! Patterns over names and texts: `*` stands for any text, `?` for one character.
//!
//! No more than that on purpose. Glob libraries read names as paths, and by such rules `*` need not
//! match a tool called `..`: a way around a deny rule.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A pattern, checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Box<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the pattern {pattern:?} is not valid: {reason}; `*` stands for any text and `?` for one \
     character"
)]
pub struct InvalidPattern {
    pub pattern: String,
    pub reason: &'static str,
}

impl Pattern {
    /// Matches everything.
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Refuses characters that are special in other glob dialects, so that nobody relies on them.
    ///
    /// # Errors
    /// The text is empty or has such a character.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = |reason| InvalidPattern {
            pattern: text.chars().take(100).collect(),
            reason,
        };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.contains(['[', ']', '{', '}', '\\']) {
            return Err(invalid("[ ] { } and \\ have no meaning here"));
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_exact(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// How many characters of a name the pattern spells out.
    pub fn literal_length(&self) -> usize {
        self.0.chars().filter(|c| !matches!(c, '*' | '?')).count()
    }

    /// Whether `name` as a whole fits. At worst as many steps as the product of both lengths.
    pub fn matches(&self, name: &str) -> bool {
        let mut pattern = self.0.chars();
        let mut name = name.chars();
        // After the last `*`: the pattern behind it, and the name behind what it has taken.
        let mut star = None;
        loop {
            let fits = match pattern.next() {
                Some('*') => {
                    star = Some((pattern.clone(), name.clone()));
                    true
                }
                Some(wanted) => name.next().is_some_and(|c| wanted == '?' || wanted == c),
                None if name.as_str().is_empty() => return true,
                None => false,
            };
            if fits {
                continue;
            }
            // No fit: let the last `*` take one character more.
            let Some((behind, taken)) = &mut star else {
                return false;
            };
            if taken.next().is_none() {
                return false;
            }
            pattern = behind.clone();
            name = taken.clone();
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Borrow<str> for Pattern {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, spelled out; exponential.
    fn fits(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=name.len()).any(|taken| fits(rest, &name[taken..])),
            (['?', rest @ ..], [_, tail @ ..]) => fits(rest, tail),
            ([p, rest @ ..], [n, tail @ ..]) => p == n && fits(rest, tail),
            _ => false,
        }
    }

    #[test]
    fn odd_names_are_names_like_any_other() {
        let all = Pattern::parse("*").unwrap();
        for name in ["", "..", ".", "/", "a/..", "a\nb", "größe", "*"] {
            assert!(all.matches(name), "{name:?}");
        }
        assert!(Pattern::parse("gr?ße").unwrap().matches("größe"));
    }

    #[test]
    fn other_dialects_are_refused() {
        for text in ["", "a[bc]", "{a,b}", "a\\*"] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn matching_follows_the_definition(pattern in "[ab.*?]{1,7}", name in "[ab.]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = fits(&chars(&pattern), &chars(&name));
            prop_assert_eq!(Pattern::parse(&pattern).unwrap().matches(&name), expected);
        }
    }
}
