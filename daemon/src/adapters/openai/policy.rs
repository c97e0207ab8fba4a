//! Which tools of a server the request allows, and which calls its client wants to approve.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::adapters::dialect::ToolFilter;

/// `require_approval`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Approval {
    /// What is not decided is asked.
    #[default]
    Always,
    Never,
    Filters {
        always: Option<Filter>,
        never: Option<Filter>,
    },
}

/// All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Filter {
    read_only: Option<bool>,
    tool_names: Option<Vec<String>>,
}

impl Filter {
    fn matches(&self, tool: &str, read_only: bool) -> bool {
        self.read_only.is_none_or(|wanted| wanted == read_only)
            && self
                .tool_names
                .as_ref()
                .is_none_or(|names| names.iter().any(|name| name == tool))
    }
}

impl Approval {
    /// # Errors
    /// What it should be.
    pub fn parse(value: Option<&RawValue>) -> Result<Self, &'static str> {
        const EXPECTED: &str = "it is \"always\", \"never\" or an object with filters \"always\" and \
                                \"never\", each with read_only or tool_names";
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Setting {
            Word(String),
            Filters(Filters),
        }
        #[derive(Deserialize)]
        struct Filters {
            always: Option<Filter>,
            never: Option<Filter>,
        }
        let Some(value) = value else {
            return Ok(Self::Always);
        };
        let setting = serde_json::from_str::<Option<Setting>>(value.get());
        match setting.map_err(|_| EXPECTED)? {
            None => Ok(Self::Always),
            Some(Setting::Word(word)) if word == "always" => Ok(Self::Always),
            Some(Setting::Word(word)) if word == "never" => Ok(Self::Never),
            Some(Setting::Word(_)) => Err(EXPECTED),
            Some(Setting::Filters(Filters { always, never })) => {
                Ok(Self::Filters { always, never })
            }
        }
    }

    /// Whether the client approves calls of `tool` itself.
    pub fn asks(&self, tool: &str, read_only: bool) -> bool {
        let matches = |filter: &Option<Filter>| {
            filter
                .as_ref()
                .is_some_and(|filter| filter.matches(tool, read_only))
        };
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Filters { always, never } => match (matches(always), matches(never)) {
                (true, _) => true,
                (false, true) => false,
                // With only one filter the other policy is meant for the rest.
                (false, false) => !(always.is_some() && never.is_none()),
            },
        }
    }
}

/// `allowed_tools`, in both its forms.
///
/// # Errors
/// What it should be.
pub fn allowed(value: Option<&RawValue>) -> Result<ToolFilter, &'static str> {
    const EXPECTED: &str = "it is a list of names or an object with tool_names or read_only";
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Allowed {
        Names(Vec<String>),
        Filter(Filter),
    }
    let Some(value) = value else {
        return Ok(ToolFilter::default());
    };
    let allowed = serde_json::from_str::<Option<Allowed>>(value.get());
    Ok(match allowed.map_err(|_| EXPECTED)? {
        None => ToolFilter::default(),
        Some(Allowed::Names(names)) => ToolFilter {
            names: Some(names),
            ..ToolFilter::default()
        },
        Some(Allowed::Filter(filter)) => ToolFilter {
            names: filter.tool_names,
            read_only: filter.read_only,
            ..ToolFilter::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_call_is_asked_about_unless_the_policy_says_never_for_certain() {
        // Policy; asked about: tool a that reads, tool b that writes.
        for (policy, a, b) in [
            ("null", true, true),
            (r#""always""#, true, true),
            (r#""never""#, false, false),
            ("{}", true, true),
            (r#"{"always":null,"never":null}"#, true, true),
            (r#"{"always":{}}"#, true, true),
            (r#"{"never":{}}"#, false, false),
            (r#"{"always":{"tool_names":["a"]}}"#, true, false),
            (r#"{"never":{"tool_names":["a"]}}"#, false, true),
            (
                r#"{"always":{"tool_names":["b"]},"never":{"tool_names":["a"]}}"#,
                false,
                true,
            ),
            (
                r#"{"always":{"tool_names":["a"]},"never":{"tool_names":["a"]}}"#,
                true,
                true,
            ),
            (r#"{"always":{},"never":{"tool_names":["a"]}}"#, true, true),
            (r#"{"never":{"read_only":true}}"#, false, true),
            (r#"{"always":{"read_only":false}}"#, false, true),
            (
                r#"{"never":{"read_only":true,"tool_names":["b"]}}"#,
                true,
                true,
            ),
            (r#"{"never":{"tool_names":[]}}"#, true, true),
        ] {
            let parsed = Approval::parse(Some(raw(policy))).unwrap();
            assert_eq!(parsed.asks("a", true), a, "{policy} a");
            assert_eq!(parsed.asks("b", false), b, "{policy} b");
        }
        assert_eq!(Approval::parse(None), Ok(Approval::Always));
    }

    #[test]
    fn other_values_are_refused() {
        for policy in [
            r#""sometimes""#,
            "true",
            "[]",
            r#"{"always":"x"}"#,
            r#"{"never":{"tool_names":"a"}}"#,
        ] {
            assert!(Approval::parse(Some(raw(policy))).is_err(), "{policy}");
        }
        for allowed_tools in [r#""a""#, "[1]", r#"{"tool_names":"a"}"#, "true"] {
            assert!(
                allowed(Some(raw(allowed_tools))).is_err(),
                "{allowed_tools}"
            );
        }
    }

    #[test]
    fn both_forms_of_allowed_tools_are_read() {
        let names = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
        for (json, expected_names, read_only) in [
            ("null", None, None),
            (r#"["a","b"]"#, names(&["a", "b"]), None),
            ("[]", names(&[]), None),
            (
                r#"{"tool_names":["a"],"read_only":true}"#,
                names(&["a"]),
                Some(true),
            ),
            ("{}", None, None),
        ] {
            let filter = allowed(Some(raw(json))).unwrap();
            assert_eq!(filter.names, expected_names, "{json}");
            assert_eq!(filter.read_only, read_only, "{json}");
        }
    }
}
