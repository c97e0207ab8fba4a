//! `state.db`: one SQLite file for what must outlive the process and is not a secret of a server.
//!
//! One thread writes. What was asked for while it worked goes into the next commit together, so a
//! burst costs one; each piece of work has a savepoint of its own and fails alone. Reading uses
//! connections of its own and never waits for the writer (WAL). Tables belong to the services above,
//! each with its own file under `migrations/`.

mod error;
mod migrate;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags, Transaction};
use tokio::sync::watch;

pub use self::error::StoreError;
use self::writer::Writer;
use crate::paths::sync_dir;

/// Readers that are kept open for the next one.
const IDLE_READERS: usize = 4;
/// Bytes of the write-ahead log that are kept for reuse.
const LOG_LIMIT: u32 = 16 * 1024 * 1024;
/// SQLite's own page size, in bytes.
const PAGE: u32 = 4096;
/// How long one connection waits for another that holds the file.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// What a committed change survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// The end of the process, however it comes.
    Process,
    /// Also a power failure: the commit is synced to the disk.
    Power,
}

/// Cloneable handle. The last one to go ends the writing thread when its work is done.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Writer,
    idle: Mutex<Vec<Connection>>,
    /// Removed with the store.
    #[cfg(test)]
    _dir: Option<tempfile::TempDir>,
}

impl Store {
    /// Opens the database, makes it if there is none, and brings it to the present format.
    ///
    /// # Errors
    /// The file is damaged, from a newer version, or cannot be opened. It is left as it is.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        private(path)?;
        let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migrate::run(&mut connection, path)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                writer: Writer::spawn(connection).map_err(|source| StoreError::File {
                    path: path.to_owned(),
                    source,
                })?,
                idle: Mutex::default(),
                #[cfg(test)]
                _dir: None,
            }),
        })
    }

    /// A store that is gone with its last handle.
    #[cfg(test)]
    pub(crate) fn temporary() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Self::open(&dir.path().join("state.db")).unwrap();
        Arc::get_mut(&mut store.inner).unwrap()._dir = Some(dir);
        store
    }

    /// Runs `work` in a transaction and returns what it says once that is committed as durably as
    /// asked. Work that was handed over is done even if nobody waits for it any more.
    ///
    /// # Errors
    /// `work` failed, and none of it is kept, or the commit failed.
    pub async fn write<T, W>(&self, durability: Durability, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.inner.writer.write(durability, work).await
    }

    /// Where a file of the same service can stand beside the database.
    pub fn directory(&self) -> &Path {
        self.inner.path.parent().unwrap_or(Path::new("."))
    }

    /// Counts the commits: whoever shows what is stored looks again when it moves.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.writer.commits()
    }

    /// Runs `work` on what is committed.
    ///
    /// # Errors
    /// `work` failed.
    pub async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let reading = tokio::task::spawn_blocking(move || {
            let idle = inner
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&inner.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
            };
            let outcome = work(&connection)?;
            let mut idle = inner.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_READERS {
                idle.push(connection);
            }
            Ok(outcome)
        });
        reading.await.map_err(|_| StoreError::Interrupted)?
    }
}

/// Makes an empty file that only its owner can read; SQLite gives its companions the same mode.
fn private(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let is_new = !path.exists();
    let opened = options.open(path).and_then(|file| {
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        drop(file);
        match path.parent() {
            Some(directory) if is_new => sync_dir(directory),
            _ => Ok(()),
        }
    });
    opened.map_err(|source| StoreError::File {
        path: path.to_owned(),
        source,
    })
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        // A schema that somebody tampered with must not run functions when it is read.
        connection.pragma_update(None, "trusted_schema", false)?;
        if access.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
            connection.pragma_update(None, "journal_mode", "wal")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            // What is removed may be arguments, and must not linger in free pages.
            connection.pragma_update(None, "secure_delete", true)?;
            // Each checkpoint syncs; a burst of records fills the default of 4 MiB in no time.
            connection.pragma_update(None, "wal_autocheckpoint", LOG_LIMIT / PAGE)?;
            // A slow reader lets the log grow; it shrinks again afterwards.
            connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
            // On macOS a plain sync stops in the drive's own memory.
            connection.pragma_update(None, "fullfsync", true)?;
            connection.pragma_update(None, "checkpoint_fullfsync", true)?;
        }
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    };
    open().map_err(|error| StoreError::at(path, error))
}

#[cfg(test)]
mod tests;
