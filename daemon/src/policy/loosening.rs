//! Whether a change of policy lets anything through that was held before.

use std::collections::HashMap;

use super::rule::{Rule, rules};
use crate::config::ServerConfig;
use crate::types::Effect;

/// Whether some call may be treated less strictly under `new` than under `old`. A change that is not
/// provably as strict counts as loosening. A new server is compared with one of the defaults.
pub fn is_loosening(old: &ServerConfig, new: &ServerConfig) -> bool {
    let trusts = new.trusted && !old.trusted;
    let weakens = new.policy.accept_weak_approval && !old.policy.accept_weak_approval;
    if trusts || weakens || new.policy.default < old.policy.default {
        return true;
    }
    let before = by_conditions(old);
    let after = by_conditions(new);
    let loosens = after
        .iter()
        .any(|(conditions, rule)| match before.get(conditions) {
            Some(present) => rule.effect() < present.effect(),
            None => may_loosen(rule, old, &before),
        });
    let lost = before.iter().any(|(conditions, rule)| {
        rule.effect() != Effect::Allow && !after.contains_key(conditions)
    });
    loosens || lost
}

fn by_conditions(server: &ServerConfig) -> HashMap<String, Rule> {
    let keyed = rules(&server.policy).map(|rule| (rule.config.conditions(), rule));
    keyed.collect()
}

/// A new rule never loosens when it denies. One that asks does when it may win over one that denies.
fn may_loosen(rule: &Rule, old: &ServerConfig, before: &HashMap<String, Rule>) -> bool {
    match rule.effect() {
        Effect::Deny => false,
        Effect::Allow => true,
        Effect::Ask => {
            old.policy.default == Effect::Deny
                || before.values().any(|present| {
                    present.effect() == Effect::Deny
                        && present.rank() < rule.rank()
                        && may_overlap(present, rule)
                })
        }
    }
}

/// Whether some tool may be meant by both.
fn may_overlap(one: &Rule, other: &Rule) -> bool {
    let (one, other) = (one.pattern(), other.pattern());
    match (one.is_exact(), other.is_exact()) {
        (true, _) => other.matches(one.as_str()),
        (_, true) => one.matches(other.as_str()),
        (false, false) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(trusted: bool, policy: &str) -> ServerConfig {
        let mut server = ServerConfig::new("https://mcp.example".parse().unwrap());
        server.trusted = trusted;
        server.policy = serde_json::from_str(policy).unwrap();
        server
    }

    fn loosens(old: &str, new: &str) -> bool {
        is_loosening(&server(false, old), &server(false, new))
    }

    #[test]
    fn what_lets_more_through_is_loosening() {
        let small = r#"{"rules":[{"tools":"p","arguments":{"/a":{"max":1}},"effect":"allow"}]}"#;
        for (old, new) in [
            ("{}", r#"{"default":"allow"}"#),
            (r#"{"default":"deny"}"#, "{}"),
            ("{}", r#"{"tools":{"x":"allow"}}"#),
            (r#"{"tools":{"x":"deny"}}"#, "{}"),
            (r#"{"tools":{"x":"ask"}}"#, "{}"),
            (r#"{"tools":{"x":"deny"}}"#, r#"{"tools":{"x":"ask"}}"#),
            (
                r#"{"tools":{"x*":"deny"}}"#,
                r#"{"tools":{"x*":"deny","xy":"ask"}}"#,
            ),
            (
                r#"{"default":"deny"}"#,
                r#"{"default":"deny","tools":{"x":"ask"}}"#,
            ),
            ("{}", small),
            (small, &small.replace('1', "2")),
            ("{}", r#"{"accept_weak_approval":true}"#),
        ] {
            assert!(loosens(old, new), "{old} {new}");
        }
        assert!(is_loosening(&server(false, "{}"), &server(true, "{}")));
    }

    #[test]
    fn what_is_at_least_as_strict_is_not() {
        for (old, new) in [
            ("{}", "{}"),
            ("{}", r#"{"default":"deny"}"#),
            (r#"{"default":"allow"}"#, "{}"),
            ("{}", r#"{"tools":{"x":"deny"}}"#),
            (r#"{"tools":{"x":"allow"}}"#, "{}"),
            (r#"{"tools":{"x":"allow"}}"#, r#"{"tools":{"x":"ask"}}"#),
            (
                r#"{"default":"allow"}"#,
                r#"{"default":"allow","tools":{"x":"ask"}}"#,
            ),
            (
                r#"{"tools":{"x":"deny"}}"#,
                r#"{"tools":{"x":"deny","y":"ask"}}"#,
            ),
            (
                r#"{"tools":{"x":"deny"}}"#,
                r#"{"tools":{"x":"deny","x*":"ask"}}"#,
            ),
            (r#"{"accept_weak_approval":true}"#, "{}"),
            (
                r#"{"tools":{"x":"deny"}}"#,
                r#"{"rules":[{"tools":"x","effect":"deny"}]}"#,
            ),
        ] {
            assert!(!loosens(old, new), "{old} {new}");
        }
        assert!(!is_loosening(&server(true, "{}"), &server(false, "{}")));
    }
}
