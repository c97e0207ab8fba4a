//! A stream of which nothing is to be said.

use serde_json::{Value, json};

pub(super) fn renumber(events: &mut [Value]) {
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
}

/// The run of the reference's §3, a reasoning item, an approval request and a call for the client.
pub(super) fn run() -> Vec<Value> {
    let tool = json!({ "name": "echo", "input_schema": { "type": "object" } });
    let listing = json!({ "id": "mcpl_1", "type": "mcp_list_tools", "server_label": "s", "error": null, "tools": [tool] });
    let call = json!({
        "id": "mcp_1", "type": "mcp_call", "server_label": "s", "name": "echo", "arguments": "{\"a\":1}",
        "output": "ran", "error": null, "approval_request_id": null, "status": "completed",
    });
    let part = json!({ "type": "output_text", "text": "Done.", "annotations": [], "logprobs": [] });
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part] });
    let summary = json!({ "type": "summary_text", "text": "Hm." });
    let reasoning = json!({ "id": "rs_1", "type": "reasoning", "summary": [summary] });
    let function = json!({ "id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1",
                           "name": "f", "arguments": "{}" });
    let asked = json!({ "id": "mcpr_1", "type": "mcp_approval_request", "server_label": "s", "name": "pay", "arguments": "{}" });
    let output = [&listing, &call, &message, &reasoning, &function, &asked];
    let begun = |item: &Value, changes: Value| {
        let mut begun = item.clone();
        for (name, value) in changes.as_object().unwrap() {
            begun[name] = value.clone();
        }
        begun
    };
    let mut events = Vec::new();
    let mut emit = |kind: &str, members: Value| {
        events.push(begun(
            &json!({ "type": format!("response.{kind}") }),
            members,
        ));
    };
    let mut response = json!({
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "in_progress", "output": [],
        "parallel_tool_calls": true, "tool_choice": "auto", "error": null, "incomplete_details": null,
        "tools": [{ "type": "mcp", "server_label": "s", "server_url": "http://localhost:3000/<redacted>", "headers": null }],
    });
    emit("created", json!({ "response": response }));
    emit("in_progress", json!({ "response": response }));
    emit(
        "output_item.added",
        json!({ "output_index": 0, "item": begun(&listing, json!({ "tools": [] })) }),
    );
    emit(
        "mcp_list_tools.in_progress",
        json!({ "item_id": "mcpl_1", "output_index": 0 }),
    );
    emit(
        "mcp_list_tools.completed",
        json!({ "item_id": "mcpl_1", "output_index": 0 }),
    );
    emit(
        "output_item.done",
        json!({ "output_index": 0, "item": listing }),
    );
    let empty = json!({ "arguments": "", "output": null, "status": "in_progress" });
    emit(
        "output_item.added",
        json!({ "output_index": 1, "item": begun(&call, empty) }),
    );
    emit(
        "mcp_call.in_progress",
        json!({ "item_id": "mcp_1", "output_index": 1 }),
    );
    emit(
        "mcp_call_arguments.delta",
        json!({ "item_id": "mcp_1", "output_index": 1, "delta": "{\"a\":1}" }),
    );
    emit(
        "mcp_call_arguments.done",
        json!({ "item_id": "mcp_1", "output_index": 1, "arguments": "{\"a\":1}" }),
    );
    emit(
        "mcp_call.completed",
        json!({ "item_id": "mcp_1", "output_index": 1 }),
    );
    emit(
        "output_item.done",
        json!({ "output_index": 1, "item": call }),
    );
    let empty = json!({ "content": [], "status": "in_progress" });
    emit(
        "output_item.added",
        json!({ "output_index": 2, "item": begun(&message, empty) }),
    );
    let place = json!({ "item_id": "msg_1", "output_index": 2, "content_index": 0 });
    let blank = begun(&part, json!({ "text": "" }));
    emit(
        "content_part.added",
        begun(&place, json!({ "part": blank })),
    );
    emit(
        "output_text.delta",
        begun(&place, json!({ "delta": "Done.", "logprobs": [] })),
    );
    emit(
        "output_text.done",
        begun(&place, json!({ "text": "Done.", "logprobs": [] })),
    );
    emit("content_part.done", begun(&place, json!({ "part": part })));
    emit(
        "output_item.done",
        json!({ "output_index": 2, "item": message }),
    );
    emit(
        "output_item.added",
        json!({ "output_index": 3, "item": begun(&reasoning, json!({ "summary": [] })) }),
    );
    let place = json!({ "item_id": "rs_1", "output_index": 3, "summary_index": 0 });
    emit(
        "reasoning_summary_part.added",
        begun(
            &place,
            json!({ "part": { "type": "summary_text", "text": "" } }),
        ),
    );
    emit(
        "reasoning_summary_text.delta",
        begun(&place, json!({ "delta": "Hm." })),
    );
    emit(
        "reasoning_summary_text.done",
        begun(&place, json!({ "text": "Hm." })),
    );
    emit(
        "reasoning_summary_part.done",
        begun(&place, json!({ "part": summary })),
    );
    emit(
        "output_item.done",
        json!({ "output_index": 3, "item": reasoning }),
    );
    let empty = json!({ "arguments": "", "status": "in_progress" });
    emit(
        "output_item.added",
        json!({ "output_index": 4, "item": begun(&function, empty) }),
    );
    let place = json!({ "item_id": "fc_1", "output_index": 4 });
    emit(
        "function_call_arguments.delta",
        begun(&place, json!({ "delta": "{}" })),
    );
    emit(
        "function_call_arguments.done",
        begun(&place, json!({ "arguments": "{}" })),
    );
    emit(
        "output_item.done",
        json!({ "output_index": 4, "item": function }),
    );
    emit(
        "output_item.added",
        json!({ "output_index": 5, "item": asked }),
    );
    emit(
        "output_item.done",
        json!({ "output_index": 5, "item": asked }),
    );
    response["status"] = json!("completed");
    response["output"] = json!(output);
    response["usage"] = json!({
        "input_tokens": 3, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 2,
        "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 5,
    });
    emit("completed", json!({ "response": response }));
    renumber(&mut events);
    events
}
