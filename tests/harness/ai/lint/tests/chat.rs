use serde_json::{Value, json};

use super::Change;
use crate::ai::lint::chat;

fn chunks() -> Vec<Value> {
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }],
        })
    };
    let call = |function: Value| json!({ "tool_calls": [{ "index": 0, "function": function }] });
    let mut opened = call(json!({ "name": "f", "arguments": "" }));
    opened["tool_calls"][0]["id"] = json!("call_1");
    let mut usage = chunk(json!({}), None);
    usage["choices"] = json!([]);
    usage["usage"] = json!({ "total_tokens": 3 });
    vec![
        chunk(json!({ "role": "assistant", "content": "" }), None),
        chunk(json!({ "content": "Well." }), None),
        chunk(opened, None),
        chunk(call(json!({ "arguments": "{}" })), None),
        chunk(json!({}), Some("tool_calls")),
        usage,
    ]
}

#[test]
fn chunks_are_accumulated_and_every_deviation_is_found() {
    let stream = |chunks: &[Value]| {
        let frames = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
        format!("{}data: [DONE]\n\n", frames.collect::<String>())
    };
    let completion = chat(stream(&chunks()).as_bytes()).unwrap();
    let message = &completion["choices"][0]["message"];
    assert_eq!(message["content"], "Well.");
    assert_eq!(
        message["tool_calls"][0]["function"],
        json!({ "name": "f", "arguments": "{}" })
    );
    let rows: [(&str, &str, Change); 7] = [
        ("id changes", "`id` was", |chunks| {
            chunks[2]["id"] = json!("other")
        }),
        ("no role", "no role", |chunks| {
            chunks.remove(0);
        }),
        ("call without id", "without id or name", |chunks| {
            chunks[2]["choices"][0]["delta"]["tool_calls"][0]["id"] = Value::Null;
        }),
        ("call at a gap", "of no place", |chunks| {
            chunks[3]["choices"][0]["delta"]["tool_calls"][0]["index"] = json!(2);
        }),
        ("no finish", "no finish_reason", |chunks| {
            chunks.remove(4);
        }),
        ("finish of another kind", "with 1 tool calls", |chunks| {
            chunks[4]["choices"][0]["finish_reason"] = json!("stop");
        }),
        ("error", "an error in the stream", |chunks| {
            chunks[1]["error"] = json!({})
        }),
    ];
    for (row, finding, change) in rows {
        let mut chunks = chunks();
        change(&mut chunks);
        let found = chat(stream(&chunks).as_bytes()).expect_err(row);
        assert!(
            found.iter().any(|one| one.contains(finding)),
            "{row}: {found:#?}"
        );
    }
    let whole = stream(&chunks());
    assert!(chat(whole.trim_end_matches("data: [DONE]\n\n").as_bytes()).is_err());
    assert!(chat(whole.replacen("data:", "event: chunk\ndata:", 1).as_bytes()).is_err());
}
