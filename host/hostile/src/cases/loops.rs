//! Computing for ever, in every function that the host calls.

use crate::case::AttackGroup::Loops;
use crate::case::Expected::{Failed, HookFailed};
use crate::case::{Expected, HostileCase};
use crate::guest::{FOR_EVER, Failing, Guest};
use crate::imports::{CONTEXT_INFO, CONTEXT_PREVIOUS};

/// Enough for the step itself, in milliseconds on a CPU.
const CPU_MS: u64 = 50;

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Loops, name, tries, make, expects).cpu_ms(CPU_MS)
}

/// A page of memory filled again and again: each fill is one instruction to the guest, and much work to the machine.
const FILL: &str = "(memory.fill (i32.const 0) (i32.const 1) (i32.const 16777216))";

pub(super) const CASES: &[HostileCase] = &[
    case(
        "loop-in-execute",
        "Computes for ever in `execute`.",
        || Guest::step().work(FOR_EVER).build(),
        Failed("engine.cpu"),
    ),
    HostileCase::step(
        Loops,
        "loop-up-to-the-hosts-own-limit",
        "Computes for ever in `execute`, with as much time as the host gives to anybody.",
        || Guest::step().work(FOR_EVER).build(),
        Failed("engine.cpu"),
    ),
    case(
        "loop-in-can-execute",
        "Computes for ever in the guard.",
        || Guest::step().can_execute(FOR_EVER).build(),
        Failed("engine.cpu"),
    ),
    case(
        "loop-in-start",
        "Computes for ever in a start function, before anything is called.",
        || Guest::step().with(&format!("(func $start {FOR_EVER}) (start $start)")).build(),
        Failed("engine.cpu"),
    ),
    case(
        "loop-in-realloc",
        "Computes for ever where the host asks for room for the input.",
        || Guest::step().realloc(FOR_EVER).build(),
        Failed("engine.cpu"),
    ),
    case(
        "loop-in-realloc-of-a-host-call",
        "Computes for ever where a host function asks for room for what it returns.",
        || {
            // The first two texts are the inputs of the guard and of the work.
            let from_the_third = format!(
                "(global.set $asked (i32.add (global.get $asked) (i32.const 1)))
                 (if (i32.gt_u (global.get $asked) (i32.const 2)) (then {FOR_EVER}))
                 (i32.const 131072)"
            );
            Guest::step()
                .importing(&[CONTEXT_INFO])
                .with("(global $asked (mut i32) (i32.const 0))")
                .realloc(&from_the_third)
                .first("(call $context_info (global.get $ret))")
                .build()
        },
        Failed("engine.cpu"),
    ),
    case(
        "loop-in-post-return",
        "Computes for ever once the host has read the output.",
        || Guest::step().post_return(FOR_EVER).build(),
        Failed("engine.cpu"),
    ),
    case(
        "loop-in-on-success",
        "Computes for ever in the hook after success.",
        || Guest::step().on_success(FOR_EVER).build(),
        HookFailed("engine.cpu"),
    ),
    case(
        "loop-in-on-failure",
        "Fails, and computes for ever in the hook after failure.",
        || Guest::step().failing(Failing::with("on-purpose")).on_failure(FOR_EVER).build(),
        HookFailed("engine.cpu"),
    ),
    case(
        "loop-in-evaluate",
        "Computes for ever as a gateway that is asked for the way.",
        || Guest::gateway().work(FOR_EVER).build(),
        Failed("engine.cpu"),
    )
    .as_gateway(),
    case(
        "loop-of-large-fills",
        "Fills 16 MiB of memory again and again, which no look at a loop's end interrupts.",
        || Guest::step().pages(256).endlessly(FILL).build(),
        Failed("engine.cpu"),
    ),
    case(
        "loop-of-calls",
        "Computes for ever without a loop: two functions call each other as their last act.",
        || {
            let ping = "(func $ping (param i32) (if (local.get 0)
                (then (call $pong (i32.sub (local.get 0) (i32.const 1))))))
                (func $pong (param i32) (if (local.get 0)
                (then (call $ping (i32.sub (local.get 0) (i32.const 1))))))";
            Guest::step().with(ping).endlessly("(call $ping (i32.const 1000))").build()
        },
        Failed("engine.cpu"),
    ),
    case(
        "loop-that-swallows-refusals",
        "Asks for more memory for ever, and does not mind that there is none.",
        || Guest::step().endlessly("(drop (memory.grow (i32.const 2000)))").build(),
        Failed("engine.cpu"),
    ),
    case(
        "loop-between-host-calls",
        "Computes in `execute` and calls the host now and then, so as to look busy.",
        || {
            let busy = "(local $i i32)
                (loop $again
                    (local.set $i (i32.const 0))
                    (loop $busy
                        (local.set $i (i32.add (local.get $i) (i32.const 1)))
                        (br_if $busy (i32.lt_u (local.get $i) (i32.const 1000000))))
                    (call $context_previous (global.get $ret))
                    (br $again))
                unreachable";
            Guest::step().importing(&[CONTEXT_PREVIOUS]).work(busy).build()
        },
        Failed("engine.cpu"),
    ),
];
