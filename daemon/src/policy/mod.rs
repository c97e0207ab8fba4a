//! Which effect a server's rules have on a tool: the decision point. Pure.
//!
//! The most specific rule wins: an exact name before any pattern, then the pattern with more literal
//! characters. Among equals the stricter effect wins, so the order of rules never matters.

use std::collections::HashMap;
use std::fmt;

use globset::{Candidate, Glob, GlobSet, GlobSetBuilder};

use crate::types::Effect;

/// The rules of one server, compiled. Looking a tool up does not get slower with more exact names.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    default: Effect,
    exact: HashMap<Box<str>, Effect>,
    /// In order of precedence, index for index the patterns of `matcher`.
    patterns: Vec<(Box<str>, Effect)>,
    matcher: GlobSet,
}

/// What the rules say about one tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    pub effect: Effect,
    /// The rule that decided; None for the server's default.
    pub rule: Option<&'a str>,
}

#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("the tool pattern {pattern:?} is not valid")]
    Pattern {
        pattern: String,
        #[source]
        source: globset::Error,
    },
    #[error("the tool patterns together are too large")]
    TooLarge(#[source] globset::Error),
}

impl PolicySet {
    /// Compiles `rules` of (pattern, effect); tools that none matches get `default`.
    pub fn compile<'r>(
        default: Effect,
        rules: impl IntoIterator<Item = (&'r str, Effect)>,
    ) -> Result<Self, PolicyError> {
        let mut exact: HashMap<Box<str>, Effect> = HashMap::new();
        let mut patterns: Vec<(Box<str>, Effect)> = Vec::new();
        for (pattern, effect) in rules {
            if is_exact(pattern) {
                let strictest = exact.entry(pattern.into()).or_insert(effect);
                *strictest = (*strictest).max(effect);
            } else {
                patterns.push((pattern.into(), effect));
            }
        }
        patterns.sort_by(|(a, a_effect), (b, b_effect)| {
            let by_length = literal_length(b).cmp(&literal_length(a));
            by_length.then(b_effect.cmp(a_effect)).then(a.cmp(b))
        });
        let mut matcher = GlobSetBuilder::new();
        for (pattern, _) in &patterns {
            matcher.add(Glob::new(pattern).map_err(|source| PolicyError::Pattern {
                pattern: pattern.to_string(),
                source,
            })?);
        }
        let matcher = matcher.build().map_err(PolicyError::TooLarge)?;
        Ok(Self {
            default,
            exact,
            patterns,
            matcher,
        })
    }

    pub fn evaluate<'a>(&'a self, tool: &str) -> Verdict<'a> {
        if let Some((name, effect)) = self.exact.get_key_value(tool) {
            return Verdict {
                effect: *effect,
                rule: Some(name),
            };
        }
        if !self.patterns.is_empty() {
            let matches = self.matcher.matches_candidate(&Candidate::new(tool));
            let first = matches
                .into_iter()
                .min()
                .and_then(|index| self.patterns.get(index));
            if let Some((pattern, effect)) = first {
                return Verdict {
                    effect: *effect,
                    rule: Some(pattern),
                };
            }
        }
        Verdict {
            effect: self.default,
            rule: None,
        }
    }

    pub fn default_effect(&self) -> Effect {
        self.default
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

fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// Characters a matching name must have: all but wildcards, classes and alternatives.
fn literal_length(pattern: &str) -> usize {
    let mut length = 0;
    let mut nesting = 0_usize;
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            _ if escaped => {
                escaped = false;
                length += usize::from(nesting == 0);
            }
            '\\' => escaped = true,
            '[' | '{' => nesting += 1,
            ']' | '}' => nesting = nesting.saturating_sub(1),
            '*' | '?' => {}
            _ => length += usize::from(nesting == 0),
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(default: Effect, rules: &[(&str, Effect)]) -> PolicySet {
        PolicySet::compile(default, rules.iter().copied()).unwrap()
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
    fn alternatives_and_classes_are_not_literal() {
        assert_eq!(literal_length("{create,delete}_x"), 2);
        assert_eq!(literal_length("v[0-9]_*"), 2);
        assert_eq!(literal_length(r"a\*b"), 3);
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
    fn a_broken_pattern_is_named() {
        let error = PolicySet::compile(Effect::Ask, [("a[", Effect::Allow)]).unwrap_err();
        assert!(error.to_string().contains("a["), "{error}");
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

    proptest! {
        #[test]
        fn the_order_of_rules_does_not_matter(
            rules in prop::collection::vec(("[ab*?]{1,4}", effect()), 0..6),
            tool in "[ab]{1,4}",
        ) {
            let forward = rules.iter().map(|(pattern, effect)| (pattern.as_str(), *effect));
            let a = PolicySet::compile(Effect::Ask, forward.clone()).unwrap();
            let b = PolicySet::compile(Effect::Ask, forward.rev()).unwrap();
            prop_assert_eq!(a.evaluate(&tool), b.evaluate(&tool));
        }

        #[test]
        fn an_exact_rule_always_decides(
            rules in prop::collection::vec(("[ab*?]{0,3}[*?]", effect()), 0..6),
            tool in "[ab]{1,4}",
            chosen in effect(),
        ) {
            let rules = rules.iter().map(|(pattern, effect)| (pattern.as_str(), *effect));
            let policy = PolicySet::compile(Effect::Ask, rules.chain([(tool.as_str(), chosen)])).unwrap();
            prop_assert_eq!(policy.evaluate(&tool).effect, chosen);
        }
    }
}
