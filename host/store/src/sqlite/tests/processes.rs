//! Several processes on one file: each is a store of its own here, which SQLite can not tell from a process.

use std::time::Duration;

use super::{OPTIONS, fixture, open, registered};
use crate::{InstanceFilter, LetterKey, Role, SqliteOptions, SqliteStore, StoreError, WorkflowStore};

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_is_told_once_of_each_instance_that_a_visitor_changed() {
    let (store, folder) = registered().await;
    let options = SqliteOptions { role: Role::Visitor, ..OPTIONS };
    let visitor = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    store.commit(fixture::start(1)).await.unwrap();
    assert!(store.take_nudges().await.unwrap().is_empty(), "its own commits are no news");

    let start = fixture::start(2);
    visitor.commit(start.clone()).await.unwrap();
    visitor.commit(fixture::after(&start)).await.unwrap();

    assert_eq!(store.take_nudges().await.unwrap(), [fixture::instance(2)]);
    assert!(store.take_nudges().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_overtaken_is_told_so() {
    let (store, folder) = registered().await;
    let other = open(&folder.path().join("store.db"));
    let first = fixture::start(1);
    store.commit(first.clone()).await.unwrap();
    other.commit(fixture::after(&first)).await.unwrap();

    let overtaken = store.commit(fixture::after(&first)).await;

    assert!(matches!(overtaken, Err(StoreError::Stale { expected: 1, found: 2, .. })), "{overtaken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_write_at_the_same_time_wait_for_each_other() {
    let (store, folder) = registered().await;
    let other = open(&folder.path().join("store.db"));

    let commits = (1..=200).map(|number| {
        let store = std::sync::Arc::clone(if number % 2 == 0 { &store } else { &other });
        tokio::spawn(async move { store.commit(fixture::start(number)).await })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap().unwrap();
    }

    assert_eq!(store.list_instances(&InstanceFilter::default()).await.unwrap().total, 200);
    assert_eq!(store.list_history_after(0, 1_000).await.unwrap().len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_never_lets_go_makes_the_store_unavailable_for_a_while() {
    let (store, folder) = registered().await;
    let mut greedy = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let lock = greedy.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();

    let refused = store.commit(fixture::start(1)).await;

    let error = refused.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("another process may be writing"), "{error}");
    assert!(store.find_instance(fixture::instance(1)).await.unwrap().is_none(), "reading goes on");
    drop(lock);
    store.commit(fixture::start(1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_what_another_process_wrote_and_writes_nothing() {
    let (store, folder) = registered().await;
    let reader = SqliteStore::open_read_only(folder.path().join("store.db"), OPTIONS).unwrap();
    store.commit(fixture::start(1)).await.unwrap();

    assert!(reader.load_instance(fixture::instance(1)).await.unwrap().is_some());
    assert!(reader.list_letters(10).await.unwrap().is_empty());
    assert!(matches!(reader.remove_letters(&[LetterKey(1)]).await, Err(StoreError::ReadOnly)));
    assert!(matches!(reader.commit(fixture::start(2)).await, Err(StoreError::ReadOnly)));
    drop(store);
    assert!(reader.load_instance(fixture::instance(1)).await.unwrap().is_some());
}

#[test]
fn processes_that_make_the_same_file_at_once_all_find_it_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let options = SqliteOptions { busy_timeout: Duration::from_secs(10), ..OPTIONS };

    std::thread::scope(|scope| {
        let opened = [(); 4].map(|()| scope.spawn(|| SqliteStore::open(&path, options).map(drop)));
        for outcome in opened {
            outcome.join().unwrap().unwrap();
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_nobody_waits_for_just_now_stands_in_nobodys_way() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { readers_max: 1, ..OPTIONS };
    let store = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    let mut left: Vec<_> = (0..3).map(|_| store.last_position()).collect();
    for read in &mut left {
        tokio::select! {
            biased;
            _ = read => {}
            () = std::future::ready(()) => {}
        }
    }

    let read = tokio::time::timeout(Duration::from_secs(20), store.last_position()).await;

    assert_eq!(read.expect("it ends").unwrap(), 0);
}
