//! Who is at the other end of a control connection.

use std::fmt;

/// The peer as the kernel reports it at the time of connecting; handlers find it in the request's
/// extensions, because it is the connection's `ConnectInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerIdentity {
    /// None on Windows, where the pipe's access list admits nobody but its owner.
    pub uid: Option<u32>,
    pub pid: Option<u32>,
}

impl fmt::Display for PeerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.uid, self.pid) {
            (Some(uid), Some(pid)) => write!(f, "uid {uid}, pid {pid}"),
            (Some(uid), None) => write!(f, "uid {uid}"),
            (None, Some(pid)) => write!(f, "pid {pid}"),
            (None, None) => f.write_str("unknown process"),
        }
    }
}
