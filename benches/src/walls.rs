//! What each wall around a cell costs: the same work with the wall and without it, turn and turn about, as a ratio.
//!
//! A ratio of 1.05 says that the work takes a twentieth longer with the wall than without. What a wall costs depends on
//! the work, so each is measured with the work that it slows down most, and with a step that does nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stepcell::model::attempt::{AttemptOutcome, StepCall};
use stepcell::model::id::ComponentDigest;
use stepcell::model::json::Json;
use stepcell::model::name::ContextKey;
use stepcell_sandbox::{ChildCommand, Isolation, Sandbox, SandboxConfig, Wall, Walls};
use tokio::runtime::Runtime;

use crate::attempts::call_of;
use crate::report::Report;
use crate::setup::{Guests, Setup};

/// How often each side has its turn; the median of the ratios counts.
const ROUNDS: usize = 15;

/// How long a turn is.
const TURN: Duration = Duration::from_millis(200);

/// How often a component is loaded in a turn.
const LOADS: u32 = 20;

/// How many keys the context has that grants are held against.
const CONTEXT_KEYS: usize = 20;

/// How many patterns a list of grants has.
const PATTERNS: usize = 10;

/// Something that a cell is made to do.
struct Work {
    name: &'static str,
    component: &'static str,
    order: serde_json::Value,
}

/// A sandbox with one component, and a call of it.
struct Bench {
    sandbox: Sandbox,
    call: StepCall,
}

pub(crate) fn run(setup: &Setup, report: &mut Report) -> anyhow::Result<()> {
    let guests = &setup.guests;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let down = Wall::Down;
    let up = Walls::default();
    for (wall, without, work) in [
        ("epochs", Walls { epoch: down, ..up }, computing()),
        ("epochs", Walls { epoch: down, ..up }, nothing()),
        ("zeroed stacks", Walls { stack_zeroing: down, ..up }, nothing()),
        ("the limiter", Walls { limiter: down, ..up }, growing()),
        ("the limiter", Walls { limiter: down, ..up }, nothing()),
        ("lanes", Walls { lanes: down, ..up }, computing()),
        ("lanes", Walls { lanes: down, ..up }, nothing()),
    ] {
        let without = SandboxConfig { walls: without, ..config() };
        add(report, &runtime, guests, wall, &work, (config(), without))?;
    }
    let processes = SandboxConfig { isolation: Isolation::Process(ChildCommand::this_program()), ..config() };
    add(report, &runtime, guests, "a process of its own", &nothing(), (processes, config()))?;
    grants(report, &runtime, guests)?;
    seal(report, &runtime, guests)
}

fn nothing() -> Work {
    Work { name: "a step that does nothing", component: "noop", order: serde_json::Value::Null }
}

fn computing() -> Work {
    let order = serde_json::json!({ "do": "compute", "turns": 1_000_000 });
    Work { name: "a step that computes", component: "probe", order }
}

fn growing() -> Work {
    Work {
        name: "a step that takes 32 MiB",
        component: "probe",
        order: serde_json::json!({ "do": "alloc", "mib": 32 }),
    }
}

fn looking() -> Work {
    let order = serde_json::json!({ "do": "host_calls", "times": 1_000 });
    Work { name: "a step that looks at its context", component: "probe", order }
}

fn config() -> SandboxConfig {
    SandboxConfig { cells: 4, ..SandboxConfig::default() }
}

fn add(
    report: &mut Report,
    runtime: &Runtime,
    guests: &Guests,
    wall: &str,
    work: &Work,
    (with, without): (SandboxConfig, SandboxConfig),
) -> anyhow::Result<()> {
    let with = runtime.block_on(Bench::new(guests, &with, work))?;
    let without = runtime.block_on(Bench::new(guests, &without, work))?;
    let ratio = median_ratio(|| runtime.block_on(with.time_each()), || runtime.block_on(without.time_each()))?;
    report.add(format!("{wall}, with by without"), ratio, "times", work.name.to_owned());
    Ok(())
}

/// What holding each look at the context against a list of patterns costs, of which the last one fits.
fn grants(report: &mut Report, runtime: &Runtime, guests: &Guests) -> anyhow::Result<()> {
    let mut bench = runtime.block_on(Bench::new(guests, &config(), &looking()))?;
    let keys = (0..CONTEXT_KEYS)
        .map(|key| anyhow::Ok((ContextKey::new(format!("key-{key}"))?, Json::from(serde_json::Value::from(1)))));
    bench.call.context = Arc::new(keys.collect::<anyhow::Result<_>>()?);
    let patterns = (1..PATTERNS).map(|pattern| format!("other-{pattern}-*")).chain(["key-*".to_owned()]);
    let asked = serde_json::json!({ "context": { "read": patterns.collect::<Vec<_>>() } });
    let mut held = bench.call.clone();
    held.grants.asked = Arc::new(serde_json::from_value(asked)?);
    let with = || runtime.block_on(time_each(&bench.sandbox, &held));
    let ratio = median_ratio(with, || runtime.block_on(bench.time_each()))?;
    let detail = format!("a step that lists {CONTEXT_KEYS} keys 1,000 times; {PATTERNS} patterns");
    report.add("grants, with by without", ratio, "times", detail);
    Ok(())
}

/// What checking the seal of a compiled component costs when it is loaded.
fn seal(report: &mut Report, runtime: &Runtime, guests: &Guests) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let key = stepcell_sandbox::random_host_key()?;
    let config = |seal: Wall, name: &str| SandboxConfig {
        cache_dir: Some(folder.path().join(name)),
        host_key: Some(key.clone()),
        walls: Walls { seal, ..Walls::default() },
        ..config()
    };
    let (with, without) = (config(Wall::Up, "sealed"), config(Wall::Down, "open"));
    let bytes = guests.load("probe")?;
    let load = |config: &SandboxConfig| runtime.block_on(time_to_load(config, &bytes));
    load(&with)?;
    load(&without)?;
    let ratio = median_ratio(|| load(&with), || load(&without))?;
    let size = kib_in(&folder.path().join("sealed"))?;
    report.add("seals, with by without", ratio, "times", format!("loading {size} KiB of compiled code from the cache"));
    Ok(())
}

async fn time_to_load(config: &SandboxConfig, bytes: &[u8]) -> anyhow::Result<Duration> {
    let mut took = Duration::ZERO;
    for _ in 0..LOADS {
        let sandbox = Sandbox::new(config)?;
        let began = Instant::now();
        sandbox.prepare(None, ComponentDigest::of(bytes), bytes.to_vec()).await?;
        took += began.elapsed();
    }
    Ok(took / LOADS)
}

fn kib_in(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes >> 10)
}

impl Bench {
    async fn new(guests: &Guests, config: &SandboxConfig, work: &Work) -> anyhow::Result<Self> {
        let bytes = guests.load(work.component)?;
        let digest = ComponentDigest::of(&bytes);
        let sandbox = Sandbox::new(config)?;
        sandbox.prepare(None, digest, bytes).await?;
        let call = StepCall { input: work.order.clone().into(), ..call_of(digest) };
        let outcome = sandbox.run(call.clone()).await.outcome;
        anyhow::ensure!(matches!(outcome, AttemptOutcome::Succeeded(_)), "{} ended with {outcome:?}", work.name);
        Ok(Self { sandbox, call })
    }

    /// How long an attempt takes, of those of one turn.
    async fn time_each(&self) -> anyhow::Result<Duration> {
        time_each(&self.sandbox, &self.call).await
    }
}

async fn time_each(sandbox: &Sandbox, call: &StepCall) -> anyhow::Result<Duration> {
    let (began, mut attempts) = (Instant::now(), 0);
    while began.elapsed() < TURN {
        let outcome = sandbox.run(call.clone()).await.outcome;
        anyhow::ensure!(matches!(outcome, AttemptOutcome::Succeeded(_)), "the step ended with {outcome:?}");
        attempts += 1;
    }
    Ok(began.elapsed() / attempts)
}

/// The median of what the first takes by what the second takes. Both have their turns in the same minute, so that what
/// else the machine does slows down both.
fn median_ratio(
    mut with: impl FnMut() -> anyhow::Result<Duration>,
    mut without: impl FnMut() -> anyhow::Result<Duration>,
) -> anyhow::Result<f64> {
    let mut ratios = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        ratios.push(with()?.as_secs_f64() / without()?.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    Ok(ratios[ROUNDS / 2])
}
