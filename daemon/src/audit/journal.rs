//! The journal of calls: beginnings that the log is about to take in.
//!
//! A commit costs many times what a small call does. A beginning is therefore added to a plain file, by
//! one write, which survives the end of the process just as well; the log takes in many at once a few
//! milliseconds later. What a process that was killed has left here is taken in at the next start.
//!
//! It helps only a log that can be written: after a failure, and after a pause, a beginning goes into the
//! log itself. So does one that finds the journal full, and the journal is emptied meanwhile.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::Transaction;
use serde::{Deserialize, Serialize};

use super::chain::{End, Fields, Row};
use super::{Event, Kind};
use crate::paths::create_private_dir;
use crate::types::Digest;

/// For so long what the log took in shows that it can be written.
const TRUST: Duration = Duration::from_secs(1);
/// Entries that the log has not taken in, at most: they are in memory too.
const MAX_PENDING: usize = 1_000;
/// Bytes of the file, at most.
const MAX_LENGTH: u64 = 4 * 1024 * 1024;

pub(super) struct Journal {
    /// In a directory of its own: whoever watches the configuration is not woken by each call.
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// None before the start has taken in what was left, and when it cannot be written.
    file: Option<File>,
    length: u64,
    /// Entries that the log has not taken in.
    pending: usize,
    /// When the log was last known to take things in.
    proven: Option<Instant>,
    /// The newest record known.
    newest: u64,
}

/// An entry. Its line is complete when it ends with a line break.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    /// The number of a record before it.
    after: u64,
    at: i64,
    server: Option<Cow<'a, str>>,
    tool: Option<Cow<'a, str>>,
    actor: Option<Cow<'a, str>>,
    detail: Cow<'a, str>,
}

impl Line<'_> {
    fn event(&self) -> Option<(Timestamp, Event)> {
        let mut event = Event::new(Kind::CallStarted);
        event.detail = serde_json::from_str(&self.detail).ok()?;
        event.server = match &self.server {
            Some(server) => Some(server.parse().ok()?),
            None => None,
        };
        event.tool = self.tool.as_deref().map(str::to_owned);
        event.actor = self.actor.as_deref().map(str::to_owned);
        Some((Timestamp::from_microsecond(self.at).ok()?, event))
    }
}

impl Journal {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the log what an earlier process left here and the log does not have.
    pub(super) fn take_in(&self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let left = self.left();
        let lines = left.split_inclusive(|byte| *byte == b'\n');
        // The last one may be torn, within a character too: that call was not sent.
        let whole = lines.filter_map(|line| line.strip_suffix(b"\n"));
        let lines = whole.map(serde_json::from_slice::<Line<'_>>);
        let lines: Vec<Line<'_>> = lines.filter_map(Result::ok).collect();
        let Some(after) = lines.iter().map(|line| line.after).min() else {
            return Ok(());
        };
        let mut known = beginnings(transaction, after)?;
        let mut end = End::of(transaction)?;
        for (at, event) in lines.iter().filter_map(Line::event) {
            let row = Row::of(at, &event);
            match known.get_mut(&identity(&row.fields(0))) {
                Some(count) if *count > 0 => *count -= 1,
                _ => drop(end.add(&row)?),
            }
        }
        end.keep().map(drop)
    }

    fn left(&self) -> Vec<u8> {
        std::fs::read(&self.path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::error!(%error, "the beginnings of calls that a killed daemon left cannot be read");
            }
            Vec::new()
        })
    }

    /// Begins to take entries. What is in the file must be in the log.
    ///
    /// # Errors
    /// The file cannot be made. Every beginning then goes into the log itself.
    pub(super) fn open(&self) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            create_private_dir(directory)?;
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.path)?;
        *self.state() = State {
            file: Some(file),
            ..State::default()
        };
        Ok(())
    }

    /// Takes the beginning of a call, so that it survives the end of the process. False if it has to go
    /// into the log itself.
    pub(super) fn note(&self, at: Timestamp, event: &Event) -> bool {
        let mut state = self.state();
        let is_proven = state.proven.is_some_and(|last| last.elapsed() < TRUST);
        if !is_proven || state.pending >= MAX_PENDING || state.length >= MAX_LENGTH {
            return false;
        }
        let row = Row::of(at, event);
        let fields = row.fields(0);
        let line = Line {
            after: state.newest,
            at: fields.at,
            server: fields.server.map(Cow::Borrowed),
            tool: fields.tool.map(Cow::Borrowed),
            actor: fields.actor.map(Cow::Borrowed),
            detail: Cow::Borrowed(fields.detail),
        };
        let Ok(mut line) = serde_json::to_vec(&line) else {
            return false;
        };
        line.push(b'\n');
        state.write(&line)
    }

    /// The log took in something, `count` of the entries among it, and `newest` is its newest record.
    pub(super) fn taken(&self, count: usize, newest: u64) {
        let mut state = self.state();
        state.pending = state.pending.saturating_sub(count);
        state.proven = Some(Instant::now());
        state.newest = newest;
        if state.pending == 0 && state.length > 0 {
            state.cut(0);
        }
    }

    /// The log could not take in something.
    pub(super) fn doubt(&self) {
        self.state().proven = None;
    }
}

impl State {
    fn write(&mut self, line: &[u8]) -> bool {
        let Some(file) = &mut self.file else {
            return false;
        };
        if let Err(error) = file.write_all(line) {
            tracing::warn!(%error, "the journal of calls cannot be written");
            // What is there of the line would spoil the next one.
            self.cut(self.length);
            self.proven = None;
            return false;
        }
        self.length += line.len() as u64;
        self.pending += 1;
        true
    }

    fn cut(&mut self, length: u64) {
        let Some(file) = &mut self.file else { return };
        let cut = file.set_len(length);
        match cut.and_then(|()| file.seek(SeekFrom::Start(length))) {
            Ok(_) => self.length = length,
            Err(error) => {
                tracing::warn!(%error, "the journal of calls cannot be emptied");
                self.file = None;
            }
        }
    }
}

/// How often the log has each beginning since the record with the number `after`.
fn beginnings(
    transaction: &Transaction<'_>,
    after: u64,
) -> rusqlite::Result<HashMap<Digest, usize>> {
    let mut select = transaction.prepare(
        "SELECT at, server, tool, actor, detail FROM audit WHERE seq > ?1 AND kind = ?2",
    )?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let mut rows = select.query((after, Kind::CallStarted.as_str()))?;
    let mut known = HashMap::new();
    while let Some(row) = rows.next()? {
        let fields = Fields {
            seq: 0,
            at: row.get(0)?,
            kind: Kind::CallStarted.as_str(),
            server: row.get_ref(1)?.as_str_or_null()?,
            tool: row.get_ref(2)?.as_str_or_null()?,
            actor: row.get_ref(3)?.as_str_or_null()?,
            approval: None,
            detail: row.get_ref(4)?.as_str()?,
        };
        *known.entry(identity(&fields)).or_default() += 1;
    }
    Ok(known)
}

/// What a beginning says, wherever it stands.
fn identity(fields: &Fields<'_>) -> Digest {
    fields.hash(&[0; 32])
}
