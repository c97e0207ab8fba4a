//! Waiting for observable state. Tests never sleep for a guessed time.

use std::time::{Duration, Instant};

/// Long enough for a debug build on a loaded machine; only a failing test waits this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

const POLL: Duration = Duration::from_millis(10);

/// Polls `probe` until it yields a value.
///
/// # Panics
/// After `deadline`, naming `what` was awaited.
pub async fn until<T>(what: &str, deadline: Duration, probe: impl AsyncFnMut() -> Option<T>) -> T {
    until_or(|| what.to_owned(), deadline, probe).await
}

/// [`until`], where it is known only in the end what is to be said about it.
///
/// # Panics
/// After `deadline`, with what `what` says then.
pub async fn until_or<T>(
    what: impl Fn() -> String,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(
            started.elapsed() < deadline,
            "waited {deadline:?} for {}",
            what()
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Polls a plain condition with the usual patience.
pub async fn until_true(what: &str, mut condition: impl FnMut() -> bool) {
    until(what, PATIENCE, async || condition().then_some(())).await;
}

/// Awaits `future`, or fails naming `what` after the usual patience.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}
