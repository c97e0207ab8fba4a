//! Names that are checked once and then trusted.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name of this kind fits a path segment, a command line and a log line as it is.
const MAX_NAME: usize = 64;

fn is_plain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    starts_well && text.len() <= MAX_NAME && text.chars().all(allowed)
}

macro_rules! plain_name {
    ($(#[$doc:meta])* $name:ident, $invalid:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        #[error(
            "{} name {:?} is not usable: use 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', beginning with a letter or digit",
            $what, .0
        )]
        pub struct $invalid(pub String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = $invalid;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                if is_plain(text) {
                    Ok(Self(text.into()))
                } else {
                    Err($invalid(text.chars().take(80).collect()))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

plain_name!(
    /// Name of a configured server: also its path segment in `/mcp/{server}`.
    ServerName,
    InvalidServerName,
    "server"
);

plain_name!(
    /// Name of a client that was given a token.
    ClientName,
    InvalidClientName,
    "client"
);

plain_name!(
    /// Name of a configured model API.
    VendorName,
    InvalidVendorName,
    "vendor"
);

impl VendorName {
    /// A name that stands in the program.
    pub(crate) fn fixed(name: &'static str) -> Self {
        debug_assert!(is_plain(name));
        Self(name.into())
    }
}

/// Names one question to a person. It identifies and does not authorise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApprovalId([u8; ApprovalId::LEN]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an approval id is 12 of a-z and 2-7")]
pub struct InvalidApprovalId;

impl ApprovalId {
    const LEN: usize = 12;
    /// Of RFC 4648 base 32, in lower case: no digit looks like a letter.
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

    /// A new one of 60 random bits.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random() -> Result<Self, ring::error::Unspecified> {
        let mut bytes = [0; Self::LEN];
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)?;
        Ok(Self(bytes.map(|byte| {
            Self::ALPHABET[usize::from(byte) % Self::ALPHABET.len()]
        })))
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for ApprovalId {
    type Err = InvalidApprovalId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes: [u8; Self::LEN] = text.as_bytes().try_into().map_err(|_| InvalidApprovalId)?;
        if bytes.iter().all(|byte| Self::ALPHABET.contains(byte)) {
            Ok(Self(bytes))
        } else {
            Err(InvalidApprovalId)
        }
    }
}

impl TryFrom<String> for ApprovalId {
    type Error = InvalidApprovalId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ApprovalId> for String {
    fn from(id: ApprovalId) -> Self {
        id.as_str().to_owned()
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_id_is_read_as_it_is_written_and_nothing_else_is() {
        let id = ApprovalId::random().unwrap();
        assert_eq!(id.to_string().parse::<ApprovalId>().unwrap(), id);
        assert_ne!(id, ApprovalId::random().unwrap());
        for bad in [
            "",
            "abc",
            "ABCDEFGHIJKL",
            "abcdefghijk1",
            "abcdefghijkl2",
            "abcdefghij/l",
        ] {
            assert!(bad.parse::<ApprovalId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_that_fit_a_path_segment_are_accepted() {
        for good in ["stripe", "a", "my-server_2", "v1.2", &"x".repeat(64)] {
            assert!(good.parse::<ServerName>().is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_could_change_a_path_or_a_terminal_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            "-x",
            "a/b",
            "a b",
            "ä",
            "a\u{1b}[2J",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<ServerName>().is_err(), "{bad:?}");
        }
    }
}
