//! What instances have to tell each other: the letters that were committed with their senders' transitions.

use std::collections::HashSet;

use rusqlite::Connection;
use stepcell_model::id::InstanceId;
use stepcell_model::letter::Letter;

use super::transition::text_of;
use super::{rows, statements};
use crate::error::StoreError;
use crate::query::{LIST_LEN_MAX, LetterKey};

pub(super) fn list(connection: &Connection, limit: u32) -> Result<Vec<(LetterKey, Letter)>, StoreError> {
    rows::list(connection, statements::LIST_LETTERS, [limit.min(LIST_LEN_MAX)], rows::letter)
}

pub(super) fn count(connection: &Connection) -> Result<u64, StoreError> {
    let count: i64 = connection.prepare_cached(statements::COUNT_LETTERS)?.query_row([], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// The instances that any letter is about.
pub(super) fn named(connection: &Connection) -> Result<HashSet<InstanceId>, StoreError> {
    let letters =
        rows::list(connection, statements::upkeep::LIST_ALL_LETTERS, [], |row| Ok(rows::letter(row)?.1.about()))?;
    Ok(letters.into_iter().flatten().collect())
}

/// Keys as [`remove`] wants them.
pub(super) fn encode(keys: &[LetterKey]) -> Result<String, StoreError> {
    text_of(&keys.iter().map(|key| key.0).collect::<Vec<_>>())
}

pub(super) fn remove(connection: &Connection, keys: &str) -> Result<(), StoreError> {
    connection.prepare_cached(statements::DELETE_LETTERS)?.execute([keys])?;
    Ok(())
}
