//! One answer of the model, as it arrives: what the client may see passes at once, calls of MCP tools
//! are kept, and so is everything after the first of them until it is known how the answer ends.

use std::collections::HashSet;

use super::super::dialect::Table;
use super::super::event::{Block, Content, End, Event, Kind, ModelTurn, TurnEnd};
use super::ids::CallIds;

/// Sorts the events of one answer.
pub(super) struct Turn<'a> {
    table: &'a Table,
    /// Functions of the client.
    reserved: &'a HashSet<String>,
    ids: CallIds,
    model: String,
    /// By the decoder's index, which counts without gaps and to no more than `MAX_BLOCKS`.
    blocks: Vec<Option<Block>>,
    /// Indices of blocks that are calls of tools, or of nothing.
    ours: HashSet<usize>,
    kept: Vec<Event>,
    end: Option<TurnEnd>,
}

/// An answer that is complete.
pub(super) struct Heard {
    pub(super) turn: ModelTurn,
    /// What the client has not seen yet, in order; calls of tools stand in it as their `Close`.
    pub(super) kept: Vec<Event>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(ids: CallIds, (table, reserved): (&'a Table, &'a HashSet<String>)) -> Self {
        Self {
            table,
            reserved,
            ids,
            model: String::new(),
            blocks: Vec::new(),
            ours: HashSet::new(),
            kept: Vec::new(),
            end: None,
        }
    }

    /// Takes `event` in, and returns it if the client may see it now.
    ///
    /// # Errors
    /// It does not fit those before it.
    pub(super) fn take(&mut self, mut event: Event) -> Result<Option<Event>, &'static str> {
        if self.end.is_some() {
            return Ok(None);
        }
        match &mut event {
            Event::Begin { model, .. } => {
                self.model.clone_from(model);
                return Ok(None);
            }
            Event::End(end) => {
                self.end = Some(end.clone());
                return Ok(None);
            }
            Event::Open { index, kind, .. } => {
                if let Kind::Call { name, .. } = kind
                    && self.is_ours(name)
                {
                    self.ours.insert(*index);
                }
            }
            Event::Delta { .. } => {}
            Event::Close { index, block } => self.close(*index, block)?,
        }
        let index = index(&event);
        let is_ours = index.is_some_and(|index| self.ours.contains(&index));
        match (is_ours, &event) {
            (true, Event::Close { .. }) => self.kept.push(event),
            (true, _) => {}
            (false, _) if self.ours.is_empty() => return Ok(Some(event)),
            (false, _) => self.kept.push(event),
        }
        Ok(None)
    }

    fn close(&mut self, index: usize, block: &mut Block) -> Result<(), &'static str> {
        if let Content::Call(call) = &block.content {
            match self.is_ours(&call.name) {
                true => {
                    self.ours.insert(index);
                    self.ids.make_unique(block);
                }
                // The client has it as it is.
                false => self.ids.take(&call.id),
            }
        }
        if self.blocks.len() <= index {
            self.blocks.resize_with(index + 1, || None);
        }
        match &mut self.blocks[index] {
            Some(_) => Err("a block ends twice"),
            place => {
                *place = Some(block.clone());
                Ok(())
            }
        }
    }

    /// A tool's function, or a name that nobody offered.
    fn is_ours(&self, name: &str) -> bool {
        self.table.has(name) || !self.reserved.contains(name)
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// None if the stream ended before the answer did.
    pub(super) fn finish(mut self) -> Option<Heard> {
        let end = self.end.take()?;
        let mut blocks: Vec<Block> = std::mem::take(&mut self.blocks)
            .into_iter()
            .flatten()
            .collect();
        let mut kept = std::mem::take(&mut self.kept);
        if end.reason != End::Complete {
            // What was cut off, or may have been, never runs and is never seen.
            let is_call = |block: &Block| match &block.content {
                Content::Call(call) => self.is_ours(&call.name),
                _ => false,
            };
            blocks.retain(|block| !is_call(block));
            kept.retain(|event| !matches!(event, Event::Close { block, .. } if is_call(block)));
        }
        let turn = ModelTurn {
            wire: self.ids.wire(),
            model: self.model,
            blocks,
            end,
        };
        Some(Heard { turn, kept })
    }
}

fn index(event: &Event) -> Option<usize> {
    match event {
        Event::Open { index, .. } | Event::Delta { index, .. } | Event::Close { index, .. } => {
            Some(*index)
        }
        Event::Begin { .. } | Event::End(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::event::{FunctionCall, Usage, Wire};
    use super::super::super::step::{Listing, Tool};
    use super::*;

    fn call(name: &str) -> Block {
        Block {
            content: Content::Call(FunctionCall {
                id: format!("call_{name}"),
                name: name.to_owned(),
                arguments: "{}".to_owned(),
            }),
            native: None,
        }
    }

    fn ids(wire: Wire) -> CallIds {
        CallIds::new(wire, HashSet::new())
    }

    fn text(text: &str) -> Block {
        Block {
            content: Content::Text(text.to_owned()),
            native: None,
        }
    }

    fn end(reason: End) -> Event {
        Event::End(TurnEnd {
            reason,
            usage: Usage::default(),
            native: None,
        })
    }

    fn table() -> Table {
        Table::new(vec![Listing {
            label: "s".to_owned(),
            server: "s".parse().unwrap(),
            tools: vec![Tool {
                name: "t".to_owned(),
                function: "s__t".to_owned(),
                description: None,
                input_schema: serde_json::value::RawValue::from_string("{}".to_owned()).unwrap(),
                annotations: None,
                read_only: false,
            }],
            known: false,
        }])
    }

    /// What passes at once, what is kept, and the blocks of the turn.
    fn run(events: Vec<Event>) -> (usize, usize, usize) {
        let (table, reserved) = (table(), HashSet::from(["mine".to_owned()]));
        let mut turn = Turn::new(ids(Wire::Responses), (&table, &reserved));
        let passed = events
            .into_iter()
            .filter_map(|event| turn.take(event).unwrap())
            .count();
        let heard = turn.finish().unwrap();
        (passed, heard.kept.len(), heard.turn.blocks.len())
    }

    #[test]
    fn text_passes_until_a_tool_is_called_and_waits_from_then_on() {
        let close = |index, block| Event::Close { index, block };
        let events = vec![
            close(0, text("a")),
            close(1, call("s__t")),
            close(2, text("b")),
            end(End::Complete),
        ];
        assert_eq!(run(events), (1, 2, 3));
    }

    #[test]
    fn functions_of_the_client_pass_and_names_of_nobody_do_not() {
        let close = |index, block| Event::Close { index, block };
        assert_eq!(
            run(vec![close(0, call("mine")), end(End::Complete)]),
            (1, 0, 1)
        );
        assert_eq!(
            run(vec![close(0, call("invented")), end(End::Complete)]),
            (0, 1, 1)
        );
    }

    #[test]
    fn calls_of_an_answer_that_was_cut_off_are_gone() {
        let close = |index, block| Event::Close { index, block };
        let events = vec![
            close(0, call("s__t")),
            close(1, text("b")),
            end(End::MaxTokens),
        ];
        assert_eq!(run(events), (0, 1, 1));
    }

    #[test]
    fn a_block_that_ends_twice_is_an_error() {
        let (table, reserved) = (table(), HashSet::new());
        let mut turn = Turn::new(ids(Wire::Messages), (&table, &reserved));
        let close = || Event::Close {
            index: 0,
            block: text("a"),
        };
        turn.take(close()).unwrap();
        assert!(turn.take(close()).is_err());
    }
}
