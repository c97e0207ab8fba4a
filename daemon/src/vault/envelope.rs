//! AES-256-GCM over short secrets, with a fresh random nonce for each sealing.
//!
//! Random 96-bit nonces are safe for 2³² sealings under one key (NIST SP 800-38D §8.3); a vault
//! that is written every second gets there in 68 years.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The operating system gave no random bytes, or a sealed value did not open.
///
/// Deliberately without detail, as in the primitives below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cryptographic operation failed")]
pub struct CryptoFailure;

impl From<ring::error::Unspecified> for CryptoFailure {
    fn from(_: ring::error::Unspecified) -> Self {
        Self
    }
}

fn random<const N: usize>() -> Result<[u8; N], CryptoFailure> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes)?;
    Ok(bytes)
}

/// Public randomness of a key derivation; base64 in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Salt([u8; 16]);

impl Salt {
    pub(super) fn random() -> Result<Self, CryptoFailure> {
        random().map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<String> for Salt {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = STANDARD.decode(text).unwrap_or_default();
        bytes.try_into().map(Self).map_err(|_| "not a salt")
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> Self {
        STANDARD.encode(salt.0)
    }
}

/// 256 bits of key material, zeroed on drop.
pub(super) struct RawKey(Zeroizing<[u8; Self::LEN]>);

impl RawKey {
    pub(super) const LEN: usize = 32;

    pub(super) fn random() -> Result<Self, CryptoFailure> {
        let mut key = Self::zeroed();
        SystemRandom::new().fill(key.bytes_mut())?;
        Ok(key)
    }

    /// To be filled by a key derivation.
    pub(super) fn zeroed() -> Self {
        Self(Zeroizing::new([0; Self::LEN]))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0[..]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0[..]
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Self::zeroed();
        if bytes.len() != Self::LEN {
            return None;
        }
        key.bytes_mut().copy_from_slice(bytes);
        Some(key)
    }

    /// For stores that keep text.
    pub(super) fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.bytes()))
    }

    /// None when `text` is not exactly one key; surrounding white space is allowed.
    pub(super) fn from_base64(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
        Self::from_bytes(&bytes)
    }
}

impl fmt::Debug for RawKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawKey(…)")
    }
}

/// Nonce, ciphertext and tag; base64 in JSON.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Sealed(Vec<u8>);

impl Sealed {
    pub(super) fn digest(&self) -> String {
        STANDARD.encode(digest(&SHA256, &self.0))
    }
}

impl TryFrom<String> for Sealed {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Sealed> for String {
    fn from(sealed: Sealed) -> Self {
        STANDARD.encode(sealed.0)
    }
}

/// A key that seals and opens. `context` is authenticated and must be the same for both.
///
/// ring does not zero its expanded key on drop. The data key lives as long as the daemon anyway.
pub(super) struct SealingKey(LessSafeKey);

impl SealingKey {
    pub(super) fn new(key: &RawKey) -> Result<Self, CryptoFailure> {
        let key = UnboundKey::new(&AES_256_GCM, key.bytes())?;
        Ok(Self(LessSafeKey::new(key)))
    }

    pub(super) fn seal(&self, context: &[u8], secret: &[u8]) -> Result<Sealed, CryptoFailure> {
        let nonce: [u8; NONCE_LEN] = random()?;
        // At full size from the start: a buffer that grows leaves a copy of the secret behind.
        let mut text = Zeroizing::new(Vec::with_capacity(secret.len() + AES_256_GCM.tag_len()));
        text.extend_from_slice(secret);
        self.0.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut *text,
        )?;
        Ok(Sealed([&nonce[..], &text[..]].concat()))
    }

    pub(super) fn open(
        &self,
        context: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, CryptoFailure> {
        let (nonce, text) = sealed.0.split_at_checked(NONCE_LEN).ok_or(CryptoFailure)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .0
            .open_in_place(nonce, Aad::from(context), &mut text)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_with_its_key_and_context() {
        let key = SealingKey::new(&RawKey::random().unwrap()).unwrap();
        let other = SealingKey::new(&RawKey::random().unwrap()).unwrap();
        let sealed = key.seal(b"here", b"secret").unwrap();
        assert_eq!(*key.open(b"here", &sealed).unwrap(), b"secret");
        assert_eq!(key.open(b"there", &sealed), Err(CryptoFailure));
        assert_eq!(other.open(b"here", &sealed), Err(CryptoFailure));
        assert_eq!(key.open(b"here", &Sealed(vec![0; 5])), Err(CryptoFailure));
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let key = SealingKey::new(&RawKey::random().unwrap()).unwrap();
        assert!(key.seal(b"", b"x").unwrap() != key.seal(b"", b"x").unwrap());
    }

    #[test]
    fn a_key_survives_text_form_and_is_not_shown() {
        let key = RawKey::random().unwrap();
        let text = key.to_base64();
        let again = RawKey::from_base64(&format!(" {}\n", *text)).unwrap();
        assert_eq!(again.bytes(), key.bytes());
        assert!(!format!("{key:?}").contains(&text[..8]));
        for bad in ["", "AAAA", "not base64!", &text[1..]] {
            assert!(RawKey::from_base64(bad).is_none(), "{bad}");
        }
    }
}
