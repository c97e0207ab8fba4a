//! Answering one request, from what the client sent to what it gets.
//!
//! The answer is worked out in a task of its own (`drive`), so that a client that goes away cuts
//! nothing off in the middle; `respond` hands the client what the task puts out.

mod batch;
mod calls;
mod drive;
mod ids;
mod journal;
mod listing;
mod model;
mod outlet;
mod respond;
mod servers;
mod show;
mod turn;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Response, StatusCode};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::time::Instant;

use self::drive::{Caps, Halt, Run};
use self::journal::Journal;
pub(in crate::adapters) use self::model::Model;
use self::outlet::Outlet;
pub(in crate::adapters) use self::outlet::Piece;
use self::respond::Manner;
use self::servers::Servers;
use super::dialect::Request;
use super::event::Wire;
use super::hub::{Hub, Joined};
use super::openai;
use super::problem;
use super::record::Found;
use super::refusal::Refusal;
use super::step::{Listing, Step};
use crate::approval::Approvals;
use crate::clock::SharedClock;
use crate::config::AiConfig;
use crate::conversations::{Conversations, RunId};
use crate::lifecycle::Lifecycle;
use crate::pipeline::Pipeline;
use crate::types::{Caller, Digest};

/// What answers are made with. Cloneable handle.
#[derive(Clone)]
pub(super) struct Runner {
    pub(super) pipeline: Pipeline,
    pub(super) conversations: Conversations,
    pub(super) approvals: Approvals,
    pub(super) lifecycle: Lifecycle,
    pub(super) clock: SharedClock,
    pub(super) settings: Arc<AiConfig>,
    /// Answers under way.
    pub(super) hub: Hub<Piece>,
}

/// A request that is answered here.
pub(super) struct Job {
    pub(super) request: Box<dyn Request>,
    pub(super) wire: Wire,
    pub(super) model: Model,
    pub(super) owner: Digest,
    /// Of path and body.
    pub(super) key: Digest,
    /// The client says that it sent the same before.
    pub(super) is_retry: bool,
}

impl Runner {
    pub(super) async fn answer(&self, job: Job) -> Response<Body> {
        let manner = Manner {
            wire: job.wire,
            streams: job.request.streams(),
        };
        let key = Digest::of_parts([&job.owner.as_bytes()[..], &job.key.as_bytes()[..]]);
        let joined = match job.is_retry {
            true => self.hub.join(key),
            false => {
                let (producer, pieces) = self.hub.open(key);
                Ok(Joined::Open(producer, pieces))
            }
        };
        let (producer, pieces) = match joined {
            Ok(Joined::Reader(pieces)) => return respond::respond(pieces, manner).await,
            Ok(Joined::Open(producer, pieces)) => (producer, pieces),
            Err(refusal) => return problem::refusal(job.wire, &refusal, false),
        };
        let outlet = Outlet::new(producer);
        let this = self.clone();
        self.lifecycle.spawn("model answer", async move {
            if let Err(refusal) = this.run(job, outlet.clone()).await {
                let may_retry = true;
                outlet.put(Piece::Refuse { refusal, may_retry }).await;
            }
        });
        respond::respond(pieces, manner).await
    }

    /// # Errors
    /// Nothing was begun.
    async fn run(&self, job: Job, outlet: Outlet) -> Result<(), Refusal> {
        let Model {
            vendors,
            visitor,
            vendor,
            ..
        } = &job.model;
        // Before a tool runs or an approval is used up for an answer that no model may give.
        let may_ask = vendors.authorize(visitor, vendor);
        may_ask.map_err(|error| Refusal::from(&error))?;
        let caller = visitor.caller.clone();
        let max_bytes = usize::try_from(self.settings.max_result_bytes).unwrap_or(usize::MAX);
        let servers = Arc::new(Servers::new(self.pipeline.clone(), caller, max_bytes));
        let earlier = match job.is_retry {
            true => self.earlier(&job).await?,
            false => None,
        };
        let references = job.request.references();
        let mut found = journal::find(&self.conversations, job.owner, &references).await?;
        let known = earlier.as_ref().and_then(|earlier| listed(&earlier.steps));
        let first = earlier.as_ref().and_then(|earlier| earlier.steps.first());
        if let Some(Step::Opened { decided, .. }) = first {
            // This very request used them up. Others in its history were used by others.
            let own = found.used.extract_if(|id, _| decided.contains(id));
            found.open.extend(own);
        }
        let listings = match known {
            Some(listings) => listings,
            None => listing::listings(&*job.request, &found, &servers).await?,
        };
        let reserved = job.request.reserved().into_iter().collect::<HashSet<_>>();
        let dialog = job.request.bind(found, listings.clone())?;
        let store = (self.conversations.clone(), self.approvals.clone());
        let (journal, steps) = match earlier {
            Some(earlier) => Journal::resume(store, job.owner, earlier),
            None => {
                let decided = dialog.decided().iter();
                let decided: Vec<String> = decided.map(|one| one.approval.clone()).collect();
                let opened = Step::Opened {
                    id: new_id(job.wire)?,
                    at: self.clock.now().as_second(),
                    decided: decided.clone(),
                };
                let steps = vec![opened, Step::Listed(listings)];
                let owned = (job.owner, job.key);
                let journal = Journal::begin(store, owned, &decided, &steps).await?;
                (journal, steps)
            }
        };
        let (id, at) = match steps.first() {
            Some(Step::Opened { id, at, .. }) => (id.clone(), *at),
            _ => (new_id(job.wire)?, self.clock.now().as_second()),
        };
        let encoder = dialog.encoder(&id, at);
        let mut run = Run {
            id,
            dialog,
            reserved: Arc::new(reserved),
            servers: Arc::clone(&servers),
            model: job.model,
            journal,
            outlet: outlet.clone(),
            encoder,
            steps,
            caps: Caps {
                rounds: usize::try_from(self.settings.max_rounds).unwrap_or(usize::MAX),
                until: Instant::now() + Duration::from_secs(self.settings.max_seconds),
            },
            begun: false,
            ended: Vec::new(),
            results: 0,
            dropped: Vec::new(),
        };
        match run.drive().await {
            Ok(()) | Err(Halt::Abandoned) => {}
            Err(Halt::Passed(response)) => outlet.put(Piece::Pass(*response)).await,
            Err(Halt::Failed(refusal)) => run.fail(refusal).await,
        }
        drop(run);
        servers.close().await;
        Ok(())
    }
}

impl Runner {
    /// What is known of `request`, and the tools that its model would be offered.
    ///
    /// # Errors
    /// A server cannot be asked, or does not answer.
    pub(super) async fn look_up(
        &self,
        request: &dyn Request,
        owner: Digest,
        caller: Caller,
    ) -> Result<(Found, Vec<Listing>), Refusal> {
        let max_bytes = usize::try_from(self.settings.max_result_bytes).unwrap_or(usize::MAX);
        let servers = Servers::new(self.pipeline.clone(), caller, max_bytes);
        let references = request.references();
        let found = journal::find(&self.conversations, owner, &references).await?;
        let listings = listing::listings(request, &found, &servers).await;
        servers.close().await;
        Ok((found, listings?))
    }

    /// The run of the same request before this one, and what it did.
    ///
    /// # Errors
    /// It cannot be told, so the calls of this one might be those of that one.
    async fn earlier(&self, job: &Job) -> Result<Option<Earlier>, Refusal> {
        let journal = self.conversations.journal(job.owner, job.key).await;
        let Some(journal) = journal.map_err(|error| Refusal::from(&error))? else {
            return Ok(None);
        };
        let steps = journal.steps.iter().map(|step| journal::read(step));
        let steps: Vec<Step> = steps.collect::<Option<_>>().ok_or_else(unreadable)?;
        // Cut off before it could say who it is, it did nothing either.
        let has_begun = matches!(steps.as_slice(), [Step::Opened { .. }, Step::Listed(_), ..]);
        Ok(has_begun.then_some(Earlier {
            run: journal.run,
            is_over: journal.finished.is_some(),
            steps,
        }))
    }
}

fn unreadable() -> Refusal {
    let message = "What was done for the first try of this request was written by another version of the \
                   daemon and cannot be read, so it is not done again. Send it as a new request if its \
                   tools may run once more.";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}

struct Earlier {
    run: RunId,
    is_over: bool,
    steps: Vec<Step>,
}

fn listed(steps: &[Step]) -> Option<Vec<Listing>> {
    steps.iter().find_map(|step| match step {
        Step::Listed(listings) => Some(listings.clone()),
        _ => None,
    })
}

/// An id as the vendor would give it.
fn new_id(wire: Wire) -> Result<String, Refusal> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).map_err(|_| {
        let message = "the system has no randomness";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })?;
    let random = bytes
        .iter()
        .fold(String::new(), |id, byte| format!("{id}{byte:02x}"));
    Ok(match wire {
        Wire::Responses => openai::ids::response(&random),
        Wire::Chat => format!("chatcmpl-{random}"),
        Wire::Messages => format!("msg_{random}"),
    })
}
