//! Taking memory, table entries and stack until something gives way.

use std::fmt::Write as _;

use wasm_encoder::{MemorySection, MemoryType, Module};

use crate::case::AttackGroup::Memory;
use crate::case::Expected::{Failed, HookFailed};
use crate::case::{Expected, HostileCase};
use crate::compose::Composed;
use crate::guest::{FOR_EVER, Guest};

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Memory, name, tries, make, expects)
}

/// Grows memory by a MiB, writes to all of it, and traps once there is no more.
const GROW: &str = "
    (call $must (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
    (memory.fill
        (i32.mul (i32.sub (memory.size) (i32.const 16)) (i32.const 65536)) (i32.const 1) (i32.const 1048576))";

/// A module of nothing but a memory.
fn memory(pages: u64) -> Module {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: pages, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut module = Module::new();
    module.section(&memories);
    module
}

/// A function that calls itself, in `definitions`, and the call that begins it.
fn recursing(definitions: &str, call: &str) -> Vec<u8> {
    Guest::step().with(definitions).first(call).build()
}

/// A function with so many values that live over its call of itself.
fn wide(values: u32) -> String {
    let mut text = "(func $wide (param $x i64) (result i64)".to_owned();
    for value in 0..values {
        let _ = write!(text, "(local $v{value} i64)");
    }
    for value in 0..values {
        let _ = write!(text, "(local.set $v{value} (i64.mul (local.get $x) (i64.const {})))", value + 3);
    }
    text.push_str("(local.set $x (call $wide (i64.add (local.get $x) (i64.const 1))))");
    for value in 0..values {
        let _ = write!(text, "(local.set $x (i64.xor (local.get $x) (local.get $v{value})))");
    }
    text.push_str("(local.get $x))");
    text
}

pub(super) const CASES: &[HostileCase] = &[
    case(
        "memory-grown-without-end",
        "Takes memory without end, and writes to all of it.",
        || Guest::step().endlessly(GROW).build(),
        Failed("engine.memory"),
    ),
    case(
        "memory-grown-at-once",
        "Takes four GiB at once.",
        || Guest::step().first("(call $must (i32.ne (memory.grow (i32.const 65532)) (i32.const -1)))").build(),
        Failed("engine.memory"),
    ),
    case(
        "memory-from-the-start",
        "Wants 300 MiB before anything of it runs.",
        || Guest::step().pages(4_800).build(),
        Failed("engine.memory"),
    ),
    case(
        "memory-in-eight-pieces",
        "Wants eight memories, each of which is within the limit that all of them break.",
        || Composed::step().module(&memory(256), 7).build(),
        Failed("engine.memory"),
    )
    .memory_mib(64),
    case(
        "memory-in-realloc",
        "Takes memory without end where the host asks for room.",
        || Guest::step().realloc(&format!("(loop $again {GROW} (br $again)) unreachable")).build(),
        Failed("engine.memory"),
    ),
    case(
        "memory-in-start",
        "Takes memory without end in a start function.",
        || {
            let start = format!("(func $start (loop $again {GROW} (br $again))) (start $start)");
            Guest::step().with(&start).build()
        },
        Failed("engine.memory"),
    ),
    case(
        "memory-in-on-success",
        "Takes memory without end in the hook after success.",
        || Guest::step().on_success(&format!("(loop $again {GROW} (br $again)) unreachable")).build(),
        HookFailed("engine.memory"),
    ),
    case(
        "memory-in-evaluate",
        "Takes memory without end as a gateway.",
        || Guest::gateway().endlessly(GROW).build(),
        Failed("engine.memory"),
    )
    .as_gateway(),
    case(
        "memory-kept-busy",
        "Takes all the memory that it may have, and goes through it for ever.",
        || {
            let work = format!(
                "(drop (memory.grow (i32.const 1000)))
                 (loop $pass
                    (memory.fill (i32.const 131072) (i32.const 7) (i32.const 65000000))
                    (br $pass))
                 {FOR_EVER}"
            );
            Guest::step().work(&work).build()
        },
        Failed("engine.cpu"),
    )
    .cpu_ms(200),
    case(
        "table-grown-without-end",
        "Takes table entries without end.",
        || {
            let grow = "(call $must (i32.ne (table.grow (ref.null func) (i32.const 1000)) (i32.const -1)))";
            Guest::step().with("(table 1 funcref)").endlessly(grow).build()
        },
        Failed("engine.table"),
    ),
    case(
        "table-grown-at-once",
        "Takes four thousand million table entries at once.",
        || {
            let grow = "(call $must (i32.ne (table.grow (ref.null func) (i32.const -16)) (i32.const -1)))";
            Guest::step().with("(table 1 funcref)").first(grow).build()
        },
        Failed("engine.table"),
    ),
    case(
        "table-in-pieces",
        "Grows twenty tables in turns, each of which is within the limit that all of them break.",
        || {
            let grow = |table| {
                let more = "(ref.null func) (i32.const 500)";
                format!("(call $must (i32.ne (table.grow {table} {more}) (i32.const -1)))")
            };
            let grow_each: String = (0..20).map(grow).collect();
            Guest::step().with(&"(table 1 funcref)".repeat(20)).endlessly(&grow_each).build()
        },
        Failed("engine.table"),
    ),
    case(
        "stack-by-recursion",
        "Calls itself without end.",
        || recursing("(func $again (call $again) (call $again))", "(call $again)"),
        Failed("engine.stack"),
    ),
    case(
        "stack-by-wide-frames",
        "Calls itself without end, with five hundred values to keep over each call.",
        || recursing(&wide(500), "(drop (call $wide (i64.const 1)))"),
        Failed("engine.stack"),
    ),
    case(
        "stack-by-calls-through-a-table",
        "Calls itself without end through a table.",
        || {
            let table = "(table funcref (elem $again)) (type $plain (func))
                (func $again (call_indirect (type $plain) (i32.const 0)) (call_indirect (type $plain) (i32.const 0)))";
            recursing(table, "(call $again)")
        },
        Failed("engine.stack"),
    ),
    case(
        "stack-in-realloc",
        "Calls itself without end where the host asks for room.",
        || {
            let again = "(call $realloc (local.get $old) (local.get $old_bytes) (local.get $align)
                (i32.add (local.get $bytes) (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 1))))";
            Guest::step().realloc(again).build()
        },
        Failed("engine.stack"),
    ),
    case(
        "stack-in-start",
        "Calls itself without end in a start function.",
        || Guest::step().with("(func $start (call $start) (call $start)) (start $start)").build(),
        Failed("engine.stack"),
    ),
    case(
        "stack-in-on-success",
        "Calls itself without end in the hook after success.",
        || {
            let again = "(func $again (call $again) (call $again))";
            Guest::step().with(again).on_success("(call $again) (i32.const 0)").build()
        },
        HookFailed("engine.stack"),
    ),
];
