//! Which addresses a step may reach: public ones, and those of networks that the operator opened.
//!
//! Every address that a name stands for is held against this, and the one that passed is the one that is connected to.
//! Forms of IPv6 that carry an IPv4 address are judged by what they carry, or refused where nobody needs them.
//!
//! A network that translates IPv4 under a prefix of its own among the public addresses (NAT64 with another prefix than
//! `64:ff9b::/96`) can not be told from public ones here; such a host needs a firewall that says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What sort of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// Anybody's on the internet.
    Public,
    /// None, or the machine itself by another name: `0.0.0.0/8`, `::`.
    Unspecified,
    /// The machine itself.
    Loopback,
    /// Networks of one's own: RFC 1918, unique local and site local ones.
    Private,
    /// Between a carrier and its customers: `100.64.0.0/10`.
    CarrierGradeNat,
    /// The same wire.
    LinkLocal,
    /// Where clouds hand out credentials to whoever asks from inside.
    Metadata,
    /// Written in books.
    Documentation,
    /// For measuring devices.
    Benchmarking,
    /// Many at once.
    Multicast,
    /// All on the wire.
    Broadcast,
    /// IPv6 that carries an IPv4 address in a way nobody needs any more, or that only one network understands.
    Tunnel,
    /// Set aside for protocols and for later.
    Reserved,
}

use AddressKind::{
    Benchmarking, Broadcast, CarrierGradeNat, Documentation, LinkLocal, Loopback, Metadata, Multicast, Private, Public,
    Reserved, Tunnel, Unspecified,
};

/// The first row that holds an address says what it is; what no row holds is public.
///
/// Source: IANA's IPv4 special-purpose address registry, and the pages of the clouds.
const IPV4: [(Ipv4Net, AddressKind); 26] = [
    v4([169, 254, 169, 254], 32, Metadata),
    // Credentials of containers at AWS; Scaleway; Alibaba; the host of a machine at Azure; Oracle.
    v4([169, 254, 170, 2], 32, Metadata),
    v4([169, 254, 170, 23], 32, Metadata),
    v4([169, 254, 42, 42], 32, Metadata),
    v4([100, 100, 100, 200], 32, Metadata),
    v4([168, 63, 129, 16], 32, Metadata),
    v4([192, 0, 0, 192], 32, Metadata),
    v4([0, 0, 0, 0], 8, Unspecified),
    v4([10, 0, 0, 0], 8, Private),
    v4([100, 64, 0, 0], 10, CarrierGradeNat),
    v4([127, 0, 0, 0], 8, Loopback),
    v4([169, 254, 0, 0], 16, LinkLocal),
    v4([172, 16, 0, 0], 12, Private),
    v4([192, 0, 0, 0], 24, Reserved),
    v4([192, 0, 2, 0], 24, Documentation),
    v4([192, 31, 196, 0], 24, Reserved),
    v4([192, 52, 193, 0], 24, Reserved),
    v4([192, 88, 99, 0], 24, Tunnel),
    v4([192, 168, 0, 0], 16, Private),
    v4([192, 175, 48, 0], 24, Reserved),
    v4([198, 18, 0, 0], 15, Benchmarking),
    v4([198, 51, 100, 0], 24, Documentation),
    v4([203, 0, 113, 0], 24, Documentation),
    v4([224, 0, 0, 0], 4, Multicast),
    v4([255, 255, 255, 255], 32, Broadcast),
    v4([240, 0, 0, 0], 4, Reserved),
];

/// The first row that holds an address says what it is; the last one holds all.
///
/// Source: IANA's IPv6 special-purpose address registry, and the pages of the clouds.
const IPV6: [(Ipv6Net, AddressKind); 23] = [
    // AWS, for machines and for pods; Google; Scaleway; Oracle.
    v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254], 128, Metadata),
    v6([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023], 128, Metadata),
    v6([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254], 128, Metadata),
    v6([0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042], 128, Metadata),
    v6([0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, Metadata),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 128, Unspecified),
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128, Loopback),
    // IPv4-compatible, and IPv4-translated.
    v6([0, 0, 0, 0, 0, 0, 0, 0], 96, Tunnel),
    v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, Tunnel),
    v6([0x0064, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Tunnel),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Tunnel),
    v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48, Benchmarking),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Reserved),
    v6([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32, Documentation),
    v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Tunnel),
    v6([0x2620, 0x004f, 0x8000, 0, 0, 0, 0, 0], 48, Reserved),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Documentation),
    v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Public),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Private),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, LinkLocal),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Private),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Multicast),
    v6([0, 0, 0, 0, 0, 0, 0, 0], 0, Reserved),
];

/// The prefix under which networks without IPv4 reach it. Source: RFC 6052.
const NAT64: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x0064, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Holds one address against the rules, and returns the one to connect to: `::ffff:192.0.2.1` is `192.0.2.1`.
///
/// `opened` are the networks that the operator lets steps reach although they are not public. An address that hands out
/// credentials is opened only by a network of that address alone, as it lies in networks that are opened for other
/// reasons. Unspecified, multicast and broadcast addresses can not be opened.
///
/// # Errors
/// What sort of address it is, if it may not be reached.
///
/// # Examples
/// ```
/// use stepcell_outbound::{AddressKind, check_address};
///
/// let metadata = "169.254.169.254".parse().unwrap();
/// assert_eq!(check_address(metadata, &["169.254.0.0/16".parse().unwrap()]), Err(AddressKind::Metadata));
/// ```
pub fn check_address(address: IpAddr, opened: &[IpNet]) -> Result<IpAddr, AddressKind> {
    let address = address.to_canonical();
    let mut around = opened.iter().filter(|network| network.contains(&address));
    match kind(address) {
        Public => Ok(address),
        never @ (Unspecified | Multicast | Broadcast) => Err(never),
        Metadata if !around.any(|network| network.prefix_len() == network.max_prefix_len()) => Err(Metadata),
        other if around.next().is_none() && other != Metadata => Err(other),
        _ => Ok(address),
    }
}

fn kind(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> AddressKind {
    IPV4.iter().find(|(network, _)| network.contains(&address)).map_or(Public, |(_, kind)| *kind)
}

fn kind_v6(address: Ipv6Addr) -> AddressKind {
    if NAT64.contains(&address) {
        return kind_v4(last_four(address));
    }
    let kind = IPV6.iter().find(|(network, _)| network.contains(&address)).map_or(Reserved, |(_, kind)| *kind);
    if kind == Public && is_isatap(address) { Tunnel } else { kind }
}

fn last_four(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

/// Whether its second half is one that carries an IPv4 address through a site. Source: RFC 5214.
fn is_isatap(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    matches!(segments[4], 0 | 0x0200) && segments[5] == 0x5efe
}

const fn v4(octets: [u8; 4], prefix_len: u8, kind: AddressKind) -> (Ipv4Net, AddressKind) {
    let [a, b, c, d] = octets;
    (Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len), kind)
}

const fn v6(segments: [u16; 8], prefix_len: u8, kind: AddressKind) -> (Ipv6Net, AddressKind) {
    let [a, b, c, d, e, f, g, h] = segments;
    (Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix_len), kind)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn check(address: &str, opened: &[&str]) -> Result<IpAddr, AddressKind> {
        let opened: Vec<_> = opened.iter().map(|network| network.parse().unwrap()).collect();
        check_address(address.parse().unwrap(), &opened)
    }

    #[test]
    fn public_addresses_pass() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.215.14",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:80e::200e",
            "64:ff9b::808:808",
        ] {
            assert_eq!(check(address, &[]), Ok(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn every_other_address_is_refused_by_its_kind() {
        for (address, kind) in [
            ("0.0.0.0", Unspecified),
            ("0.1.2.3", Unspecified),
            ("10.0.0.1", Private),
            ("10.255.255.255", Private),
            ("100.64.0.1", CarrierGradeNat),
            ("100.100.100.200", Metadata),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("168.63.129.16", Metadata),
            ("169.254.1.1", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.0.0.8", Reserved),
            ("192.0.2.1", Documentation),
            ("192.88.99.1", Tunnel),
            ("192.168.1.1", Private),
            ("198.19.255.255", Benchmarking),
            ("198.51.100.7", Documentation),
            ("203.0.113.7", Documentation),
            ("224.0.0.1", Multicast),
            ("239.255.255.250", Multicast),
            ("240.0.0.1", Reserved),
            ("255.255.255.255", Broadcast),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::7f00:1", Tunnel),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:169.254.169.254", Metadata),
            ("::ffff:0:127.0.0.1", Tunnel),
            ("64:ff9b::7f00:1", Loopback),
            ("64:ff9b::a9fe:a9fe", Metadata),
            ("64:ff9b::a00:1", Private),
            ("64:ff9b:1::808:808", Tunnel),
            ("100::1", Reserved),
            ("2001::1", Tunnel),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", Tunnel),
            ("2001:2::1", Benchmarking),
            ("2001:10::1", Reserved),
            ("2001:db8::1", Documentation),
            ("2002:7f00:1::", Tunnel),
            ("2002:808:808::", Tunnel),
            ("2a00:1450::5efe:a00:1", Tunnel),
            ("2a00:1450::200:5efe:a00:1", Tunnel),
            ("3fff::1", Documentation),
            ("4000::1", Reserved),
            ("5f00::1", Reserved),
            ("fc00::1", Private),
            ("fd00::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("fe80::1", LinkLocal),
            ("fec0::1", Private),
            ("ff02::1", Multicast),
        ] {
            assert_eq!(check(address, &[]), Err(kind), "{address}");
        }
    }

    #[test]
    fn a_network_that_the_operator_opened_is_reached_and_its_neighbour_is_not() {
        assert_eq!(check("10.1.2.3", &["10.1.0.0/16"]), Ok("10.1.2.3".parse().unwrap()));
        assert_eq!(check("10.2.0.1", &["10.1.0.0/16"]), Err(Private));
        assert_eq!(check("::ffff:10.1.2.3", &["10.1.0.0/16"]), Ok("10.1.2.3".parse().unwrap()));
        assert_eq!(check("64:ff9b::a01:203", &["10.1.0.0/16"]), Err(Private));
        assert_eq!(check("fd12::1", &["fd12::/16"]), Ok("fd12::1".parse().unwrap()));
    }

    #[test]
    fn credentials_of_the_cloud_are_opened_by_their_address_alone() {
        for (address, around) in
            [("169.254.169.254", "169.254.0.0/16"), ("fd00:ec2::254", "fd00::/8"), ("100.100.100.200", "0.0.0.0/0")]
        {
            assert_eq!(check(address, &[around]), Err(Metadata), "{address}");
            let alone = IpNet::from(address.parse::<IpAddr>().unwrap()).to_string();
            assert!(check(address, &[around, &alone]).is_ok(), "{address}");
        }
    }

    #[test]
    fn nobody_can_open_what_names_no_one_machine() {
        let all = ["0.0.0.0/0", "::/0"];
        assert_eq!(check("0.0.0.0", &all), Err(Unspecified));
        assert_eq!(check("::", &all), Err(Unspecified));
        assert_eq!(check("224.0.0.1", &all), Err(Multicast));
        assert_eq!(check("255.255.255.255", &all), Err(Broadcast));
    }
}
