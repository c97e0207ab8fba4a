//! One answer and its readers.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Piece;
use crate::types::Digest;

pub(super) struct Run<T> {
    pub(super) key: Digest,
    state: Mutex<State<T>>,
    /// Moves when there is more to read, or the end.
    grown: watch::Sender<()>,
    /// Moves when somebody has read something, or has gone.
    read: watch::Sender<()>,
    /// How many there are.
    readers: watch::Sender<usize>,
}

struct State<T> {
    /// What is held, with its bytes.
    pieces: VecDeque<(T, usize)>,
    /// The number of the first of them, counted from the beginning of the answer.
    first: u64,
    bytes: usize,
    is_complete: bool,
    is_over: bool,
    /// Nobody can join any more, so that what all readers have read is of no use.
    is_closed: bool,
    /// When a reader last came or took something, or the end came.
    touched: Instant,
    /// The piece that each reads next.
    readers: HashMap<u64, u64>,
    next_reader: u64,
}

/// Takes the pieces of an answer, from the first one on. Another reader or none makes no difference to
/// what it gets.
pub struct Reader<T> {
    run: Arc<Run<T>>,
    id: u64,
    grown: watch::Receiver<()>,
}

impl<T> State<T> {
    /// Lets go of the first piece, if there is one.
    fn pop(&mut self) -> bool {
        let Some((_, bytes)) = self.pieces.pop_front() else {
            return false;
        };
        self.first += 1;
        self.bytes -= bytes;
        true
    }

    /// Lets go of what nobody can read any more.
    fn trim(&mut self) {
        if !self.is_closed {
            return;
        }
        let ahead = self.readers.values().filter(|next| **next >= self.first);
        let needed = ahead.min().copied().unwrap_or(u64::MAX);
        while self.first < needed && self.pop() {}
    }
}

impl<T> Run<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reads(&self) -> watch::Receiver<()> {
        self.read.subscribe()
    }

    pub(super) fn readers(&self) -> watch::Receiver<usize> {
        self.readers.subscribe()
    }

    pub(super) fn complete(&self) {
        self.state().is_complete = true;
    }

    /// Returns the bytes that were held, and whether they are a complete answer.
    pub(super) fn end(&self) -> (usize, bool) {
        let mut state = self.state();
        state.is_over = true;
        self.grown.send_replace(());
        let (bytes, is_whole) = (state.bytes, state.is_complete && state.first == 0);
        state.touched = Instant::now();
        (bytes, is_whole)
    }

    /// Lets nobody join any more. Returns the bytes that are held for those who read.
    pub(super) fn close(&self) -> usize {
        let mut state = self.state();
        state.is_closed = true;
        state.trim();
        state.bytes
    }

    pub(super) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// How long none of the readers has taken anything.
    pub(super) fn idle(&self) -> Duration {
        self.state().touched.elapsed()
    }

    /// There is no more for any of the readers.
    pub(super) fn cut_off(&self) {
        let mut state = self.state();
        state.readers.clear();
        state.trim();
        self.readers.send_replace(0);
        self.grown.send_replace(());
    }

    fn leave(&self, reader: u64) {
        let mut state = self.state();
        state.readers.remove(&reader);
        state.trim();
        self.readers.send_replace(state.readers.len());
        self.read.send_replace(());
    }
}

impl<T: Piece> Run<T> {
    pub(super) fn open(key: Digest) -> (Arc<Self>, Reader<T>) {
        let run = Arc::new(Self {
            key,
            state: Mutex::new(State {
                pieces: VecDeque::new(),
                first: 0,
                bytes: 0,
                is_complete: false,
                is_over: false,
                is_closed: false,
                touched: Instant::now(),
                readers: HashMap::new(),
                next_reader: 0,
            }),
            grown: watch::Sender::new(()),
            read: watch::Sender::new(()),
            readers: watch::Sender::new(0),
        });
        let reader = Self::attach(&run, &mut run.state());
        (run, reader)
    }

    /// None if the beginning is not there any more.
    pub(super) fn join(run: &Arc<Self>) -> Option<Reader<T>> {
        let mut state = run.state();
        (state.first == 0).then(|| Self::attach(run, &mut state))
    }

    fn attach(run: &Arc<Self>, state: &mut State<T>) -> Reader<T> {
        let id = state.next_reader;
        state.next_reader += 1;
        state.readers.insert(id, 0);
        state.touched = Instant::now();
        run.readers.send_replace(state.readers.len());
        Reader {
            run: Arc::clone(run),
            id,
            grown: run.grown.subscribe(),
        }
    }

    /// Lets go of the front until there is room for `bytes`. Returns how much went, and false where
    /// the rest is new to every reader.
    pub(super) fn make_room(&self, bytes: usize, room: usize) -> (usize, bool) {
        let mut state = self.state();
        let held = state.bytes;
        let fastest = state.readers.values().max().copied().unwrap_or(u64::MAX);
        while state.bytes.saturating_add(bytes) > room && state.first < fastest && state.pop() {}
        let fits = state.bytes.saturating_add(bytes) <= room || state.pieces.is_empty();
        (held - state.bytes, fits)
    }

    pub(super) fn push(&self, piece: T, bytes: usize) {
        let mut state = self.state();
        state.pieces.push_back((piece, bytes));
        state.bytes += bytes;
        self.grown.send_replace(());
    }

    /// The next piece for this reader; None if it has to wait.
    fn read(&self, reader: u64) -> Option<Read<T>> {
        let mut state = self.state();
        // Cut off by now, or overtaken.
        let next = state.readers.get(&reader).copied();
        let Some(at) = next.and_then(|next| next.checked_sub(state.first)) else {
            return Some(Read::Lost);
        };
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let piece = state.pieces.get(at).map(|(piece, _)| piece.clone());
        match piece {
            Some(piece) => {
                if let Some(next) = state.readers.get_mut(&reader) {
                    *next += 1;
                }
                state.touched = Instant::now();
                state.trim();
                self.read.send_replace(());
                Some(Read::Piece(piece))
            }
            None => state.is_over.then_some(Read::Lost),
        }
    }
}

enum Read<T> {
    Piece(T),
    /// There is no more for this reader.
    Lost,
}

impl<T: Piece> Reader<T> {
    /// The next piece. None when there is no more: the answer has ended, whether complete or not, or
    /// this reader was too slow. Nothing is lost if this is dropped halfway.
    pub async fn recv(&mut self) -> Option<T> {
        loop {
            self.grown.borrow_and_update();
            match self.run.read(self.id) {
                Some(Read::Piece(piece)) => return Some(piece),
                Some(Read::Lost) => return None,
                // The sender is in the run, which is held here.
                None => self.grown.changed().await.ok()?,
            }
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.run.leave(self.id);
    }
}
