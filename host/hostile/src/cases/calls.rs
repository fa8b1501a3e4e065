//! Calling the host without end: each call is cheap for the guest and is not for the host.

use crate::case::AttackGroup::Calls;
use crate::case::Expected::Failed;
use crate::case::HostileCase;
use crate::guest::Guest;
use crate::imports::{
    CHECK_WRITE, CLOCK_NOW, CONFIG_GET, CONTEXT_DELETE, CONTEXT_GET, CONTEXT_HISTORY, CONTEXT_INFO, CONTEXT_KEYS,
    CONTEXT_SET, DROP_OUTPUT, DROP_POLLABLE, GET_STDOUT, INSECURE_BYTES, LOG_WRITE, RANDOM_BYTES, READY, SECRETS_GET,
    SUBSCRIBE_DURATION, WALL_NOW,
};

/// More than all calls take on a slow machine, in milliseconds on a CPU: they are counted, whatever they cost.
const CPU_MS: u64 = 25_000;

/// A case of a step that calls until it is stopped.
const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    HostileCase::step(Calls, name, tries, make, Failed("engine.host-calls")).cpu_ms(CPU_MS)
}

fn calling(imports: &[&str], call: &str) -> Vec<u8> {
    Guest::step().importing(imports).text("key").endlessly(call).build()
}

pub(super) const CASES: &[HostileCase] = &[
    case("calls-of-get", "Reads one key of the context without end.", || {
        calling(&[CONTEXT_GET], "(call $context_get (i32.const 512) (i32.const 3) (global.get $ret))")
    }),
    case("calls-of-keys", "Lists the keys of the context without end.", || {
        calling(&[CONTEXT_KEYS], "(call $context_keys (i32.const 512) (i32.const 0) (global.get $ret))")
    }),
    case("calls-of-history", "Lists what ran before without end.", || {
        calling(&[CONTEXT_HISTORY], "(call $context_history (global.get $ret))")
    }),
    case("calls-of-info", "Asks who runs it without end.", || {
        calling(&[CONTEXT_INFO], "(call $context_info (global.get $ret))")
    }),
    case("calls-of-set-and-delete", "Writes a key and takes it away without end.", || {
        let calls = "(call $context_set (i32.const 512) (i32.const 3) (i32.const 1024) (i32.const 1) (global.get $ret))
            (call $context_delete (i32.const 512) (i32.const 3) (global.get $ret))";
        calling(&[CONTEXT_SET, CONTEXT_DELETE], calls)
    }),
    case("calls-of-config", "Asks for a setting without end.", || {
        calling(&[CONFIG_GET], "(call $config_get (i32.const 512) (i32.const 3) (global.get $ret))")
    }),
    case("calls-of-secrets", "Guesses the names of secrets without end.", || {
        calling(&[SECRETS_GET], "(call $secrets_get (i32.const 512) (i32.const 3) (global.get $ret))")
    }),
    case("calls-of-log", "Logs empty lines without end.", || {
        let write = "(call $log_write (i32.const 2) (i32.const 512) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0))";
        calling(&[LOG_WRITE], write)
    }),
    case("calls-of-clock", "Asks for the time without end.", || calling(&[CLOCK_NOW], "(drop (call $clock_now))")),
    case("calls-of-time-of-day", "Asks for the time of day without end.", || {
        calling(&[WALL_NOW], "(call $wall_now (global.get $ret))")
    }),
    case("calls-of-random", "Asks for random bytes without end.", || {
        calling(&[RANDOM_BYTES], "(call $random_bytes (i64.const 16) (global.get $ret))")
    }),
    case("calls-of-check-write", "Asks without end how much it may print.", || {
        let work = "(local $stream i32)
            (local.set $stream (call $get_stdout))
            (loop $again (call $check_write (local.get $stream) (global.get $ret)) (br $again))
            unreachable";
        Guest::step().importing(&[GET_STDOUT, CHECK_WRITE]).work(work).build()
    }),
    case("calls-of-ready", "Asks without end whether a timer has run out.", || {
        let work = "(local $timer i32)
            (local.set $timer (call $subscribe_duration (i64.const -1)))
            (loop $again (drop (call $ready (local.get $timer))) (br $again))
            unreachable";
        Guest::step().importing(&[SUBSCRIBE_DURATION, READY]).work(work).build()
    }),
    case("calls-that-take-and-give-back", "Takes a handle and gives it back without end.", || {
        calling(&[GET_STDOUT, DROP_OUTPUT], "(call $drop_output (call $get_stdout))")
    }),
    case("calls-that-set-and-drop-timers", "Sets a timer and gives it back without end.", || {
        let calls = "(call $drop_pollable (call $subscribe_duration (i64.const -1)))";
        calling(&[SUBSCRIBE_DURATION, DROP_POLLABLE], calls)
    }),
    HostileCase::step(
        Calls,
        "random-bytes-past-all-bounds",
        "Asks for all the random bytes that there are.",
        || calling(&[RANDOM_BYTES], "(call $random_bytes (i64.const -1) (global.get $ret))"),
        Failed("engine.trap"),
    ),
    HostileCase::step(
        Calls,
        "insecure-random-bytes-past-all-bounds",
        "Asks for all the random bytes that there are, from the weaker source.",
        || calling(&[INSECURE_BYTES], "(call $insecure_bytes (i64.const 0x7fffffff) (global.get $ret))"),
        Failed("engine.trap"),
    ),
];
