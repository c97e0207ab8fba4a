//! What the client is shown, live and when an earlier attempt is gone through again.

use std::sync::Arc;

use super::super::dialect::Shown;
use super::super::event::{Block, Content, Event, Usage};
use super::super::step::{CallResult, Step};
use super::drive::Run;
use super::outlet::Piece;

impl Run {
    /// What was kept back, in its order; calls that run here in their places.
    pub(super) async fn show_kept(&mut self, kept: Vec<Event>) {
        let turn = self.rounds().saturating_sub(1);
        let Some(Step::Turn(last)) = self.steps.last() else {
            return;
        };
        let wire = last.wire;
        let mut left = self.calls_left();
        for event in kept {
            let call = match &event {
                Event::Close {
                    block:
                        Block {
                            content: Content::Call(call),
                            ..
                        },
                    ..
                } => Some(call),
                _ => None,
            };
            let mcp = call.and_then(|call| self.dialog.table().resolve(call));
            match (call, mcp) {
                (_, Some(mcp)) => {
                    let is_run = left > 0 && !self.dialog.asks_client(&mcp);
                    left = left.saturating_sub(1);
                    if is_run {
                        self.show(Shown::Calls(&[mcp])).await;
                    }
                }
                // Of nobody's function.
                (Some(call), None) if !self.reserved.contains(&call.name) => {}
                _ => {
                    let event = &event;
                    self.show(Shown::Model { wire, turn, event }).await;
                }
            }
        }
    }

    /// Shows what an earlier attempt did, as if it were done now. Of the turn that was not over, results
    /// wait until the others are there.
    pub(super) async fn replay(&mut self, step: Step) {
        if let Step::Results(results) = step {
            let bytes = results.iter().map(|result| result.outcome.bytes());
            self.results = self.results.saturating_add(bytes.sum());
            self.ended.extend(results);
            return;
        }
        if let Step::Turn(_) = &step {
            self.settle_ended().await;
        }
        self.steps.push(step.clone());
        match step {
            Step::Turn(turn) => {
                self.begin(&turn.model, turn.end.usage).await;
                let blocks = turn.blocks.into_iter().enumerate();
                let whole = blocks.map(|(index, block)| Event::Close { index, block });
                self.show_kept(whole.collect()).await;
            }
            Step::Opened { .. } | Step::Listed(_) | Step::Started(_) | Step::Results(_) => {}
        }
    }

    pub(super) async fn show_ended(&mut self, results: &[CallResult]) {
        for result in results.iter().filter(|result| result.outcome.is_shown()) {
            self.show(Shown::Ended(result)).await;
        }
    }

    /// The client hears for the first time: the answer begins, and what it offers.
    pub(super) async fn begin(&mut self, model: &str, usage: Usage) {
        if self.begun {
            return;
        }
        self.begun = true;
        let dropped = self.dropped.clone();
        self.outlet.put(Piece::Begin { dropped }).await;
        let model = match model {
            "" => self.dialog.model().to_owned(),
            model => model.to_owned(),
        };
        self.show(Shown::Begin {
            model: &model,
            usage,
        })
        .await;
        let table = Arc::clone(self.dialog.table());
        for listing in table.listings().iter().filter(|listing| !listing.known) {
            self.show(Shown::Listing(listing)).await;
        }
    }
}
