//! What instances have to tell each other: the letters that were committed with their senders' transitions.

use rusqlite::Connection;
use stepcell_model::letter::Letter;

use super::transition::text_of;
use super::{rows, statements};
use crate::error::StoreError;
use crate::query::{LIST_LEN_MAX, LetterKey};

pub(super) fn list(connection: &Connection, limit: u32) -> Result<Vec<(LetterKey, Letter)>, StoreError> {
    rows::list(connection, statements::LIST_LETTERS, [limit.min(LIST_LEN_MAX)], rows::letter)
}

/// Keys as [`remove`] wants them.
pub(super) fn encode(keys: &[LetterKey]) -> Result<String, StoreError> {
    text_of(&keys.iter().map(|key| key.0).collect::<Vec<_>>())
}

pub(super) fn remove(connection: &Connection, keys: &str) -> Result<(), StoreError> {
    connection.prepare_cached(statements::DELETE_LETTERS)?.execute([keys])?;
    Ok(())
}
