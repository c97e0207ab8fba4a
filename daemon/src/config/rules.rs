//! The rules a person writes about tool calls: what they look like, not what they mean.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

use super::schema::{is_default, unique_keys};
use crate::types::{ClientName, Decimal, Effect, Exact, InvalidPattern, Pattern, Pointer};

/// Who decides about the tool calls of a server.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyConfig {
    pub default: Effect,
    /// By pattern over tool names. The most specific one decides, so order has no meaning.
    #[serde(skip_serializing_if = "is_default", deserialize_with = "unique_keys")]
    pub tools: BTreeMap<Pattern, Effect>,
    /// Those that look at more than the name. Order has no meaning here either.
    #[serde(skip_serializing_if = "is_default")]
    pub rules: Vec<RuleConfig>,
    /// Lets a person approve through the asking client, which could answer in the person's place.
    #[serde(skip_serializing_if = "is_default")]
    pub accept_weak_approval: bool,
}

/// One rule: all of its conditions must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleConfig {
    /// Every tool if left out.
    #[serde(default = "Pattern::any")]
    pub tools: Pattern,
    /// What the call's arguments must be.
    #[serde(
        default,
        skip_serializing_if = "is_default",
        deserialize_with = "unique_keys"
    )]
    pub arguments: BTreeMap<Pointer, Predicate>,
    /// What a trusted server must say about the tool.
    #[serde(
        default,
        skip_serializing_if = "is_default",
        deserialize_with = "unique_keys"
    )]
    pub annotations: BTreeMap<Hint, bool>,
    /// Who must be calling: one of these.
    #[serde(default, skip_serializing_if = "is_default")]
    pub callers: Vec<CallerRule>,
    pub effect: Effect,
}

impl RuleConfig {
    /// A rule about every call.
    pub fn new(effect: Effect) -> Self {
        Self {
            tools: Pattern::any(),
            arguments: BTreeMap::new(),
            annotations: BTreeMap::new(),
            callers: Vec::new(),
            effect,
        }
    }

    /// What the rule says about which calls it is for, as a key: two rules with the same are about
    /// the same calls.
    pub fn conditions(&self) -> String {
        let conditions = (
            &self.tools,
            &self.arguments,
            &self.annotations,
            &self.callers,
        );
        format!("{conditions:?}")
    }

    /// A rule for calls of `tools`, under conditions as [`Self::conditions_json`] writes them.
    ///
    /// # Errors
    /// The conditions are not of this shape.
    pub fn read(tools: Pattern, conditions_json: &str) -> Result<Self, serde_json::Error> {
        let Conditions {
            arguments,
            annotations,
            callers,
        } = match conditions_json {
            "" => Conditions::default(),
            json => serde_json::from_str(json)?,
        };
        Ok(Self {
            tools,
            arguments,
            annotations,
            callers,
            effect: Effect::default(),
        })
    }

    /// What the rule asks of a call besides its tool, as in `config.json`; empty for nothing.
    pub fn conditions_json(&self) -> String {
        if self.is_bare() {
            return String::new();
        }
        let conditions = Conditions {
            arguments: self.arguments.clone(),
            annotations: self.annotations.clone(),
            callers: self.callers.clone(),
        };
        serde_json::to_string(&conditions).unwrap_or_default()
    }

    /// Whether only the tool's name counts.
    pub fn is_bare(&self) -> bool {
        self.arguments.is_empty() && self.annotations.is_empty() && self.callers.is_empty()
    }
}

/// A rule without its tool and effect.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Conditions {
    #[serde(skip_serializing_if = "is_default", deserialize_with = "unique_keys")]
    arguments: BTreeMap<Pointer, Predicate>,
    #[serde(skip_serializing_if = "is_default", deserialize_with = "unique_keys")]
    annotations: BTreeMap<Hint, bool>,
    #[serde(skip_serializing_if = "is_default")]
    callers: Vec<CallerRule>,
}

/// What one argument must be; what is said together must hold together.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Predicate {
    #[serde(skip_serializing_if = "is_default", deserialize_with = "present")]
    pub equals: Option<Exact>,
    /// For texts.
    #[serde(skip_serializing_if = "is_default")]
    pub glob: Option<Pattern>,
    /// For numbers, inclusive.
    #[serde(skip_serializing_if = "is_default")]
    pub min: Option<Decimal>,
    /// For numbers, inclusive.
    #[serde(skip_serializing_if = "is_default")]
    pub max: Option<Decimal>,
}

/// Null is a value here, unlike a missing key.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Exact>, D::Error> {
    Exact::deserialize(deserializer).map(Some)
}

/// What MCP lets a server say about a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "camelCase")]
pub enum Hint {
    ReadOnlyHint,
    DestructiveHint,
    IdempotentHint,
    OpenWorldHint,
}

impl Hint {
    pub const ALL: [Self; 4] = [
        Self::ReadOnlyHint,
        Self::DestructiveHint,
        Self::IdempotentHint,
        Self::OpenWorldHint,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnlyHint => "readOnlyHint",
            Self::DestructiveHint => "destructiveHint",
            Self::IdempotentHint => "idempotentHint",
            Self::OpenWorldHint => "openWorldHint",
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an annotation: use readOnlyHint, destructiveHint, idempotentHint or \
     openWorldHint"
)]
pub struct InvalidHint(pub String);

impl FromStr for Hint {
    type Err = InvalidHint;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.into_iter().find(|hint| hint.as_str() == text);
        known.ok_or_else(|| InvalidHint(text.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Hint {
    type Error = InvalidHint;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A caller, by what the bridge knows about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CallerRule {
    /// By the name of its client token.
    Client(ClientName),
    /// By the path of its program.
    Exe(Pattern),
    /// By the user it runs as.
    Uid(u32),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCaller {
    #[error("{0:?} is not a caller: use client:NAME, exe:PATTERN or uid:NUMBER")]
    Form(String),
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
}

impl FromStr for CallerRule {
    type Err = InvalidCaller;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || InvalidCaller::Form(text.chars().take(100).collect());
        let (kind, value) = text.split_once(':').ok_or_else(form)?;
        match kind {
            "client" => value.parse().map(Self::Client).map_err(|_| form()),
            "exe" => Ok(Self::Exe(Pattern::parse(value)?)),
            "uid" if value.bytes().all(|b| b.is_ascii_digit()) => {
                value.parse().map(Self::Uid).map_err(|_| form())
            }
            _ => Err(form()),
        }
    }
}

impl TryFrom<String> for CallerRule {
    type Error = InvalidCaller;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CallerRule> for String {
    fn from(caller: CallerRule) -> Self {
        caller.to_string()
    }
}

impl fmt::Display for CallerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(name) => write!(f, "client:{name}"),
            Self::Exe(pattern) => write!(f, "exe:{pattern}"),
            Self::Uid(uid) => write!(f, "uid:{uid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_survives_a_round_trip_digit_for_digit() {
        let text = concat!(
            r#"{"tools":"create_*","arguments":{"/amount":{"min":1e400,"max":9007199254740993.10},"#,
            r#""/currency":{"equals":"usd"},"/note":{"equals":null},"/path":{"glob":"/tmp/*"}},"#,
            r#""annotations":{"readOnlyHint":true},"#,
            r#""callers":["client:ci","exe:/usr/bin/python*","uid:1000"],"effect":"allow"}"#
        );
        let rule: RuleConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&rule).unwrap(), text);
        assert_eq!(rule.arguments.len(), 4);
    }

    #[test]
    fn a_rule_without_tools_is_about_every_tool() {
        let rule: RuleConfig = serde_json::from_str(r#"{"effect":"deny"}"#).unwrap();
        assert_eq!(rule.tools, Pattern::any());
    }

    #[test]
    fn callers_that_cannot_be_meant_are_refused() {
        for text in [
            "",
            "ci",
            "client:",
            "client:a b",
            "exe:",
            "exe:[a]",
            "uid:",
            "uid:-1",
            "uid:x",
            "uid:4294967296",
            "pid:1",
        ] {
            assert!(text.parse::<CallerRule>().is_err(), "{text:?}");
        }
    }
}
