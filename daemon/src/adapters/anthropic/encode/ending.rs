//! How an answer ends.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::adapters::anthropic::json::normal;
use crate::adapters::anthropic::usage;
use crate::adapters::dialect::{Ending, Finish};
use crate::adapters::event::{Content, End, ModelTurn, Wire};
use crate::adapters::raw::{list, quoted};
use crate::adapters::step::Step;
use crate::mcp::edit::Members;

/// The last members of the message.
pub(super) struct Ended {
    /// `stop_reason` and the others of `delta`.
    pub(super) delta: Vec<(String, String)>,
    pub(super) usage: String,
    /// What stands beside `delta` in the event.
    pub(super) more: Vec<(String, String)>,
}

const TRANSFORMATIONS: &str = "input_transformations";

impl Ended {
    pub(super) fn of(finish: &Finish<'_>, reserved: &HashSet<String>) -> Self {
        let turns: Vec<&ModelTurn> = finish.steps.iter().filter_map(turn).collect();
        let last = turns.last().copied();
        let (reason, sequence) = reason(&finish.ending, last, reserved);
        let mut delta = vec![
            ("stop_reason".to_owned(), quoted(&reason)),
            (
                "stop_sequence".to_owned(),
                sequence.map_or_else(|| "null".to_owned(), |it| quoted(&it)),
            ),
        ];
        let mut more = Vec::new();
        if let Some(event) = last.and_then(native) {
            let inner = event.get("delta").and_then(|it| Members::of(it.get()).ok());
            let stops = ["stop_reason", "stop_sequence"];
            delta.extend(
                inner
                    .map(|inner| others(&inner, &stops))
                    .unwrap_or_default(),
            );
            more = others(&event, &["type", "delta", "usage", TRANSFORMATIONS]);
        }
        more.extend(transformations(&turns));
        let natives = turns.iter().filter(|turn| turn.wire == Wire::Messages);
        let natives = natives.filter_map(|turn| turn.end.native.as_deref());
        Self {
            delta,
            usage: usage::total(&finish.usage, &finish.turns, natives),
            more,
        }
    }
}

fn turn(step: &Step) -> Option<&ModelTurn> {
    match step {
        Step::Turn(turn) => Some(turn),
        _ => None,
    }
}

/// The vendor's last event of the turn, if it is of this language.
fn native(turn: &ModelTurn) -> Option<Members<'_>> {
    let native = turn
        .end
        .native
        .as_ref()
        .filter(|_| turn.wire == Wire::Messages)?;
    Members::of(native.get()).ok()
}

fn others(members: &Members<'_>, except: &[&str]) -> Vec<(String, String)> {
    let members = members.0.iter();
    let others =
        members.filter(|(key, value)| !except.contains(&key.as_str()) && value.get() != "null");
    others
        .map(|(key, value)| (key.clone(), normal(value.get())))
        .collect()
}

/// What the vendor says that it changed, of all turns.
fn transformations(turns: &[&ModelTurn]) -> Option<(String, String)> {
    let mut all: Vec<String> = Vec::new();
    for turn in turns {
        let value = native(turn).and_then(|event| event.get(TRANSFORMATIONS));
        let each = value.and_then(|value| serde_json::from_str::<Vec<&RawValue>>(value.get()).ok());
        all.extend(
            each.unwrap_or_default()
                .into_iter()
                .map(|it| normal(it.get())),
        );
    }
    (!all.is_empty()).then(|| (TRANSFORMATIONS.to_owned(), list(all)))
}

/// `stop_reason` and `stop_sequence`.
fn reason(
    ending: &Ending,
    last: Option<&ModelTurn>,
    reserved: &HashSet<String>,
) -> (String, Option<String>) {
    let end = match ending {
        Ending::Model(end) => end,
        // The client sends the answer back as it is, and it goes on.
        Ending::Cap => &End::Pause,
    };
    let reason = match end {
        End::Complete if last.is_some_and(|turn| waits(turn, reserved)) => "tool_use",
        End::Complete if last.is_some_and(refuses) => "refusal",
        End::Complete => "end_turn",
        End::StopSequence(sequence) => return ("stop_sequence".to_owned(), Some(sequence.clone())),
        End::MaxTokens => "max_tokens",
        End::ContextWindow => "model_context_window_exceeded",
        End::ContentFilter | End::Refusal => "refusal",
        End::Pause => "pause_turn",
        End::Other(reason) => reason,
        End::Failed { .. } => "end_turn",
    };
    (reason.to_owned(), None)
}

/// The client has a call to answer.
fn waits(turn: &ModelTurn, reserved: &HashSet<String>) -> bool {
    turn.calls().any(|call| reserved.contains(&call.name))
}

/// A model of another vendor says so in its text.
fn refuses(turn: &ModelTurn) -> bool {
    let mut blocks = turn.blocks.iter();
    blocks.any(|block| matches!(block.content, Content::Refusal(_)))
}
