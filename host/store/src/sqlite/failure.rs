//! What an error of SQLite means to callers.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Error, ErrorCode};

use crate::error::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        during("use the database", error)
    }
}

/// Classifies an error that came while the store tried to do `action`.
pub(super) fn during(action: &str, error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::damaged(error.to_string()),
        Some(_) => StoreError::Unavailable { action: action.to_owned(), source: Arc::new(error) },
        None if is_misread(&error) => StoreError::damaged(error.to_string()),
        None => StoreError::Unavailable { action: action.to_owned(), source: Arc::new(error) },
    }
}

/// Whether an error of the connection that writes leaves open what reached the disk.
///
/// A full disk, a lock that somebody else holds and a broken constraint do not: nothing of the transaction is stored then.
/// After a flush that failed, though, the system may have dropped what it could not write, and may answer the next flush
/// with success. That is so for the database file, too: SQLite moves the log into it in parts, flushes only after the last
/// one, and would not write the others again. So nothing is flushed again by this process.
pub(super) fn is_in_doubt(error: &StoreError) -> bool {
    let StoreError::Unavailable { source, .. } = error else { return false };
    let code = source.downcast_ref::<Error>().and_then(Error::sqlite_error_code);
    code == Some(ErrorCode::SystemIoFailure)
}

/// Classifies an error that came at the first look at a file: what is no database here is no damage yet.
pub(super) fn at_first_look(path: &Path, error: Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::NotADatabase { path: path.to_owned(), reason: error.to_string() }
        }
        _ => during(&format!("open the database `{}`", path.display()), error),
    }
}

/// Whether a value was not of the type that its column holds.
fn is_misread(error: &Error) -> bool {
    matches!(
        error,
        Error::FromSqlConversionFailure(..)
            | Error::IntegralValueOutOfRange(..)
            | Error::InvalidColumnType(..)
            | Error::Utf8Error(..)
            | Error::QueryReturnedNoRows
    )
}
