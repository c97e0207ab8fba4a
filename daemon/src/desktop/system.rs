//! Notifications of macOS and Windows: they tell, and are answered elsewhere.

use notify_rust::Notification;

use super::Pressed;
use super::notice::Notice;

#[derive(Debug, thiserror::Error)]
pub(super) enum DesktopError {
    #[error("the system does not show notifications")]
    Refused(#[from] notify_rust::error::Error),
    #[error("showing a notification was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
}

pub(super) struct Desktop {
    shown: u32,
}

impl Desktop {
    #[expect(
        clippy::unused_async,
        reason = "finding a desktop takes time elsewhere"
    )]
    pub(super) async fn connect() -> Result<Self, DesktopError> {
        Ok(Self { shown: 0 })
    }

    pub(super) async fn show(&mut self, notice: &Notice) -> Result<u32, DesktopError> {
        let mut notification = Notification::new();
        notification.summary(&notice.summary).body(&notice.body);
        tokio::task::spawn_blocking(move || notification.show().map(drop)).await??;
        self.shown = self.shown.wrapping_add(1);
        Ok(self.shown)
    }

    /// These systems take notifications away themselves.
    #[expect(clippy::unused_async, reason = "withdrawing takes time elsewhere")]
    pub(super) async fn withdraw(&mut self, _notification: u32) {}

    pub(super) async fn pressed(&mut self) -> Result<Pressed, DesktopError> {
        std::future::pending().await
    }
}
