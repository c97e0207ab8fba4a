//! Servers with rules, and calls of their tools, drawn at random.

use super::*;
use crate::config::Hint;

pub(super) fn effects() -> impl Strategy<Value = Effect> {
    prop_oneof![Just(Effect::Allow), Just(Effect::Ask), Just(Effect::Deny)]
}

pub(super) fn rule_configs() -> impl Strategy<Value = RuleConfig> {
    let argument = prop_oneof![
        Just(r#"{"equals":1}"#),
        Just(r#"{"equals":true}"#),
        Just(r#"{"min":1}"#),
        Just(r#"{"max":1}"#),
        Just(r#"{"glob":"a*"}"#),
    ];
    let arguments = prop::collection::btree_map(
        prop_oneof![Just("/a"), Just("/b"), Just("/a/b")],
        argument,
        0..3,
    );
    let hints =
        prop::collection::btree_map(prop::sample::select(&Hint::ALL[..2]), any::<bool>(), 0..2);
    let caller = prop_oneof![Just("uid:1"), Just("client:ci"), Just("exe:/a*")];
    let callers = prop::collection::vec(caller, 0..3);
    ("[ab*?]{1,3}", arguments, hints, callers, effects()).prop_map(
        |(tools, arguments, annotations, callers, effect)| {
            let arguments = arguments.into_iter().map(|(pointer, predicate)| {
                (
                    pointer.parse().unwrap(),
                    serde_json::from_str(predicate).unwrap(),
                )
            });
            RuleConfig {
                tools: tools.parse().unwrap(),
                arguments: arguments.collect(),
                annotations,
                callers: callers
                    .into_iter()
                    .map(|text| text.parse().unwrap())
                    .collect(),
                effect,
            }
        },
    )
}

pub(super) fn servers() -> impl Strategy<Value = ServerConfig> {
    let tools = prop::collection::btree_map(
        "[ab*?]{1,3}".prop_map(|text| text.parse().unwrap()),
        effects(),
        0..4,
    );
    let rules = prop::collection::vec(rule_configs(), 0..6);
    (effects(), tools, rules, any::<bool>()).prop_map(|(default, tools, rules, trusted)| {
        let mut server = ServerConfig::new("https://mcp.example".parse().unwrap());
        server.trusted = trusted;
        server.policy = PolicyConfig {
            default,
            tools,
            rules,
            accept_weak_approval: false,
        };
        server
    })
}

#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) tool: String,
    pub(super) arguments: &'static str,
    pub(super) annotations: Option<Annotations>,
    client: Option<&'static str>,
    uid: Option<u32>,
    exe: Option<&'static str>,
}

pub(super) fn calls() -> impl Strategy<Value = Asked> {
    let arguments = prop::sample::select(vec![
        "{}",
        r#"{"a":1}"#,
        r#"{"a":2,"b":1}"#,
        r#"{"a":1,"a":2}"#,
        r#"{"a":"abc","B":1}"#,
        r#"{"b":"1"}"#,
        r#"{"a":true,"b":"true"}"#,
        r#"{"a":"{\"b\":1}"}"#,
        r#"{"a":{"b":1}}"#,
    ]);
    let annotations = prop::sample::select(vec![
        None,
        Annotations::parse("{}"),
        Annotations::parse(r#"{"readOnlyHint":true,"destructiveHint":false}"#),
    ]);
    let client = prop::sample::select(vec![None, Some("ci")]);
    let uid = prop::sample::select(vec![None, Some(1), Some(2)]);
    let exe = prop::sample::select(vec![None, Some("/a/b"), Some("/b")]);
    ("[ab]{0,4}", arguments, annotations, client, uid, exe).prop_map(
        |(tool, arguments, annotations, client, uid, exe)| Asked {
            tool,
            arguments,
            annotations,
            client,
            uid,
            exe,
        },
    )
}

impl Asked {
    pub(super) fn someone(&self) -> Someone {
        Someone {
            client: self.client,
            uid: self.uid,
            exe: self.exe,
            looked: Cell::new(0),
        }
    }

    pub(super) fn evaluate(&self, set: &PolicySet) -> Effect {
        let call = Call {
            tool: &self.tool,
            arguments: Some(json(self.arguments)),
            annotations: self.annotations.as_ref(),
            caller: &self.someone(),
        };
        set.evaluate(&call).effect
    }
}
