//! The exact frames that clients get.

mod client;

use serde_json::{Value, json};

use self::client::{added_up, parsed};
use super::super::testing::{
    BETA_2025, BETA_2026, Sent, answered, body, dialog, events, play, raw,
};
use super::*;
use crate::adapters::dialect::{Dialog, Ending, Finish};
use crate::adapters::event::{End, FunctionCall, ModelTurn, TurnEnd};
use crate::adapters::record::Found;
use crate::adapters::refusal::Refusal;
use crate::adapters::step::{Outcome, Step};

const QUESTION: &str = r#"[{"role":"user","content":"hi"}]"#;

fn new(beta: &str) -> Box<dyn Dialog> {
    dialog(&body(QUESTION), beta, Found::default())
}

fn ok(_: &FunctionCall) -> Outcome {
    answered(
        r#"{"content":[{"type":"text","text":"[]"},{"type":"image","mimeType":"image/png","data":"aGk="}]}"#,
    )
}

const TEXT: Sent<'_> = (
    r#"{"type":"text","text":""}"#,
    &[r#"{"type":"text_delta","text":"a"}"#],
);
const CALL: Sent<'_> = (
    r#"{"type":"tool_use","id":"toolu_1","name":"s__a","input":{}}"#,
    &[r#"{"type":"input_json_delta","partial_json":"{\"n\": 1.0}"}"#],
);

#[test]
fn a_call_is_shown_as_the_vendor_shows_it() {
    let dialog = new(BETA_2026);
    let turns = [
        events(&[TEXT, CALL], "tool_use"),
        events(&[TEXT], "end_turn"),
    ];
    let played = play(&*dialog, &turns, &["mine"], ok);
    let names: Vec<String> = parsed(&played.frames)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "content_block_start",
            "content_block_stop",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert!(played.frames.contains(
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":2,\"content_block\":\
         {\"type\":\"mcp_tool_use\",\"id\":\"mcptoolu_1\",\"name\":\"a\",\"server_name\":\"s\",\"input\":{\"n\":1.0}}}\n\n\
         event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":2,\"delta\":\
         {\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"n\\\":1.0}\"}}\n\n\
         event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":2}\n\n\
         event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":3,\"content_block\":\
         {\"type\":\"mcp_tool_result\",\"tool_use_id\":\"mcptoolu_1\",\"is_error\":false,\"content\":\
         [{\"type\":\"text\",\"text\":\"[]\"},{\"type\":\"text\",\"text\":\"[image: image/png]\"}]}}\n\n\
         event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":3}\n\n"
    ));
    assert!(played.frames.contains(
        r#"{"type":"mcp_tool_listing","mcp_server_name":"s","tools":[{"name":"a","description":"does a","input_schema":{"#
    ));
    let whole: Value = serde_json::from_str(&played.object).unwrap();
    assert_eq!(added_up(&played.frames), whole);
    assert_eq!(whole["stop_reason"], "end_turn");
    assert_eq!(whole["usage"]["input_tokens"], 20);
    assert_eq!(whole["usage"]["output_tokens"], 10);
    assert_eq!(whole["usage"]["iterations"].as_array().unwrap().len(), 2);
}

#[test]
fn listings_are_shown_to_those_who_know_them() {
    let turns = [events(&[TEXT], "end_turn")];
    let played = play(&*new(BETA_2025), &turns, &["mine"], ok);
    assert!(!played.frames.contains("mcp_tool_listing"));
    let pinned = body(QUESTION).replace(
        r#""mcp_server_name":"s""#,
        r#""mcp_server_name":"s","tools":[{"name":"a","input_schema":{}}]"#,
    );
    let given = dialog(&pinned, BETA_2026, Found::default());
    let played = play(&*given, &turns, &["mine"], ok);
    assert!(!played.frames.contains("mcp_tool_listing"));
}

#[test]
fn every_block_adds_up_live_and_when_it_is_repeated() {
    let blocks: [Sent<'_>; 7] = [
        (
            r#"{"type":"thinking","thinking":"","signature":""}"#,
            &[
                r#"{"type":"thinking_delta","thinking":"h"}"#,
                r#"{"type":"signature_delta","signature":"c2ln"}"#,
            ],
        ),
        (
            r#"{"type":"thinking","thinking":"","signature":""}"#,
            &[r#"{"type":"signature_delta","signature":"c2ln"}"#],
        ),
        (r#"{"type":"redacted_thinking","data":"x"}"#, &[]),
        (
            r#"{"type":"text","text":"","citations":[]}"#,
            &[
                r#"{"type":"text_delta","text":"a"}"#,
                r#"{"type":"citations_delta","citation":{"type":"c","n":null}}"#,
            ],
        ),
        TEXT,
        (
            r#"{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"a":1}]}"#,
            &[],
        ),
        (
            r#"{"type":"tool_use","id":"toolu_9","name":"mine","input":{}}"#,
            &[
                r#"{"type":"input_json_delta","partial_json":""}"#,
                r#"{"type":"input_json_delta","partial_json":"{\"x\":1}"}"#,
            ],
        ),
    ];
    let dialog = new(BETA_2025);
    let live = play(&*dialog, &[events(&blocks, "tool_use")], &["mine"], ok);
    let closes = events(&blocks, "tool_use").into_iter();
    let closes = closes.filter(|event| !matches!(event, Event::Open { .. } | Event::Delta { .. }));
    let again = play(&*dialog, &[closes.collect()], &["mine"], ok);
    assert_eq!(live.object, again.object);
    let whole: Value = serde_json::from_str(&live.object).unwrap();
    assert_eq!(added_up(&live.frames), whole);
    assert_eq!(added_up(&again.frames), whole);
    assert_eq!(whole["stop_reason"], "tool_use");
    assert_eq!(whole["content"][6]["input"], json!({ "x": 1 }));
}

#[test]
fn what_only_the_vendor_says_is_passed_on() {
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_sequence":null,"stop_details":{"type":"refusal"},"container":null},"usage":{"output_tokens":5,"service_tier":"standard"},"context_management":{"applied_edits":[]},"input_transformations":[{"id":2}]}"#;
    let mut turns = [
        events(&[TEXT, CALL], "tool_use"),
        events(&[TEXT], "refusal"),
    ];
    for (turn, json) in turns.iter_mut().zip([
        r#"{"type":"message_delta","delta":{},"usage":{},"input_transformations":[{"id":1}]}"#,
        delta,
    ]) {
        if let Some(Event::End(end)) = turn.last_mut() {
            end.native = Some(raw(json));
        }
    }
    let played = play(&*new(BETA_2025), &turns, &["mine"], ok);
    let whole: Value = serde_json::from_str(&played.object).unwrap();
    assert_eq!(whole["stop_reason"], "refusal");
    assert_eq!(whole["stop_details"], json!({ "type": "refusal" }));
    assert_eq!(whole["context_management"], json!({ "applied_edits": [] }));
    assert_eq!(
        whole["input_transformations"],
        json!([{ "id": 1 }, { "id": 2 }])
    );
    assert_eq!(whole["usage"]["service_tier"], "standard");
    assert!(whole.get("container").is_none());
    assert_eq!(added_up(&played.frames), whole);
}

fn foreign(content: Content, native: Option<&str>) -> Block {
    Block {
        content,
        native: native.map(raw),
    }
}

#[test]
fn a_model_of_the_other_vendor_speaks_this_language() {
    let mine = FunctionCall {
        id: "call_1".to_owned(),
        name: "mine".to_owned(),
        arguments: r#"{"x":1}"#.to_owned(),
    };
    let blocks = vec![
        foreign(
            Content::Thinking {
                text: "hm".to_owned(),
            },
            Some(r#"{"type":"reasoning","id":"rs_1"}"#),
        ),
        foreign(Content::Text("a".to_owned()), Some(r#"{"type":"message"}"#)),
        foreign(
            Content::Other("image_generation_call".to_owned()),
            Some("{}"),
        ),
        foreign(Content::Call(mine.clone()), None),
    ];
    let live = vec![
        Event::Open {
            index: 0,
            kind: Kind::Thinking,
            native: None,
        },
        Event::Delta {
            index: 0,
            delta: Some(Delta::Thinking("hm".to_owned())),
            native: None,
        },
        Event::Close {
            index: 0,
            block: blocks[0].clone(),
        },
        Event::Open {
            index: 1,
            kind: Kind::Text,
            native: None,
        },
        Event::Delta {
            index: 1,
            delta: Some(Delta::Text("a".to_owned())),
            native: None,
        },
        Event::Close {
            index: 1,
            block: blocks[1].clone(),
        },
        Event::Open {
            index: 2,
            kind: Kind::Other("image_generation_call".to_owned()),
            native: None,
        },
        Event::Delta {
            index: 2,
            delta: None,
            native: None,
        },
        Event::Close {
            index: 2,
            block: blocks[2].clone(),
        },
        Event::Open {
            index: 3,
            kind: Kind::Call {
                id: mine.id,
                name: mine.name,
            },
            native: None,
        },
        Event::Delta {
            index: 3,
            delta: Some(Delta::Arguments(mine.arguments)),
            native: None,
        },
        Event::Close {
            index: 3,
            block: blocks[3].clone(),
        },
    ];
    let repeated = live
        .iter()
        .filter(|event| matches!(event, Event::Close { .. }))
        .cloned()
        .collect();
    let turn = ModelTurn {
        wire: Wire::Responses,
        model: "gpt".to_owned(),
        blocks,
        end: TurnEnd {
            reason: End::Complete,
            usage: Usage::default(),
            native: None,
        },
    };
    let wrapped = crate::adapters::translate::wrap(
        crate::adapters::translate::Origin::OpenAi,
        r#"{"type":"reasoning","id":"rs_1"}"#,
    );
    for events in [live, repeated] {
        let mut encoder = new(BETA_2025).encoder("msg_1", 0);
        let mut frames = Vec::new();
        encoder.show(
            Shown::Begin {
                model: "gpt",
                usage: Usage::default(),
            },
            &mut frames,
        );
        for event in &events {
            encoder.show(
                Shown::Model {
                    wire: Wire::Responses,
                    turn: 0,
                    event,
                },
                &mut frames,
            );
        }
        let steps = [Step::Turn(turn.clone())];
        let finish = Finish {
            ending: Ending::Model(End::Complete),
            usage: Usage::default(),
            turns: vec![Usage::default()],
            steps: &steps,
        };
        encoder.show(Shown::Finish(&finish), &mut frames);
        let whole: Value = serde_json::from_str(&encoder.object()).unwrap();
        assert_eq!(added_up(std::str::from_utf8(&frames).unwrap()), whole);
        assert_eq!(
            whole["content"],
            json!([
                { "type": "thinking", "thinking": "hm", "signature": wrapped },
                { "type": "text", "text": "a" },
                { "type": "tool_use", "id": "call_1", "name": "mine", "input": { "x": 1 } },
            ])
        );
        assert_eq!(whole["stop_reason"], "tool_use");
    }
}

#[test]
fn every_end_has_its_reason() {
    for (ending, reason, sequence) in [
        (Ending::Model(End::Complete), "end_turn", Value::Null),
        (
            Ending::Model(End::StopSequence("X".to_owned())),
            "stop_sequence",
            json!("X"),
        ),
        (Ending::Model(End::MaxTokens), "max_tokens", Value::Null),
        (
            Ending::Model(End::ContextWindow),
            "model_context_window_exceeded",
            Value::Null,
        ),
        (Ending::Model(End::ContentFilter), "refusal", Value::Null),
        (Ending::Model(End::Refusal), "refusal", Value::Null),
        (
            Ending::Model(End::Other("compaction".to_owned())),
            "compaction",
            Value::Null,
        ),
        (Ending::Cap, "pause_turn", Value::Null),
    ] {
        let mut encoder = new(BETA_2025).encoder("msg_1", 0);
        let mut frames = Vec::new();
        encoder.show(
            Shown::Begin {
                model: "m",
                usage: Usage::default(),
            },
            &mut frames,
        );
        let finish = Finish {
            ending,
            usage: Usage::default(),
            turns: Vec::new(),
            steps: &[],
        };
        encoder.show(Shown::Finish(&finish), &mut frames);
        let whole: Value = serde_json::from_str(&encoder.object()).unwrap();
        assert_eq!(whole["stop_reason"], reason);
        assert_eq!(whole["stop_sequence"], sequence);
        assert_eq!(added_up(std::str::from_utf8(&frames).unwrap()), whole);
    }
}

#[test]
fn a_failure_is_an_event() {
    let mut encoder = new(BETA_2025).encoder("msg_1", 0);
    let mut frames = Vec::new();
    let refusal = Refusal::new(http::StatusCode::SERVICE_UNAVAILABLE, "busy");
    encoder.show(Shown::Failed(&refusal), &mut frames);
    assert_eq!(
        String::from_utf8(frames).unwrap(),
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n"
    );
}

#[test]
fn line_breaks_in_json_do_not_break_a_frame() {
    let mut out = Vec::new();
    frames::frame("x", "{\n\"a\":\r\n1}", &mut out);
    assert_eq!(out, b"event: x\ndata: {\"a\":1}\n\n");
}
