//! Whoever waits for a reader: the line is as long as there are callers.

use std::sync::mpsc;

use tokio::runtime::Handle;

use super::*;

/// How many ask and go away.
const GONE: usize = 1_000;

/// How many tasks there are, once there are so few.
async fn until_tasks(count: usize) {
    while Handle::current().metrics().num_alive_tasks() > count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whoever_stops_waiting_for_a_reader_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions { readers_max: 1, ..OPTIONS };
    let store = Arc::new(SqliteStore::open(folder.path().join("store.db"), options).unwrap());
    let (begun, is_begun) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let readers = Arc::clone(&store.readers);
    let long = tokio::spawn(async move {
        let read = move |_: &rusqlite::Connection| {
            begun.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        };
        readers.run(read).await
    });
    while is_begun.try_recv().is_err() {
        tokio::task::yield_now().await;
    }
    let before = Handle::current().metrics().num_alive_tasks();

    for _ in 0..GONE {
        let mut read = store.last_position();
        tokio::select! {
            biased;
            _ = &mut read => panic!("the only reader is lent"),
            () = std::future::ready(()) => {}
        }
    }

    // The long read still has the only reader.
    until_tasks(before).await;
    assert!(!long.is_finished());
    release.send(()).unwrap();
    long.await.unwrap().unwrap();
    assert_eq!(store.last_position().await.unwrap(), 0);
}
