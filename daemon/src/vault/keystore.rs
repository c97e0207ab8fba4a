//! Where the key of the vault comes from.
//!
//! A new vault takes the first source that is there: keyring, service credential, passphrase, and
//! the key file only if it was asked for by name or exists already. The choice is written into the
//! vault's header; from then on only that source is asked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::envelope::RawKey;
use super::error::{KeyError, VaultError};
use super::{credential, keychain, keyfile, passphrase};
use crate::paths::ConfigDir;
use crate::types::Secret;

/// A kind of place for the key of the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeySource {
    Keyring,
    ServiceCredential,
    Passphrase,
    KeyFile,
}

impl KeySource {
    /// In the order in which a new vault tries them.
    pub const ALL: [Self; 4] = [
        Self::Keyring,
        Self::ServiceCredential,
        Self::Passphrase,
        Self::KeyFile,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keyring => "keyring",
            Self::ServiceCredential => "service-credential",
            Self::Passphrase => "passphrase",
            Self::KeyFile => "key-file",
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a key store: use keyring, service-credential, passphrase or key-file")]
pub struct InvalidKeySource(String);

impl FromStr for KeySource {
    type Err = InvalidKeySource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or_else(|| InvalidKeySource(text.chars().take(40).collect()))
    }
}

/// What the caller knows about keys. The environment is read by the caller, not here.
#[derive(Debug, Clone, Default)]
pub struct KeyOptions {
    /// The source a new vault must use, and an existing one must have.
    pub choice: Option<KeySource>,
    /// `$CREDENTIALS_DIRECTORY` of systemd.
    pub service_credential_dir: Option<PathBuf>,
    pub passphrase: Option<Secret>,
}

/// The source as the header of `tokens.enc` has it, with what is needed to get the same key again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum KeyHeader {
    /// The account is kept so that the directory can be moved.
    Keyring {
        account: String,
    },
    ServiceCredential(credential::Parameters),
    Passphrase(passphrase::Parameters),
    KeyFile {},
}

impl KeyHeader {
    pub(super) fn source(&self) -> KeySource {
        match self {
            Self::Keyring { .. } => KeySource::Keyring,
            Self::ServiceCredential(_) => KeySource::ServiceCredential,
            Self::Passphrase(_) => KeySource::Passphrase,
            Self::KeyFile {} => KeySource::KeyFile,
        }
    }
}

/// The key that an existing vault was made with.
pub(super) fn recover(
    header: &KeyHeader,
    dir: &ConfigDir,
    options: &KeyOptions,
) -> Result<RawKey, KeyError> {
    match header {
        KeyHeader::Keyring { account } => keychain::load(account)?.ok_or(KeyError::KeyringEmpty {
            account: account.clone(),
        }),
        KeyHeader::ServiceCredential(parameters) => {
            let secret = service_credential(options)?.ok_or(KeyError::CredentialMissing)?;
            credential::derive(&secret, parameters)
        }
        KeyHeader::Passphrase(parameters) => {
            passphrase::derive(given_passphrase(options)?, parameters)
        }
        KeyHeader::KeyFile {} => {
            let path = dir.key_file();
            keyfile::load(&path)?.ok_or(KeyError::KeyFileMissing { path })
        }
    }
}

/// The key for a new vault. A key that is already in the place is used again, because a vault that
/// was moved away may still need it.
pub(super) fn choose(
    dir: &ConfigDir,
    options: &KeyOptions,
) -> Result<(KeyHeader, RawKey), VaultError> {
    if let Some(choice) = options.choice {
        return obtain(choice, dir, options).map_err(|source| VaultError::Key {
            origin: choice,
            source,
        });
    }
    obtain(KeySource::Keyring, dir, options)
        .or_else(|keyring| choose_without_keyring(dir, options, keyring))
}

/// The rest of the ladder. `keyring` says why its first step is not there.
fn choose_without_keyring(
    dir: &ConfigDir,
    options: &KeyOptions,
    keyring: KeyError,
) -> Result<(KeyHeader, RawKey), VaultError> {
    let at = |origin| move |source| VaultError::Key { origin, source };
    let credential = service_credential(options).map_err(at(KeySource::ServiceCredential))?;
    let next = if credential.is_some() {
        KeySource::ServiceCredential
    } else if options.passphrase.is_some() {
        KeySource::Passphrase
    } else if dir.key_file().exists() {
        KeySource::KeyFile
    } else {
        return Err(VaultError::NoKeyStore { keyring });
    };
    tracing::info!(
        source = %next,
        reason = %keyring,
        "the keyring cannot be used: the key of the vault is kept elsewhere"
    );
    obtain(next, dir, options).map_err(at(next))
}

fn obtain(
    source: KeySource,
    dir: &ConfigDir,
    options: &KeyOptions,
) -> Result<(KeyHeader, RawKey), KeyError> {
    match source {
        KeySource::Keyring => {
            let account = keychain::account(dir.path());
            let key = match keychain::load(&account)? {
                Some(key) => key,
                None => keychain::create(&account)?,
            };
            Ok((KeyHeader::Keyring { account }, key))
        }
        KeySource::ServiceCredential => {
            let secret = service_credential(options)?.ok_or(KeyError::CredentialMissing)?;
            let parameters = credential::Parameters::random()?;
            let key = credential::derive(&secret, &parameters)?;
            Ok((KeyHeader::ServiceCredential(parameters), key))
        }
        KeySource::Passphrase => {
            let parameters = passphrase::Parameters::random()?;
            let key = passphrase::derive(given_passphrase(options)?, &parameters)?;
            Ok((KeyHeader::Passphrase(parameters), key))
        }
        KeySource::KeyFile => {
            let path = dir.key_file();
            let key = match keyfile::load(&path)? {
                Some(key) => key,
                None => keyfile::create(&path)?,
            };
            Ok((KeyHeader::KeyFile {}, key))
        }
    }
}

fn service_credential(options: &KeyOptions) -> Result<Option<credential::Content>, KeyError> {
    match &options.service_credential_dir {
        Some(dir) => credential::read(dir),
        None => Ok(None),
    }
}

fn given_passphrase(options: &KeyOptions) -> Result<&Secret, KeyError> {
    options
        .passphrase
        .as_ref()
        .filter(|passphrase| !passphrase.is_empty())
        .ok_or(KeyError::PassphraseMissing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Classify, chain};
    use crate::paths::write_atomic;

    fn next_best(dir: &ConfigDir, options: &KeyOptions) -> Result<KeySource, VaultError> {
        choose_without_keyring(dir, options, KeyError::KeyringLocked)
            .map(|(header, _)| header.source())
    }

    #[test]
    fn without_a_keyring_the_next_source_that_is_there_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        let mut options = KeyOptions {
            service_credential_dir: Some(home.path().to_owned()),
            ..KeyOptions::default()
        };
        let error = next_best(&dir, &options).unwrap_err();
        assert!(
            chain(&error)
                .starts_with("there is no place to keep the key of the vault: the keyring is")
        );
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("unlock the keyring"));
        assert!(hint.contains("mcpbridgectl init --key-store key-file"));
        assert!(hint.contains("MCPBRIDGE_PASSPHRASE_FILE"));
        assert!(!dir.key_file().exists(), "a key file is never made unasked");

        keyfile::create(&dir.key_file()).unwrap();
        assert_eq!(next_best(&dir, &options).unwrap(), KeySource::KeyFile);
        options.passphrase = Some(Secret::new("correct horse"));
        assert_eq!(next_best(&dir, &options).unwrap(), KeySource::Passphrase);
        let credential = home.path().join("mcp-oauth-bridge-key");
        write_atomic(&credential, &[7; 31]).unwrap();
        let short = next_best(&dir, &options).unwrap_err();
        assert!(chain(&short).contains("fewer than 32 bytes"));
        write_atomic(&credential, &[7; 32]).unwrap();
        assert_eq!(
            next_best(&dir, &options).unwrap(),
            KeySource::ServiceCredential
        );
    }

    #[test]
    fn a_chosen_source_that_is_not_there_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let dir = ConfigDir::new(home.path());
        for choice in [KeySource::ServiceCredential, KeySource::Passphrase] {
            let options = KeyOptions {
                choice: Some(choice),
                passphrase: Some(Secret::new("")),
                ..KeyOptions::default()
            };
            let error = choose(&dir, &options).unwrap_err();
            assert!(matches!(error, VaultError::Key { origin, .. } if origin == choice));
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn names_of_sources_are_read_as_they_are_shown() {
        for source in KeySource::ALL {
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        assert!("keychain".parse::<KeySource>().is_err());
    }
}
