//! Who decided something: for the person who asks later, and for the audit log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The origin of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decider {
    /// A process at the control socket.
    Control {
        pid: Option<u32>,
        exe: Option<String>,
    },
    /// A browser session, by the public part of its id.
    Web { session: String },
    /// A click on a desktop notification.
    Notification,
    /// The asking client's own answer to an elicitation, with the name it gives itself: as
    /// trustworthy as that client.
    Client { name: String },
    /// A rule in `config.json`.
    Policy,
    /// Nobody decided in time.
    Timeout,
    /// The daemon itself, for a reason that the record names.
    Daemon,
}

impl Decider {
    /// Whether only the asking client vouches for it.
    pub fn is_weak(&self) -> bool {
        matches!(self, Self::Client { .. })
    }
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control { pid, exe } => {
                f.write_str("the command line")?;
                match (pid, exe) {
                    (Some(pid), Some(exe)) => write!(f, " (pid {pid}, {exe})"),
                    (Some(pid), None) => write!(f, " (pid {pid})"),
                    (None, _) => Ok(()),
                }
            }
            Self::Web { session } => write!(f, "the web page (session {session})"),
            Self::Notification => f.write_str("a desktop notification"),
            Self::Client { name } => write!(f, "{name}, the asking client"),
            Self::Policy => f.write_str("a rule of the policy"),
            Self::Timeout => f.write_str("the time limit"),
            Self::Daemon => f.write_str("the daemon"),
        }
    }
}
