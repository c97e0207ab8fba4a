//! The three things policy can say about a tool call.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What happens to a tool call. Ordered from loose to strict, so that `max` picks the stricter one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It runs.
    Allow,
    /// A person decides.
    #[default]
    Ask,
    /// It never runs.
    Deny,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a policy: use allow, ask or deny")]
pub struct InvalidEffect(pub String);

impl Effect {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Ask => "ask",
            Self::Deny => "deny",
        }
    }

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Allow => "always allow",
            Self::Ask => "always ask",
            Self::Deny => "never allow",
        }
    }
}

impl FromStr for Effect {
    type Err = InvalidEffect;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "allow" => Ok(Self::Allow),
            "ask" => Ok(Self::Ask),
            "deny" => Ok(Self::Deny),
            other => Err(InvalidEffect(other.chars().take(40).collect())),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
