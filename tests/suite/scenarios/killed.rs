//! The real binary under load, killed over and over: nothing that was acknowledged is lost, nothing happens twice.
//!
//! Each round serves the same database, gives it work from another process (this one), and kills the server at some moment.
//! In the end everything is let come to its end, and held against what was acknowledged and what the world outside has seen.
//! `STEPCELL_ROUNDS` says how many rounds there are, and `STEPCELL_SEED` which ones.

mod visitor;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use stepcell::model::history::Event;
use stepcell::model::id::InstanceId;
use stepcell::model::status::{StepStatus, TaskStatus};
use stepcell::store::{InstanceFilter, PageLimit, SqliteOptions, SqliteStore, TaskFilter, WorkflowStore};
use stepcell::{Actor, WorkflowStatus};

use self::visitor::{Told, Visitor};
use self::world::{PURE_STEPS, World};
use crate::binary::{serve, stepcell};

/// How many rounds there are, unless told otherwise.
const ROUNDS: u64 = 100;

/// How much work a server is given in one life: what it can just about do.
const ACTS_MAX: usize = 3;

/// How long a server lives at most.
const LIFE_MS_MAX: u64 = 350;

/// Numbers that follow from a seed alone (SplitMix64).
struct Random(u64);

impl Random {
    const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn number_of(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("it is a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_at_any_moment_loses_nothing_that_was_acknowledged_and_does_nothing_twice() {
    let (rounds, seed) = (number_of("STEPCELL_ROUNDS", ROUNDS), number_of("STEPCELL_SEED", 1));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let database = folder.path().join("killed.db");
    let world = World::new(&database).await;
    let mut told = Told::default();
    let began = Instant::now();

    for round in 0..rounds {
        let mut random = Random(seed << 32 | round);
        play(&database, &mut random, &mut told).await;
    }
    let (played, heard) = (began.elapsed(), world.requests().len());
    come_to_the_end(&database, &mut told).await;

    let check = stepcell(&database).arg("check").output().expect("the binary can be run");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    let store = SqliteStore::open_read_only(&database, SqliteOptions::default()).expect("it can be read");
    let ends = ends_of(&store).await;
    nothing_is_lost(&told, &ends);
    nothing_is_doubled(&told, &ends, &world);
    eprintln!(
        "{rounds} rounds in {played:?}, seed {seed}: {} starts and {} tasks acknowledged, {} instances, {} requests of {} effects, \
         {heard} of them while servers were killed",
        told.started.len(),
        told.completed.len(),
        ends.len(),
        world.requests().len(),
        world.requests().iter().map(|request| &request.effect).collect::<BTreeSet<_>>().len(),
    );
}

/// Serves for a while, gives work to the server meanwhile, and kills it.
async fn play(database: &Path, random: &mut Random, told: &mut Told) {
    let life = Duration::from_millis(random.below(LIFE_MS_MAX));
    let mut server = serve(database);
    let until = Instant::now() + life;
    let visitor = Visitor::on(database);
    for _ in 0..ACTS_MAX {
        if Instant::now() >= until {
            break;
        }
        visitor.act(random, told).await;
    }
    tokio::time::sleep_until(until.into()).await;
    // Whoever has the file open decides whether the next one who opens it finds a log to be read.
    if random.below(2) == 0 {
        server.kill();
        visitor.close().await;
    } else {
        visitor.close().await;
        server.kill();
    }
}

/// Lets everything come to its end, and the last server drain.
async fn come_to_the_end(database: &Path, told: &mut Told) {
    let server = serve(database);
    let visitor = Visitor::on(database);
    let second = stepcell(database).arg("serve").output().expect("the binary can be run");
    assert_eq!(second.status.code(), Some(4), "a second server is refused under load, too");
    visitor.finish_everything(told).await;
    visitor.close().await;
    assert_eq!(server.terminate(), Some(0), "it drains");
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let log_len = std::fs::metadata(log).map_or(0, |file| file.len());
    assert_eq!(log_len, 0, "a server that has drained leaves an empty log");
}

/// What an instance came to.
struct End {
    workflow: String,
    key: Option<String>,
    status: WorkflowStatus,
    error: Option<String>,
    /// How many events of its history say that it ended.
    ends: usize,
    /// By step: how often it succeeded, and in how many attempts in all.
    steps: BTreeMap<String, (usize, u32)>,
    /// Who completed its tasks.
    completed_by: Vec<String>,
}

async fn ends_of(store: &SqliteStore) -> BTreeMap<InstanceId, End> {
    let mut filter = InstanceFilter { limit: PageLimit::MAX, ..InstanceFilter::default() };
    let mut ends = BTreeMap::new();
    loop {
        let page = store.list_instances(&filter).await.expect("the store works").items;
        if page.is_empty() {
            return ends;
        }
        filter.offset += page.len() as u64;
        for summary in page {
            let id = summary.identity.id;
            let mut steps = BTreeMap::<_, (usize, u32)>::new();
            for execution in store.list_executions(id).await.expect("the store works") {
                let counts = steps.entry(execution.step.to_string()).or_default();
                counts.0 += usize::from(execution.status == StepStatus::Succeeded);
                counts.1 += execution.attempts;
            }
            let history = store.list_history(id, 0, 1_000).await.expect("the store works");
            let is_end = |event: &&Event| {
                matches!(
                    event,
                    Event::WorkflowCompleted | Event::WorkflowFailed { .. } | Event::WorkflowCanceled { .. }
                )
            };
            let tasks = TaskFilter { instance: Some(id), ..TaskFilter::default() };
            let tasks = store.list_tasks(&tasks).await.expect("the store works").items;
            let completed = tasks.into_iter().filter(|task| task.status == TaskStatus::Completed);
            let end = End {
                workflow: summary.identity.workflow_name.to_string(),
                key: summary.identity.idempotency_key.clone(),
                status: summary.status,
                error: summary.error.as_ref().map(|error| format!("{}: {}", error.code, error.message)),
                ends: history.iter().flat_map(|entry| &entry.events).filter(is_end).count(),
                steps,
                completed_by: completed.filter_map(|task| Some(task.completed_by?.to_string())).collect(),
            };
            ends.insert(id, end);
        }
    }
}

fn nothing_is_lost(told: &Told, ends: &BTreeMap<InstanceId, End>) {
    for (id, key) in &told.started {
        let end = ends.get(id).unwrap_or_else(|| panic!("the start of {id} was acknowledged, and it is not there"));
        assert_eq!(end.key.as_ref(), Some(key), "{id}");
    }
    for (id, who) in &told.completed {
        assert_eq!(
            ends[id].completed_by,
            [who.as_str()],
            "the task of {id} was completed by one, and that one was told so"
        );
    }
}

fn nothing_is_doubled(told: &Told, ends: &BTreeMap<InstanceId, End>, world: &World) {
    let keys: Vec<_> = ends.values().filter_map(|end| end.key.as_ref()).collect();
    assert_eq!(keys.len(), keys.iter().collect::<BTreeSet<_>>().len(), "a key starts one instance");
    assert!(keys.iter().all(|key| told.tried.contains(*key)));
    let mut requests = BTreeMap::<String, (u32, BTreeSet<String>)>::new();
    for request in world.requests() {
        let (times, effects) = requests.entry(request.of).or_default();
        *times += 1;
        effects.insert(request.effect);
    }
    let mut effects = BTreeSet::new();
    for (id, end) in ends {
        assert_eq!((end.status, end.ends), (WorkflowStatus::Completed, 1), "{id} of {}: {:?}", end.workflow, end.error);
        for (step, (succeeded, attempts)) in &end.steps {
            assert_eq!(*succeeded, 1, "{step} of {id}");
            if step == "tell" {
                let key = end.key.as_ref().expect("it was started with one");
                let (times, keys) = requests.remove(key).unwrap_or_default();
                assert!((1..=*attempts).contains(&times), "{id} was told of {times} times in {attempts} attempts");
                assert_eq!(keys.len(), 1, "all attempts have the same idempotency key: {keys:?}");
                assert!(effects.is_disjoint(&keys), "no other execution has it: {keys:?}");
                effects.extend(keys);
            }
        }
        if end.workflow == "pure" {
            assert_eq!(end.steps.len(), PURE_STEPS, "{id}");
        }
    }
    assert!(requests.is_empty(), "requests that no instance knows of: {requests:?}");
    assert!(!effects.is_empty());
}

/// Somebody who does tasks.
fn user(name: &str) -> Actor {
    Actor::user(name.parse().expect("the test names them well"))
}
