//! Running the calls of a turn: each at most once, and what came of them on the disk before the model
//! hears of it.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use http::StatusCode;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::super::dialect::{Decided, Ending, Shown};
use super::super::event::{FunctionCall, Usage};
use super::super::refusal::Refusal;
use super::super::step::{CallRef, CallResult, McpCall, Outcome, Step};
use super::drive::{Halt, Run, ended, last_turn};
use super::servers::Servers;
use crate::pipeline::Asked;

impl Run {
    /// Runs what an earlier answer left to the client's decision, and has not ended.
    pub(super) async fn settle_decisions(&mut self) -> Result<(), Halt> {
        // Ids of calls are the vendor's, and may come again in its later turns.
        if last_turn(&self.steps).is_some() {
            return Ok(());
        }
        let (ended, was_started) = (ended(&self.steps), started(&self.steps));
        let decided = self.dialog.decided().iter();
        let left = decided.filter(|decided| !ended.contains(&decided.call.call.id));
        let calls: Vec<Pending> = left.cloned().map(Pending::decided).collect();
        if calls.is_empty() {
            return Ok(());
        }
        self.begin("", Usage::default()).await;
        for call in calls.iter().filter_map(Pending::runs) {
            self.show(Shown::Calls(std::slice::from_ref(call))).await;
        }
        self.run(calls, &was_started).await
    }

    /// After a complete turn: runs those of its calls that have not ended. Some if the answer ends here.
    pub(super) async fn finish_turn(&mut self) -> Result<Option<Ending>, Halt> {
        let Some(at) = last_turn(&self.steps) else {
            return Ok(None);
        };
        let Step::Turn(turn) = &self.steps[at] else {
            return Ok(None);
        };
        let calls: Vec<FunctionCall> = turn.calls().cloned().collect();
        let reason = turn.end.reason.clone();
        let since = &self.steps[at..];
        let (ended, was_started) = (ended(since), started(since));
        let mut left = self.calls_left();
        let (mut pending, mut approvals, mut for_client) = (Vec::new(), Vec::new(), false);
        let goes_on = !calls.is_empty();
        for call in calls.into_iter().filter(|call| !ended.contains(&call.id)) {
            match self.dialog.table().resolve(&call) {
                Some(mcp) if left == 0 => {
                    pending.push(Pending::Told(CallRef::Mcp(mcp), over_limit()));
                }
                Some(mcp) => {
                    left -= 1;
                    match self.dialog.asks_client(&mcp) {
                        true => approvals.push(mcp),
                        false => pending.push(Pending::Run(mcp)),
                    }
                }
                None if self.reserved.contains(&call.name) => for_client = true,
                None => {
                    let outcome = unknown(&call);
                    pending.push(Pending::Told(CallRef::Unknown(call), outcome));
                }
            }
        }
        let goes_on = goes_on && approvals.is_empty() && !for_client;
        if !pending.is_empty() {
            self.run(pending, &was_started).await?;
        }
        for call in &approvals {
            self.show(Shown::Approval(call)).await;
        }
        Ok((!goes_on).then_some(Ending::Model(reason)))
    }

    /// Calls that `max_tool_calls` still allows.
    pub(super) fn calls_left(&self) -> usize {
        let ran = self.steps.iter().map(|step| match step {
            Step::Results(results) => results
                .iter()
                .filter(|result| result.outcome.is_shown())
                .count(),
            _ => 0,
        });
        let ran: usize = ran.sum();
        match self.dialog.limits().calls {
            Some(calls) => usize::try_from(calls)
                .unwrap_or(usize::MAX)
                .saturating_sub(ran),
            None => usize::MAX,
        }
    }

    /// Runs `calls`, each at most once, and puts what came of them down.
    async fn run(&mut self, calls: Vec<Pending>, was_started: &[String]) -> Result<(), Halt> {
        let starting: Vec<String> = calls
            .iter()
            .filter_map(Pending::runs)
            .map(|call| call.call.id.clone())
            .filter(|id| !was_started.contains(id))
            .collect();
        if !starting.is_empty() {
            self.push(Step::Started(starting)).await?;
        }
        for batch in batches(calls, self.dialog.limits().parallel) {
            let (results, halted) = self.run_batch(batch, was_started).await?;
            if !results.is_empty() {
                self.push(Step::Results(results.clone())).await?;
                self.show_ended(&results).await;
            }
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
    ) -> Result<(Vec<CallResult>, Option<Halt>), Halt> {
        let count = batch.len();
        let (asked, mut questions) = mpsc::channel::<Step>(count.max(1));
        let mut running = FuturesUnordered::new();
        for (at, pending) in batch.into_iter().enumerate() {
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
        drop(asked);
        let since = Instant::now();
        let mut ended: Vec<Option<CallResult>> = (0..count).map(|_| None).collect();
        let mut waiting = HashMap::new();
        let mut halted = None;
        let outlet = self.outlet.clone();
        let mut gone = Box::pin(outlet.deserted());
        loop {
            tokio::select! {
                biased;
                Some(step) = questions.recv() => {
                    if let Step::Asked { call, approval } = &step {
                        waiting.insert(call.clone(), *approval);
                    }
                    self.push(step).await?;
                }
                next = running.next() => {
                    let Some((at, result)) = next else { break };
                    let question = waiting.remove(&result.call.call().id);
                    // The daemon ends, and so the wait; the question stays.
                    match question {
                        Some(question) if self.journal.is_pending(question).await => {
                            halted = Some(Halt::Failed(stopping()));
                        }
                        _ => ended[at] = Some(result),
                    }
                }
                // Calls that wait for a person are taken back; their questions stay. As long as
                // something runs, whoever sends the request again has to find it here.
                () = &mut gone, if waiting.len() == running.len() => {
                    if self.journal.are_pending(&waiting).await && outlet.give_up() {
                        halted = Some(Halt::Abandoned);
                        break;
                    }
                    gone = Box::pin(outlet.deserted());
                }
            }
        }
        if !waiting.is_empty()
            || self
                .steps
                .iter()
                .any(|step| matches!(step, Step::Asked { .. }))
        {
            // People take their time, and it is not the model's.
            self.caps.until += since.elapsed();
        }
        Ok((ended.into_iter().flatten().collect(), halted))
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

/// A call of one turn, and what is to be done about it.
enum Pending {
    Run(McpCall),
    Told(CallRef, Outcome),
}

impl Pending {
    pub(super) fn decided(decided: Decided) -> Self {
        let call = McpCall {
            approval: Some(decided.approval),
            ..decided.call
        };
        match decided.approve {
            true => Self::Run(call),
            false => {
                let reason = decided.reason;
                Self::Told(CallRef::Mcp(call), Outcome::Declined { reason })
            }
        }
    }

    pub(super) fn runs(&self) -> Option<&McpCall> {
        match self {
            Self::Run(call) => Some(call),
            Self::Told(..) => None,
        }
    }

    async fn run(
        self,
        servers: &Servers,
        steps: mpsc::Sender<Step>,
        (is_lost, asks_person): (bool, bool),
    ) -> CallResult {
        let call = match self {
            Self::Told(call, outcome) => return CallResult { call, outcome },
            Self::Run(call) => call,
        };
        if is_lost {
            let outcome = lost(&call);
            return CallResult {
                call: CallRef::Mcp(call),
                outcome,
            };
        }
        let (question, mut waits_at) = watch::channel(None);
        let asked = Asked {
            question,
            in_any_case: asks_person,
        };
        let outcome = {
            let mut calling = Box::pin(servers.call(&call, &asked));
            loop {
                tokio::select! {
                    outcome = &mut calling => break outcome,
                    Ok(()) = waits_at.changed() => {
                        let approval = *waits_at.borrow_and_update();
                        if let Some(approval) = approval {
                            let id = call.call.id.clone();
                            let _ = steps.send(Step::Asked { call: id, approval }).await;
                        }
                    }
                }
            }
        };
        CallResult {
            call: CallRef::Mcp(call),
            outcome,
        }
    }
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

fn started(steps: &[Step]) -> Vec<String> {
    let ids = steps.iter().filter_map(|step| match step {
        Step::Started(ids) => Some(ids.clone()),
        _ => None,
    });
    ids.flatten().collect()
}

fn over_limit() -> Outcome {
    let text = "Not run: the limit of tool calls for this answer is reached.".to_owned();
    Outcome::NotRun { text }
}

fn unknown(call: &FunctionCall) -> Outcome {
    let name: String = call.name.chars().take(128).collect();
    let text = format!("There is no tool named {name:?}. Use one of those that are listed.");
    Outcome::NotRun { text }
}

fn lost(call: &McpCall) -> Outcome {
    let message = format!(
        "The bridge was interrupted while {} ran. Whether it took effect is not known; it is not run \
         again by itself.",
        call.tool
    );
    Outcome::Http { code: 500, message }
}

/// The same request finds the run where it is.
fn stopping() -> Refusal {
    let message = "The bridge stops while a tool call waits for approval. Send the request again: it \
                   goes on where it was.";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)
}
