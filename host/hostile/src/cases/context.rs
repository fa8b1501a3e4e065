//! Writes that no context should hold: each must be refused, and the step traps where one is not.

use crate::case::AttackGroup::Context;
use crate::case::Expected::Harmless;
use crate::case::HostileCase;
use crate::guest::Guest;
use crate::imports::{CONTEXT_DELETE, CONTEXT_SET};

/// A case of a step that traps where the host lets it write.
const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    HostileCase::step(Context, name, tries, make, Harmless)
}

/// Traps unless the write before was refused.
const REFUSED: &str = "(call $must (i32.load8_u (global.get $ret)))";

/// Writes what lies at `value` to the key at 512.
fn set(key_bytes: &str, value: &str, value_bytes: u32) -> String {
    format!(
        "(call $context_set (i32.const 512) {key_bytes} (i32.const {value}) (i32.const {value_bytes}) (global.get $ret))"
    )
}

/// A step that must not write the value `1` under a key.
fn writing_key(key: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = format!("(i32.const {})", key.as_ref().len());
    Guest::step()
        .importing(&[CONTEXT_SET])
        .with(r#"(data (i32.const 65536) "1")"#)
        .text(&key)
        .first(&format!("{} {REFUSED}", set(&bytes, "65536", 1)))
        .build()
}

/// A step that must not write a value.
fn writing_value(value: &str) -> Vec<u8> {
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    let set = set("(i32.const 1)", "1024", len);
    // The output is what lies at 1024; what is returned in its place is its first byte alone.
    Guest::step()
        .importing(&[CONTEXT_SET])
        .text("k")
        .output(value)
        .with(r#"(data (i32.const 131000) "1")"#)
        .work(&format!("{set} {REFUSED} (call $answer (i32.const 131000) (i32.const 1))"))
        .build()
}

/// Makes a JSON text of so many letters at 131072.
fn long_text(bytes: u32) -> String {
    let last = 131_072 + bytes - 1;
    format!(
        r"(memory.fill (i32.const 131072) (i32.const 120) (i32.const {bytes}))
          (i32.store8 (i32.const 131072) (i32.const 34))
          (i32.store8 (i32.const {last}) (i32.const 34))"
    )
}

/// Writes three letters that count `$i` at 512.
const KEY_OF_I: &str = "
    (i32.store8 (i32.const 512) (i32.add (i32.const 97) (i32.and (local.get $i) (i32.const 15))))
    (i32.store8 (i32.const 513)
        (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $i) (i32.const 4)) (i32.const 15))))
    (i32.store8 (i32.const 514)
        (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $i) (i32.const 8)) (i32.const 15))))";

/// A step that writes so often under another key each time, and whose last write must be refused.
fn writing_many(times: u32, prepare: &str, value: &str) -> Vec<u8> {
    let work = format!(
        "(local $i i32)
         {prepare}
         (loop $again
            {KEY_OF_I}
            {value}
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))
         {REFUSED} (global.get $ok)"
    );
    Guest::step().importing(&[CONTEXT_SET]).pages(8).with(r#"(data (i32.const 65536) "1")"#).work(&work).build()
}

pub(super) const CASES: &[HostileCase] = &[
    case("context-large-value", "Writes a value larger than any may be.", || {
        let work = format!("{} {} {REFUSED}", long_text(300_000), set("(i32.const 1)", "131072", 300_000));
        Guest::step().importing(&[CONTEXT_SET]).pages(8).text("k").first(&work).build()
    }),
    case("context-many-keys", "Writes under more keys than an instance may have.", || {
        writing_many(1_100, "", &set("(i32.const 3)", "65536", 1))
    }),
    case("context-many-bytes", "Writes values that are too much only together.", || {
        writing_many(20, &long_text(250_000), &set("(i32.const 3)", "131072", 250_000))
    }),
    case("context-key-of-the-engine", "Writes under a key that belongs to the engine.", || writing_key("engine.owner")),
    case("context-empty-key", "Writes under no key at all.", || writing_key("")),
    case("context-key-with-a-line-break", "Writes under a key that breaks a line.", || writing_key("a\nb")),
    case("context-long-key", "Writes under a key of 400 letters.", || writing_key("k".repeat(400))),
    case("context-value-that-is-none", "Writes a value that is no JSON.", || writing_value("{\"a\":")),
    case("context-two-values", "Writes two values as if they were one.", || writing_value("1 2")),
    case("context-nested-value", "Writes a value of a thousand levels.", || {
        writing_value(&format!("{}{}", "[".repeat(1_000), "]".repeat(1_000)))
    }),
    case("context-write-in-can-execute", "Writes in the guard, which may only read.", || {
        Guest::step()
            .importing(&[CONTEXT_SET])
            .text("k")
            .can_execute(&format!("{} {REFUSED} (i32.const 0)", set("(i32.const 1)", "1024", 1)))
            .build()
    }),
    case("context-delete-in-can-execute", "Deletes in the guard, which may only read.", || {
        let delete = "(call $context_delete (i32.const 512) (i32.const 1) (global.get $ret))";
        Guest::step()
            .importing(&[CONTEXT_DELETE])
            .text("k")
            .can_execute(&format!("{delete} {REFUSED} (i32.const 0)"))
            .build()
    }),
    case(
        "context-write-over-and-over",
        "Writes 250 KB under one key two hundred times, and then takes it away.",
        || {
            let work = format!(
                "{} {} (call $context_delete (i32.const 512) (i32.const 1) (global.get $ret))",
                long_text(250_000),
                set("(i32.const 1)", "131072", 250_000)
            );
            Guest::step().importing(&[CONTEXT_SET, CONTEXT_DELETE]).pages(8).text("k").times(200, &work).build()
        },
    )
    .cpu_ms(20_000),
];
