//! The host of a request, in the one spelling that everything else sees.
//!
//! There are a hundred ways to write `127.0.0.1`, and resolvers, grants and servers each know others of them. So a host
//! is put into one spelling before anything looks at it, or refused: lower case, no dot at the end, addresses only as
//! four decimal numbers or in brackets, names in ASCII.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// The longest name that can be looked up, in bytes. Source: RFC 1035.
const NAME_BYTES_MAX: usize = 253;

/// The longest part of a name between dots, in bytes. Source: RFC 1035.
const LABEL_BYTES_MAX: usize = 63;

/// The longest host with a port, in bytes.
const AUTHORITY_BYTES_MAX: usize = NAME_BYTES_MAX + ":65535".len();

/// A host in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name to be looked up.
    Name(String),
    /// An address.
    Address(IpAddr),
}

/// Why a host is refused before anyone looks it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HostSpelling {
    /// There is none.
    #[error("it is empty")]
    Empty,
    /// It is longer than a name can be.
    #[error("it is longer than {NAME_BYTES_MAX} bytes, or a part of it longer than {LABEL_BYTES_MAX}")]
    TooLong,
    /// It has a user before an `@`.
    #[error("it names a user; credentials go into the header `authorization`")]
    User,
    /// It has characters outside ASCII.
    #[error("it is not ASCII; a name in another script is written as `xn--…`")]
    NotAscii,
    /// It is percent-encoded, or names a zone.
    #[error("it holds a `%`; encoded names and zones of addresses are not known here")]
    Percent,
    /// It ends in a dot.
    #[error("it ends in a dot; leave that out")]
    TrailingDot,
    /// It is meant to be an address, and is not written as one.
    #[error("it is a number, and no address: IPv4 has four decimal numbers without leading zeros, IPv6 has brackets")]
    Number,
    /// The port is none from 1 to 65535.
    #[error("its port is none; ports are 1 to 65535, without leading zeros")]
    Port,
    /// It has other characters than names have.
    #[error("it has characters that no name has; names have letters, digits, `-`, `_` and single dots")]
    Characters,
}

impl Host {
    /// Reads a host with or without a port.
    pub(crate) fn parse(authority: &str) -> Result<(Self, Option<u16>), HostSpelling> {
        if authority.len() > AUTHORITY_BYTES_MAX {
            return Err(HostSpelling::TooLong);
        }
        check_characters(authority)?;
        if let Some(rest) = authority.strip_prefix('[') {
            let (address, port) = rest.split_once(']').ok_or(HostSpelling::Number)?;
            let address: Ipv6Addr = address.parse().map_err(|_| HostSpelling::Number)?;
            return Ok((Self::Address(address.into()), parse_port(port)?));
        }
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        Ok((Self::parse_name(host)?, parse_port(port)?))
    }

    fn parse_name(name: &str) -> Result<Self, HostSpelling> {
        if name.is_empty() {
            return Err(HostSpelling::Empty);
        }
        if name.ends_with('.') {
            return Err(HostSpelling::TrailingDot);
        }
        if ends_in_number(name) {
            let address: Ipv4Addr = name.parse().map_err(|_| HostSpelling::Number)?;
            return Ok(Self::Address(address.into()));
        }
        if name.len() > NAME_BYTES_MAX || name.split('.').any(|label| label.len() > LABEL_BYTES_MAX) {
            return Err(HostSpelling::TooLong);
        }
        if !name.split('.').all(is_label) {
            return Err(HostSpelling::Characters);
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    /// As it stands in an address line: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Refuses what no host has, by the most telling name for it.
fn check_characters(authority: &str) -> Result<(), HostSpelling> {
    if authority.is_empty() {
        return Err(HostSpelling::Empty);
    }
    if !authority.is_ascii() {
        return Err(HostSpelling::NotAscii);
    }
    if authority.contains('@') {
        return Err(HostSpelling::User);
    }
    if authority.contains('%') {
        return Err(HostSpelling::Percent);
    }
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'[' | b']');
    if authority.bytes().all(is_known) { Ok(()) } else { Err(HostSpelling::Characters) }
}

fn parse_port(text: &str) -> Result<Option<u16>, HostSpelling> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(':').ok_or(HostSpelling::Characters)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.starts_with('0') {
        return Err(HostSpelling::Port);
    }
    digits.parse().map(Some).map_err(|_| HostSpelling::Port)
}

/// Whether some resolver or other would take it for a number: `127.1`, `2130706433`, `0x7f.1`, `1.2.3.4.5`.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_decimal = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    is_decimal || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_label(label: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(is_inner)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(authority: &str) -> Result<String, HostSpelling> {
        Host::parse(authority).map(|(host, port)| match port {
            Some(port) => format!("{host} {port}"),
            None => host.to_string(),
        })
    }

    #[test]
    fn a_host_has_one_spelling() {
        for (written, spelling) in [
            ("example.com", "example.com"),
            ("EXAMPLE.Com:8080", "example.com 8080"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("a_b.example", "a_b.example"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1:80", "127.0.0.1 80"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]:443", "[::1] 443"),
            ("[::FFFF:127.0.0.1]", "[::ffff:127.0.0.1]"),
            ("0xyz.example", "0xyz.example"),
        ] {
            assert_eq!(spelled(written).as_deref(), Ok(spelling), "{written}");
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = ["a"; 127].join(".") + ".example";
        let longer = "a".repeat(10_000);
        for (written, why) in [
            ("", HostSpelling::Empty),
            (":80", HostSpelling::Empty),
            ("a@b", HostSpelling::User),
            ("example.com@127.0.0.1", HostSpelling::User),
            ("bücher.example", HostSpelling::NotAscii),
            ("ⓛocalhost", HostSpelling::NotAscii),
            ("127。0。0。1", HostSpelling::NotAscii),
            ("%31%32%37.0.0.1", HostSpelling::Percent),
            ("[fe80::1%25eth0]", HostSpelling::Percent),
            ("example.com.", HostSpelling::TrailingDot),
            ("127.0.0.1.", HostSpelling::TrailingDot),
            (".", HostSpelling::TrailingDot),
            ("127.1", HostSpelling::Number),
            ("127.0.1", HostSpelling::Number),
            ("2130706433", HostSpelling::Number),
            ("0x7f000001", HostSpelling::Number),
            ("0X7F.0.0.1", HostSpelling::Number),
            ("0x7f.0.0.0x1", HostSpelling::Number),
            ("0x", HostSpelling::Number),
            ("0177.0.0.1", HostSpelling::Number),
            ("127.0.0.01", HostSpelling::Number),
            ("1.2.3.4.5", HostSpelling::Number),
            ("256.0.0.1", HostSpelling::Number),
            ("a.b.1", HostSpelling::Number),
            ("[::1", HostSpelling::Number),
            ("[127.0.0.1]", HostSpelling::Number),
            ("[]", HostSpelling::Number),
            ("[::1].example", HostSpelling::Characters),
            ("::1", HostSpelling::Empty),
            ("a:80:81", HostSpelling::Port),
            ("a:", HostSpelling::Port),
            ("a:0", HostSpelling::Port),
            ("a:080", HostSpelling::Port),
            ("a:+80", HostSpelling::Characters),
            ("a:65536", HostSpelling::Port),
            ("a:8x", HostSpelling::Port),
            ("a..b", HostSpelling::Characters),
            (".a", HostSpelling::Characters),
            ("-a", HostSpelling::Characters),
            ("a-.b", HostSpelling::Characters),
            ("a b", HostSpelling::Characters),
            ("a\tb", HostSpelling::Characters),
            ("a\r\nb", HostSpelling::Characters),
            ("a\0b", HostSpelling::Characters),
            ("a/b", HostSpelling::Characters),
            ("a\\b", HostSpelling::Characters),
            ("a?b", HostSpelling::Characters),
            ("a#b", HostSpelling::Characters),
            ("*", HostSpelling::Characters),
            (&long_label, HostSpelling::TooLong),
            (&long_name, HostSpelling::TooLong),
            (&longer, HostSpelling::TooLong),
        ] {
            assert_eq!(spelled(written), Err(why), "{written:?}");
        }
    }

    /// What the C library's `inet_aton` makes of a name, which is what many resolvers ask first.
    fn is_number_to_c(name: &str) -> bool {
        let is_number = |part: &str| {
            let lower = part.to_ascii_lowercase();
            match lower.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).is_ok(),
                None => !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_digit()),
            }
        };
        let parts: Vec<_> = name.split('.').collect();
        parts.len() <= 4 && parts.into_iter().all(is_number)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_taken_is_taken_again_as_itself_and_no_name_is_a_number(text in "[0-9a-fxX.:_\\-\\[\\]%@ /]{0,24}") {
            if let Ok((host, port)) = Host::parse(&text) {
                prop_assert_eq!(Host::parse(&host.to_string()), Ok((host.clone(), None)));
                prop_assert_ne!(port, Some(0));
                if let Host::Name(name) = host {
                    prop_assert!(name.parse::<IpAddr>().is_err() && !is_number_to_c(&name), "{}", name);
                    prop_assert_eq!(name.to_ascii_lowercase(), name);
                }
            }
        }
    }
}
