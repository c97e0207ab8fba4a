//! Nobody answers: the time limit does.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::queue::Queue;
use super::{Approvals, records};
use crate::store::Durability;

/// Timers stand still while a laptop sleeps, so the wall clock is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// Old history is forgotten at the start and this often.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Expires items when they are due, until the daemon stops.
pub(super) async fn run(approvals: Approvals) {
    let lifecycle = approvals.inner.lifecycle.clone();
    let work = async {
        tokio::join!(expire(&approvals), prune(&approvals));
    };
    tokio::select! {
        () = work => {}
        () = lifecycle.stopping() => {}
    }
}

async fn expire(approvals: &Approvals) {
    let mut deadline = approvals.inner.board.deadline();
    loop {
        let due = *deadline.borrow_and_update();
        let now = approvals.inner.clock.now();
        if due.is_some_and(|due| due <= now) {
            // Every turn begins with it. The disk may refuse; then it is tried again below.
            let nothing = approvals.change(Durability::Process, |_, _| (), |_, ()| ());
            if nothing.await.is_ok() {
                continue;
            }
        }
        tokio::select! {
            () = sleep(until(due, now)) => {}
            _ = deadline.changed() => {}
        }
    }
}

fn until(due: Option<Timestamp>, now: Timestamp) -> Duration {
    let left = due.and_then(|due| Duration::try_from(due.duration_since(now)).ok());
    // A deadline that the disk kept us from is a second away, not none.
    left.map_or(LOOK_EVERY, |left| {
        left.clamp(Duration::from_millis(10), LOOK_EVERY)
    })
}

async fn prune(approvals: &Approvals) {
    loop {
        let forget = |queue: &mut Queue, now| queue.forget_ended_grants(now);
        let forgotten = approvals.change(Durability::Process, forget, |_, ()| ());
        // The same disk is written below, and says what is wrong with it.
        let _ = forgotten.await;
        let now = approvals.inner.clock.now();
        let pruned = approvals
            .inner
            .store
            .write(Durability::Process, move |tx| records::prune(tx, now));
        if let Err(error) = pruned.await {
            tracing::warn!(%error, "old approvals are not forgotten");
        }
        sleep(PRUNE_EVERY).await;
    }
}
