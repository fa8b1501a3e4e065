//! Looking for whatever was not granted: the step traps where it finds something.

use crate::case::AttackGroup::Probes;
use crate::case::Expected::Harmless;
use crate::case::HostileCase;
use crate::guest::Guest;
use crate::imports::{
    CLOCK_NOW, CONFIG_GET, CONTEXT_GET, CONTEXT_HISTORY, CONTEXT_METADATA, GET_ARGUMENTS, GET_DIRECTORIES,
    GET_ENVIRONMENT, GET_STDIN, GET_TERMINAL, INITIAL_CWD, NETWORK, READ_INPUT, RESOLVE, SECRETS_GET, TCP_SOCKET,
    UDP_SOCKET, WALL_NOW,
};

/// A case of a step that traps where it finds something.
const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    HostileCase::step(Probes, name, tries, make, Harmless).cpu_ms(5_000)
}

/// Traps unless the list that the call before returned is empty.
const EMPTY: &str = "(call $must (i32.eqz (i32.load offset=4 (global.get $ret))))";

/// Traps unless the call before returned none.
const NONE: &str = "(call $must (i32.eqz (i32.load8_u (global.get $ret))))";

/// Traps unless the call before failed.
const FAILED: &str = "(call $must (i32.eq (i32.load8_u (global.get $ret)) (i32.const 1)))";

/// Computes for some milliseconds.
const BUSY: &str = "(loop $busy
    (local.set $i (i32.add (local.get $i) (i32.const 1)))
    (br_if $busy (i32.lt_u (local.get $i) (i32.const 5000000))))";

fn looking(import: &str, call: &str, check: &str) -> Vec<u8> {
    Guest::step().importing(&[import]).first(&format!("{call} {check}")).build()
}

/// A step that asks with each of some names; `check` says what must come back.
fn guessing(import: &str, function: &str, names: &[&str], check: &str) -> Vec<u8> {
    let mut at = 0;
    let mut calls = String::new();
    for name in names {
        let (address, bytes) = (512 + at, name.len());
        calls.push_str(&format!(
            "(call {function} (i32.const {address}) (i32.const {bytes}) (global.get $ret)) {check}"
        ));
        at += bytes;
    }
    Guest::step().importing(&[import]).text(names.concat()).first(&calls).build()
}

pub(super) const CASES: &[HostileCase] = &[
    case("probe-environment", "Looks for environment variables.", || {
        looking(GET_ENVIRONMENT, "(call $get_environment (global.get $ret))", EMPTY)
    }),
    case("probe-arguments", "Looks for the arguments that the host was started with.", || {
        looking(GET_ARGUMENTS, "(call $get_arguments (global.get $ret))", EMPTY)
    }),
    case("probe-working-directory", "Asks for the folder that the host works in.", || {
        looking(INITIAL_CWD, "(call $initial_cwd (global.get $ret))", NONE)
    }),
    case("probe-files", "Looks for a folder of the host that is open to it.", || {
        looking(GET_DIRECTORIES, "(call $get_directories (global.get $ret))", EMPTY)
    }),
    case("probe-terminal", "Asks whether it sits before somebody's terminal.", || {
        looking(GET_TERMINAL, "(call $get_terminal (global.get $ret))", NONE)
    }),
    case("probe-standard-input", "Reads what the host is given on standard input.", || {
        let read = "(call $read_input (call $get_stdin) (i64.const 4096) (global.get $ret))";
        Guest::step().importing(&[GET_STDIN, READ_INPUT]).first(&format!("{read} {FAILED}")).build()
    }),
    case("probe-tcp", "Makes a socket for connections.", || {
        looking(TCP_SOCKET, "(call $tcp_socket (i32.const 0) (global.get $ret))", FAILED)
    }),
    case("probe-tcp-over-ipv6", "Makes a socket for connections, in the newer family.", || {
        looking(TCP_SOCKET, "(call $tcp_socket (i32.const 1) (global.get $ret))", FAILED)
    }),
    case("probe-udp", "Makes a socket for datagrams.", || {
        looking(UDP_SOCKET, "(call $udp_socket (i32.const 0) (global.get $ret))", FAILED)
    }),
    case("probe-names", "Asks for the address of `localhost`.", || {
        let resolve = "(call $resolve (call $network) (i32.const 512) (i32.const 9) (global.get $ret))";
        let guest = Guest::step().importing(&[NETWORK, RESOLVE]).text("localhost");
        guest.first(&format!("{resolve} {FAILED}")).build()
    }),
    case(
        "probe-secrets",
        "Guesses the names of secrets, and looks for one that is told apart from the others.",
        || {
            let not_granted = format!("{FAILED} (call $must (i32.eqz (i32.load8_u offset=4 (global.get $ret))))");
            let names = ["DB_PASSWORD", "TOKEN", "AWS_SECRET_ACCESS_KEY", "..", "", "STEPCELL_HOST_KEY"];
            guessing(SECRETS_GET, "$secrets_get", &names, &not_granted)
        },
    ),
    case("probe-config", "Guesses the names of settings that belong to others.", || {
        guessing(CONFIG_GET, "$config_get", &["password", "engine.db", "", "__proto__"], NONE)
    }),
    case("probe-context", "Guesses keys of other instances and of the engine.", || {
        guessing(CONTEXT_GET, "$context_get", &["engine.secret", "", "../other", "%00"], NONE)
    }),
    case("probe-metadata", "Guesses the names of values that the instance was started with.", || {
        guessing(CONTEXT_METADATA, "$context_metadata", &["owner", "engine.tenant", ""], NONE)
    }),
    case("probe-history", "Looks for executions of other instances.", || {
        looking(CONTEXT_HISTORY, "(call $context_history (global.get $ret))", EMPTY)
    }),
    case("probe-time", "Measures its own speed by a clock that goes on, to learn of its neighbours.", || {
        let work = format!(
            "(local $i i32) (local $before i64)
             (local.set $before (call $clock_now))
             {BUSY}
             (call $must (i64.eq (local.get $before) (call $clock_now)))
             (global.get $ok)"
        );
        Guest::step().importing(&[CLOCK_NOW]).work(&work).build()
    }),
    case("probe-time-of-day", "Measures its own speed by the time of day.", || {
        let work = format!(
            "(local $i i32)
             (call $wall_now (i32.const 256))
             {BUSY}
             (call $wall_now (i32.const 288))
             (call $must (i64.eq (i64.load (i32.const 256)) (i64.load (i32.const 288))))
             (call $must (i32.eq (i32.load (i32.const 264)) (i32.load (i32.const 296))))
             (global.get $ok)"
        );
        Guest::step().importing(&[WALL_NOW]).work(&work).build()
    }),
    case("probe-memory", "Looks through 60 MiB of new memory for what the cells before it left there.", || {
        let work = "(local $at i32) (local $end i32)
            (call $must (i32.ne (memory.grow (i32.const 956)) (i32.const -1)))
            (local.set $at (i32.const 262144))
            (local.set $end (i32.mul (memory.size) (i32.const 65536)))
            (loop $again
                (call $must (i64.eqz (i64.load (local.get $at))))
                (local.set $at (i32.add (local.get $at) (i32.const 8)))
                (br_if $again (i32.lt_u (local.get $at) (local.get $end))))
            (global.get $ok)";
        Guest::step().work(work).build()
    })
    .memory_mib(64),
    case("probe-table", "Looks through ten thousand new table entries for functions of others.", || {
        let work = "(local $i i32)
            (loop $again
                (call $must (ref.is_null (table.get $entries (local.get $i))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const 10000))))
            (global.get $ok)";
        Guest::step().with("(table $entries 10000 funcref)").work(work).build()
    }),
];
