use proptest::prelude::*;

use super::*;
use crate::adapters::event::{Content, Kind};

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"m","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn all(decoder: &mut Decoder, events: &[&str]) -> Result<Vec<Event>, Malformed> {
    let mut out = Vec::new();
    for data in events {
        out.extend(decoder.event(None, data)?);
    }
    Ok(out)
}

fn delta_event(reason: &str) -> String {
    format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":7}}}}"#
    )
}

/// The one block of an answer that is `start` followed by `deltas`.
fn block(start: &str, deltas: &[&str]) -> Block {
    let mut decoder = Decoder::default();
    all(&mut decoder, &[START]).unwrap();
    let open = format!(r#"{{"type":"content_block_start","index":0,"content_block":{start}}}"#);
    all(&mut decoder, &[&open]).unwrap();
    for delta in deltas {
        let delta = format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#);
        all(&mut decoder, &[&delta]).unwrap();
    }
    let closed = all(
        &mut decoder,
        &[r#"{"type":"content_block_stop","index":0}"#],
    )
    .unwrap();
    match closed.into_iter().next() {
        Some(Event::Close { index: 0, block }) => block,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_begins_has_blocks_and_ends() {
    let delta = delta_event("tool_use");
    let events = all(
        &mut Decoder::default(),
        &[
            START,
            r#"{"type":"ping"}"#,
            r#"{"type":"content_block_start","index":3,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":3,"delta":{"type":"text_delta","text":"hi"}}"#,
            r#"{"type":"content_block_stop","index":3}"#,
            &delta,
            STOP,
            STOP,
        ],
    )
    .unwrap();
    let [
        Event::Begin { model, usage },
        Event::Open {
            index: 0,
            kind: Kind::Text,
            native: Some(open),
        },
        Event::Delta { index: 0, .. },
        Event::Close { index: 0, block },
        Event::End(end),
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!((model.as_str(), usage.input), ("m", 15));
    assert_eq!(open.name, "content_block_start");
    assert_eq!(block.content, Content::Text("hi".to_owned()));
    assert_eq!(end.reason, End::Complete);
    assert_eq!((end.usage.input, end.usage.output), (15, 7));
    assert_eq!(
        end.native.as_ref().unwrap().get(),
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":7}}"#
    );
}

#[test]
fn blocks_are_put_together_in_one_form() {
    for (start, deltas, native) in [
        (
            r#"{"type":"text","text":"","citations":[]}"#,
            &[
                r#"{"type":"text_delta","text":"a\u00e4"}"#,
                r#"{"type":"citations_delta","citation":{"type":"web_search_result_location", "url":"u"}}"#,
            ][..],
            r#"{"type":"text","text":"aä","citations":[{"type":"web_search_result_location","url":"u"}]}"#,
        ),
        (
            r#"{"signature":"","thinking":"","type":"thinking"}"#,
            &[
                r#"{"type":"thinking_delta","thinking":"hm"}"#,
                r#"{"type":"signature_delta","signature":"c2ln"}"#,
            ],
            r#"{"type":"thinking","thinking":"hm","signature":"c2ln"}"#,
        ),
        (
            r#"{"type":"thinking","thinking":"","signature":"c2ln"}"#,
            &[],
            r#"{"type":"thinking","thinking":"","signature":"c2ln"}"#,
        ),
        (
            r#"{"type":"redacted_thinking","data":"x"}"#,
            &[],
            r#"{"type":"redacted_thinking","data":"x"}"#,
        ),
        (
            r#"{"type":"tool_use","id":"toolu_1","name":"n","input":{}}"#,
            &[
                r#"{"type":"input_json_delta","partial_json":""}"#,
                r#"{"type":"input_json_delta","partial_json":"{\"b\": 1.0,"}"#,
                r#"{"type":"input_json_delta","partial_json":"\"a\":1e2}"}"#,
            ],
            r#"{"type":"tool_use","id":"toolu_1","name":"n","input":{"b":1.0,"a":1e2}}"#,
        ),
        (
            r#"{"type":"tool_use","id":"toolu_1","name":"n","input":{}}"#,
            &[],
            r#"{"type":"tool_use","id":"toolu_1","name":"n","input":{}}"#,
        ),
        (
            r#"{"type":"tool_use","id":"toolu_1","name":"n"}"#,
            &[],
            r#"{"type":"tool_use","id":"toolu_1","name":"n","input":{}}"#,
        ),
        (
            r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}"#,
            &[r#"{"type":"input_json_delta","partial_json":"{\"query\":\"x\"}"}"#],
            r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}"#,
        ),
        (
            r#"{"type":"compaction","content":null}"#,
            &[r#"{"type":"compaction_delta","content":"sum"}"#],
            r#"{"type":"compaction","content":"sum"}"#,
        ),
    ] {
        assert_eq!(
            block(start, deltas).native.unwrap().get(),
            native,
            "{start}"
        );
    }
}

#[test]
fn a_call_keeps_what_the_model_wrote() {
    for (deltas, arguments) in [
        (&[][..], "{}"),
        (&[r#"{"type":"input_json_delta","partial_json":""}"#], "{}"),
        (
            &[r#"{"type":"input_json_delta","partial_json":"{ \"a\": 1.0 }"}"#],
            r#"{ "a": 1.0 }"#,
        ),
        (
            &[r#"{"type":"input_json_delta","partial_json":"{\"a"}"#],
            r#"{"a"#,
        ),
    ] {
        let start = r#"{"type":"tool_use","id":"toolu_1","name":"n","input":{}}"#;
        match block(start, deltas).content {
            Content::Call(call) => assert_eq!(call.arguments, arguments),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_reason_to_stop_is_understood() {
    for (name, reason) in [
        ("end_turn", End::Complete),
        ("tool_use", End::Complete),
        ("max_tokens", End::MaxTokens),
        ("model_context_window_exceeded", End::ContextWindow),
        ("refusal", End::Refusal),
        ("pause_turn", End::Pause),
        ("compaction", End::Other("compaction".to_owned())),
    ] {
        let delta = delta_event(name);
        let events = all(&mut Decoder::default(), &[START, &delta, STOP]).unwrap();
        match events.last() {
            Some(Event::End(end)) => assert_eq!(end.reason, reason),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_error_ends_it() {
    let error =
        r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"},"request_id":"r"}"#;
    let mut decoder = Decoder::default();
    let events = all(&mut decoder, &[START, error, STOP]).unwrap();
    let expected = End::Failed {
        code: "overloaded_error".to_owned(),
        message: "busy".to_owned(),
    };
    match events.last() {
        Some(Event::End(end)) => assert_eq!(end.reason, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_api_does_not_say_is_malformed() {
    let delta = delta_event("end_turn");
    let open =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let close = r#"{"type":"content_block_stop","index":0}"#;
    for events in [
        &["[]"][..],
        &["nonsense"],
        &[START, START],
        &[open],
        &[&delta],
        &[START, STOP],
        &[START, close],
        &[START, open, open],
        &[START, open, close, close],
        &[START, r#"{"type":"content_block_start","index":0}"#],
        &[
            START,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"x"}}"#,
        ],
        &[
            START,
            open,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}"#,
        ],
        &[
            START,
            open,
            r#"{"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":""}}"#,
        ],
        &[r#"{"type":"message_start"}"#],
    ] {
        assert!(all(&mut Decoder::default(), events).is_err(), "{events:?}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(
        events in prop::collection::vec(
            prop_oneof![
                Just(START.to_owned()),
                Just(STOP.to_owned()),
                Just(delta_event("tool_use")),
                (0..3_u8, "[{}\":,a-z0-9 ]{0,20}").prop_map(|(index, block)| format!(r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"tool_use","id":"i","name":"n","input":{{}},"x":"{}"}}}}"#, block.replace('"', ""))),
                (0..3_u8, ".{0,20}").prop_map(|(index, text)| format!(r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"input_json_delta","partial_json":{}}}}}"#, serde_json::Value::from(text))),
                (0..3_u8).prop_map(|index| format!(r#"{{"type":"content_block_stop","index":{index}}}"#)),
                ".{0,60}",
            ],
            0..30,
        )
    ) {
        let mut decoder = Decoder::default();
        for event in &events {
            for event in decoder.event(None, event).unwrap_or_default() {
                if let Event::Close { block, .. } = event {
                    let native = block.native.expect("only an empty text has none");
                    prop_assert!(serde_json::from_str::<serde_json::Value>(native.get()).is_ok());
                    prop_assert_ne!(native.get(), "null");
                }
            }
        }
    }
}
