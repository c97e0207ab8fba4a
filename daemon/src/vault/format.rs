//! The text of `tokens.enc`, version 1.
//!
//! ```json
//! {"format": "mcp-oauth-bridge-vault", "version": 1,
//!  "key": {"source": "passphrase", "rounds": 600000, "salt": "…"},
//!  "wrapped_key": "…", "manifest": "…", "records": {"ID": "…"}}
//! ```
//!
//! Every "…" but the salt is sealed, and what it is sealed with says where it belongs:
//! `wrapped_key` (under the key of the source) and `manifest` (under the data key) are bound to
//! version and `key`, a record to version and id. The manifest lists the digest of every record,
//! so that none can be removed, added, swapped or put back to an older state on its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::envelope::{CryptoFailure, RawKey, Sealed, SealingKey};
use super::keystore::{KeyHeader, KeySource};

const FORMAT: &str = "mcp-oauth-bridge-vault";
const VERSION: u32 = 1;

/// Why a file is not a vault that this program can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FormatError {
    /// It ends too early.
    Truncated,
    /// It was altered, or never was a vault.
    Damaged(String),
    Newer(u64),
    /// The data key does not open with the key from its source.
    WrongKey(KeySource),
    Crypto(CryptoFailure),
}

impl FormatError {
    fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }

    fn json(error: &serde_json::Error) -> Self {
        if error.is_eof() {
            Self::Truncated
        } else {
            Self::damaged(error.to_string())
        }
    }
}

impl From<CryptoFailure> for FormatError {
    fn from(failure: CryptoFailure) -> Self {
        Self::Crypto(failure)
    }
}

/// What stays the same from generation to generation.
#[derive(Clone)]
pub(super) struct Head {
    pub(super) key: KeyHeader,
    wrapped_key: Sealed,
}

impl Head {
    pub(super) fn seal(
        key: KeyHeader,
        source_key: &SealingKey,
        data_key: &RawKey,
    ) -> Result<Self, CryptoFailure> {
        let context = header_context("data-key", &key)?;
        let wrapped_key = source_key.seal(&context, data_key.bytes())?;
        Ok(Self { key, wrapped_key })
    }
}

/// A parsed file, not verified yet.
pub(super) struct Document {
    pub(super) head: Head,
    manifest: Sealed,
    records: BTreeMap<String, Sealed>,
}

/// A verified file.
pub(super) struct Opened {
    pub(super) head: Head,
    pub(super) key: SealingKey,
    pub(super) generation: u64,
    pub(super) records: BTreeMap<String, Sealed>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    version: u32,
    key: KeyHeader,
    wrapped_key: Sealed,
    manifest: Sealed,
    records: BTreeMap<String, Sealed>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    generation: u64,
    digests: BTreeMap<String, String>,
}

impl Manifest {
    fn of(generation: u64, records: &BTreeMap<String, Sealed>) -> Self {
        let digests = records
            .iter()
            .map(|(id, sealed)| (id.clone(), sealed.digest()))
            .collect();
        Self {
            generation,
            digests,
        }
    }
}

impl Document {
    pub(super) fn parse(text: &[u8]) -> Result<Self, FormatError> {
        check_version(text)?;
        let file: File = serde_json::from_slice(text).map_err(|e| FormatError::json(&e))?;
        Ok(Self {
            head: Head {
                key: file.key,
                wrapped_key: file.wrapped_key,
            },
            manifest: file.manifest,
            records: file.records,
        })
    }

    /// Opens the data key and checks every record against the manifest.
    pub(super) fn unlock(self, source_key: &SealingKey) -> Result<Opened, FormatError> {
        let context = header_context("data-key", &self.head.key)?;
        let data_key = source_key
            .open(&context, &self.head.wrapped_key)
            .map_err(|_| FormatError::WrongKey(self.head.key.source()))?;
        let data_key = RawKey::from_bytes(&data_key)
            .ok_or_else(|| FormatError::damaged("the data key has the wrong length"))?;
        let key = SealingKey::new(&data_key)?;

        let context = header_context("manifest", &self.head.key)?;
        let manifest = key
            .open(&context, &self.manifest)
            .map_err(|_| FormatError::damaged("the list of records does not verify"))?;
        let manifest: Manifest = serde_json::from_slice(&manifest)
            .map_err(|_| FormatError::damaged("the list of records has the wrong form"))?;
        let present = Manifest::of(manifest.generation, &self.records);
        if present.digests != manifest.digests {
            return Err(FormatError::damaged(
                "the records are not those that were written together",
            ));
        }
        Ok(Opened {
            head: self.head,
            key,
            generation: manifest.generation,
            records: self.records,
        })
    }

    /// The text of a file. No line end: its last byte matters like any other.
    pub(super) fn render(
        head: &Head,
        key: &SealingKey,
        generation: u64,
        records: &BTreeMap<String, Sealed>,
    ) -> Result<Vec<u8>, CryptoFailure> {
        let manifest = json(&Manifest::of(generation, records))?;
        let context = header_context("manifest", &head.key)?;
        json(&File {
            format: FORMAT.to_owned(),
            version: VERSION,
            key: head.key.clone(),
            wrapped_key: head.wrapped_key.clone(),
            manifest: key.seal(&context, &manifest)?,
            records: records.clone(),
        })
    }
}

/// What a record is bound to.
pub(super) fn record_context(id: &str) -> Vec<u8> {
    context("record", id.as_bytes())
}

/// Binds to the header, key derivation parameters included, in the form this program writes it.
fn header_context(role: &str, key: &KeyHeader) -> Result<Vec<u8>, CryptoFailure> {
    Ok(context(role, &json(key)?))
}

fn context(role: &str, detail: &[u8]) -> Vec<u8> {
    [format!("{FORMAT}\0{VERSION}\0{role}\0").as_bytes(), detail].concat()
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, CryptoFailure> {
    serde_json::to_vec(value).map_err(|_| CryptoFailure)
}

/// Looks at format and version alone, before the fields of a newer version are called damage.
fn check_version(text: &[u8]) -> Result<(), FormatError> {
    #[derive(Deserialize)]
    struct Start {
        format: String,
        version: u64,
    }

    let start: Start = serde_json::from_slice(text).map_err(|e| FormatError::json(&e))?;
    if start.format != FORMAT {
        return Err(FormatError::damaged("it is not a vault file"));
    }
    match start.version {
        version if version == u64::from(VERSION) => Ok(()),
        version if version > u64::from(VERSION) => Err(FormatError::Newer(version)),
        _ => Err(FormatError::damaged("it names a version that never was")),
    }
}
