//! Databases of earlier versions: opening one brings it up to date and keeps what is in it.

use std::path::Path;

use rusqlite::{Connection, params};
use stepcell_model::component::ComponentExports;
use stepcell_model::json::Json;

use super::{OPTIONS, fixture, open};
use crate::sqlite::migrate;
use crate::{SqliteStore, StoreError, WorkflowStore};

/// Makes a database as it was after the migration of that number.
fn database_of(last: u32, path: &Path) -> Connection {
    let mut connection = Connection::open(path).unwrap();
    migrate::run_up_to(last, &mut connection).unwrap();
    connection
}

#[tokio::test]
async fn components_from_before_exports_were_kept_are_steps() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let record = fixture::component("acme/pay", "1.0.0", b"bytes");
    let old = database_of(1, &path);
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
    assert_eq!(store.find_component_by_digest(&record.digest).await.unwrap().as_ref(), Some(&record));
    assert_eq!(store.load_component_bytes(&record.digest).await.unwrap().as_deref(), Some(b"bytes".as_slice()));
    drop(store);
    assert_eq!(open(&path).list_components(None).await.unwrap(), [record]);
}
