//! What this engine is meant to reach, held against what was measured.

use std::fmt::Write as _;

use crate::report::{Run, rounded};

/// A bound on a figure.
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};

/// A goal: what it is about, the benchmark and the measurement that tell, which of its figures (the first where this is
/// empty), and its bound.
struct Goal(&'static str, &'static str, &'static str, &'static str, Bound);

/// Every goal that a benchmark can tell about.
const GOALS: [Goal; 17] = [
    Goal("isolated attempts on a core, by bare wasmtime", "attempts", "attempts by bare", "", AtLeast(0.8)),
    Goal(
        "10-step instances/s, 64 at once, by Restate",
        "peers",
        "stepcell, SQLite, 64 at once by restate, 64 at once",
        "",
        AtLeast(25.0),
    ),
    Goal(
        "10-step instances/s, 64 at once, by DBOS on SQLite",
        "peers",
        "stepcell, SQLite, 64 at once by dbos, SQLite, 64 at once",
        "",
        AtLeast(100.0),
    ),
    Goal(
        "CPU of the process for a 10-step instance, ms",
        "durable",
        "durable, 10 pure steps, fused, 64 at once",
        "ms CPU each",
        AtMost(0.5),
    ),
    Goal(
        "durable steps/s, fused, by bare SQLite",
        "sqlite",
        "engine by bare SQLite, 10 pure steps, fused",
        "",
        AtLeast(0.5),
    ),
    Goal(
        "durable steps/s, each step, by bare SQLite",
        "sqlite",
        "engine by bare SQLite, 10 pure steps, each step",
        "",
        AtLeast(0.5),
    ),
    Goal(
        "durable steps/s, fused",
        "durable",
        "durable, 10 pure steps, fused, 64 at once",
        "steps/s",
        AtLeast(50_000.0),
    ),
    Goal(
        "durable steps/s, each step",
        "durable",
        "durable, 10 pure steps, each step, 64 at once",
        "steps/s",
        AtLeast(25_000.0),
    ),
    Goal(
        "isolated steps/s in memory, by litestar-workflows in memory",
        "peers",
        "stepcell, memory, 64 at once by litestar-workflows, memory, 64 at once",
        "",
        AtLeast(1.0),
    ),
    Goal(
        "host-native steps/s in memory, by litestar-workflows in memory",
        "peers",
        "stepcell, memory, host-native, 64 at once by litestar-workflows, memory, 64 at once",
        "",
        AtLeast(10.0),
    ),
    Goal(
        "p99 at 1,000 one-step instances/s, ms",
        "latency",
        "p50 at 1000 one-step instances a second",
        "ms p99",
        AtMost(10.0),
    ),
    Goal(
        "p99 at 5,000 one-step instances/s, ms",
        "latency",
        "p50 at 5000 one-step instances a second",
        "ms p99",
        AtMost(25.0),
    ),
    Goal(
        "p50 idle of 10 steps over a bare commit, ms",
        "latency",
        "p50 idle over a bare commit, 10 steps",
        "",
        AtMost(1.0),
    ),
    Goal(
        "CPU of an instance after 1,000,000, by that after 1,000",
        "growth",
        "CPU of an instance after 1000000",
        "times the first",
        AtMost(1.1),
    ),
    Goal("start on 100,000 open instances, 10,000 timers due, s", "recovery", "recovery, due timers", "", AtMost(10.0)),
    Goal(
        "starts/s over HTTP by the engine's own, 64 at once, clients on the same processors",
        "api",
        "starts, API, 64 at once",
        "of the engine's rate",
        AtLeast(0.7),
    ),
    Goal("start on 100,000 instances under way, s", "recovery", "recovery, all under way", "", AtMost(10.0)),
];

/// The goals as a table in Markdown.
pub(crate) fn table(runs: &[Run]) -> String {
    let mut text = "### Goals\n\n| what | asked | measured | |\n|---|---|---|---|\n".to_owned();
    for Goal(what, bench, name, also, bound) in &GOALS {
        let found = runs.iter().find(|run| run.is(bench)).and_then(|run| run.find(name, also));
        let asked = match bound {
            AtLeast(least) => format!("at least {}", rounded(*least)),
            AtMost(most) => format!("at most {}", rounded(*most)),
        };
        let (measured, verdict) = match (found, bound) {
            (None, _) => ("not measured".to_owned(), ""),
            (Some(value), AtLeast(least)) => (rounded(value), if value >= *least { "reached" } else { "**missed**" }),
            (Some(value), AtMost(most)) => (rounded(value), if value <= *most { "reached" } else { "**missed**" }),
        };
        writeln!(text, "| {what} | {asked} | {measured} | {verdict} |").expect("a string takes any text");
    }
    text
}
