//! Which effect a server's rules have on a tool: the decision point. Pure.
//!
//! The most specific rule wins: an exact name before any pattern, then the pattern with more literal
//! characters. Among equals the stricter effect wins, so the order of rules never matters.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::types::{Effect, Pattern};

/// The rules of one server, compiled. Looking a tool up does not get slower with more exact names.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    default: Effect,
    exact: HashMap<Box<str>, Effect>,
    /// In order of precedence: the first that matches decides.
    patterns: Vec<(Pattern, Effect)>,
}

/// What the rules say about one tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    pub effect: Effect,
    /// The rule that decided; None for the server's default.
    pub rule: Option<&'a str>,
}

impl PolicySet {
    /// Compiles `rules`, from pattern to effect; tools that none matches get `default`.
    pub fn compile(default: Effect, rules: &BTreeMap<Pattern, Effect>) -> Self {
        let mut exact = HashMap::new();
        let mut patterns = Vec::new();
        for (pattern, effect) in rules {
            if pattern.is_exact() {
                exact.insert(pattern.as_str().into(), *effect);
            } else {
                patterns.push((pattern.clone(), *effect));
            }
        }
        patterns.sort_by_key(|(pattern, effect)| {
            std::cmp::Reverse((pattern.literal_length(), *effect))
        });
        Self {
            default,
            exact,
            patterns,
        }
    }

    pub fn evaluate<'a>(&'a self, tool: &str) -> Verdict<'a> {
        if let Some((name, effect)) = self.exact.get_key_value(tool) {
            return Verdict {
                effect: *effect,
                rule: Some(name),
            };
        }
        match self
            .patterns
            .iter()
            .find(|(pattern, _)| pattern.matches(tool))
        {
            Some((pattern, effect)) => Verdict {
                effect: *effect,
                rule: Some(pattern.as_str()),
            },
            None => Verdict {
                effect: self.default,
                rule: None,
            },
        }
    }
}

/// For people, as `policy test` shows it.
impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rule {
            Some(rule) => write!(f, "{} by the rule {rule:?}", self.effect),
            None => write!(f, "{} by the server's default", self.effect),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(rules: &[(&str, Effect)]) -> BTreeMap<Pattern, Effect> {
        rules
            .iter()
            .map(|(pattern, effect)| (pattern.parse().unwrap(), *effect))
            .collect()
    }

    fn set(default: Effect, rules: &[(&str, Effect)]) -> PolicySet {
        PolicySet::compile(default, &table(rules))
    }

    #[test]
    fn without_rules_everything_is_asked() {
        let policy = PolicySet::default();
        assert_eq!(
            policy.evaluate("anything"),
            Verdict {
                effect: Effect::Ask,
                rule: None
            }
        );
    }

    #[test]
    fn the_most_specific_rule_wins() {
        let policy = set(
            Effect::Ask,
            &[
                ("*", Effect::Deny),
                ("list_*", Effect::Allow),
                ("list_secrets*", Effect::Deny),
                ("list_secrets_public", Effect::Allow),
            ],
        );
        for (tool, effect, rule) in [
            ("drop", Effect::Deny, "*"),
            ("list_users", Effect::Allow, "list_*"),
            ("list_secrets", Effect::Deny, "list_secrets*"),
            ("list_secrets_public", Effect::Allow, "list_secrets_public"),
        ] {
            assert_eq!(
                policy.evaluate(tool),
                Verdict {
                    effect,
                    rule: Some(rule)
                },
                "{tool}"
            );
        }
    }

    #[test]
    fn among_equals_the_stricter_effect_wins() {
        let policy = set(
            Effect::Allow,
            &[("a*z", Effect::Allow), ("*az", Effect::Deny)],
        );
        assert_eq!(policy.evaluate("aaz").effect, Effect::Deny);
        let policy = set(Effect::Allow, &[("a*", Effect::Allow), ("?a", Effect::Ask)]);
        assert_eq!(policy.evaluate("aa").effect, Effect::Ask);
    }

    #[test]
    fn names_are_compared_by_case_and_patterns_span_slashes() {
        let policy = set(
            Effect::Ask,
            &[("Get", Effect::Allow), ("db/*", Effect::Deny)],
        );
        assert_eq!(policy.evaluate("get").effect, Effect::Ask);
        assert_eq!(policy.evaluate("db/a/b").effect, Effect::Deny);
    }

    #[test]
    fn a_verdict_explains_itself() {
        let policy = set(Effect::Ask, &[("x*", Effect::Deny)]);
        assert_eq!(policy.evaluate("xy").to_string(), "deny by the rule \"x*\"");
        assert_eq!(
            policy.evaluate("y").to_string(),
            "ask by the server's default"
        );
    }

    fn effect() -> impl Strategy<Value = Effect> {
        prop_oneof![Just(Effect::Allow), Just(Effect::Ask), Just(Effect::Deny)]
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        "[ab./*?]{1,4}".prop_map(|text| text.parse().unwrap())
    }

    /// The rule in its own words, with each candidate judged alone.
    fn by_definition(rules: &BTreeMap<Pattern, Effect>, tool: &str) -> Effect {
        rules
            .iter()
            .filter(|(pattern, _)| pattern.matches(tool))
            .map(|(pattern, effect)| (pattern.is_exact(), pattern.literal_length(), *effect))
            .max()
            .map_or(Effect::Ask, |(_, _, effect)| effect)
    }

    proptest! {
        #[test]
        fn the_most_specific_then_strictest_rule_decides(
            rules in prop::collection::btree_map(pattern(), effect(), 0..8),
            tool in "[ab./]{1,5}",
        ) {
            let policy = PolicySet::compile(Effect::Ask, &rules);
            prop_assert_eq!(policy.evaluate(&tool).effect, by_definition(&rules, &tool));
        }
    }
}
