//! The calls that wait for a person, over the control API.

use mcpbridge_proto::v1::decide_request::{Approve, Deny, Verdict};
use mcpbridge_proto::v1::{Approval, DecideRequest, ListApprovalsRequest};
use mcpbridge_proto::{Client, Endpoint};

use crate::daemon::Home;
use crate::wait::{self, PATIENCE};

/// As many as one list can hold.
const MOST: u32 = 1_000;

#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
}

impl Queue {
    /// Connected to the daemon that runs now; after a restart it is another one.
    pub async fn of(home: &Home) -> Self {
        let endpoint = Endpoint::resolve(Some(&home.socket()), None).unwrap();
        Self {
            client: Client::connect(&endpoint).await.unwrap(),
        }
    }

    /// Pending, approved and executing ones, newest first.
    pub async fn live(&self) -> Vec<Approval> {
        self.list(false).await
    }

    pub async fn all(&self) -> Vec<Approval> {
        self.list(true).await
    }

    /// Waits until exactly `count` calls are pending.
    pub async fn pending(&self, count: usize) -> Vec<Approval> {
        let what = format!("{count} pending calls");
        wait::until(&what, PATIENCE, async || {
            let mut items = self.live().await;
            items.retain(|item| item.state == "pending");
            (items.len() == count).then_some(items)
        })
        .await
    }

    pub async fn get(&self, id: &str) -> Approval {
        let all = self.all().await;
        let found = all.into_iter().find(|item| item.id == id);
        found.unwrap_or_else(|| panic!("there is no approval {id}"))
    }

    /// Waits until `id` is in `state`.
    pub async fn until(&self, id: &str, state: &str) -> Approval {
        wait::until(&format!("{id} to be {state}"), PATIENCE, async || {
            let item = self.get(id).await;
            (item.state == state).then_some(item)
        })
        .await
    }

    /// # Errors
    /// What the daemon says when this decides nothing.
    pub async fn approve(&self, id: &str) -> Result<Approval, String> {
        self.decide(id, Verdict::Approve(Approve::default())).await
    }

    /// # Errors
    /// What the daemon says when this decides nothing.
    pub async fn deny(&self, id: &str, reason: &str) -> Result<Approval, String> {
        let reason = reason.to_owned();
        self.decide(id, Verdict::Deny(Deny { reason })).await
    }

    async fn decide(&self, id: &str, verdict: Verdict) -> Result<Approval, String> {
        let request = DecideRequest {
            ids: vec![id.to_owned()],
            verdict: Some(verdict),
            pin: String::new(),
        };
        let decided = self.client.approvals().decide(request).await;
        let decided = decided.map_err(|status| status.message().to_owned())?;
        let outcome = decided.into_inner().outcomes.remove(0);
        match outcome.refusal {
            Some(refusal) => Err(refusal.message),
            None => Ok(outcome.approval.unwrap()),
        }
    }

    async fn list(&self, all: bool) -> Vec<Approval> {
        let request = ListApprovalsRequest {
            all,
            limit: MOST,
            ..ListApprovalsRequest::default()
        };
        let listed = self.client.approvals().list_approvals(request).await;
        listed.unwrap().into_inner().approvals
    }
}
