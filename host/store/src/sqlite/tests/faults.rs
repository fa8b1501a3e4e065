//! A disk that fails at any moment, or loses its power: what was acknowledged is kept, what was refused is whole or not there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stepcell_model::transition::Transition;
use tempfile::TempDir;

use super::{OPTIONS, fixture, open, registered};
use crate::conformance::disk::{Disk, Fault, How, Operation, Random};
use crate::{SqliteOptions, SqliteStore, StoreError, WorkflowStore};

/// How many faults are injected, each in a database of its own.
const FAULTS: u64 = 500;

/// How many power cuts there are.
const POWER_CUTS: u64 = 200;

/// How many tasks work at once.
const TASKS: u128 = 4;

/// How many instances each of them moves, and how far.
const INSTANCES: u128 = 4;
const TRANSITIONS: u64 = 3;

/// Long enough for any call, so that one that never answers fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A new folder with that database.
fn put(template: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, template).unwrap();
    (folder, path)
}

/// How many calls of each kind a round makes in which nothing goes wrong.
async fn calls(disk: &'static Disk, template: &[u8]) -> impl Fn(Operation) -> u64 {
    let (_folder, path) = put(template);
    disk.plan(None, 0);
    round(disk, &path).await;
    let calls = Operation::ALL.map(|operation| disk.calls(operation));
    move |operation| calls[Operation::ALL.iter().position(|known| *known == operation).unwrap()]
}

/// A database with a definition, as bytes.
async fn template() -> Vec<u8> {
    let (store, folder) = registered().await;
    store.close().await;
    std::fs::read(folder.path().join("store.db")).unwrap()
}

/// What was acknowledged of each instance, and what was tried: the numbers of its last transitions.
type Outcomes = BTreeMap<u128, (u64, u64)>;

/// A transition that writes rows of several tables, over several pages.
fn large(transition: Transition) -> Transition {
    let number = u32::try_from(transition.seq).unwrap();
    Transition {
        writes: [(fixture::key(&format!("k{number}")), Some(json!("x".repeat(6_000)).into()))].into(),
        executions: vec![fixture::execution(number, number)],
        ..transition
    }
}

/// Moves instances one after the other; goes on with the next one where one is refused.
async fn work(store: Arc<SqliteStore>, disk: &'static Disk, path: PathBuf, task: u128) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for number in (0..INSTANCES).map(|instance| 1 + task * INSTANCES + instance) {
        let outcome = outcomes.entry(number).or_default();
        let mut next = large(fixture::start(number));
        while next.seq <= TRANSITIONS {
            outcome.1 = next.seq;
            let committed = tokio::time::timeout(PATIENCE, store.commit(next.clone())).await;
            let Ok(_) = committed.expect("every call is answered") else { break };
            outcome.0 = next.seq;
            next = large(fixture::after(&next));
        }
        // As another process does that closes the file.
        if let Ok(other) = rusqlite::Connection::open_with_flags_and_vfs(&path, Default::default(), disk.name()) {
            let _ = other.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    }
    outcomes
}

/// Works on a database on that disk until all is done or nothing works any more, and closes it.
async fn round(disk: &'static Disk, path: &Path) -> Outcomes {
    let options = SqliteOptions { vfs: Some(disk.name()), ..OPTIONS };
    let Ok(store) = SqliteStore::open(path, options) else { return Outcomes::new() };
    let store = Arc::new(store);
    let tasks = (0..TASKS).map(|task| tokio::spawn(work(Arc::clone(&store), disk, path.to_owned(), task)));
    let mut outcomes = Outcomes::new();
    for task in tasks.collect::<Vec<_>>() {
        outcomes.extend(task.await.unwrap());
    }
    if let Err(error @ StoreError::Stopped { .. }) = store.commit(fixture::start(1_000)).await {
        assert!(error.to_string().contains("takes no more work"), "{error}");
        let again = store.commit(fixture::start(1_001)).await.unwrap_err();
        assert!(matches!(again, StoreError::Stopped { .. }), "once stopped, always stopped: {again:?}");
    }
    tokio::time::timeout(PATIENCE, store.close()).await.expect("closing ends");
    outcomes
}

/// Opens the database on a disk in order, and holds it against what was acknowledged.
async fn verify(path: &Path, outcomes: &Outcomes, what: &str) {
    let store = SqliteStore::open(path, OPTIONS).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (number, (acknowledged, tried)) in outcomes {
        let instance = fixture::instance(*number);
        let seq = store.load_instance(instance).await.unwrap().map_or(0, |instance| instance.seq);
        assert!((*acknowledged..=*tried).contains(&seq), "{what}: {number} is at {seq}, not {acknowledged} to {tried}");
        let history = store.list_history(instance, 0, 10).await.unwrap();
        assert_eq!(history.len() as u64, seq, "{what}: {number}");
        assert_eq!(store.load_context(instance).await.unwrap().len() as u64, seq, "{what}: {number}");
        assert_eq!(store.list_executions(instance).await.unwrap().len() as u64, seq, "{what}: {number}");
    }
    store.close().await;
    let connection = rusqlite::Connection::open(path).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok", "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_call_to_the_disk_fails_nothing_acknowledged_is_lost_and_nothing_refused_is_there_by_half() {
    let (disk, template) = (Disk::new(), template().await);
    let calls = calls(disk, &template).await;
    let mut struck = 0;
    for seed in 0..FAULTS {
        let mut random = Random(seed);
        let operation = Operation::ALL[usize::try_from(seed).unwrap() % Operation::ALL.len()];
        let how = [How::Error, How::Torn, How::Full, How::Slow(Duration::from_millis(1))];
        let how = how[usize::try_from(random.below(4)).unwrap()];
        let fault = Fault { operation, nth: 1 + random.below(calls(operation).max(1)), how };
        let (_folder, path) = put(&template);
        disk.plan(Some(fault), seed);

        let outcomes = round(disk, &path).await;

        struck += u64::from(disk.has_struck());
        verify(&path, &outcomes, &format!("seed {seed}, {fault:?}")).await;
    }
    assert!(struck > FAULTS * 8 / 10, "{struck} of {FAULTS} faults struck");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_the_power_fails_nothing_acknowledged_is_lost_and_nothing_refused_is_there_by_half() {
    let (disk, template) = (Disk::new(), template().await);
    let calls = calls(disk, &template).await;
    for seed in 0..POWER_CUTS {
        let mut random = Random(seed);
        let operation = if seed % 4 == 0 { Operation::Sync } else { Operation::Write };
        let fault = Fault { operation, nth: 1 + random.below(calls(operation)), how: How::PowerCut };
        let (_folder, path) = put(&template);
        disk.plan(Some(fault), seed);

        let outcomes = round(disk, &path).await;

        let found = tempfile::tempdir().unwrap();
        let path = if disk.has_struck() { found.path().join("store.db") } else { path };
        disk.left(found.path()).unwrap();
        verify(&path, &outcomes, &format!("seed {seed}, {fault:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_flush_that_failed_every_later_call_is_told_so_and_a_store_that_is_opened_anew_goes_on() {
    let (disk, (_folder, path)) = (Disk::new(), put(&template().await));
    disk.plan(None, 0);
    let store = SqliteStore::open(&path, SqliteOptions { vfs: Some(disk.name()), ..OPTIONS }).unwrap();
    store.commit(fixture::start(1)).await.unwrap();
    disk.fail(Fault { operation: Operation::Sync, nth: 1, how: How::Error });

    let failed = store.commit(fixture::start(2)).await.unwrap_err();
    let later = store.commit(fixture::start(3)).await.unwrap_err();

    for error in [failed, later] {
        assert!(matches!(error, StoreError::Stopped { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "the store takes no more work, because it could not flush to disk: disk I/O error; how much of that reached \
             the disk is not known, so check the disk and start this process again: what was acknowledged is kept, and \
             is read anew"
        );
    }
    assert!(store.load_instance(fixture::instance(1)).await.unwrap().is_some(), "what is there can be read");
    let flushes = disk.calls(Operation::Sync);
    store.close().await;
    assert_eq!(disk.calls(Operation::Sync), flushes, "nothing is flushed after a flush that failed");
    let store = open(&path);
    assert!(store.load_instance(fixture::instance(1)).await.unwrap().is_some());
    store.commit(fixture::start(4)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_can_not_be_moved_into_the_database_stops_the_store() {
    let (disk, (_folder, path)) = (Disk::new(), put(&template().await));
    disk.plan(None, 0);
    let store = SqliteStore::open(&path, SqliteOptions { vfs: Some(disk.name()), ..OPTIONS }).unwrap();
    disk.fail(Fault { operation: Operation::WriteDatabase, nth: 1, how: How::Error });

    let mut number = 0;
    let error = loop {
        number += 1;
        let huge = Some(json!("x".repeat(1_000_000)).into());
        let commit = Transition { writes: [(fixture::key("huge"), huge)].into(), ..fixture::start(number) };
        match store.commit(commit).await {
            Ok(_) if number < 100 => {}
            Ok(_) => panic!("the log is moved at some time"),
            Err(error) => break error,
        }
    };

    assert!(matches!(&error, StoreError::Stopped { action, .. } if action == "move the write-ahead log"), "{error:?}");
    store.close().await;
    let store = open(&path);
    for kept in 1..number {
        assert!(store.load_instance(fixture::instance(kept)).await.unwrap().is_some(), "{kept}");
    }
}
