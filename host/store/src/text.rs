//! The text of our own documents, the same for every back end: links of chains are computed over it.

use serde::Serialize;

use crate::error::StoreError;

/// The JSON of one of our own documents. Only what a caller put together wrongly can not be written.
pub(crate) fn text_of<T: Serialize + ?Sized>(document: &T) -> Result<String, StoreError> {
    serde_json::to_string(document)
        .map_err(|error| StoreError::damaged(format!("a document can not be written as JSON: {error}")))
}
