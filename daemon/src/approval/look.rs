//! What is shown of questions, answers and grants.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::Approvals;
use super::error::ApprovalError;
use super::grant::Grant;
use super::item::{Item, State};
use super::records::{self, Filter};
use crate::types::ApprovalId;

/// Fewer characters of an id are too likely to mean another item a moment later.
const MIN_PREFIX: usize = 4;
/// Items of the history that are read at once.
const MAX_PAGE: u32 = 1_000;

impl Approvals {
    /// Pending, approved and executing items, oldest first.
    pub fn live(&self) -> Vec<Arc<Item>> {
        self.inner.board.items()
    }

    /// Items that need an answer, oldest first.
    pub fn pending(&self) -> Vec<Arc<Item>> {
        let mut items = self.live();
        items.retain(|item| item.state == State::Pending);
        items
    }

    /// How many calls wait at an item at this moment.
    pub fn waiting(&self, id: ApprovalId) -> usize {
        let live = self.inner.board.get(id);
        live.map_or(0, |live| live.holders.borrow().len())
    }

    /// Ids of items that have changed, or at which a call has come or gone. A subscriber that lags
    /// reads again what it shows.
    pub fn subscribe(&self) -> broadcast::Receiver<ApprovalId> {
        self.inner.board.subscribe()
    }

    /// # Errors
    /// There is none.
    pub async fn get(&self, id: ApprovalId) -> Result<Arc<Item>, ApprovalError> {
        if let Some(live) = self.inner.board.get(id) {
            return Ok(Arc::clone(&live.item.borrow()));
        }
        let read = self.inner.store.read(move |c| records::get(c, id)).await?;
        read.ok_or_else(|| ApprovalError::NotFound(id.to_string()))
    }

    /// The id that begins with `prefix`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn resolve(&self, prefix: &str) -> Result<ApprovalId, ApprovalError> {
        let not_found = || ApprovalError::NotFound(prefix.chars().take(40).collect());
        if let Ok(id) = prefix.parse() {
            return Ok(id);
        }
        let is_id = |c: char| c.is_ascii_lowercase() || ('2'..='7').contains(&c);
        if !prefix.chars().all(is_id) {
            return Err(not_found());
        }
        if prefix.len() < MIN_PREFIX {
            let prefix = prefix.to_owned();
            return Err(ApprovalError::Ambiguous { prefix });
        }
        let beginning = prefix.to_owned();
        let found = self
            .inner
            .store
            .read(move |c| records::beginning_with(c, &beginning))
            .await?;
        match found.as_slice() {
            [id] => Ok(*id),
            [] => Err(not_found()),
            _ => Err(ApprovalError::Ambiguous {
                prefix: prefix.to_owned(),
            }),
        }
    }

    /// What was asked so far, newest first; live items included.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn history(&self, mut filter: Filter) -> Result<Vec<Item>, ApprovalError> {
        filter.limit = filter.limit.clamp(1, MAX_PAGE);
        let read = self.inner.store.read(move |c| records::page(c, &filter));
        Ok(read.await?)
    }

    /// Standing permissions that count, newest first.
    ///
    /// # Errors
    /// The records cannot be read.
    pub async fn grants(&self) -> Result<Vec<Grant>, ApprovalError> {
        let now = self.inner.clock.now();
        let mut grants = self.inner.store.read(records::grants).await?;
        grants.retain(|grant| grant.is_valid(now));
        grants.sort_by_key(|grant| (std::cmp::Reverse(grant.given_at), grant.id));
        Ok(grants)
    }

    /// The grant whose id begins with `prefix`.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub async fn resolve_grant(&self, prefix: &str) -> Result<ApprovalId, ApprovalError> {
        let grants = self.grants().await?;
        let mut found = grants
            .iter()
            .filter(|grant| prefix.len() >= MIN_PREFIX && grant.id.as_str().starts_with(prefix));
        let shown = || prefix.chars().take(40).collect();
        match (found.next(), found.next()) {
            (Some(grant), None) => Ok(grant.id),
            (None, _) => Err(ApprovalError::NoGrant(shown())),
            _ => Err(ApprovalError::Ambiguous { prefix: shown() }),
        }
    }
}
