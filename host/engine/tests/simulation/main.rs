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
mod points;
#[path = "../../../model/tests/language/shapes.rs"]
mod shapes;
mod verdict;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use stepcell_engine::fail::{FailAction, FailPoint, TransitionKind};
use stepcell_store::{MemoryStore, WorkflowStore};

use crate::host::{Play, Wrap};
use crate::lies::{Lie, lying};
use crate::points::Story;
use crate::verdict::judge;
use crate::world::Aim;

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

fn on_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// Plays a seed from its beginning to its end.
fn simulate(seed: u64, wrap: &Wrap) -> Outcome {
    on_virtual_time(async {
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
    writeln!(text, "STEPCELL_SEED={seed} cargo test -p stepcell-engine --test simulation seed_breaks -- --nocapture")
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
    let sum = Mutex::new(Sum::default());
    on_all_cores(seeds, |seed| {
        if sum.lock().unwrap().broken.len() < BROKEN_LEN_MAX {
            let outcome = std::panic::catch_unwind(|| simulate(seed, &as_it_is))
                .unwrap_or_else(|_| panic!("seed {seed} panicked: STEPCELL_SEED={seed} plays it again"));
            sum.lock().unwrap().add(seed, outcome);
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

/// Does something for each number below a bound.
fn on_all_cores(bound: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let works = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= bound {
                return;
            }
            work(number);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(works);
        }
    });
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

/// A trace in which those who learn at one moment that the store has failed stand in one order: whom of all who look at one
/// value tokio wakes first is by chance.
fn in_one_order(mut trace: Vec<String>) -> Vec<String> {
    let moment = |line: &String| line.split_once(" Wait ").map(|(moment, _)| moment.to_owned());
    trace.chunk_by_mut(|a, b| moment(a).is_some() && moment(a) == moment(b)).for_each(<[String]>::sort);
    trace
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..24 {
        let (once, again) = (simulate(seed, &as_it_is), simulate(seed, &as_it_is));
        let (once, again) = (in_one_order(once.trace), in_one_order(again.trace));

        let differs = once.iter().zip(&again).find(|(once, again)| once != again);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(once.len(), again.len(), "seed {seed}");
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

/// How many times each place goes wrong at most, spread over all the times that it is reached.
const TIMES_MAX: usize = 6;

/// Every place that the calm story comes to, as often as it shall go wrong there, and how.
fn aims(calm: &Story) -> Vec<Aim> {
    let mut aims = Vec::new();
    for (place, count) in &calm.reached {
        let step = count.div_ceil(TIMES_MAX).max(1);
        for nth in (1..=*count).step_by(step) {
            aims.extend([FailAction::Crash, FailAction::Fail].map(|action| Aim { place: *place, nth, action }));
        }
    }
    aims
}

#[test]
fn every_fail_point_and_every_kind_of_transition_is_reached() {
    let calm = on_virtual_time(points::play(None));

    assert_eq!(calm.violations, Vec::<String>::new(), "{}", calm.trace.join("\n"));
    let points: BTreeSet<_> = calm.reached.keys().map(|(point, _)| *point).collect();
    let kinds: BTreeSet<_> = calm.reached.keys().filter_map(|(_, kind)| *kind).collect();
    assert_eq!(points, FailPoint::ALL.iter().copied().collect());
    assert_eq!(kinds, TransitionKind::ALL.iter().copied().collect());
}

#[test]
fn a_host_that_fails_or_dies_at_any_fail_point_of_any_transition_comes_to_the_same_end() {
    let calm = on_virtual_time(points::play(None));
    let aims = aims(&calm);
    let broken = Mutex::new(Vec::new());

    on_all_cores(aims.len() as u64, |number| {
        let aim = aims[usize::try_from(number).unwrap()];
        let story = on_virtual_time(points::play(Some(aim)));
        if !story.violations.is_empty() || story.ends != calm.ends {
            let differs = format!("{:?}\ninstead of {:?}", story.ends, calm.ends);
            let trace = story.trace.join("\n");
            broken.lock().unwrap().push(format!("{trace}\n{aim:?}: {:?}\n{differs}", story.violations));
        }
    });

    println!("{} stories over {} places", aims.len(), calm.reached.len());
    let broken = broken.into_inner().unwrap();
    assert!(broken.is_empty(), "{} of {} stories:\n{}", broken.len(), aims.len(), broken[0]);
}
