//! A byte stream between processes of one user; one file per operating system, one set of names.
//!
//! [`Listener::bind`] makes the endpoint, private to its owner, and replaces what a dead daemon left
//! behind but never what a live one holds. [`Listener::incoming`] yields connections of the same user only.
//! [`connect`] opens one, and refuses an endpoint that somebody else serves.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::{Connection, Listener, connect};

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::{Connection, Listener, connect};

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Pause after an accept that failed for want of descriptors or memory, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("another daemon is listening on {endpoint}")]
    InUse { endpoint: String },
    #[error("{} exists and is not a socket: move it away, or choose another path with --socket", path.display())]
    NotASocket { path: PathBuf },
    #[error(
        "the directory {} of the control socket belongs to uid {owner}, not to uid {uid}: choose another \
         path with --socket",
        path.display()
    )]
    ForeignDirectory { path: PathBuf, owner: u32, uid: u32 },
    #[error(
        "the directory {} of the control socket is open to other users (mode {mode:04o}): run \
         `chmod 700` on it, or choose another path with --socket",
        path.display()
    )]
    OpenDirectory { path: PathBuf, mode: u32 },
    #[error("this system has no endpoint of this kind: {endpoint}")]
    Unsupported { endpoint: String },
    #[error("cannot {action} {target}")]
    Io {
        action: &'static str,
        target: String,
        #[source]
        source: io::Error,
    },
}
