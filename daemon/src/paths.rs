//! Where files live, and the one way to replace one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// How the names of files begin that become another file when they are complete.
const TEMPORARY: &str = ".tmp-";

/// The configuration directory and the files in it.
#[derive(Debug, Clone)]
pub struct ConfigDir(PathBuf);

impl ConfigDir {
    pub const DEFAULT_NAME: &str = ".mcp-oauth-bridge";

    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn config_file(&self) -> PathBuf {
        self.0.join("config.json")
    }

    pub fn tokens_file(&self) -> PathBuf {
        self.0.join("tokens.enc")
    }

    pub fn state_file(&self) -> PathBuf {
        self.0.join("state.db")
    }

    /// Key file of the key-file key store.
    pub fn key_file(&self) -> PathBuf {
        self.0.join("vault.key")
    }

    pub fn lock_file(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }

    pub fn log_dir(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// Creates the directory, private to its owner; tightens the mode of one that exists.
    ///
    /// # Errors
    /// The directory cannot be created, belongs to another user, or its mode cannot be changed.
    pub fn ensure(&self) -> io::Result<()> {
        create_private_dir(&self.0)
    }

    /// Removes what a crash left of [`write_atomic`]. Only for the holder of the lock.
    pub fn remove_debris(&self) {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(TEMPORARY) {
                // It does no harm where it is.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Creates `path` and its parents; the last one gets mode 0700.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let metadata = fs::metadata(path)?;
        let uid = rustix::process::geteuid().as_raw();
        if metadata.uid() != uid {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "{} belongs to uid {}, not to uid {uid}",
                    path.display(),
                    metadata.uid()
                ),
            ));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
    }
    Ok(())
}

/// Replaces `path` with `content` so that a crash or a full disk leaves either the old or the new file.
///
/// The new file has mode 0600. File and directory are synced before this returns.
pub fn write_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // tempfile creates with mode 0600 and removes the file again when a step below fails.
    let mut file = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failed| failed.error)?;
    sync_dir(directory)
}

/// Makes renames and removals in `directory` durable.
pub fn sync_dir(directory: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(directory)?.sync_all()
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_file_is_private_and_leaves_no_debris() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }

    #[test]
    fn what_a_crash_left_is_removed_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        for name in [".tmp-abc", "config.json", ".hidden"] {
            File::create(home.path().join(name)).unwrap();
        }
        dir.remove_debris();
        assert!(!home.path().join(".tmp-abc").exists());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn an_open_directory_is_tightened() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("bridge");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        ConfigDir::new(&path).ensure().unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
