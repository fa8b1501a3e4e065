//! Brings a database's schema up to date: numbered scripts, each run once, in one transaction, and never changed.

use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, TransactionBehavior, params};

use super::open::APPLICATION_ID;
use super::{statements, upkeep};
use crate::error::StoreError;

/// Brings over what SQL alone can not.
type Conversion = fn(&Connection) -> Result<(), StoreError>;

struct Migration {
    number: u32,
    name: &'static str,
    script: &'static str,
    /// Runs right after the script.
    then: Option<Conversion>,
}

/// All there are, in order; append only.
const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "initial", script: include_str!("../../migrations/0001_initial.sql"), then: None },
    Migration {
        number: 2,
        name: "component_exports",
        script: include_str!("../../migrations/0002_component_exports.sql"),
        then: None,
    },
    Migration {
        number: 3,
        name: "workflow_language",
        script: include_str!("../../migrations/0003_workflow_language.sql"),
        then: None,
    },
    Migration { number: 4, name: "guard", script: include_str!("../../migrations/0004_guard.sql"), then: None },
    Migration {
        number: 5,
        name: "chain",
        script: include_str!("../../migrations/0005_chain.sql"),
        then: Some(upkeep::link_all),
    },
    Migration { number: 6, name: "owners", script: include_str!("../../migrations/0006_owners.sql"), then: None },
    Migration { number: 7, name: "access", script: include_str!("../../migrations/0007_access.sql"), then: None },
    Migration { number: 8, name: "webhooks", script: include_str!("../../migrations/0008_webhooks.sql"), then: None },
    Migration { number: 9, name: "bounds", script: include_str!("../../migrations/0009_bounds.sql"), then: None },
];

/// The schema that this version reads and writes.
pub(super) const KNOWN: u32 = MIGRATIONS[MIGRATIONS.len() - 1].number;

/// Runs the migrations that the database has not seen.
///
/// All in one exclusive transaction, so that of two processes that open a new file one finds it done. Foreign keys are off
/// when this returns: a script that builds a table anew drops the old one, whose rows others refer to, and SQLite looks at
/// the setting outside of transactions alone.
pub(super) fn run(connection: &mut Connection) -> Result<(), StoreError> {
    run_to(connection, KNOWN)
}

/// Runs the migrations that the database has not seen, as a version would do that knows none after `last`.
pub(super) fn run_to(connection: &mut Connection, last: u32) -> Result<(), StoreError> {
    connection.pragma_update(None, "foreign_keys", false)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(statements::CREATE_SCHEMA_VERSION)?;
    let found = verify(&transaction)?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.number > found && migration.number <= last) {
        transaction.execute_batch(migration.script)?;
        if let Some(then) = migration.then {
            then(&transaction)?;
        }
        let row = params![migration.number, migration.name, migration.script, now_ms()];
        transaction.execute(statements::INSERT_SCHEMA_VERSION, row)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(transaction.commit()?)
}

/// Makes a database look as if a later version had written it, for tests of what is told then.
///
/// # Errors
/// [`StoreError::Unavailable`] if the file can not be written to.
#[cfg(any(test, feature = "conformance"))]
pub fn mark_as_newer(path: impl AsRef<std::path::Path>) -> Result<(), StoreError> {
    let connection = Connection::open(path)?;
    connection.execute(statements::INSERT_SCHEMA_VERSION, params![KNOWN + 1, "later", "", now_ms()])?;
    Ok(())
}

/// Refuses a database whose schema is not exactly the one that this version knows.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    match verify(connection)? {
        KNOWN => Ok(()),
        found => Err(StoreError::Older { found, known: KNOWN }),
    }
}

/// Compares what was run with what is known, and returns the number of the last migration.
fn verify(connection: &Connection) -> Result<u32, StoreError> {
    let mut statement = connection.prepare(statements::LIST_SCHEMA_VERSIONS)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)))?;
    let done = rows.collect::<Result<Vec<_>, _>>()?;
    let found = done.last().map_or(0, |(number, _)| *number);
    if found > KNOWN {
        return Err(StoreError::Newer { found, known: KNOWN });
    }
    for (known, (number, script)) in MIGRATIONS.iter().zip(&done) {
        if known.number != *number || known.script != script {
            return Err(StoreError::damaged(format!("migration {number} was run with another text than it has now")));
        }
    }
    Ok(found)
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
