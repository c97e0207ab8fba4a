//! Sessions and resumable streams of the `initialize` era.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::sync::broadcast;

use crate::secrets::random_id;

#[derive(Debug)]
pub(super) struct Sessions {
    /// Session id to the events sent in it, with their ids.
    live: Mutex<HashMap<String, Vec<(u64, String)>>>,
    next_event: AtomicU64,
    notices: broadcast::Sender<String>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            live: Mutex::default(),
            next_event: AtomicU64::new(1),
            notices: broadcast::Sender::new(64),
        }
    }
}

impl Sessions {
    /// A session id is no credential, and the product passes it on: it is no secret to search for.
    pub(super) fn open(&self) -> String {
        let id = random_id();
        self.live.lock().unwrap().insert(id.clone(), Vec::new());
        id
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.live.lock().unwrap().contains_key(id)
    }

    pub(super) fn close(&self, id: &str) {
        self.live.lock().unwrap().remove(id);
    }

    pub(super) fn clear(&self) {
        self.live.lock().unwrap().clear();
    }

    /// The next event id, and `data` kept under it for a client that resumes.
    pub(super) fn keep(&self, session: &str, data: &str) -> u64 {
        let id = self.next_event.fetch_add(1, Ordering::Relaxed);
        if let Some(events) = self.live.lock().unwrap().get_mut(session) {
            events.push((id, data.to_owned()));
        }
        id
    }

    /// Events of `session` after `last`.
    pub(super) fn since(&self, session: &str, last: u64) -> Vec<(u64, String)> {
        let live = self.live.lock().unwrap();
        let events = live.get(session).map(Vec::as_slice).unwrap_or_default();
        events
            .iter()
            .filter(|(id, _)| *id > last)
            .cloned()
            .collect()
    }

    pub(super) fn notify(&self, message: &Value) {
        // No open stream is fine: the notice is for whoever listens.
        let _ = self.notices.send(message.to_string());
    }

    pub(super) fn notices(&self) -> broadcast::Receiver<String> {
        self.notices.subscribe()
    }
}
