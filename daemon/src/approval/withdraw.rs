//! What takes questions and permissions back. That only makes things stricter.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Approvals;
use super::error::ApprovalError;
use super::grant::Grant;
use super::queue::Queue;
use crate::store::{Durability, StoreError};
use crate::types::{ApprovalId, Decider, Digest, ServerName};

impl Approvals {
    /// Takes a standing permission back. That only makes things stricter, so it needs no PIN.
    ///
    /// # Errors
    /// There is none with this id, or it could not be recorded.
    pub async fn revoke_grant(&self, id: ApprovalId, by: Decider) -> Result<Grant, ApprovalError> {
        let revoke = move |queue: &mut Queue, _| queue.revoke(|grant| grant.id == id, &by).pop();
        let revoked = self
            .change(Durability::Power, revoke, |_, gone| gone)
            .await?;
        revoked.ok_or_else(|| ApprovalError::NoGrant(id.to_string()))
    }

    /// Ends what waits for servers other than `configured`, and the grants for their tools: the next
    /// server of such a name is another one.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn sync(
        &self,
        configured: impl IntoIterator<Item = &ServerName>,
    ) -> Result<(), ApprovalError> {
        let configured: HashSet<_> = configured.into_iter().cloned().collect();
        let forget = move |queue: &mut Queue, now| {
            let why = "the server was removed";
            queue.withdraw(|item| !configured.contains(&item.action.server), why, now);
            let gone = |grant: &Grant| !configured.contains(&grant.server);
            queue.revoke(gone, &Decider::Daemon);
        };
        Ok(self.change(Durability::Power, forget, |_, ()| ()).await?)
    }

    /// Ends what was asked by other rules than those of `versions` and no call waits for: whoever makes
    /// the call again is judged by the rules of today. A call that waits sees to its own question.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn withdraw_outdated(
        &self,
        versions: HashMap<ServerName, Digest>,
    ) -> Result<(), ApprovalError> {
        let mut outdated = self.live();
        outdated.retain(|item| {
            let now = versions.get(&item.action.server);
            let is_outdated = now.is_some_and(|now| *now != item.action.policy_version);
            item.state.is_open() && is_outdated && self.waiting(item.id) == 0
        });
        let outdated: HashSet<ApprovalId> = outdated.iter().map(|item| item.id).collect();
        if outdated.is_empty() {
            return Ok(());
        }
        let why = "the policy has changed since";
        let withdraw = move |queue: &mut Queue, now| {
            queue.withdraw(|item| outdated.contains(&item.id), why, now);
        };
        Ok(self.change(Durability::Power, withdraw, |_, ()| ()).await?)
    }

    /// Ends a question that has become pointless, or an approval that must not be used any more:
    /// what was judged when it was asked is judged differently now.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn withdraw(&self, id: ApprovalId, why: &str) -> Result<(), ApprovalError> {
        let why = why.to_owned();
        let withdraw =
            move |queue: &mut Queue, now| queue.withdraw(|item| item.id == id, &why, now);
        Ok(self.change(Durability::Power, withdraw, |_, ()| ()).await?)
    }

    /// Ends a question that nobody needs to answer any more, unless somebody just has. True for the
    /// one call that may take it from there.
    pub(super) async fn overtake(
        &self,
        id: ApprovalId,
        why: &str,
    ) -> Result<bool, Arc<StoreError>> {
        let why = why.to_owned();
        let overtake = move |queue: &mut Queue, now| queue.overtake(id, &why, now);
        self.change(Durability::Power, overtake, |_, overtaken| overtaken)
            .await
    }
}
