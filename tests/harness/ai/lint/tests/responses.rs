mod sound;

use serde_json::{Value, json};

use self::sound::{renumber, run};
use super::{Change, rejects, stream};
use crate::ai::lint::responses;

/// Position of the first event of this type and place.
fn at(events: &[Value], kind: &str, index: u64) -> usize {
    let found = events.iter().position(|event| {
        event["type"] == kind && (event["output_index"].is_null() || event["output_index"] == index)
    });
    found.unwrap()
}

fn remove(events: &mut Vec<Value>, kind: &str, index: u64) {
    let position = at(events, kind, index);
    events.remove(position);
    renumber(events);
}

fn swap(events: &mut [Value], one: (&str, u64), other: (&str, u64)) {
    let (one, other) = (at(events, one.0, one.1), at(events, other.0, other.1));
    events.swap(one, other);
    renumber(events);
}

fn last(events: &mut [Value]) -> &mut Value {
    &mut events.last_mut().unwrap()["response"]
}

#[test]
fn a_sound_run_is_accepted_and_yields_its_response() {
    let events = run();
    let mut bytes = b": keep-alive\n\n".to_vec();
    bytes.extend(stream(&events));
    assert_eq!(
        responses(&bytes).unwrap(),
        events.last().unwrap()["response"]
    );
}

#[test]
fn every_deviation_from_the_stream_of_a_response_is_found() {
    let rows: [(&str, &str, Change); 38] = [
        (
            "sequence starts at 1",
            "sequence_number 1 where 0",
            |events| {
                for (number, event) in events.iter_mut().enumerate() {
                    event["sequence_number"] = json!(number + 1);
                }
            },
        ),
        (
            "sequence begins anew",
            "sequence_number 0 where",
            |events| events[6]["sequence_number"] = json!(0),
        ),
        ("second created", "comes first and once", |events| {
            events.insert(2, events[0].clone());
            renumber(events);
        }),
        ("in_progress missing", "comes second", |events| {
            remove(events, "response.in_progress", 0)
        }),
        ("response id changes", "at first \"resp_1\"", |events| {
            last(events)["id"] = json!("resp_2")
        }),
        ("required member missing", "no `tool_choice`", |events| {
            last(events)["tool_choice"] = Value::Null
        }),
        ("authorization echoed", "tells too much", |events| {
            last(events)["tools"][0]["authorization"] = json!("t")
        }),
        ("url echoed", "tells too much", |events| {
            last(events)["tools"][0]["server_url"] = json!("http://a/mcp/b")
        }),
        ("top-level error", "makes every SDK throw", |events| {
            events[10]["error"] = Value::Null
        }),
        ("error event", "the stream ends with error", |events| {
            *events.last_mut().unwrap() = json!({ "type": "error", "code": "c", "message": "m" });
        }),
        ("unknown event", "unknown event type", |events| {
            events[3]["type"] = json!("response.mcp_list_tools.started")
        }),
        ("keep-alive event", "unknown event type", |events| {
            events.insert(5, json!({ "type": "keepalive" }));
            renumber(events);
        }),
        ("same output_index twice", "is used twice", |events| {
            let again = events[at(events, "response.output_item.added", 1)].clone();
            events.insert(12, again);
            renumber(events);
        }),
        ("item id twice", "is used twice", |events| {
            for event in events.iter_mut().filter(|event| event["output_index"] == 5) {
                event["item"]["id"] = json!("mcp_1");
            }
        }),
        ("output_index left out", "was left out", |events| {
            for event in events.iter_mut().filter(|event| event["output_index"] == 5) {
                event["output_index"] = json!(6);
            }
        }),
        ("added missing", "no item is open", |events| {
            remove(events, "response.output_item.added", 2)
        }),
        ("item not closed", "is not closed", |events| {
            remove(events, "response.output_item.done", 4)
        }),
        ("done changes the type", "`type` of an item", |events| {
            let done = at(events, "response.output_item.done", 1);
            events[done]["item"]["type"] = json!("function_call");
        }),
        ("done changes the id", "`id` of an item", |events| {
            let done = at(events, "response.output_item.done", 2);
            events[done]["item"]["id"] = json!("msg_2");
        }),
        (
            "done changes the call_id",
            "`call_id` of an item",
            |events| {
                let done = at(events, "response.output_item.done", 4);
                events[done]["item"]["call_id"] = json!("call_2");
            },
        ),
        ("foreign item_id", "item_id", |events| {
            let delta = at(events, "response.output_text.delta", 2);
            events[delta]["item_id"] = json!("msg_2");
        }),
        ("final item differs", "add up to", |events| {
            last(events)["output"][1]["output"] = json!("other")
        }),
        ("final output lacks an item", "add up to", |events| {
            last(events)["output"].as_array_mut().unwrap().pop();
        }),
        ("event after the end", "events after the end", |events| {
            events.push(json!({ "type": "response.in_progress", "sequence_number": events.len() }));
        }),
        ("no end", "the stream ends with", |events| {
            events.pop();
        }),
        ("status of another end", "with status", |events| {
            last(events)["status"] = json!("failed")
        }),
        ("failed without error", "with error null", |events| {
            last(events)["status"] = json!("failed");
            events.last_mut().unwrap()["type"] = json!("response.failed");
        }),
        ("usage not summed", "usage", |events| {
            last(events)["usage"]["total_tokens"] = json!(4)
        }),
        ("usage missing", "usage", |events| {
            last(events)["usage"] = Value::Null
        }),
        (
            "tools in the added listing",
            "tools of a listing at first",
            |events| {
                let added = at(events, "response.output_item.added", 0);
                events[added]["item"]["tools"] = json!([1]);
            },
        ),
        ("listing not begun", "is missing", |events| {
            remove(events, "response.mcp_list_tools.in_progress", 0)
        }),
        ("completed before arguments.done", "is missing", |events| {
            swap(
                events,
                ("response.mcp_call.completed", 1),
                ("response.mcp_call_arguments.done", 1),
            );
        }),
        (
            "output in mcp_call.completed",
            "has a member `output`",
            |events| {
                let end = at(events, "response.mcp_call.completed", 1);
                events[end]["output"] = json!("ran");
            },
        ),
        (
            "arguments differ from deltas",
            "arguments by deltas",
            |events| {
                let delta = at(events, "response.mcp_call_arguments.delta", 1);
                events[delta]["delta"] = json!("{}");
            },
        ),
        ("text differs from deltas", "a text by deltas", |events| {
            remove(events, "response.output_text.delta", 2)
        }),
        ("part not closed", "is missing", |events| {
            remove(events, "response.content_part.done", 2)
        }),
        ("approval changes", "approval request at first", |events| {
            let added = at(events, "response.output_item.added", 5);
            events[added]["item"]["arguments"] = json!("");
        }),
        ("summary differs", "a summary by deltas", |events| {
            let delta = at(events, "response.reasoning_summary_text.delta", 3);
            events[delta]["delta"] = json!("");
        }),
    ];
    rejects(responses, &run(), &rows);
}

#[test]
fn calls_that_failed_have_one_of_three_errors() {
    let failing = |error: Value, output: Value| {
        let mut events = run();
        let (end, done) = (
            at(&events, "response.mcp_call.completed", 1),
            at(&events, "response.output_item.done", 1),
        );
        events[end]["type"] = json!("response.mcp_call.failed");
        for change in [
            ("status", json!("failed")),
            ("error", error),
            ("output", output),
        ] {
            events[done]["item"][change.0] = change.1.clone();
            last(&mut events)["output"][1][change.0] = change.1;
        }
        responses(&stream(&events))
    };
    let error = json!({ "type": "http_error", "code": 502, "message": "Bad Gateway" });
    failing(error.clone(), Value::Null).unwrap();
    for (error, output) in [
        (json!("text"), Value::Null),
        (Value::Null, Value::Null),
        (error, json!("ran")),
    ] {
        let found = failing(error, output).unwrap_err();
        assert!(found[0].contains("a call ended by"), "{found:?}");
    }
}

#[test]
fn a_listing_that_comes_late_is_found() {
    let mut events = run();
    for event in &mut events {
        let moved = match event["output_index"].as_u64() {
            Some(0) => 1,
            Some(1) => 0,
            _ => continue,
        };
        event["output_index"] = json!(moved);
    }
    last(&mut events)["output"]
        .as_array_mut()
        .unwrap()
        .swap(0, 1);
    let found = responses(&stream(&events)).unwrap_err();
    assert_eq!(found, ["a listing comes after another item"]);
}

#[test]
fn frames_that_an_sdk_would_not_read_are_found() {
    let sound = String::from_utf8(stream(&run())).unwrap();
    for (row, finding, broken) in [
        (
            "no event line",
            "the event line says None",
            sound.replacen("event: response.created\n", "", 1),
        ),
        (
            "another name",
            "the event line says Some",
            sound.replacen("event: response.created", "event: message", 1),
        ),
        (
            "no blank line",
            "ends inside a frame",
            sound.trim_end().to_owned(),
        ),
        (
            "no JSON",
            "data that is not JSON",
            sound.replacen("data: {", "data: ", 1),
        ),
        (
            "[DONE]",
            "data that is not JSON",
            format!("{sound}data: [DONE]\n\n"),
        ),
        (
            "two data lines",
            "several data lines",
            sound.replacen("\n\n", "\ndata: {}\n\n", 1),
        ),
    ] {
        let found = responses(broken.as_bytes()).expect_err(row);
        assert!(
            found.iter().any(|one| one.contains(finding)),
            "{row}: {found:#?}"
        );
    }
}
