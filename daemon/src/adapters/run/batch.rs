//! Sending the calls of a turn: some at a time, each at most once, and what came of it on the disk as
//! soon as it is known.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::StatusCode;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::event::Usage;
use super::super::refusal::Refusal;
use super::super::step::{CallResult, Outcome, Step};
use super::calls::Pending;
use super::drive::{Halt, Run, last_turn};
use super::servers::told;

/// Of one answer that are under way together, those that wait for a person among them.
const AT_ONCE: usize = 16;
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
        batch: Vec<Pending>,
        was_started: &[String],
    ) -> (Vec<CallResult>, Option<Halt>) {
        let mut ended: Vec<Option<CallResult>> = Vec::new();
        let mut line = VecDeque::new();
        for (at, pending) in batch.into_iter().enumerate() {
            match pending {
                Pending::Ended(result) => ended.push(Some(result)),
                pending => {
                    ended.push(None);
                    line.push_back((at, pending));
                }
            }
        }
        let (asked, mut questions) = mpsc::channel::<Step>(AT_ONCE);
        let mut running = FuturesUnordered::new();
        let since = Instant::now();
        let mut waiting = HashMap::new();
        let mut halted = None;
        // Nobody has listened for a while: what runs is carried to its end, and nothing else is begun.
        let mut is_deserted = false;
        let outlet = self.outlet.clone();
        let mut gone = Box::pin(outlet.deserted());
        loop {
            let only_waits = !running.is_empty() && waiting.len() == running.len();
            if halted.is_some() && only_waits && self.journal.are_pending(&waiting).await {
                break;
            }
            let free = match halted.is_none() && !is_deserted {
                true => AT_ONCE - running.len(),
                false => 0,
            };
            let next: Vec<_> = line.drain(..free.min(line.len())).collect();
            if let Err(halt) = self.start(&next, was_started).await {
                halted = Some(halt);
                continue;
            }
            for (at, pending) in next {
                let (servers, asked) = (Arc::clone(&self.servers), asked.clone());
                let is_lost = self.is_lost(&pending, was_started).await;
                let asks_person = pending
                    .runs()
                    .is_some_and(|call| self.dialog.asks_person(call));
                running.push(async move {
                    let ended = pending.run(&servers, asked, (is_lost, asks_person));
                    (at, ended.await)
                });
            }
            tokio::select! {
                biased;
                Some(step) = questions.recv() => {
                    if let Step::Asked { call, approval } = &step {
                        waiting.insert(call.clone(), *approval);
                    }
                    if let Err(halt) = self.push(step).await {
                        halted = Some(halt);
                    }
                }
                next = running.next() => {
                    let Some((at, result)) = next else {
                        if line.is_empty() || halted.is_some() {
                            break;
                        }
                        if outlet.give_up() {
                            halted = Some(Halt::Abandoned);
                            break;
                        }
                        is_deserted = false;
                        gone = Box::pin(outlet.deserted());
                        continue;
                    };
                    let question = waiting.remove(&result.call.call().id);
                    // The daemon ends, and so the wait; the question stays.
                    if let Some(question) = question && self.journal.is_pending(question).await {
                        halted = Some(Halt::Failed(stopping()));
                        continue;
                    }
                    match self.record(result).await {
                        Ok(result) => ended[at] = Some(result),
                        Err(halt) => halted = Some(halt),
                    }
                }
                // Calls that wait for a person are taken back; their questions stay. As long as
                // something runs, whoever sends the request again has to find it here.
                () = &mut gone, if waiting.len() == running.len() || !(is_deserted || line.is_empty()) => {
                    let only_waits = waiting.len() == running.len();
                    let may_end = only_waits && self.journal.are_pending(&waiting).await;
                    if may_end && outlet.give_up() {
                        halted = Some(Halt::Abandoned);
                        break;
                    }
                    is_deserted = !may_end;
                    gone = Box::pin(outlet.deserted());
                }
            }
        }
        let mut steps = self.steps.iter();
        if !waiting.is_empty() || steps.any(|step| matches!(step, Step::Asked { .. })) {
            // People take their time, and it is not the model's.
            self.caps.until += since.elapsed();
        }
        (ended.into_iter().flatten().collect(), halted)
    }

    /// Puts down that these are about to be sent.
    async fn start(
        &mut self,
        next: &[(usize, Pending)],
        was_started: &[String],
    ) -> Result<(), Halt> {
        let calls = next.iter().filter_map(|(_, pending)| pending.runs());
        let starting: Vec<String> = calls
            .map(|call| call.call.id.clone())
            .filter(|id| !was_started.contains(id))
            .collect();
        match starting.is_empty() {
            true => Ok(()),
            false => self.push(Step::Started(starting)).await,
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

    /// Whether an earlier attempt may have sent the call, and nobody knows how it ended.
    async fn is_lost(&self, pending: &Pending, was_started: &[String]) -> bool {
        let Some(call) = pending
            .runs()
            .filter(|call| was_started.contains(&call.call.id))
        else {
            return false;
        };
        let turn = last_turn(&self.steps).unwrap_or_default();
        let question = self.steps[turn..].iter().rev().find_map(|step| match step {
            Step::Asked { call: id, approval } if *id == call.call.id => Some(*approval),
            _ => None,
        });
        match question {
            Some(approval) => !self.journal.is_unsent(approval).await,
            None => true,
        }
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
