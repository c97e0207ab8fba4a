//! What the tests of this module have in common.

use serde_json::value::RawValue;

use super::decode::Decoder;
use super::request::MessagesRequest;
use crate::adapters::dialect::{Decoder as _, Dialog, Ending, Finish, Request as _, Shown};
use crate::adapters::event::{Content, End, Event, FunctionCall, ModelTurn, Usage, Wire};
use crate::adapters::record::Found;
use crate::adapters::step::{CallRef, CallResult, Listing, Outcome, Step, Tool};
use crate::adapters::target::Gateway;

pub(super) const BETA_2026: &str = "mcp-client-2026-09-15";
pub(super) const BETA_2025: &str = "mcp-client-2025-11-20";
pub(super) const BETA_OLD: &str = "mcp-client-2025-04-04";

pub(super) fn gateway() -> Gateway {
    Gateway::new(3000, &[])
}

pub(super) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

pub(super) fn tool(name: &str, function: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        function: function.to_owned(),
        description: Some(format!("does {name}")),
        input_schema: raw(
            r#"{"type":"object","properties":{"n":{"type":"number","minimum":1.0}}}"#,
        ),
        annotations: None,
        read_only: false,
    }
}

/// The server `s` with the tools `a` and `b.c`.
pub(super) fn listing() -> Listing {
    Listing {
        label: "s".to_owned(),
        server: "s".parse().unwrap(),
        tools: vec![tool("a", "s__a"), tool("b.c", "s__b_c_12345678")],
        known: false,
    }
}

/// A request with the server `s`, its toolset, the function `mine` and these messages.
pub(super) fn body(messages: &str) -> String {
    format!(
        r#"{{"model":"claude-x","max_tokens":100,"mcp_servers":[{{"type":"url","name":"s","url":"http://localhost:3000/mcp/s"}}],"tools":[{{"name":"mine","input_schema":{{"type":"object"}}}},{{"type":"mcp_toolset","mcp_server_name":"s"}}],"messages":{messages}}}"#
    )
}

pub(super) fn request(body: &str, beta: &str) -> MessagesRequest {
    MessagesRequest::parse(body, beta, &gateway()).unwrap()
}

/// The request, bound to what is `found` or to the listing of `s`.
pub(super) fn dialog(body: &str, beta: &str, found: Found) -> Box<dyn Dialog> {
    let request = request(body, beta);
    let listings: Vec<Listing> = request
        .servers()
        .iter()
        .map(|entry| request.pinned(entry, &found).unwrap_or_else(listing))
        .collect();
    Box::new(request).bind(found, listings).unwrap()
}

/// One block of an answer as the vendor's stream has it: how it begins, and its deltas.
pub(super) type Sent<'a> = (&'a str, &'a [&'a str]);

/// The events of an answer with these blocks.
pub(super) fn events(blocks: &[Sent<'_>], reason: &str) -> Vec<Event> {
    let mut all = vec![
        r#"{"type":"message_start","message":{"model":"claude-x-1","usage":{"input_tokens":10,"output_tokens":1}}}"#.to_owned(),
    ];
    for (index, (start, deltas)) in blocks.iter().enumerate() {
        all.push(format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{start}}}"#
        ));
        for delta in *deltas {
            all.push(format!(
                r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#
            ));
        }
        all.push(format!(
            r#"{{"type":"content_block_stop","index":{index}}}"#
        ));
    }
    all.push(format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},"usage":{{"output_tokens":5}}}}"#
    ));
    all.push(r#"{"type":"message_stop"}"#.to_owned());
    let mut decoder = Decoder::default();
    let each = all
        .iter()
        .flat_map(|event| decoder.event(None, event).unwrap());
    each.collect()
}

pub(super) fn turn(events: &[Event]) -> ModelTurn {
    let mut blocks = Vec::new();
    let mut end = None;
    for event in events {
        match event {
            Event::Close { block, .. } => blocks.push(block.clone()),
            Event::End(it) => end = Some(it.clone()),
            _ => {}
        }
    }
    ModelTurn {
        wire: Wire::Messages,
        model: "claude-x-1".to_owned(),
        blocks,
        end: end.unwrap(),
    }
}

pub(super) fn answered(result: &str) -> Outcome {
    Outcome::Answered {
        is_error: false,
        result: raw(result),
    }
}

/// An answer as the loop makes it.
pub(super) struct Played {
    pub(super) steps: Vec<Step>,
    pub(super) frames: String,
    pub(super) object: String,
    /// What the vendor was sent, turn by turn.
    pub(super) bodies: Vec<String>,
}

/// Plays `turns` with what came of each call, in the way of the loop.
pub(super) fn play(
    dialog: &dyn Dialog,
    turns: &[Vec<Event>],
    mine: &[&str],
    outcome: impl Fn(&FunctionCall) -> Outcome,
) -> Played {
    let mut encoder = dialog.encoder("msg_1", 0);
    let mut frames = Vec::new();
    let mut steps = Vec::new();
    let mut bodies = Vec::new();
    let begin = Shown::Begin {
        model: "claude-x-1",
        usage: Usage {
            input: 10,
            output: 1,
            ..Usage::default()
        },
    };
    encoder.show(begin, &mut frames);
    for listing in dialog.table().listings().iter().filter(|it| !it.known) {
        encoder.show(Shown::Listing(listing), &mut frames);
    }
    for (number, events) in turns.iter().enumerate() {
        bodies.push(dialog.body(&steps).unwrap());
        let turn = turn(events);
        let mut ours = Vec::new();
        for event in events {
            let call = match event {
                Event::Open {
                    index,
                    kind: crate::adapters::event::Kind::Call { name, .. },
                    ..
                } if !mine.contains(&name.as_str()) => {
                    ours.push(*index);
                    continue;
                }
                Event::Delta { index, .. } if ours.contains(index) => continue,
                Event::Close { index, block } if ours.contains(index) => match &block.content {
                    Content::Call(call) => call,
                    _ => continue,
                },
                event => {
                    let wire = turn.wire;
                    encoder.show(
                        Shown::Model {
                            wire,
                            turn: number,
                            event,
                        },
                        &mut frames,
                    );
                    continue;
                }
            };
            if let Some(call) = dialog.table().resolve(call) {
                encoder.show(Shown::Calls(&[call]), &mut frames);
            }
        }
        let results = turn
            .calls()
            .filter(|call| !mine.contains(&call.name.as_str()));
        let results: Vec<CallResult> = results
            .map(|call| match dialog.table().resolve(call) {
                Some(mcp) => CallResult {
                    call: CallRef::Mcp(mcp),
                    outcome: outcome(call),
                },
                None => CallResult {
                    call: CallRef::Unknown(call.clone()),
                    outcome: Outcome::NotRun {
                        text: "no such tool".to_owned(),
                    },
                },
            })
            .collect();
        steps.push(Step::Turn(turn));
        for result in results.iter().filter(|it| it.outcome.is_shown()) {
            encoder.show(Shown::Ended(result), &mut frames);
        }
        if !results.is_empty() {
            steps.push(Step::Results(results));
        }
    }
    let last = turns.last().map(|events| turn(events).end.reason);
    let usages: Vec<Usage> = turns.iter().map(|events| turn(events).end.usage).collect();
    let mut usage = Usage::default();
    usages.iter().for_each(|it| usage += *it);
    let finish = Finish {
        ending: Ending::Model(last.unwrap_or(End::Complete)),
        usage,
        turns: usages,
        steps: &steps,
    };
    encoder.show(Shown::Finish(&finish), &mut frames);
    Played {
        object: encoder.object(),
        frames: String::from_utf8(frames).unwrap(),
        steps,
        bodies,
    }
}

/// What the store has after `played`.
pub(super) fn found(dialog: &dyn Dialog, played: &Played) -> Found {
    let (record, kept) = dialog.keep("msg_1", &played.steps, &played.object);
    assert!(record.is_none());
    Found {
        fragments: kept.fragments.into_iter().collect(),
        pins: kept.pins.into_iter().collect(),
        ..Found::default()
    }
}

pub(super) fn member(json: &str, key: &str) -> String {
    let members = crate::mcp::edit::Members::of(json).unwrap();
    members.get(key).map_or("", RawValue::get).to_owned()
}
