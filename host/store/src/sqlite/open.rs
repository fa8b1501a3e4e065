//! Opens connections, each for one purpose, and tells our databases from other files.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SqliteOptions;
use super::failure::at_first_look;
use super::migrate;
use crate::error::StoreError;

/// Marks a file as ours, at a fixed place in its header ("Step" in ASCII).
pub(super) const APPLICATION_ID: i32 = 0x5374_6570;

/// The rights of a new file: those of its owner. It holds what tenants entrust to their workflows.
const FILE_MODE: u32 = 0o600;

/// The size of a page of a new file. Eight KiB hold several executions and cost less per transition than four.
const PAGE_SIZE_BYTES: u32 = 8 * 1024;

/// How many prepared statements a connection keeps; more than there are.
const STATEMENTS_MAX: usize = 64;

/// How long a checkpoint waits for readers and the writer before it leaves the rest to the next one.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(50);

/// Opens the connection that writes; makes or migrates the database.
pub(super) fn for_writing(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    make_private(path);
    let mut connection = open(path, flags, options.vfs(), options.busy_timeout)?;
    if first_look(&connection, path)? == Kind::Empty {
        connection.pragma_update(None, "page_size", PAGE_SIZE_BYTES)?;
    }
    use_write_ahead_log(&connection, path, options.busy_timeout)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    migrate::run(&mut connection)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Makes a file that is not there yet so that only its owner may read it: SQLite would let everybody, and gives its log and
/// its index the same rights. What stands in the way is told when SQLite opens it.
fn make_private(path: &Path) {
    let made = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path);
    drop(made);
}

/// Opens the connection that moves the write-ahead log into the database.
pub(super) fn for_checkpoints(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags, options.vfs(), CHECKPOINT_WAIT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// Opens a connection that never writes.
pub(super) fn for_reading(path: &Path, options: &SqliteOptions) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags, options.vfs(), options.busy_timeout)?;
    connection.pragma_update(None, "query_only", true).map_err(|error| at_first_look(path, error))?;
    match first_look(&connection, path)? {
        Kind::Ours => Ok(connection),
        Kind::Empty => Err(StoreError::NotADatabase { path: path.to_owned(), reason: "it is empty".to_owned() }),
    }
}

fn open(path: &Path, flags: OpenFlags, vfs: Option<&str>, busy_timeout: Duration) -> Result<Connection, StoreError> {
    let connection = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    };
    let connection = connection.map_err(|error| at_first_look(path, error))?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    Empty,
}

/// Reads, and only reads, what the file is; in one transaction, since another process may be making it.
fn first_look(connection: &Connection, path: &Path) -> Result<Kind, StoreError> {
    let look = |error| at_first_look(path, error);
    let connection = connection.unchecked_transaction().map_err(look)?;
    let id = connection.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0)).map_err(look)?;
    let tables =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).map_err(look)?;
    match (id, tables) {
        (APPLICATION_ID, _) => Ok(Kind::Ours),
        (0, 0) => Ok(Kind::Empty),
        _ => Err(StoreError::NotADatabase {
            path: path.to_owned(),
            reason: "it is another program's SQLite database".to_owned(),
        }),
    }
}

/// Turns on the write-ahead log. SQLite does not wait for others in this, so that is done here.
fn use_write_ahead_log(connection: &Connection, path: &Path, busy_timeout: Duration) -> Result<(), StoreError> {
    let began = Instant::now();
    loop {
        let outcome = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match outcome {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => return Ok(()),
            Ok(mode) => {
                let reason = format!("its journal mode stays `{mode}`; the write-ahead log needs a local disk");
                return Err(StoreError::NotADatabase { path: path.to_owned(), reason });
            }
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && began.elapsed() < busy_timeout =>
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => return Err(at_first_look(path, error)),
        }
    }
}
