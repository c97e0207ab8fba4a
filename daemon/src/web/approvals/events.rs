//! `GET /approvals/events`: says that the list has changed. What it is now, the page asks for itself.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver};

use super::super::Web;
use super::super::visit::Visit;
use crate::http::sessions::Session;
use crate::types::ApprovalId;

/// Sent when nothing happens, so that both ends notice when the other is gone; a session that has
/// ended is noticed then too.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Feed {
    web: Web,
    session: Session,
    changes: Receiver<ApprovalId>,
    begun: bool,
}

pub(super) async fn events(State(web): State<Web>, visit: Visit) -> Response {
    let feed = Feed {
        changes: web.approvals.subscribe(),
        session: visit.session,
        web,
        begun: false,
    };
    Sse::new(feed.stream()).into_response()
}

impl Feed {
    fn stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut feed| async {
            let event = feed.next().await?;
            Some((Ok(event), feed))
        })
    }

    /// None when the session or the daemon ends.
    async fn next(&mut self) -> Option<Event> {
        if std::mem::replace(&mut self.begun, true) {
            let lifecycle = self.web.lifecycle.clone();
            tokio::select! {
                () = lifecycle.stopping() => return None,
                changed = changed(&mut self.changes) => changed?,
                () = tokio::time::sleep(HEARTBEAT) => {
                    let open = self.web.sessions.is_open(&self.session);
                    return open.then(|| Event::default().comment("still here"));
                }
            }
        }
        let pending = self.web.approvals.pending().len();
        let open = self.web.sessions.is_open(&self.session);
        open.then(|| Event::default().event("changed").data(pending.to_string()))
    }
}

/// Waits for a change, and takes those that came with it. None when there will be no more.
async fn changed(changes: &mut broadcast::Receiver<ApprovalId>) -> Option<()> {
    if let Err(RecvError::Closed) = changes.recv().await {
        return None;
    }
    loop {
        match changes.try_recv() {
            Ok(_) | Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Some(()),
        }
    }
}
