//! Whose process is at the other end of a loopback connection.
//!
//! Loopback is open to every local user and, with host networking, to containers. The kernel knows
//! the owner of the client's socket; it is asked once per connection. A socket that is not found
//! belongs to another network namespace, or is gone already.

#[cfg(target_os = "linux")]
mod proc_net;
#[cfg(target_os = "linux")]
mod sock_diag;

use std::net::SocketAddr;

use crate::error::{Classify, ErrorKind};
use crate::types::Caller;

/// Which users may connect.
#[derive(Debug, Clone)]
pub struct PeerCheck {
    allowed_uids: Vec<u32>,
}

/// A connection that is not for us to serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignPeer {
    #[error("this daemon serves another user: the connection comes from uid {0}")]
    OtherUser(u32),
    #[error(
        "the process at the other end is not visible from here: it runs in a container or another \
         network namespace"
    )]
    NotVisible,
}

impl Classify for ForeignPeer {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Denied
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::OtherUser(uid) => {
                format!("Add {uid} to allowed_uids in config.json to let that user in.")
            }
            Self::NotVisible => {
                "Run the client in the daemon's own network namespace; if its user \
                                 id differs there, add it to allowed_uids in config.json."
                    .to_owned()
            }
        })
    }
}

impl PeerCheck {
    /// The daemon's own user may connect, and `also`.
    pub fn new(also: &[u32]) -> Self {
        let mut allowed_uids = also.to_vec();
        #[cfg(unix)]
        allowed_uids.push(rustix::process::geteuid().as_raw());
        Self { allowed_uids }
    }

    /// Only `uids` may connect.
    #[cfg(test)]
    pub(crate) fn of(uids: &[u32]) -> Self {
        Self {
            allowed_uids: uids.to_vec(),
        }
    }

    /// `local` and `remote` as the accepting socket sees them. A microsecond's work, done inline.
    #[cfg(target_os = "linux")]
    pub fn identify(&self, local: SocketAddr, remote: SocketAddr) -> Result<Caller, ForeignPeer> {
        let owner = match sock_diag::owner(remote, local) {
            Ok(owner) => owner,
            // Netlink may be closed to us (seccomp); the same table is in /proc.
            Err(error) => {
                tracing::debug!(%error, "sock_diag failed, reading /proc/net");
                proc_net::owner(remote, local)
            }
        };
        self.judge(owner)
    }

    /// Other systems have no such table; loopback itself is the boundary there.
    #[cfg(not(target_os = "linux"))]
    pub fn identify(&self, _local: SocketAddr, _remote: SocketAddr) -> Result<Caller, ForeignPeer> {
        Ok(Caller::Http { uid: None })
    }

    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only Linux tells the owner")
    )]
    fn judge(&self, owner: Option<u32>) -> Result<Caller, ForeignPeer> {
        let uid = owner.ok_or(ForeignPeer::NotVisible)?;
        if self.allowed_uids.contains(&uid) {
            Ok(Caller::Http { uid: Some(uid) })
        } else {
            Err(ForeignPeer::OtherUser(uid))
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// The client's end kept open, and the addresses as the accepting side sees them.
    fn connect(host: &str) -> io::Result<(TcpStream, SocketAddr, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect((host, listener.local_addr()?.port()))?;
        let (accepted, remote) = listener.accept()?;
        Ok((client, accepted.local_addr()?, remote))
    }

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn our_own_connection_is_recognised() {
        let (_client, local, remote) = connect("127.0.0.1").unwrap();
        let caller = PeerCheck::new(&[]).identify(local, remote);
        assert_eq!(
            caller,
            Ok(Caller::Http {
                uid: Some(own_uid())
            })
        );
        assert_eq!(proc_net::owner(remote, local), Some(own_uid()));
    }

    #[test]
    fn a_client_that_dials_the_v4_mapped_address_is_recognised() {
        let (_client, local, remote) = connect("::ffff:127.0.0.1").unwrap();
        assert!(PeerCheck::new(&[]).identify(local, remote).is_ok());
        assert_eq!(proc_net::owner(remote, local), Some(own_uid()));
    }

    #[test]
    fn a_socket_nobody_here_owns_is_not_visible() {
        let local = "127.0.0.1:1".parse().unwrap();
        let remote = "127.0.0.1:2".parse().unwrap();
        assert_eq!(
            PeerCheck::new(&[]).identify(local, remote),
            Err(ForeignPeer::NotVisible)
        );
    }

    #[test]
    fn a_listener_on_the_clients_port_is_not_taken_for_the_client() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let local = "127.0.0.1:1".parse().unwrap();
        assert_eq!(
            PeerCheck::new(&[]).identify(local, remote),
            Err(ForeignPeer::NotVisible)
        );
        assert_eq!(proc_net::owner(remote, local), None);
    }

    #[test]
    fn another_user_is_refused_until_allowed() {
        let other = own_uid() + 1;
        let refused = PeerCheck::new(&[]).judge(Some(other)).unwrap_err();
        assert_eq!(refused, ForeignPeer::OtherUser(other));
        assert!(refused.hint().unwrap().contains("allowed_uids"));
        assert!(PeerCheck::new(&[other]).judge(Some(other)).is_ok());
    }
}
