//! The unguessable values of one login: PKCE verifier (RFC 7636, S256 only) and `state`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use crate::error::{Classify, ErrorKind};
use crate::types::Secret;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random numbers")]
pub struct NoRandomness;

impl Classify for NoRandomness {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// A verifier, to be sent with the code, and the challenge derived from it, to be sent before.
#[derive(Debug, Clone)]
pub struct Pkce {
    pub verifier: Secret,
    pub challenge: String,
}

impl Pkce {
    pub fn generate() -> Result<Self, NoRandomness> {
        let verifier = Secret::random().map_err(|_| NoRandomness)?;
        Ok(Self::from_verifier(verifier))
    }

    fn from_verifier(verifier: Secret) -> Self {
        let hash = digest::digest(&digest::SHA256, verifier.expose().as_bytes());
        Self {
            verifier,
            challenge: URL_SAFE_NO_PAD.encode(hash),
        }
    }
}

/// A `state` value. It is what lets a callback in, so it is as secret as the verifier.
pub fn new_state() -> Result<Secret, NoRandomness> {
    Secret::random().map_err(|_| NoRandomness)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let pkce = Pkce::from_verifier(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert_eq!(
            pkce.challenge,
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn verifiers_are_long_enough_and_never_repeat() {
        let (first, second) = (Pkce::generate().unwrap(), Pkce::generate().unwrap());
        assert_eq!(first.verifier.expose().len(), 43);
        assert!(first.verifier != second.verifier);
        assert!(new_state().unwrap() != new_state().unwrap());
    }
}
