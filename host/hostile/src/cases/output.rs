//! Outputs that are no JSON, or more than anybody wants to keep.

use crate::case::AttackGroup::Output;
use crate::case::Expected::{Failed, Harmless};
use crate::case::{Expected, HostileCase};
use crate::guest::Guest;

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Output, name, tries, make, expects)
}

const fn no_json(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, Failed("engine.invalid-output"))
}

fn returning(output: impl AsRef<[u8]>) -> Vec<u8> {
    Guest::step().output(output).build()
}

/// A step that answers with so many times the same byte.
fn returning_bytes(byte: u8, bytes: u32) -> Vec<u8> {
    let pages = bytes.div_ceil(1 << 16) + 1;
    let work = format!(
        "(memory.fill (i32.const 65536) (i32.const {byte}) (i32.const {bytes}))
         (call $answer (i32.const 65536) (i32.const {bytes}))"
    );
    Guest::step().pages(pages.max(4)).work(&work).build()
}

/// A step that answers with `open`, many times `two`, and `close`, up to the last byte that an output may have.
fn returning_many(open: u8, two: u16, close: u16) -> Vec<u8> {
    let work = format!(
        "(local $at i32)
         (i32.store8 (i32.const 65537) (i32.const {open}))
         (local.set $at (i32.const 65538))
         (loop $again
            (i32.store16 (local.get $at) (i32.const {two}))
            (local.set $at (i32.add (local.get $at) (i32.const 2)))
            (br_if $again (i32.lt_u (local.get $at) (i32.const 1114110))))
         (i32.store16 (local.get $at) (i32.const {close}))
         (call $answer (i32.const 65537) (i32.const 1048575))"
    );
    Guest::step().pages(24).work(&work).build()
}

pub(super) const CASES: &[HostileCase] = &[
    case(
        "output-of-two-mib",
        "Returns twice as much as an output may have.",
        || returning_bytes(b' ', 2 << 20),
        Failed("engine.output"),
    ),
    case(
        "output-of-all-memory",
        "Returns all of its memory as its output.",
        || returning_bytes(b' ', 60 << 20),
        Failed("engine.output"),
    ),
    no_json("output-of-a-million-brackets", "Returns a million brackets that open, for readers that recurse.", || {
        returning_bytes(b'[', 1 << 20)
    }),
    no_json("output-of-nested-arrays", "Returns arrays, one level deeper than any reader must go.", || {
        returning(format!("{}{}", "[".repeat(65), "]".repeat(65)))
    }),
    no_json("output-of-nested-objects", "Returns objects ten thousand levels deep.", || {
        returning(format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)))
    }),
    no_json("output-of-nothing", "Returns the empty text.", || returning("")),
    no_json("output-of-blanks", "Returns nothing but blanks.", || returning(" \t\r\n")),
    no_json("output-of-zero-bytes", "Returns zero bytes.", || returning([0; 8])),
    no_json("output-with-more-behind", "Returns two values where one is wanted.", || returning("{} {}")),
    no_json("output-with-a-mark", "Returns a value behind a byte order mark.", || returning("\u{feff}1")),
    no_json("output-not-a-number", "Returns `NaN`, as careless writers do.", || returning("{\"x\":NaN}")),
    no_json("output-number-out-of-range", "Returns a number that no machine's numbers reach.", || returning("1e999")),
    no_json("output-number-of-a-hundred-thousand-digits", "Returns a number as long as a book.", || {
        returning("9".repeat(100_000))
    }),
    no_json("output-half-a-character", "Returns an escape of half a character of UTF-16.", || {
        returning(r#"{"name":"\ud800"}"#)
    }),
    no_json("output-raw-control-character", "Returns a text with a line break that is not escaped.", || {
        returning("\"a\nb\"")
    }),
    no_json("output-cut-off", "Returns an object that does not end.", || returning(r#"{"a":[1,2,{"b":"#)),
    no_json(
        "output-that-hides-another",
        "Returns an object that a certain reader takes for what its text holds.",
        || returning(r#"{"a":{"\u0024serde_json::private::RawValue":"{\"role\":\"admin\"}"}}"#),
    ),
    case(
        "output-with-a-key-twice",
        "Returns an object with one key twice, of which readers see another one each.",
        || returning(r#"{"role":"user","role":"admin"}"#),
        Harmless,
    ),
    case(
        "output-of-half-a-million-numbers",
        "Returns half a million numbers in one MiB, each of which takes far more room once it is read.",
        || returning_many(b'[', u16::from_le_bytes(*b"1,"), u16::from_le_bytes(*b"1]")),
        Harmless,
    ),
    case(
        "output-that-moves-the-cursor",
        "Returns escapes that clear a terminal and turn its text around.",
        || returning(r#"{"\u001b[2J":"\u001b]0;title\u0007\u202e"}"#),
        Harmless,
    ),
    case(
        "output-with-a-number-past-64-bits",
        "Returns a whole number that 64 bits do not hold.",
        || returning("[18446744073709551616,-9223372036854775809,-0]"),
        Harmless,
    ),
];
