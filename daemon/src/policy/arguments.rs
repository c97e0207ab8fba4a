//! What a rule asks of a call's arguments.
//!
//! The server's JSON reader is not ours. Where two readers may see different values – a key that occurs
//! twice, or in another spelling of case; half of a surrogate pair; a number, a truth value or a whole
//! object written as a text, as lenient servers take them – the answer is doubt, and doubt never loosens.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::value::RawValue;

use super::fit::{Doubt, Fit};
use crate::config::Predicate;
use crate::types::{Decimal, Exact, Level, Pointer};

/// A text longer than this is not held against a pattern: the time it takes is the product of both.
const LONGEST_TEXT: usize = 64 * 1024;

/// The arguments of one call. What a pointer means in them is looked up once.
pub(super) struct Arguments<'a> {
    raw: Option<&'a RawValue>,
    found: RefCell<HashMap<Box<str>, Rc<Readings<'a>>>>,
}

/// What different readers may find in one place.
struct Readings<'a> {
    values: Vec<&'a RawValue>,
    /// Whether readers may disagree about the way there.
    ambiguous: bool,
    /// Whether some reader may see something that we do not.
    unreadable: bool,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(raw: Option<&'a RawValue>) -> Self {
        Self {
            raw,
            found: RefCell::default(),
        }
    }

    pub(super) fn fit(&self, pointer: &Pointer, predicate: &Predicate) -> Fit {
        let readings = self.find(pointer);
        let fits = readings.values.iter().map(|value| fit(predicate, value));
        let best = fits.max().unwrap_or(Fit::No);
        if readings.unreadable {
            Fit::Doubtful(Doubt::Arguments)
        } else if readings.ambiguous {
            best.doubted(Doubt::Arguments)
        } else {
            best
        }
    }

    fn find(&self, pointer: &Pointer) -> Rc<Readings<'a>> {
        if let Some(found) = self.found.borrow().get(pointer.as_str()) {
            return Rc::clone(found);
        }
        let found = Rc::new(self.follow(pointer));
        let key = pointer.as_str().into();
        self.found.borrow_mut().insert(key, Rc::clone(&found));
        found
    }

    fn follow(&self, pointer: &Pointer) -> Readings<'a> {
        let mut readings = Readings {
            values: self.raw.into_iter().collect(),
            ambiguous: false,
            unreadable: false,
        };
        for segment in pointer.segments() {
            for value in std::mem::take(&mut readings.values) {
                readings.step(value, segment);
            }
        }
        readings
    }
}

impl<'a> Readings<'a> {
    fn step(&mut self, value: &'a RawValue, segment: &str) {
        match Level::read(value) {
            Some(Level::Object(members)) => {
                self.ambiguous |= has_lookalikes(&members);
                let wanted = fold(segment);
                for (key, value) in members {
                    if fold(&key) == wanted {
                        self.ambiguous |= key != segment;
                        self.values.push(value);
                    }
                }
            }
            Some(Level::Array(elements)) => {
                self.values
                    .extend(index(segment).and_then(|at| elements.get(at)));
            }
            // A lenient server reads JSON in a text, and takes one text for a list of one.
            Some(Level::Text(_)) | None => self.unreadable = true,
            Some(Level::Null | Level::Bool(_) | Level::Number(_)) => {}
        }
    }
}

/// RFC 6901 §4: digits without a leading zero.
fn index(segment: &str) -> Option<usize> {
    let is_index = segment.bytes().all(|b| b.is_ascii_digit())
        && (segment == "0" || !segment.starts_with('0'));
    is_index.then(|| segment.parse().ok()).flatten()
}

fn fit(predicate: &Predicate, value: &RawValue) -> Fit {
    let equals = || match &predicate.equals {
        Some(wanted) => equals(wanted, value),
        None => Fit::Yes,
    };
    let glob = || match &predicate.glob {
        Some(pattern) => match Level::read(value) {
            Some(Level::Text(text)) if text.len() > LONGEST_TEXT => Fit::Doubtful(Doubt::Arguments),
            Some(Level::Text(text)) => Fit::when(pattern.matches(&text)),
            // Lenient servers write these out where they want a text.
            Some(Level::Bool(_) | Level::Number(_)) | None => Fit::Doubtful(Doubt::Arguments),
            Some(_) => Fit::No,
        },
        None => Fit::Yes,
    };
    let range = || {
        if predicate.min.is_none() && predicate.max.is_none() {
            return Fit::Yes;
        }
        number(value, |number| {
            predicate.min.as_ref().is_none_or(|min| min <= number)
                && predicate.max.as_ref().is_none_or(|max| number <= max)
        })
    };
    equals().and(glob).and(range)
}

/// Whether the value is a number for which `fits` holds. Servers that are lenient take texts and truth
/// values for numbers.
fn number(value: &RawValue, fits: impl FnOnce(&Decimal) -> bool) -> Fit {
    match Level::read(value) {
        Some(Level::Number(text)) => match Decimal::parse(text) {
            Ok(number) => Fit::when(fits(&number)),
            Err(_) => Fit::Doubtful(Doubt::Arguments),
        },
        Some(Level::Text(_) | Level::Bool(_)) | None => Fit::Doubtful(Doubt::Arguments),
        Some(_) => Fit::No,
    }
}

/// Goes no deeper than `wanted`, which is bounded.
fn equals(wanted: &Exact, value: &RawValue) -> Fit {
    let Some(level) = Level::read(value) else {
        return Fit::Doubtful(Doubt::Arguments);
    };
    match (wanted, level) {
        (Exact::Null, Level::Null) => Fit::Yes,
        (Exact::Bool(wanted), Level::Bool(found)) => Fit::when(*wanted == found),
        (Exact::Number(wanted), _) => number(value, |found| wanted == found),
        (Exact::Text(wanted), Level::Text(found)) => Fit::when(*wanted == found),
        (Exact::Array(wanted), Level::Array(found)) => {
            let pairs = wanted.iter().zip(&found);
            Fit::when(wanted.len() == found.len()).and(|| {
                pairs
                    .map(|(wanted, found)| equals(wanted, found))
                    .min()
                    .unwrap_or(Fit::Yes)
            })
        }
        (Exact::Object(_), Level::Object(found)) if has_lookalikes(&found) => {
            Fit::Doubtful(Doubt::Arguments)
        }
        (Exact::Object(wanted), Level::Object(found)) => {
            let found: HashMap<String, _> = found.into_iter().map(|m| (fold(&m.0), m)).collect();
            let member = |(key, wanted): (&String, &Exact)| match found.get(&fold(key)) {
                Some((spelled, value)) if spelled == key => equals(wanted, value),
                Some((_, value)) => equals(wanted, value).doubted(Doubt::Arguments),
                None => Fit::No,
            };
            Fit::when(wanted.len() == found.len())
                .and(|| wanted.iter().map(member).min().unwrap_or(Fit::Yes))
        }
        // What a lenient server turns into the kind it wants: anything from a text, and a text or a
        // truth value from a scalar.
        (_, Level::Text(_))
        | (Exact::Bool(_), Level::Number(_))
        | (Exact::Text(_), Level::Bool(_) | Level::Number(_)) => Fit::Doubtful(Doubt::Arguments),
        _ => Fit::No,
    }
}

/// Whether two keys are the same, or would be to a reader that ignores case.
fn has_lookalikes(members: &[(Cow<'_, str>, &RawValue)]) -> bool {
    let mut seen = HashSet::with_capacity(members.len());
    !members.iter().all(|(key, _)| seen.insert(fold(key)))
}

/// Upper case first: the long s and the Kelvin sign have no lower case that equals the letter's.
fn fold(key: &str) -> String {
    if key.is_ascii() {
        return key.to_ascii_lowercase();
    }
    key.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBT: Fit = Fit::Doubtful(Doubt::Arguments);

    fn look(arguments: &str, pointer: &str, predicate: &str) -> Fit {
        let raw = serde_json::from_str(arguments).unwrap();
        let predicate = serde_json::from_str(predicate).unwrap();
        Arguments::new(Some(raw)).fit(&pointer.parse().unwrap(), &predicate)
    }

    #[test]
    fn each_predicate_looks_at_values_of_its_kind() {
        for (arguments, pointer, predicate, expected) in [
            (r#"{"a":"x"}"#, "/a", r#"{"equals":"x"}"#, Fit::Yes),
            (r#"{"a":"x"}"#, "/a", r#"{"equals":"X"}"#, Fit::No),
            (r#"{"a":"\u0078"}"#, "/a", r#"{"equals":"x"}"#, Fit::Yes),
            (r#"{"a":null}"#, "/a", r#"{"equals":null}"#, Fit::Yes),
            (r#"{"b":null}"#, "/a", r#"{"equals":null}"#, Fit::No),
            (r#"{"a":1.0}"#, "/a", r#"{"equals":1}"#, Fit::Yes),
            (r#"{"a":true}"#, "/a", r#"{"equals":false}"#, Fit::No),
            (r#"{"a":null}"#, "/a", r#"{"equals":false}"#, Fit::No),
            (
                r#"{"a":{"y":1,"x":[2]}}"#,
                "/a",
                r#"{"equals":{"x":[2.0],"y":1}}"#,
                Fit::Yes,
            ),
            (
                r#"{"a":{"y":1}}"#,
                "/a",
                r#"{"equals":{"x":[2],"y":1}}"#,
                Fit::No,
            ),
            (r#"{"a":[1,2]}"#, "/a", r#"{"equals":[1]}"#, Fit::No),
            (
                r#"{"a":"/tmp/x/y"}"#,
                "/a",
                r#"{"glob":"/tmp/*"}"#,
                Fit::Yes,
            ),
            (r#"{"a":[]}"#, "/a", r#"{"glob":"*"}"#, Fit::No),
            (r#"{"a":[7,8]}"#, "/a/1", r#"{"min":8,"max":8}"#, Fit::Yes),
            (r#"{"a":[7,8]}"#, "/a/01", r#"{"min":8}"#, Fit::No),
            (r#"{"a":[7,8]}"#, "/a/-", r#"{"min":8}"#, Fit::No),
            (
                r#"{"a":[7,8]}"#,
                "/a/99999999999999999999",
                r#"{"min":8}"#,
                Fit::No,
            ),
            (
                r#"{"a/b":{"~":3}}"#,
                "/a~1b/~0",
                r#"{"equals":3}"#,
                Fit::Yes,
            ),
            (r#"{"":3}"#, "/", r#"{"equals":3}"#, Fit::Yes),
            (r#"{"a":1}"#, "", r#"{"equals":{"a":1}}"#, Fit::Yes),
            (r#"{"a":1}"#, "/a/b", r#"{"equals":1}"#, Fit::No),
            (r#"{"a":null}"#, "/a", r#"{"max":5}"#, Fit::No),
            (
                r#"{"a":"abc"}"#,
                "/a",
                r#"{"glob":"a*","equals":"abd"}"#,
                Fit::No,
            ),
        ] {
            let found = look(arguments, pointer, predicate);
            assert_eq!(found, expected, "{arguments} {pointer} {predicate}");
        }
    }

    #[test]
    fn numbers_are_compared_digit_by_digit() {
        for (value, predicate, expected) in [
            ("9007199254740993", r#"{"max":9007199254740992}"#, Fit::No),
            (
                "9007199254740993",
                r#"{"equals":9007199254740992}"#,
                Fit::No,
            ),
            ("1000.0000000000000000000001", r#"{"max":1000}"#, Fit::No),
            ("1e400", r#"{"min":1000}"#, Fit::Yes),
            ("-1e400", r#"{"min":1000}"#, Fit::No),
            ("1e99999999999999999999", r#"{"max":1000}"#, DOUBT),
            ("\"5\"", r#"{"max":1000}"#, DOUBT),
            ("\"5\"", r#"{"equals":5}"#, DOUBT),
        ] {
            let arguments = format!("{{\"a\":{value}}}");
            assert_eq!(
                look(&arguments, "/a", predicate),
                expected,
                "{value} {predicate}"
            );
        }
    }

    #[test]
    fn what_readers_may_disagree_about_is_doubtful() {
        for (arguments, pointer) in [
            (r#"{"a":1,"a":9}"#, "/a"),
            (r#"{"a":9,"a":1}"#, "/a"),
            (r#"{"a":1,"\u0061":9}"#, "/a"),
            (r#"{"a":1,"A":9}"#, "/a"),
            (r#"{"A":1}"#, "/a"),
            (r#"{"K":1}"#, "/k"),
            (r#"{"ſ":1}"#, "/s"),
            (r#"{"x":{"a":1},"x":{"a":9}}"#, "/x/a"),
            (r#"{"a":1,"b":2,"b":3}"#, "/a"),
            (r#"{"a":1,"\ud800":2}"#, "/a"),
        ] {
            assert_eq!(
                look(arguments, pointer, r#"{"max":5}"#),
                DOUBT,
                "{arguments}"
            );
        }
        assert_eq!(
            look(r#"{"a":{"x":1,"x":2}}"#, "/a", r#"{"equals":{"x":1}}"#),
            DOUBT
        );
        assert_eq!(
            look(r#"{"a":{"X":1}}"#, "/a", r#"{"equals":{"x":1}}"#),
            DOUBT
        );
        assert_eq!(look(r#"{"a":"\ud800"}"#, "/a", r#"{"glob":"*"}"#), DOUBT);
    }

    #[test]
    fn what_a_lenient_server_converts_is_doubtful() {
        for (arguments, pointer, predicate) in [
            (r#"{"a":"true"}"#, "/a", r#"{"equals":true}"#),
            (r#"{"a":"yes"}"#, "/a", r#"{"equals":true}"#),
            (r#"{"a":1}"#, "/a", r#"{"equals":true}"#),
            (r#"{"a":true}"#, "/a", r#"{"equals":1}"#),
            (r#"{"a":true}"#, "/a", r#"{"max":5}"#),
            (r#"{"a":"null"}"#, "/a", r#"{"equals":null}"#),
            (r#"{"a":"[1]"}"#, "/a", r#"{"equals":[1]}"#),
            (r#"{"a":"{}"}"#, "/a", r#"{"equals":{}}"#),
            (r#"{"a":5}"#, "/a", r#"{"equals":"5"}"#),
            (r#"{"a":5}"#, "/a", r#"{"glob":"5*"}"#),
            (r#"{"a":true}"#, "/a", r#"{"glob":"t*"}"#),
            (
                r#"{"a":"{\"path\":\"/etc/x\"}"}"#,
                "/a/path",
                r#"{"glob":"/etc/*"}"#,
            ),
            (r#"{"a":"/etc/x"}"#, "/a/0", r#"{"glob":"/etc/*"}"#),
            (r#""{\"a\":1}""#, "/a", r#"{"equals":1}"#),
            (r#""{\"a\":1}""#, "", r#"{"equals":{"a":1}}"#),
        ] {
            let found = look(arguments, pointer, predicate);
            assert_eq!(found, DOUBT, "{arguments} {pointer} {predicate}");
        }
    }

    #[test]
    fn no_reading_that_fits_is_no_doubt() {
        assert_eq!(look(r#"{"a":6,"a":9}"#, "/a", r#"{"max":5}"#), Fit::No);
        assert_eq!(look(r#"{"b":1,"b":2}"#, "/a", r#"{"max":5}"#), Fit::No);
    }

    #[test]
    fn size_and_depth_cost_no_stack_and_little_time() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(look(&deep, "/a/0/0", r#"{"equals":[[1]]}"#), Fit::No);
        let long = format!("{{\"a\":\"{}\"}}", "a".repeat(LONGEST_TEXT + 1));
        assert_eq!(look(&long, "/a", r#"{"glob":"*a*a*a*b"}"#), DOUBT);
    }

    #[test]
    fn a_call_without_arguments_has_no_argument() {
        let predicate = serde_json::from_str(r#"{"equals":{}}"#).unwrap();
        let arguments = Arguments::new(None);
        assert_eq!(arguments.fit(&"".parse().unwrap(), &predicate), Fit::No);
    }
}
