//! The owner of a TCP socket from the kernel's socket table, by netlink (sock_diag(7)).
//!
//! The messages are two C structures of fixed layout; they are written and read here byte by byte.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::Owner;

const NLMSG_ERROR: u16 = 2;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const HEADER: usize = 16;
const REQUEST: usize = HEADER + 56;
/// Up to and including `idiag_inode`.
const ANSWER: usize = HEADER + 72;

const TCP_LISTEN: u8 = 10;
const ENOENT: i32 = 2;

/// The owner of the socket bound to `source` and connected to `destination`; None if there
/// is no such socket, or no process holds it any more.
pub(super) fn owner(source: SocketAddr, destination: SocketAddr) -> io::Result<Option<Owner>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(
        &socket,
        &request(source, destination),
        SendFlags::empty(),
        &kernel,
    )?;
    let mut buffer = [0_u8; 1024];
    // The kernel answers within the send, so there is nothing to wait for.
    let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
    read_answer(&buffer[..length], source, destination)
}

fn request(source: SocketAddr, destination: SocketAddr) -> [u8; REQUEST] {
    let (source_ip, destination_ip) = (source.ip().to_canonical(), destination.ip().to_canonical());
    let family = match source_ip {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    let mut bytes = [0_u8; REQUEST];
    let mut at = 0;
    let mut put = |field: &[u8]| {
        bytes[at..at + field.len()].copy_from_slice(field);
        at += field.len();
    };
    // struct nlmsghdr: length, type, flags, sequence, port.
    put(&u32::try_from(REQUEST).unwrap_or_default().to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&NLM_F_REQUEST.to_ne_bytes());
    put(&[0; 8]);
    // struct inet_diag_req_v2: family, protocol (6 is TCP), extensions, padding, states (all).
    put(&[u8::try_from(family.as_raw()).unwrap_or_default(), 6, 0, 0]);
    put(&u32::MAX.to_ne_bytes());
    // struct inet_diag_sockid: ports and addresses in network order, interface, no cookie.
    put(&source.port().to_be_bytes());
    put(&destination.port().to_be_bytes());
    put(&address_words(source_ip));
    put(&address_words(destination_ip));
    put(&[0; 4]);
    put(&[0xff; 8]);
    bytes
}

fn address_words(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => {
            let mut words = [0; 16];
            words[..4].copy_from_slice(&v4.octets());
            words
        }
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn read_answer(
    bytes: &[u8],
    source: SocketAddr,
    destination: SocketAddr,
) -> io::Result<Option<Owner>> {
    let short = || io::Error::new(io::ErrorKind::UnexpectedEof, "short answer from sock_diag");
    let kind = u16::from_ne_bytes(field(bytes, 4).ok_or_else(short)?);
    if kind == NLMSG_ERROR {
        let negated = i32::from_ne_bytes(field(bytes, HEADER).ok_or_else(short)?);
        return match -negated {
            ENOENT => Ok(None),
            errno => Err(io::Error::from_raw_os_error(errno)),
        };
    }
    if bytes.len() < ANSWER {
        return Err(short());
    }
    // struct inet_diag_msg: family, state, timer, retransmits, socket id, three counters, uid, inode.
    let message = &bytes[HEADER..];
    let state = message[1];
    let ports = (
        u16::from_be_bytes(field(message, 4).ok_or_else(short)?),
        u16::from_be_bytes(field(message, 6).ok_or_else(short)?),
    );
    let uid = u32::from_ne_bytes(field(message, 64).ok_or_else(short)?);
    let inode = u32::from_ne_bytes(field(message, 68).ok_or_else(short)?);
    // Without a connected socket the kernel offers a listener on the port. A socket without inode
    // has been closed by its process, and its uid is then 0 whoever it was.
    let is_the_client =
        state != TCP_LISTEN && ports == (source.port(), destination.port()) && inode != 0;
    Ok(is_the_client.then_some(Owner {
        uid,
        inode: inode.into(),
    }))
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
