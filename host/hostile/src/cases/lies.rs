//! Pointers, lengths, texts and choices that are none, wherever a guest hands something to the host.

use crate::case::AttackGroup::Lies;
use crate::case::Expected::{Failed, Harmless};
use crate::case::{Expected, HostileCase};
use crate::guest::{Failing, Guest};
use crate::imports::{
    CONTEXT_GET, CONTEXT_PREVIOUS, CONTEXT_SET, GET_STDOUT, LOG_WRITE, POLL, SUBSCRIBE_OUTPUT, WRITE,
};

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Lies, name, tries, make, expects)
}

/// Where the memory of four pages ends.
const END: u32 = 4 << 16;

/// A step that answers with so many bytes at an address.
fn answering(at: u32, bytes: u32) -> Vec<u8> {
    Guest::step().work(&format!("(call $answer (i32.const {at}) (i32.const {bytes}))")).build()
}

/// A step whose result has another byte at an offset from its begin.
fn with_byte(guest: Guest, result: &str, offset: u32, byte: u8) -> Vec<u8> {
    let store = format!("(i32.store8 offset={offset} (global.get {result}) (i32.const {byte}))");
    guest.work(&format!("{store} (global.get {result})")).build()
}

/// A gateway that names so many steps, of which a list at an address tells.
fn naming(at: u32, names: u32) -> Guest {
    Guest::gateway().work(&format!(
        "(i32.store (i32.const 20) (i32.const {at})) (i32.store (i32.const 24) (i32.const {names})) (i32.const 16)"
    ))
}

/// A step that asks for the list of what is ready, which the host wants room for.
fn polling_into(room: &str) -> Vec<u8> {
    let poll = "(i32.store (i32.const 512) (call $subscribe_output (call $get_stdout)))
        (call $poll (i32.const 512) (i32.const 1) (global.get $ret))";
    Guest::step().importing(&[GET_STDOUT, SUBSCRIBE_OUTPUT, POLL]).realloc(room).first(poll).build()
}

pub(super) const CASES: &[HostileCase] = &[
    case(
        "output-past-memory",
        "Returns a text that lies outside of its memory.",
        || answering(0x7fff_ffff, 1),
        Failed("engine.trap"),
    ),
    case(
        "output-one-byte-past-memory",
        "Returns a text that ends one byte behind its memory.",
        || answering(END - 1, 2),
        Failed("engine.trap"),
    ),
    case(
        "output-as-long-as-can-be",
        "Returns a text of 4 GiB, so that its address and length overflow.",
        || answering(1_024, u32::MAX),
        Failed("engine.trap"),
    ),
    case(
        "result-past-memory",
        "Returns the address of a result that lies outside of its memory.",
        || Guest::step().work("(i32.const -4)").build(),
        Failed("engine.trap"),
    ),
    case(
        "result-not-aligned",
        "Returns the address of a result where none can begin.",
        || Guest::step().work("(i32.const 33)").build(),
        Failed("engine.trap"),
    ),
    case(
        "result-neither-good-nor-bad",
        "Returns a result that is neither a success nor a failure.",
        || with_byte(Guest::step(), "$ok", 0, 2),
        Failed("engine.trap"),
    ),
    case(
        "guard-that-says-seven",
        "Answers the guard with 7 where yes is 1 and no is 0.",
        || Guest::step().can_execute("(i32.store8 (i32.const 4) (i32.const 7)) (i32.const 0)").build(),
        Harmless,
    ),
    case(
        "failure-with-a-bad-option",
        "Fails with details that are neither there nor not there.",
        || with_byte(Guest::step().failure(Failing::with("on-purpose")), "$failed", 32, 9),
        Failed("engine.trap"),
    ),
    case(
        "failure-past-memory",
        "Fails with a message that lies outside of its memory.",
        || with_byte(Guest::step().failure(Failing::with("on-purpose")), "$failed", 15, 0xff),
        Failed("engine.trap"),
    ),
    case(
        "text-of-wild-bytes",
        "Returns bytes that are no UTF-8.",
        || Guest::step().output(b"\"\xff\xfe\"").build(),
        Failed("engine.trap"),
    ),
    case(
        "text-that-is-cut-off",
        "Returns a character whose last byte is missing.",
        || Guest::step().output(b"\"\xe2\x82").build(),
        Failed("engine.trap"),
    ),
    case(
        "text-with-a-surrogate",
        "Returns half a character of UTF-16, written as UTF-8.",
        || Guest::step().output(b"\"\xed\xa0\x80\"").build(),
        Failed("engine.trap"),
    ),
    case(
        "text-longer-than-need-be",
        "Returns a slash in two bytes, which careless readers take for one.",
        || Guest::step().output(b"\"\xc0\xaf\"").build(),
        Failed("engine.trap"),
    ),
    case(
        "room-past-memory",
        "Gives the host room for the input outside of its memory.",
        || Guest::step().realloc("(i32.const 0x7fffffff)").build(),
        Failed("engine.trap"),
    ),
    case(
        "room-at-the-last-address",
        "Gives the host room at the last address there can be.",
        || Guest::step().realloc("(i32.const -1)").build(),
        Failed("engine.trap"),
    ),
    case(
        "room-not-aligned",
        "Gives the host room for a list of numbers where no number can begin.",
        || polling_into("(i32.const 131073)"),
        Failed("engine.trap"),
    ),
    case(
        "room-over-its-own-result",
        "Gives the host room right where it keeps what it will return.",
        || Guest::step().realloc("(i32.const 32)").build(),
        Failed("engine.trap"),
    ),
    case(
        "room-of-a-host-call-past-memory",
        "Has a host function write what it returns outside of its memory.",
        || Guest::step().importing(&[CONTEXT_PREVIOUS]).first("(call $context_previous (i32.const -8))").build(),
        Failed("engine.trap"),
    ),
    case(
        "room-of-a-host-call-not-aligned",
        "Has a host function write what it returns where it can not begin.",
        || Guest::step().importing(&[CONTEXT_PREVIOUS]).first("(call $context_previous (i32.const 257))").build(),
        Failed("engine.trap"),
    ),
    case(
        "key-past-memory",
        "Asks for a key that lies outside of its memory.",
        || {
            let get = "(call $context_get (i32.const -16) (i32.const 64) (global.get $ret))";
            Guest::step().importing(&[CONTEXT_GET]).first(get).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "value-as-long-as-can-be",
        "Writes a value of 4 GiB.",
        || {
            let set =
                "(call $context_set (i32.const 1024) (i32.const 1) (i32.const 0) (i32.const -1) (global.get $ret))";
            Guest::step().importing(&[CONTEXT_SET]).first(set).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "key-of-wild-bytes",
        "Asks for a key that is no UTF-8.",
        || {
            let get = "(call $context_get (i32.const 512) (i32.const 2) (global.get $ret))";
            Guest::step().importing(&[CONTEXT_GET]).text(b"\xff\xfe").first(get).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "level-that-is-none",
        "Logs at a level that there is not.",
        || {
            let write = "(call $log_write (i32.const 77) (i32.const 512) (i32.const 2)
                (i32.const 0) (i32.const 0) (i32.const 0))";
            Guest::step().importing(&[LOG_WRITE]).text("hi").first(write).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "list-that-overflows",
        "Polls a list of so many handles that its length in bytes overflows.",
        || {
            let poll = "(call $poll (i32.const 512) (i32.const 0x40000001) (global.get $ret))";
            Guest::step().importing(&[POLL]).first(poll).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "bytes-past-memory",
        "Prints bytes that lie outside of its memory.",
        || {
            let write = "(call $write (call $get_stdout) (i32.const 262000) (i32.const 4096) (global.get $ret))";
            Guest::step().importing(&[GET_STDOUT, WRITE]).first(write).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "names-that-overflow",
        "Names so many steps as a gateway that the list's length in bytes overflows.",
        || naming(1_024, 0x2000_0001).build(),
        Failed("engine.trap"),
    )
    .as_gateway(),
    case(
        "names-not-aligned",
        "Returns a list of names as a gateway that begins where none can.",
        || naming(1_026, 1).build(),
        Failed("engine.trap"),
    )
    .as_gateway(),
    case(
        "one-text-named-a-hundred-thousand-times",
        "Returns a list of a hundred thousand names that are all the same 16 MiB, 1.7 TB for whoever copies them.",
        || {
            // Each name lies at 0x01010101 and has as many bytes: the list is one byte repeated.
            let guest = naming(1 << 20, 100_000).pages(600);
            let work = "(memory.fill (i32.const 1048576) (i32.const 1) (i32.const 800000))
                (i32.store (i32.const 20) (i32.const 1048576)) (i32.store (i32.const 24) (i32.const 100000))
                (i32.const 16)";
            guest.work(work).build()
        },
        Failed("engine.output"),
    )
    .as_gateway(),
];
