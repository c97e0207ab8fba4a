//! What a call costs by the number of rules, in rules that are held against it: counts, not time.

use super::*;

const TOOLS: [&str; 7] = [
    "tool_17",
    "group_17_get",
    "get_17_all",
    "read_17_x_v1",
    "pay_17",
    "list_everything",
    "no rule is about this",
];

/// Rules of every kind, `count` in all, of which few are about one tool.
fn policy_of(count: usize) -> PolicyConfig {
    let mut config = policy(r#"{"default":"ask","tools":{"list_*":"allow","*":"ask"}}"#);
    let mut number = 0;
    while config.tools.len() + config.rules.len() < count {
        for pattern in [
            format!("tool_{number}"),
            format!("group_{number}_*"),
            format!("*_{number}_all"),
            format!("read_*_{number}_?_*"),
        ] {
            config.tools.insert(pattern.parse().unwrap(), Effect::Deny);
        }
        for condition in [
            format!(r#""arguments":{{"/amount":{{"max":{number}}}}}"#),
            r#""annotations":{"readOnlyHint":true}"#.to_owned(),
            format!(r#""callers":["client:c{number}"]"#),
        ] {
            let rule = format!(r#"{{"tools":"pay_{number}",{condition},"effect":"allow"}}"#);
            config.rules.push(serde_json::from_str(&rule).unwrap());
        }
        number += 1;
    }
    config
}

/// How many patterns are held against the name, and how many rules against the call.
fn held_against(set: &PolicySet, tool: &str) -> (usize, usize) {
    let exact = set.exact.get(tool).map_or(0, Vec::len);
    let patterns = set.globs.candidates(tool).len();
    (exact + patterns, set.candidates(tool).count())
}

#[test]
fn ten_thousand_rules_are_no_more_work_than_a_few_hundred() {
    let few = PolicySet::compile(&policy_of(300), true);
    let many = PolicySet::compile(&policy_of(10_000), true);
    assert!(many.rules.len() >= 10_000);
    for tool in TOOLS {
        let (tried, fitting) = held_against(&many, tool);
        assert_eq!((tried, fitting), held_against(&few, tool), "{tool}");
        assert!(tried <= 6, "{tool}: {tried}");
    }
    assert_eq!(effect(&many, "tool_17", "{}"), Effect::Deny);
    assert_eq!(effect(&many, "pay_17", r#"{"amount":17}"#), Effect::Allow);
}
