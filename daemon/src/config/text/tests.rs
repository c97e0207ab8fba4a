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

/// JSON as some person may have laid it out: `spaces` says what stands between the tokens.
#[derive(Debug)]
struct Layout {
    spaces: Vec<&'static str>,
    at: usize,
}

impl Layout {
    fn space(&mut self) -> &'static str {
        self.at += 1;
        self.spaces[self.at % self.spaces.len()]
    }

    fn write(&mut self, value: &Value) -> String {
        let mut items = Vec::new();
        let brackets = match value {
            Value::Object(members) => {
                for (key, value) in members {
                    let (before, colon, after) = (self.space(), self.space(), self.space());
                    let value = self.write(value);
                    items.push(format!("{before}{}{colon}:{after}{value}", quoted(key)));
                }
                ['{', '}']
            }
            Value::Array(elements) => {
                for value in elements {
                    items.push(self.space().to_owned() + &self.write(value));
                }
                ['[', ']']
            }
            other => return other.to_string(),
        };
        let items: Vec<_> = items
            .iter()
            .map(|item| item.clone() + self.space())
            .collect();
        format!("{}{}{}", brackets[0], items.join(","), brackets[1])
    }
}

fn layouts() -> impl Strategy<Value = Layout> {
    let space = prop::sample::select(vec!["", " ", "\n", "\n  ", "\t", " \r\n\t"]);
    prop::collection::vec(space, 1..9).prop_map(|spaces| Layout { spaces, at: 0 })
}

/// How many bytes at the beginning and the end both texts share, none counted twice.
fn shared(one: &str, other: &str) -> usize {
    let same = |(a, b): &(u8, u8)| a == b;
    let front = one.bytes().zip(other.bytes()).take_while(same).count();
    let back = one.bytes().rev().zip(other.bytes().rev());
    let shorter = one.len().min(other.len());
    front + back.take(shorter - front).take_while(same).count()
}

/// A place in a document: members of objects and elements of arrays.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let path = format!("{path}/{key}");
                places(value, &path, found);
                found.push(path);
            }
        }
        Value::Array(elements) => {
            for (at, value) in elements.iter().enumerate() {
                let path = format!("{path}/{at}");
                places(value, &path, found);
                found.push(path);
            }
        }
        _ => {}
    }
}

/// Takes one member or element out.
fn without(value: &Value, place: &str) -> Value {
    let mut rest = value.clone();
    let (parent, last) = place.rsplit_once('/').unwrap();
    match rest.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.shift_remove(last)),
        Value::Array(elements) => drop(elements.remove(last.parse().unwrap())),
        _ => unreachable!(),
    }
    rest
}

proptest! {
    #[test]
    fn an_edit_changes_only_the_bytes_it_must(
        file in values(),
        picked in any::<prop::sample::Index>(),
        mut layout in layouts(),
    ) {
        let mut all = Vec::new();
        places(&file, "", &mut all);
        prop_assume!(!all.is_empty());
        let place = picked.get(&all);
        let text = layout.write(&file);
        let whole = |text: &str, new: &Value| set(text, &[], None, &raw(&new.to_string())).unwrap();
        prop_assert_eq!(&whole(&text, &file), &text, "no change is no edit");

        // Another value: all but the old one stays.
        let mut changed = file.clone();
        *changed.pointer_mut(place).unwrap() = json!("another value");
        let edited = whole(&text, &changed);
        prop_assert_eq!(&serde_json::from_str::<Value>(&edited).unwrap(), &changed);
        let marker = edited.find("\"another value\"").unwrap();
        let tail = &edited[marker + "\"another value\"".len()..];
        prop_assert!(text.starts_with(&edited[..marker]) && text.ends_with(tail), "{} {}", text, edited);

        // One thing less: nothing else is written.
        let rest = without(&file, place);
        let shorter = whole(&text, &rest);
        prop_assert_eq!(&serde_json::from_str::<Value>(&shorter).unwrap(), &rest);
        let repeated = file.pointer(place.rsplit_once('/').unwrap().0).unwrap().is_array();
        // Of equal elements it cannot be told which one is gone, and later ones move up.
        if !repeated {
            prop_assert_eq!(shared(&text, &shorter), shorter.len(), "{} {}", text, shorter);
        }

        // One thing more: nothing is taken away.
        let mut more = file.clone();
        let parent = place.rsplit_once('/').unwrap().0;
        match more.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.insert("new".to_owned(), json!([1]))),
            Value::Array(elements) => elements.push(json!([1])),
            _ => unreachable!(),
        }
        let longer = whole(&text, &more);
        prop_assert_eq!(&serde_json::from_str::<Value>(&longer).unwrap(), &more);
        prop_assert_eq!(shared(&text, &longer), text.len(), "{} {}", text, longer);
    }

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
