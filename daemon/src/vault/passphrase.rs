//! A key from a passphrase: PBKDF2-HMAC-SHA256.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use ring::pbkdf2::{self, PBKDF2_HMAC_SHA256};
use serde::{Deserialize, Serialize};

use super::envelope::{CryptoFailure, RawKey, Salt};
use super::error::KeyError;
use crate::types::Secret;

/// OWASP's figure for this function (2023). Fewer would make guessing cheap.
const ROUNDS: u32 = 600_000;
/// More than the upper end would make a start look like a hang.
const ACCEPTED: RangeInclusive<u32> = ROUNDS..=10_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    rounds: u32,
    salt: Salt,
}

impl Parameters {
    pub(super) fn random() -> Result<Self, CryptoFailure> {
        Ok(Self {
            rounds: ROUNDS,
            salt: Salt::random()?,
        })
    }
}

/// Takes a good part of a second.
pub(super) fn derive(passphrase: &Secret, parameters: &Parameters) -> Result<RawKey, KeyError> {
    let rounds = NonZeroU32::new(parameters.rounds)
        .filter(|rounds| ACCEPTED.contains(&rounds.get()))
        .ok_or(KeyError::Rounds(parameters.rounds))?;
    let mut key = RawKey::zeroed();
    pbkdf2::derive(
        PBKDF2_HMAC_SHA256,
        rounds,
        parameters.salt.bytes(),
        passphrase.expose().as_bytes(),
        key.bytes_mut(),
    );
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_and_absurdly_many_rounds_are_refused() {
        for rounds in [0, 1, ROUNDS - 1, 10_000_001, u32::MAX] {
            let parameters = Parameters {
                rounds,
                ..Parameters::random().unwrap()
            };
            let error = derive(&Secret::new("x"), &parameters).unwrap_err();
            assert!(matches!(error, KeyError::Rounds(_)), "{rounds}");
        }
    }

    #[test]
    fn the_key_depends_on_passphrase_and_salt() {
        let parameters = Parameters::random().unwrap();
        let key = derive(&Secret::new("one"), &parameters).unwrap();
        let other = derive(&Secret::new("two"), &parameters).unwrap();
        let salted = derive(&Secret::new("one"), &Parameters::random().unwrap()).unwrap();
        assert_ne!(key.bytes(), other.bytes());
        assert_ne!(key.bytes(), salted.bytes());
    }
}
