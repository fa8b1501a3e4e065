//! Copies of a database that others write to.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{OPTIONS, execute, fixture, open, registered};
use crate::{BackupError, Existing, InstanceFilter, SqliteStore, StoreError, WorkflowStore, check_chains};

fn back_up(folder: &Path, existing: Existing) -> Result<crate::BackedUp, BackupError> {
    SqliteStore::back_up(folder.join("store.db"), folder.join("copy.db"), existing, |_| {})
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_while_others_commit_is_whole_and_has_all_that_was_acknowledged_before() {
    let (store, folder) = registered().await;
    let (acknowledged, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let writing = {
        let (store, acknowledged, stop) = (Arc::clone(&store), Arc::clone(&acknowledged), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::SeqCst) {
                number += 1;
                let start = fixture::start(number);
                store.commit(start.clone()).await.unwrap();
                acknowledged.store(store.commit(fixture::after(&start)).await.unwrap().position, Ordering::SeqCst);
            }
        })
    };

    for round in 0..10 {
        while acknowledged.load(Ordering::SeqCst) < round * 20 {
            tokio::task::yield_now().await;
        }
        let before = acknowledged.load(Ordering::SeqCst);
        let source = folder.path().to_owned();
        let made = tokio::task::spawn_blocking(move || back_up(&source, Existing::Replaced)).await.unwrap().unwrap();

        assert!(made.last_position >= before, "{made:?} {before}");
        let copy = SqliteStore::open_read_only(folder.path().join("copy.db"), OPTIONS).unwrap();
        let rows = copy.list_history_after(0, 1_000).await.unwrap();
        assert!(rows.len() as u64 >= before.min(1_000));
        let checked = check_chains(&copy, |_| {}).await.unwrap();
        assert_eq!((checked.broken, checked.links), (0, made.last_position));
        assert_eq!(copy.list_instances(&InstanceFilter::default()).await.unwrap().total, checked.instances);
    }
    stop.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    drop(store);
    assert_eq!(names(folder.path()), ["copy.db", "store.db"], "and nothing lies beside them");
}

#[tokio::test]
async fn a_copy_takes_the_place_of_a_file_only_where_that_is_allowed() {
    let (_store, folder) = registered().await;
    let copy = folder.path().join("copy.db");
    std::fs::write(&copy, "what I wrote").unwrap();

    let refused = back_up(folder.path(), Existing::Kept).unwrap_err();

    assert!(matches!(refused, BackupError::Exists { .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "what I wrote");
    back_up(folder.path(), Existing::Replaced).unwrap();
    drop(open(&copy));
}

#[tokio::test]
async fn a_database_in_use_is_never_replaced_not_even_by_its_own_copy() {
    let (store, folder) = registered().await;
    store.commit(fixture::start(1)).await.unwrap();
    let (path, other) = (folder.path().join("store.db"), folder.path().join("other.db"));
    let in_use = open(&other);
    let back_up = |to: &Path| SqliteStore::back_up(&path, to, Existing::Replaced, |_| {}).unwrap_err();

    assert!(matches!(back_up(&path), BackupError::Itself { .. }));
    assert!(matches!(back_up(&other), BackupError::InUse { .. }));

    store.close().await;
    assert!(matches!(back_up(&path), BackupError::Itself { .. }));
    drop(in_use);
    assert!(open(&path).find_instance(fixture::instance(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn what_an_interrupted_backup_left_is_no_hindrance_and_one_under_way_is() {
    let (_store, folder) = registered().await;
    let partial = folder.path().join("copy.db.partial");
    std::fs::write(&partial, "half of a copy").unwrap();

    let other = std::fs::File::open(&partial).unwrap();
    other.lock().unwrap();
    let refused = back_up(folder.path(), Existing::Kept).unwrap_err();
    assert!(matches!(refused, BackupError::UnderWay { .. }), "{refused}");
    drop(other);

    back_up(folder.path(), Existing::Kept).unwrap();
    assert!(!partial.exists());
}

#[tokio::test]
async fn a_database_that_is_damaged_has_no_backup_and_its_last_one_stays() {
    let (store, folder) = registered().await;
    back_up(folder.path(), Existing::Kept).unwrap();
    let last = std::fs::read(folder.path().join("copy.db")).unwrap();
    for number in 1..=20 {
        store.commit(fixture::start(number)).await.unwrap();
    }
    store.close().await;
    drop(store);
    // An index that says otherwise than its table.
    execute(
        &folder.path().join("store.db"),
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = 'CREATE UNIQUE INDEX history_by_instance ON history (seq, instance)'
         WHERE name = 'history_by_instance';",
    );

    let refused = back_up(folder.path(), Existing::Replaced).unwrap_err();

    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
    assert_eq!(std::fs::read(folder.path().join("copy.db")).unwrap(), last);
    assert_eq!(names(folder.path()), ["copy.db", "store.db"]);
}

#[tokio::test]
async fn whoever_may_not_read_the_database_may_not_read_its_copy() {
    let (_store, folder) = registered().await;
    let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode() & 0o777;
    for allowed in [0o600, 0o640] {
        std::fs::set_permissions(folder.path().join("store.db"), std::fs::Permissions::from_mode(allowed)).unwrap();

        back_up(folder.path(), Existing::Replaced).unwrap();

        assert_eq!(mode("copy.db"), allowed);
    }
}

#[test]
fn what_is_no_database_is_not_copied_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.db"), "these are my notes, and not a database of anybody").unwrap();

    let refused = back_up(folder.path(), Existing::Kept).unwrap_err();

    assert!(matches!(refused, BackupError::Store(StoreError::NotADatabase { .. })), "{refused}");
    assert_eq!(names(folder.path()), ["store.db"]);
}
