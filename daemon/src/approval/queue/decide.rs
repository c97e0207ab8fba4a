//! A person answers. The first answer counts.

use std::sync::Arc;

use jiff::Timestamp;

use super::submit::later;
use super::{Entry, MAX_GRANTS, Queue, events};
use crate::approval::error::ApprovalError;
use crate::approval::grant::Grant;
use crate::approval::item::{Decision, Edited, Item, Remember, State};
use crate::types::{ApprovalId, Decider, without_client_tokens};

/// A verdict whose parts have been checked as far as they can be without the item.
#[derive(Debug, Clone)]
pub(in crate::approval) enum Ruling {
    Approve {
        remember: Remember,
        edited: Option<Edited>,
    },
    Deny {
        reason: Option<String>,
    },
}

/// Why a ruling did not take effect.
#[derive(Debug)]
pub(in crate::approval) enum Undecided {
    /// It is over, or there was never one.
    NotLive,
    Refused(ApprovalError),
}

impl From<ApprovalError> for Undecided {
    fn from(error: ApprovalError) -> Self {
        Self::Refused(error)
    }
}

impl Queue {
    /// Decides about one pending item. `weak_counts` is whether a client may approve its own call
    /// where the item's policy accepts that.
    pub(in crate::approval) fn decide(
        &mut self,
        id: ApprovalId,
        ruling: &Ruling,
        by: &Decider,
        weak_counts: bool,
        now: Timestamp,
    ) -> Result<Arc<Item>, Undecided> {
        let item = Arc::clone(self.live.get(&id).ok_or(Undecided::NotLive)?);
        if item.state != State::Pending {
            return Err(ApprovalError::AlreadyDecided(item).into());
        }
        let decision = |approved, reason, remember| Decision {
            approved,
            by: by.clone(),
            at: now,
            reason,
            remember,
            grant: None,
        };
        match ruling {
            Ruling::Deny { reason } => Ok(self.put(Item {
                state: State::Denied,
                ended_at: Some(now),
                decision: Some(decision(false, reason.clone(), Remember::Once)),
                ..Item::clone(&item)
            })),
            Ruling::Approve { remember, edited } => {
                let plain = *remember == Remember::Once && edited.is_none();
                if by.is_weak() && !(plain && weak_counts && item.action.accepts_weak) {
                    return Err(ApprovalError::TooWeak { id }.into());
                }
                let edited = edited
                    .as_ref()
                    .filter(|edited| edited.argument_digest != item.action.argument_digest);
                if edited.is_some() && !item.action.editable {
                    return Err(ApprovalError::NotEditable { id }.into());
                }
                let mut approved = Item {
                    state: State::Approved,
                    expires_at: later(now, item.patience_seconds),
                    decision: Some(decision(true, None, *remember)),
                    edited: edited.cloned(),
                    ..Item::clone(&item)
                };
                let grant = self.grant(&approved, *remember, by, now)?;
                if let Some(decision) = &mut approved.decision {
                    decision.grant = grant.as_ref().map(|grant| grant.id);
                }
                let approved = self.put(approved);
                if let Some(grant) = grant {
                    self.give(grant, now);
                }
                Ok(approved)
            }
        }
    }

    /// The standing permission that comes with the approval, if any.
    fn grant(
        &self,
        item: &Item,
        remember: Remember,
        by: &Decider,
        now: Timestamp,
    ) -> Result<Option<Grant>, ApprovalError> {
        let (these_arguments, seconds) = match remember {
            Remember::Once => return Ok(None),
            Remember::For { seconds } => (false, Some(seconds)),
            Remember::Always { arguments } => (arguments, None),
        };
        let action = &item.action;
        let tool_digest = action
            .tool_digest
            .ok_or_else(|| ApprovalError::UnknownTool {
                server: action.server.clone(),
                tool: action.tool.clone(),
            })?;
        if self.grants.len() >= MAX_GRANTS {
            return Err(ApprovalError::TooManyGrants { limit: MAX_GRANTS });
        }
        Ok(Some(Grant {
            id: item.id,
            server: action.server.clone(),
            address: action.address.clone(),
            tool: action.tool.clone(),
            tool_digest,
            argument_digest: these_arguments.then(|| item.argument_digest()),
            arguments: (these_arguments && action.keep_arguments)
                .then(|| without_client_tokens(item.arguments()).into_owned()),
            principal: seconds.map(|_| action.caller.principal.clone()),
            by: by.clone(),
            given_at: now,
            expires_at: seconds.map(|seconds| later(now, seconds)),
        }))
    }

    /// Adds `grant`. Calls that wait and that it covers need no answer of their own any more, except
    /// those that may have run before.
    fn give(&mut self, grant: Grant, now: Timestamp) {
        let replaced = self.grants.add(grant.clone());
        let gone = replaced.iter().map(|grant| Entry::GrantGone(grant.id));
        self.journal.extend(gone);
        let event = events::granted(&grant, replaced.len());
        self.journal.push(Entry::Grant(Arc::new(grant)));
        self.journal.push(Entry::Event(event));
        let covered: Vec<_> = self
            .live()
            .filter(|item| item.state == State::Pending && item.earlier.is_none())
            .filter_map(|item| {
                let decision = self.decision_by_grant(&item.action, now)?;
                Some((Arc::clone(item), decision))
            })
            .collect();
        for (item, decision) in covered {
            self.put(Item {
                state: State::Approved,
                expires_at: later(now, item.patience_seconds),
                decision: Some(decision),
                ..Item::clone(&item)
            });
        }
    }
}
