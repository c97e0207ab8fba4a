//! A key in the keyring of the operating system.

use std::path::Path;

use super::envelope::RawKey;
use super::error::KeyError;

/// The name of our entry: a directory has one vault.
pub(super) fn account(dir: &Path) -> String {
    let canonical = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    canonical.display().to_string()
}

/// The key under `account`, or None when the keyring has none.
pub(super) fn load(account: &str) -> Result<Option<RawKey>, KeyError> {
    let Some(text) = backend::read(account)? else {
        return Ok(None);
    };
    RawKey::from_base64(&text)
        .map(Some)
        .ok_or_else(|| KeyError::KeyringMalformed {
            account: account.to_owned(),
        })
}

/// Makes a key and stores it. It is read back, because some keyrings forget what they took.
pub(super) fn create(account: &str) -> Result<RawKey, KeyError> {
    let key = RawKey::random()?;
    backend::write(account, key.to_base64())?;
    match load(account)? {
        Some(stored) if stored.bytes() == key.bytes() => Ok(key),
        _ => Err(KeyError::KeyringUnavailable(
            "it did not keep the key".to_owned(),
        )),
    }
}

#[cfg(feature = "keychain")]
mod backend {
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;
    use std::time::Duration;

    use keyring::{Entry, Error};
    use zeroize::Zeroizing;

    use super::KeyError;

    const SERVICE: &str = "mcp-oauth-bridge";
    /// A locked keyring waits for a prompt that nobody may ever see.
    const PATIENCE: Duration = Duration::from_secs(5);

    pub(super) fn read(account: &str) -> Result<Option<Zeroizing<String>>, KeyError> {
        call(account, |entry| match entry.get_password() {
            Ok(text) => Ok(Some(Zeroizing::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(error),
        })
    }

    pub(super) fn write(account: &str, text: Zeroizing<String>) -> Result<(), KeyError> {
        call(account, move |entry| entry.set_password(&text))
    }

    /// Runs `operation` on a thread of its own: it blocks on D-Bus, possibly for ever, and then
    /// the thread is left behind.
    fn call<T: Send + 'static>(
        account: &str,
        operation: impl FnOnce(&Entry) -> keyring::Result<T> + Send + 'static,
    ) -> Result<T, KeyError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let account = account.to_owned();
        thread::Builder::new()
            .name("keyring".to_owned())
            .spawn(move || {
                let result = Entry::new(SERVICE, &account).and_then(|entry| operation(&entry));
                // Nobody listens any more when the time is up.
                let _ = sender.send(result.map_err(explain));
            })
            .map_err(|error| KeyError::KeyringUnavailable(error.to_string()))?;
        match receiver.recv_timeout(PATIENCE) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(KeyError::KeyringLocked),
            Err(RecvTimeoutError::Disconnected) => {
                Err(KeyError::KeyringUnavailable("its client failed".to_owned()))
            }
        }
    }

    fn explain(error: Error) -> KeyError {
        match (error, Entry::store_status()) {
            // The error itself only says that the reason is in the status.
            (Error::NoDefaultStore, Err(reason)) => {
                KeyError::KeyringUnavailable(reason.to_string())
            }
            (Error::NoStorageAccess(_), _) => KeyError::KeyringLocked,
            (error, _) => KeyError::KeyringUnavailable(error.to_string()),
        }
    }
}

#[cfg(not(feature = "keychain"))]
mod backend {
    use zeroize::Zeroizing;

    use super::KeyError;

    fn absent() -> KeyError {
        KeyError::KeyringUnavailable("this build has no keyring support".to_owned())
    }

    pub(super) fn read(_account: &str) -> Result<Option<Zeroizing<String>>, KeyError> {
        Err(absent())
    }

    pub(super) fn write(_account: &str, _text: Zeroizing<String>) -> Result<(), KeyError> {
        Err(absent())
    }
}
