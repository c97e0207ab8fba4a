//! A key in a file that only its owner can reach.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::envelope::RawKey;
use super::error::KeyError;
use crate::paths::write_atomic;

/// The key in the file, or None when there is no file.
///
/// # Errors
/// The file can be reached by others, belongs to another user, or does not hold a key.
pub(super) fn load(path: &Path) -> Result<Option<RawKey>, KeyError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error(path, source)),
    };
    check_access(path, &file)?;
    let mut text = Zeroizing::new(String::with_capacity(64));
    match file.read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
        Err(source) => return Err(io_error(path, source)),
    }
    RawKey::from_base64(&text)
        .map(Some)
        .ok_or_else(|| KeyError::KeyFileMalformed {
            path: path.to_owned(),
        })
}

/// Makes a key and its file, mode 0600.
pub(super) fn create(path: &Path) -> Result<RawKey, KeyError> {
    let key = RawKey::random()?;
    write_atomic(path, key.to_base64().as_bytes()).map_err(|source| io_error(path, source))?;
    Ok(key)
}

fn io_error(path: &Path, source: io::Error) -> KeyError {
    KeyError::Io {
        path: path.to_owned(),
        source,
    }
}

/// Looks at the opened file, not at the path, which could lead elsewhere by now.
#[cfg(unix)]
fn check_access(path: &Path, file: &File) -> Result<(), KeyError> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let metadata = file.metadata().map_err(|source| io_error(path, source))?;
    let path = path.to_owned();
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::KeyFileExposed { path, mode });
    }
    let uid = metadata.uid();
    if uid != rustix::process::geteuid().as_raw() {
        return Err(KeyError::KeyFileForeign { path, uid });
    }
    Ok(())
}

/// The profile directory of a Windows user is closed to others by its ACL.
#[cfg(not(unix))]
fn check_access(_path: &Path, _file: &File) -> Result<(), KeyError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_created_key_is_found_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("vault.key");
        assert!(load(&path).unwrap().is_none());
        let key = create(&path).unwrap();
        assert_eq!(load(&path).unwrap().unwrap().bytes(), key.bytes());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_reach_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("vault.key");
        create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o601] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load(&path).unwrap_err();
            assert!(matches!(error, KeyError::KeyFileExposed { .. }), "{mode:o}");
        }
    }

    #[test]
    fn a_file_without_a_key_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("vault.key");
        for content in [&b""[..], b"short", b"\xff\xfe", &[b'A'; 60]] {
            write_atomic(&path, content).unwrap();
            let error = load(&path).unwrap_err();
            assert!(matches!(error, KeyError::KeyFileMalformed { .. }));
        }
    }
}
