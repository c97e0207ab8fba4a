//! `tokens.enc`: the one home of secrets.
//!
//! A random data key seals every record; a key from a [`KeySource`] seals the data key. Records
//! stay sealed in memory until they are asked for.
//!
//! Invariants:
//! - A file that does not verify is an error with a remedy. It is never changed, and an older copy
//!   is never taken in its place.
//! - [`Vault::put`] and [`Vault::remove`] return after the change is on disk; when they fail, disk
//!   and memory are as before.
//! - One process at a time: the caller holds the daemon's lock file.
//!
//! Putting back an older `tokens.enc` as a whole is not detected: whoever can write the directory
//! can do that, and nothing outside it counts generations.

mod credential;
mod disk;
mod envelope;
mod error;
mod format;
mod keychain;
mod keyfile;
mod keystore;
mod passphrase;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::paths::ConfigDir;
use disk::{Files, Found};
use envelope::{RawKey, Sealed, SealingKey};
use format::{Document, Head};

pub use envelope::CryptoFailure;
pub use error::{KeyError, VaultError};
pub use keystore::{InvalidKeySource, KeyOptions, KeySource};

type Records = BTreeMap<String, Sealed>;

/// Cloneable handle on the sealed records.
#[derive(Clone)]
pub struct Vault {
    inner: Arc<Inner>,
}

struct Inner {
    head: Head,
    key: SealingKey,
    /// What the last write or the opening left on disk. Locked only to copy the pointer.
    state: Mutex<Arc<State>>,
    /// Held for a whole write, by a blocking thread, so that writes do not overlap.
    files: Mutex<Files>,
}

#[derive(Clone, Default)]
struct State {
    generation: u64,
    records: Records,
}

impl Vault {
    /// Opens `tokens.enc`, or prepares an empty vault that the first [`Self::put`] writes.
    ///
    /// Blocks: reads files, may derive a key for up to seconds, may wait 5 s for the keyring.
    ///
    /// # Errors
    /// The key cannot be had, or the file does not verify under it; the file is untouched.
    pub fn open(dir: &ConfigDir, options: &KeyOptions) -> Result<Self, VaultError> {
        let files = Files::of(dir);
        match files.find()? {
            Some(found) => Self::open_found(dir, options, files, &found),
            None => Self::empty(dir, options, files),
        }
    }

    /// Like [`Self::open`], and writes the empty vault when there is none, so that the choice of
    /// the key source is kept.
    ///
    /// # Errors
    /// As for [`Self::open`], or the file cannot be written.
    pub fn create(dir: &ConfigDir, options: &KeyOptions) -> Result<Self, VaultError> {
        let vault = Self::open(dir, options)?;
        let written = vault.inner.state().generation > 0;
        if !written {
            vault.inner.change(|_| true)?;
        }
        Ok(vault)
    }

    fn open_found(
        dir: &ConfigDir,
        options: &KeyOptions,
        files: Files,
        found: &Found,
    ) -> Result<Self, VaultError> {
        let damaged = |error| files.explain(&found.path, error);
        let document = Document::parse(&found.content).map_err(damaged)?;
        let origin = document.head.key.source();
        if let Some(choice) = options.choice.filter(|choice| *choice != origin) {
            return Err(VaultError::OtherKeySource {
                path: found.path.clone(),
                sealed_with: origin,
                asked_for: choice,
            });
        }
        let key = keystore::recover(&document.head.key, dir, options)
            .map_err(|source| VaultError::Key { origin, source })?;
        let opened = document.unlock(&SealingKey::new(&key)?).map_err(damaged)?;
        files.settle(found)?;
        let state = State {
            generation: opened.generation,
            records: opened.records,
        };
        Ok(Self::assemble(opened.head, opened.key, state, files))
    }

    fn empty(dir: &ConfigDir, options: &KeyOptions, files: Files) -> Result<Self, VaultError> {
        let (key_header, key) = keystore::choose(dir, options)?;
        let data_key = RawKey::random()?;
        let head = Head::seal(key_header, &SealingKey::new(&key)?, &data_key)?;
        let key = SealingKey::new(&data_key)?;
        Ok(Self::assemble(head, key, State::default(), files))
    }

    fn assemble(head: Head, key: SealingKey, state: State, files: Files) -> Self {
        Self {
            inner: Arc::new(Inner {
                head,
                key,
                state: Mutex::new(Arc::new(state)),
                files: Mutex::new(files),
            }),
        }
    }

    /// The secret stored under `id`.
    ///
    /// # Errors
    /// The record does not open. It was verified when it was read, so memory has been corrupted.
    pub fn get(&self, id: &str) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let state = self.inner.state();
        let Some(sealed) = state.records.get(id) else {
            return Ok(None);
        };
        let secret = self.inner.key.open(&format::record_context(id), sealed)?;
        Ok(Some(secret))
    }

    /// Stores `secret` under `id`. It is on disk, synced, when this returns.
    ///
    /// A write that has begun is finished even if this future is dropped.
    ///
    /// # Errors
    /// The file cannot be written; the old record is still in place.
    pub async fn put(&self, id: &str, secret: &[u8]) -> Result<(), VaultError> {
        let sealed = self.inner.key.seal(&format::record_context(id), secret)?;
        let id = id.to_owned();
        self.write(move |records| {
            records.insert(id, sealed);
            true
        })
        .await
    }

    /// Removes the record `id`, if there is one. Durability and errors as for [`Self::put`].
    ///
    /// # Errors
    /// The file cannot be written; the record is still in place.
    pub async fn remove(&self, id: &str) -> Result<(), VaultError> {
        let id = id.to_owned();
        self.write(move |records| records.remove(&id).is_some())
            .await
    }

    /// The ids of all records, sorted.
    pub fn ids(&self) -> Vec<String> {
        self.inner.state().records.keys().cloned().collect()
    }

    /// Where the key of this vault is kept.
    pub fn key_source(&self) -> KeySource {
        self.inner.head.key.source()
    }

    async fn write(
        &self,
        edit: impl FnOnce(&mut Records) -> bool + Send + 'static,
    ) -> Result<(), VaultError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || inner.change(edit)).await {
            Ok(result) => result,
            Err(join) => Err(VaultError::Write {
                path: self.inner.files().current().to_owned(),
                source: io::Error::other(join),
            }),
        }
    }
}

impl Inner {
    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the records as `edit` leaves them, then shows them to readers. `edit` returns false
    /// when it changed nothing.
    fn change(&self, edit: impl FnOnce(&mut Records) -> bool) -> Result<(), VaultError> {
        let files = self.files();
        let mut next = State::clone(&self.state());
        if !edit(&mut next.records) {
            return Ok(());
        }
        next.generation += 1;
        let text = Document::render(&self.head, &self.key, next.generation, &next.records)?;
        files.replace(&text)?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("key_source", &self.key_source())
            .finish_non_exhaustive()
    }
}
