//! Databases of older versions: they are brought up to date in place, and hold what they held.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::params;
use serde_json::json;
use stepcell_model::access::{Fingerprint, IdempotencyClaim, IdempotencyRoom, Reservation};
use stepcell_model::chain::ChainCheck;
use stepcell_model::component::{Capability, ComponentExports};
use stepcell_model::id::{ComponentDigest, ExecutionNumber, InstanceId};
use stepcell_model::instance::{Phase, Place, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::record::ComponentRecord;
use stepcell_model::record::MessageChange;
use stepcell_model::status::{StepStatus, WorkflowStatus};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;
use uuid::Uuid;

use super::super::migrate;
use super::{OPTIONS, fixture, open};
use crate::{
    AccessStore, ComponentFilter, Deletion, InstanceFilter, Owners, SqliteStore, StoreError, TaskFilter, UpkeepStore,
    WorkflowStore,
};

/// What the first version had written: an instance that waits for a person and two that run; all are named by `id(n)`.
const ROWS_OF_THE_FIRST_VERSION: &str = r#"
INSERT INTO definitions (key, id, name, version, document, components, is_active, created_at)
VALUES (1, unhex('00000000000000000000000000000064'), 'expense', '1.0.0', '{"name":"expense"}', '[]', 1, 5);

INSERT INTO instances (key, id, definition, seq, status, current_step, wake_at, started_at, tenant, correlation_id,
    idempotency_key, control)
VALUES
    (1, unhex('00000000000000000000000000000001'), 1, 3, 'waiting', 'review', 900, 10, 'acme', 'order/17', 'once',
     '{"executions":2,"ended":1,"active":[{"number":2,"step":"review","phase":{"awaiting_task":{"task":"00000000-0000-0000-0000-0000000000c8"}},"arrivals":[{"step":"check","execution":1,"has_result":true}],"attempts":0,"activated_at":"1970-01-01T00:00:00.020Z"}],"events":7,"history_bytes":120}'),
    (2, unhex('00000000000000000000000000000002'), 1, 1, 'running', 'check', NULL, 11, NULL, NULL, NULL,
     '{"executions":1,"ended":0,"active":[{"number":1,"step":"check","phase":"running","attempts":1,"activated_at":"1970-01-01T00:00:00.011Z"}]}'),
    (3, unhex('00000000000000000000000000000003'), 1, 1, 'running', 'check', NULL, 12, NULL, NULL, NULL,
     '{"executions":1,"ended":0,"active":[{"number":1,"step":"check","phase":{"scheduled":{"not_before":null}},"attempts":0,"activated_at":"1970-01-01T00:00:00.012Z"}]}');

INSERT INTO starts (instance, input, metadata)
VALUES (1, '{"amount": 12.50}', '{"region":"eu"}'), (2, 'null', '{}'), (3, 'null', '{}');

INSERT INTO context_values (instance, key, value) VALUES (1, 'amount', '12.50');

INSERT INTO executions (instance, number, step, step_type, status, attempts, started_at, completed_at, ended_order, input,
    output)
VALUES (1, 1, 'check', 'machine', 'succeeded', 2, 11, 19, 1, '{"given":1}', '{"returned":1}'),
    (1, 2, 'review', 'human', 'waiting', 0, 20, NULL, NULL, NULL, NULL);

INSERT INTO tasks (id, instance, execution, step, tenant, title, status, created_at)
VALUES (unhex('000000000000000000000000000000C8'), 1, 2, 'review', 'acme', 'Approve expense', 'pending', 20);

INSERT INTO history (instance, seq, at, events)
VALUES (1, 1, 10, '[{"type":"workflow_started","user":"ann"}]'), (1, 2, 19, '[]'), (2, 1, 11, '[]'), (3, 1, 12, '[]'),
    (1, 3, 20, '[{"type":"workflow_waiting"}]');

INSERT INTO nudges (instance) VALUES (2);
"#;

fn id(number: u128) -> InstanceId {
    InstanceId::from_uuid(Uuid::from_u128(number))
}

/// A database that the first version made and wrote to.
fn make_first_version(path: &Path) {
    let mut connection = rusqlite::Connection::open(path).unwrap();
    migrate::run_to(&mut connection, 1).unwrap();
    connection.execute_batch(ROWS_OF_THE_FIRST_VERSION).unwrap();
}

async fn load(store: &SqliteStore, number: u128) -> WorkflowInstance {
    store.load_instance(id(number)).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_database_of_the_first_version_is_migrated_in_place_and_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    make_first_version(&path);
    let older = SqliteStore::open_read_only(&path, OPTIONS).unwrap_err();
    assert!(matches!(older, StoreError::Older { found: 1, known: migrate::KNOWN }), "{older:?}");

    let store = open(&path);

    let instance = load(&store, 1).await;
    assert_eq!((instance.seq, instance.state.status), (3, WorkflowStatus::Waiting));
    assert_eq!(instance.identity.input.text(), r#"{"amount": 12.50}"#);
    assert_eq!(instance.identity.idempotency_key.as_deref(), Some("once"));
    assert_eq!(instance.identity.parent, None);
    assert_eq!(*instance.context, BTreeMap::from([(fixture::key("amount"), Json::from(json!(12.5)))]));
    assert_eq!(instance.results, BTreeMap::from([(ExecutionNumber(1), json!({ "returned": 1 }).into())]));
    assert_eq!(instance.tasks[&ExecutionNumber(2)].title, "Approve expense");
    assert!(instance.messages.is_empty());
    let active = &instance.state.control.active[0];
    assert!(matches!(active.phase, Phase::AwaitingTask { timeout_at: None, .. }), "{active:?}");
    assert_eq!(active.place, Place::Graph);

    let executions = store.list_executions(id(1)).await.unwrap();
    assert_eq!(
        executions.iter().map(|row| (row.status, row.attempts, row.part_of, row.item)).collect::<Vec<_>>(),
        [(StepStatus::Succeeded, 2, None, None), (StepStatus::Waiting, 0, None, None)]
    );
    assert_eq!(store.list_instances(&InstanceFilter::default()).await.unwrap().total, 3);
    let order = InstanceFilter { correlation_id: Some("order/17".to_owned()), ..InstanceFilter::default() };
    assert_eq!(store.list_instances(&order).await.unwrap().total, 1);
    assert_eq!(store.list_tasks(&TaskFilter::default()).await.unwrap().total, 1);
    assert_eq!(store.list_history_after(0, 10).await.unwrap().len(), 5);
    assert_eq!(store.next_wake().await.unwrap().map(Timestamp::unix_ms), Some(900));
    assert_eq!(store.take_nudges().await.unwrap(), [id(2)]);
    assert!(store.list_letters(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_instances_of_the_first_version_keep_is_summed_once_and_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    make_first_version(&path);
    let texts = [
        r#"{"amount": 12.50}"#,
        r#"{"region":"eu"}"#,
        r#"[{"type":"workflow_started","user":"ann"}]"#,
        "[]",
        r#"[{"type":"workflow_waiting"}]"#,
        "12.50",
        r#"{"given":1}"#,
        r#"{"returned":1}"#,
    ];

    let used = open(&path).load_tenant_use(&fixture::tenant("acme"), 0).await.unwrap();

    let kept = texts.iter().map(|text| text.len() as u64).sum();
    assert_eq!((used.open_instances, used.stored_bytes), (1, kept));
}

#[tokio::test]
async fn each_instance_of_the_first_version_gets_a_secret_of_its_own_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    make_first_version(&path);
    let secrets = async |store: &SqliteStore| {
        let mut secrets = Vec::new();
        for number in 1..=3 {
            secrets.push(*load(store, number).await.identity.callback_secret.as_bytes());
        }
        secrets
    };
    let store = open(&path);
    let migrated = secrets(&store).await;
    drop(store);

    let mut distinct = migrated.clone();
    distinct.sort_unstable();
    distinct.dedup();

    assert_eq!(distinct.len(), 3);
    assert!(!distinct.contains(&[0; 32]));
    assert_eq!(secrets(&open(&path)).await, migrated);
}

#[tokio::test]
async fn an_instance_of_the_first_version_goes_on_with_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    make_first_version(&path);
    let store = open(&path);
    let before = load(&store, 2).await;

    let last = Transition { identity: before.identity.clone(), state: before.state.clone(), ..fixture::start(2) };
    let mut next = fixture::after(&last);
    next.state.control.messages = 1;
    next.messages = vec![MessageChange::Kept(fixture::message(1))];
    next.letters = vec![fixture::letter(9)];
    store.commit(next).await.unwrap();

    let after = load(&store, 2).await;
    assert_eq!((after.seq, &after.identity), (2, &before.identity));
    assert_eq!(after.messages, BTreeMap::from([(1, fixture::message(1))]));
    assert_eq!(store.list_letters(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn histories_of_the_first_version_are_linked_and_instances_go_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    make_first_version(&path);
    let store = open(&path);
    let before = load(&store, 2).await;

    let last = Transition { identity: before.identity.clone(), state: before.state.clone(), ..fixture::start(2) };
    let next = Transition { chain: before.chain, ..fixture::after(&last) };
    store.commit(next).await.unwrap();

    for (number, links) in [(1, 3), (2, 2), (3, 1)] {
        let kept = store.list_links_of(id(number), 0, 10).await.unwrap();
        let mut check = ChainCheck::new(id(number));
        kept.iter().for_each(|kept| check.take(kept.link.as_ref().unwrap()));
        let checked = check.finish(&kept[0].head);
        assert_eq!((checked.links, checked.breaks), (links, Vec::new()));
    }
}

#[tokio::test]
async fn an_instance_without_a_link_does_not_read_back() {
    let (store, folder) = super::registered().await;
    store.commit(fixture::start(1)).await.unwrap();
    super::execute(&folder.path().join("store.db"), "UPDATE instances SET chain = NULL");

    let error = store.load_instance(fixture::instance(1)).await.unwrap_err();

    assert!(matches!(&error, StoreError::Damaged { what } if what.contains("chain")), "{error:?}");
}

#[tokio::test]
async fn an_instance_without_a_secret_does_not_read_back() {
    let (store, folder) = super::registered().await;
    store.commit(fixture::start(1)).await.unwrap();
    super::execute(&folder.path().join("store.db"), "UPDATE starts SET callback_secret = NULL");

    let error = store.load_instance(fixture::instance(1)).await.unwrap_err();

    assert!(matches!(&error, StoreError::Damaged { what } if what.contains("callback_secret")), "{error:?}");
}

#[tokio::test]
async fn components_from_before_exports_were_kept_are_steps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let record = ComponentRecord {
        capabilities: vec![Capability::Secrets, Capability::Clock, Capability::Randomness],
        tenant: None,
        ..fixture::component("acme/pay", "1.0.0", b"bytes")
    };
    let mut old = rusqlite::Connection::open(&path).unwrap();
    migrate::run_to(&mut old, 1).unwrap();
    let digest = record.digest.as_bytes();
    old.execute("INSERT INTO component_bytes (key, digest, bytes) VALUES (1, ?1, ?2)", params![digest, b"bytes"])
        .unwrap();
    let (manifest, created_at) = (record.manifest.as_ref().map(Json::text), record.created_at.unix_ms());
    old.execute(
        "INSERT INTO components (name, version, bytes, manifest, size_bytes, created_at)
         VALUES ('acme/pay', '1.0.0', 1, ?1, 5, ?2)",
        params![manifest, created_at],
    )
    .unwrap();
    drop(old);

    let unread = SqliteStore::open_read_only(&path, OPTIONS).unwrap_err();
    let store = open(&path);

    assert!(matches!(unread, StoreError::Older { found: 1, .. }), "{unread:?}");
    assert_eq!(record.exports, ComponentExports::Step);
    assert_eq!(store.find_component_by_digest(&record.digest, &Owners::All).await.unwrap().as_ref(), Some(&record));
    assert_eq!(store.load_component_bytes(&record.digest).await.unwrap().as_deref(), Some(b"bytes".as_slice()));
    drop(store);
    assert_eq!(open(&path).list_components(&ComponentFilter::default()).await.unwrap().items, [record]);
}

#[tokio::test]
async fn definitions_and_components_of_before_keep_their_instances_and_get_owners() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut old = rusqlite::Connection::open(&path).unwrap();
    migrate::run_to(&mut old, 5).unwrap();
    old.execute_batch(ROWS_OF_THE_FIRST_VERSION).unwrap();
    old.execute_batch(
        "UPDATE definitions SET pure_steps = '[\"check\"]', description = 'For money.';
         UPDATE instances SET chain = zeroblob(32);
         UPDATE starts SET callback_secret = randomblob(32);",
    )
    .unwrap();
    for (key, tenant) in [(1, Some("acme")), (2, None)] {
        let bytes = format!("bytes {key}");
        let digest = ComponentDigest::of(bytes.as_bytes());
        let made = params![key, digest.as_bytes(), bytes.as_bytes()];
        old.execute("INSERT INTO component_bytes (key, digest, bytes) VALUES (?1, ?2, ?3)", made).unwrap();
        old.execute(
            "INSERT INTO components (name, version, bytes, size_bytes, created_at, tenant)
             VALUES (?1, '1.0.0', ?2, 7, 5, ?3)",
            params![format!("pay-{key}"), key, tenant],
        )
        .unwrap();
    }
    drop(old);

    let store = open(&path);

    let (name, one) = (fixture::workflow("expense"), fixture::version("1.0.0"));
    let definition = store.find_definition(None, &name, &one).await.unwrap().unwrap();
    assert_eq!((definition.id.as_uuid().as_u128(), definition.tenant), (0x64, None));
    assert_eq!(definition.description.as_deref(), Some("For money."));
    assert_eq!((definition.document.text(), definition.is_active), (r#"{"name":"expense"}"#, true));
    assert_eq!(definition.pure_steps, [fixture::step("check")]);
    let instance = load(&store, 1).await;
    assert_eq!((instance.identity.definition, &instance.identity.workflow_name), (definition.id, &name));
    assert_eq!(store.delete_definition(None, &name, &one).await.unwrap(), Deletion::InUse { instances: 3 });
    let components = store.list_components(&ComponentFilter::default()).await.unwrap().items;
    let owners: Vec<_> = components.iter().map(|record| (record.name.as_str(), record.tenant.as_ref())).collect();
    assert_eq!(owners, [("pay-1", Some(&fixture::tenant("acme"))), ("pay-2", None)]);
    assert!(store.load_component_bytes(&components[0].digest).await.unwrap().is_some());
    drop(store);

    let connection = rusqlite::Connection::open(&path).unwrap();
    let violations = connection.prepare("PRAGMA foreign_key_check").unwrap().exists([]).unwrap();
    assert!(!violations, "what instances and components refer to is there");
    let refused = connection.execute("DELETE FROM definitions", []).unwrap_err().to_string();
    assert!(refused.contains("FOREIGN KEY"), "instances refer to the new table: {refused}");
}

#[tokio::test]
async fn answers_that_an_earlier_version_kept_count_against_the_room_of_their_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let mut connection = rusqlite::Connection::open(&path).unwrap();
    migrate::run_to(&mut connection, 8).unwrap();
    let row = "INSERT INTO idempotency (tenant, key, fingerprint, at, status, location, body) VALUES ('acme', ?1, ?2, 0, 201, '/x', '{}')";
    for key in ["a", "bb"] {
        connection.execute(row, params![key, [0_u8; 32]]).unwrap();
    }
    drop(connection);

    let store = open(&path);

    let claim = |tenant: &str, ms| IdempotencyClaim {
        tenant: Some(tenant.parse().unwrap()),
        key: "c".to_owned(),
        fingerprint: Fingerprint::of(&[]),
        at: Timestamp::from_unix_ms(ms),
    };
    let bytes = IdempotencyRoom { requests: 9, bytes: 11 };
    let requests = IdempotencyRoom { requests: 2, bytes: 99 };
    for full in [bytes, requests] {
        assert_eq!(store.claim_idempotency(claim("acme", 1), full).await.unwrap(), Reservation::Full);
    }
    assert_eq!(store.claim_idempotency(claim("bolt", 1), bytes).await.unwrap(), Reservation::New);
    assert_eq!(store.forget_idempotency(Timestamp::from_unix_ms(1)).await.unwrap(), 2);
    assert_eq!(store.claim_idempotency(claim("acme", 2), bytes).await.unwrap(), Reservation::New);
}
