//! Where HTTP requests may go: scheme, host, port and method.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::serde_as_text;

/// The longest host name, in bytes.
const HOST_LEN_BYTES_MAX: usize = 253;

/// The most methods of one grant.
const METHODS_LEN_MAX: usize = 10;

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// In the clear.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// The scheme as URLs write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port where none is named.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where one request goes, with a host that is in its one proper spelling: lower case, no trailing dot, an address
/// without brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpTarget<'a> {
    /// How.
    pub scheme: Scheme,
    /// To whom.
    pub host: &'a str,
    /// To which port.
    pub port: u16,
    /// With which method, in capitals.
    pub method: &'a str,
}

/// Where HTTP requests may go: `https://api.acme.example`, `GET,POST https://*.acme.example:8443`, `https://*`.
///
/// Without methods any is meant, without a port the scheme's own. `*.acme.example` is every host below
/// `acme.example`, not that one itself; `*` alone is every host that is a name and no address.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "String")]
pub struct HttpGrant {
    methods: Vec<String>,
    scheme: Scheme,
    host: HostPattern,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    /// This one, a name or an address.
    Exactly(String),
    /// Every name below this one.
    Below(String),
    /// Every name.
    AnyName,
}

/// A text is no place to send requests to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no grant of HTTP: {reason}; write `https://host`, `https://host:port` or `POST https://*.host`")]
pub struct MalformedGrant {
    text: String,
    reason: &'static str,
}

impl HttpGrant {
    /// Whether a request may go there.
    ///
    /// # Examples
    /// ```
    /// use stepcell_model::grants::{HttpGrant, HttpTarget, Scheme};
    ///
    /// let grant: HttpGrant = "POST https://*.acme.example".parse()?;
    /// let target = HttpTarget { scheme: Scheme::Https, host: "api.acme.example", port: 443, method: "POST" };
    /// assert!(grant.allows(&target));
    /// assert!(!grant.allows(&HttpTarget { method: "GET", ..target }));
    /// # Ok::<(), stepcell_model::grants::MalformedGrant>(())
    /// ```
    #[must_use]
    pub fn allows(&self, target: &HttpTarget<'_>) -> bool {
        (self.methods.is_empty() || self.methods.iter().any(|method| method == target.method))
            && self.scheme == target.scheme
            && self.port == target.port
            && self.host.matches(target.host)
    }
}

impl HttpGrant {
    /// Whether every request that the other grant allows is allowed by this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty() && other.methods.iter().all(|method| self.methods.contains(method)));
        methods && self.scheme == other.scheme && self.port == other.port && self.host.covers(&other.host)
    }
}

impl HostPattern {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exactly(host)) => self.matches(host),
            (Self::AnyName, Self::Below(_) | Self::AnyName) => true,
            (Self::Below(parent), Self::Below(other)) => other == parent || self.matches(other),
            (Self::Below(_), Self::AnyName) | (Self::Exactly(_), _) => false,
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exactly(exactly) => exactly == host,
            Self::Below(parent) => {
                host.strip_suffix(parent).and_then(|rest| rest.strip_suffix('.')).is_some_and(|rest| !rest.is_empty())
            }
            Self::AnyName => !is_address(host),
        }
    }
}

fn is_address(host: &str) -> bool {
    host.parse::<std::net::IpAddr>().is_ok()
}

impl FromStr for HttpGrant {
    type Err = MalformedGrant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| MalformedGrant { text: text.chars().take(120).collect(), reason })
    }
}

fn parse(text: &str) -> Result<HttpGrant, &'static str> {
    let (methods, url) = text.split_once(' ').map_or(("", text), |(methods, url)| (methods, url.trim_start()));
    let (scheme, authority) = if let Some(rest) = url.strip_prefix("https://") {
        (Scheme::Https, rest)
    } else if let Some(rest) = url.strip_prefix("http://") {
        (Scheme::Http, rest)
    } else {
        return Err("it must begin with `https://` or `http://`");
    };
    if authority.contains(['/', '?', '#']) {
        return Err("it ends with the host or the port, without a path or a slash");
    }
    if authority.contains('@') {
        return Err("it has no user and no password");
    }
    let (host, port) = split_port(authority)?;
    Ok(HttpGrant {
        methods: parse_methods(methods)?,
        scheme,
        host: parse_host(host)?,
        port: port.unwrap_or(scheme.default_port()),
    })
}

fn parse_methods(text: &str) -> Result<Vec<String>, &'static str> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let methods: Vec<_> = text.split(',').map(str::to_owned).collect();
    let is_method =
        |method: &String| (1..=20).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if methods.len() > METHODS_LEN_MAX || !methods.iter().all(is_method) {
        return Err("methods are words in capitals with commas between, at most ten");
    }
    Ok(methods)
}

/// The host without brackets, and the port if there is one.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("a `[` needs a `]`")?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err("in brackets there is an IPv6 address");
        }
        match rest {
            "" => (host, None),
            _ => (host, Some(rest.strip_prefix(':').ok_or("after the `]` comes `:` and the port")?)),
        }
    } else {
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    let port =
        port.map(|port| port.parse().ok().filter(|port| *port != 0).ok_or("the port is a number from 1 to 65535"));
    Ok((host, port.transpose()?))
}

fn parse_host(host: &str) -> Result<HostPattern, &'static str> {
    if host == "*" {
        return Ok(HostPattern::AnyName);
    }
    if let Ok(address) = host.parse::<std::net::IpAddr>() {
        return Ok(HostPattern::Exactly(address.to_string()));
    }
    let (name, make): (_, fn(String) -> HostPattern) = match host.strip_prefix("*.") {
        Some(name) => (name, HostPattern::Below),
        None => (host, HostPattern::Exactly),
    };
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > HOST_LEN_BYTES_MAX || !name.split('.').all(is_label) {
        return Err("the host is a name in lower case (other alphabets as `xn--…`), an address, or `*.` before a name");
    }
    // What looks like a number is read as an address in many spellings: only the proper one is taken.
    if name
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x"))
    {
        return Err("an address is written in full, such as `192.0.2.1`");
    }
    Ok(make(name.to_owned()))
}

serde_as_text!(HttpGrant);

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join(","))?;
        }
        write!(f, "{}://", self.scheme.as_str())?;
        match &self.host {
            HostPattern::Exactly(host) if host.contains(':') => write!(f, "[{host}]")?,
            HostPattern::Exactly(host) => f.write_str(host)?,
            HostPattern::Below(parent) => write!(f, "*.{parent}")?,
            HostPattern::AnyName => f.write_str("*")?,
        }
        if self.port == self.scheme.default_port() { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(grant: &str, scheme: Scheme, host: &str, port: u16, method: &str) -> bool {
        grant.parse::<HttpGrant>().unwrap().allows(&HttpTarget { scheme, host, port, method })
    }

    #[test]
    fn a_grant_names_scheme_host_port_and_methods() {
        use Scheme::{Http, Https};

        for (grant, scheme, host, port, method, allowed) in [
            ("https://api.example", Https, "api.example", 443, "GET", true),
            ("https://api.example", Https, "api.example", 443, "PATCH", true),
            ("https://api.example", Http, "api.example", 443, "GET", false),
            ("https://api.example", Https, "api.example", 8443, "GET", false),
            ("https://api.example", Https, "x.api.example", 443, "GET", false),
            ("https://api.example", Https, "evil-api.example", 443, "GET", false),
            ("GET,POST http://api.example:8080", Http, "api.example", 8080, "POST", true),
            ("GET,POST http://api.example:8080", Http, "api.example", 8080, "PUT", false),
            ("https://*.example", Https, "a.b.example", 443, "GET", true),
            ("https://*.example", Https, "example", 443, "GET", false),
            ("https://*.example", Https, ".example", 443, "GET", false),
            ("https://*.example", Https, "badexample", 443, "GET", false),
            ("https://*", Https, "anything.test", 443, "GET", true),
            ("https://*", Https, "192.0.2.1", 443, "GET", false),
            ("https://[::1]:8443", Https, "::1", 8443, "GET", true),
            ("http://192.0.2.1", Http, "192.0.2.1", 80, "GET", true),
        ] {
            assert_eq!(allows(grant, scheme, host, port, method), allowed, "{grant} {host}:{port} {method}");
        }
    }

    #[test]
    fn what_is_no_grant_is_refused() {
        for odd in [
            "",
            "api.example",
            "ftp://a.example",
            "https://",
            "https://a.example/",
            "https://a.example/x",
            "https://a b",
            "https://u:p@a.example",
            "https://a.example:0",
            "https://a.example:65536",
            "https://A.example",
            "get https://a.example",
            "GET, https://a.example",
            "https://*.*.example",
            "https://a.*",
            "https://1.2.3",
            "https://0x7f.1",
            "https://2130706433",
            "https://[::1",
            "https://[1.2.3.4]",
            "https://ä.example",
            "https://a..example",
            "https://-a.example",
        ] {
            assert!(odd.parse::<HttpGrant>().is_err(), "{odd}");
        }
    }

    #[test]
    fn a_grant_covers_what_it_allows_whole() {
        for (grant, other, covers) in [
            ("https://*", "https://*.a.example", true),
            ("https://*", "https://*", true),
            ("https://*", "https://192.0.2.1", false),
            ("https://*.example", "https://*.a.example", true),
            ("https://*.a.example", "https://*.example", false),
            ("https://*.example", "https://example", false),
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://*.a.example", false),
            ("GET https://a.example", "https://a.example", false),
            ("GET,POST https://a.example", "POST https://a.example", true),
            ("https://a.example", "http://a.example", false),
        ] {
            let parse = |text: &str| text.parse::<HttpGrant>().unwrap();
            assert_eq!(parse(grant).covers(&parse(other)), covers, "{grant} {other}");
        }
    }

    #[test]
    fn a_grant_prints_as_it_is_read() {
        for grant in ["https://api.example", "GET,POST http://*.api.example:8080", "https://*", "https://[::1]:8443"] {
            assert_eq!(grant.parse::<HttpGrant>().unwrap().to_string(), grant);
        }
    }
}
