//! What calls cost SQLite: an index where many rows could match, and no statement where nothing is to do.

use super::super::statements::{
    COMPONENT_BY_DIGEST_SEEN_BY, COMPONENTS_NOT_HIDDEN, COMPONENTS_OF_NAME, COMPONENTS_OF_OWNER_OR_SHARED,
    COUNT_INSTANCES, COUNT_TASKS, DEFINITIONS_NOT_HIDDEN, DEFINITIONS_OF_NAME, DEFINITIONS_OF_OWNER_OR_SHARED,
    INSTANCES_AFTER, INSTANCES_NEWEST_FIRST, INSTANCES_OF_CORRELATION_ID, INSTANCES_OF_PARENT, INSTANCES_OF_TENANT,
    INSTANCES_OF_TENANT_TOO, INSTANCES_OF_USER, INSTANCES_OF_WORKFLOW, INSTANCES_WITH_STATUS, LIST_LETTERS,
    LIST_RESULTS, SELECT_COMPONENT_KEYS, SELECT_COMPONENTS, SELECT_DEFINITION_KEYS, SELECT_DEFINITIONS,
    SELECT_INSTANCES, SELECT_TASKS, TASKS_AFTER_ONE_WITH_DUE_TIME, TASKS_BY_DUE_TIME, TASKS_FOR_ASSIGNEE,
    TASKS_OF_INSTANCE, TASKS_OF_TENANT, TASKS_OVERDUE, TASKS_WITH_STATUS, access, feed, upkeep,
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

/// Whether all rows of a table are looked at; the few words of a list of statuses are no table.
fn scans(plan: &str) -> bool {
    plan.lines().any(|step| step.contains("SCAN") && !step.contains("json_each"))
}

#[tokio::test]
async fn what_a_tenant_lists_is_found_without_a_look_at_others() {
    let (_store, folder) = registered().await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let instances: [&[&str]; 6] = [
        &[INSTANCES_OF_TENANT],
        &[INSTANCES_OF_TENANT, INSTANCES_WITH_STATUS],
        &[INSTANCES_OF_TENANT, INSTANCES_OF_WORKFLOW],
        &[INSTANCES_OF_TENANT, INSTANCES_OF_USER],
        &[INSTANCES_OF_TENANT, INSTANCES_AFTER],
        &[INSTANCES_OF_TENANT, INSTANCES_OF_WORKFLOW, INSTANCES_OF_USER, INSTANCES_WITH_STATUS, INSTANCES_AFTER],
    ];
    for conditions in instances {
        for (select, order) in [(COUNT_INSTANCES, ""), (SELECT_INSTANCES, INSTANCES_NEWEST_FIRST)] {
            let plan = plan(&connection, &format!("{select} WHERE {} {order}", conditions.join(" AND ")));

            assert!(plan.contains("instances_by_tenant (tenant=?"), "{conditions:?}:\n{plan}");
            assert!(!scans(&plan) && !plan.contains("TEMP B-TREE"), "{conditions:?}:\n{plan}");
        }
    }
    for condition in [INSTANCES_OF_CORRELATION_ID, INSTANCES_OF_PARENT] {
        let plan = plan(&connection, &format!("{COUNT_INSTANCES} WHERE {INSTANCES_OF_TENANT_TOO} AND {condition}"));

        assert!(!plan.contains("instances_by_tenant") && !scans(&plan), "{condition}:\n{plan}");
    }
    let tasks: [&[&str]; 4] = [
        &[TASKS_OF_TENANT],
        &[TASKS_OF_TENANT, TASKS_WITH_STATUS, TASKS_FOR_ASSIGNEE],
        &[TASKS_OF_TENANT, TASKS_WITH_STATUS, TASKS_AFTER_ONE_WITH_DUE_TIME],
        &[TASKS_OF_TENANT, TASKS_OVERDUE],
    ];
    for conditions in tasks {
        for (select, order) in [(COUNT_TASKS, ""), (SELECT_TASKS, TASKS_BY_DUE_TIME)] {
            let plan = plan(&connection, &format!("{select} WHERE {} {order}", conditions.join(" AND ")));

            assert!(plan.contains("tasks_by_tenant (tenant=?") && !scans(&plan), "{conditions:?}:\n{plan}");
        }
    }
    let of_instance = plan(&connection, &format!("{SELECT_TASKS} WHERE {TASKS_OF_INSTANCE} AND {TASKS_OF_TENANT}"));
    assert!(!scans(&of_instance), "{of_instance}");
}

#[tokio::test]
async fn what_a_name_or_a_digest_means_to_a_tenant_is_found_without_a_look_at_others() {
    let (_store, folder) = registered().await;
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let definitions = format!("{DEFINITIONS_OF_OWNER_OR_SHARED} AND {DEFINITIONS_NOT_HIDDEN}");
    let components = format!("{COMPONENTS_OF_OWNER_OR_SHARED} AND {COMPONENTS_NOT_HIDDEN}");

    for sql in [
        format!("{SELECT_DEFINITIONS} WHERE {definitions} AND {DEFINITIONS_OF_NAME}"),
        format!("{SELECT_DEFINITION_KEYS} WHERE {definitions}"),
        format!("{SELECT_DEFINITION_KEYS} WHERE {DEFINITIONS_OF_NAME}"),
        format!("{SELECT_COMPONENTS} WHERE {components} AND {COMPONENTS_OF_NAME}"),
        format!("{SELECT_COMPONENT_KEYS} WHERE {components}"),
        format!("{SELECT_COMPONENTS} WHERE {COMPONENT_BY_DIGEST_SEEN_BY}"),
    ] {
        let plan = plan(&connection, &sql);

        assert!(!scans(&plan), "{sql}:\n{plan}");
    }
    let of_a_name = plan(&connection, &format!("{SELECT_DEFINITIONS} WHERE {definitions} AND {DEFINITIONS_OF_NAME}"));
    assert!(
        of_a_name.contains("SEARCH d USING INDEX sqlite_autoindex_definitions_2 (owner=? AND name=?)"),
        "{of_a_name}"
    );
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
