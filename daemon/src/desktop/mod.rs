//! Desktop notifications of calls that wait for a person.
//!
//! A notification is withdrawn as soon as its question is answered, wherever that was. It can be
//! answered by its buttons only when all that is asked fits into it, and never when a PIN is set. Without
//! a desktop session, or a service that shows notifications, nothing happens. Who can talk to the
//! desktop session can press its buttons: what must be safe from the user's own programs needs a PIN.

#[cfg(all(unix, not(target_os = "macos")))]
mod freedesktop;
mod notice;
#[cfg(any(windows, target_os = "macos"))]
mod system;
mod visible_set;

use std::time::Duration;
use tokio::sync::broadcast::Receiver;

use tokio::sync::broadcast::error::RecvError;

#[cfg(all(unix, not(target_os = "macos")))]
use self::freedesktop::{Desktop, DesktopError};
use self::notice::Notice;
#[cfg(any(windows, target_os = "macos"))]
use self::system::{Desktop, DesktopError};
use self::visible_set::VisibleSet;
use crate::approval::{Approvals, State, Verdict};
use crate::error::chain;
use crate::lifecycle::Lifecycle;
use crate::types::{ApprovalId, Decider};

/// How long a desktop that is gone, or not there yet, is left alone while something waits.
const RETRY: Duration = Duration::from_secs(5);

/// Something that happened to a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressed {
    Approve(ApprovalId),
    Deny(ApprovalId),
    /// The person, or the desktop, took it away.
    Closed(u32),
    /// Another service shows notifications now, and none of ours.
    Restarted,
}

/// Why [`Carrier::attend`] ended.
enum Ended {
    Stopping,
    Lost(DesktopError),
}

/// Shows notifications until the daemon stops.
pub fn start(approvals: Approvals, lifecycle: &Lifecycle) {
    let carrier = Carrier {
        changes: approvals.subscribe(),
        approvals,
        lifecycle: lifecycle.clone(),
        set: VisibleSet::default(),
    };
    lifecycle.spawn("desktop notifications", carrier.run());
}

struct Carrier {
    approvals: Approvals,
    changes: Receiver<ApprovalId>,
    lifecycle: Lifecycle,
    set: VisibleSet,
}

impl Carrier {
    /// The desktop is looked for when there is something to show: a daemon may start before it, and
    /// outlive it.
    async fn run(mut self) {
        let mut told = false;
        loop {
            if !self.approvals.pending().is_empty() {
                let error = match Desktop::connect().await {
                    Ok(desktop) => {
                        told = false;
                        match self.attend(desktop).await {
                            Ended::Stopping => return,
                            Ended::Lost(error) => error,
                        }
                    }
                    Err(error) => error,
                };
                self.set.forget_shown();
                if !std::mem::replace(&mut told, true) {
                    tracing::info!(error = chain(&error), "no desktop notifications are shown");
                }
            }
            let waits = !self.approvals.pending().is_empty();
            tokio::select! {
                changed = self.changes.recv() => if matches!(changed, Err(RecvError::Closed)) {
                    return;
                },
                () = tokio::time::sleep(RETRY), if waits => {}
                () = self.lifecycle.stopping() => return,
            }
        }
    }

    async fn attend(&mut self, mut desktop: Desktop) -> Ended {
        loop {
            if let Err(error) = self.show(&mut desktop).await {
                return Ended::Lost(error);
            }
            let pressed = tokio::select! {
                changed = self.changes.recv() => match changed {
                    Ok(_) | Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return Ended::Stopping,
                },
                pressed = desktop.pressed() => pressed,
                () = self.lifecycle.stopping() => {
                    for notification in self.set.shown() {
                        desktop.withdraw(notification).await;
                    }
                    return Ended::Stopping;
                }
            };
            match pressed {
                Ok(Pressed::Approve(id)) => self.decide(id, Verdict::approve()).await,
                Ok(Pressed::Deny(id)) => self.decide(id, Verdict::Deny { reason: None }).await,
                Ok(Pressed::Closed(notification)) => self.set.closed(notification),
                Ok(Pressed::Restarted) => self.set.forget_shown(),
                Err(error) => return Ended::Lost(error),
            }
        }
    }

    /// Makes what is on the desktop what waits.
    async fn show(&mut self, desktop: &mut Desktop) -> Result<(), DesktopError> {
        let pending = self.approvals.pending();
        let ids: Vec<ApprovalId> = pending.iter().map(|item| item.id).collect();
        for notification in self.set.retain(&ids) {
            desktop.withdraw(notification).await;
        }
        let due = self.set.due(&ids);
        if due.is_empty() {
            return Ok(());
        }
        let pin_is_set = self.approvals.pin_state().await.set_at.is_some();
        for item in pending.iter().filter(|item| due.contains(&item.id)) {
            let notice = Notice::new(item, pin_is_set);
            let notification = desktop.show(&notice).await?;
            self.set.add(item.id, notification);
        }
        Ok(())
    }

    async fn decide(&self, id: ApprovalId, verdict: Verdict) {
        let by = Decider::Notification;
        match self.approvals.decide_one(id, verdict, by, None).await {
            Ok(item) => debug_assert_ne!(item.state, State::Pending),
            Err(error) => tracing::warn!(
                %id,
                error = chain(&error),
                "what was pressed on a notification does not count"
            ),
        }
    }
}
