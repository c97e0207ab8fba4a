//! The conditions of a rule as options, and as the daemon takes them.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

/// What a rule asks of a call besides its tool.
#[derive(Args, Clone, Default)]
pub struct Conditions {
    /// Argument, by JSON pointer: /amount<=1000, /amount>=1, /currency=usd or /path=~'/tmp/*'
    #[arg(long = "arg", value_name = "CONDITION")]
    arguments: Vec<Argument>,
    /// What a trusted server says about the tool, such as readOnlyHint=true
    #[arg(long = "annotation", value_name = "HINT=BOOL", value_parser = annotation)]
    annotations: Vec<(String, bool)>,
    /// Who is calling, one of all given: client:NAME, exe:PATTERN or uid:NUMBER
    #[arg(long = "caller", value_name = "CALLER")]
    callers: Vec<String>,
}

#[derive(Serialize)]
struct Wire<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    arguments: BTreeMap<&'a str, BTreeMap<&'static str, &'a RawValue>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, bool>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    callers: &'a [String],
}

impl Conditions {
    pub fn is_empty(&self) -> bool {
        self.arguments.is_empty() && self.annotations.is_empty() && self.callers.is_empty()
    }

    /// Empty when there are none; an error names what is said twice.
    pub fn json(&self) -> Result<String, String> {
        if self.is_empty() {
            return Ok(String::new());
        }
        let mut arguments = BTreeMap::<_, BTreeMap<_, _>>::new();
        for argument in &self.arguments {
            let predicate = arguments.entry(argument.pointer.as_str()).or_default();
            let before = predicate.insert(argument.kind, &*argument.value);
            if before.is_some() {
                return Err(format!(
                    "{} {} is said twice",
                    argument.pointer, argument.kind
                ));
            }
        }
        let mut annotations = BTreeMap::new();
        for (hint, value) in &self.annotations {
            if annotations.insert(hint.as_str(), *value).is_some() {
                return Err(format!("{hint} is said twice"));
            }
        }
        let wire = Wire {
            arguments,
            annotations,
            callers: &self.callers,
        };
        serde_json::to_string(&wire).map_err(|error| error.to_string())
    }
}

#[derive(Clone)]
struct Argument {
    pointer: String,
    kind: &'static str,
    value: Box<RawValue>,
}

impl FromStr for Argument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const OPERATORS: [(&str, &str); 4] = [
            ("<=", "max"),
            (">=", "min"),
            ("=~", "glob"),
            ("=", "equals"),
        ];
        let found = OPERATORS
            .iter()
            .filter_map(|(sign, kind)| Some((text.find(sign)?, *sign, *kind)))
            .min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len())));
        let Some((at, sign, kind)) = found else {
            return Err(
                "write POINTER<=NUMBER, POINTER>=NUMBER, POINTER=VALUE or POINTER=~PATTERN"
                    .to_owned(),
            );
        };
        let (pointer, rest) = text.split_at(at);
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err("a JSON pointer begins with /".to_owned());
        }
        let value = rest.strip_prefix(sign).unwrap_or_default();
        Ok(Self {
            pointer: pointer.to_owned(),
            kind,
            value: match kind {
                "glob" => quoted(value)?,
                // What is not JSON is meant as a text.
                "equals" => json(value).map_or_else(|_| quoted(value), Ok)?,
                _ => json(value).map_err(|_| format!("{value:?} is not a number"))?,
            },
        })
    }
}

fn json(text: &str) -> serde_json::Result<Box<RawValue>> {
    serde_json::from_str(text)
}

fn quoted(text: &str) -> Result<Box<RawValue>, String> {
    serde_json::value::to_raw_value(text).map_err(|error| error.to_string())
}

pub(super) fn annotation(text: &str) -> Result<(String, bool), String> {
    let said = text
        .split_once('=')
        .and_then(|(hint, value)| Some((hint.to_owned(), value.parse().ok()?)));
    said.ok_or_else(|| "write HINT=true or HINT=false".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(arguments: &[&str]) -> Result<String, String> {
        let arguments: Result<_, _> = arguments.iter().map(|text| text.parse()).collect();
        Conditions {
            arguments: arguments?,
            ..Conditions::default()
        }
        .json()
    }

    #[test]
    fn arguments_are_written_as_the_configuration_has_them() {
        let all = [
            "/a>=1",
            "/a<=1e400",
            "/c=usd",
            "/n=5",
            "/t=\"5\"",
            "/p=~/tmp/*",
            "/e=a=b<=c",
            "={}",
        ];
        assert_eq!(
            conditions(&all).unwrap(),
            concat!(
                r#"{"arguments":{"":{"equals":{}},"/a":{"max":1e400,"min":1},"/c":{"equals":"usd"},"#,
                r#""/e":{"equals":"a=b<=c"},"/n":{"equals":5},"/p":{"glob":"/tmp/*"},"#,
                r#""/t":{"equals":"5"}}}"#
            )
        );
        assert_eq!(conditions(&[]).unwrap(), "");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for arguments in [&["/a"][..], &["a=1"], &["/a<=x"], &["/a=1", "/a=2"]] {
            assert!(conditions(arguments).is_err(), "{arguments:?}");
        }
    }
}
