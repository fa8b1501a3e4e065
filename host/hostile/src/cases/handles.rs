//! Handles of the host's resources: taken without end, and used as what they are not.

use crate::case::AttackGroup::Handles;
use crate::case::Expected::Failed;
use crate::case::{Expected, HostileCase};
use crate::guest::Guest;
use crate::imports::{
    BLOCK, DROP_OUTPUT, DROP_POLLABLE, GET_STDERR, GET_STDIN, GET_STDOUT, NETWORK, POLL, SUBSCRIBE_DURATION,
    SUBSCRIBE_INPUT, SUBSCRIBE_OUTPUT, WRITE,
};

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Handles, name, tries, make, expects)
}

/// A case of a step that takes handles until it is stopped.
const fn flood(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, Failed("engine.handles"))
}

fn taking(imports: &[&str], call: &str) -> Vec<u8> {
    Guest::step().importing(imports).endlessly(&format!("(drop {call})")).build()
}

fn misusing(imports: &[&str], body: &str) -> Vec<u8> {
    Guest::step().importing(imports).first(body).build()
}

pub(super) const CASES: &[HostileCase] = &[
    flood("handles-of-streams", "Takes streams without end.", || taking(&[GET_STDOUT], "(call $get_stdout)")),
    flood("handles-of-timers", "Sets timers without end, all of them a year away.", || {
        taking(&[SUBSCRIBE_DURATION], "(call $subscribe_duration (i64.const 31536000000000000))")
    }),
    flood("handles-of-one-stream", "Subscribes to one stream without end.", || {
        let work = "(local $stream i32)
            (local.set $stream (call $get_stdout))
            (loop $again (drop (call $subscribe_output (local.get $stream))) (br $again))
            unreachable";
        Guest::step().importing(&[GET_STDOUT, SUBSCRIBE_OUTPUT]).work(work).build()
    }),
    flood("handles-of-every-kind", "Takes handles of many kinds in turn.", || {
        let calls = "(drop (call $subscribe_input (call $get_stdin))) (drop (call $get_stderr)) (drop (call $network))
            (drop (call $subscribe_duration (i64.const -1)))";
        Guest::step()
            .importing(&[GET_STDIN, SUBSCRIBE_INPUT, GET_STDERR, NETWORK, SUBSCRIBE_DURATION])
            .endlessly(calls)
            .build()
    }),
    case(
        "handle-that-never-was",
        "Writes to a handle that it made up.",
        || {
            let write = "(call $write (i32.const 4242) (i32.const 0) (i32.const 1) (global.get $ret))";
            misusing(&[WRITE], write)
        },
        Failed("engine.trap"),
    ),
    case(
        "handle-of-another-kind",
        "Waits for a stream as if it were a timer.",
        || misusing(&[GET_STDOUT, BLOCK], "(call $block (call $get_stdout))"),
        Failed("engine.trap"),
    ),
    case(
        "handle-dropped-twice",
        "Gives one handle back twice.",
        || {
            let work = "(local $stream i32)
                (local.set $stream (call $get_stdout))
                (call $drop_output (local.get $stream))
                (call $drop_output (local.get $stream))
                (global.get $ok)";
            Guest::step().importing(&[GET_STDOUT, DROP_OUTPUT]).work(work).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "handle-used-after-it-was-dropped",
        "Writes to a stream that it gave back.",
        || {
            let work = "(local $stream i32)
                (local.set $stream (call $get_stdout))
                (call $drop_output (local.get $stream))
                (call $write (local.get $stream) (i32.const 0) (i32.const 1) (global.get $ret))
                (global.get $ok)";
            Guest::step().importing(&[GET_STDOUT, DROP_OUTPUT, WRITE]).work(work).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "handle-dropped-under-its-child",
        "Gives a stream back while it still waits for it.",
        || {
            let work = "(local $stream i32) (local $wait i32)
                (local.set $stream (call $get_stdout))
                (local.set $wait (call $subscribe_output (local.get $stream)))
                (call $drop_output (local.get $stream))
                (call $block (local.get $wait))
                (call $drop_pollable (local.get $wait))
                (global.get $ok)";
            let imports = [GET_STDOUT, SUBSCRIBE_OUTPUT, DROP_OUTPUT, BLOCK, DROP_POLLABLE];
            Guest::step().importing(&imports).work(work).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "poll-of-nothing",
        "Polls an empty list, which would never end.",
        || misusing(&[POLL], "(call $poll (i32.const 512) (i32.const 0) (global.get $ret))"),
        Failed("engine.trap"),
    ),
    case(
        "poll-of-made-up-handles",
        "Polls a long list of handles that it made up.",
        || misusing(&[POLL], "(call $poll (i32.const 1024) (i32.const 10000) (global.get $ret))"),
        Failed("engine.trap"),
    ),
];
