//! Requests to where no step may reach: the machine itself, its neighbours, and whoever tells secrets of a cloud.
//!
//! None of these steps is granted anything, so every request must be denied before anything is looked up or sent; the step
//! traps where one comes to anything else. What holds requests of steps that are granted something is tested where
//! requests are sent, with servers and resolvers that no operator has.

use crate::case::AttackGroup::Requests;
use crate::case::Expected::{Denied, Failed, Harmless};
use crate::case::{Expected, HostileCase};
use crate::guest::Guest;
use crate::imports::{
    BLOCK, GET_RESPONSE, HANDLE, NEW_FIELDS, NEW_REQUEST, SET_AUTHORITY, SET_PATH, SET_SCHEME, SUBSCRIBE_RESPONSE,
};

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Requests, name, tries, make, expects)
}

/// A case of a request to a host that can be written so, which must be denied, and recorded.
const fn denied(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, Denied)
}

/// A case of a request to what may be no host at all, which may be refused as such.
const fn odd(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, Harmless)
}

const IMPORTS: [&str; 9] =
    [NEW_FIELDS, NEW_REQUEST, SET_SCHEME, SET_AUTHORITY, SET_PATH, HANDLE, SUBSCRIBE_RESPONSE, GET_RESPONSE, BLOCK];

/// A step that sends a request to a host and port, and traps unless that is denied.
fn requesting(authority: &str) -> Vec<u8> {
    let bytes = authority.len();
    let work = format!(
        "(local $request i32) (local $future i32) (local $why i32)
         (local.set $request (call $new_request (call $new_fields)))
         (drop (call $set_scheme (local.get $request) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
         (drop (call $set_path (local.get $request) (i32.const 1) (i32.const 900) (i32.const 1)))
         (if (call $set_authority (local.get $request) (i32.const 1) (i32.const 512) (i32.const {bytes}))
            (then (return (global.get $ok))))
         (call $handle (local.get $request) (i32.const 0) (i32.const 0) (global.get $ret))
         (if (i32.load8_u (global.get $ret)) (then (return (global.get $ok))))
         (local.set $future (i32.load offset=8 (global.get $ret)))
         (call $block (call $subscribe_response (local.get $future)))
         (call $get_response (local.get $future) (global.get $ret))
         (call $must (i32.load8_u offset=16 (global.get $ret)))
         (local.set $why (i32.load8_u offset=24 (global.get $ret)))
         {DENIED}
         (global.get $ok)"
    );
    Guest::step().importing(&IMPORTS).text(authority).with(r#"(data (i32.const 900) "/")"#).work(&work).build()
}

/// Traps unless `$why` is that the address is prohibited, the request is denied, or its URI is none. Whatever else there
/// is, such as a refused connection, means that somebody was asked.
const DENIED: &str = "(call $must (i32.or
    (i32.eq (local.get $why) (i32.const 15))
    (i32.or (i32.eq (local.get $why) (i32.const 4)) (i32.eq (local.get $why) (i32.const 19)))))";

pub(super) const CASES: &[HostileCase] = &[
    denied("request-to-localhost", "Sends a request to the host itself by its name.", || requesting("localhost:80")),
    denied("request-to-loopback", "Sends a request to the host itself by its address.", || {
        requesting("127.0.0.1:8080")
    }),
    denied("request-to-the-cloud", "Asks the cloud for the machine's credentials.", || requesting("169.254.169.254")),
    denied("request-to-the-cloud-by-name", "Asks the cloud for the machine's credentials, by name.", || {
        requesting("metadata.google.internal")
    }),
    denied("request-to-a-neighbour", "Sends a request to a private network.", || requesting("10.0.0.1:5432")),
    denied("request-to-anywhere", "Sends a request to the address of all addresses.", || requesting("0.0.0.0")),
    denied("request-to-loopback-over-ipv6", "Sends a request to the host itself in the newer family.", || {
        requesting("[::1]:80")
    }),
    denied("request-to-a-mapped-loopback", "Writes the host's older address as one of the newer family.", || {
        requesting("[::ffff:127.0.0.1]")
    }),
    denied("request-to-the-world", "Sends a request to the open network, which nobody granted.", || {
        requesting("example.com")
    }),
    odd("request-to-a-number", "Writes the host's address as one number.", || requesting("2130706433")),
    odd("request-to-a-short-address", "Writes the host's address in two parts, one of them to the base of 16.", || {
        requesting("0x7f.1")
    }),
    odd("request-past-a-user", "Writes the host's address behind a user's name.", || {
        requesting("example.com@127.0.0.1:80")
    }),
    odd("request-to-two-lines", "Writes a header behind the host's name.", || {
        requesting("example.com\r\nX-Injected: 1")
    }),
    case(
        "requests-without-end",
        "Begins requests until nobody knows where to put them.",
        || {
            let begin = "(drop (call $new_request (call $new_fields)))";
            Guest::step().importing(&[NEW_FIELDS, NEW_REQUEST]).endlessly(begin).build()
        },
        Failed("engine.handles"),
    ),
];
