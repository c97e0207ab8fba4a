//! Answers of people, and the check of what they say.

use std::sync::Arc;

use super::Approvals;
use super::arguments;
use super::error::ApprovalError;
use super::item::{Item, Remember, Verdict};
use super::queue::{Queue, Ruling, Undecided};
use crate::store::Durability;
use crate::types::{ApprovalId, Decider, Secret};

/// A permission "for a duration" is for a piece of work, not for ever.
const MAX_GRANT_DAYS: u32 = 366;
const SECONDS_PER_DAY: u32 = 86_400;
/// Of a reason, which the model reads and every list shows.
const MAX_REASON: usize = 2_000;

impl Approvals {
    /// Answers questions, each of `ids` for itself: the first answer to each counts. Approving needs
    /// the PIN when one is set; denying never does.
    ///
    /// # Errors
    /// None of them was decided: the PIN or the verdict is wrong, or it could not be recorded.
    pub async fn decide(
        &self,
        ids: &[ApprovalId],
        verdict: Verdict,
        by: Decider,
        pin: Option<&Secret>,
    ) -> Result<Vec<Result<Arc<Item>, ApprovalError>>, ApprovalError> {
        let ruling = ruling(verdict, ids.len())?;
        if matches!(ruling, Ruling::Approve { .. }) && !by.is_weak() {
            self.authorize(pin, &by).await?;
        }
        // The answer of the asking client is no substitute for a PIN.
        let weak_counts = !self.inner.pin.is_set();
        let wanted = ids.to_vec();
        let decide = move |queue: &mut Queue, now| {
            let each = wanted.into_iter();
            each.map(|id| (id, queue.decide(id, &ruling, &by, weak_counts, now)))
                .collect::<Vec<_>>()
        };
        let decided = self
            .change(Durability::Power, decide, |_, decided| decided)
            .await?;
        let mut outcomes = Vec::with_capacity(decided.len());
        for (id, outcome) in decided {
            outcomes.push(match outcome {
                Ok(item) => Ok(item),
                Err(Undecided::Refused(error)) => Err(error),
                Err(Undecided::NotLive) => Err(match self.get(id).await {
                    Ok(item) => ApprovalError::AlreadyDecided(item),
                    Err(error) => error,
                }),
            });
        }
        Ok(outcomes)
    }

    /// [`Self::decide`] for one.
    ///
    /// # Errors
    /// It was not decided, or not by this.
    pub async fn decide_one(
        &self,
        id: ApprovalId,
        verdict: Verdict,
        by: Decider,
        pin: Option<&Secret>,
    ) -> Result<Arc<Item>, ApprovalError> {
        let mut outcomes = self.decide(&[id], verdict, by, pin).await?;
        outcomes
            .pop()
            .unwrap_or_else(|| Err(ApprovalError::NotFound(id.to_string())))
    }
}

/// Checks what a person said, before anything waits for it.
fn ruling(verdict: Verdict, count: usize) -> Result<Ruling, ApprovalError> {
    match verdict {
        Verdict::Deny { reason } => {
            let reason = reason
                .map(|reason| reason.trim().to_owned())
                .filter(|reason| !reason.is_empty());
            if reason
                .as_ref()
                .is_some_and(|reason| reason.chars().count() > MAX_REASON)
            {
                return Err(ApprovalError::Reason { limit: MAX_REASON });
            }
            Ok(Ruling::Deny { reason })
        }
        Verdict::Approve {
            remember,
            arguments,
        } => {
            if let Remember::For { seconds } = remember
                && !(1..=MAX_GRANT_DAYS * SECONDS_PER_DAY).contains(&seconds)
            {
                let limit = MAX_GRANT_DAYS;
                return Err(ApprovalError::Duration { limit });
            }
            if arguments.is_some() && count > 1 {
                return Err(ApprovalError::Arguments {
                    why: "they belong to one call, and several were named".to_owned(),
                    source: None,
                });
            }
            let edited = arguments.as_deref().map(arguments::edited).transpose()?;
            Ok(Ruling::Approve { remember, edited })
        }
    }
}
