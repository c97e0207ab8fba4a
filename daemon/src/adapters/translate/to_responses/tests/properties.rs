use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::super::hostile::hostile;
use super::super::super::{Origin, to_messages, wrap};
use super::*;

/// What values, keys and members of a body mean something.
const WORDS: &[&str] = &[
    "text",
    "image",
    "document",
    "tool_use",
    "tool_result",
    "thinking",
    "user",
    "assistant",
    "system",
    "base64",
    "url",
    "content",
    "image/png",
    "auto",
    "any",
    "tool",
    "enabled",
    "json_schema",
];
const KEYS: &[&str] = &[
    "type",
    "role",
    "content",
    "text",
    "source",
    "data",
    "media_type",
    "name",
    "input",
    "tool_use_id",
    "is_error",
    "signature",
    "input_schema",
    "effort",
    "format",
    "schema",
    "id",
];
const MEMBERS: &[&str] = &[
    "messages",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "system",
    "max_tokens",
    "stop_sequences",
];

fn message() -> impl Strategy<Value = String> {
    let text = "[a-z1-9\\\\ ä]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let block = (text, 0..5).prop_map(|(text, kind): (String, i32)| match kind {
        0 => format!(r#"{{"type":"tool_use","id":"t","name":"n","input":{{"a":{text},"b":1.0}}}}"#),
        1 => format!(
            r#"{{"type":"thinking","thinking":"","signature":"{}"}}"#,
            wrap(
                Origin::OpenAi,
                &format!(r#"{{"type":"reasoning","id":{text}}}"#)
            )
        ),
        2 => format!(r#"{{"type":"tool_result","tool_use_id":"t","content":{text}}}"#),
        _ => format!(r#"{{"type":"text","text":{text}}}"#),
    });
    (prop::collection::vec(block, 0..4), any::<bool>()).prop_map(|(blocks, is_user)| {
        let (role, foreign) = if is_user {
            ("user", vec!["tool_use", "thinking"])
        } else {
            ("assistant", vec!["tool_result"])
        };
        let fits = |block: &String| {
            !foreign
                .iter()
                .any(|kind| block.contains(&format!(r#""type":"{kind}""#)))
        };
        let blocks: Vec<String> = blocks.into_iter().filter(fits).collect();
        format!(r#"{{"role":"{role}","content":[{}]}}"#, blocks.join(","))
    })
}

fn items(messages: &[String]) -> Vec<String> {
    let end = r#"{"role":"user","content":[]}"#;
    let body = translated(
        "gpt-5.4",
        &format!(r#""messages":[{},{end}]"#, messages.join(",")),
    )
    .unwrap()
    .body;
    let input = field(&body, "input");
    let raw: Vec<&RawValue> = serde_json::from_str(&input).unwrap();
    raw.into_iter().map(|raw| raw.get().to_owned()).collect()
}

proptest! {
    #[test]
    fn a_conversation_that_goes_on_keeps_its_beginning(
        before in prop::collection::vec(message(), 1..5),
        after in prop::collection::vec(message(), 1..4),
    ) {
        let short = items(&before);
        let long = items(&[before, after].concat());
        prop_assert!(long.starts_with(&short));
    }

    #[test]
    fn inputs_and_results_survive_both_ways(
        input in "\\{\"[a-zä\\\\\\\\ ]{0,4}\": ?(1\\.0|1e400|\"[a-z ]{0,4}\"|\\[\\]) ?\\}",
        text in "[a-zä\"\\\\\n]{1,8}",
    ) {
        prop_assume!(serde_json::from_str::<&RawValue>(&input).is_ok() && !text.trim().is_empty());
        let text = serde_json::to_string(&text).unwrap();
        let messages = format!(
            r#"[{{"role":"user","content":[{{"type":"text","text":{text}}}]}},{{"role":"assistant","content":[{{"type":"tool_use","id":"t","name":"n","input":{input}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t","content":{text}}}]}}]"#
        );
        let there = translated("gpt-5.4", &format!(r#""messages":{messages}"#)).unwrap().body;
        let back = to_messages(&there).unwrap().body;
        prop_assert_eq!(field(&back, "messages"), messages);
    }

    #[test]
    fn hostile_requests_do_no_harm(body in hostile(WORDS, KEYS, MEMBERS)) {
        if let Ok(translated) = to_responses(&body) {
            let members = Members::of(&translated.body).unwrap();
            prop_assert_eq!(members.get("store").map(RawValue::get), Some("false"));
        }
    }
}
