//! Notifications as freedesktop.org specifies them, over the session's D-Bus.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use zbus::zvariant::Value;

use super::Pressed;
use super::notice::Notice;
use crate::types::ApprovalId;

/// A desktop that does not answer is as good as none.
const ANSWER: Duration = Duration::from_secs(5);
const APPLICATION: &str = "MCP approvals";
/// It stays until it is answered or taken away.
const NEVER: i32 = 0;
const NORMAL: u8 = 1;

pub(super) type DesktopError = zbus::Error;

#[zbus::proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications",
    gen_blocking = false
)]
trait Notifications {
    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;

    #[expect(clippy::too_many_arguments, reason = "the specification has so many")]
    fn notify(
        &self,
        application: &str,
        replaces: u32,
        icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: &HashMap<&str, Value<'_>>,
        timeout: i32,
    ) -> zbus::Result<u32>;

    fn close_notification(&self, id: u32) -> zbus::Result<()>;

    #[zbus(signal)]
    fn action_invoked(&self, id: u32, key: String) -> zbus::Result<()>;

    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// A connection to the session's bus, and to whatever shows notifications there.
pub(super) struct Desktop {
    notifications: NotificationsProxy<'static>,
    signals: Pin<Box<dyn Stream<Item = Pressed> + Send>>,
    has_buttons: bool,
    reads_markup: bool,
}

impl Desktop {
    /// # Errors
    /// There is no session bus, or nothing on it shows notifications.
    pub(super) async fn connect() -> Result<Self, DesktopError> {
        let builder = zbus::connection::Builder::session()?;
        let connection = builder.method_timeout(ANSWER).build().await?;
        let notifications = NotificationsProxy::new(&connection).await?;
        // Starts the service where the bus can do that.
        let capabilities = notifications.get_capabilities().await?;
        let has = |name: &str| capabilities.iter().any(|capability| capability == name);
        let signals = signals(&notifications).await?;
        Ok(Self {
            // A button must stand beside the arguments that it is for.
            has_buttons: has("actions") && has("body"),
            reads_markup: has("body-markup"),
            notifications,
            signals,
        })
    }

    pub(super) async fn show(&mut self, notice: &Notice) -> Result<u32, DesktopError> {
        let keys = [key(APPROVE, notice.id), key(DENY, notice.id)];
        let buttons = [keys[0].as_str(), "Approve once", keys[1].as_str(), "Deny"];
        let actions: &[&str] = match notice.answerable && self.has_buttons {
            true => &buttons,
            false => &[],
        };
        let hints = HashMap::from([("urgency", Value::U8(NORMAL))]);
        let body = plain(&notice.body, self.reads_markup);
        self.notifications
            .notify(
                APPLICATION,
                0,
                "",
                &notice.summary,
                &body,
                actions,
                &hints,
                NEVER,
            )
            .await
    }

    /// Takes it away; it may be gone already.
    pub(super) async fn withdraw(&mut self, notification: u32) {
        if let Err(error) = self.notifications.close_notification(notification).await {
            tracing::debug!(%error, notification, "a notification was not withdrawn");
        }
    }

    /// Waits for the next thing that happens. Cancel safe.
    pub(super) async fn pressed(&mut self) -> Result<Pressed, DesktopError> {
        let lost = || DesktopError::Failure("the connection to the session bus ended".to_owned());
        self.signals.next().await.ok_or_else(lost)
    }
}

/// Everything the service tells, from its present owner only.
async fn signals(
    notifications: &NotificationsProxy<'static>,
) -> Result<Pin<Box<dyn Stream<Item = Pressed> + Send>>, DesktopError> {
    let actions = notifications.receive_action_invoked().await?;
    let actions = actions.filter_map(|signal| async move {
        let arguments = signal.args().ok()?;
        pressed(arguments.key())
    });
    let closed = notifications.receive_notification_closed().await?;
    let closed =
        closed.filter_map(|signal| async move { Some(Pressed::Closed(*signal.args().ok()?.id())) });
    let owner = notifications.inner().receive_owner_changed().await?;
    let owner = owner.filter_map(|owner| async move { owner.map(|_| Pressed::Restarted) });
    // When one of them ends the connection has, and so have the others.
    Ok(Box::pin(futures_util::stream::select(
        futures_util::stream::select(actions, closed),
        owner,
    )))
}

const APPROVE: &str = "approve";
const DENY: &str = "deny";

/// Names the question: numbers of notifications are used again, by other programs too.
fn key(verdict: &str, id: ApprovalId) -> String {
    format!("{verdict} {id}")
}

fn pressed(key: &str) -> Option<Pressed> {
    let (verdict, id) = key.split_once(' ')?;
    let id = id.parse().ok()?;
    match verdict {
        APPROVE => Some(Pressed::Approve(id)),
        DENY => Some(Pressed::Deny(id)),
        _ => None,
    }
}

/// `text` as a body that shows exactly that. Where markup is not read, what looks like it is replaced
/// nevertheless: not every service tells the truth.
fn plain(text: &str, reads_markup: bool) -> String {
    match reads_markup {
        true => text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
        false => text.replace('<', "‹").replace('>', "›"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_names_its_question() {
        let id: ApprovalId = "abcdefghijkl".parse().unwrap();
        assert_eq!(pressed(&key(APPROVE, id)), Some(Pressed::Approve(id)));
        assert_eq!(pressed(&key(DENY, id)), Some(Pressed::Deny(id)));
        for other in [
            "approve",
            "default",
            "approve ",
            "approve x",
            "settings abcdefghijkl",
        ] {
            assert_eq!(pressed(other), None, "{other}");
        }
    }

    #[test]
    fn markup_stays_text() {
        let hostile = "<a href=\"x\">&lt;ok</a>";
        assert_eq!(
            plain(hostile, true),
            "&lt;a href=\"x\"&gt;&amp;lt;ok&lt;/a&gt;"
        );
        assert!(!plain(hostile, false).contains(['<', '>']));
    }
}
