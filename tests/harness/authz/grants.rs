//! What the fake authorization server has issued.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use serde_json::Value;

use super::ClientAuth;

#[derive(Debug, Clone)]
pub struct Client {
    pub secret: Option<String>,
    pub auth: ClientAuth,
    pub redirect_uris: Vec<String>,
    /// The registration request; null for a client registered beforehand.
    pub metadata: Value,
}

/// What a person agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveToken {
    pub client_id: String,
    pub resource: Option<String>,
    pub scopes: Vec<String>,
    family: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) grant: LiveToken,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) spent: bool,
}

#[derive(Debug)]
pub(super) struct Refresh {
    pub(super) grant: LiveToken,
    pub(super) spent: bool,
}

#[derive(Debug, Default)]
pub(super) struct Grants {
    pub(super) clients: BTreeMap<String, Client>,
    pub(super) codes: HashMap<String, Code>,
    pub(super) access: HashMap<String, (LiveToken, Instant)>,
    pub(super) refresh: HashMap<String, Refresh>,
    pub(super) reuse_detected: usize,
    revoked: HashSet<u64>,
    families: u64,
}

impl Grants {
    pub(super) fn consent(
        &mut self,
        client_id: &str,
        resource: Option<String>,
        scopes: Vec<String>,
    ) -> LiveToken {
        self.families += 1;
        LiveToken {
            client_id: client_id.to_owned(),
            resource,
            scopes,
            family: self.families,
        }
    }

    pub(super) fn live(&self, token: &str) -> Option<LiveToken> {
        let (grant, expires) = self.access.get(token)?;
        (*expires > Instant::now() && !self.is_revoked(grant)).then(|| grant.clone())
    }

    pub(super) fn is_revoked(&self, grant: &LiveToken) -> bool {
        self.revoked.contains(&grant.family)
    }

    pub(super) fn revoke(&mut self, grant: &LiveToken) {
        self.revoked.insert(grant.family);
    }

    /// Somebody used a spent credential: neither party can be told from the thief.
    pub(super) fn punish_reuse(&mut self, grant: &LiveToken) {
        self.reuse_detected += 1;
        self.revoke(grant);
    }
}
