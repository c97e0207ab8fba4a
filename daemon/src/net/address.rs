//! What kind of network an IP address belongs to.
//!
//! Addresses that carry an IPv4 address inside (v4-mapped, NAT64, 6to4, v4-compatible) are judged by
//! that inner address, because that is where packets end up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The class that decides whether a connection is permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    Public,
    Loopback,
    /// RFC 1918, RFC 6598 (carrier NAT, also used by overlay networks), RFC 4193, RFC 2544.
    Private,
    /// RFC 3927 and fe80::/10. Never permitted: cloud metadata services live there.
    LinkLocal,
    /// A cloud metadata or host-agent service. Never permitted.
    Metadata,
    /// Unspecified, multicast, broadcast and reserved ranges: nothing to connect to.
    Reserved,
}

/// Metadata services outside the link-local range, so that permitting private networks does not
/// permit them. 168.63.129.16 is a public address that answers only inside its cloud.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
];

impl AddressClass {
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        if METADATA_V4.contains(&address) {
            return Self::Metadata;
        }
        match (a, b, c) {
            (127, ..) => Self::Loopback,
            (10, ..) | (172, 16..=31, _) | (192, 168, _) => Self::Private,
            // Shared address space of carriers, RFC 6598.
            (100, 64..=127, _) => Self::Private,
            // Benchmark networks, RFC 2544: VPN clients hand them out as stand-in addresses.
            (198, 18..=19, _) => Self::Private,
            (169, 254, _) => Self::LinkLocal,
            (0, ..) | (192, 0, 0) | (224..=255, ..) => Self::Reserved,
            _ => Self::Public,
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        if METADATA_V6.contains(&address) {
            return Self::Metadata;
        }
        if address.is_unspecified() || address.is_multicast() {
            return Self::Reserved;
        }
        if address.is_loopback() {
            return Self::Loopback;
        }
        if let Some(inner) = embedded_v4(address) {
            return Self::of_v4(inner);
        }
        if address.is_unicast_link_local() {
            return Self::LinkLocal;
        }
        match address.segments() {
            // Unique local (fc00::/7), the older site-local (fec0::/10), local NAT64 (RFC 8215).
            [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Self::Private,
            // Teredo tunnels to an IPv4 address that cannot be judged from here.
            [0x2001, 0, ..] => Self::Reserved,
            _ => Self::Public,
        }
    }
}

/// The IPv4 address that packets to `address` are delivered to, if it embeds one.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        // v4-mapped (RFC 4291 §2.5.5.2), its translated form (RFC 2765), v4-compatible (§2.5.5.1).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(join(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => Some(join(high, low)),
        // NAT64, RFC 6052.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(join(high, low)),
        // 6to4, RFC 3056.
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
            Self::Reserved => "reserved",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_has_its_class_at_both_ends() {
        use AddressClass::*;
        let table: &[(&str, AddressClass)] = &[
            ("0.0.0.0", Reserved),
            ("0.255.255.255", Reserved),
            ("1.1.1.1", Public),
            ("9.255.255.255", Public),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("11.0.0.0", Public),
            ("100.63.255.255", Public),
            ("100.64.0.0", Private),
            ("100.127.255.255", Private),
            ("100.128.0.0", Public),
            ("100.100.100.200", Metadata),
            ("127.0.0.0", Loopback),
            ("127.255.255.255", Loopback),
            ("128.0.0.0", Public),
            ("168.63.129.16", Metadata),
            ("169.253.255.255", Public),
            ("169.254.0.0", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", LinkLocal),
            ("169.255.0.0", Public),
            ("172.15.255.255", Public),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Public),
            ("192.0.0.0", Reserved),
            ("192.0.0.192", Metadata),
            ("192.0.1.0", Public),
            ("192.167.255.255", Public),
            ("192.168.0.0", Private),
            ("192.168.255.255", Private),
            ("198.17.255.255", Public),
            ("198.18.0.0", Private),
            ("198.19.255.255", Private),
            ("198.20.0.0", Public),
            ("223.255.255.255", Public),
            ("224.0.0.1", Reserved),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Reserved),
            ("::", Reserved),
            ("::1", Loopback),
            ("fbff::1", Public),
            ("fc00::1", Private),
            ("fdff::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("fe80::1", LinkLocal),
            ("febf::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Reserved),
            ("2001::1", Reserved),
            ("2606:4700::1111", Public),
        ];
        for (address, class) in table {
            assert_eq!(
                AddressClass::of(address.parse().unwrap()),
                *class,
                "{address}"
            );
        }
    }

    #[test]
    fn an_embedded_ipv4_address_decides() {
        use AddressClass::*;
        let table: &[(&str, AddressClass)] = &[
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:169.254.169.254", Metadata),
            ("::ffff:1.1.1.1", Public),
            ("::ffff:0:10.0.0.1", Private),
            ("::127.0.0.1", Loopback),
            ("64:ff9b::169.254.169.254", Metadata),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::8.8.8.8", Public),
            ("64:ff9b:1::1", Private),
            ("2002:7f00:1::", Loopback),
            ("2002:a9fe:a9fe::1", Metadata),
            ("2002:808:808::1", Public),
        ];
        for (address, class) in table {
            assert_eq!(
                AddressClass::of(address.parse().unwrap()),
                *class,
                "{address}"
            );
        }
    }
}
