//! Failures that claim to be the engine's, or that say more than anybody wants to keep.

use crate::case::AttackGroup::Failures;
use crate::case::Expected::{Failed, HookFailed};
use crate::case::{Expected, HostileCase};
use crate::guest::{Failing, Guest};

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Failures, name, tries, make, expects)
}

/// A case of a step that fails with a code that no step may have.
const fn forged(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>) -> HostileCase {
    case(name, tries, make, Failed("step.invalid-code"))
}

fn failing_with(code: &'static str) -> Vec<u8> {
    Guest::step().failing(Failing::with(code)).build()
}

/// A step that fails with so many bytes at an offset of its failure where a text's address and length lie.
fn failing_at_length(offset: u32, byte: u8, bytes: u32) -> Vec<u8> {
    let length = offset + 4;
    let work = format!(
        "(memory.fill (i32.const 131072) (i32.const {byte}) (i32.const {bytes}))
         (i32.store offset={offset} (global.get $failed) (i32.const 131072))
         (i32.store offset={length} (global.get $failed) (i32.const {bytes}))
         (global.get $failed)"
    );
    let failing = Failing { details: Some("1"), ..Failing::with("on-purpose") };
    Guest::step().pages(bytes.div_ceil(1 << 16) + 4).failure(failing).work(&work).build()
}

fn failing_with_details(details: &'static str) -> Vec<u8> {
    Guest::step().failing(Failing { details: Some(details), ..Failing::with("on-purpose") }).build()
}

pub(super) const CASES: &[HostileCase] = &[
    forged("failure-of-the-engine", "Fails with the engine's own code for used up CPU time.", || {
        failing_with("engine.cpu")
    }),
    forged("failure-called-engine", "Fails with the code `engine`.", || failing_with("engine")),
    forged("failure-without-a-code", "Fails with an empty code.", || failing_with("")),
    forged("failure-with-a-loud-code", "Fails with a code in capital letters and with a line break.", || {
        failing_with("ENGINE\n.cpu")
    }),
    forged("failure-with-a-long-code", "Fails with a code of 70 characters.", || {
        failing_with("aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbbaaaaaaaaaa")
    }),
    forged("failure-of-the-engine-in-can-execute", "Fails in the guard with the engine's own code.", || {
        Guest::step().failure(Failing::with("engine.host")).can_execute("(global.get $failed)").build()
    }),
    forged("failure-of-the-engine-in-evaluate", "Fails as a gateway with the engine's own code.", || {
        Guest::gateway().failing(Failing::with("engine.crashed")).build()
    })
    .as_gateway(),
    case(
        "failure-of-the-engine-in-on-success",
        "Fails in the hook after success with the engine's own code.",
        || Guest::step().failure(Failing::with("engine.denied")).on_success("(global.get $failed)").build(),
        HookFailed("step.invalid-code"),
    ),
    case(
        "failure-with-a-long-message",
        "Fails with a message of one MiB.",
        || failing_at_length(12, b'x', 1 << 20),
        Failed("on-purpose"),
    ),
    case(
        "failure-with-a-message-of-nine-mib",
        "Fails with a message of nine MiB.",
        || failing_at_length(12, b'x', 9 << 20),
        Failed("engine.output"),
    ),
    case(
        "failure-with-large-details",
        "Fails with details of one MiB.",
        || failing_at_length(36, b'1', 1 << 20),
        Failed("on-purpose"),
    ),
    case(
        "failure-with-nested-details",
        "Fails with details of a hundred thousand brackets.",
        || failing_at_length(36, b'[', 60_000),
        Failed("on-purpose"),
    ),
    case(
        "failure-with-details-that-are-none",
        "Fails with details that are no JSON.",
        || failing_with_details("{\"a\":"),
        Failed("on-purpose"),
    ),
    case(
        "failure-that-moves-the-cursor",
        "Fails with a message that clears a terminal.",
        || {
            let message = "\u{1b}[2J\u{1b}]0;title\u{7}\r\nall is well\u{202e}";
            Guest::step().failing(Failing { message, ..Failing::with("on-purpose") }).build()
        },
        Failed("on-purpose"),
    ),
    case(
        "failure-that-wants-to-wait-for-weeks",
        "Fails and asks to be called again in seven weeks.",
        || Guest::step().failing(Failing { retry_after_ms: Some(u32::MAX), ..Failing::with("on-purpose") }).build(),
        Failed("on-purpose"),
    ),
];
