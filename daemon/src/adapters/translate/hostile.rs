//! Bodies that make no sense, of words that do.

use proptest::prelude::*;

type Words = &'static [&'static str];

/// Objects with a model and some of `members`, whose values have `keys` and `words` in them.
pub(super) fn hostile(words: Words, keys: Words, members: Words) -> impl Strategy<Value = String> {
    let quoted = |text: &str| format!("\"{text}\"");
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("1e400".to_owned()),
        Just(quoted("\\ud800")),
        Just("true".to_owned()),
        "[a-z]{0,4}".prop_map(move |text| quoted(&text)),
        prop::sample::select(words).prop_map(quoted),
    ];
    let value = leaf.prop_recursive(5, 40, 5, move |inner| {
        let member = (prop::sample::select(keys), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..5).prop_map(object),
        ]
    });
    let member = (prop::sample::select(members), value);
    prop::collection::vec(member, 0..5)
        .prop_map(|members| object([vec![("model", "\"m\"".to_owned())], members].concat()))
}

fn object(members: Vec<(&str, String)>) -> String {
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    format!("{{{}}}", members.join(","))
}
