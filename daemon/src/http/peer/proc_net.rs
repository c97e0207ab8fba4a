//! The owner of a TCP socket from `/proc/net/tcp` and `tcp6` (proc(5)), where netlink is closed.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Owner;

/// As [`super::sock_diag::owner`], reading the whole table.
pub(super) fn owner(source: SocketAddr, destination: SocketAddr) -> Option<Owner> {
    let source = SocketAddr::new(source.ip().to_canonical(), source.port());
    let destination = SocketAddr::new(destination.ip().to_canonical(), destination.port());
    // A client that dialled a v4-mapped address has an IPv6 socket.
    let tables = [("/proc/net/tcp", false), ("/proc/net/tcp6", true)];
    tables.into_iter().find_map(|(path, v6)| {
        if source.is_ipv6() && !v6 {
            return None;
        }
        let ends = [shown(source, v6), shown(destination, v6)];
        let table = fs::read_to_string(path).ok()?;
        table.lines().skip(1).find_map(|line| owner_in(line, &ends))
    })
}

/// The owner in `line`, if it is the connected socket with these two ends and a process holds it.
fn owner_in(line: &str, ends: &[String; 2]) -> Option<Owner> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let remote = fields.next()?;
    if local != ends[0] || remote != ends[1] {
        return None;
    }
    // State, queues, timer and retransmits lie between.
    let uid = fields.nth(4)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    (inode != 0).then_some(Owner { uid, inode })
}

/// An end as the table shows it: the address in 32-bit words of native byte order, and the port.
fn shown(end: SocketAddr, v6: bool) -> String {
    let words = match (end.ip(), v6) {
        (IpAddr::V4(v4), false) => word(v4),
        (IpAddr::V4(v4), true) => words(&v4.to_ipv6_mapped().octets()),
        (IpAddr::V6(address), _) => words(&address.octets()),
    };
    format!("{words}:{:04X}", end.port())
}

fn words(octets: &[u8; 16]) -> String {
    let (chunks, _) = octets.as_chunks::<4>();
    chunks
        .iter()
        .map(|chunk| word(Ipv4Addr::from(*chunk)))
        .collect()
}

fn word(four: Ipv4Addr) -> String {
    format!("{:08X}", u32::from_ne_bytes(four.octets()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "   5: 0100007F:9C40 0100007F:0BB8 01 00000000:00000000 00:00000000 00000000  1000        0 98765 1 0000000000000000 20 0 0 10 -1";

    #[test]
    fn a_line_is_matched_by_both_ends_and_needs_an_inode() {
        let ends = ["0100007F:9C40".to_owned(), "0100007F:0BB8".to_owned()];
        let owner = Owner {
            uid: 1000,
            inode: 98765,
        };
        assert_eq!(owner_in(LINE, &ends), Some(owner));
        let swapped = [ends[1].clone(), ends[0].clone()];
        assert_eq!(owner_in(LINE, &swapped), None);
        assert_eq!(owner_in(&LINE.replace("98765", "0"), &ends), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn ends_are_shown_as_the_kernel_does() {
        assert_eq!(
            shown("127.0.0.1:3000".parse().unwrap(), false),
            "0100007F:0BB8"
        );
        assert_eq!(
            shown("[::1]:3000".parse().unwrap(), true),
            "00000000000000000000000001000000:0BB8"
        );
        assert_eq!(
            shown("127.0.0.1:3000".parse().unwrap(), true),
            "0000000000000000FFFF00000100007F:0BB8"
        );
    }
}
