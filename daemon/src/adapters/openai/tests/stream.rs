//! What the client sees: the order of events, and the object that they add up to.

use serde_json::{Value, json};

use super::rig::{Rig, answered, body, call, message, reasoning};
use crate::adapters::dialect::Ending;
use crate::adapters::raw::raw;
use crate::adapters::record::Found;
use crate::adapters::step::Outcome;

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().map(|event| event["type"].as_str().unwrap());
    kinds
        .map(|kind| kind.strip_prefix("response.").unwrap())
        .collect()
}

#[test]
fn a_listing_a_call_and_a_text_come_in_the_vendors_order() {
    let body = body(
        "never",
        json!("hi"),
        json!({ "metadata": { "k": "v" }, "max_output_tokens": 100 }),
    );
    let mut rig = Rig::begin(&body, "resp_mb1", Found::default()).unwrap();
    rig.turn(&[call("a", "s__read", r#"{"n":1.0}"#)], || {
        answered("found")
    });
    rig.turn(&[message("1", "done")], || unreachable!());
    let (object, ..) = rig.finish();
    let events = rig.events();
    assert_eq!(
        kinds(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "mcp_list_tools.in_progress",
            "mcp_list_tools.completed",
            "output_item.done",
            "output_item.added",
            "mcp_call.in_progress",
            "mcp_call_arguments.delta",
            "mcp_call_arguments.done",
            "mcp_call.completed",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed",
        ]
    );
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        assert!(event.get("error").is_none(), "{event}");
    }
    assert_eq!(events[2]["item"]["tools"], json!([]));
    assert_eq!(events[6]["item"]["arguments"], "");
    assert_eq!(events[10].as_object().unwrap().len(), 4);
    assert_eq!(events[17]["output_index"], 2);
    assert_eq!(events[18]["response"], object);
    let done = events
        .iter()
        .filter(|event| event["type"] == "response.output_item.done");
    let items: Vec<Value> = done.map(|event| event["item"].clone()).collect();
    assert_eq!(object["output"], json!(items));
    assert_eq!(
        items[1],
        json!({
            "id": "mcp_a", "type": "mcp_call", "server_label": "s", "name": "read",
            "arguments": r#"{"n":1.0}"#, "output": "found", "error": null,
            "approval_request_id": null, "status": "completed",
        })
    );
}

#[test]
fn the_object_repeats_the_request_and_sums_what_it_cost() {
    let body = body(
        "never",
        json!("hi"),
        json!({ "metadata": { "k": "v" }, "tool_choice": "required" }),
    );
    let mut rig = Rig::begin(&body, "resp_mb1", Found::default()).unwrap();
    rig.turn(&[call("a", "s__read", "{}")], || answered("x"));
    rig.turn(&[message("1", "done")], || unreachable!());
    let (object, ..) = rig.finish();
    for (key, value) in [
        ("id", json!("resp_mb1")),
        ("object", json!("response")),
        ("created_at", json!(1_700_000_000)),
        ("status", json!("completed")),
        ("model", json!("gpt-5-2026")),
        ("metadata", json!({ "k": "v" })),
        ("tool_choice", json!("required")),
        ("store", json!(true)),
        ("service_tier", json!("flex")),
        ("parallel_tool_calls", json!(true)),
        ("error", json!(null)),
        (
            "tools",
            json!([{
                "type": "mcp", "server_label": "s", "server_url": "mcp://s/<redacted>",
                "require_approval": "never", "headers": null,
            }]),
        ),
        (
            "usage",
            json!({
                "input_tokens": 20,
                "input_tokens_details": { "cached_tokens": 8, "cache_write_tokens": 0 },
                "output_tokens": 10, "output_tokens_details": { "reasoning_tokens": 4 },
                "total_tokens": 30,
            }),
        ),
    ] {
        assert_eq!(object[key], value, "{key}");
    }
    assert!(!object.to_string().contains("secret"));
}

#[test]
fn each_kind_of_failure_has_its_own_error() {
    type Make = fn() -> Outcome;
    let cases: [(Make, Value, &str); 3] = [
        (
            || Outcome::Answered {
                is_error: true,
                result: raw(
                    r#"{"content":[{"type":"text","text":"no such charge"}],"isError":true}"#
                        .to_owned(),
                ),
            },
            json!({ "type": "mcp_tool_execution_error", "content": [{ "type": "text", "text": "no such charge" }] }),
            "Error: no such charge",
        ),
        (
            || Outcome::Protocol {
                code: -32602,
                message: "unknown tool".to_owned(),
            },
            json!({ "type": "mcp_protocol_error", "code": -32602, "message": "unknown tool" }),
            "Error: unknown tool (code -32602)",
        ),
        (
            || Outcome::Http {
                code: 502,
                message: "Bad Gateway".to_owned(),
            },
            json!({ "type": "http_error", "code": 502, "message": "Bad Gateway" }),
            "Error: Bad Gateway (HTTP status 502)",
        ),
    ];
    for (outcome, error, told) in cases {
        let body = body("never", json!("hi"), json!({}));
        let mut rig = Rig::begin(&body, "resp_mb1", Found::default()).unwrap();
        rig.turn(&[call("a", "s__write", "{}")], outcome);
        let output = rig.body()["input"][2]["output"].clone();
        assert_eq!(output, told);
        let (object, ..) = rig.finish();
        assert_eq!(object["output"][1]["error"], error);
        assert_eq!(object["output"][1]["status"], "failed");
        assert_eq!(object["output"][1]["output"], json!(null));
        assert!(kinds(&rig.events()).contains(&"mcp_call.failed"));
    }
}

#[test]
fn images_go_to_the_model_as_images_and_to_the_client_as_json() {
    let image: fn() -> Outcome = || {
        Outcome::Answered {
        is_error: false,
        result: raw(
            r#"{"content":[{"type":"text","text":"see"},{"type":"image","data":"QUJD","mimeType":"image/png"}]}"#
                .to_owned(),
        ),
    }
    };
    let body = body("never", json!("hi"), json!({}));
    let mut rig = Rig::begin(&body, "resp_mb1", Found::default()).unwrap();
    rig.turn(&[call("a", "s__read", "{}")], image);
    assert_eq!(
        rig.body()["input"][2]["output"],
        json!([
            { "type": "input_text", "text": "see" },
            { "type": "input_image", "image_url": "data:image/png;base64,QUJD", "detail": "auto" },
        ])
    );
    let (object, ..) = rig.finish();
    assert_eq!(
        object["output"][1]["output"],
        r#"[{"type":"text","text":"see"},{"type":"image","data":"QUJD","mimeType":"image/png"}]"#
    );
}

#[test]
fn an_image_that_the_vendor_would_refuse_is_only_named() {
    let body = body("never", json!("hi"), json!({}));
    let mut rig = Rig::begin(&body, "resp_mb1", Found::default()).unwrap();
    rig.turn(&[call("a", "s__read", "{}")], || Outcome::Answered {
        is_error: false,
        result: raw(
            r#"{"content":[{"type":"image","data":"no base64","mimeType":"image/png"}]}"#
                .to_owned(),
        ),
    });
    assert_eq!(rig.body()["input"][2]["output"], "[image]");
}

#[test]
fn what_is_open_when_the_answer_breaks_off_is_closed_first() {
    let body = body("never", json!("hi"), json!({}));
    let mut rig = Rig::begin(&body, "resp_mb1", Found::default()).unwrap();
    rig.turn(&[reasoning("1"), message("1", "x")], || unreachable!());
    rig.end(Ending::Cap);
    let events = rig.events();
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.failed");
    assert_eq!(last["response"]["error"]["code"], "server_error");
    let count = |kind: &str| kinds(&events).iter().filter(|name| **name == kind).count();
    assert_eq!(count("output_item.added"), count("output_item.done"));
}
