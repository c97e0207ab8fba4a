//! What can go wrong with the vault, and what a person does about it.

use std::io;
use std::path::PathBuf;

use super::envelope::CryptoFailure;
use super::keystore::KeySource;
use crate::error::{Classify, ErrorKind};

#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("there is no place to keep the key of the vault")]
    NoKeyStore {
        /// Why the first choice, the keyring, is not it.
        #[source]
        keyring: KeyError,
    },
    #[error("the key of the vault cannot be had from the {origin}")]
    Key {
        origin: KeySource,
        #[source]
        source: KeyError,
    },
    #[error("{} does not open with the key from the {origin}: the key is another one, or the file was altered", path.display())]
    WrongKey { path: PathBuf, origin: KeySource },
    #[error("{} is sealed with the key from the {sealed_with}, not from the {asked_for}", path.display())]
    OtherKeySource {
        path: PathBuf,
        sealed_with: KeySource,
        asked_for: KeySource,
    },
    #[error("{} is truncated", path.display())]
    Truncated {
        path: PathBuf,
        previous: Option<PathBuf>,
    },
    #[error("{} is damaged or was altered: {reason}", path.display())]
    Damaged {
        path: PathBuf,
        reason: String,
        previous: Option<PathBuf>,
    },
    #[error("{} was written by a newer version (format {version})", path.display())]
    Newer { path: PathBuf, version: u64 },
    #[error("{} cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} cannot be written; its content is unchanged", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Crypto(#[from] CryptoFailure),
}

/// Why a key source has no key for us.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("no keyring answers: {0}")]
    KeyringUnavailable(String),
    /// Also a keyring that wants to be set up first: both ask, and nobody answers.
    #[error("the keyring is locked, and nobody answered when it asked for its password")]
    KeyringLocked,
    #[error("the keyring holds no key for {account}")]
    KeyringEmpty { account: String },
    #[error("the keyring entry for {account} is not a vault key")]
    KeyringMalformed { account: String },
    #[error("no service credential was handed to the daemon")]
    CredentialMissing,
    #[error("the service credential {} has fewer than 32 bytes", path.display())]
    CredentialTooShort { path: PathBuf },
    #[error("no passphrase was given")]
    PassphraseMissing,
    #[error("the file asks for {0} rounds of key derivation, which is outside of what is safe")]
    Rounds(u32),
    #[error("there is no key file {}", path.display())]
    KeyFileMissing { path: PathBuf },
    #[error("other users can reach the key file {} (mode {mode:03o})", path.display())]
    KeyFileExposed { path: PathBuf, mode: u32 },
    #[error("the key file {} belongs to uid {uid}, not to the user of the daemon", path.display())]
    KeyFileForeign { path: PathBuf, uid: u32 },
    #[error("the key file {} does not hold a vault key", path.display())]
    KeyFileMalformed { path: PathBuf },
    #[error("{} cannot be read or written", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Crypto(#[from] CryptoFailure),
}

const OTHER_KEY_STORES: &str = "run `mcpbridgectl init --key-store key-file` to keep the key in \
    a file that only you can read, or set MCPBRIDGE_PASSPHRASE_FILE to a file with a passphrase";

/// The last resort, in every hint where a login can be repeated.
const START_AFRESH: &str = "or move the file away and log in to the servers again";

impl Classify for VaultError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::NoKeyStore { .. } | Self::Read { .. } | Self::Write { .. } => {
                ErrorKind::Unavailable
            }
            Self::Key { source, .. } => source.kind(),
            Self::WrongKey { .. }
            | Self::OtherKeySource { .. }
            | Self::Truncated { .. }
            | Self::Damaged { .. }
            | Self::Newer { .. } => ErrorKind::Conflict,
            Self::Crypto(_) => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoKeyStore { keyring } => {
                let unlock = match keyring {
                    KeyError::KeyringLocked => "unlock the keyring and start the daemon again, or ",
                    _ => "",
                };
                format!("{unlock}{OTHER_KEY_STORES}")
            }
            Self::Key { source, .. } => return source.hint(),
            Self::WrongKey { origin, .. } => {
                format!("{} {START_AFRESH}", wrong_key_remedy(*origin))
            }
            Self::OtherKeySource { sealed_with, .. } => {
                format!("leave out --key-store or use --key-store {sealed_with}, {START_AFRESH}")
            }
            Self::Truncated { previous, .. } | Self::Damaged { previous, .. } => match previous {
                Some(previous) => format!(
                    "restore the file from a backup; its previous generation is {}: move the \
                     damaged file away to use it (logins renewed since then have to be repeated)",
                    previous.display()
                ),
                None => format!("restore the file from a backup, {START_AFRESH}"),
            },
            Self::Newer { .. } => {
                format!("install the version that wrote the file, {START_AFRESH}")
            }
            Self::Read { .. } => {
                "make the file readable for the user that runs mcpbridged".to_owned()
            }
            Self::Write { .. } => {
                "check the free space and the permissions of its directory".to_owned()
            }
            Self::Crypto(_) => return None,
        };
        Some(hint)
    }
}

fn wrong_key_remedy(origin: KeySource) -> &'static str {
    match origin {
        KeySource::Keyring => "restore the keyring entry of mcp-oauth-bridge from a backup,",
        KeySource::ServiceCredential => {
            "give the service the credential that the vault was made with,"
        }
        KeySource::Passphrase => "check the passphrase,",
        KeySource::KeyFile => "restore the key file from a backup,",
    }
}

impl Classify for KeyError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::KeyringUnavailable(_) | Self::KeyringLocked | Self::Io { .. } => {
                ErrorKind::Unavailable
            }
            Self::CredentialMissing | Self::CredentialTooShort { .. } | Self::PassphraseMissing => {
                ErrorKind::InvalidInput
            }
            Self::KeyringEmpty { .. }
            | Self::KeyringMalformed { .. }
            | Self::Rounds(_)
            | Self::KeyFileMissing { .. }
            | Self::KeyFileExposed { .. }
            | Self::KeyFileForeign { .. }
            | Self::KeyFileMalformed { .. } => ErrorKind::Conflict,
            Self::Crypto(_) => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::KeyringUnavailable(_) => "start the daemon in a session with a keyring (Secret \
                Service on D-Bus); for a machine without one, `mcpbridgectl init --key-store \
                key-file` makes a new vault"
                .to_owned(),
            Self::KeyringLocked => "unlock the keyring and start the daemon again".to_owned(),
            Self::KeyringEmpty { .. } | Self::KeyringMalformed { .. } => {
                "restore the keyring entry from a backup, or move tokens.enc away and log in to \
                 the servers again"
                    .to_owned()
            }
            Self::CredentialMissing => "add LoadCredential=mcp-oauth-bridge-key:PATH to the \
                systemd unit"
                .to_owned(),
            Self::CredentialTooShort { .. } => "make one with `head -c 32 /dev/urandom`".to_owned(),
            Self::PassphraseMissing => {
                "set MCPBRIDGE_PASSPHRASE_FILE to a file with the passphrase".to_owned()
            }
            Self::Rounds(_) => {
                "the file was altered or damaged: restore it from a backup, or move \
                it away and log in to the servers again"
                    .to_owned()
            }
            Self::KeyFileMissing { .. } | Self::KeyFileMalformed { .. } => {
                "restore the key file from a backup, or move it and tokens.enc away and log in to \
                 the servers again"
                    .to_owned()
            }
            Self::KeyFileExposed { path, .. } => format!(
                "run `chmod 600 {}`; if others may have read it, move it and tokens.enc away and \
                 log in to the servers again",
                path.display()
            ),
            Self::KeyFileForeign { .. } => {
                "run the daemon as the owner of the file, or change its owner".to_owned()
            }
            Self::Io { .. } => {
                "check that the file and its directory belong to the user that runs \
                mcpbridged and that there is free space"
                    .to_owned()
            }
            Self::Crypto(_) => return None,
        };
        Some(hint)
    }
}
