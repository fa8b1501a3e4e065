//! Files: ours, other people's, damaged ones, and those of other versions.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::super::migrate::KNOWN;
use super::{OPTIONS, execute, fixture, open, refusal, registered};
use crate::{SqliteStore, StoreError, WorkflowStore};

#[test]
fn a_file_that_is_no_database_is_refused_and_left_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    for content in ["no database", &"no database either ".repeat(1_000), "SQLite format 3\0 but only the beginning"] {
        std::fs::write(&path, content).unwrap();

        let error = refusal(&path);

        assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
        assert!(error.to_string().contains("notes.txt` is not a stepcell database"), "{error}");
        assert!(SqliteStore::open_read_only(&path, OPTIONS).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was put beside it");
    }
}

#[tokio::test]
async fn a_new_file_is_its_owners_alone_and_so_is_what_stands_beside_it() {
    let (store, folder) = registered().await;
    let mode = |name: &str| folder.path().join(name).metadata().unwrap().permissions().mode() & 0o777;

    assert_eq!(["store.db", "store.db-wal", "store.db-shm"].map(mode), [0o600; 3]);

    drop(store);
    std::fs::set_permissions(folder.path().join("store.db"), Permissions::from_mode(0o640)).unwrap();
    let _store = open(&folder.path().join("store.db"));
    assert_eq!(mode("store.db"), 0o640, "whoever opened it to a group has decided so");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    execute(&path, "CREATE TABLE notes (text TEXT)");
    let content = std::fs::read(&path).unwrap();

    let error = refusal(&path);

    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[tokio::test]
async fn a_database_whose_pages_are_overwritten_is_refused() {
    let (store, folder) = registered().await;
    drop(store);
    let path = folder.path().join("store.db");
    let mut content = std::fs::read(&path).unwrap();
    content[100..4_000].fill(0xAB);
    std::fs::write(&path, &content).unwrap();

    let error = refusal(&path);

    assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[tokio::test]
async fn a_row_that_does_not_read_back_is_damage_and_names_its_column() {
    let (store, folder) = registered().await;
    store.commit(fixture::start(1)).await.unwrap();
    execute(&folder.path().join("store.db"), "UPDATE instances SET status = 'sleeping'");

    let error = store.load_instance(fixture::instance(1)).await.unwrap_err();

    assert!(matches!(&error, StoreError::Damaged { what } if what.contains("`status`")), "{error:?}");
}

#[tokio::test]
async fn component_bytes_that_changed_on_disk_are_damage() {
    let (store, folder) = registered().await;
    let record = fixture::component("acme/pay", "1.0.0", b"bytes");
    store.insert_component(record.clone(), b"bytes".as_slice().into()).await.unwrap();
    execute(&folder.path().join("store.db"), "UPDATE component_bytes SET bytes = x'00'");

    let error = store.load_component_bytes(&record.digest).await.unwrap_err();

    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let (store, folder) = registered().await;
    drop(store);
    let path = folder.path().join("store.db");
    super::super::mark_as_newer(&path).unwrap();

    for error in [refusal(&path), SqliteStore::open_read_only(&path, OPTIONS).unwrap_err()] {
        assert!(matches!(error, StoreError::Newer { found, known: KNOWN } if found == KNOWN + 1), "{error:?}");
    }
}

#[tokio::test]
async fn a_database_that_ran_another_migration_is_refused() {
    let (store, folder) = registered().await;
    drop(store);
    let path = folder.path().join("store.db");
    execute(&path, "UPDATE schema_version SET script = script || ' ' WHERE number = 1");

    let error = refusal(&path);

    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
async fn reading_an_older_database_asks_for_its_migration() {
    let (store, folder) = registered().await;
    drop(store);
    let path = folder.path().join("store.db");
    execute(&path, "DELETE FROM schema_version");

    let error = SqliteStore::open_read_only(&path, OPTIONS).unwrap_err();

    assert!(matches!(error, StoreError::Older { found: 0, .. }), "{error:?}");
}

#[test]
fn a_missing_file_is_not_made_for_reading() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.db");

    let error = SqliteStore::open_read_only(&path, OPTIONS).unwrap_err();

    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("missing.db"), "{error}");
    assert!(!path.exists());
}

#[test]
fn the_committed_schema_is_what_the_migrations_make() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    drop(open(&path));
    let connection = rusqlite::Connection::open(&path).unwrap();
    let ours = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*' ORDER BY rowid";
    let mut statement = connection.prepare(ours).unwrap();
    let made = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let made = made.map(|sql| format!("{};\n", sql.unwrap())).collect::<Vec<_>>().join("\n");

    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.sql");
    if std::env::var_os("STEPCELL_BLESS").is_some() {
        std::fs::write(&committed, &made).unwrap();
    }

    let committed = std::fs::read_to_string(committed).unwrap_or_default();
    assert!(committed == made, "schema.sql is out of date; run this test with STEPCELL_BLESS=1 and commit the file");
}
