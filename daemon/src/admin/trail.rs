//! What the audit log says about changed rules.

use serde_json::{Value, json};

use super::Control;
use crate::audit::{Event, Kind};
use crate::config::ServerConfig;
use crate::registry::{PolicyEdit, Server};

/// Who changed the file cannot be told.
const BY_HAND: &str = "an edit of config.json";
/// Of rules as a text. Longer ones are recorded by their digest alone.
const MAX_TEXT: usize = 16 * 1024;

impl Control {
    /// Records the rules that a person has changed in the file.
    pub(in crate::control) async fn record_hand_edits(&self) {
        for edit in self.registry.take_hand_edits() {
            let server = edit.name.as_str();
            let loosening = edit.is_loosening();
            tracing::info!(server, loosening, "its policy was changed in config.json");
            self.record_policy(&edit, BY_HAND).await;
        }
    }

    /// Nothing is recorded when nothing changed.
    pub(in crate::control) async fn record_policy(&self, edit: &PolicyEdit, by: impl ToString) {
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
        self.audit.record_afterwards(event).await;
    }
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
