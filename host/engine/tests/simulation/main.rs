//! The whole engine on virtual time, on a store that fails, dawdles, loses answers, is changed by others and dies, with
//! guests and people who do what a seed says. The same seed gives the same run.
//!
//! `STEPCELL_SEEDS=10000` runs more of them, and `STEPCELL_SEED=7` one again and tells all that happened.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking; the modules are those of one binary"
)]

#[path = "../kit/between.rs"]
mod between;
mod clients;
mod definitions;
mod faults;
mod guests;
mod host;
mod lies;
#[path = "../../../model/tests/language/shapes.rs"]
mod shapes;
mod verdict;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use stepcell_store::{MemoryStore, WorkflowStore};

use crate::host::{Play, Wrap};
use crate::lies::{Lie, lying};
use crate::verdict::judge;

/// How many seeds are part of every test run.
const SEEDS: u64 = 1_000;

/// After how many seeds that break a promise no more are played.
const BROKEN_LEN_MAX: usize = 12;

/// How many seeds it may take until a lie is found out.
const LIES_MAX: u64 = 20;

/// What came of one simulation.
struct Outcome {
    violations: Vec<String>,
    trace: Vec<String>,
    commits: usize,
    crashes: usize,
    attempts: usize,
}

fn as_it_is(store: Arc<MemoryStore>) -> Arc<dyn WorkflowStore> {
    store
}

/// Plays a seed from its beginning to its end.
fn simulate(seed: u64, wrap: &Wrap) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut play = Play::set(seed, wrap).await;
        play.run().await;
        let world = Arc::clone(play.world());
        judge(&world, world.store.as_ref()).await;
        let mut seen = world.seen();
        Outcome {
            violations: std::mem::take(&mut seen.violations),
            trace: std::mem::take(&mut seen.trace),
            commits: seen.commits,
            crashes: seen.crashes,
            attempts: seen.attempts,
        }
    })
}

/// Everything that somebody needs to see what went wrong.
fn told(seed: u64, outcome: &Outcome) -> String {
    let mut text = String::new();
    for line in &outcome.trace {
        writeln!(text, "{line}").unwrap();
    }
    writeln!(text, "seed {seed} broke:").unwrap();
    for violation in &outcome.violations {
        writeln!(text, "  {violation}").unwrap();
    }
    writeln!(text, "STEPCELL_SEED={seed} cargo test -p stepcell-engine --test simulation seeds -- --nocapture")
        .unwrap();
    text
}

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[test]
fn no_seed_breaks_a_promise() {
    if let Some(seed) = number_of("STEPCELL_SEED") {
        let outcome = simulate(seed, &as_it_is);
        println!("{}", told(seed, &outcome));
        assert_eq!(outcome.violations, Vec::<String>::new());
        return;
    }
    let seeds = number_of("STEPCELL_SEEDS").unwrap_or(SEEDS);
    let (next, sum) = (AtomicU64::new(0), Mutex::new(Sum::default()));
    let plays = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || sum.lock().unwrap().broken.len() >= BROKEN_LEN_MAX {
                return;
            }
            let outcome = std::panic::catch_unwind(|| simulate(seed, &as_it_is))
                .unwrap_or_else(|_| panic!("seed {seed} panicked: STEPCELL_SEED={seed} plays it again"));
            sum.lock().unwrap().add(seed, outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(plays);
        }
    });
    let sum = sum.into_inner().unwrap();
    println!("{seeds} seeds: {} commits, {} attempts, {} hosts that went down", sum.commits, sum.attempts, sum.crashes);
    if let Some((seed, outcome)) = sum.broken.first_key_value() {
        let others: Vec<_> =
            sum.broken.iter().map(|(seed, outcome)| format!("{seed}: {}", outcome.violations[0])).collect();
        panic!("{}\nall that were seen:\n{}", told(*seed, outcome), others.join("\n"));
    }
}

/// What came of many simulations.
#[derive(Default)]
struct Sum {
    broken: BTreeMap<u64, Outcome>,
    commits: usize,
    crashes: usize,
    attempts: usize,
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.commits += outcome.commits;
        self.crashes += outcome.crashes;
        self.attempts += outcome.attempts;
        if !outcome.violations.is_empty() {
            self.broken.insert(seed, outcome);
        }
    }
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..24 {
        let (once, again) = (simulate(seed, &as_it_is), simulate(seed, &as_it_is));

        let differs = once.trace.iter().zip(&again.trace).find(|(once, again)| once != again);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(once.trace.len(), again.trace.len(), "seed {seed}");
    }
}

#[test]
fn a_store_that_lies_is_found_out() {
    let lies = [
        Lie::Forgets,
        Lie::Doubles,
        Lie::LeavesOut,
        Lie::LosesLetters,
        Lie::LeadsAstray,
        Lie::Oversleeps,
        Lie::Miscounts,
    ];
    for lie in lies {
        let is_found_out = |seed: u64| !simulate(seed, &move |store| lying(lie, store)).violations.is_empty();
        assert!((0..LIES_MAX).any(is_found_out), "{lie:?}");
    }
}
