//! Places that a tenant would like to reach: each with what the attempt is granted, and what becomes of it.
//!
//! Whatever is refused by its spelling or for want of a grant is not even looked up: names that nobody granted would
//! carry data out by themselves.

use stepcell_outbound::{Denial, HostSpelling, HttpOutbound, Outbound as _, OutboundError};

use crate::kit::server::{OK, Server};
use crate::kit::{ANYWHERE, Client, LIMITS, Names, Wires, request, rules_between, rules_of};

use Denial::{Address, Host, Method, NotGranted, Scheme};
use HostSpelling::{Characters, Empty, NotAscii, Number, Percent, Port, TooLong, TrailingDot, User};

/// Everything that can be granted for names in one line: still no address, no other port.
const NAMES: &[&str] = &["http://*", "https://*"];

/// Addresses that are granted by name, so that nothing but the check of addresses stands in the way.
const LITERALS: &[&str] = &[
    "http://127.0.0.1",
    "http://127.0.0.1:8080",
    "http://127.1.2.3",
    "http://0.0.0.0",
    "http://10.0.0.1",
    "http://172.16.0.1",
    "http://192.168.0.1",
    "http://100.64.0.1",
    "http://100.100.100.200",
    "http://169.254.169.254",
    "http://169.254.170.2",
    "http://168.63.129.16",
    "http://192.0.0.192",
    "http://192.0.2.1",
    "http://198.18.0.1",
    "http://224.0.0.1",
    "http://240.0.0.1",
    "http://255.255.255.255",
    "http://[::]",
    "http://[::1]",
    "http://[::ffff:127.0.0.1]",
    "http://[::ffff:169.254.169.254]",
    "http://[::127.0.0.1]",
    "http://[64:ff9b::127.0.0.1]",
    "http://[64:ff9b::169.254.169.254]",
    "http://[64:ff9b:1::1]",
    "http://[2001::1]",
    "http://[2001:db8::1]",
    "http://[2002:7f00:1::]",
    "http://[2002:a9fe:a9fe::]",
    "http://[fc00::1]",
    "http://[fd00:ec2::254]",
    "http://[fe80::1]",
    "http://[fec0::1]",
    "http://[ff02::1]",
    "http://93.184.215.14",
    "http://[2606:4700:4700::1111]",
    "http://[64:ff9b::93.184.215.14]",
];

/// One place, by itself and some methods.
const ONE: &[&str] = &["GET https://api.example", "POST https://hooks.example:8443", "GET http://*.tenant.example"];

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    /// It goes to this address.
    To(&'static str),
    /// It is denied.
    Denied(Denial),
    /// It can not be sent as it is.
    Malformed,
}

use Verdict::{Denied, Malformed, To};

/// Place, grants, verdict; the method is GET where none is written before it.
const TRIES: &[(&str, &[&str], Verdict)] = &[
    // What is granted goes out.
    ("https://api.example/v1?q=1", ONE, To("93.184.215.14:443")),
    ("https://api.example", ONE, To("93.184.215.14:443")),
    ("https://API.example:443/", ONE, To("93.184.215.14:443")),
    ("POST https://hooks.example:8443/x", ONE, To("93.184.215.14:8443")),
    ("http://a.tenant.example/", ONE, To("93.184.215.14:80")),
    ("http://a.b.tenant.example/", ONE, To("93.184.215.14:80")),
    ("http://93.184.215.14/", LITERALS, To("93.184.215.14:80")),
    ("http://[2606:4700:4700::1111]/", LITERALS, To("[2606:4700:4700::1111]:80")),
    ("http://[2606:4700:4700:0:0:0:0:1111]/", LITERALS, To("[2606:4700:4700::1111]:80")),
    ("http://[64:ff9b::93.184.215.14]/", LITERALS, To("[64:ff9b::5db8:d70e]:80")),
    ("http://xn--80ak6aa92e.example/", NAMES, To("93.184.215.14:80")),
    // What is not granted does not: scheme, host, port, method.
    ("http://api.example/", ONE, Denied(NotGranted)),
    ("https://api.example:8443/", ONE, Denied(NotGranted)),
    ("POST https://api.example/", ONE, Denied(NotGranted)),
    ("HEAD https://api.example/", ONE, Denied(NotGranted)),
    ("https://hooks.example:8443/", ONE, Denied(NotGranted)),
    ("https://api.example.evil.example/", ONE, Denied(NotGranted)),
    ("https://evil-api.example/", ONE, Denied(NotGranted)),
    ("https://apixexample/", ONE, Denied(NotGranted)),
    ("http://tenant.example/", ONE, Denied(NotGranted)),
    ("http://eviltenant.example/", ONE, Denied(NotGranted)),
    ("http://.tenant.example/", ONE, Denied(Host(Characters))),
    ("https://api.example/", &[], Denied(NotGranted)),
    ("http://127.0.0.1/", NAMES, Denied(NotGranted)),
    ("http://93.184.215.14/", NAMES, Denied(NotGranted)),
    ("http://[::1]/", NAMES, Denied(NotGranted)),
    ("http://localhost:6379/", NAMES, Denied(NotGranted)),
    // Methods that make something else of a connection, or that no grant can name.
    ("CONNECT https://api.example/", NAMES, Denied(Method)),
    ("TRACE https://api.example/", NAMES, Denied(Method)),
    ("get https://api.example/", NAMES, Denied(Method)),
    ("GET\r\nX: https://api.example/", NAMES, Denied(Method)),
    // Other schemes.
    ("file:///etc/passwd", NAMES, Denied(Scheme)),
    ("ftp://api.example/", NAMES, Denied(Scheme)),
    ("gopher://127.0.0.1:6379/_SET", NAMES, Denied(Scheme)),
    ("unix:///var/run/docker.sock", NAMES, Denied(Scheme)),
    ("ws://api.example/", NAMES, Denied(Scheme)),
    ("HTTPS://api.example/", NAMES, Denied(Scheme)),
    ("GET https ://api.example/", NAMES, Denied(Scheme)),
    ("://api.example/", NAMES, Denied(Scheme)),
    // A hundred ways to write 127.0.0.1 and 169.254.169.254.
    ("http://2130706433/", NAMES, Denied(Host(Number))),
    ("http://2852039166/", NAMES, Denied(Host(Number))),
    ("http://4294967295/", NAMES, Denied(Host(Number))),
    ("http://99999999999999999999/", NAMES, Denied(Host(Number))),
    ("http://0/", NAMES, Denied(Host(Number))),
    ("http://127.1/", NAMES, Denied(Host(Number))),
    ("http://127.0.1/", NAMES, Denied(Host(Number))),
    ("http://169.254.43518/", NAMES, Denied(Host(Number))),
    ("http://0177.0.0.1/", NAMES, Denied(Host(Number))),
    ("http://017700000001/", NAMES, Denied(Host(Number))),
    ("http://0251.0376.0251.0376/", NAMES, Denied(Host(Number))),
    ("http://00000127.0.0.1/", NAMES, Denied(Host(Number))),
    ("http://127.000.000.001/", NAMES, Denied(Host(Number))),
    ("http://0x7f000001/", NAMES, Denied(Host(Number))),
    ("http://0x7F.0x0.0x0.0x1/", NAMES, Denied(Host(Number))),
    ("http://0xa9fea9fe/", NAMES, Denied(Host(Number))),
    ("http://0xa9.254.0xa9.254/", NAMES, Denied(Host(Number))),
    ("http://127.0.0.0x1/", NAMES, Denied(Host(Number))),
    ("http://1.1.1.1.1/", NAMES, Denied(Host(Number))),
    ("http://256.256.256.256/", NAMES, Denied(Host(Number))),
    ("http://127.0.0.1./", NAMES, Denied(Host(TrailingDot))),
    ("http://localhost./", NAMES, Denied(Host(TrailingDot))),
    ("http://api.example./", NAMES, Denied(Host(TrailingDot))),
    ("http://%31%32%37.0.0.1/", NAMES, Denied(Host(Percent))),
    ("http://127%2e0%2e0%2e1/", NAMES, Denied(Host(Percent))),
    ("http://local%68ost/", NAMES, Denied(Host(Percent))),
    ("http://①②⑦.⓪.⓪.①/", NAMES, Denied(Host(NotAscii))),
    ("http://127。0。0。1/", NAMES, Denied(Host(NotAscii))),
    ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", NAMES, Denied(Host(NotAscii))),
    ("http://locaⅼhost/", NAMES, Denied(Host(NotAscii))),
    ("http://аpi.example/", NAMES, Denied(Host(NotAscii))),
    ("http://api.example\u{200b}/", NAMES, Denied(Host(NotAscii))),
    // Two hosts in one, of which each reader takes another.
    ("https://api.example@127.0.0.1/", NAMES, Denied(Host(User))),
    ("https://user:password@api.example/", NAMES, Denied(Host(User))),
    ("https://api.example:443@169.254.169.254/", NAMES, Denied(Host(User))),
    ("https://api.example\\@127.0.0.1/", NAMES, Denied(Host(User))),
    ("https://127.0.0.1\\.api.example/", NAMES, Denied(Host(Characters))),
    ("https://127.0.0.1#.api.example/", NAMES, Denied(Host(Characters))),
    ("https://127.0.0.1;api.example/", NAMES, Denied(Host(Characters))),
    ("https://127.0.0.1,api.example/", NAMES, Denied(Host(Characters))),
    ("https://127.0.0.1 api.example/", NAMES, Denied(Host(Characters))),
    ("https://127.0.0.1\tapi.example/", NAMES, Denied(Host(Characters))),
    ("https://api.example\r\nhost: evil.example/", NAMES, Denied(Host(Characters))),
    ("https://api.example\0.evil.example/", NAMES, Denied(Host(Characters))),
    ("https://api..example/", NAMES, Denied(Host(Characters))),
    ("https://-api.example/", NAMES, Denied(Host(Characters))),
    ("https://$(id).example/", NAMES, Denied(Host(Characters))),
    ("https:///", NAMES, Denied(Host(Empty))),
    ("https://:443/", NAMES, Denied(Host(Empty))),
    ("https://[::1/", NAMES, Denied(Host(Number))),
    ("https://[127.0.0.1]/", NAMES, Denied(Host(Number))),
    ("https://[v1.fe80::a]/", NAMES, Denied(Host(Number))),
    ("https://[fe80::1%25eth0]/", NAMES, Denied(Host(Percent))),
    ("https://[::1]api.example/", NAMES, Denied(Host(Characters))),
    ("https://api.example[::1]/", NAMES, Denied(Host(Characters))),
    // Ports.
    ("https://api.example:0/", NAMES, Denied(Host(Port))),
    ("https://api.example:65979/", NAMES, Denied(Host(Port))),
    ("https://api.example:00443/", NAMES, Denied(Host(Port))),
    ("https://api.example:-1/", NAMES, Denied(Host(Port))),
    ("https://api.example:80:443/", NAMES, Denied(Host(Port))),
    ("https://api.example:/", NAMES, Denied(Host(Port))),
    ("https://api.example:443x/", NAMES, Denied(Host(Port))),
    // Addresses that are granted by name, and not public.
    ("http://127.0.0.1/", LITERALS, Denied(Address)),
    ("http://127.0.0.1:8080/", LITERALS, Denied(Address)),
    ("http://127.1.2.3/", LITERALS, Denied(Address)),
    ("http://0.0.0.0/", LITERALS, Denied(Address)),
    ("http://10.0.0.1/", LITERALS, Denied(Address)),
    ("http://172.16.0.1/", LITERALS, Denied(Address)),
    ("http://192.168.0.1/", LITERALS, Denied(Address)),
    ("http://100.64.0.1/", LITERALS, Denied(Address)),
    ("http://100.100.100.200/", LITERALS, Denied(Address)),
    ("http://169.254.169.254/latest/meta-data/", LITERALS, Denied(Address)),
    ("http://169.254.170.2/v2/credentials", LITERALS, Denied(Address)),
    ("http://168.63.129.16/", LITERALS, Denied(Address)),
    ("http://192.0.0.192/", LITERALS, Denied(Address)),
    ("http://192.0.2.1/", LITERALS, Denied(Address)),
    ("http://198.18.0.1/", LITERALS, Denied(Address)),
    ("http://224.0.0.1/", LITERALS, Denied(Address)),
    ("http://240.0.0.1/", LITERALS, Denied(Address)),
    ("http://255.255.255.255/", LITERALS, Denied(Address)),
    ("http://[::]/", LITERALS, Denied(Address)),
    ("http://[::1]/", LITERALS, Denied(Address)),
    ("http://[0000:0000:0000:0000:0000:0000:0000:0001]/", LITERALS, Denied(Address)),
    ("http://[::ffff:127.0.0.1]/", LITERALS, Denied(Address)),
    ("http://[::FFFF:7F00:1]/", LITERALS, Denied(Address)),
    ("http://[::ffff:169.254.169.254]/", LITERALS, Denied(Address)),
    ("http://[::127.0.0.1]/", LITERALS, Denied(Address)),
    ("http://[64:ff9b::127.0.0.1]/", LITERALS, Denied(Address)),
    ("http://[64:ff9b::a9fe:a9fe]/", LITERALS, Denied(Address)),
    ("http://[64:ff9b:1::1]/", LITERALS, Denied(Address)),
    ("http://[2001::1]/", LITERALS, Denied(Address)),
    ("http://[2001:db8::1]/", LITERALS, Denied(Address)),
    ("http://[2002:7f00:1::]/", LITERALS, Denied(Address)),
    ("http://[2002:a9fe:a9fe::]/", LITERALS, Denied(Address)),
    ("http://[fc00::1]/", LITERALS, Denied(Address)),
    ("http://[fd00:ec2::254]/", LITERALS, Denied(Address)),
    ("http://[fe80::1]/", LITERALS, Denied(Address)),
    ("http://[fec0::1]/", LITERALS, Denied(Address)),
    ("http://[ff02::1]/", LITERALS, Denied(Address)),
    // Names that stand for such addresses.
    ("http://localhost/", NAMES, Denied(Address)),
    ("http://LOCALHOST/", NAMES, Denied(Address)),
    ("http://metadata.google.internal/computeMetadata/v1/", NAMES, Denied(Address)),
    ("http://127.0.0.1.nip.example/", NAMES, Denied(Address)),
    ("http://intranet/", NAMES, Denied(Address)),
    ("http://database.example/", NAMES, Denied(Address)),
    ("http://six.example/", NAMES, Denied(Address)),
    ("http://mapped.example/", NAMES, Denied(Address)),
    ("http://nat64.example/", NAMES, Denied(Address)),
    ("http://mixed.example/", NAMES, Denied(Address)),
    ("http://mixed-last.example/", NAMES, Denied(Address)),
    // Paths that would end a line or name another host.
    ("https://api.example/a b", ONE, Malformed),
    ("https://api.example/a\r\nhost: evil.example", ONE, Malformed),
    ("https://api.example/\0", ONE, Malformed),
    ("https://api.example/ü", ONE, Malformed),
    ("https://api.example/a#b", ONE, Malformed),
    ("https://api.example//evil.example/", ONE, To("93.184.215.14:443")),
    ("https://api.example?x=http://127.0.0.1/", ONE, To("93.184.215.14:443")),
];

fn names() -> Names {
    Names::default()
        .with("localhost", &[&["127.0.0.1", "::1"]])
        .with("metadata.google.internal", &[&["169.254.169.254"]])
        .with("127.0.0.1.nip.example", &[&["127.0.0.1"]])
        .with("intranet", &[&["10.1.2.3"]])
        .with("database.example", &[&["192.168.3.4"]])
        .with("six.example", &[&["fd12:3456::1"]])
        .with("mapped.example", &[&["::ffff:10.0.0.1"]])
        .with("nat64.example", &[&["64:ff9b::10.0.0.1"]])
        .with("mixed.example", &[&["10.0.0.1", ANYWHERE]])
        .with("mixed-last.example", &[&[ANYWHERE, "2606:4700:4700::1111", "127.0.0.1"]])
}

async fn verdict(place: &str, grants: &[&str]) -> (Verdict, Client) {
    let client = Client::new(names(), Wires::default());
    let (method, url) = place.split_once(' ').filter(|(word, _)| !word.contains("://")).unwrap_or(("GET", place));
    let error = client.send(request(method, url), &rules_of(grants, &[], LIMITS)).await.unwrap_err();
    let verdict = match error {
        OutboundError::Denied { reason, .. } => Denied(reason),
        OutboundError::Malformed { .. } => Malformed,
        // Nobody answers in this test: that it was tried is what counts.
        OutboundError::Connect { .. } => To(client.wires.used().remove(0).leak()),
        other => panic!("{place}: {other:?}"),
    };
    (verdict, client)
}

#[tokio::test]
async fn every_try_ends_as_the_table_says_and_no_packet_leaves_for_a_refused_one() {
    assert!(TRIES.len() >= 100, "{}", TRIES.len());
    for (place, grants, expected) in TRIES {
        let (found, client) = verdict(place, grants).await;

        assert_eq!(found, *expected, "{place:?}");
        if !matches!(expected, To(_)) {
            assert!(client.wires.used().is_empty(), "{place:?} went out");
        }
        if !matches!(expected, To(_) | Denied(Address)) {
            assert!(client.names.asked().is_empty(), "{place:?} was looked up");
        }
    }
}

#[tokio::test]
async fn a_host_without_end_is_refused_and_told_in_short() {
    let client = Client::new(names(), Wires::default());
    let place = format!("https://{}.example/", "a".repeat(100_000));

    let error = client.get(&place).await.unwrap_err();

    assert!(matches!(error, OutboundError::Denied { reason: Host(TooLong), .. }), "{error:?}");
    assert!(error.to_string().len() < 400);
}

#[tokio::test]
async fn a_denial_names_the_place_and_never_the_address_behind_it() {
    let client = Client::new(names(), Wires::default());

    let error = client.get("http://intranet/secret?token=1").await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "`GET http://intranet` is denied: its address is not public, and lies in no network that the operator's policy opens"
    );
}

#[tokio::test]
async fn both_sides_must_grant_a_place() {
    let place = "https://api.example";
    for (asked, allowed, is_sent) in [(true, true, true), (true, false, false), (false, true, false)] {
        let client = Client::new(names(), Wires::default());
        let listed = |is_listed: bool| if is_listed { vec![place] } else { vec!["https://other.example"] };
        let rules = rules_between(&listed(asked), &listed(allowed));

        let error = client.send(request("GET", place), &rules).await.unwrap_err();

        let is_denied = matches!(error, OutboundError::Denied { reason: NotGranted, .. });
        assert_eq!((is_denied, client.wires.used().len()), (!is_sent, usize::from(is_sent)), "{error:?}");
    }
}

#[tokio::test]
async fn a_listener_on_this_machine_never_hears_of_a_step_that_wants_it() {
    let server = Server::answering(OK).await;
    let port = server.address.port();
    let outbound = HttpOutbound::new("").unwrap();
    let grants: Vec<_> = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]", "0.0.0.0", "[::1]"]
        .iter()
        .map(|host| format!("http://{host}:{port}"))
        .collect();
    let granted: Vec<_> = grants.iter().map(String::as_str).collect();
    let rules = rules_of(&granted, &[], LIMITS);

    for place in &grants {
        let error = outbound.send(request("GET", place), &rules).await.unwrap_err();
        assert!(matches!(error, OutboundError::Denied { reason: Address, .. }), "{place}: {error:?}");
    }
    let odd = outbound.send(request("GET", &format!("http://2130706433:{port}")), &rules);
    assert!(odd.await.is_err());

    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_network_that_the_operator_opened_is_reached_by_whoever_is_granted_a_place_in_it() {
    let server = Server::answering(OK).await;
    let outbound = HttpOutbound::new("").unwrap();
    let place = format!("http://{}", server.address);
    let rules = rules_of(&[&place], &["127.0.0.0/8"], LIMITS);

    let response = outbound.send(request("GET", &place), &rules).await.unwrap();

    assert_eq!((response.status, &response.body[..]), (200, &b"ok"[..]));
    assert_eq!(server.connections(), 1);
}
