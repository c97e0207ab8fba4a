mod cost;
mod definition;
mod loosening;
mod random;

use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::config::{RuleConfig, ServerConfig};

/// A caller that counts how often it is asked for its program.
#[derive(Default)]
struct Someone {
    client: Option<&'static str>,
    uid: Option<u32>,
    exe: Option<&'static str>,
    looked: Cell<usize>,
}

impl CallerFacts for Someone {
    fn client(&self) -> Option<&str> {
        self.client
    }

    fn uid(&self) -> Option<u32> {
        self.uid
    }

    fn exe(&self) -> Option<&str> {
        self.looked.set(self.looked.get() + 1);
        self.exe
    }
}

fn policy(json: &str) -> PolicyConfig {
    serde_json::from_str(json).unwrap()
}

fn set(json: &str) -> PolicySet {
    PolicySet::compile(&policy(json), true)
}

fn json(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}

/// The effect and the explanation, for a caller of whom nothing is known.
fn judge(set: &PolicySet, tool: &str, arguments: &str) -> (Effect, String) {
    let call = Call {
        tool,
        arguments: Some(json(arguments)),
        annotations: None,
        caller: &Someone::default(),
    };
    let verdict = set.evaluate(&call);
    (verdict.effect, verdict.explanation())
}

fn effect(set: &PolicySet, tool: &str, arguments: &str) -> Effect {
    judge(set, tool, arguments).0
}

#[test]
fn without_rules_everything_is_asked() {
    let (effect, explanation) = judge(&PolicySet::default(), "anything", "{}");
    assert_eq!(effect, Effect::Ask);
    assert_eq!(
        explanation,
        "always ask: no rule fits, so the server's default decides"
    );
}

#[test]
fn the_most_specific_rule_wins() {
    let set = set(
        r#"{"tools":{"*":"deny","list_*":"allow","list_secrets*":"deny","list_secrets_public":"allow"}}"#,
    );
    for (tool, expected) in [
        ("drop", Effect::Deny),
        ("list_users", Effect::Allow),
        ("list_secrets", Effect::Deny),
        ("list_secrets_public", Effect::Allow),
    ] {
        assert_eq!(effect(&set, tool, "{}"), expected, "{tool}");
    }
}

#[test]
fn among_equals_the_stricter_effect_wins() {
    let both = set(r#"{"default":"allow","tools":{"a*z":"allow","*az":"deny"}}"#);
    assert_eq!(effect(&both, "aaz", "{}"), Effect::Deny);
    let both = set(r#"{"default":"allow","tools":{"a*":"allow","?a":"ask"}}"#);
    assert_eq!(effect(&both, "aa", "{}"), Effect::Ask);
}

#[test]
fn names_are_compared_by_case_and_patterns_span_slashes() {
    let set = set(r#"{"tools":{"Get":"allow","db/*":"deny"}}"#);
    assert_eq!(effect(&set, "get", "{}"), Effect::Ask);
    assert_eq!(effect(&set, "db/a/b", "{}"), Effect::Deny);
}

#[test]
fn a_name_that_no_tool_has_is_denied() {
    let set = set(r#"{"default":"allow"}"#);
    let (effect, explanation) = judge(&set, &"x".repeat(2000), "{}");
    assert_eq!(effect, Effect::Deny);
    assert!(explanation.contains("1024"), "{explanation}");
    assert!(set.hides(&"x".repeat(2000), None, &Someone::default()));
}

#[test]
fn arguments_decide_and_conditions_make_a_rule_more_specific() {
    let set = set(r#"{"tools":{"pay":"ask"},"rules":[
        {"tools":"pay","arguments":{"/amount":{"max":1000},"/currency":{"equals":"usd"}},"effect":"allow"},
        {"tools":"pay","arguments":{"/to":{"glob":"*@evil.example"}},"effect":"deny"}]}"#);
    for (arguments, expected) in [
        (r#"{"amount":1000,"currency":"usd"}"#, Effect::Allow),
        (r#"{"amount":1000.01,"currency":"usd"}"#, Effect::Ask),
        (r#"{"amount":1000}"#, Effect::Ask),
        (r#"{"to":"me@evil.example"}"#, Effect::Deny),
        // More conditions win.
        (
            r#"{"amount":1,"currency":"usd","to":"me@evil.example"}"#,
            Effect::Allow,
        ),
        // Which amount the server reads is not certain.
        (
            r#"{"amount":1,"amount":9999,"currency":"usd"}"#,
            Effect::Ask,
        ),
        (
            r#"{"to":"you@x.example","to":"me@evil.example"}"#,
            Effect::Deny,
        ),
    ] {
        assert_eq!(effect(&set, "pay", arguments), expected, "{arguments}");
    }
}

#[test]
fn doubt_never_loosens_what_another_rule_holds() {
    let asks_rarely = set(
        r#"{"tools":{"pay":"deny"},"rules":[{"tools":"pay","arguments":{"/a":{"max":5}},"effect":"ask"}]}"#,
    );
    assert_eq!(effect(&asks_rarely, "pay", r#"{"a":5}"#), Effect::Ask);
    let doubtful = r#"{"a":5,"a":6}"#;
    assert_eq!(effect(&asks_rarely, "pay", doubtful), Effect::Deny);
    let denies_rarely = set(
        r#"{"tools":{"pay":"allow"},"rules":[{"tools":"pay","arguments":{"/a":{"max":5}},"effect":"deny"}]}"#,
    );
    let (effect, explanation) = judge(&denies_rarely, "pay", doubtful);
    assert_eq!(effect, Effect::Deny);
    assert_eq!(
        explanation,
        "never allow: rule 2 (pay with /a at most 5) may apply; it cannot be told, because servers may \
         read the arguments in more than one way, and what is in doubt is not loosened"
    );
}

#[test]
fn annotations_loosen_only_for_trusted_servers() {
    let config = policy(
        r#"{"rules":[{"annotations":{"readOnlyHint":true},"effect":"allow"},
        {"annotations":{"destructiveHint":true,"openWorldHint":true},"effect":"deny"}]}"#,
    );
    let read_only = Annotations::parse(r#"{"readOnlyHint":true,"destructiveHint":false}"#);
    let effect = |trusted, annotations: Option<&Annotations>| {
        let set = PolicySet::compile(&config, trusted);
        let call = Call {
            tool: "t",
            arguments: None,
            annotations,
            caller: &Someone::default(),
        };
        set.evaluate(&call).effect
    };
    assert_eq!(effect(true, read_only.as_ref()), Effect::Allow);
    assert_eq!(effect(true, Some(&Annotations::default())), Effect::Deny);
    // Not trusted or not known: what the rules forbid might be forbidden.
    assert_eq!(effect(false, read_only.as_ref()), Effect::Deny);
    assert_eq!(effect(true, None), Effect::Deny);
}

#[test]
fn a_caller_is_looked_at_only_when_it_could_decide() {
    let set = set(r#"{"tools":{"plain":"allow"},"rules":[
        {"tools":"pay","callers":["exe:/usr/bin/python*","client:ci"],"effect":"allow"},
        {"tools":"pay","arguments":{"/a":{"equals":1}},"callers":["exe:/bin/*"],"effect":"deny"}]}"#);
    let python = Someone {
        exe: Some("/usr/bin/python3"),
        ..Someone::default()
    };
    let effect = |caller: &Someone, tool| {
        let call = Call {
            tool,
            arguments: None,
            annotations: None,
            caller,
        };
        set.evaluate(&call).effect
    };
    assert_eq!(effect(&python, "plain"), Effect::Allow);
    assert_eq!(python.looked.get(), 0);
    assert!(!set.asks_for_program("plain"));
    assert!(set.asks_for_program("pay"));
    assert_eq!(effect(&python, "pay"), Effect::Allow);
    assert_eq!(python.looked.get(), 1);
    let ci = Someone {
        client: Some("ci"),
        ..Someone::default()
    };
    assert_eq!(effect(&ci, "pay"), Effect::Allow);
    assert_eq!(effect(&Someone::default(), "pay"), Effect::Ask);
}

#[test]
fn an_explanation_says_why_one_rule_wins_over_the_next() {
    let set = set(
        r#"{"tools":{"*":"deny","get_*":"allow","get_x":"ask"},"rules":[
        {"tools":"get_x","arguments":{"/a":{"equals":1}},"effect":"allow"},
        {"tools":"get_x","arguments":{"/b":{"equals":1}},"effect":"deny"}]}"#,
    );
    for (tool, arguments, expected) in [
        (
            "get_y",
            "{}",
            "always allow: rule 2 (get_*) decides; it wins over rule 1 (*: never allow) because it \
             spells out more of the tool's name",
        ),
        (
            "get_x",
            "{}",
            "always ask: rule 3 (get_x) decides; it wins over rule 2 (get_*: always allow) because it \
             names the tool exactly",
        ),
        (
            "get_x",
            r#"{"a":1}"#,
            "always allow: rule 4 (get_x with /a equal to 1) decides; it wins over rule 3 (get_x: \
             always ask) because it has more conditions",
        ),
        (
            "get_x",
            r#"{"a":1,"b":1}"#,
            "never allow: rule 5 (get_x with /b equal to 1) decides; it wins over rule 4 (get_x with \
             /a equal to 1: always allow) because it is stricter, and both are equally specific",
        ),
        (
            "other",
            "{}",
            "never allow: rule 1 (*) decides; any rule wins over the server's default (always ask)",
        ),
    ] {
        assert_eq!(judge(&set, tool, arguments).1, expected);
    }
}

#[test]
fn a_tool_is_hidden_when_no_arguments_get_past_the_denial() {
    let set = set(r#"{"tools":{"*":"deny","open":"ask"},"rules":[
        {"tools":"some","arguments":{"/a":{"equals":1}},"effect":"allow"},
        {"tools":"all","arguments":{"/a":{"equals":1}},"effect":"deny"},
        {"tools":"mine","callers":["uid:7"],"effect":"ask"}]}"#);
    let me = Someone {
        uid: Some(7),
        ..Someone::default()
    };
    let hides = |tool, caller: &Someone| set.hides(tool, None, caller);
    assert!(hides("other", &me));
    assert!(hides("all", &me));
    assert!(!hides("open", &me));
    assert!(!hides("some", &me));
    assert!(!hides("mine", &me));
    assert!(hides("mine", &Someone::default()));
}

#[test]
fn a_version_names_the_rules_and_not_their_order() {
    let one = r#"{"rules":[{"tools":"a","effect":"deny"},{"tools":"b","effect":"ask"}]}"#;
    let other = r#"{"rules":[{"tools":"b","effect":"ask"},{"tools":"a","effect":"deny"}]}"#;
    assert_eq!(set(one).version(), set(other).version());
    let versions = [
        set(one).version(),
        set(&one.replace("ask", "allow")).version(),
        set(&one.replace("\"b\"", "\"c\"")).version(),
        set("{}").version(),
        set(r#"{"accept_weak_approval":true}"#).version(),
        PolicySet::compile(&policy("{}"), false).version(),
    ];
    for (at, version) in versions.iter().enumerate() {
        assert!(!versions[at + 1..].contains(version), "{at}");
    }
}
