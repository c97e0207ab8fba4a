//! JSON numbers as they are written, compared exactly.
//!
//! A binary float would take 9007199254740993 for 9007199254740992, and a limit would let the one
//! through for the other.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// A number of any length. Equal numbers are equal however they are written: 1.0 is 1 is 10e-1.
#[derive(Debug, Clone)]
pub struct Decimal {
    text: Box<str>,
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: Box<str>,
    /// The value is `0.digits` times ten to this power.
    exponent: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a number")]
pub struct InvalidDecimal(pub String);

impl Decimal {
    /// Reads a number in JSON's grammar.
    ///
    /// # Errors
    /// It is something else, or its exponent has more than 18 digits.
    pub fn parse(text: &str) -> Result<Self, InvalidDecimal> {
        read(text).ok_or_else(|| InvalidDecimal(text.chars().take(40).collect()))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Fractions 0.digits compare as texts do.
            (false, false) => (self.exponent, &self.digits).cmp(&(other.exponent, &other.digits)),
        }
    }
}

fn read(text: &str) -> Option<Decimal> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, exponent(power)),
        None => (unsigned, Some(0)),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let leading = i64::try_from(all.len() - significant.len()).ok()?;
    let point = i64::try_from(whole.len()).ok()?;
    let digits: Box<str> = significant.trim_end_matches('0').into();
    Some(Decimal {
        text: text.into(),
        negative: negative && !digits.is_empty(),
        exponent: power?.checked_add(point)?.checked_sub(leading)?,
        digits,
    })
}

fn exponent(text: &str) -> Option<i64> {
    const MOST_DIGITS: usize = 18;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_usable = (1..=MOST_DIGITS).contains(&digits.len());
    if !is_usable || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(raw.get()).map_err(serde::de::Error::custom)
    }
}

/// As it was written, digit for digit.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = RawValue::from_string(self.text.to_string());
        raw.map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_equal_however_they_are_written() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("100", "1E+2"),
            ("0", "-0"),
            ("0.00", "0e999"),
            ("0.001", "1e-3"),
        ] {
            assert_eq!(number(one), number(other), "{one} {other}");
        }
    }

    #[test]
    fn numbers_that_a_float_cannot_tell_apart_are_ordered() {
        for (less, more) in [
            ("9007199254740992", "9007199254740993"),
            ("1e308", "1e400"),
            ("1e400", "2e400"),
            ("0", "1e-999"),
            ("-1e400", "-1e308"),
            ("-1", "0"),
            ("0.1", "0.10000000000000000000000001"),
            ("99", "100"),
            ("9", "10.5"),
        ] {
            assert!(number(less) < number(more), "{less} {more}");
        }
    }

    #[test]
    fn only_json_numbers_are_numbers() {
        for text in [
            "",
            "-",
            "+1",
            "01",
            ".5",
            "1.",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "1 ",
            "1e1e1",
            "1.2.3",
            "--1",
            "1e9999999999999999999",
            "٣",
        ] {
            assert!(Decimal::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn integers_compare_as_integers_do(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(number(&a.to_string()).cmp(&number(&b.to_string())), a.cmp(&b));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9.eE]{0,12}") {
            let is_json = serde_json::from_str::<&RawValue>(&text).is_ok();
            prop_assert_eq!(Decimal::parse(&text).is_ok(), is_json);
        }
    }
}
