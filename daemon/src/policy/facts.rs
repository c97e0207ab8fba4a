//! What rules may ask about a call besides its tool and arguments.

use serde::Deserialize;

use crate::config::{CallerRule, Hint};
use crate::policy::fit::{Doubt, Fit};
use crate::types::Caller;

/// What a server says about a tool (MCP, `Tool.annotations`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotations {
    read_only_hint: Option<bool>,
    destructive_hint: Option<bool>,
    idempotent_hint: Option<bool>,
    open_world_hint: Option<bool>,
}

impl Annotations {
    /// Reads the `annotations` of a tool. None for what is no such object, or says something twice.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// What is not said has the default of the specification, which is the more dangerous one.
    pub fn says(&self, hint: Hint) -> bool {
        match hint {
            Hint::ReadOnlyHint => self.read_only_hint.unwrap_or(false),
            Hint::DestructiveHint => self.destructive_hint.unwrap_or(true),
            Hint::IdempotentHint => self.idempotent_hint.unwrap_or(false),
            Hint::OpenWorldHint => self.open_world_hint.unwrap_or(true),
        }
    }
}

/// Who is calling. Asked only when a rule could decide by it, because finding out may take long.
pub trait CallerFacts {
    /// The name of the client token; None when the call came without.
    fn client(&self) -> Option<&str>;
    /// None when it is not known.
    fn uid(&self) -> Option<u32>;
    /// The path of the program; None when it is not known.
    fn exe(&self) -> Option<&str>;
}

impl CallerFacts for Caller {
    fn client(&self) -> Option<&str> {
        Caller::client(self).map(|name| name.as_str())
    }

    fn uid(&self) -> Option<u32> {
        Caller::uid(self)
    }

    fn exe(&self) -> Option<&str> {
        self.process().exe.as_deref()
    }
}

pub(super) fn is_caller(wanted: &CallerRule, caller: &dyn CallerFacts) -> Fit {
    const UNKNOWN: Fit = Fit::Doubtful(Doubt::Caller);
    match wanted {
        CallerRule::Client(name) => Fit::when(caller.client() == Some(name.as_str())),
        CallerRule::Uid(uid) => caller
            .uid()
            .map_or(UNKNOWN, |found| Fit::when(found == *uid)),
        CallerRule::Exe(pattern) => caller
            .exe()
            .map_or(UNKNOWN, |exe| Fit::when(pattern.matches(exe))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_does_not_say_has_the_defaults_of_the_specification() {
        let silent = Annotations::parse("{}").unwrap();
        assert_eq!(
            Hint::ALL.map(|hint| silent.says(hint)),
            [false, true, false, true]
        );
        let told = r#"{"readOnlyHint":true,"destructiveHint":false,"title":"x","idempotentHint":true,
            "openWorldHint":false}"#;
        let told = Annotations::parse(told).unwrap();
        assert_eq!(
            Hint::ALL.map(|hint| told.says(hint)),
            [true, false, true, false]
        );
    }

    #[test]
    fn contradictions_and_other_types_say_nothing() {
        for json in [
            r#"{"readOnlyHint":true,"readOnlyHint":false}"#,
            r#"{"readOnlyHint":"yes"}"#,
            "7",
        ] {
            assert_eq!(Annotations::parse(json), None, "{json}");
        }
    }
}
