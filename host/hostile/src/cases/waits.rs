//! Sleeping and polling without end, which costs no CPU time.

use crate::case::AttackGroup::Waits;
use crate::case::Expected::{Failed, HookFailed};
use crate::case::{Expected, HostileCase};
use crate::guest::{Failing, Guest};
use crate::imports::{BLOCK, DROP_POLLABLE, POLL, SUBSCRIBE_DURATION, SUBSCRIBE_INSTANT};

/// Long enough to come to the wait, in milliseconds.
const WALL_MS: u64 = 150;

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Waits, name, tries, make, expects).wall_ms(WALL_MS)
}

/// Waits for five hundred years.
const SLEEP: &str = "(call $block (call $subscribe_duration (i64.const -1)))";

fn sleeper() -> Guest {
    Guest::step().importing(&[SUBSCRIBE_DURATION, BLOCK])
}

/// A step that polls so many timers of a year, of which it puts the handles in a list.
fn polling(timers: u32, handle: &str) -> Vec<u8> {
    let work = format!(
        "(local $i i32) (local $first i32)
         (local.set $first (call $subscribe_duration (i64.const 31536000000000000)))
         (loop $again
            (i32.store (i32.add (i32.const 65536) (i32.mul (local.get $i) (i32.const 4))) {handle})
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const {timers}))))
         (call $poll (i32.const 65536) (i32.const {timers}) (global.get $ret))
         (global.get $ok)"
    );
    Guest::step().importing(&[SUBSCRIBE_DURATION, POLL]).pages(16).work(&work).build()
}

pub(super) const CASES: &[HostileCase] = &[
    case(
        "sleep-in-execute",
        "Sleeps for five hundred years.",
        || sleeper().first(SLEEP).build(),
        Failed("engine.wall"),
    ),
    case(
        "sleep-in-can-execute",
        "Sleeps for five hundred years in the guard.",
        || sleeper().can_execute(&format!("{SLEEP} (i32.const 0)")).build(),
        Failed("engine.wall"),
    ),
    case(
        "sleep-in-on-success",
        "Sleeps for five hundred years in the hook after success.",
        || sleeper().on_success(&format!("{SLEEP} (i32.const 0)")).build(),
        HookFailed("engine.wall"),
    ),
    case(
        "sleep-in-on-failure",
        "Fails, and sleeps for five hundred years in the hook after failure.",
        || sleeper().failing(Failing::with("on-purpose")).on_failure(&format!("{SLEEP} (i32.const 0)")).build(),
        HookFailed("engine.wall"),
    ),
    case(
        "sleep-in-evaluate",
        "Sleeps for five hundred years as a gateway.",
        || {
            let gateway = Guest::gateway().importing(&[SUBSCRIBE_DURATION, BLOCK]);
            gateway.work(&format!("{SLEEP} (i32.const 16)")).build()
        },
        Failed("engine.wall"),
    )
    .as_gateway(),
    case(
        "sleep-until-the-end-of-time",
        "Sleeps until the last moment that a clock can tell.",
        || {
            let sleep = "(call $block (call $subscribe_instant (i64.const -1)))";
            Guest::step().importing(&[SUBSCRIBE_INSTANT, BLOCK]).first(sleep).build()
        },
        Failed("engine.wall"),
    ),
    case(
        "sleep-in-naps",
        "Sleeps for a moment again and again, so as never to be seen asleep or awake.",
        || {
            let nap = "(local $nap i32)
                (loop $again
                    (local.set $nap (call $subscribe_duration (i64.const 1000000)))
                    (call $block (local.get $nap))
                    (call $drop_pollable (local.get $nap))
                    (br $again))
                unreachable";
            Guest::step().importing(&[SUBSCRIBE_DURATION, BLOCK, DROP_POLLABLE]).work(nap).build()
        },
        Failed("engine.wall"),
    ),
    case("poll-of-one", "Polls one timer of a year.", || polling(1, "(local.get $first)"), Failed("engine.wall")),
    case(
        "poll-of-four-hundred",
        "Polls four hundred timers at once.",
        || polling(400, "(call $subscribe_duration (i64.const 31536000000000000))"),
        Failed("engine.wall"),
    ),
    case(
        "poll-of-one-a-hundred-thousand-times",
        "Polls a list that names one timer a hundred thousand times.",
        || polling(100_000, "(local.get $first)"),
        Failed("engine.handles"),
    ),
];
