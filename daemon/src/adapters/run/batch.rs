//! Sending the calls of a turn: some at a time, each at most once, and what came of it on the disk as
//! soon as it is known.

mod running;

use std::sync::Arc;

use http::StatusCode;
use tokio::time::Instant;

use self::running::{Event, Running};
use super::super::event::Usage;
use super::super::refusal::Refusal;
use super::super::step::{CallResult, Outcome, Step};
use super::calls::{Note, Pending};
use super::drive::{Halt, Run, last_turn};
use super::servers::told;
use crate::types::ApprovalId;

/// Bytes of all results of one answer. The answer is kept with what the model was told and with what the
/// client was shown, so it takes more than twice of that.
const MAX_RESULTS: usize = 24 * 1024 * 1024;

impl Run {
    /// Runs `calls`, each at most once, and shows what came of them.
    pub(super) async fn run(
        &mut self,
        calls: Vec<Pending>,
        was_started: &[String],
    ) -> Result<(), Halt> {
        let batches = batches(calls, self.dialog.limits().parallel);
        for (number, batch) in batches.into_iter().enumerate() {
            if number > 0 && self.outlet.is_abandoned().await {
                return Err(Halt::Abandoned);
            }
            let (results, halted) = self.run_batch(batch, was_started).await;
            self.settle(results).await;
            if let Some(halt) = halted {
                return Err(halt);
            }
        }
        Ok(())
    }

    /// Calls that may run at the same time: how those ended that did, and why the others did not.
    async fn run_batch(
        &mut self,
        calls: Vec<Pending>,
        was_started: &[String],
    ) -> (Vec<CallResult>, Option<Halt>) {
        let since = Instant::now();
        let mut batch = Running::new(calls, &self.outlet);
        let mut halted = None;
        loop {
            if halted.is_none() {
                self.begin_next(&mut batch, was_started);
            }
            if halted.is_some() && self.are_pending(batch.only_asks()).await {
                break;
            }
            let taken = match batch.next().await {
                Event::Noted(at, note) => self.note(&mut batch, at, note).await,
                Event::Ended(at, result) => self.take_in(&mut batch, at, result).await,
                Event::Idle if halted.is_some() || batch.is_begun() => break,
                Event::Idle => batch.go_on(&self.outlet),
                Event::Deserted => self.leave(&mut batch).await,
            };
            if let Err(halt) = taken {
                let is_left = matches!(halt, Halt::Abandoned);
                halted = Some(halt);
                if is_left {
                    break;
                }
            }
        }
        if batch.has_asked() {
            // People take their time, and it is not the model's.
            self.caps.until += since.elapsed();
        }
        (batch.into_results(), halted)
    }

    /// Begins as many as there is room for.
    fn begin_next(&self, batch: &mut Running, was_started: &[String]) {
        for (at, pending) in batch.take_next() {
            let call = pending.runs();
            // An earlier attempt may have sent it, and nobody knows how it ended.
            let is_lost = call.is_some_and(|call| was_started.contains(&call.call.id));
            let asks_person = call.is_some_and(|call| self.dialog.asks_person(call));
            let servers = Arc::clone(&self.servers);
            batch.begin(at, |notes| async move {
                pending.run(&servers, notes, (is_lost, asks_person)).await
            });
        }
    }

    async fn note(&mut self, batch: &mut Running, at: usize, note: Note) -> Result<(), Halt> {
        match note {
            Note::Asked(question) => batch.waits_at(at, question),
            Note::Sends(call, go) => {
                // What cannot be put down does not get the word.
                self.push(Step::Started(vec![call])).await?;
                let _ = go.send(());
            }
        }
        Ok(())
    }

    /// Takes in how a call ended.
    async fn take_in(
        &mut self,
        batch: &mut Running,
        at: usize,
        result: Option<CallResult>,
    ) -> Result<(), Halt> {
        let question = batch.waits_no_more(at);
        let Some(result) = result else { return Ok(()) };
        // The daemon ends, and so the wait; the question stays.
        if let Some(question) = question
            && self.journal.is_pending(question).await
        {
            return Err(Halt::Failed(stopping()));
        }
        batch.ended(at, self.record(result).await?);
        Ok(())
    }

    /// Nobody has listened for a while. Calls that wait for a person are taken back; their questions
    /// stay. As long as something runs, whoever sends the request again has to find it here.
    async fn leave(&self, batch: &mut Running) -> Result<(), Halt> {
        match self.are_pending(batch.only_asks()).await {
            true => batch.go_on(&self.outlet),
            false => {
                batch.begin_no_more(&self.outlet);
                Ok(())
            }
        }
    }

    async fn are_pending(&self, questions: Option<Vec<ApprovalId>>) -> bool {
        match questions {
            Some(questions) => self.journal.are_pending(&questions).await,
            None => false,
        }
    }

    /// Puts down how a call ended, or what the model is told instead where there is no room for it.
    async fn record(&mut self, mut result: CallResult) -> Result<CallResult, Halt> {
        let bytes = result.outcome.bytes();
        if self.results.saturating_add(bytes) > MAX_RESULTS {
            result.outcome = too_large(bytes);
        }
        self.results = self.results.saturating_add(result.outcome.bytes());
        let step = Step::Results(vec![result.clone()]);
        self.journal.write(&step).await?;
        Ok(result)
    }

    /// Takes in what is on the disk, and comes next in the order of the model.
    async fn settle(&mut self, results: Vec<CallResult>) {
        if results.is_empty() {
            return;
        }
        self.begin("", Usage::default()).await;
        self.show_ended(&results).await;
        let since = last_turn(&self.steps).unwrap_or_default();
        let settled = self.steps[since..].iter_mut().find_map(|step| match step {
            Step::Results(settled) => Some(settled),
            _ => None,
        });
        match settled {
            Some(settled) => settled.extend(results),
            None => self.steps.push(Step::Results(results)),
        }
    }

    /// As [`Self::settle`], with all that an earlier attempt put down for a turn.
    pub(super) async fn settle_ended(&mut self) {
        let order: Vec<String> = match last_turn(&self.steps).map(|at| &self.steps[at]) {
            Some(Step::Turn(turn)) => turn.calls().map(|call| call.id.clone()).collect(),
            _ => {
                let decided = self.dialog.decided().iter();
                decided.map(|one| one.call.call.id.clone()).collect()
            }
        };
        let mut ended = std::mem::take(&mut self.ended);
        let mut results: Vec<CallResult> = order
            .iter()
            .filter_map(|id| take_of(&mut ended, id))
            .collect();
        results.append(&mut ended);
        self.settle(results).await;
    }
}

/// How the call with this id ended, if it did.
pub(super) fn take_of(ended: &mut Vec<CallResult>, id: &str) -> Option<CallResult> {
    let at = ended
        .iter()
        .position(|result| result.call.call().id == id)?;
    Some(ended.remove(at))
}

/// What may run at the same time, in order: everything, or neighbours that only read.
fn batches(calls: Vec<Pending>, parallel: bool) -> Vec<Vec<Pending>> {
    if parallel {
        return vec![calls];
    }
    let mut batches: Vec<Vec<Pending>> = Vec::new();
    for call in calls {
        let joins = |call: &Pending| call.runs().is_none_or(|call| call.read_only);
        match batches.last_mut() {
            Some(batch) if joins(&call) && batch.iter().all(joins) => batch.push(call),
            _ => batches.push(vec![call]),
        }
    }
    batches
}

fn too_large(bytes: usize) -> Outcome {
    told(&format!(
        "The result has {bytes} bytes. The results of this answer together would have more than the \
         {MAX_RESULTS} that are possible. Ask for less at a time."
    ))
}

/// The same request finds the run where it is.
fn stopping() -> Refusal {
    let message = "The bridge stops while a tool call waits for approval. Send the request again: it \
                   goes on where it was.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
}
