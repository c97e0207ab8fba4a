//! The calls of a turn, and those that the client has decided on: which of them run, and how each does.

use tokio::sync::{mpsc, oneshot, watch};

use super::super::dialect::{Decided, Ending, Shown};
use super::super::event::{FunctionCall, Usage};
use super::super::step::{CallRef, CallResult, McpCall, Outcome, Step};
use super::batch::take_of;
use super::drive::{Halt, Run, last_turn};
use super::servers::Servers;
use crate::pipeline::{Asked, Gate, Go};
use crate::types::ApprovalId;

impl Run {
    /// Runs what an earlier answer left to the client's decision, and has not ended.
    pub(super) async fn settle_decisions(&mut self) -> Result<(), Halt> {
        // Ids of calls are the vendor's, and may come again in its later turns.
        if last_turn(&self.steps).is_some() {
            return Ok(());
        }
        let was_started = started(&self.steps);
        let mut ended = std::mem::take(&mut self.ended);
        let decided = self.dialog.decided().iter().cloned();
        let pending = decided.map(|decided| match take_of(&mut ended, &decided.call.call.id) {
            Some(result) => Pending::Ended(result),
            None => Pending::decided(decided),
        });
        let calls: Vec<Pending> = pending.collect();
        if calls.is_empty() {
            return Ok(());
        }
        self.begin("", Usage::default()).await;
        for call in calls.iter().filter_map(Pending::shown) {
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
        let was_started = started(&self.steps[at..]);
        let mut ended = std::mem::take(&mut self.ended);
        let mut left = self.calls_left();
        let (mut pending, mut approvals, mut for_client) = (Vec::new(), Vec::new(), false);
        let goes_on = !calls.is_empty();
        for call in calls {
            if let Some(result) = take_of(&mut ended, &call.id) {
                left = left.saturating_sub(usize::from(result.outcome.is_shown()));
                pending.push(Pending::Ended(result));
                continue;
            }
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
}

/// A call of one turn, and what is to be done about it.
pub(super) enum Pending {
    Run(McpCall),
    Told(CallRef, Outcome),
    /// By an earlier attempt.
    Ended(CallResult),
}

impl Pending {
    fn decided(decided: Decided) -> Self {
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
            Self::Told(..) | Self::Ended(_) => None,
        }
    }

    fn shown(&self) -> Option<&McpCall> {
        match self {
            Self::Run(call) => Some(call),
            Self::Ended(CallResult {
                call: CallRef::Mcp(call),
                outcome,
            }) if outcome.is_shown() => Some(call),
            Self::Told(..) | Self::Ended(_) => None,
        }
    }

    /// None where it was not let go: nothing was sent of it.
    pub(super) async fn run(
        self,
        servers: &Servers,
        notes: Notes,
        (is_lost, asks_person): (bool, bool),
    ) -> Option<CallResult> {
        let call = match self {
            Self::Told(call, outcome) => return Some(CallResult { call, outcome }),
            Self::Ended(result) => return Some(result),
            Self::Run(call) => call,
        };
        let outcome = match is_lost {
            true => lost(&call),
            false => send(&call, servers, notes, asks_person).await?,
        };
        let call = CallRef::Mcp(call);
        Some(CallResult { call, outcome })
    }
}

/// Where a call says what becomes of it, with its place among the others.
pub(super) struct Notes {
    pub(super) at: usize,
    pub(super) notes: mpsc::Sender<(usize, Note)>,
}

pub(super) enum Note {
    /// It waits for a person, at this question.
    Asked(ApprovalId),
    /// It is sent as soon as it has the word.
    Sends(String, Go),
}

impl Notes {
    async fn say(&self, note: Note) {
        // Whoever has gone has dropped the call, too.
        let _ = self.notes.send((self.at, note)).await;
    }
}

/// None where it was not let go.
async fn send(
    call: &McpCall,
    servers: &Servers,
    notes: Notes,
    asks_person: bool,
) -> Option<Outcome> {
    let (question, mut waits_at) = watch::channel(None);
    let (gate, mut waiting) = Gate::new();
    let asked = Asked {
        question,
        in_any_case: asks_person,
        gate: Some(gate),
    };
    let mut calling = Box::pin(servers.call(call, &asked));
    loop {
        tokio::select! {
            outcome = &mut calling => return Some(outcome),
            Ok(()) = waits_at.changed() => {
                let approval = *waits_at.borrow_and_update();
                if let Some(approval) = approval {
                    notes.say(Note::Asked(approval)).await;
                }
            }
            Some(go) = waiting.recv() => {
                let (word, is_noted) = oneshot::channel();
                notes.say(Note::Sends(call.call.id.clone(), word)).await;
                is_noted.await.ok()?;
                let _ = go.send(());
            }
        }
    }
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
