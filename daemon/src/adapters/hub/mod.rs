//! Answers that are under way or were complete a moment ago, so that the same request sent again gets
//! the first one's answer, from its first piece on.
//!
//! The one who works on an answer puts its pieces here; any number of readers take them, each at its
//! own pace. Nobody waits for a slow reader as long as there is room or another one is ahead. Beyond
//! that the front goes: who has not read it is cut off, and nobody can join any more. Only where the
//! fastest reader is behind by all of the room, the work waits for it, and not for ever: when none of
//! the readers takes anything for minutes they are cut off, and the work goes on as if their clients had
//! gone away.
//!
//! An answer that is over is kept for a while for whoever asks again. After that it is held only for those
//! who read it, as far as they have not: as long as one of them takes something every few minutes, and as
//! long as there is room for all of these answers; the oldest goes first.
//!
//! So answers take bounded memory and time, however long they get and whatever readers do. Only the one piece
//! that was handed out last stays with a reader as long as its connection lives.

mod run;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::{Instant, timeout};

pub use self::run::Reader;
use self::run::Run;
use super::refusal::Refusal;
use crate::lifecycle::Lifecycle;
use crate::types::Digest;

const LIMITS: Limits = Limits {
    run: 32 * 1024 * 1024,
    under_way: 256 * 1024 * 1024,
    crowded: 256 * 1024,
    complete: 64 * 1024 * 1024,
    unread: 64 * 1024 * 1024,
    kept: Duration::from_secs(5 * 60),
};
/// Readers of which none takes anything for so long, while something is held for them, are as good as gone.
const STALLED: Duration = Duration::from_secs(5 * 60);
/// How often answers that are over are looked through for old ones.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What an answer is made of.
pub trait Piece: Clone + Send + 'static {
    /// Roughly what it occupies.
    fn bytes(&self) -> usize;
}

/// In bytes, but for the last.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// What one answer may hold.
    run: usize,
    /// What all that are under way may hold; where they have more, each may hold only `crowded`.
    under_way: usize,
    crowded: usize,
    /// What complete ones may hold together. Where they have more, the oldest goes; its journal can
    /// tell the same.
    complete: usize,
    /// What others that are over may hold together for their readers.
    unread: usize,
    /// How long complete ones are kept.
    kept: Duration,
}

/// Cloneable handle.
pub struct Hub<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    limits: Limits,
    runs: Mutex<Runs<T>>,
    /// Bytes of all that are under way.
    under_way: AtomicUsize,
}

struct Runs<T> {
    /// The newest of each request.
    by_key: HashMap<Digest, Arc<Run<T>>>,
    /// Oldest first, with their bytes. Some are not in the map any more.
    complete: VecDeque<(Instant, Arc<Run<T>>, usize)>,
    complete_bytes: usize,
    /// Over, and held only for their readers, oldest first.
    unread: VecDeque<Arc<Run<T>>>,
}

/// What a request that was sent before finds.
pub enum Joined<T: Piece> {
    /// The answer to the first one.
    Reader(Reader<T>),
    /// Nothing: whoever asked has to work on it now.
    Open(Producer<T>, Reader<T>),
}

/// The side that works on an answer. Dropping it ends the answer, and forgets it unless it is
/// complete.
pub struct Producer<T: Piece> {
    shared: Arc<Shared<T>>,
    run: Arc<Run<T>>,
}

impl<T> Clone for Hub<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T: Piece> Hub<T> {
    pub fn new(lifecycle: &Lifecycle) -> Self {
        let this = Self::with(LIMITS);
        let (hub, stopping) = (this.clone(), lifecycle.stopping_token());
        lifecycle.spawn("answers that are over", async move {
            let again_and_again = async {
                loop {
                    tokio::time::sleep(SWEEP_EVERY).await;
                    hub.shared.runs().sweep(&hub.shared.limits);
                }
            };
            stopping.run_until_cancelled(again_and_again).await
        });
        this
    }

    fn with(limits: Limits) -> Self {
        let runs = Runs {
            by_key: HashMap::new(),
            complete: VecDeque::new(),
            complete_bytes: 0,
            unread: VecDeque::new(),
        };
        Self {
            shared: Arc::new(Shared {
                limits,
                runs: Mutex::new(runs),
                under_way: AtomicUsize::new(0),
            }),
        }
    }

    /// Begins an answer, of which there is a reader from the start. Another request with the same key
    /// may be under way; later ones join this one.
    pub fn open(&self, key: Digest) -> (Producer<T>, Reader<T>) {
        self.shared.open(&mut self.shared.runs(), key)
    }

    /// The answer to the request with this key, or its beginning if there is none. However many ask
    /// at once, one of them begins.
    ///
    /// # Errors
    /// There is one, too long to be read from its beginning.
    pub fn join(&self, key: Digest) -> Result<Joined<T>, Refusal> {
        let mut runs = self.shared.runs();
        runs.sweep(&self.shared.limits);
        let Some(run) = runs.by_key.get(&key) else {
            let (producer, reader) = self.shared.open(&mut runs, key);
            return Ok(Joined::Open(producer, reader));
        };
        let reader = Run::join(run).ok_or_else(|| {
            Refusal::new(
                StatusCode::CONFLICT,
                "this request is being answered already, and the answer has grown too long to be \
                 sent from its beginning; wait for its end, or send another request",
            )
        })?;
        Ok(Joined::Reader(reader))
    }
}

impl<T> Shared<T> {
    /// Locked before the state of a run, never after it.
    fn runs(&self) -> MutexGuard<'_, Runs<T>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What one answer may hold now.
    fn room(&self) -> usize {
        match self.under_way.load(Ordering::Relaxed) > self.limits.under_way {
            true => self.limits.crowded,
            false => self.limits.run,
        }
    }
}

impl<T: Piece> Shared<T> {
    fn open(self: &Arc<Self>, runs: &mut Runs<T>, key: Digest) -> (Producer<T>, Reader<T>) {
        let (run, reader) = Run::open(key);
        runs.by_key.insert(key, Arc::clone(&run));
        let shared = Arc::clone(self);
        (Producer { shared, run }, reader)
    }
}

impl<T> Runs<T> {
    fn forget(&mut self, run: &Arc<Run<T>>) {
        if let Some(known) = self.by_key.get(&run.key)
            && Arc::ptr_eq(known, run)
        {
            self.by_key.remove(&run.key);
        }
    }

    /// For whoever asks again.
    fn keep(&mut self, run: Arc<Run<T>>, bytes: usize) {
        self.complete.push_back((Instant::now(), run, bytes));
        self.complete_bytes += bytes;
    }

    /// Only for those who read it already.
    fn release(&mut self, run: Arc<Run<T>>) {
        self.forget(&run);
        if run.close() > 0 {
            self.unread.push_back(run);
        }
    }

    fn sweep(&mut self, limits: &Limits) {
        while let Some((since, _, bytes)) = self.complete.front()
            && (self.complete_bytes > limits.complete || since.elapsed() >= limits.kept)
        {
            self.complete_bytes -= *bytes;
            if let Some((_, run, _)) = self.complete.pop_front() {
                self.release(run);
            }
        }
        self.unread.retain(|run| {
            if run.idle() >= STALLED {
                run.cut_off();
            }
            run.bytes() > 0
        });
        let mut unread: usize = self.unread.iter().map(|run| run.bytes()).sum();
        while unread > limits.unread
            && let Some(oldest) = self.unread.pop_front()
        {
            unread = unread.saturating_sub(oldest.bytes());
            oldest.cut_off();
        }
    }
}

impl<T: Piece> Producer<T> {
    /// Hands a piece to all readers. Waits while even the fastest is behind by all of the room, and
    /// cuts them off if they do not go on.
    pub async fn put(&self, piece: T) {
        let bytes = piece.bytes();
        let mut read = self.run.reads();
        loop {
            read.borrow_and_update();
            let (freed, has_room) = self.run.make_room(bytes, self.shared.room());
            self.shared.under_way.fetch_sub(freed, Ordering::Relaxed);
            if has_room {
                break;
            }
            if timeout(STALLED, read.changed()).await.is_err() {
                self.run.cut_off();
            }
        }
        self.shared.under_way.fetch_add(bytes, Ordering::Relaxed);
        self.run.push(piece, bytes);
    }

    /// Nothing is missing: whoever sends the request again gets this answer.
    pub fn complete(&self) {
        self.run.complete();
    }

    fn has_readers(&self) -> bool {
        *self.run.readers().borrow() > 0
    }

    /// Resolves when nobody has read for as long as `grace`. Whoever sends the request again can still
    /// join.
    pub async fn deserted(&self, grace: Duration) {
        let mut readers = self.run.readers();
        loop {
            // The run is ours, so its sender is there.
            let _ = readers.wait_for(|readers| *readers == 0).await;
            let back = readers.wait_for(|readers| *readers > 0);
            if timeout(grace, back).await.is_err() {
                return;
            }
        }
    }

    /// As [`Self::deserted`], and nobody can join any more.
    pub async fn abandoned(&self, grace: Duration) {
        loop {
            self.deserted(grace).await;
            if self.give_up() {
                return;
            }
        }
    }

    /// Whether nobody reads, or begins to within `grace`. Nobody can join any more then.
    pub async fn is_abandoned(&self, grace: Duration) -> bool {
        let mut readers = self.run.readers();
        let back = readers.wait_for(|readers| *readers > 0);
        timeout(grace, back).await.is_err() && self.give_up()
    }

    /// Lets nobody join any more, unless somebody has at the last moment.
    pub fn give_up(&self) -> bool {
        let mut runs = self.shared.runs();
        let is_alone = !self.has_readers();
        if is_alone {
            runs.forget(&self.run);
        }
        is_alone
    }
}

impl<T: Piece> Drop for Producer<T> {
    fn drop(&mut self) {
        let mut runs = self.shared.runs();
        let (bytes, is_whole) = self.run.end();
        self.shared.under_way.fetch_sub(bytes, Ordering::Relaxed);
        match is_whole {
            true => runs.keep(Arc::clone(&self.run), bytes),
            false => runs.release(Arc::clone(&self.run)),
        }
        runs.sweep(&self.shared.limits);
    }
}

#[cfg(test)]
mod tests;
