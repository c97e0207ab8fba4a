//! A text that must not be seen: token, code, verifier, client secret, key material in text form.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// A secret text. Zeroed on drop, redacted in `Debug`, without `Display` or `Serialize`.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// 256 random bits as 43 letters, digits, `-` and `_`.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random() -> Result<Self, ring::error::Unspecified> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        SystemRandom::new().fill(bytes.as_mut_slice())?;
        Ok(Self::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())))
    }

    /// The text itself. Every call is a place to look at in review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl PartialEq for Secret {
    /// Constant-time for texts of equal length.
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.expose()
            .as_bytes()
            .ct_eq(other.expose().as_bytes())
            .into()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert!(!format!("{:?}", Secret::new("hunter2")).contains("hunter2"));
    }
}
