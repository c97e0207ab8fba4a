//! What the audit log says about changed rules.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Admin;
use crate::audit::{Event, Filter, Kind};
use crate::config::ServerConfig;
use crate::error::chain;
use crate::registry::{PolicyEdit, Server};
use crate::types::{Digest, ServerName};

/// Who changed the file cannot be told.
const BY_HAND: &str = "an edit of config.json";
/// The log says nothing of these rules: they are new in the file, or their records are not kept any more.
const FOUND: &str = "config.json as it was found at the start";
const WHILE_AWAY: &str = "an edit of config.json while the daemon did not run";
/// Records of the log that are read at once.
const PAGE: usize = 1000;
/// Of rules as a text. Longer ones are recorded by their digest alone.
const MAX_TEXT: usize = 16 * 1024;

impl Admin {
    /// Records the rules that a person has changed in the file.
    pub(super) async fn record_hand_edits(&self) {
        for edit in self.parts.registry.take_hand_edits() {
            let server = edit.name.as_str();
            let loosening = edit.is_loosening();
            tracing::info!(server, loosening, "its policy was changed in config.json");
            self.record_policy(&edit, BY_HAND).await;
        }
    }

    /// Records a change of rules; nothing when nothing changed.
    pub async fn record_policy(&self, edit: &PolicyEdit, by: impl ToString) {
        if !edit.is_change() {
            return;
        }
        let detail = json!({
            "before": edit.before.as_deref().map(side),
            "after": edit.after.as_deref().map(side),
            "loosening": edit.is_loosening(),
        });
        let event = Event::new(Kind::PolicyChanged)
            .server(&edit.name)
            .actor(by)
            .detail(detail);
        self.parts.audit.record_afterwards(event).await;
    }
}

/// By server, the digest of the rules that the log knows of; None where the server was removed.
type Known = BTreeMap<String, Option<Digest>>;

impl Admin {
    /// Records the rules that were changed while no daemon ran. Reads the log for it, so it does not hold
    /// up the start.
    pub fn record_edits_while_away(&self) {
        let this = self.clone();
        self.parts.lifecycle.spawn("policy-trail", async move {
            let _changing = this.changing.lock().await;
            if let Some(known) = this.recorded_policies().await {
                this.record_difference(known).await;
            }
        });
    }

    async fn recorded_policies(&self) -> Option<Known> {
        let mut known = Known::new();
        let mut before = None;
        loop {
            let filter = Filter {
                kind: Some(Kind::PolicyChanged.as_str().to_owned()),
                ..Filter::default()
            };
            let page = match self.parts.audit.page(filter, before, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "it cannot be told whether config.json was changed while no daemon ran"
                    );
                    return None;
                }
            };
            let Some(oldest) = page.last() else {
                return Some(known);
            };
            before = Some(oldest.seq);
            for record in page {
                if let Some(server) = record.server {
                    let detail: Value = serde_json::from_str(&record.detail).unwrap_or_default();
                    let digest = detail["after"]["digest"].as_str();
                    let digest = digest.and_then(|text| text.parse().ok());
                    // The newest record of a server comes first.
                    known.entry(server).or_insert(digest);
                }
            }
        }
    }

    async fn record_difference(&self, mut known: Known) {
        let snapshot = self.parts.registry.snapshot();
        let mut events = Vec::new();
        for server in snapshot.iter() {
            let before = known.remove(server.name.as_str()).flatten();
            if before != Some(server.policy.version()) {
                events.push(while_away(&server.name, before, Some(server)));
            }
        }
        for (name, before) in known {
            if let (Ok(name), Some(_)) = (name.parse(), before) {
                events.push(while_away(&name, before, None));
            }
        }
        for event in events {
            self.parts.audit.record_afterwards(event).await;
        }
    }
}

fn while_away(name: &ServerName, before: Option<Digest>, after: Option<&Server>) -> Event {
    let detail = json!({
        "before": before.map(|digest| json!({ "digest": digest })),
        "after": after.map(side),
    });
    Event::new(Kind::PolicyChanged)
        .server(name)
        .actor(if before.is_some() { WHILE_AWAY } else { FOUND })
        .detail(detail)
}

fn side(server: &Server) -> Value {
    let digest = server.policy.version();
    let text = text(&server.config);
    if text.len() > MAX_TEXT {
        json!({ "digest": digest, "bytes": text.len() })
    } else {
        json!({ "digest": digest, "text": text })
    }
}

/// A JSON tree would not keep the digits of numbers.
fn text(server: &ServerConfig) -> String {
    let policy = serde_json::to_string(&server.policy).unwrap_or_default();
    format!("{{\"trusted\":{},\"policy\":{policy}}}", server.trusted)
}
