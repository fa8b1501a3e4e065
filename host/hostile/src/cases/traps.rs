//! Traps and exits, wherever a guest can have one.

use crate::case::AttackGroup::Traps;
use crate::case::Expected::{Failed, HookFailed};
use crate::case::{Expected, HostileCase};
use crate::guest::{Failing, Guest};
use crate::imports::{CONTEXT_PREVIOUS, EXIT};

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Traps, name, tries, make, expects)
}

/// A step that does this as its work, which never ends well.
fn step_that(body: &str) -> Vec<u8> {
    Guest::step().work(&format!("{body} unreachable")).build()
}

pub(super) const CASES: &[HostileCase] = &[
    case(
        "trap-in-execute",
        "Aborts in `execute`.",
        || Guest::step().work("unreachable").build(),
        Failed("engine.trap"),
    ),
    case(
        "trap-in-can-execute",
        "Aborts in the guard.",
        || Guest::step().can_execute("unreachable").build(),
        Failed("engine.trap"),
    ),
    case(
        "trap-in-start",
        "Aborts in a start function.",
        || Guest::step().with("(func $start unreachable) (start $start)").build(),
        Failed("engine.trap"),
    ),
    case(
        "trap-in-realloc",
        "Aborts where the host asks for room.",
        || Guest::step().realloc("unreachable").build(),
        Failed("engine.trap"),
    ),
    case(
        "trap-in-post-return",
        "Aborts once the host has read the output.",
        || Guest::step().post_return("unreachable").build(),
        Failed("engine.trap"),
    ),
    case(
        "trap-in-on-success",
        "Aborts in the hook after success.",
        || Guest::step().on_success("unreachable").build(),
        HookFailed("engine.trap"),
    ),
    case(
        "trap-in-on-failure",
        "Fails, and aborts in the hook after failure.",
        || Guest::step().failing(Failing::with("on-purpose")).on_failure("unreachable").build(),
        HookFailed("engine.trap"),
    ),
    case(
        "trap-in-evaluate",
        "Aborts as a gateway.",
        || Guest::gateway().work("unreachable").build(),
        Failed("engine.trap"),
    )
    .as_gateway(),
    case(
        "divide-by-zero",
        "Divides by zero.",
        || step_that("(drop (i32.div_u (i32.const 1) (i32.load (i32.const 400))))"),
        Failed("engine.trap"),
    ),
    case(
        "divide-out-of-range",
        "Divides the least number by minus one.",
        || step_that("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))"),
        Failed("engine.trap"),
    ),
    case(
        "convert-not-a-number",
        "Converts what is no number to an integer.",
        || step_that("(drop (i32.trunc_f64_s (f64.const nan)))"),
        Failed("engine.trap"),
    ),
    case(
        "read-past-memory",
        "Reads at the last address there can be, with the largest offset.",
        || step_that("(drop (i64.load offset=0xffffffff (i32.const -1)))"),
        Failed("engine.trap"),
    ),
    case(
        "write-past-memory",
        "Writes right behind its memory.",
        || step_that("(i32.store (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))"),
        Failed("engine.trap"),
    ),
    case(
        "fill-past-memory",
        "Fills more memory than it has.",
        || step_that("(memory.fill (i32.const 1) (i32.const 0xff) (i32.const -1))"),
        Failed("engine.trap"),
    ),
    case(
        "call-nothing",
        "Calls through an entry of a table that holds nothing.",
        || {
            let table = "(table 2 funcref) (type $plain (func))";
            Guest::step().with(table).first("(call_indirect (type $plain) (i32.const 1))").build()
        },
        Failed("engine.trap"),
    ),
    case(
        "call-what-is-another",
        "Calls a function through a table as if it took other parameters.",
        || {
            let table = "(table funcref (elem $must)) (type $other (func (param i64 i64)))";
            let call = "(call_indirect (type $other) (i64.const 1) (i64.const 2) (i32.const 0))";
            Guest::step().with(table).first(call).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "call-past-the-table",
        "Calls through an entry that the table does not have.",
        || {
            let table = "(table 2 funcref) (type $plain (func))";
            Guest::step().with(table).first("(call_indirect (type $plain) (i32.const -1))").build()
        },
        Failed("engine.trap"),
    ),
    case(
        "data-past-memory",
        "Has data that lies outside of its memory.",
        || Guest::step().with(r#"(data (i32.const -1) "out")"#).build(),
        Failed("engine.trap"),
    ),
    case(
        "elements-past-the-table",
        "Has elements that lie outside of its table.",
        || Guest::step().with("(table 1 funcref) (elem (i32.const 7) $must)").build(),
        Failed("engine.trap"),
    ),
    case(
        "data-that-is-gone",
        "Copies from data that it dropped before.",
        || {
            let copy = "(data.drop $gone) (memory.init $gone (i32.const 0) (i32.const 0) (i32.const 4))";
            Guest::step().with(r#"(data $gone "gone")"#).first(copy).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "call-the-host-within-realloc",
        "Calls a host function while another one asks for room.",
        || {
            let call = "(call $context_previous (global.get $ret)) (i32.const 131072)";
            Guest::step().importing(&[CONTEXT_PREVIOUS]).realloc(call).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "exit-well",
        "Exits with status 0 instead of returning, as if that were success.",
        || Guest::step().importing(&[EXIT]).first("(call $exit (i32.const 0))").build(),
        Failed("engine.exit"),
    ),
    case(
        "exit-badly",
        "Exits with status 1.",
        || Guest::step().importing(&[EXIT]).first("(call $exit (i32.const 1))").build(),
        Failed("engine.exit"),
    ),
    case(
        "exit-in-on-success",
        "Exits in the hook after success.",
        || Guest::step().importing(&[EXIT]).on_success("(call $exit (i32.const 0)) (i32.const 0)").build(),
        HookFailed("engine.exit"),
    ),
    case(
        "exit-in-start",
        "Exits before anything is called.",
        || {
            let start = "(func $start (call $exit (i32.const 0))) (start $start)";
            Guest::step().importing(&[EXIT]).with(start).build()
        },
        Failed("engine.exit"),
    ),
];
