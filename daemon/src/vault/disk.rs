//! `tokens.enc` as a file: replaced as a whole, with the old one at hand until the new one is
//! known to be good.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::VaultError;
use super::format::FormatError;
use crate::paths::{ConfigDir, write_atomic};

/// The vault file and its previous generation.
pub(super) struct Files {
    current: PathBuf,
    previous: PathBuf,
}

/// What there is to open.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
}

impl Files {
    pub(super) fn of(dir: &ConfigDir) -> Self {
        let current = dir.tokens_file();
        let previous = current.with_extension("enc.prev");
        Self { current, previous }
    }

    pub(super) fn current(&self) -> &Path {
        &self.current
    }

    /// The file to open. The previous generation only when there is no current one: an older state
    /// in place of a damaged newer one would bring back refresh tokens that were already used.
    pub(super) fn find(&self) -> Result<Option<Found>, VaultError> {
        for path in [&self.current, &self.previous] {
            match fs::read(path) {
                Ok(content) => {
                    let path = path.clone();
                    return Ok(Some(Found { path, content }));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    let path = path.clone();
                    return Err(VaultError::Read { path, source });
                }
            }
        }
        Ok(None)
    }

    /// After `found` was verified: makes it the current file and drops a left-over older one.
    pub(super) fn settle(&self, found: &Found) -> Result<(), VaultError> {
        if found.path == self.previous {
            fs::rename(&self.previous, &self.current).map_err(|source| VaultError::Write {
                path: self.current.clone(),
                source,
            })?;
        }
        // Left by a crash after a write; the next write removes it if this does not.
        let _ = fs::remove_file(&self.previous);
        Ok(())
    }

    /// Replaces the vault file. On failure the old content is in place.
    pub(super) fn replace(&self, content: &[u8]) -> Result<(), VaultError> {
        self.try_replace(content)
            .map_err(|source| VaultError::Write {
                path: self.current.clone(),
                source,
            })
    }

    fn try_replace(&self, content: &[u8]) -> io::Result<()> {
        let had_file = self.keep_previous()?;
        let written = write_atomic(&self.current, content).and_then(|()| self.verify(content));
        if let Err(error) = written {
            if had_file {
                // Renaming onto another name of the same file does nothing, so a file that was
                // not replaced yet keeps its second name, which goes below.
                fs::rename(&self.previous, &self.current)?;
            } else {
                let _ = fs::remove_file(&self.current);
            }
            let _ = fs::remove_file(&self.previous);
            return Err(error);
        }
        // The new file is durable; the old one may come back after a power loss and goes then.
        let _ = fs::remove_file(&self.previous);
        Ok(())
    }

    /// Gives the current file its second name. False when there is no current file.
    fn keep_previous(&self) -> io::Result<bool> {
        match fs::remove_file(&self.previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match fs::hard_link(&self.current, &self.previous) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            // A file system without hard links.
            Err(_) => write_atomic(&self.previous, &fs::read(&self.current)?).map(|()| true),
        }
    }

    fn verify(&self, content: &[u8]) -> io::Result<()> {
        if fs::read(&self.current)? == content {
            Ok(())
        } else {
            Err(io::Error::other("the file reads back differently"))
        }
    }

    /// The error for a person, with the previous generation named if there is one.
    pub(super) fn explain(&self, path: &Path, error: FormatError) -> VaultError {
        let previous = Some(&self.previous)
            .filter(|previous| *previous != path && previous.exists())
            .cloned();
        let path = path.to_owned();
        match error {
            FormatError::Truncated => VaultError::Truncated { path, previous },
            FormatError::Damaged(reason) => VaultError::Damaged {
                path,
                reason,
                previous,
            },
            FormatError::Newer(version) => VaultError::Newer { path, version },
            FormatError::WrongKey(origin) => VaultError::WrongKey { path, origin },
            FormatError::Crypto(error) => VaultError::Crypto(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Files) {
        let home = tempfile::tempdir().unwrap();
        let files = Files::of(&ConfigDir::new(home.path()));
        (home, files)
    }

    #[test]
    fn a_write_leaves_one_file() {
        let (home, files) = home();
        assert!(files.find().unwrap().is_none());
        files.replace(b"one").unwrap();
        files.replace(b"two").unwrap();
        assert_eq!(files.find().unwrap().unwrap().content, b"two");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_debris() {
        let (home, files) = home();
        files.replace(b"one").unwrap();
        // Read-back fails when the content is not what was asked for: stand in for a bad disk.
        assert!(files.verify(b"other").is_err());
        // The second name cannot be made: a directory is in its place.
        fs::create_dir(&files.previous).unwrap();
        assert!(matches!(
            files.replace(b"two"),
            Err(VaultError::Write { .. })
        ));
        fs::remove_dir(&files.previous).unwrap();
        assert_eq!(files.find().unwrap().unwrap().content, b"one");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_first_write_that_fails_leaves_nothing() {
        let (home, files) = home();
        let path = home.path().to_owned();
        drop(home);
        assert!(files.replace(b"one").is_err());
        assert!(!path.exists());
    }

    #[test]
    fn the_previous_file_is_found_only_without_a_current_one() {
        let (_home, files) = home();
        files.replace(b"new").unwrap();
        write_atomic(&files.previous, b"old").unwrap();
        let found = files.find().unwrap().unwrap();
        assert_eq!(found.content, b"new");
        files.settle(&found).unwrap();
        assert!(!files.previous.exists(), "not needed any more");

        fs::rename(&files.current, &files.previous).unwrap();
        let found = files.find().unwrap().unwrap();
        assert_eq!(found.path, files.previous);
        files.settle(&found).unwrap();
        assert_eq!(fs::read(&files.current).unwrap(), b"new");
        assert!(!files.previous.exists());
    }
}
