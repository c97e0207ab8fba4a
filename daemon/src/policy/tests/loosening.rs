//! No call is treated less strictly after a change that is said not to loosen.

use proptest::sample::Index;

use super::random::{calls, effects, rule_configs, servers};
use super::*;
use crate::types::Pattern;

/// One change, as a command or a page makes it.
#[derive(Debug, Clone)]
enum Edit {
    Default(Effect),
    Trust(bool),
    Named(Pattern, Effect),
    Unnamed(Index),
    Add(RuleConfig),
    Effect(Index, Effect),
    Remove(Index),
}

fn edits() -> impl Strategy<Value = Edit> {
    let pattern = "[ab*?]{1,3}".prop_map(|text| text.parse().unwrap());
    prop_oneof![
        effects().prop_map(Edit::Default),
        any::<bool>().prop_map(Edit::Trust),
        (pattern, effects()).prop_map(|(pattern, effect)| Edit::Named(pattern, effect)),
        any::<Index>().prop_map(Edit::Unnamed),
        rule_configs().prop_map(Edit::Add),
        (any::<Index>(), effects()).prop_map(|(at, effect)| Edit::Effect(at, effect)),
        any::<Index>().prop_map(Edit::Remove),
    ]
}

impl Edit {
    fn make(&self, server: &mut ServerConfig) {
        let policy = &mut server.policy;
        let rules = policy.rules.len();
        match self {
            Self::Default(effect) => policy.default = *effect,
            Self::Trust(trusted) => server.trusted = *trusted,
            Self::Named(pattern, effect) => drop(policy.tools.insert(pattern.clone(), *effect)),
            Self::Unnamed(at) if !policy.tools.is_empty() => {
                let pattern = policy.tools.keys().nth(at.index(policy.tools.len()));
                let pattern = pattern.cloned().unwrap();
                policy.tools.remove(&pattern);
            }
            Self::Add(rule) => policy.rules.push(rule.clone()),
            Self::Effect(at, effect) if rules > 0 => policy.rules[at.index(rules)].effect = *effect,
            Self::Remove(at) if rules > 0 => drop(policy.rules.remove(at.index(rules))),
            Self::Unnamed(_) | Self::Effect(..) | Self::Remove(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_change_that_is_no_loosening_treats_no_call_less_strictly(
        old in servers(),
        edits in prop::collection::vec(edits(), 1..3),
        asked in prop::collection::vec(calls(), 12),
    ) {
        let mut new = old.clone();
        for edit in &edits {
            edit.make(&mut new);
        }
        // What the file cannot say need not be judged.
        prop_assume!(old.policy.validate().is_ok() && new.policy.validate().is_ok());
        let before = PolicySet::compile(&old.policy, old.trusted);
        let after = PolicySet::compile(&new.policy, new.trusted);
        let loosened = asked
            .iter()
            .find(|call| call.evaluate(&after) < call.evaluate(&before));
        prop_assert!(loosened.is_none() || is_loosening(&old, &new), "{:?}", loosened);
    }

    #[test]
    fn a_hidden_tool_stays_hidden_by_a_change_that_is_no_loosening(
        old in servers(),
        edit in edits(),
        asked in prop::collection::vec(calls(), 12),
    ) {
        let mut new = old.clone();
        edit.make(&mut new);
        prop_assume!(old.policy.validate().is_ok() && new.policy.validate().is_ok());
        let before = PolicySet::compile(&old.policy, old.trusted);
        let after = PolicySet::compile(&new.policy, new.trusted);
        for call in asked {
            let hides = |set: &PolicySet| {
                set.hides(&call.tool, call.annotations.as_ref(), &call.someone())
            };
            let appears = hides(&before) && !hides(&after);
            prop_assert!(!appears || is_loosening(&old, &new), "{:?}", call);
        }
    }
}
