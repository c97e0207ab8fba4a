//! Follows what a person writes into `config.json`.

use serde_json::json;
use tokio::sync::watch;

use super::Control;
use crate::audit::{Event, Kind};
use crate::registry::{FileState, FileWatch};

impl Control {
    /// Takes over each change of the file, as a command would, until the daemon stops.
    pub fn follow_config_file(&self) {
        let state = self.clone().react(self.registry.file());
        self.lifecycle.spawn("config-state", state);
        match self.registry.watch_file() {
            Ok(touched) => {
                let this = self.clone();
                self.lifecycle
                    .spawn("config-file", this.reload_when(touched));
            }
            Err(error) => tracing::warn!(
                %error,
                "changes of config.json are noticed only when a command runs"
            ),
        }
    }

    async fn reload_when(self, mut file: FileWatch) {
        loop {
            // At once: it may have changed between the start and the watch.
            let reloading = self.finish(|this| async move {
                // What is wrong with the file stands in its state.
                let _ = this.registry.reload().await;
                Ok(())
            });
            let _ = reloading.await;
            tokio::select! {
                () = self.lifecycle.stopping() => return,
                is_watching = file.touched() => if !is_watching { return },
            }
        }
    }

    async fn react(self, mut file: watch::Receiver<FileState>) {
        let mut known = None;
        loop {
            tokio::select! {
                () = self.lifecycle.stopping() => return,
                changed = file.changed() => if changed.is_err() { return },
            }
            let state = file.borrow_and_update().clone();
            if let Some(rejected) = &state.rejected
                && known != state.rejected
            {
                let detail = json!({ "reason": rejected.reason });
                let event = Event::new(Kind::ConfigRejected).detail(detail);
                self.audit.record_afterwards(event).await;
            } else if state.rejected.is_none() {
                self.audit.configure(&state.audit);
            }
            known = state.rejected;
        }
    }
}
