//! What is kept of an answer, so that the vendor gets it again as it was.

use std::collections::HashSet;

use super::json::unquoted;
use super::{ids, render};
use crate::adapters::event::{Block, Content, ModelTurn, Wire};
use crate::adapters::raw::raw;
use crate::adapters::record::Fragment;
use crate::adapters::step::{CallResult, Step};
use crate::mcp::edit::Members;

/// Fragments by the ids that the client sees. `is_mcp` tells functions of MCP tools from others.
pub(super) fn fragments(
    answer: &str,
    steps: &[Step],
    is_mcp: impl Fn(&str) -> bool,
    reserved: &HashSet<String>,
) -> Vec<(String, Fragment)> {
    let mut all = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        if let Step::Turn(turn) = step {
            let results = steps[at + 1..].iter();
            let results = results.take_while(|step| !matches!(step, Step::Turn(_)));
            let results = results.flat_map(|step| match step {
                Step::Results(results) => results.as_slice(),
                _ => &[],
            });
            let turn = Turn {
                name: format!("{answer}:{at}"),
                wire: turn.wire,
                results: results.collect(),
                kept: Vec::new(),
                unseen: Vec::new(),
                turn,
            };
            all.extend(turn.fragments(&is_mcp, reserved));
        }
    }
    all
}

struct Turn<'a> {
    name: String,
    wire: Wire,
    turn: &'a ModelTurn,
    results: Vec<&'a CallResult>,
    kept: Vec<(String, Fragment)>,
    /// Calls that no client sees and that have no neighbour yet.
    unseen: Vec<&'a Block>,
}

impl<'a> Turn<'a> {
    fn fragments(
        mut self,
        is_mcp: &impl Fn(&str) -> bool,
        reserved: &HashSet<String>,
    ) -> Vec<(String, Fragment)> {
        for block in &self.turn.blocks {
            match &block.content {
                Content::Call(call) if is_mcp(&call.name) && self.is_shown(&call.id) => {
                    let mut blocks = std::mem::take(&mut self.unseen);
                    blocks.push(block);
                    self.keep(ids::visible(&call.id), &blocks);
                }
                Content::Call(call) if reserved.contains(&call.name) && !is_mcp(&call.name) => {
                    self.keep(call.id.clone(), &[block]);
                }
                Content::Call(_) => self.unseen(block),
                Content::Other(_) => {
                    if let Some(id) = member(block, "id") {
                        self.keep(id, &[block]);
                    }
                }
                _ => {}
            }
        }
        self.anchor();
        self.kept
    }

    fn is_shown(&self, id: &str) -> bool {
        let mut results = self.results.iter();
        results.any(|it| it.call.call().id == id && it.outcome.is_shown())
    }

    /// A call that no client sees goes with the MCP call before it, or the one after it.
    fn unseen(&mut self, block: &'a Block) {
        let name = self.elements(&[block]);
        match self
            .kept
            .iter_mut()
            .rev()
            .find(|(key, _)| ids::is_visible(key))
        {
            Some((_, fragment)) => {
                fragment.call.extend(name.call);
                fragment.output.extend(name.output);
            }
            None => self.unseen.push(block),
        }
    }

    /// Without such a neighbour it goes with the last block by which the turn can be recognised.
    fn anchor(&mut self) {
        let unseen = std::mem::take(&mut self.unseen);
        if unseen.is_empty() {
            return;
        }
        let late = self.elements(&unseen);
        let late = late.call.into_iter().chain(late.output);
        if let Some((_, fragment)) = self.kept.last_mut() {
            fragment.output.extend(late);
            return;
        }
        let mut blocks = self.turn.blocks.iter().rev();
        let signature = blocks.find_map(|block| match (&block.content, self.wire) {
            (Content::Thinking { .. }, Wire::Messages) => member(block, "signature"),
            (Content::Thinking { .. }, _) => render::signature(block),
            _ => None,
        });
        if let Some(signature) = signature.filter(|it| !it.is_empty()) {
            let fragment = Fragment {
                turn: self.name.clone(),
                at: u32::try_from(self.kept.len()).unwrap_or(u32::MAX),
                call: Vec::new(),
                output: late.collect(),
            };
            self.kept.push((ids::of_thinking(&signature), fragment));
        }
    }

    fn keep(&mut self, key: String, blocks: &[&Block]) {
        let fragment = self.elements(blocks);
        self.kept.push((key, fragment));
    }

    /// The blocks as the vendor gets them, and what came of those that are calls.
    fn elements(&self, blocks: &[&Block]) -> Fragment {
        let said = blocks
            .iter()
            .filter_map(|block| render::said(self.wire, block));
        let results = blocks.iter().filter_map(|block| match &block.content {
            Content::Call(call) => self.results.iter().find(|it| it.call.call().id == call.id),
            _ => None,
        });
        Fragment {
            turn: self.name.clone(),
            at: u32::try_from(self.kept.len()).unwrap_or(u32::MAX),
            call: said.map(raw).collect(),
            output: results.map(|it| raw(render::tool_result(it))).collect(),
        }
    }
}

fn member(block: &Block, key: &str) -> Option<String> {
    let native = Members::of(block.native.as_ref()?.get()).ok()?;
    native.get(key).and_then(unquoted)
}
