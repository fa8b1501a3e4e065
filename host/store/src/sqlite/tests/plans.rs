//! What calls cost SQLite: an index where many rows could match, and no statement where nothing is to do.

use super::super::statements::{
    COUNT_INSTANCES, INSTANCES_NEWEST_FIRST, INSTANCES_OF_CORRELATION_ID, INSTANCES_OF_PARENT, LIST_LETTERS,
    LIST_RESULTS, SELECT_INSTANCES, access, feed, upkeep,
};
use super::{execute, fixture, registered};
use crate::WorkflowStore;

/// What SQLite says that it does for a statement, one step a line.
fn plan(connection: &rusqlite::Connection, sql: &str) -> String {
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let values = vec![rusqlite::types::Null; statement.parameter_count()];
    let steps = statement.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>("detail")).unwrap();
    steps.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
}

#[tokio::test]
async fn instances_are_found_by_parent_and_by_correlation_id_without_looking_at_all() {
    let (_store, folder) = registered().await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let cases =
        [(INSTANCES_OF_PARENT, "starts_by_parent"), (INSTANCES_OF_CORRELATION_ID, "instances_by_correlation_id")];

    for (condition, index) in cases {
        for (select, order) in [(COUNT_INSTANCES, ""), (SELECT_INSTANCES, INSTANCES_NEWEST_FIRST)] {
            let plan = plan(&connection, &format!("{select} WHERE {condition} {order}"));

            assert!(plan.contains(index), "{condition}:\n{plan}");
            assert!(!plan.contains("SCAN"), "{condition}:\n{plan}");
        }
    }
}

#[tokio::test]
async fn results_and_letters_are_found_by_their_keys() {
    let (_store, folder) = registered().await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();

    let results = plan(&connection, LIST_RESULTS);
    assert!(results.contains("SEARCH executions USING PRIMARY KEY (instance=? AND number=?)"), "{results}");
    assert_eq!(plan(&connection, LIST_LETTERS), "SCAN letters", "in the order of its keys, without sorting");
}

#[tokio::test]
async fn links_are_read_in_order_without_sorting_and_nobody_is_looked_for_in_all_rows() {
    let (_store, folder) = registered().await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let by_id = format!("{} {}", upkeep::SELECT_PRUNABLE, upkeep::PRUNABLE_BY_ID);
    let after = format!("{} {}", upkeep::SELECT_PRUNABLE, upkeep::PRUNABLE_AFTER);

    for sql in [upkeep::LIST_LINKS, upkeep::LIST_LINKS_OF, &by_id, &after] {
        let plan = plan(&connection, sql);

        assert!(!plan.contains("TEMP B-TREE"), "{sql}:\n{plan}");
        let scans = plan.lines().filter(|step| step.contains("SCAN"));
        // The first row of one in its order, and what a few words are read from.
        let cheap = |step: &&str| step.ends_with("SCAN history") || step.contains("json_each");
        assert!(scans.clone().all(|step| cheap(&step)), "{sql}:\n{plan}");
    }
}

#[tokio::test]
async fn what_a_tenant_has_and_did_is_found_without_looking_at_everybody() {
    let (_store, folder) = registered().await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let of_tenant = |select, order| format!("{select} WHERE {} {order}", access::OF_TENANT);
    let cases = [
        (access::COUNT_OPEN_INSTANCES.to_owned(), "USING INDEX instances_open"),
        (of_tenant(access::SELECT_KEYS, access::KEYS_NEWEST_FIRST), "USING INDEX api_keys_by_tenant"),
        (of_tenant(access::SELECT_AUDIT, access::AUDIT_NEWEST_FIRST), "USING INDEX audit_by_tenant"),
        (access::FORGET_CLAIMS.to_owned(), "USING COVERING INDEX idempotency_by_time"),
    ];

    for (sql, index) in cases {
        let plan = plan(&connection, &sql);

        assert!(plan.contains(index), "{sql}:\n{plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}:\n{plan}");
    }
}

#[tokio::test]
async fn what_an_instance_does_not_have_costs_no_statement() {
    let (store, folder) = registered().await;
    let first = fixture::start(1);
    store.commit(first.clone()).await.unwrap();
    execute(
        &folder.path().join("store.db"),
        "DROP TABLE messages; DROP TABLE letters; ALTER TABLE executions RENAME TO elsewhere;",
    );

    store.commit(fixture::start(2)).await.unwrap();
    store.commit(fixture::after(&first)).await.unwrap();
    let loaded = store.load_instance(fixture::instance(1)).await.unwrap().unwrap();

    assert_eq!(loaded.results.len(), 1, "its input, which stands beside it");
}

#[tokio::test]
async fn whoever_follows_history_reads_it_in_order_and_that_of_one_instance_from_its_own_rows() {
    let (_store, folder) = registered().await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();

    let window = plan(&connection, feed::LIST_WINDOW);
    let of_instance = plan(&connection, feed::LIST_OF_INSTANCE);

    assert!(window.starts_with("SEARCH h USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"), "{window}");
    assert!(of_instance.contains("SEARCH h USING INDEX history_by_instance (instance=?)"), "{of_instance}");
    for plan in [window, of_instance] {
        assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN"), "{plan}");
    }
}
