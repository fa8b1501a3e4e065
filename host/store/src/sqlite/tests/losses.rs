//! Damaged files: what was acknowledged is there, or the database is refused and left as it is.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{OPTIONS, fixture, open, refusal, registered};
use crate::conformance::disk::Random;
use crate::{Existing, Losses, Role, SqliteOptions, SqliteStore, WorkflowStore};

/// How many instances there are, each started in a transaction of its own.
const INSTANCES: u128 = 6;

/// How many bits are turned, each in a copy of its own.
const TURNED_BITS: u64 = 150;

/// Whether the index of the log is there still: it is after a crash of the process, and after one of the machine it is of
/// no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    OfTheProcess,
    OfTheMachine,
}

const CRASHES: [Crash; 2] = [Crash::OfTheProcess, Crash::OfTheMachine];

/// The files of a store with some instances, as they are while it is open.
struct Crashed {
    folder: TempDir,
}

impl Crashed {
    async fn new() -> Self {
        let (store, folder) = registered().await;
        for number in 1..=INSTANCES {
            store.commit(fixture::start(number)).await.unwrap();
        }
        let copy = tempfile::tempdir().unwrap();
        copy_all(folder.path(), copy.path());
        Self { folder: copy }
    }

    /// The database in a folder of its own.
    fn after(&self, crash: Crash) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        copy_all(self.folder.path(), folder.path());
        if crash == Crash::OfTheMachine {
            fs::remove_file(folder.path().join("store.db-shm")).unwrap();
        }
        let path = folder.path().join("store.db");
        (folder, path)
    }
}

fn copy_all(from: &Path, to: &Path) {
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
}

fn log_of(path: &Path) -> PathBuf {
    path.with_file_name("store.db-wal")
}

/// Changes the bytes of a file.
fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// The number of the last instance that is there.
async fn last_there(path: &Path) -> u128 {
    let store = open(path);
    let mut last = 0;
    while store.load_instance(fixture::instance(last + 1)).await.unwrap().is_some() {
        last += 1;
    }
    last
}

/// The text with which a database is refused, which is left as it is by whoever opens it.
fn refused_untouched(folder: &Path, path: &Path) -> String {
    let content = |folder: &Path| {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| (fs::read(&file).unwrap(), file)).collect::<Vec<_>>()
    };
    let before = content(folder);
    let error = refusal(path);
    for other in [
        SqliteStore::open(path, SqliteOptions { role: Role::Visitor, ..OPTIONS }).map(drop),
        SqliteStore::open_read_only(path, OPTIONS).map(drop),
    ] {
        assert_eq!(other.unwrap_err().to_string(), error.to_string());
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = SqliteStore::back_up(path, elsewhere.path().join("copy.db"), Existing::Kept, |_| {});
    assert_eq!(copied.unwrap_err().to_string(), error.to_string());
    assert!(content(folder) == before, "nothing is touched");
    error.to_string().replace(&path.display().to_string(), "store.db")
}

#[tokio::test]
async fn a_store_that_crashed_opens_with_all_that_was_acknowledged() {
    let crashed = Crashed::new().await;
    for crash in CRASHES {
        let (_folder, path) = crashed.after(crash);

        assert_eq!(last_there(&path).await, INSTANCES, "{crash:?}");
    }
}

#[tokio::test]
async fn whatever_bit_of_the_log_turns_nothing_that_was_acknowledged_is_lost_in_silence() {
    let crashed = Crashed::new().await;
    let mut random = Random(1);
    for _ in 0..TURNED_BITS {
        let (folder, path) = crashed.after(Crash::OfTheProcess);
        let mut at = 0;
        change(&log_of(&path), |log| {
            at = usize::try_from(random.below(log.len() as u64)).unwrap();
            log[at] ^= 1 << random.below(8);
        });

        let told = refused_untouched(folder.path(), &path);

        assert!(told.contains("`store.db` has lost what was acknowledged: its log"), "bit at {at}: {told}");
    }
}

#[tokio::test]
async fn a_bit_that_turned_amid_the_log_is_found_without_its_index_too() {
    let crashed = Crashed::new().await;
    let (folder, path) = crashed.after(Crash::OfTheMachine);
    change(&log_of(&path), |log| {
        let middle = log.len() / 2;
        log[middle] ^= 1;
    });

    let told = refused_untouched(folder.path(), &path);

    assert!(told.contains("has lost what was acknowledged: its log reads up to page "), "{told}");
    assert!(
        told.ends_with("nothing was touched: restore a backup, or open it in a way that accepts the loss"),
        "{told}"
    );
}

#[tokio::test]
async fn a_torn_end_that_nobody_was_answered_for_opens() {
    let crashed = Crashed::new().await;
    for crash in CRASHES {
        for kept in [10, 24, 300, 8_000] {
            let (_folder, path) = crashed.after(crash);
            // What is written next is as long as any frame, and only its beginning is there.
            change(&log_of(&path), |log| log.extend_from_within(32..32 + kept));

            assert_eq!(last_there(&path).await, INSTANCES, "{crash:?}, {kept} bytes of a frame");
        }
    }
}

#[tokio::test]
async fn an_end_that_was_flushed_and_is_cut_off_is_told_by_the_index() {
    let crashed = Crashed::new().await;
    let cut = |path: &Path| change(path, |log| log.truncate(log.len() - 100));
    let (folder, path) = crashed.after(Crash::OfTheProcess);
    cut(&log_of(&path));
    assert!(refused_untouched(folder.path(), &path).contains("its log reads up to page "));

    // After a crash of the machine it can not be told from a transaction that was never answered.
    let (_folder, path) = crashed.after(Crash::OfTheMachine);
    cut(&log_of(&path));
    assert_eq!(last_there(&path).await, INSTANCES - 1);
}

#[tokio::test]
async fn a_log_that_is_missing_or_empty_or_has_no_beginning_is_refused() {
    let crashed = Crashed::new().await;
    let (folder, path) = crashed.after(Crash::OfTheProcess);
    fs::write(log_of(&path), "").unwrap();
    assert!(refused_untouched(folder.path(), &path).contains("its log is missing, and with it "));
    fs::remove_file(log_of(&path)).unwrap();
    assert!(refused_untouched(folder.path(), &path).contains("its log is missing, and with it "));

    for crash in CRASHES {
        let (folder, path) = crashed.after(crash);
        change(&log_of(&path), |log| log[17] ^= 1);
        let told = refused_untouched(folder.path(), &path);
        assert!(told.contains("its log does not read from the first byte on"), "{told}");
    }
}

#[tokio::test]
async fn a_database_that_is_cut_off_or_empty_or_missing_is_refused() {
    let crashed = Crashed::new().await;
    for crash in CRASHES {
        let (folder, path) = crashed.after(crash);
        drop(open(&path));
        let whole = fs::read(&path).unwrap();
        change(&path, |content| content.truncate(content.len() / 2));
        let told = refused_untouched(folder.path(), &path);
        assert!(told.contains("store.db` is cut off: ") && told.contains(" of its pages are missing"), "{told}");
        fs::write(&path, &whole).unwrap();
        assert_eq!(last_there(&path).await, INSTANCES);

        let (folder, path) = crashed.after(crash);
        fs::write(&path, "").unwrap();
        let told = refused_untouched(folder.path(), &path);
        assert!(told.contains("store.db` is missing or empty, but its log is not"), "{told}");
        fs::remove_file(&path).unwrap();
        let told = refused_untouched(folder.path(), &path);
        assert!(told.contains("store.db` is missing or empty, but its log is not"), "{told}");
    }
}

#[tokio::test]
async fn what_earlier_turns_and_given_up_transactions_have_left_in_the_log_is_no_loss() {
    let (store, folder) = registered().await;
    let path = folder.path().join("store.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    for number in 1..=INSTANCES {
        store.commit(fixture::start(number)).await.unwrap();
    }
    // Everything is moved, so that the next one begins the log anew over what is there.
    connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(())).unwrap();
    store.commit(fixture::start(INSTANCES + 1)).await.unwrap();
    // More than fits into memory is written to the log before it is given up.
    connection
        .execute_batch("PRAGMA cache_size = 10; PRAGMA cache_spill = 10; BEGIN; CREATE TABLE given_up (x);")
        .unwrap();
    for _ in 0..100 {
        connection.execute("INSERT INTO given_up VALUES (zeroblob(8000))", []).unwrap();
    }
    connection.execute_batch("ROLLBACK").unwrap();
    let log_len = fs::metadata(log_of(&path)).unwrap().len();
    store.commit(fixture::start(INSTANCES + 2)).await.unwrap();
    assert_eq!(fs::metadata(log_of(&path)).unwrap().len(), log_len, "it is written over what was given up");

    let crashed = Crashed { folder: tempfile::tempdir().unwrap() };
    copy_all(folder.path(), crashed.folder.path());
    for crash in CRASHES {
        let (_folder, path) = crashed.after(crash);
        assert_eq!(last_there(&path).await, INSTANCES + 2, "{crash:?}");
    }
}

#[tokio::test]
async fn whoever_accepts_the_loss_goes_on_with_what_came_before_and_keeps_the_damaged_log() {
    let (folder, path) = Crashed::new().await.after(Crash::OfTheProcess);
    change(&log_of(&path), |log| {
        let late = log.len() * 9 / 10;
        log[late] ^= 1;
    });
    let damaged = fs::read(log_of(&path)).unwrap();

    let store = SqliteStore::open(&path, SqliteOptions { losses: Losses::Accept, ..OPTIONS }).unwrap();

    assert!(store.load_instance(fixture::instance(1)).await.unwrap().is_some());
    assert!(store.load_instance(fixture::instance(INSTANCES)).await.unwrap().is_none());
    store.commit(fixture::start(INSTANCES)).await.unwrap();
    drop(store);
    assert_eq!(fs::read(folder.path().join("store.db-wal.lost")).unwrap(), damaged);
    assert!(open(&path).load_instance(fixture::instance(INSTANCES)).await.unwrap().is_some(), "it is whole again");
}
