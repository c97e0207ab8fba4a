//! What a run leaves on the disk: each step before the next thing is done, and in the end the answer.

use std::collections::HashMap;

use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::dialect::Dialog;
use super::super::record::{Found, OpenCall, References};
use super::super::refusal::Refusal;
use super::super::step::Step;
use super::Earlier;
use crate::approval::{Approvals, State};
use crate::conversations::{ConversationError, Conversations, MAX_BODY, RunId, Saved};
use crate::types::{ApprovalId, Digest};

/// One run's part of the store.
pub(super) struct Journal {
    conversations: Conversations,
    approvals: Approvals,
    owner: Digest,
    run: RunId,
    next: usize,
    /// The answer is kept already.
    is_over: bool,
}

impl Journal {
    /// A new run, which uses up the client's approvals `decided`, and its first steps.
    ///
    /// # Errors
    /// One of the approvals cannot be used (any more).
    pub(super) async fn begin(
        (conversations, approvals): (Conversations, Approvals),
        (owner, key): (Digest, Digest),
        decided: &[String],
        steps: &[Step],
    ) -> Result<Self, Refusal> {
        let bodies = steps.iter().map(json).collect::<Result<_, _>>()?;
        let run = conversations.begin(owner, key, decided, bodies).await;
        Ok(Self {
            run: run.map_err(|error| Refusal::from(&error))?,
            conversations,
            approvals,
            owner,
            next: steps.len(),
            is_over: false,
        })
    }

    /// Goes on with an earlier run.
    pub(super) fn resume(
        (conversations, approvals): (Conversations, Approvals),
        owner: Digest,
        earlier: Earlier,
    ) -> (Self, Vec<Step>) {
        let this = Self {
            conversations,
            approvals,
            owner,
            run: earlier.run,
            next: earlier.steps.len(),
            is_over: earlier.is_over,
        };
        (this, earlier.steps)
    }

    pub(super) async fn write(&mut self, step: &Step) -> Result<(), Refusal> {
        let written = self
            .conversations
            .step(self.run, self.next, json(step)?)
            .await;
        written.map_err(|error| Refusal::from(&error))?;
        self.next += 1;
        Ok(())
    }

    /// Keeps the answer, for the client's next request. One that is too large for that is the client's all
    /// the same: its tools have run.
    pub(super) async fn keep(
        &mut self,
        id: &str,
        dialog: &dyn Dialog,
        steps: &[Step],
        object: &str,
    ) -> Result<(), Refusal> {
        if self.is_over {
            return Ok(());
        }
        let (record, kept) = dialog.keep(id, steps, object);
        let keyed = |open: OpenCall| Ok::<_, Refusal>((open.approval.clone(), json(&open)?));
        let saved = Saved {
            id: id.to_owned(),
            parent: record.as_ref().and_then(|record| record.parent.clone()),
            body: match &record {
                Some(record) => fitting(id, json(record)?),
                None => None,
            },
            fragments: all(kept.fragments)?,
            pins: all(kept.pins)?,
            open: kept.open.into_iter().map(keyed).collect::<Result<_, _>>()?,
            run: Some(self.run),
        };
        let kept = self.conversations.put(self.owner, saved).await;
        kept.map_err(|error| Refusal::from(&error))
    }

    /// Whether nobody has decided on this question yet.
    pub(super) async fn is_pending(&self, question: ApprovalId) -> bool {
        let item = self.approvals.get(question).await;
        item.is_ok_and(|item| item.state == State::Pending)
    }

    pub(super) async fn are_pending(&self, questions: &[ApprovalId]) -> bool {
        for question in questions {
            if !self.is_pending(*question).await {
                return false;
            }
        }
        true
    }
}

fn fitting(id: &str, body: String) -> Option<String> {
    let bytes = body.len();
    let fits = bytes <= MAX_BODY;
    if !fits {
        tracing::warn!(
            id,
            bytes,
            "an answer is too large to be continued by its id"
        );
    }
    fits.then_some(body)
}

/// What the store knows of `references`.
pub(super) async fn find(
    conversations: &Conversations,
    owner: Digest,
    references: &References,
) -> Result<Found, Refusal> {
    let found = look_up(conversations, owner, references).await;
    found.map_err(|error| Refusal::from(&error))
}

async fn look_up(
    conversations: &Conversations,
    owner: Digest,
    references: &References,
) -> Result<Found, ConversationError> {
    let chain = match &references.parent {
        Some(parent) => conversations
            .chain(owner, parent)
            .await?
            .unwrap_or_default(),
        None => Vec::new(),
    };
    let fragments = conversations.fragments(owner, &references.items).await?;
    let asked = conversations.approvals(owner, &references.items).await?;
    let pins = conversations.pins(owner, &references.pins).await?;
    Ok(Found {
        chain: chain.iter().filter_map(|(_, body)| read(body)).collect(),
        fragments: read_all(&fragments),
        open: read_all(&asked.open),
        used: read_all(&asked.used),
        pins: read_all(&pins),
    })
}

fn read_all<T: DeserializeOwned>(bodies: &HashMap<String, String>) -> HashMap<String, T> {
    let read = bodies
        .iter()
        .filter_map(|(key, body)| Some((key.clone(), read(body)?)));
    read.collect()
}

/// None for what another version of this program wrote and this one cannot read: it is as good as
/// expired.
pub(super) fn read<T: DeserializeOwned>(body: &str) -> Option<T> {
    let read = serde_json::from_str(body);
    if let Err(error) = &read {
        tracing::warn!(%error, "a stored part of a conversation cannot be read");
    }
    read.ok()
}

fn all<T: Serialize>(bodies: Vec<(String, T)>) -> Result<Vec<(String, String)>, Refusal> {
    let bodies = bodies
        .into_iter()
        .map(|(key, body)| Ok::<_, Refusal>((key, json(&body)?)));
    bodies.collect()
}

fn json<T: Serialize>(body: &T) -> Result<String, Refusal> {
    serde_json::to_string(body).map_err(|error| {
        let message = format!("this conversation cannot be stored: {error}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    })
}
