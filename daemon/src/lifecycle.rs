//! Tasks with names, and one orderly way to end them.
//!
//! Every task is spawned here, so that shutdown can wait for it and name it when it lingers. There
//! are two signals: *stopping* (finish what you do, take nothing new) and *aborting* (the deadline
//! has passed or a second signal came). Work that must not be cut off, because a login would be lost,
//! holds [`Lifecycle::must_finish`] and is waited for even then. A critical task that ends on its own begins a shutdown that
//! makes the process exit with a failure, so that the service manager starts it again.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long work that must not be cut off is waited for: an exchange with a server and a write.
const FINISH_LIMIT: Duration = Duration::from_secs(35);

/// Cloneable handle on the life of the daemon.
#[derive(Clone, Default)]
pub struct Lifecycle {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    stopping: CancellationToken,
    aborting: CancellationToken,
    failed: AtomicBool,
    tracker: TaskTracker,
    must_finish: TaskTracker,
    next_id: AtomicU64,
    alive: Mutex<BTreeMap<u64, &'static str>>,
}

impl Inner {
    fn alive(&self) -> MutexGuard<'_, BTreeMap<u64, &'static str>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lifecycle {
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task that shutdown waits for. It should watch [`Self::stopping`].
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let id = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        self.inner.alive().insert(id, name);
        let registration = Registration {
            inner: Arc::clone(&self.inner),
            id,
        };
        // An `async` block would have the task twice in its memory.
        self.inner
            .tracker
            .spawn(task.inspect(move |_| drop(registration)))
    }

    /// Spawns a task without which the daemon is useless: its end, or its panic, ends the daemon.
    pub fn spawn_critical<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = self.fail_on_drop(name);
        self.spawn(name, async move {
            task.await;
            drop(guard);
        });
    }

    /// Spawns a task that may end on its own, but whose panic ends the daemon.
    pub fn spawn_no_panic<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = self.fail_on_drop(name);
        self.spawn(name, async move {
            task.await;
            guard.disarm();
        });
    }

    fn fail_on_drop(&self, name: &'static str) -> FailOnDrop {
        FailOnDrop {
            lifecycle: self.clone(),
            name,
            armed: true,
        }
    }

    /// While the guard lives, shutdown waits longer than for calls, whatever the signal.
    pub fn must_finish(&self) -> TaskTrackerToken {
        self.inner.must_finish.token()
    }

    /// Resolves when the daemon should finish its work.
    pub fn stopping(&self) -> WaitForCancellationFuture<'_> {
        self.inner.stopping.cancelled()
    }

    /// An owned copy of the stopping signal, for code that wants a token.
    pub fn stopping_token(&self) -> CancellationToken {
        self.inner.stopping.clone()
    }

    pub fn is_stopping(&self) -> bool {
        self.inner.stopping.is_cancelled()
    }

    /// Resolves when there is no time left.
    pub fn aborting(&self) -> WaitForCancellationFuture<'_> {
        self.inner.aborting.cancelled()
    }

    pub fn begin_shutdown(&self, reason: &str) {
        if !self.inner.stopping.is_cancelled() {
            tracing::info!(reason, "stopping");
            self.inner.stopping.cancel();
        }
    }

    pub fn abort(&self) {
        self.inner.stopping.cancel();
        self.inner.aborting.cancel();
    }

    /// Whether a critical task ended on its own.
    pub fn failed(&self) -> bool {
        self.inner.failed.load(Ordering::Relaxed)
    }

    /// Waits for all tasks; after `limit` aborts and names those that are left. What must finish is
    /// waited for after that too.
    pub async fn drain(&self, limit: Duration) {
        self.inner.tracker.close();
        let patience = async {
            tokio::select! {
                () = tokio::time::sleep(limit) => {}
                () = self.aborting() => {}
            }
        };
        tokio::select! {
            () = self.inner.tracker.wait() => return,
            () = patience => {}
        }
        let left: Vec<&str> = self.inner.alive().values().copied().collect();
        tracing::warn!(tasks = ?left, "tasks did not finish in time");
        self.abort();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.inner.tracker.wait()).await;
        self.inner.must_finish.close();
        let finished = self.inner.must_finish.wait();
        if tokio::time::timeout(FINISH_LIMIT, finished).await.is_err() {
            tracing::error!("a sign-in or refresh was cut off: a login may be lost");
        }
    }
}

struct Registration {
    inner: Arc<Inner>,
    id: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.inner.alive().remove(&self.id);
    }
}

struct FailOnDrop {
    lifecycle: Lifecycle,
    name: &'static str,
    armed: bool,
}

impl FailOnDrop {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for FailOnDrop {
    fn drop(&mut self) {
        if self.armed && !self.lifecycle.is_stopping() {
            tracing::error!(task = self.name, "a critical task ended; the daemon stops");
            self.lifecycle.inner.failed.store(true, Ordering::Relaxed);
            self.lifecycle.begin_shutdown("a critical task ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_critical_task_that_panics_stops_the_daemon_as_failed() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn_critical("doomed", async { panic!("on purpose") });
        lifecycle.stopping().await;
        assert!(lifecycle.failed());
    }

    #[tokio::test(start_paused = true)]
    async fn drain_gives_up_on_a_task_that_ignores_the_signal() {
        let lifecycle = Lifecycle::new();
        let aborting = lifecycle.clone();
        lifecycle.spawn("stubborn", async move { aborting.aborting().await });
        lifecycle.begin_shutdown("test");
        lifecycle.drain(Duration::from_secs(10)).await;
        assert!(lifecycle.inner.alive().is_empty());
        assert!(!lifecycle.failed());
    }

    #[tokio::test]
    async fn a_task_that_must_not_panic_may_end() {
        let lifecycle = Lifecycle::new();
        lifecycle.spawn_no_panic("done", async {});
        lifecycle.spawn_no_panic("doomed", async { panic!("on purpose") });
        lifecycle.stopping().await;
        assert!(lifecycle.failed());

        let lifecycle = Lifecycle::new();
        lifecycle.spawn_no_panic("done", async {});
        lifecycle.drain(Duration::from_secs(1)).await;
        assert!(!lifecycle.is_stopping());
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_finish_is_waited_for_after_the_deadline() {
        let lifecycle = Lifecycle::new();
        let guard = lifecycle.must_finish();
        let (finish, finished) = tokio::sync::oneshot::channel();
        lifecycle.spawn("refresh", async move {
            tokio::time::sleep(Duration::from_secs(25)).await;
            let _ = finish.send(());
            drop(guard);
        });
        lifecycle.begin_shutdown("test");
        lifecycle.drain(Duration::from_secs(10)).await;
        assert!(finished.await.is_ok());
    }
}
