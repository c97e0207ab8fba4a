//! Blocks that come in other ways than as the vendor's own stream.

use serde_json::{Value, json};

use super::rig::{Rig, answered, body, call, message, reasoning, speak};
use crate::adapters::dialect::{Decoder, Ending, Shown};
use crate::adapters::event::{
    Block, Content, Delta, End, Event, FunctionCall, Kind, ModelTurn, TurnEnd, Usage, Wire,
};
use crate::adapters::openai::ResponsesDecoder;
use crate::adapters::raw::raw;
use crate::adapters::record::Found;
use crate::adapters::step::Step;
use crate::adapters::translate::without_foreign_reasoning;

fn rig() -> Rig {
    let request = body("never", json!("hi"), json!({}));
    Rig::begin(&request, "resp_mb1", Found::default()).unwrap()
}

fn show(rig: &mut Rig, wire: Wire, event: &Event) {
    let shown = Shown::Model {
        wire,
        turn: 0,
        event,
    };
    rig.encoder.show(shown, &mut rig.frames);
}

fn kinds(rig: &Rig) -> Vec<String> {
    let events = rig.events();
    let kinds = events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned());
    kinds.skip(6).collect()
}

fn whole(index: usize, content: Content, native: Option<Value>) -> Event {
    let native = native.map(|native| raw(native.to_string()));
    Event::Close {
        index,
        block: Block { content, native },
    }
}

#[test]
fn a_block_shown_whole_has_the_events_of_one_that_is_streamed() {
    let items = [
        json!({ "id": "rs_1", "type": "reasoning", "summary": [{ "type": "summary_text", "text": "hm" }],
            "content": [{ "type": "reasoning_text", "text": "well" }], "encrypted_content": "x" }),
        message("1", "text"),
        call("f", "mine", "{\"a\":1.0}"),
        json!({ "id": "ct_1", "type": "custom_tool_call", "call_id": "call_c", "name": "g", "input": "free" }),
        json!({ "id": "ws_1", "type": "web_search_call", "status": "completed" }),
        json!({ "id": "msg_2", "type": "message", "status": "completed", "role": "assistant",
            "content": [{ "type": "refusal", "refusal": "no" }] }),
    ];
    let (mut streamed, mut replayed) = (rig(), rig());
    let mut decoder = ResponsesDecoder::default();
    for (name, data) in speak(&items) {
        for event in decoder.event(Some(&name), &data).unwrap() {
            show(&mut streamed, Wire::Responses, &event);
            if matches!(event, Event::Close { .. }) {
                show(&mut replayed, Wire::Responses, &event);
            }
        }
    }
    let expected = [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "output_item.added",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ];
    let expected: Vec<String> = expected
        .iter()
        .map(|kind| format!("response.{kind}"))
        .collect();
    assert_eq!(kinds(&replayed), expected);
    for rig in [&mut streamed, &mut replayed] {
        rig.end(Ending::Model(End::Complete));
        let object: Value = serde_json::from_str(&rig.encoder.object()).unwrap();
        assert_eq!(object["output"].as_array().unwrap()[1..], items);
    }
    let begun = |rig: &Rig| -> Vec<Value> {
        let events = rig.events();
        let added = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.added");
        added
            .map(|event| {
                json!([
                    event["item"]["id"],
                    event["item"]["arguments"],
                    event["output_index"]
                ])
            })
            .collect()
    };
    assert_eq!(begun(&streamed), begun(&replayed));
}

#[test]
fn a_model_of_another_language_is_shown_in_this_one() {
    let thinking = json!({ "type": "thinking", "thinking": "hm", "signature": "S" });
    let contents = [
        Content::Thinking {
            text: "hm".to_owned(),
        },
        Content::Text("hello".to_owned()),
        Content::Call(FunctionCall {
            id: "toolu_1".to_owned(),
            name: "mine".to_owned(),
            arguments: "{}".to_owned(),
        }),
        Content::Other("server_tool_use".to_owned()),
    ];
    let opens = [
        Kind::Thinking,
        Kind::Text,
        Kind::Call {
            id: "toolu_1".to_owned(),
            name: "mine".to_owned(),
        },
        Kind::Other("server_tool_use".to_owned()),
    ];
    let deltas = [
        Delta::Thinking("hm".to_owned()),
        Delta::Text("hello".to_owned()),
        Delta::Arguments("{}".to_owned()),
        Delta::Text("x".to_owned()),
    ];
    let (mut streamed, mut replayed) = (rig(), rig());
    for (index, ((kind, delta), content)) in
        opens.into_iter().zip(deltas).zip(&contents).enumerate()
    {
        let native = (index == 0).then(|| thinking.clone());
        let close = whole(index, content.clone(), native);
        show(
            &mut streamed,
            Wire::Messages,
            &Event::Open {
                index,
                kind,
                native: None,
            },
        );
        show(
            &mut streamed,
            Wire::Messages,
            &Event::Delta {
                index,
                delta: Some(delta),
                native: None,
            },
        );
        show(&mut streamed, Wire::Messages, &close);
        show(&mut replayed, Wire::Messages, &close);
    }
    assert_eq!(kinds(&streamed), kinds(&replayed));
    for rig in [&mut streamed, &mut replayed] {
        rig.end(Ending::Model(End::Refusal));
        let object: Value = serde_json::from_str(&rig.encoder.object()).unwrap();
        let output = object["output"].as_array().unwrap();
        assert_eq!(output.len(), 4, "a listing and three items");
        assert_eq!(
            output[1]["summary"],
            json!([{ "type": "summary_text", "text": "hm" }])
        );
        assert_eq!(output[2]["content"][0]["text"], "hello");
        assert_eq!(
            (&output[3]["call_id"], &output[3]["name"]),
            (&json!("toolu_1"), &json!("mine"))
        );
        assert_eq!(object["incomplete_details"]["reason"], "content_filter");
    }
}

#[test]
fn reasoning_of_another_vendor_goes_back_to_it_and_to_nobody_else() {
    let mut rig = rig();
    let turn = ModelTurn {
        wire: Wire::Messages,
        model: "claude".to_owned(),
        blocks: vec![
            Block {
                content: Content::Thinking {
                    text: String::new(),
                },
                native: Some(raw(
                    r#"{"type":"thinking","thinking":"","signature":"S"}"#.to_owned()
                )),
            },
            Block {
                content: Content::Text("x".to_owned()),
                native: None,
            },
        ],
        end: TurnEnd {
            reason: End::Pause,
            usage: Usage::default(),
            native: None,
        },
    };
    rig.steps.push(Step::Turn(turn));
    let body = rig.raw_body();
    assert!(body.contains("mcpbridge.reasoning.anthropic"));
    let own = without_foreign_reasoning(Wire::Responses, &body).unwrap();
    let own: Value = serde_json::from_str(&own).unwrap();
    assert_eq!(own["input"].as_array().unwrap().len(), 2);
}

#[test]
fn what_was_cut_off_is_closed_as_incomplete_and_not_sent_again() {
    let mut rig = rig();
    let mut decoder = ResponsesDecoder::default();
    let stream = speak(&[message("1", "half of"), call("f", "mine", "{\"a\"")]);
    // Up to the deltas of the second item.
    for (name, data) in stream.iter().take(9) {
        for event in decoder.event(Some(name), data).unwrap() {
            show(&mut rig, Wire::Responses, &event);
        }
    }
    rig.end(Ending::Model(End::MaxTokens));
    let object: Value = serde_json::from_str(&rig.encoder.object()).unwrap();
    assert_eq!(object["status"], "incomplete");
    assert_eq!(object["output"][2]["status"], "incomplete");

    let mut rig = self::rig();
    rig.turn(&[reasoning("1"), call("a", "s__read", "{}")], || {
        answered("1")
    });
    let turn = ModelTurn {
        wire: Wire::Responses,
        model: String::new(),
        blocks: vec![Block {
            content: Content::Thinking {
                text: String::new(),
            },
            native: Some(raw(reasoning("2").to_string())),
        }],
        end: TurnEnd {
            reason: End::MaxTokens,
            usage: Usage::default(),
            native: None,
        },
    };
    rig.steps.push(Step::Turn(turn));
    assert_eq!(
        rig.body()["input"].as_array().unwrap().len(),
        4,
        "no reasoning without what it is about"
    );
}
