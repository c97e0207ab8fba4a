//! A key from a service credential (`LoadCredential=` of systemd): HKDF-SHA256.
//!
//! Anything of at least 32 bytes is accepted as random. The service manager guards the file, so
//! its owner and mode are not ours to judge.

use std::fs;
use std::io;
use std::path::Path;

use ring::hkdf::{self, HKDF_SHA256};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::envelope::{CryptoFailure, RawKey, Salt};
use super::error::KeyError;

const NAME: &str = "mcp-oauth-bridge-key";
const PURPOSE: &[u8] = b"mcp-oauth-bridge-vault key 1";

pub(super) type Content = Zeroizing<Vec<u8>>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    salt: Salt,
}

impl Parameters {
    pub(super) fn random() -> Result<Self, CryptoFailure> {
        let salt = Salt::random()?;
        Ok(Self { salt })
    }
}

/// The credential in `directory`, or None when the service has no such credential.
pub(super) fn read(directory: &Path) -> Result<Option<Content>, KeyError> {
    let path = directory.join(NAME);
    match fs::read(&path) {
        Ok(content) if content.len() < RawKey::LEN => Err(KeyError::CredentialTooShort { path }),
        Ok(content) => Ok(Some(Zeroizing::new(content))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(KeyError::Io { path, source }),
    }
}

pub(super) fn derive(content: &Content, parameters: &Parameters) -> Result<RawKey, KeyError> {
    let derived = hkdf::Salt::new(HKDF_SHA256, parameters.salt.bytes()).extract(content);
    let mut key = RawKey::zeroed();
    derived
        .expand(&[PURPOSE], HKDF_SHA256)
        .and_then(|output| output.fill(key.bytes_mut()))
        .map_err(CryptoFailure::from)?;
    Ok(key)
}
