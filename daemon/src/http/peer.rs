//! Whose process is at the other end of a loopback connection.
//!
//! Loopback is open to every local user and, with host networking, to containers. The kernel knows
//! the owner of the client's socket; it is asked once per connection. A socket that is not found
//! belongs to another network namespace, or is gone already. Which process holds the socket costs more
//! to find out, so that is left to whoever needs to know.

#[cfg(target_os = "linux")]
mod proc_net;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod sock_diag;

use std::net::SocketAddr;

use crate::error::{Classify, ErrorKind};
use crate::types::{Caller, Channel, Process};

/// Which users may connect.
#[derive(Debug, Clone)]
pub struct PeerCheck {
    #[cfg_attr(
        not(target_os = "linux"),
        allow(dead_code, reason = "only Linux tells the owner")
    )]
    allowed_uids: Vec<u32>,
}

/// What the kernel knows of a connected socket.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    uid: u32,
    inode: u64,
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
        let Owner { uid, inode } = self.judge(owner)?;
        let known = Process {
            uid: Some(uid),
            ..Process::default()
        };
        let find = move || process::holding(uid, inode);
        Ok(Caller::found_by(Channel::Http, known, find))
    }

    /// Other systems have no such table; loopback itself is the boundary there.
    #[cfg(not(target_os = "linux"))]
    pub fn identify(&self, _local: SocketAddr, _remote: SocketAddr) -> Result<Caller, ForeignPeer> {
        Ok(Caller::new(Channel::Http, Process::default()))
    }

    #[cfg(target_os = "linux")]
    fn judge(&self, owner: Option<Owner>) -> Result<Owner, ForeignPeer> {
        let owner = owner.ok_or(ForeignPeer::NotVisible)?;
        if self.allowed_uids.contains(&owner.uid) {
            Ok(owner)
        } else {
            Err(ForeignPeer::OtherUser(owner.uid))
        }
    }
}

/// The process at the other end of a control connection, which the socket itself names where it can.
pub fn at_control_socket(uid: Option<u32>, pid: Option<u32>) -> Caller {
    let known = Process {
        uid,
        pid,
        ..Process::default()
    };
    #[cfg(target_os = "linux")]
    if let (Some(uid), Some(pid)) = (uid, pid) {
        return Caller::found_by(Channel::Control, known, move || process::numbered(uid, pid));
    }
    Caller::new(Channel::Control, known)
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
        let caller = PeerCheck::new(&[]).identify(local, remote).unwrap();
        assert_eq!(caller.uid(), Some(own_uid()));
        assert_eq!(caller.process().pid, Some(std::process::id()));
        let owner = sock_diag::owner(remote, local).unwrap();
        assert_eq!(owner.unwrap().uid, own_uid());
        assert_eq!(proc_net::owner(remote, local), owner);
    }

    #[test]
    fn a_client_that_dials_the_v4_mapped_address_is_recognised() {
        let (_client, local, remote) = connect("::ffff:127.0.0.1").unwrap();
        let caller = PeerCheck::new(&[]).identify(local, remote).unwrap();
        assert_eq!(caller.process().pid, Some(std::process::id()));
        let owner = sock_diag::owner(remote, local).unwrap();
        assert_eq!(proc_net::owner(remote, local), owner);
    }

    #[test]
    fn a_socket_nobody_here_owns_is_not_visible() {
        let local = "127.0.0.1:1".parse().unwrap();
        let remote = "127.0.0.1:2".parse().unwrap();
        assert_eq!(
            PeerCheck::new(&[]).identify(local, remote).err(),
            Some(ForeignPeer::NotVisible)
        );
    }

    #[test]
    fn a_listener_on_the_clients_port_is_not_taken_for_the_client() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = listener.local_addr().unwrap();
        let local = "127.0.0.1:1".parse().unwrap();
        assert_eq!(
            PeerCheck::new(&[]).identify(local, remote).err(),
            Some(ForeignPeer::NotVisible)
        );
        assert_eq!(proc_net::owner(remote, local), None);
    }

    #[test]
    fn another_user_is_refused_until_allowed() {
        let uid = own_uid() + 1;
        let other = Some(Owner { uid, inode: 1 });
        let refused = PeerCheck::new(&[]).judge(other).unwrap_err();
        assert_eq!(refused, ForeignPeer::OtherUser(uid));
        assert!(refused.hint().unwrap().contains("allowed_uids"));
        assert!(PeerCheck::new(&[uid]).judge(other).is_ok());
    }
}
