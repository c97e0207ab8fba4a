use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn raw(json: &str) -> Box<RawValue> {
    serde_json::from_str(json).unwrap()
}

fn edit(text: &str, path: &[&str], value: &str) -> String {
    set(text, path, None, &raw(value)).unwrap()
}

const FILE: &str =
    "{ \"a\" : 1.0 ,\n\n\t\"b\": {\"x\": [1,  2], \"y\":\"\\u0061\"},\n\t\"c\":[ ]}\n\n";

#[test]
fn what_is_said_already_stays_as_it_is_written() {
    assert_eq!(edit(FILE, &["a"], "1"), FILE);
    assert_eq!(edit(FILE, &["b"], r#"{"y":"a","x":[1,2.0]}"#), FILE);
    assert_eq!(
        edit(FILE, &[], r#"{"c":[],"b":{"x":[1,2],"y":"a"},"a":1}"#),
        FILE
    );
}

#[test]
fn only_what_changes_is_written_anew() {
    let with = |from: &str, to: &str| FILE.replace(from, to);
    assert_eq!(edit(FILE, &["a"], "2"), with("1.0", "2"));
    assert_eq!(
        edit(FILE, &["b", "x"], "[1,2,3]"),
        with("[1,  2]", "[1,  2,  3]")
    );
    assert_eq!(edit(FILE, &["b", "x"], "[2]"), with("[1,  2]", "[2]"));
    assert_eq!(
        edit(FILE, &["b", "x"], "[1,0,2]"),
        with("[1,  2]", "[1,  0,  2]")
    );
    assert_eq!(edit(FILE, &["b", "x"], "[]"), with("[1,  2]", "[]"));
    assert_eq!(
        edit(FILE, &["b", "z"], "{\"k\":[1,2]}"),
        with("\"\\u0061\"", "\"\\u0061\", \"z\": {\"k\": [1, 2]}")
    );
    assert_eq!(
        edit(FILE, &["d"], "true"),
        with("[ ]}", "[ ],\n\n\t\"d\": true}")
    );
    assert_eq!(
        remove(FILE, &["b", "x"]).unwrap(),
        with("\"x\": [1,  2], ", "")
    );
    assert_eq!(
        remove(FILE, &["a"]).unwrap(),
        with("\"a\" : 1.0 ,\n\n\t", "")
    );
    assert_eq!(remove(FILE, &["b", "q"]), None);
    assert_eq!(remove(FILE, &["q", "x"]), None);
}

#[test]
fn new_values_take_the_style_of_their_neighbours() {
    let text = "{\n    \"a\": {},\n    \"l\": [\n        1\n    ]\n}\n";
    assert_eq!(
        edit(text, &["a", "b"], r#"{"k":[1e400]}"#),
        text.replace(
            "{},",
            "{\n        \"b\": {\n            \"k\": [\n                1e400\n            ]\n        }\n    },"
        )
    );
    assert_eq!(
        edit(text, &["l"], r#"[1,{"k":1}]"#),
        text.replace(
            "        1\n",
            "        1,\n        {\n            \"k\": 1\n        }\n"
        )
    );
    assert_eq!(
        edit("{}", &["a", "b"], "1"),
        "{\n  \"a\": {\n    \"b\": 1\n  }\n}"
    );
}

#[test]
fn what_goes_without_saying_is_neither_added_nor_taken_away() {
    let text = r#"{"p": {"spelled_out": false, "a": [{"x": 1}, {"x": 2}]}}"#;
    let old = raw(r#"{"left_out": 0, "a": [{"x": 1, "y": 0}, {"x": 2, "y": 0}]}"#);
    let new = raw(r#"{"left_out": 0, "a": [{"x": 2, "y": 1}], "b": 1}"#);
    let edited = set(text, &["p"], Some(&old), &new).unwrap();
    let expected = r#"{"p": {"spelled_out": false, "a": [{"x": 2, "y": 1}], "b": 1}}"#;
    assert_eq!(edited, expected);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a\"\\\\ü]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn after_an_edit_the_text_says_the_new_value(
        old in values(),
        new in values(),
        rest in values(),
        indented in any::<bool>(),
    ) {
        let file = json!({"first": rest, "edited": old, "last": rest});
        let text = if indented { format!("{file:#}\n") } else { file.to_string() };
        let edited = edit(&text, &["edited"], &new.to_string());
        let mut expected = file;
        expected["edited"] = new;
        prop_assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), expected.clone());
        let removed = remove(&edited, &["edited"]).unwrap();
        expected.as_object_mut().unwrap().shift_remove("edited");
        prop_assert_eq!(serde_json::from_str::<Value>(&removed).unwrap(), expected);
    }
}
