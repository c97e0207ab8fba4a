use proptest::prelude::*;
use serde_json::value::RawValue;

use super::super::super::hostile::hostile;
use super::super::super::{Origin, wrap};
use super::*;

/// What values, keys and members of a body mean something.
const WORDS: &[&str] = &[
    "function_call",
    "function_call_output",
    "message",
    "reasoning",
    "user",
    "assistant",
    "developer",
    "input_text",
    "input_image",
    "input_file",
    "function",
    "allowed_tools",
    "required",
    "json_schema",
    "data:image/png;base64,x",
];
const KEYS: &[&str] = &[
    "type",
    "role",
    "content",
    "text",
    "output",
    "call_id",
    "name",
    "arguments",
    "image_url",
    "file_data",
    "tools",
    "effort",
    "format",
    "schema",
    "parameters",
    "encrypted_content",
    "mode",
];
const MEMBERS: &[&str] = &[
    "input",
    "tools",
    "tool_choice",
    "reasoning",
    "text",
    "instructions",
    "max_output_tokens",
    "include",
];

/// A turn of the model and the outputs of its calls, or a question.
fn turn() -> impl Strategy<Value = Vec<String>> {
    let text = "[a-z1-9\\\\ ä]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap());
    let question = text
        .clone()
        .prop_map(|text| vec![format!(r#"{{"role":"user","content":{text}}}"#)]);
    let system = text
        .clone()
        .prop_map(|text| vec![format!(r#"{{"role":"developer","content":{text}}}"#)]);
    let answer = (text, prop::collection::vec("[{}\":1.0a]{0,6}", 0..3), any::<bool>()).prop_map(|(text, calls, thinks)| {
        let mut items = Vec::new();
        if thinks {
            let block = wrap(Origin::Anthropic, &format!(r#"{{"type":"thinking","thinking":{text}}}"#));
            items.push(format!(r#"{{"type":"reasoning","encrypted_content":"{block}"}}"#));
        }
        items.push(format!(r#"{{"role":"assistant","content":{text}}}"#));
        for (at, arguments) in calls.iter().enumerate() {
            let arguments = serde_json::to_string(arguments).unwrap();
            items.push(format!(r#"{{"type":"function_call","call_id":"c{at}","name":"n","arguments":{arguments}}}"#));
        }
        for at in 0..calls.len() {
            items.push(format!(r#"{{"type":"function_call_output","call_id":"c{at}","output":{text}}}"#));
        }
        items
    });
    prop_oneof![question, system, answer]
}

fn messages(items: &[String]) -> Option<Vec<String>> {
    let body = translated(
        "claude-opus-5-5",
        &format!(r#""input":[{}]"#, items.join(",")),
    )
    .ok()?
    .body;
    let messages = field(&body, "messages");
    let raw: Vec<&RawValue> = serde_json::from_str(&messages).unwrap();
    Some(raw.into_iter().map(|raw| raw.get().to_owned()).collect())
}

proptest! {
    #[test]
    fn a_conversation_that_goes_on_keeps_its_beginning(
        before in prop::collection::vec(turn(), 1..5),
        after in prop::collection::vec(turn(), 1..4),
    ) {
        let before = before.concat();
        let all = [before.clone(), after.concat()].concat();
        let (Some(short), Some(long)) = (messages(&before), messages(&all)) else { return Ok(()) };
        let (last, whole) = short.split_last().unwrap();
        prop_assert_eq!(&long[..whole.len()], whole);
        // Only the last may have grown, and only at its end.
        let open = last.strip_suffix("]}").unwrap();
        prop_assert!(long[whole.len()].starts_with(open), "{} / {}", last, long[whole.len()]);
    }

    #[test]
    fn an_answer_closes_what_was_before_it(
        before in prop::collection::vec(turn(), 1..5),
        after in prop::collection::vec(turn(), 0..4),
    ) {
        let before = before.concat();
        let answer = r#"{"role":"assistant","content":"x"}"#.to_owned();
        let question = r#"{"role":"user","content":"y"}"#.to_owned();
        let all = [before.clone(), vec![answer], after.concat(), vec![question]].concat();
        let Some(short) = messages(&before) else { return Ok(()) };
        prop_assert!(messages(&all).unwrap().starts_with(&short));
    }

    #[test]
    fn hostile_requests_do_no_harm(body in hostile(WORDS, KEYS, MEMBERS)) {
        if let Ok(translated) = to_messages(&body) {
            let members = Members::of(&translated.body).unwrap();
            prop_assert!(members.get("messages").is_some());
        }
    }
}
