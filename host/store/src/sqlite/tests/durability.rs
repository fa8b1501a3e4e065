//! What was acknowledged stays; what was not leaves no trace.

use std::sync::Arc;

use serde_json::json;
use stepcell_model::transition::Transition;

use super::{fixture, open, registered};
use crate::{DefinitionFilter, InstanceFilter, SqliteStore, StoreError, WorkflowStore};

#[tokio::test]
async fn a_store_that_is_opened_again_holds_everything() {
    let (store, folder) = registered().await;
    let written = fixture::full_start(1);
    store.commit(written.clone()).await.unwrap();
    drop(store);

    let store = open(&folder.path().join("store.db"));

    let read = store.load_instance(fixture::instance(1)).await.unwrap().unwrap();
    assert_eq!((read.identity, read.state), (written.identity, written.state));
    assert_eq!(store.list_history_after(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn letters_wait_for_a_store_that_is_opened_again_and_their_keys_stay_used() {
    let (store, folder) = registered().await;
    let letters = [1, 2, 3].map(fixture::letter);
    store.commit(Transition { letters: letters.to_vec(), ..fixture::start(1) }).await.unwrap();
    let waiting = store.list_letters(10).await.unwrap();
    store.remove_letters(&[waiting[0].0, waiting[2].0]).await.unwrap();
    drop(store);

    let store = open(&folder.path().join("store.db"));

    assert_eq!(store.list_letters(10).await.unwrap(), waiting[1..2]);
    store.commit(Transition { letters: letters[..1].to_vec(), ..fixture::start(2) }).await.unwrap();
    let later = store.list_letters(10).await.unwrap();
    assert!(later[1].0 > waiting[2].0, "the key of the removed letter is not used again: {later:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_killed_loses_nothing_that_it_acknowledged() {
    let (store, folder) = registered().await;
    for number in 1..=50 {
        store.commit(fixture::start(number)).await.unwrap();
    }

    let killed = tempfile::tempdir().unwrap();
    for file in ["store.db", "store.db-wal"] {
        std::fs::copy(folder.path().join(file), killed.path().join(file)).unwrap();
    }
    let store = open(&killed.path().join("store.db"));

    assert_eq!(store.list_instances(&InstanceFilter::default()).await.unwrap().total, 50);
    assert!(store.load_instance(fixture::instance(50)).await.unwrap().is_some());
    assert_eq!(store.list_history_after(0, 100).await.unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_has_stored_what_it_was_given_and_takes_no_more() {
    let (store, folder) = registered().await;
    let commits = (1..=50).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(fixture::start(number)).await })
    });
    let commits = commits.collect::<Vec<_>>();

    store.close().await;

    let mut stored = 0;
    for commit in commits {
        match commit.await.unwrap() {
            Ok(_) => stored += 1,
            Err(StoreError::Closed) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert!(matches!(store.commit(fixture::start(99)).await, Err(StoreError::Closed)));
    assert!(matches!(store.next_wake().await, Err(StoreError::Closed)));
    drop(store);
    assert!(!folder.path().join("store.db-wal").exists(), "the log is empty and gone");
    let store = open(&folder.path().join("store.db"));
    assert_eq!(store.list_instances(&InstanceFilter::default()).await.unwrap().total, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_that_come_together_share_flushes() {
    let (store, _folder) = registered().await;
    let before = store.physical_commits();
    let commits = (1..=500).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.commit(fixture::start(number)).await })
    });

    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap().unwrap();
    }

    let flushes = store.physical_commits() - before;
    assert!(flushes < 250, "500 transitions took {flushes} flushes");
}

#[tokio::test(flavor = "multi_thread")]
async fn work_in_trouble_takes_no_neighbour_with_it() {
    let (store, _folder) = registered().await;
    let broken = |store: Arc<SqliteStore>| async move {
        let work = |connection: &rusqlite::Connection| {
            connection.execute("DELETE FROM definitions", [])?;
            Ok(connection.execute("INSERT INTO history (events) VALUES (NULL)", [])?)
        };
        store.writer().unwrap().run(work).await
    };
    let mut outcomes = Vec::new();
    for number in 1..=20 {
        let store = Arc::clone(&store);
        outcomes.push(tokio::spawn(async move {
            match number % 5 {
                0 => broken(store).await.map(drop),
                _ => store.commit(fixture::start(number)).await.map(drop),
            }
        }));
    }

    for (number, outcome) in (1..).zip(outcomes) {
        let outcome = outcome.await.unwrap();
        assert_eq!(outcome.is_ok(), number % 5 != 0, "{number}: {outcome:?}");
    }
    assert_eq!(store.list_instances(&InstanceFilter::default()).await.unwrap().total, 16);
    assert_eq!(store.list_definitions(&DefinitionFilter::default()).await.unwrap().total, 1);
}

/// Lets the database grow by that many pages more, or without end.
async fn allow_pages(store: &SqliteStore, more: Option<i64>) {
    let work = move |connection: &rusqlite::Connection| {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let pages_max = more.map_or(1 << 30, |more| pages + more);
        Ok(connection.query_row(&format!("PRAGMA max_page_count = {pages_max}"), [], |row| row.get::<_, i64>(0))?)
    };
    store.writer().unwrap().run(work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_without_half_a_transition_and_heals_with_room() {
    let (store, _folder) = registered().await;
    let large = |number| Transition {
        writes: [(fixture::key("large"), Some(json!("x".repeat(20_000)).into()))].into(),
        ..fixture::start(number)
    };
    allow_pages(&store, Some(10)).await;

    let mut stored = 0;
    let full = loop {
        match store.commit(large(stored + 1)).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };

    assert!(matches!(full, StoreError::Full), "{full:?}");
    assert!((1..10).contains(&stored), "{stored} fitted");
    let refused = fixture::instance(stored + 1);
    assert!(store.find_instance(refused).await.unwrap().is_none());
    assert!(store.load_context(refused).await.unwrap().is_empty());
    assert_eq!(store.list_history_after(0, 100).await.unwrap().len() as u128, stored);

    allow_pages(&store, None).await;
    store.commit(large(stored + 1)).await.unwrap();
    assert!(store.load_instance(refused).await.unwrap().is_some());
}
