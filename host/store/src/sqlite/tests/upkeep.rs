//! Rows that somebody changed behind the store, and pruning beside others.

use std::path::Path;
use std::sync::Arc;

use stepcell_model::chain::ChainHash;
use stepcell_model::id::InstanceId;

use super::{OPTIONS, execute, fixture, open, registered};
use crate::{
    CheckedChains, LIST_LEN_MAX, PruneFilter, Role, SqliteOptions, SqliteStore, UpkeepStore, WorkflowStore,
    check_chain, check_chains,
};

/// Three instances with three transitions each.
async fn three_by_three() -> (Arc<SqliteStore>, tempfile::TempDir) {
    let (store, folder) = registered().await;
    for number in 1..=3 {
        let mut last = fixture::start(number);
        store.commit(last.clone()).await.unwrap();
        for _ in 2..=3 {
            last = fixture::after(&last);
            store.commit(last.clone()).await.unwrap();
        }
    }
    (store, folder)
}

async fn check(store: &SqliteStore) -> CheckedChains {
    check_chains(store, |_| {}).await.unwrap()
}

#[tokio::test]
async fn what_somebody_changes_behind_the_store_is_found_and_named() {
    let of_second = "instance = (SELECT key FROM instances WHERE id = unhex('00000000000000000000000000000002'))";
    for (statement, broken) in [
        ("UPDATE history SET events = '[]' WHERE seq = 2 AND", &[(2, 2, "altered")][..]),
        ("UPDATE history SET at = at + 1 WHERE seq = 3 AND", &[(2, 3, "altered")]),
        ("UPDATE history SET chain = zeroblob(32) WHERE seq = 1 AND", &[(2, 1, "altered"), (2, 2, "altered")]),
        ("UPDATE history SET chain = zeroblob(8) WHERE seq = 2 AND", &[(2, 2, "unlinked")]),
        ("DELETE FROM history WHERE seq = 1 AND", &[(2, 1, "missing")]),
        ("DELETE FROM history WHERE seq = 3 AND", &[(2, 3, "missing")]),
        ("DELETE FROM history WHERE", &[(2, 1, "missing")]),
    ] {
        let (store, folder) = three_by_three().await;
        execute(&folder.path().join("store.db"), &format!("{statement} {of_second}"));

        let checked = check(&store).await;

        let found: Vec<_> =
            checked.breaks.iter().map(|broken| (broken.instance, broken.seq, broken.kind.as_str())).collect();
        let broken: Vec<_> = broken.iter().map(|&(number, seq, kind)| (fixture::instance(number), seq, kind)).collect();
        assert_eq!(found, broken, "{statement}");
        assert_eq!((checked.instances, checked.broken), (3, found.len() as u64), "{statement}");
    }
}

#[tokio::test]
async fn a_history_that_was_written_anew_as_a_whole_is_found_out_by_a_head_from_before() {
    let (store, folder) = three_by_three().await;
    let id = fixture::instance(1);
    let noted = store.load_instance(id).await.unwrap().unwrap().chain;
    rewrite(&folder.path().join("store.db"), id);

    let checked = check_chain(store.as_ref(), id, Some(noted)).await.unwrap().unwrap();

    assert_eq!((checked.breaks, checked.noted_at), (Vec::new(), None));
    let other = fixture::instance(2);
    let head = store.load_instance(other).await.unwrap().unwrap().chain;
    assert_eq!(check_chain(store.as_ref(), other, Some(head)).await.unwrap().unwrap().noted_at, Some(3));
}

/// Does what a forger would do who can write to the file: other events, and every link computed anew.
fn rewrite(path: &Path, id: InstanceId) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut last = ChainHash::START;
    for seq in 1..=3_u32 {
        let at: i64 = connection.query_row("SELECT at FROM history WHERE seq = ?1", [seq], |row| row.get(0)).unwrap();
        let at = stepcell_model::time::Timestamp::from_unix_ms(at);
        last = stepcell_model::chain::chain_after(last, id, seq.into(), at, "[]");
        let row = rusqlite::params![id.as_uuid().as_bytes(), seq, last.as_bytes()];
        let forge = "UPDATE history SET events = '[]', chain = ?3
            WHERE seq = ?2 AND instance = (SELECT key FROM instances WHERE id = ?1)";
        connection.execute(forge, row).unwrap();
    }
    let row = rusqlite::params![id.as_uuid().as_bytes(), last.as_bytes()];
    connection.execute("UPDATE instances SET chain = ?2 WHERE id = ?1", row).unwrap();
}

#[tokio::test]
async fn histories_longer_than_a_page_are_read_to_their_end() {
    let (store, _folder) = registered().await;
    for number in [1, 2] {
        let mut last = fixture::start(number);
        for seq in 1..=LIST_LEN_MAX + 7 {
            assert_eq!(last.seq, u64::from(seq));
            store.commit(last.clone()).await.unwrap();
            last = fixture::after(&last);
        }
    }

    let checked = check(&store).await;

    assert_eq!((checked.instances, checked.links, checked.broken), (2, 2 * u64::from(LIST_LEN_MAX + 7), 0));
    let alone = check_chain(store.as_ref(), fixture::instance(2), None).await.unwrap().unwrap();
    assert_eq!((alone.links, alone.breaks), (u64::from(LIST_LEN_MAX + 7), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_prunes_beside_a_driver_that_starts_and_ends_instances() {
    let (store, folder) = registered().await;
    let options = SqliteOptions { role: Role::Visitor, busy_timeout: std::time::Duration::from_secs(10), ..OPTIONS };
    let visitor = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    let driver = Arc::clone(&store);
    let driving = tokio::spawn(async move {
        for number in 1..=300 {
            let start = fixture::start(number);
            driver.commit(start.clone()).await.unwrap();
            let mut end = fixture::after(&start);
            end.state = fixture::with_status(stepcell_model::status::WorkflowStatus::Completed);
            end.state.completed_at = Some(fixture::at(1));
            driver.commit(end).await.unwrap();
        }
    });
    let filter = PruneFilter { ended_before: fixture::at(2), statuses: Vec::new(), workflow: None, tenant: None };
    let mut pruned = 0;
    while !driving.is_finished() {
        let found = visitor.list_prunable(&filter, None, 20).await.unwrap();
        let found: Vec<_> = found.iter().map(|found| found.id).collect();
        pruned += visitor.prune(&filter, &found).await.unwrap().instances.len();
    }
    driving.await.unwrap();

    let left = store.list_instances(&crate::InstanceFilter::default()).await.unwrap().total;
    assert_eq!(left + pruned as u64, 300);
    assert_eq!(store.last_position().await.unwrap(), 600, "each commit got a position of its own");
    assert_eq!(check(&store).await.broken, 0);
}

#[tokio::test]
async fn a_store_that_only_reads_prunes_nothing() {
    let (store, folder) = registered().await;
    let reader = SqliteStore::open_read_only(folder.path().join("store.db"), OPTIONS).unwrap();
    let filter = PruneFilter { ended_before: fixture::at(2), statuses: Vec::new(), workflow: None, tenant: None };

    let refused = reader.prune(&filter, &[fixture::instance(1)]).await;

    assert!(matches!(refused, Err(crate::StoreError::ReadOnly)), "{refused:?}");
    drop(store);
    drop(open(&folder.path().join("store.db")));
}
