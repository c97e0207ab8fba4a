//! What model servers stream, and what it comes to.

use super::*;

#[test]
fn streams_of_servers_that_are_less_exact_are_understood() {
    // Calls whole, without index and id, as some model servers send them.
    let call = |name: &str| json!({ "function": { "name": name, "arguments": "" } });
    let delta = json!({ "reasoning_content": "Hm.", "tool_calls": [call("a"), call("b")] });
    let turn = super::turn(&decoded(&[chunk(delta, Some("stop"))]));
    let called: Vec<_> = turn
        .calls()
        .map(|call| (&*call.name, &*call.id, &*call.arguments))
        .collect();
    assert_eq!(called, [("a", "call_1_0", "{}"), ("b", "call_1_1", "{}")]);
    assert!(matches!(&turn.blocks[0].content, Content::Thinking { text } if text == "Hm."));
    // Others call all of them the same.
    let alike = |index: u64| {
        let function = json!({ "name": "f", "arguments": "{}" });
        json!({ "index": index, "id": "c", "function": function })
    };
    let both = json!({ "tool_calls": [alike(0), alike(1)] });
    let turn = super::turn(&decoded(&[chunk(both, Some("tool_calls"))]));
    let ids: Vec<_> = turn.calls().map(|call| call.id.clone()).collect();
    assert_eq!(ids, ["c", "call_1_1"]);
    // Arguments in pieces, two calls at once.
    let part = |index: u64, text: &str| {
        chunk(
            json!({ "tool_calls": [{ "index": index, "function": { "arguments": text } }] }),
            None,
        )
    };
    let begin = |index: u64| {
        let function = json!({ "name": "f", "arguments": "" });
        let call = json!({ "index": index, "id": format!("c{index}"), "function": function });
        chunk(json!({ "tool_calls": [call] }), None)
    };
    let end = chunk(json!({}), Some("tool_calls"));
    let pieces = [
        begin(0),
        part(0, "{\"a\""),
        begin(1),
        part(1, "{}"),
        part(0, ":1}"),
        end,
    ];
    let events = decoded(&pieces);
    let deltas = events.iter().filter(|event| {
        matches!(
            event,
            Event::Delta {
                delta: Some(Delta::Arguments(_)),
                ..
            }
        )
    });
    assert_eq!(deltas.count(), 3);
    let whole: Vec<_> = super::turn(&events).calls().cloned().collect();
    assert_eq!(
        (&*whole[0].arguments, &*whole[1].arguments),
        (r#"{"a":1}"#, "{}")
    );
}

#[test]
fn a_stream_that_is_none_or_breaks_off_is_told() {
    let reason = |chunks: &[Value]| turn(&decoded(chunks)).end.reason;
    let failed = reason(&[json!({ "error": { "message": "busy", "code": 503 } })]);
    assert!(matches!(failed, End::Failed { message, .. } if message == "busy"));
    let cut = reason(&[chunk(json!({ "content": "a" }), None)]);
    assert!(matches!(cut, End::Failed { .. }), "no finish_reason");
    assert_eq!(reason(&[chunk(json!({}), Some("length"))]), End::MaxTokens);
    assert_eq!(
        reason(&[chunk(json!({}), Some("content_filter"))]),
        End::ContentFilter
    );
    let mut decoder = ChatDecoder::default();
    decoder.event(None, "{").unwrap_err();
    let second = json!({ "choices": [{ "index": 1, "delta": {} }] }).to_string();
    decoder.event(None, &second).unwrap_err();
    let nameless = chunk(json!({ "tool_calls": [{ "index": 0, "id": "c" }] }), None).to_string();
    ChatDecoder::default().event(None, &nameless).unwrap_err();
    let block = Block {
        content: Content::Text(String::new()),
        native: None,
    };
    let end = TurnEnd {
        reason: End::Complete,
        usage: Usage::default(),
        native: None,
    };
    // An answer with nothing in it is one.
    let empty = ModelTurn {
        wire: Wire::Chat,
        model: String::new(),
        blocks: vec![block],
        end,
    };
    let dialog = dialog(&body("[]", ""), Found::default());
    let (object, _) = shown(&*dialog, &[Step::Turn(empty)], Ending::Model(End::Complete));
    assert_eq!(object["choices"][0]["message"]["content"], "");
}
