mod streams;
mod transcript;

use serde_json::{Value, json};

use super::{ChatDecoder, parse};
use crate::adapters::dialect::{Decoder, Dialog, Ending, Finish, Shown};
use crate::adapters::event::{
    Block, Content, Delta, End, Event, FunctionCall, ModelTurn, TurnEnd, Usage, Wire,
};
use crate::adapters::names::mangle;
use crate::adapters::openai::Parsed;
use crate::adapters::raw::raw;
use crate::adapters::record::{Found, Kept};
use crate::adapters::refusal::Refusal;
use crate::adapters::step::{CallRef, CallResult, Listing, Outcome, Step, Tool};
use crate::adapters::target::Gateway;

fn listing() -> Listing {
    let tool = |name: &str| Tool {
        name: name.to_owned(),
        function: mangle("s", name, |_| false),
        description: Some(format!("Does {name}")),
        input_schema: raw(r#"{"type":"object","properties":{"n":{"minimum":1.0}}}"#.to_owned()),
        annotations: None,
        read_only: false,
    };
    Listing {
        label: "s".to_owned(),
        server: "s".parse().unwrap(),
        tools: vec![tool("echo"), tool("drop")],
        known: false,
    }
}

fn read(body: &str) -> Result<Parsed, Refusal> {
    let gateway = Gateway::new(3000, &[]);
    parse(body, &|url| gateway.target(url))
}

fn entry() -> Value {
    json!({ "type": "mcp", "server_label": "s", "server_url": "http://localhost:3000/mcp/s" })
}

/// A request with the server `s`, a function of the client, and `messages` as they are written.
fn body(messages: &str, more: &str) -> String {
    let own = json!({ "type": "function", "function": { "name": "mine", "parameters": {} } });
    format!(
        r#"{{"model":"local-1","messages":{messages},"tools":[{},{own}],"temperature":0.50{more}}}"#,
        entry()
    )
}

fn dialog(body: &str, found: Found) -> Box<dyn Dialog> {
    let Ok(Parsed::Ours(request)) = read(body) else {
        panic!("nothing of ours in {body}");
    };
    let pinned = request.pinned(&request.servers()[0].clone(), &found);
    let listings = vec![pinned.unwrap_or_else(listing)];
    request.bind(found, listings).unwrap()
}

/// What a model's stream comes to.
fn decoded(chunks: &[Value]) -> Vec<Event> {
    let mut decoder = ChatDecoder::default();
    let mut events = Vec::new();
    for chunk in chunks {
        events.extend(decoder.event(None, &chunk.to_string()).unwrap());
    }
    events.extend(decoder.event(None, "[DONE]").unwrap());
    events
}

fn chunk(delta: Value, reason: Option<&str>) -> Value {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
    json!({ "id": "chatcmpl-1", "model": "local-1", "choices": [choice] })
}

fn usage() -> Value {
    let details = json!({ "cached_tokens": 3 });
    let usage =
        json!({ "prompt_tokens": 10, "completion_tokens": 4, "prompt_tokens_details": details });
    json!({ "id": "chatcmpl-1", "choices": [], "usage": usage })
}

fn turn(events: &[Event]) -> ModelTurn {
    let mut blocks = Vec::new();
    let mut ended = None;
    for event in events {
        match event {
            Event::Close { block, .. } => blocks.push(block.clone()),
            Event::End(end) => ended = Some(end.clone()),
            _ => {}
        }
    }
    ModelTurn {
        wire: Wire::Chat,
        model: "local-1".to_owned(),
        blocks,
        end: ended.unwrap(),
    }
}

fn says(text: &str) -> ModelTurn {
    turn(&decoded(&[
        chunk(json!({ "content": text }), Some("stop")),
        usage(),
    ]))
}

fn calls(text: &str, calls: &[(&str, &str, &str)]) -> ModelTurn {
    let call = |(at, (id, name, arguments)): (usize, &(&str, &str, &str))| {
        let function = json!({ "name": name, "arguments": arguments });
        json!({ "index": at, "id": id, "type": "function", "function": function })
    };
    let calls: Vec<Value> = calls.iter().enumerate().map(call).collect();
    let delta = json!({ "content": text, "tool_calls": calls });
    turn(&decoded(&[chunk(delta, Some("tool_calls")), usage()]))
}

fn answered(dialog: &dyn Dialog, turn: &ModelTurn, text: &str) -> Step {
    let image = json!({ "type": "image", "mimeType": "image/png", "data": "aGk=" });
    with_content(
        dialog,
        turn,
        &json!([{ "type": "text", "text": text }, image]),
    )
}

fn with_content(dialog: &dyn Dialog, turn: &ModelTurn, content: &Value) -> Step {
    let called = turn.calls().filter_map(|call| dialog.table().resolve(call));
    let result = json!({ "content": content }).to_string();
    let result = |call| CallResult {
        call: CallRef::Mcp(call),
        outcome: Outcome::Answered {
            is_error: false,
            result: raw(result.clone()),
        },
    };
    Step::Results(called.map(result).collect())
}

/// The object and the frames that the client gets of `steps`.
fn shown(dialog: &dyn Dialog, steps: &[Step], ending: Ending) -> (Value, Vec<Value>) {
    let mut encoder = dialog.encoder("chatcmpl-mb1", 1_700_000_000);
    let mut frames = Vec::new();
    let begin = Shown::Begin {
        model: "local-1",
        usage: Usage::default(),
    };
    encoder.show(begin, &mut frames);
    let mut sum = Usage::default();
    let turns = steps.iter().filter_map(|step| match step {
        Step::Turn(turn) => Some(turn),
        _ => None,
    });
    for (number, turn) in turns.enumerate() {
        sum += turn.end.usage;
        for (index, block) in turn.blocks.iter().enumerate() {
            let is_tool = |call: &FunctionCall| dialog.table().has(&call.name);
            if matches!(&block.content, Content::Call(call) if is_tool(call)) {
                continue;
            }
            let event = Event::Close {
                index,
                block: block.clone(),
            };
            let shown = Shown::Model {
                wire: Wire::Chat,
                turn: number,
                event: &event,
            };
            encoder.show(shown, &mut frames);
        }
    }
    let finish = Finish {
        ending,
        usage: sum,
        turns: Vec::new(),
        steps,
    };
    encoder.show(Shown::Finish(&finish), &mut frames);
    let text = String::from_utf8(frames).unwrap();
    let frames = text.split_terminator("\n\n").map(|frame| {
        let data = frame.strip_prefix("data: ").unwrap();
        serde_json::from_str(data).unwrap_or_else(|_| json!(data))
    });
    let frames = frames.collect();
    (serde_json::from_str(&encoder.object()).unwrap(), frames)
}

#[test]
fn requests_without_servers_of_ours_are_not_for_us_and_some_can_never_work() {
    for plain in [
        "7",
        r#"{"model":"m","messages":[]}"#,
        r#"{"model":"m","tools":[{"type":"function","function":{"name":"f"}}]}"#,
        r#"{"tools":[{"type":"mcp","server_label":"s","server_url":"https://mcp.example"}]}"#,
    ] {
        assert!(matches!(read(plain), Ok(Parsed::Plain)), "{plain}");
    }
    let entries = |change: Value| {
        let mut entry = entry();
        entry
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        json!({ "model": "m", "messages": [], "tools": [entry] })
    };
    let private = entries(json!({ "server_url": "http://192.168.0.1/mcp" }));
    for (body, param) in [
        (private, "tools[0].server_url"),
        (
            entries(json!({ "require_approval": "sometimes" })),
            "tools[0].require_approval",
        ),
        (json!({ "messages": [], "tools": [entry()] }), "model"),
        (json!({ "model": "m", "n": 2, "tools": [entry()] }), "n"),
        (
            json!({ "model": "m", "logprobs": true, "tools": [entry()] }),
            "logprobs",
        ),
        (
            json!({ "model": "m", "messages": 1, "tools": [entry()] }),
            "messages",
        ),
    ] {
        let Err(refusal) = read(&body.to_string()) else {
            panic!("{body}");
        };
        assert_eq!(refusal.param.as_deref(), Some(param), "{}", refusal.message);
    }
    let never = entries(json!({ "require_approval": "never", "allowed_tools": ["echo"] }));
    assert!(matches!(read(&never.to_string()), Ok(Parsed::Ours(_))));
}

#[test]
fn calls_that_the_request_wants_approved_are_for_a_person() {
    // Policy; the tools echo and drop.
    for (policy, echo, drop) in [
        ("null", true, true),
        (r#""always""#, true, true),
        (r#""never""#, false, false),
        (r#"{"never":{"tool_names":["echo"]}}"#, false, true),
        (r#"{"always":{"tool_names":["echo"]}}"#, true, false),
        (r#"{"never":{"read_only":true}}"#, true, true),
    ] {
        let text = body("[]", "");
        let with = format!(r#""type":"mcp","require_approval":{policy}"#);
        let dialog = dialog(&text.replace(r#""type":"mcp""#, &with), Found::default());
        let asked = calls(
            "",
            &[("call_1", "s__echo", "{}"), ("call_2", "s__drop", "{}")],
        );
        let mut asked = asked
            .calls()
            .map(|call| dialog.table().resolve(call).unwrap());
        let [first, second] = [asked.next().unwrap(), asked.next().unwrap()];
        assert_eq!(dialog.asks_person(&first), echo, "{policy}");
        assert_eq!(dialog.asks_person(&second), drop, "{policy}");
        assert!(!dialog.asks_client(&first), "there is no word for it");
    }
}

#[test]
fn tools_of_servers_go_up_as_functions_and_the_rest_as_it_was_written() {
    let more =
        r#","tool_choice":{"type":"mcp","server_label":"s","name":"echo"},"stream_options":{}"#;
    let dialog = dialog(
        &body(r#"[{ "role":"user","content":"\u00e4" }]"#, more),
        Found::default(),
    );
    let schema = r#"{"type":"object","properties":{"n":{"minimum":1.0}}}"#;
    let function = |name: &str| {
        format!(
            r#"{{"type":"function","function":{{"name":"s__{name}","description":"Does {name}","parameters":{schema}}}}}"#
        )
    };
    let own = r#"{"type":"function","function":{"name":"mine","parameters":{}}}"#;
    let expected = format!(
        r#"{{"model":"local-1","messages":[{{ "role":"user","content":"\u00e4" }}],"tools":[{},{},{own}],"temperature":0.50,"tool_choice":{{"type":"function","function":{{"name":"s__echo"}}}},"stream_options":{{"include_usage":true}},"stream":true}}"#,
        function("echo"),
        function("drop")
    );
    assert_eq!(dialog.body(&[]).unwrap(), expected);
    let turn = calls("", &[("call_1", "s__echo", r#"{"n": 1.0}"#)]);
    let steps = [Step::Turn(turn.clone()), answered(&*dialog, &turn, "done")];
    let second: Value = serde_json::from_str(&dialog.body(&steps).unwrap()).unwrap();
    assert_eq!(second["tool_choice"], "auto", "a demand is met once");
    assert_eq!(second["messages"][1]["content"], Value::Null);
    assert_eq!(
        second["messages"][1]["tool_calls"][0]["function"]["arguments"],
        r#"{"n": 1.0}"#
    );
    let result = json!({ "role": "tool", "tool_call_id": "call_1", "content": "done\n[image]" });
    assert_eq!(second["messages"][2], result);
}

#[test]
fn a_client_gets_the_text_of_all_turns_and_its_own_calls_alone() {
    let more = r#","stream":true,"stream_options":{"include_usage":true}"#;
    let dialog = dialog(&body("[]", more), Found::default());
    let first = calls("Let me see.", &[("call_1", "s__echo", "{}")]);
    let last = calls("Yours.", &[("call_2", "mine", r#"{"a":1}"#)]);
    let steps = [
        Step::Turn(first.clone()),
        answered(&*dialog, &first, "r"),
        Step::Turn(last),
    ];
    let (object, frames) = shown(&*dialog, &steps, Ending::Model(End::Complete));
    let message = &object["choices"][0]["message"];
    assert_eq!(message["content"], "Let me see.\n\nYours.");
    assert_eq!(message["tool_calls"].as_array().unwrap().len(), 1);
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        r#"{"a":1}"#
    );
    assert_eq!(object["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(object["usage"]["total_tokens"], 28);
    assert_eq!(object["usage"]["prompt_tokens_details"]["cached_tokens"], 6);
    // What the frames add up to is the object.
    assert_eq!(frames.last().unwrap(), "[DONE]");
    assert_eq!(frames[0]["choices"][0]["delta"]["role"], "assistant");
    let deltas = frames.iter().map(|frame| &frame["choices"][0]["delta"]);
    let text: String = deltas
        .clone()
        .filter_map(|delta| delta["content"].as_str())
        .collect();
    assert_eq!(text, "Let me see.\n\nYours.");
    let parts = deltas.filter_map(|delta| delta["tool_calls"][0]["function"]["arguments"].as_str());
    assert_eq!(parts.collect::<String>(), r#"{"a":1}"#);
    let reasons = frames
        .iter()
        .filter_map(|frame| frame["choices"][0]["finish_reason"].as_str());
    assert_eq!(reasons.collect::<Vec<_>>(), ["tool_calls"]);
    assert_eq!(frames[frames.len() - 2]["usage"], object["usage"]);
    assert!(frames.iter().all(|frame| frame.get("error").is_none()));
    let (capped, _) = shown(&*dialog, &steps[..2], Ending::Cap);
    assert_eq!(capped["choices"][0]["finish_reason"], "length");
}

#[test]
fn an_answer_that_cannot_be_completed_is_an_error_of_this_language() {
    let dialog = dialog(&body("[]", ""), Found::default());
    let mut encoder = dialog.encoder("chatcmpl-mb1", 0);
    let mut frames = Vec::new();
    let refusal = Refusal::invalid("model", "no");
    encoder.show(Shown::Failed(&refusal), &mut frames);
    let object: Value = serde_json::from_str(&encoder.object()).unwrap();
    assert_eq!(object["error"]["message"], "no");
    assert_eq!(
        frames,
        format!("data: {}\n\n", encoder.object()).into_bytes()
    );
    let broken = End::Failed {
        code: "overloaded".to_owned(),
        message: "busy".to_owned(),
    };
    let (object, frames) = shown(&*dialog, &[], Ending::Model(broken));
    assert_eq!(object["error"]["code"], "overloaded");
    assert_eq!(frames.last().unwrap()["error"]["message"], "busy");
}
