//! What the steps of an answer add to the hidden transcript, and which item of the client's stands for
//! which part of it.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ids, items, outcome};
use crate::adapters::dialect::Table;
use crate::adapters::event::{Block, Content, End, FunctionCall, ModelTurn, Wire};
use crate::adapters::record::Fragment;
use crate::adapters::step::{CallResult, Outcome, Step};

/// One turn of the model, or the calls that were decided on before the first.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// In the order of the model.
    parts: Vec<Part>,
    /// Of those of its calls that have ended, in order.
    outputs: Vec<Output>,
}

#[derive(Debug)]
struct Part {
    /// None where the client does not see it.
    visible: Option<Visible>,
    hidden: Option<Box<RawValue>>,
}

#[derive(Debug, Clone)]
enum Visible {
    Id(String),
    /// An item that is made up where it is shown, for the block of this index.
    Made(&'static str, usize),
    Call(String),
    /// An approval request.
    Asked(String),
}

#[derive(Debug)]
struct Output {
    call_id: String,
    hidden: Box<RawValue>,
    is_shown: bool,
}

/// The rounds of `steps`; the first is that of decided calls.
pub(super) fn rounds(steps: &[Step], table: &Table) -> Vec<Round> {
    let mut rounds = vec![Round::default()];
    for step in steps {
        match step {
            Step::Turn(turn) => rounds.push(Round {
                parts: parts(turn, table),
                outputs: Vec::new(),
            }),
            Step::Results(results) => {
                if let Some(round) = rounds.last_mut() {
                    round.outputs.extend(results.iter().filter_map(output));
                }
            }
            _ => {}
        }
    }
    rounds.iter_mut().for_each(Round::see);
    rounds
}

/// What the client declined stands at its answer, in the input.
fn output(result: &CallResult) -> Option<Output> {
    let call_id = result.call.call().id.clone();
    match &result.outcome {
        Outcome::Declined { .. } => None,
        outcome => Some(Output {
            hidden: outcome::hidden(&call_id, outcome),
            is_shown: outcome.is_shown(),
            call_id,
        }),
    }
}

fn parts(turn: &ModelTurn, table: &Table) -> Vec<Part> {
    let blocks = turn.blocks.iter().enumerate();
    let mut parts: Vec<Part> = blocks
        .map(|(index, block)| part(index, block, turn.wire, table))
        .collect();
    if turn.end.reason != End::Complete {
        // What it was about was cut off, and vendors refuse reasoning about nothing.
        let blocks = turn.blocks.iter().rev();
        let trailing = blocks.take_while(|block| matches!(block.content, Content::Thinking { .. }));
        for (part, _) in parts.iter_mut().rev().zip(trailing) {
            part.hidden = None;
        }
    }
    parts
}

fn part(index: usize, block: &Block, wire: Wire, table: &Table) -> Part {
    let native = block.native.as_deref().filter(|_| wire == Wire::Responses);
    match (&block.content, native) {
        (Content::Call(call), _) if table.has(&call.name) => Part {
            visible: Some(Visible::Asked(call.id.clone())),
            hidden: Some(match native {
                Some(native) => items::hidden_native(call, native),
                None => items::hidden_call(call),
            }),
        },
        (_, Some(native)) => Part {
            visible: id(native).map(Visible::Id),
            hidden: Some(native.to_owned()),
        },
        (content, None) => Part {
            visible: items::kind_of(content)
                .and_then(|kind| items::prefix(&kind))
                .map(|prefix| Visible::Made(prefix, index)),
            hidden: items::hidden(block),
        },
    }
}

fn id(item: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        id: Option<String>,
    }
    serde_json::from_str::<Id>(item.get()).ok()?.id
}

impl Round {
    /// Now that the results are known: which calls the client sees, and as what.
    fn see(&mut self) {
        let shown: HashMap<&str, bool> = self
            .outputs
            .iter()
            .map(|output| (output.call_id.as_str(), output.is_shown))
            .collect();
        for part in &mut self.parts {
            let Some(Visible::Asked(call_id)) = &part.visible else {
                continue;
            };
            part.visible = match shown.get(call_id.as_str()) {
                Some(true) => Some(Visible::Call(call_id.clone())),
                Some(false) => None,
                None => continue,
            };
        }
    }

    pub(super) fn hidden(&self) -> impl Iterator<Item = &RawValue> {
        let calls = self.parts.iter().filter_map(|part| part.hidden.as_deref());
        calls.chain(self.outputs.iter().map(|output| &*output.hidden))
    }
}

/// What each visible item of the answer `id` stands for.
pub(super) fn fragments(rounds: &[Round], id: &str) -> Vec<(String, Fragment)> {
    let mut fragments = Vec::new();
    // Whole rounds that the client sees nothing of go before the next that it sees.
    let mut unseen: Vec<Box<RawValue>> = Vec::new();
    for (number, round) in rounds.iter().enumerate() {
        let turn = format!("{id}/{number}");
        let of_round = match number {
            0 => decided(round, id, &turn),
            _ => of_turn(round, (id, number - 1), &turn, &mut unseen),
        };
        fragments.extend(of_round);
    }
    fragments
}

fn decided(round: &Round, response: &str, turn: &str) -> Vec<(String, Fragment)> {
    let outputs = round.outputs.iter().enumerate();
    let fragment = |(at, output): (usize, &Output)| {
        let fragment = Fragment {
            turn: turn.to_owned(),
            at: place(at),
            call: Vec::new(),
            output: vec![output.hidden.clone()],
        };
        (ids::mcp_call(response, &output.call_id), fragment)
    };
    outputs.map(fragment).collect()
}

fn of_turn(
    round: &Round,
    (response, number): (&str, usize),
    turn: &str,
    unseen: &mut Vec<Box<RawValue>>,
) -> Vec<(String, Fragment)> {
    let mut fragments: Vec<(String, Fragment)> = Vec::new();
    for part in &round.parts {
        let key = part
            .visible
            .as_ref()
            .map(|visible| visible.key(response, number));
        match (key, fragments.last_mut()) {
            (Some(key), _) => {
                let mut call = std::mem::take(unseen);
                call.extend(part.hidden.clone());
                fragments.push((
                    key,
                    Fragment {
                        turn: turn.to_owned(),
                        at: place(fragments.len()),
                        call,
                        output: Vec::new(),
                    },
                ));
            }
            (None, Some((_, fragment))) => fragment.call.extend(part.hidden.clone()),
            (None, None) => unseen.extend(part.hidden.clone()),
        }
    }
    // Outputs go last in their order, with the last item if need be.
    let last = fragments.len().checked_sub(1);
    let mut from = 0;
    for output in &round.outputs {
        let key = ids::mcp_call(response, &output.call_id);
        let own = fragments.iter().position(|(id, _)| *id == key);
        from = own.unwrap_or(from).max(from);
        match last {
            Some(_) => fragments[from].1.output.push(output.hidden.clone()),
            None => unseen.push(output.hidden.clone()),
        }
    }
    fragments
}

fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Visible {
    fn key(&self, response: &str, turn: usize) -> String {
        match self {
            Self::Id(id) => id.clone(),
            Self::Made(prefix, index) => ids::made(prefix, response, &format!("{turn}_{index}")),
            Self::Call(call_id) => ids::mcp_call(response, call_id),
            Self::Asked(call_id) => ids::approval(response, call_id),
        }
    }
}

/// Calls of the last turn that wait for the client's approval.
pub(super) fn open_calls<'a>(
    steps: &'a [Step],
    table: &'a Table,
) -> impl Iterator<Item = &'a FunctionCall> {
    let last = steps.iter().rposition(|step| matches!(step, Step::Turn(_)));
    let ended: Vec<&str> = steps
        .iter()
        .skip(last.unwrap_or(0))
        .filter_map(|step| match step {
            Step::Results(results) => Some(results),
            _ => None,
        })
        .flatten()
        .map(|result| result.call.call().id.as_str())
        .collect();
    let turn = last.and_then(|at| match &steps[at] {
        Step::Turn(turn) if turn.end.reason == End::Complete => Some(turn),
        _ => None,
    });
    turn.into_iter()
        .flat_map(ModelTurn::calls)
        .filter(move |call| table.has(&call.name) && !ended.contains(&call.id.as_str()))
}
