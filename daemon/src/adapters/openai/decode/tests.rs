use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::adapters::event::{Content, FunctionCall};

fn decode(events: &[Value]) -> Result<Vec<Event>, Malformed> {
    let mut decoder = ResponsesDecoder::default();
    let mut all = Vec::new();
    for event in events {
        all.extend(decoder.event(None, &event.to_string())?);
    }
    Ok(all)
}

fn created() -> Value {
    json!({ "type": "response.created", "response": { "model": "gpt-5" } })
}

fn added(at: u64, item: Value) -> Value {
    json!({ "type": "response.output_item.added", "output_index": at, "item": item })
}

fn done(at: u64, item: Value) -> Value {
    json!({ "type": "response.output_item.done", "output_index": at, "item": item })
}

fn ended(kind: &str, response: Value) -> Value {
    json!({ "type": kind, "response": response })
}

fn completed() -> Value {
    ended(
        "response.completed",
        json!({ "model": "gpt-5", "output": [] }),
    )
}

fn contents(events: &[Event]) -> Vec<&Content> {
    let closed = events.iter().filter_map(|event| match event {
        Event::Close { block, .. } => Some(&block.content),
        _ => None,
    });
    closed.collect()
}

fn end(events: &[Event]) -> &TurnEnd {
    match events.last() {
        Some(Event::End(end)) => end,
        other => panic!("no end: {other:?}"),
    }
}

#[test]
fn each_type_of_item_becomes_the_content_it_is() {
    let call = |name: &str, arguments: &str| {
        Content::Call(FunctionCall {
            id: "call_1".to_owned(),
            name: name.to_owned(),
            arguments: arguments.to_owned(),
        })
    };
    for (item, content) in [
        (
            json!({ "type": "message", "id": "msg_1", "content": [
                { "type": "output_text", "text": "a", "annotations": [{}] }, { "type": "output_text", "text": "b" },
            ]}),
            Content::Text("ab".to_owned()),
        ),
        (
            json!({ "type": "message", "content": [{ "type": "refusal", "refusal": "no" }] }),
            Content::Refusal("no".to_owned()),
        ),
        (
            json!({ "type": "message", "content": null }),
            Content::Text(String::new()),
        ),
        (
            json!({ "type": "reasoning", "summary": [{ "text": "a" }, { "text": "b" }], "content": [{ "text": "c" }] }),
            Content::Thinking {
                text: "a\n\nb".to_owned(),
            },
        ),
        (
            json!({ "type": "reasoning", "summary": [], "content": [{ "type": "reasoning_text", "text": "c" }] }),
            Content::Thinking {
                text: "c".to_owned(),
            },
        ),
        (
            json!({ "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1.0}" }),
            call("f", "{\"a\":1.0}"),
        ),
        (
            json!({ "type": "function_call", "call_id": "call_1", "name": "f", "arguments": "" }),
            call("f", "{}"),
        ),
        (
            json!({ "type": "function_call", "id": "call_1", "name": "f" }),
            call("f", "{}"),
        ),
        (
            json!({ "type": "custom_tool_call", "call_id": "call_1", "name": "g", "input": "free" }),
            call("g", "free"),
        ),
        (
            json!({ "type": "computer_call", "call_id": "call_1", "action": { "type": "click" } }),
            call("computer_call", "{}"),
        ),
        (
            json!({ "type": "mcp_approval_request", "id": "call_1", "name": "t", "arguments": "{}" }),
            call("mcp_approval_request", "{}"),
        ),
        (
            json!({ "type": "web_search_call", "id": "ws_1" }),
            Content::Other("web_search_call".to_owned()),
        ),
        (
            json!({ "type": "new_thing" }),
            Content::Other("new_thing".to_owned()),
        ),
    ] {
        let stream = [
            created(),
            added(0, item.clone()),
            done(0, item.clone()),
            completed(),
        ];
        let events = decode(&stream).unwrap();
        assert_eq!(contents(&events), [&content], "{item}");
        let Some(Event::Close { block, .. }) = events.get(2) else {
            panic!("{events:?}");
        };
        assert_eq!(block.native.as_ref().unwrap().get(), item.to_string());
    }
}

#[test]
fn deltas_say_what_they_are_about() {
    let item = json!({ "type": "message", "id": "msg_1" });
    for (kind, delta) in [
        (
            "response.output_text.delta",
            Some(Delta::Text("x".to_owned())),
        ),
        (
            "response.refusal.delta",
            Some(Delta::Refusal("x".to_owned())),
        ),
        (
            "response.reasoning_text.delta",
            Some(Delta::Thinking("x".to_owned())),
        ),
        (
            "response.function_call_arguments.delta",
            Some(Delta::Arguments("x".to_owned())),
        ),
        ("response.web_search_call.searching", None),
        ("response.something.new", None),
    ] {
        let event = json!({ "type": kind, "output_index": 7, "delta": "x" });
        let events = decode(&[created(), added(7, item.clone()), event.clone()]).unwrap();
        let Some(Event::Delta {
            index: 0,
            delta: found,
            native: Some(native),
        }) = events.last()
        else {
            panic!("{events:?}");
        };
        assert_eq!(*found, delta, "{kind}");
        assert_eq!(
            (native.name.as_str(), native.json.get()),
            (kind, &*event.to_string())
        );
    }
}

#[test]
fn an_answer_ends_as_its_vendor_says() {
    let failed = |code: &str, message: &str| End::Failed {
        code: code.to_owned(),
        message: message.to_owned(),
    };
    let because = |reason: Value| json!({ "incomplete_details": reason });
    for (event, reason) in [
        (completed(), End::Complete),
        (
            ended(
                "response.incomplete",
                because(json!({ "reason": "max_output_tokens" })),
            ),
            End::MaxTokens,
        ),
        (
            ended(
                "response.incomplete",
                because(json!({ "reason": "content_filter" })),
            ),
            End::ContentFilter,
        ),
        (
            ended(
                "response.incomplete",
                because(json!({ "reason": "steered" })),
            ),
            End::Other("steered".to_owned()),
        ),
        (
            ended("response.incomplete", because(json!(null))),
            End::Other("incomplete".to_owned()),
        ),
        (
            ended(
                "response.failed",
                json!({ "error": { "code": "rate_limit_exceeded", "message": "slow" } }),
            ),
            failed("rate_limit_exceeded", "slow"),
        ),
        (
            json!({ "type": "error", "code": "server_error", "message": "m", "param": null }),
            failed("server_error", "m"),
        ),
        (
            json!({ "type": "error", "error": { "type": "overloaded", "code": null, "message": "m" } }),
            failed("overloaded", "m"),
        ),
        (
            json!({ "type": "error" }),
            failed("server_error", "the model API gave no reason"),
        ),
    ] {
        let events = decode(&[created(), event.clone(), created()]).unwrap();
        assert_eq!(end(&events).reason, reason, "{event}");
    }
}

#[test]
fn usage_counts_what_is_there() {
    let usage = json!({
        "input_tokens": 10, "input_tokens_details": { "cached_tokens": 3, "cache_write_tokens": 2 },
        "output_tokens": 5, "output_tokens_details": { "reasoning_tokens": 1 },
    });
    for (usage, expected) in [
        (
            usage,
            Usage {
                input: 10,
                cache_read: 3,
                cache_write: 2,
                output: 5,
                reasoning: 1,
                ..Usage::default()
            },
        ),
        (
            json!({ "output_tokens": 5 }),
            Usage {
                output: 5,
                ..Usage::default()
            },
        ),
        (
            json!({ "input_tokens": -1, "output_tokens": "x" }),
            Usage::default(),
        ),
        (json!(7), Usage::default()),
        (json!(null), Usage::default()),
    ] {
        let events = decode(&[
            created(),
            ended("response.completed", json!({ "usage": usage })),
        ])
        .unwrap();
        assert_eq!(end(&events).usage, expected);
    }
}

#[test]
fn servers_that_leave_events_out_are_understood() {
    let text = json!({ "type": "message", "content": [{ "type": "output_text", "text": "x" }] });
    let open = json!({ "type": "message", "content": [] });
    for stream in [
        // Nothing but the end.
        vec![ended(
            "response.completed",
            json!({ "model": "m", "output": [text] }),
        )],
        // An item without a beginning.
        vec![created(), done(3, text.clone()), completed()],
        // An item without an end of its own.
        vec![
            created(),
            added(0, open),
            ended("response.completed", json!({ "output": [text] })),
        ],
    ] {
        let events = decode(&stream).unwrap();
        assert!(matches!(events.first(), Some(Event::Begin { .. })));
        assert_eq!(
            contents(&events),
            [&Content::Text("x".to_owned())],
            "{stream:?}"
        );
    }
    let mut decoder = ResponsesDecoder::default();
    assert!(decoder.event(None, "[DONE]").unwrap().is_empty());
    assert_eq!(
        decoder.event(Some("response.created"), "{}").unwrap().len(),
        1
    );
}

#[test]
fn what_does_not_fit_is_malformed() {
    let call =
        |id: &str, name: &str| json!({ "type": "function_call", "call_id": id, "name": name });
    let message = json!({ "type": "message" });
    for stream in [
        vec![added(0, message.clone()), added(0, message.clone())],
        vec![
            added(0, message.clone()),
            done(0, json!({ "type": "reasoning" })),
        ],
        vec![added(0, call("a", "f")), done(0, call("a", "g"))],
        vec![added(0, call("a", "f")), done(0, call("b", "f"))],
        vec![added(0, call("a", "f")), added(1, call("a", "f"))],
        vec![added(0, call("", "f"))],
        vec![added(0, call(&"x".repeat(257), "f"))],
        vec![added(0, call("a", ""))],
        vec![added(0, json!({ "type": "function_call", "call_id": "a" }))],
        vec![added(0, json!("message"))],
        vec![added(0, message.clone()), completed()],
        vec![json!({ "type": "response.output_item.added", "item": message })],
        vec![json!({ "type": "response.output_item.added", "output_index": -1, "item": message })],
        vec![json!({ "type": "response.output_item.done", "output_index": 0 })],
        vec![json!({ "type": "response.output_text.delta", "output_index": 0, "delta": "x" })],
        vec![
            added(0, message.clone()),
            json!({ "type": "response.output_text.delta", "output_index": 0, "delta": 1 }),
        ],
        vec![json!({ "type": "response.completed" })],
        vec![json!([])],
        vec![json!("x")],
    ] {
        assert!(decode(&stream).is_err(), "{stream:?}");
    }
    let mut decoder = ResponsesDecoder::default();
    assert!(decoder.event(None, "{").is_err());
    let twice = r#"{"type":"response.created","type":"error"}"#;
    assert!(decoder.event(None, twice).is_err());
}

#[test]
fn the_number_of_items_is_bounded() {
    let mut decoder = ResponsesDecoder::default();
    let mut refused = None;
    for at in 0..=MAX_BLOCKS as u64 {
        let event = added(at, json!({ "type": "message" })).to_string();
        if decoder.event(None, &event).is_err() {
            refused = Some(at);
        }
    }
    assert_eq!(refused, Some(MAX_BLOCKS as u64));
}

fn any_event() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec![
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.output_text.delta",
        "response.function_call_arguments.delta",
        "response.completed",
        "response.incomplete",
        "error",
        "x",
    ]);
    let item = prop::sample::select(vec![
        r#"{"type":"message","content":[{"text":"a"}]}"#,
        r#"{"type":"message","content":7}"#,
        r#"{"type":"function_call","call_id":"a","name":"f","arguments":{}}"#,
        r#"{"type":"function_call","call_id":"b","name":"f","arguments":"{"}"#,
        r#"{"type":"reasoning","summary":[null]}"#,
        r#"{"type":7}"#,
        "null",
        "[]",
    ]);
    let response = prop::sample::select(vec![
        r#"{"output":[{"type":"message"}],"usage":{"input_tokens":1e99}}"#,
        r#"{"output":7}"#,
        "{}",
        "null",
    ]);
    (kind, 0_u64..3, item, response).prop_map(|(kind, at, item, response)| {
        format!(
            r#"{{"type":"{kind}","output_index":{at},"delta":"d","item":{item},"response":{response}}}"#
        )
    })
}

proptest! {
    #[test]
    fn whatever_a_vendor_says_the_events_fit_together(events in prop::collection::vec(any_event(), 0..12)) {
        let mut decoder = ResponsesDecoder::default();
        let mut open = std::collections::HashSet::new();
        let (mut begun, mut ended, mut next) = (false, false, 0);
        for data in events {
            let Ok(decoded) = decoder.event(None, &data) else {
                break;
            };
            for event in decoded {
                prop_assert!(!ended);
                match event {
                    Event::Begin { .. } => {
                        prop_assert!(!begun);
                        begun = true;
                    }
                    Event::Open { index, .. } => {
                        prop_assert!(begun && index == next && open.insert(index));
                        next += 1;
                    }
                    Event::Delta { index, .. } => prop_assert!(open.contains(&index)),
                    Event::Close { index, .. } => prop_assert!(open.remove(&index)),
                    Event::End(_) => ended = true,
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(name in "[a-z._]{0,30}", data in "\\PC{0,80}") {
        let _ = ResponsesDecoder::default().event(Some(&name), &data);
    }
}
