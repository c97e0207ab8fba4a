//! What a client returns leads to the bytes that the vendor was sent.

use serde_json::Value;

use super::super::testing::{
    BETA_2025, BETA_2026, BETA_OLD, Sent, answered, body, dialog, events, found, member, play,
};
use crate::adapters::event::{Event, FunctionCall};
use crate::adapters::record::Found;
use crate::adapters::step::Outcome;

const THINKING: Sent<'_> = (
    r#"{"type":"thinking","thinking":"","signature":""}"#,
    &[
        r#"{"type":"thinking_delta","thinking":"h\u00e4"}"#,
        r#"{"type":"signature_delta","signature":"c2ln"}"#,
    ],
);
const SAYS: Sent<'_> = (
    r#"{"type":"text","text":""}"#,
    &[r#"{"type":"text_delta","text":"so \"1\""}"#],
);

fn call(id: &'static str, name: &str, input: &str) -> (String, Vec<String>) {
    let start = format!(r#"{{"type":"tool_use","id":"{id}","name":"{name}","input":{{}}}}"#);
    let delta = format!(
        r#"{{"type":"input_json_delta","partial_json":{}}}"#,
        Value::from(input)
    );
    (start, vec![delta])
}

fn answer(before: &[Sent<'_>], calls: &[(String, Vec<String>)], reason: &str) -> Vec<Event> {
    let deltas: Vec<Vec<&str>> = calls
        .iter()
        .map(|(_, deltas)| deltas.iter().map(String::as_str).collect())
        .collect();
    let mut blocks = before.to_vec();
    for ((start, _), deltas) in calls.iter().zip(&deltas) {
        blocks.push((start, deltas));
    }
    events(&blocks, reason)
}

/// Two turns with calls, one of them with an image, and an answer.
fn turns(input: &str) -> Vec<Vec<Event>> {
    vec![
        answer(
            &[THINKING, SAYS],
            &[
                call("toolu_1", "s__a", input),
                call("toolu_2", "s__b_c_12345678", ""),
            ],
            "tool_use",
        ),
        answer(
            &[SAYS],
            &[call("toolu_3", "s__a", r#"{"n":2}"#)],
            "tool_use",
        ),
        answer(&[SAYS], &[], "end_turn"),
    ]
}

fn outcome(call: &FunctionCall) -> Outcome {
    match call.id.as_str() {
        "toolu_1" => answered(
            r#"{"content":[{"type":"text","text":"\u00e4 1.0"},{"type":"image","mimeType":"image/png","data":"aGk="}]}"#,
        ),
        "toolu_2" => Outcome::Protocol {
            code: -32602,
            message: "no".to_owned(),
        },
        _ => answered(r#"{"content":[{"type":"text","text":"ok"}]}"#),
    }
}

fn text_only(call: &FunctionCall) -> Outcome {
    match call.id.as_str() {
        "toolu_1" => answered(r#"{"content":[{"type":"text","text":"\u00e4 1.0"}]}"#),
        _ => outcome(call),
    }
}

/// As a client writes it that reads numbers as floats, keeps no null and has its own order.
fn rewritten(content: &str) -> String {
    fn again(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members
                    .into_iter()
                    .filter(|(_, it)| !it.is_null())
                    .collect();
                members.sort_by(|(a, _), (b, _)| b.cmp(a));
                members
                    .into_iter()
                    .map(|(key, it)| (key, again(it)))
                    .collect()
            }
            Value::Array(all) => all.into_iter().map(again).collect(),
            Value::Number(number) => match number.as_f64() {
                #[expect(clippy::cast_possible_truncation, reason = "as JavaScript writes it")]
                Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => {
                    Value::from(float as i64)
                }
                Some(float) => Value::from(float),
                None => Value::Number(number),
            },
            other => other,
        }
    }
    again(serde_json::from_str(content).unwrap()).to_string()
}

const QUESTION: &str = r#"{"role":"user","content":[{"type":"text", "text":"h\u00ef"}]}"#;
const NEXT: &str = r#"{"role":"user","content":"and?"}"#;

/// The messages that the vendor got last, and those it gets when the client goes on.
fn goes_on(beta: &str, before: &str, next: &str, found: Found) -> (String, String) {
    let first = member(before, "messages");
    let body = body(next);
    let body = match beta {
        BETA_OLD => body.replace(r#",{"type":"mcp_toolset","mcp_server_name":"s"}"#, ""),
        _ => body,
    };
    let after = dialog(&body, beta, found).body(&[]).unwrap();
    assert_eq!(
        member(before, "tools"),
        member(&after, "tools"),
        "the tools have changed"
    );
    (first, member(&after, "messages"))
}

fn assert_prefix(first: &str, then: &str) {
    let open = first.strip_suffix(']').unwrap();
    assert!(
        then.starts_with(open),
        "\n{first}\nis no beginning of\n{then}"
    );
}

#[test]
fn the_next_request_begins_as_the_last_one_did() {
    for beta in [BETA_2026, BETA_2025, BETA_OLD] {
        let mut body = body(&format!("[{QUESTION}]"));
        if beta == BETA_OLD {
            body = body.replace(r#",{"type":"mcp_toolset","mcp_server_name":"s"}"#, "");
        }
        let first = dialog(&body, beta, Found::default());
        let played = play(
            &*first,
            &turns(r#"{ "n": 1.0, "a":"\u00e4" }"#),
            &["mine"],
            outcome,
        );
        let content = member(&played.object, "content");
        let last = played.bodies.last().unwrap();
        for content in [content.clone(), rewritten(&content)] {
            let next = format!(r#"[{QUESTION},{{"role":"assistant","content":{content}}},{NEXT}]"#);
            let (first, then) = goes_on(beta, last, &next, found(&*first, &played));
            assert_prefix(&first, &then);
            assert!(
                then.contains("aGk=")
                    && then.contains(r#""n":1.0"#)
                    && then.ends_with(&format!("{NEXT}]"))
            );
            assert!(!then.contains("mcp"), "{then}");
        }
    }
}

#[test]
fn without_a_store_the_messages_are_derived() {
    let first = dialog(&body(&format!("[{QUESTION}]")), BETA_2026, Found::default());
    let input = r#"{"n":1.5,"a":["ä",null]}"#;
    let played = play(&*first, &turns(input), &["mine"], text_only);
    let content = member(&played.object, "content");
    let next = format!(r#"[{QUESTION},{{"role":"assistant","content":{content}}},{NEXT}]"#);
    let body = body(&next);
    let request = super::super::testing::request(&body, BETA_2026);
    // The function of `b.c` has the name that the listing block leads to, not the one of the test.
    let names = crate::adapters::dialect::Request::references(&request);
    assert!(names.items.contains(&"mcptoolu_1".to_owned()));
    let after = dialog(&body, BETA_2026, Found::default())
        .body(&[])
        .unwrap();
    let mangled = crate::adapters::names::mangle("s", "b.c", |_| false);
    let expected =
        member(played.bodies.last().unwrap(), "messages").replace("s__b_c_12345678", &mangled);
    assert_prefix(&expected, &member(&after, "messages"));
}

#[test]
fn what_the_client_changed_on_purpose_holds() {
    let first = dialog(&body(&format!("[{QUESTION}]")), BETA_2025, Found::default());
    let played = play(&*first, &turns(r#"{"n":1}"#), &["mine"], outcome);
    let content = member(&played.object, "content");
    let changed = content
        .replace(r#""input":{"n":1}"#, r#""input":{"n":7}"#)
        .replace("ä 1.0", "[cleared]");
    let next = format!(r#"[{QUESTION},{{"role":"assistant","content":{changed}}},{NEXT}]"#);
    let known = found(&*first, &played);
    let then = dialog(&body(&next), BETA_2025, known).body(&[]).unwrap();
    assert!(then.contains(r#""id":"toolu_1","name":"s__a","input":{"n":7}"#));
    assert!(then.contains("[cleared]") && !then.contains("aGk="));
}

#[test]
fn calls_of_the_client_and_of_servers_go_up_together() {
    let first = dialog(&body(&format!("[{QUESTION}]")), BETA_2025, Found::default());
    let calls = [
        call("toolu_1", "s__a", r#"{"n":1.0}"#),
        call("toolu_m", "mine", r#"{"x":1.0}"#),
        call("toolu_2", "s__b_c_12345678", "{}"),
    ];
    let played = play(
        &*first,
        &[answer(&[SAYS], &calls, "tool_use")],
        &["mine"],
        outcome,
    );
    assert!(played.object.contains(r#""stop_reason":"tool_use""#));
    let content = rewritten(&member(&played.object, "content"));
    let result = r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_m","content":"mine"}]}"#;
    let next = format!(r#"[{QUESTION},{{"role":"assistant","content":{content}}},{result}]"#);
    let body = body(&next);
    let after = dialog(&body, BETA_2025, found(&*first, &played))
        .body(&[])
        .unwrap();
    let messages: Vec<Value> = serde_json::from_str(&member(&after, "messages")).unwrap();
    assert_eq!(messages.len(), 3, "{messages:#?}");
    let ids = |at: usize, key: &str| -> Vec<String> {
        let blocks = messages[at]["content"].as_array().unwrap();
        blocks
            .iter()
            .filter_map(|it| it[key].as_str().map(str::to_owned))
            .collect()
    };
    assert_eq!(ids(1, "id"), ["toolu_1", "toolu_m", "toolu_2"]);
    assert_eq!(ids(2, "tool_use_id"), ["toolu_1", "toolu_2", "toolu_m"]);
    assert!(after.contains(r#""x":1.0"#) && after.contains(r#""n":1.0"#));
}

#[test]
fn what_no_client_saw_is_in_its_place() {
    let first = dialog(&body(&format!("[{QUESTION}]")), BETA_2025, Found::default());
    let turns = [
        answer(
            &[THINKING],
            &[
                call("toolu_x", "unknown", "{}"),
                call("toolu_1", "s__a", "{}"),
            ],
            "tool_use",
        ),
        answer(
            &[SAYS],
            &[
                call("toolu_3", "s__a", "{}"),
                call("toolu_y", "unknown", "{}"),
            ],
            "tool_use",
        ),
        answer(&[SAYS], &[], "end_turn"),
    ];
    let played = play(&*first, &turns, &["mine"], outcome);
    assert!(!played.object.contains("unknown"));
    let content = rewritten(&member(&played.object, "content"));
    let next = format!(r#"[{QUESTION},{{"role":"assistant","content":{content}}},{NEXT}]"#);
    let known = found(&*first, &played);
    let (first, then) = goes_on(BETA_2025, played.bodies.last().unwrap(), &next, known);
    assert_prefix(&first, &then);
}

#[test]
fn a_turn_that_no_client_saw_a_call_of_is_found_by_its_thinking() {
    let first = dialog(&body(&format!("[{QUESTION}]")), BETA_2025, Found::default());
    let other = (
        THINKING.0,
        &[r#"{"type":"signature_delta","signature":"b3RoZXI="}"#][..],
    );
    let turns = [
        answer(
            &[THINKING, SAYS],
            &[call("toolu_x", "unknown", "{}")],
            "tool_use",
        ),
        answer(&[other, SAYS], &[call("toolu_1", "s__a", "{}")], "tool_use"),
        answer(&[SAYS], &[], "end_turn"),
    ];
    let played = play(&*first, &turns, &["mine"], outcome);
    let content = rewritten(&member(&played.object, "content"));
    let next = format!(r#"[{QUESTION},{{"role":"assistant","content":{content}}},{NEXT}]"#);
    let known = found(&*first, &played);
    let (first, then) = goes_on(BETA_2025, played.bodies.last().unwrap(), &next, known);
    assert_prefix(&first, &then);
}

#[test]
fn a_paused_answer_goes_on_where_it_was() {
    let first = dialog(&body(&format!("[{QUESTION}]")), BETA_2025, Found::default());
    let played = play(&*first, &turns(r#"{"n":1}"#)[..2], &["mine"], outcome);
    let content = member(&played.object, "content");
    let next = format!(r#"[{QUESTION},{{"role":"assistant","content":{content}}}]"#);
    let known = found(&*first, &played);
    let expected = member(&first.body(&played.steps).unwrap(), "messages");
    let then = dialog(&body(&next), BETA_2025, known).body(&[]).unwrap();
    assert_eq!(member(&then, "messages"), expected);
}

#[test]
fn what_the_vendor_paused_is_one_message() {
    let first = dialog(&body(&format!("[{QUESTION}]")), BETA_2025, Found::default());
    let search = r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}"#;
    let query = r#"{"type":"input_json_delta","partial_json":"{\"query\": 1.0}"}"#;
    let turns = [
        events(&[SAYS, (search, &[query])], "pause_turn"),
        answer(&[SAYS], &[call("toolu_1", "s__a", "{}")], "tool_use"),
        answer(&[SAYS], &[], "end_turn"),
    ];
    let played = play(&*first, &turns, &["mine"], outcome);
    assert_eq!(played.bodies[1].matches(r#""role":"assistant""#).count(), 1);
    assert_eq!(played.bodies[2].matches(r#""role":"assistant""#).count(), 1);
    let content = rewritten(&member(&played.object, "content"));
    let next = format!(r#"[{QUESTION},{{"role":"assistant","content":{content}}},{NEXT}]"#);
    let known = found(&*first, &played);
    let (first, then) = goes_on(BETA_2025, played.bodies.last().unwrap(), &next, known);
    assert_prefix(&first, &then);
}

#[test]
fn messages_without_mcp_keep_their_bytes() {
    let messages = r#"[{ "role":"user","content":"a"},{"content":[{"text":"\u00e4","type":"text","citations":null}],"role":"assistant"},{"role":"system","content":"now"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":[]}]}]"#;
    let after = dialog(&body(messages), BETA_2025, Found::default())
        .body(&[])
        .unwrap();
    assert_eq!(member(&after, "messages"), messages);
}

#[test]
fn every_call_of_a_history_has_a_result() {
    let messages = r#"[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"mcp_tool_use","id":"mcptoolu_1","name":"a","server_name":"s","input":{}},{"type":"text","text":"x"}]},{"role":"user","content":"b"}]"#;
    let after = dialog(&body(messages), BETA_2025, Found::default())
        .body(&[])
        .unwrap();
    assert!(
        member(&after, "messages").contains(r#"{"type":"tool_result","tool_use_id":"toolu_1""#)
    );
}

mod hostile {
    use proptest::prelude::*;

    use super::*;
    use crate::adapters::anthropic::request::MessagesRequest;
    use crate::adapters::anthropic::testing::gateway;

    fn block() -> impl Strategy<Value = String> {
        let kind = prop::sample::select(vec![
            "mcp_tool_use",
            "mcp_tool_result",
            "mcp_tool_listing",
            "tool_use",
            "tool_result",
            "thinking",
            "text",
            "x",
        ]);
        let member = prop_oneof![
            Just(r#""id":"mcptoolu_1""#),
            Just(r#""id":1"#),
            Just(r#""tool_use_id":"mcptoolu_1""#),
            Just(r#""input":[]"#),
            Just(r#""input":{"a":1.0}"#),
            Just(r#""server_name":"s""#),
            Just(r#""name":"a""#),
            Just(r#""content":"x""#),
            Just(r#""content":[1,{"text":2},{"type":"image"}]"#),
            Just(r#""tools":[1,{}]"#),
            Just(r#""text":"\ud800""#),
            Just(r#""signature":"s""#),
            Just(r#""cache_control":{"type":"e"}"#),
        ];
        (kind, prop::collection::vec(member, 0..4)).prop_map(|(kind, members)| {
            format!(
                r#"{{"type":"{kind}"{}{}}}"#,
                if members.is_empty() { "" } else { "," },
                members.join(",")
            )
        })
    }

    proptest! {
        #[test]
        fn any_history_leads_to_a_body_or_a_refusal(
            messages in prop::collection::vec(
                (prop::sample::select(vec!["user", "assistant", "system", "x"]), prop::collection::vec(block(), 0..6)),
                0..5,
            )
        ) {
            let messages: Vec<String> = messages
                .into_iter()
                .map(|(role, blocks)| format!(r#"{{"role":"{role}","content":[{}]}}"#, blocks.join(",")))
                .collect();
            let body = body(&format!("[{}]", messages.join(",")));
            if MessagesRequest::parse(&body, BETA_2026, &gateway()).is_ok() {
                let after = dialog(&body, BETA_2026, Found::default()).body(&[]).unwrap();
                prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&after).is_ok());
                let messages = member(&after, "messages");
                prop_assert!(!messages.contains(r#""role":"assistant","content":[]"#) || body.contains(r#""role":"assistant","content":[]"#));
            }
        }
    }
}
