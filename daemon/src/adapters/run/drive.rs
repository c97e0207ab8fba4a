//! The loop: ask the model, run the calls it makes, tell it what came of them, until it is done or
//! something waits for the client.

use std::collections::HashSet;
use std::sync::Arc;

use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::super::dialect::{Dialog, Encoder, Ending, Finish, Shown};
use super::super::event::{End, Event, Usage};
use super::super::refusal::Refusal;
use super::super::step::{CallResult, Step};
use super::ids::{self, CallIds};
use super::journal::Journal;
use super::model::{Asking, Model};
use super::outlet::{Outlet, Piece};
use super::servers::Servers;
use super::turn::{Heard, Turn};

/// How often the model is asked, and until when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    pub(super) rounds: usize,
    pub(super) until: Instant,
}

/// Why a run ends before its answer is complete.
#[derive(Debug)]
pub(super) enum Halt {
    /// The client is told why, as far as it can be.
    Failed(Refusal),
    /// The vendor refused before anything happened; its answer is the client's.
    Passed(Box<http::Response<bytes::Bytes>>),
    /// Nobody listens any more. What is done is in the journal.
    Abandoned,
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Failed(refusal)
    }
}

/// One request being answered.
pub(super) struct Run {
    /// Of the answer.
    pub(super) id: String,
    pub(super) dialog: Box<dyn Dialog>,
    /// Functions of the client.
    pub(super) reserved: Arc<HashSet<String>>,
    pub(super) servers: Arc<Servers>,
    pub(super) model: Model,
    pub(super) journal: Journal,
    pub(super) outlet: Outlet,
    pub(super) encoder: Box<dyn Encoder>,
    /// Those of an earlier attempt first.
    pub(super) steps: Vec<Step>,
    pub(super) caps: Caps,
    pub(super) begun: bool,
    /// What an earlier attempt put down of the turn that was not over, as its calls ended.
    pub(super) ended: Vec<CallResult>,
    /// Bytes of all results.
    pub(super) results: usize,
    /// Fields of the request that the vendor has no place for.
    pub(super) dropped: Vec<String>,
}

impl Run {
    /// Answers, from where the steps so far ended.
    pub(super) async fn drive(&mut self) -> Result<(), Halt> {
        let earlier = std::mem::take(&mut self.steps);
        for step in earlier {
            self.replay(step).await;
        }
        self.settle_decisions().await?;
        if let Some(Step::Turn(turn)) = last_turn(&self.steps).map(|at| &self.steps[at])
            && turn.end.reason != End::Pause
        {
            let reason = turn.end.reason.clone();
            let ending = match reason {
                End::Complete => self.finish_turn().await?,
                other => Some(Ending::Model(other)),
            };
            if let Some(ending) = ending {
                return self.finish(ending).await;
            }
        }
        loop {
            if self.rounds() >= self.caps.rounds || Instant::now() >= self.caps.until {
                return self.finish(Ending::Cap).await;
            }
            if self.outlet.is_abandoned().await {
                return Err(Halt::Abandoned);
            }
            let heard = self.ask().await?;
            let reason = heard.turn.end.reason.clone();
            if let End::Failed { code, message } = &reason {
                return Err(Halt::Failed(broken(code, message)));
            }
            self.push(Step::Turn(heard.turn)).await?;
            self.show_kept(heard.kept).await;
            match reason {
                End::Pause => {}
                End::Complete => {
                    if let Some(ending) = self.finish_turn().await? {
                        return self.finish(ending).await;
                    }
                }
                other => return self.finish(Ending::Model(other)).await,
            }
        }
    }

    /// One answer of the model, shown as it comes.
    pub(super) async fn ask(&mut self) -> Result<Heard, Halt> {
        // What the client has seen of the answer cannot be taken back either.
        let ran = self.begun || self.has_run();
        let body = self.dialog.body(&self.steps)?;
        let taken = ids::in_request(&body);
        let (table, reserved) = (Arc::clone(self.dialog.table()), Arc::clone(&self.reserved));
        let number = self.rounds();
        let outlet = self.outlet.clone();
        let mut gone = Box::pin(outlet.abandoned());
        let asked = self.model.ask(self.dialog.wire(), body, ran);
        let asked = tokio::select! {
            asked = timeout_at(self.caps.until, asked) => asked,
            () = &mut gone => return Err(Halt::Abandoned),
        };
        let mut asking = match asked.map_err(|_| Halt::Failed(too_long()))?? {
            Asking::Answers(asking) => asking,
            Asking::Refused(response) => return Err(Halt::Passed(Box::new(response))),
        };
        let wire = asking.wire();
        self.dropped = asking.dropped().to_vec();
        let mut turn = Turn::new(CallIds::new(wire, taken), (&table, &reserved));
        while !turn.is_over() {
            let next = tokio::select! {
                next = timeout_at(self.caps.until, asking.next()) => next,
                () = &mut gone => return Err(Halt::Abandoned),
            };
            let Some(event) = next.map_err(|_| Halt::Failed(too_long()))?? else {
                break;
            };
            if let Event::Begin { model, usage } = &event {
                self.begin(model, *usage).await;
            }
            let taken = turn.take(event);
            if let Some(event) = taken.map_err(|problem| broken("server_error", problem))? {
                let event = &event;
                let turn = number;
                self.show(Shown::Model { wire, turn, event }).await;
            }
        }
        turn.finish()
            .ok_or_else(|| Halt::Failed(broken("server_error", "the vendor broke its answer off")))
    }

    pub(super) async fn finish(&mut self, ending: Ending) -> Result<(), Halt> {
        self.begin("", Usage::default()).await;
        let turns: Vec<Usage> = self
            .steps
            .iter()
            .filter_map(|step| match step {
                Step::Turn(turn) => Some(turn.end.usage),
                _ => None,
            })
            .collect();
        let mut usage = Usage::default();
        turns.iter().for_each(|turn| usage += *turn);
        let mut frames = Vec::new();
        let finish = Finish {
            ending,
            usage,
            turns,
            steps: &self.steps,
        };
        self.encoder.show(Shown::Finish(&finish), &mut frames);
        let object = self.encoder.object();
        // What the client may refer to next must be there before it can.
        self.journal
            .keep(&self.id, &*self.dialog, &self.steps, &object)
            .await?;
        self.outlet.frames(frames).await;
        self.outlet.finish(object).await;
        Ok(())
    }

    /// Tells the client that the answer cannot be completed.
    pub(super) async fn fail(&mut self, refusal: Refusal) {
        let may_retry = !self.has_run();
        if !self.begun {
            self.outlet.put(Piece::Refuse { refusal, may_retry }).await;
            return;
        }
        self.show(Shown::Failed(&refusal)).await;
        let object = self.encoder.object();
        let piece = Piece::Fail {
            object,
            refusal,
            may_retry,
        };
        self.outlet.put(piece).await;
    }

    pub(super) async fn show(&mut self, shown: Shown<'_>) {
        let mut frames = Vec::new();
        self.encoder.show(shown, &mut frames);
        self.outlet.frames(frames).await;
    }

    pub(super) async fn push(&mut self, step: Step) -> Result<(), Halt> {
        self.journal.write(&step).await?;
        self.steps.push(step);
        Ok(())
    }

    pub(super) fn rounds(&self) -> usize {
        let is_turn = |step: &&Step| matches!(step, Step::Turn(_));
        self.steps.iter().filter(is_turn).count()
    }

    /// Whether a tool may have run, so that the request must not be repeated as a whole.
    pub(super) fn has_run(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Started(_)))
    }
}

pub(super) fn last_turn(steps: &[Step]) -> Option<usize> {
    steps.iter().rposition(|step| matches!(step, Step::Turn(_)))
}

pub(super) fn broken(code: &str, message: &str) -> Refusal {
    let status = match code {
        "rate_limit_exceeded" | "rate_limit_error" => StatusCode::TOO_MANY_REQUESTS,
        "overloaded_error" => StatusCode::SERVICE_UNAVAILABLE,
        "invalid_request_error" | "invalid_prompt" => StatusCode::BAD_REQUEST,
        _ => StatusCode::BAD_GATEWAY,
    };
    Refusal::new(
        status,
        format!("The model's answer failed ({code}): {message}"),
    )
}

fn too_long() -> Refusal {
    let message = "The answer took longer than ai.max_seconds in config.json allows.";
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, message)
}
