//! The hidden transcript stays the same, whichever way the client continues.

use serde_json::{Value, json};

use super::rig::{Rig, answered, body, call, message, reasoning};
use crate::adapters::openai::ids;
use crate::adapters::raw::raw;
use crate::adapters::record::{Found, Kept, Record};
use crate::adapters::step::Outcome;

const ODD: &str = r#"{"z":1.0,"a":"\u00e9","n":12345678901234567890123}"#;

fn found(chain: Vec<Record>, kept: Vec<Kept>) -> Found {
    let mut found = Found {
        chain,
        ..Found::default()
    };
    for kept in kept {
        found.fragments.extend(kept.fragments);
        found.pins.extend(kept.pins);
        let open = kept.open.into_iter();
        found
            .open
            .extend(open.map(|open| (open.approval.clone(), open)));
    }
    found
}

/// The elements of `input` as they are written, and the tools.
fn sent(rig: &Rig) -> (Vec<String>, String) {
    let body = rig.raw_body();
    let members = crate::mcp::edit::Members::of(&body).unwrap();
    let input: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(members.get("input").unwrap().get()).unwrap();
    let input = input.into_iter().map(|item| item.get().to_owned());
    (
        input.collect(),
        members.get("tools").unwrap().get().to_owned(),
    )
}

fn image() -> Outcome {
    Outcome::Answered {
        is_error: false,
        result: raw(
            r#"{"content":[{"type":"image","data":"QUJD","mimeType":"image/png"}]}"#.to_owned(),
        ),
    }
}

/// Two rounds of calls, one of them of two at once, then a text.
fn first_answer() -> (Vec<String>, String, Value, Option<Record>, Kept) {
    let mut rig = Rig::begin(&first(), "resp_mb1", Found::default()).unwrap();
    let calls = [
        reasoning("1"),
        call("a", "s__read", ODD),
        call("b", "s__write", "{}"),
    ];
    rig.turn(&calls, || answered("1.0 \u{e9}"));
    rig.turn(&[reasoning("2"), call("c", "s__read", "{}")], image);
    let (sent, tools) = sent(&rig);
    rig.turn(
        &[reasoning("3"), message("1", "d\u{f6}ne")],
        || unreachable!(),
    );
    let (object, record, kept) = rig.finish();
    (sent, tools, object, record, kept)
}

fn first() -> Value {
    body(
        "never",
        json!([{ "role": "user", "content": "hi" }]),
        json!({}),
    )
}

fn resent(object: &Value) -> Value {
    let mut input = first()["input"].as_array().unwrap().clone();
    input.extend(object["output"].as_array().unwrap().clone());
    input.push(json!({ "role": "user", "content": "more" }));
    body("never", json!(input), json!({}))
}

#[test]
fn the_next_request_begins_as_the_last_one_by_record_by_fragments_and_by_nothing() {
    let (sent_before, tools_before, object, record, kept) = first_answer();
    assert_eq!(sent_before.len(), 9);
    let chained = body(
        "never",
        json!("more"),
        json!({ "previous_response_id": "resp_mb1" }),
    );
    let ways = [
        ("record", chained, found(vec![record.unwrap()], Vec::new())),
        ("fragments", resent(&object), found(Vec::new(), vec![kept])),
        ("nothing", resent(&object), Found::default()),
    ];
    let mut all = Vec::new();
    for (way, body, found) in ways {
        let rig = Rig::begin(&body, "resp_mb2", found).unwrap();
        let (now, tools) = sent(&rig);
        assert_eq!(now[..sent_before.len()], sent_before[..], "{way}");
        assert_eq!(
            now.len(),
            sent_before.len() + 3,
            "{way}: reasoning, text, and the new message"
        );
        assert_eq!(tools, tools_before, "{way}");
        assert!(
            !kinds_of(&rig.events()).contains(&"mcp_list_tools"),
            "{way}: listed again"
        );
        all.push(now[..now.len() - 1].to_vec());
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
}

fn kinds_of(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["item"]["type"].as_str())
        .collect()
}

#[test]
fn a_client_that_writes_its_items_anew_or_drops_outputs_changes_nothing() {
    let (sent_before, _, object, _, kept) = first_answer();
    let mut body = resent(&object);
    for item in body["input"].as_array_mut().unwrap() {
        if item["type"] == "mcp_call" {
            item.as_object_mut().unwrap().remove("output");
        }
        if item["type"] == "message" {
            // As a client that knows fewer members writes it.
            let text = item["content"][0]["text"].clone();
            item["content"] = json!([{ "text": text, "type": "output_text" }]);
            item["phase"] = json!(null);
        }
    }
    let rig = Rig::begin(&body, "resp_mb2", found(Vec::new(), vec![kept])).unwrap();
    let (now, _) = sent(&rig);
    assert_eq!(now[..sent_before.len()], sent_before[..]);
    assert!(
        now[10].contains("annotations"),
        "the text is as the vendor wrote it"
    );

    let rig = Rig::begin(&body, "resp_mb2", Found::default()).unwrap();
    let outputs: Vec<Value> = rig.body()["input"].as_array().unwrap().clone();
    let lost = outputs.iter().filter(|item| {
        item["output"]
            .as_str()
            .is_some_and(|text| text.contains("no longer"))
    });
    assert_eq!(lost.count(), 3, "nothing is made up");
}

#[test]
fn a_text_that_the_client_has_changed_is_its_own() {
    let (_, _, object, _, kept) = first_answer();
    let mut body = resent(&object);
    for item in body["input"].as_array_mut().unwrap() {
        if item["id"] == "msg_1" {
            item["content"][0]["text"] = json!("changed");
        }
    }
    let rig = Rig::begin(&body, "resp_mb2", found(Vec::new(), vec![kept])).unwrap();
    assert_eq!(rig.body()["input"][10]["content"][0]["text"], "changed");
}

#[test]
fn calls_of_nobody_come_back_though_the_client_never_saw_them() {
    let mut rig = Rig::begin(&first(), "resp_mb1", Found::default()).unwrap();
    rig.turn(&[call("x", "invented", "{}")], || unreachable!());
    rig.turn(
        &[call("a", "s__read", "{}"), call("y", "invented", "{}")],
        || answered("1"),
    );
    let (before, _) = sent(&rig);
    rig.turn(&[message("1", "done")], || unreachable!());
    let (object, _, kept) = rig.finish();
    assert_eq!(before.len(), 7);
    let rig = Rig::begin(&resent(&object), "resp_mb2", found(Vec::new(), vec![kept])).unwrap();
    assert_eq!(sent(&rig).0[..7], before[..]);
}

#[test]
fn functions_of_the_client_and_tools_in_one_turn_go_up_together() {
    let functions = json!({ "tools": [
        { "type": "function", "name": "mine", "parameters": {} },
        { "type": "mcp", "server_label": "s", "server_url": "http://localhost:3000/mcp/s", "require_approval": "never" },
    ]});
    let first = body("never", json!("hi"), functions.clone());
    let mut rig = Rig::begin(&first, "resp_mb1", Found::default()).unwrap();
    rig.turn(
        &[call("f", "mine", "{}"), call("a", "s__read", "{}")],
        || answered("1"),
    );
    let (object, record, kept) = rig.finish();
    let output = json!({ "type": "function_call_output", "call_id": "call_f", "output": "2" });
    let mut input = vec![json!({ "type": "message", "role": "user", "content": "hi" })];
    input.extend(object["output"].as_array().unwrap().clone());
    input.push(output.clone());
    let mut chained = functions.clone();
    chained["previous_response_id"] = json!("resp_mb1");
    let by_record = body("never", json!([output]), chained);
    let by_items = body("never", json!(input), functions);
    let one = Rig::begin(
        &by_record,
        "resp_mb2",
        found(vec![record.unwrap()], Vec::new()),
    )
    .unwrap();
    let other = Rig::begin(&by_items, "resp_mb2", found(Vec::new(), vec![kept])).unwrap();
    assert_eq!(sent(&one), sent(&other));
    let calls: Vec<Value> = one.body()["input"].as_array().unwrap()[1..]
        .iter()
        .map(|item| json!([item["type"], item["call_id"]]))
        .collect();
    assert_eq!(
        json!(calls),
        json!([
            ["function_call", "call_f"],
            ["function_call", "call_a"],
            ["function_call_output", "call_a"],
            ["function_call_output", "call_f"],
        ])
    );
    assert_eq!(one.body()["tools"][0]["name"], "mine");
}

#[test]
fn later_rounds_get_what_is_left_and_are_not_made_to_call_again() {
    let more = json!({
        "tool_choice": { "type": "mcp", "server_label": "s", "name": "read" },
        "max_output_tokens": 30, "max_tool_calls": 3, "background": false, "stream": false,
        "include": ["web_search_call.results"], "store": true, "prompt_cache_key": "k",
    });
    let mut rig = Rig::begin(
        &body("never", json!("hi"), more),
        "resp_mb1",
        Found::default(),
    )
    .unwrap();
    let first = rig.body();
    assert_eq!(
        first["tool_choice"],
        json!({ "type": "function", "name": "s__read" })
    );
    assert_eq!(first["max_output_tokens"], 30);
    rig.turn(&[call("a", "s__read", "{}")], || answered("1"));
    let second = rig.body();
    assert_eq!(second["tool_choice"], "auto");
    assert_eq!(second["max_output_tokens"], 25);
    for body in [&first, &second] {
        assert_eq!(body["stream"], true);
        assert_eq!(body["store"], false);
        assert_eq!(
            body["include"],
            json!(["web_search_call.results", "reasoning.encrypted_content"])
        );
        assert!(body.get("max_tool_calls").is_none() && body.get("background").is_none());
        assert_eq!(body["prompt_cache_key"], "k");
        assert_eq!(body["tools"][0]["strict"], false);
        assert!(!body.to_string().contains("secret"));
    }
    assert_eq!(rig.dialog.limits().calls, Some(3));
}

#[test]
fn an_answer_that_is_gone_is_told_and_one_of_the_vendors_is_passed_on() {
    let gone = body(
        "never",
        json!("x"),
        json!({ "previous_response_id": ids::response("00") }),
    );
    let refusal = Rig::begin(&gone, "resp_mb2", Found::default())
        .err()
        .unwrap();
    assert_eq!(refusal.code, Some("previous_response_not_found"));
    assert_eq!(refusal.param.as_deref(), Some("previous_response_id"));
    let vendors = body(
        "never",
        json!("x"),
        json!({ "previous_response_id": "resp_68aa" }),
    );
    let mut rig = Rig::begin(&vendors, "resp_mb2", Found::default()).unwrap();
    assert_eq!(rig.body()["previous_response_id"], "resp_68aa");
    rig.turn(&[message("1", "x")], || unreachable!());
    let (_, record, _) = rig.finish();
    let next = body(
        "never",
        json!("y"),
        json!({ "previous_response_id": "resp_mb2" }),
    );
    let rig = Rig::begin(&next, "resp_mb3", found(vec![record.unwrap()], Vec::new())).unwrap();
    assert_eq!(rig.body()["previous_response_id"], "resp_68aa");
    assert_eq!(rig.body()["input"].as_array().unwrap().len(), 3);
}
