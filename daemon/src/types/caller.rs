//! Who asked for something, as far as the operating system or a token tells.

use std::fmt;

/// The process behind a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A connection to the HTTP port. `uid` is None where the system cannot tell (not Linux).
    Http { uid: Option<u32> },
    /// A connection to the control socket.
    Control { uid: Option<u32>, pid: Option<u32> },
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: &Option<u32>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
        match self {
            Self::Http { uid } => write!(f, "http(uid {})", number(uid)),
            Self::Control { uid, pid } => {
                write!(f, "control(uid {}, pid {})", number(uid), number(pid))
            }
        }
    }
}
