//! Saying more than anybody wants to keep, in all the ways there are.

use crate::case::AttackGroup::Logs;
use crate::case::Expected::{Failed, Harmless, LinesDropped};
use crate::case::{Expected, HostileCase};
use crate::guest::Guest;
use crate::imports::{GET_STDERR, GET_STDIN, GET_STDOUT, LOG_WRITE, SPLICE, WRITE, WRITE_AND_FLUSH, WRITE_ZEROES};

/// More than all of it takes on a slow machine, in milliseconds on a CPU.
const CPU_MS: u64 = 10_000;

const fn case(name: &'static str, tries: &'static str, make: fn() -> Vec<u8>, expects: Expected) -> HostileCase {
    HostileCase::step(Logs, name, tries, make, expects).cpu_ms(CPU_MS)
}

/// Logs so many bytes from 131072 on, with fields of so many bytes from there.
fn write(message_bytes: u32, fields_bytes: u32) -> String {
    let has_fields = u32::from(fields_bytes > 0);
    format!(
        "(call $log_write (i32.const 2) (i32.const 131072) (i32.const {message_bytes})
            (i32.const {has_fields}) (i32.const 131072) (i32.const {fields_bytes}))"
    )
}

/// A step that prints what lies at 512 so often to a stream; what `stream` gives is taken once.
fn printing(import: &str, stream: &str, text: &[u8], times: u32) -> Vec<u8> {
    let work = format!(
        "(local $i i32) (local $stream i32)
         (local.set $stream (call {stream}))
         (loop $again
            (call $write_and_flush (local.get $stream) (i32.const 512) (i32.const {}) (global.get $ret))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (i32.const {times}))))
         (global.get $ok)",
        text.len()
    );
    Guest::step().importing(&[import, WRITE_AND_FLUSH]).text(text).work(&work).build()
}

pub(super) const CASES: &[HostileCase] = &[
    case(
        "log-of-many-lines",
        "Logs five thousand lines.",
        || Guest::step().importing(&[LOG_WRITE]).times(5_000, &write(2, 0)).build(),
        LinesDropped(4_000),
    ),
    case(
        "log-of-long-lines",
        "Logs two hundred lines of 100 KB.",
        || Guest::step().importing(&[LOG_WRITE]).pages(8).times(200, &write(100_000, 0)).build(),
        LinesDropped(100),
    ),
    case(
        "log-of-one-huge-line",
        "Logs one line of nine MiB.",
        || Guest::step().importing(&[LOG_WRITE]).pages(160).first(&write(9 << 20, 0)).build(),
        Failed("engine.output"),
    ),
    case(
        "log-with-nested-fields",
        "Logs fields of a hundred thousand brackets.",
        || {
            let fill = "(memory.fill (i32.const 131072) (i32.const 91) (i32.const 100000))";
            let body = format!("{fill} {}", write(1, 100_000));
            Guest::step().importing(&[LOG_WRITE]).first(&body).build()
        },
        Harmless,
    ),
    case(
        "log-that-moves-the-cursor",
        "Logs escapes that clear a terminal and claim to be other lines.",
        || {
            let line = "\u{1b}[2J\r\n2026-01-01T00:00:00Z ERROR stepcell: all tenants were deleted\u{202e}";
            let data = line.bytes().map(|byte| format!("\\{byte:02x}")).collect::<String>();
            Guest::step()
                .importing(&[LOG_WRITE])
                .with(&format!(r#"(data (i32.const 131072) "{data}")"#))
                .first(&write(u32::try_from(line.len()).unwrap_or(0), 0))
                .build()
        },
        Harmless,
    ),
    case(
        "print-of-many-lines",
        "Prints five thousand lines.",
        || printing(GET_STDOUT, "$get_stdout", b"out\n", 5_000),
        LinesDropped(4_000),
    ),
    case(
        "print-of-many-lines-to-standard-error",
        "Prints five thousand lines to standard error.",
        || printing(GET_STDERR, "$get_stderr", b"err\n", 5_000),
        LinesDropped(4_000),
    ),
    case(
        "print-of-line-breaks",
        "Prints a thousand times a hundred line breaks.",
        || printing(GET_STDOUT, "$get_stdout", &[b'\n'; 100], 1_000),
        LinesDropped(90_000),
    ),
    case(
        "print-of-nothing",
        "Prints nothing thirty thousand times, which other hosts keep a note of each time.",
        || printing(GET_STDOUT, "$get_stdout", b"", 30_000),
        Harmless,
    ),
    case(
        "print-of-one-endless-line",
        "Prints twelve MB without a line break.",
        || printing(GET_STDOUT, "$get_stdout", &[b'x'; 400], 30_000),
        Harmless,
    ),
    case(
        "print-of-wild-bytes",
        "Prints bytes that are no text.",
        || printing(GET_STDOUT, "$get_stdout", b"\xff\x00\xfe\x1b[2J\n", 10),
        Harmless,
    ),
    case(
        "print-past-the-permit",
        "Prints a MiB at once, without asking how much it may.",
        || {
            let print = "(call $write (call $get_stdout) (i32.const 0) (i32.const 1048576) (global.get $ret))";
            Guest::step().importing(&[GET_STDOUT, WRITE]).pages(32).first(print).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "print-of-zeroes-that-the-host-makes",
        "Has the host print all the zero bytes that there are.",
        || {
            let zeroes = "(call $write_zeroes (call $get_stdout) (i64.const -1) (global.get $ret))";
            Guest::step().importing(&[GET_STDOUT, WRITE_ZEROES]).first(zeroes).build()
        },
        Failed("engine.trap"),
    ),
    case(
        "print-of-what-is-read",
        "Has the host print its standard input.",
        || {
            let splice = "(call $splice (call $get_stdout) (call $get_stdin) (i64.const -1) (global.get $ret))";
            Guest::step().importing(&[GET_STDOUT, GET_STDIN, SPLICE]).first(splice).build()
        },
        Harmless,
    ),
];
