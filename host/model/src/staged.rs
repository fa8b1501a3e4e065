//! The context as one attempt sees it: a snapshot, and its own writes on top.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::attempt::{ContextData, ContextWrites};
use crate::failure::Failure;
use crate::json::{JSON_DEPTH_MAX, Json, JsonError};
use crate::name::ContextKey;

/// The largest value of the context, in bytes. Protects the store.
pub const VALUE_BYTES_MAX: usize = 256 << 10;

/// The most bytes that one attempt may write to the context, keys and values. Protects the store.
pub const WRITES_BYTES_MAX: usize = 4 << 20;

/// The most keys that one attempt may write. Protects the store.
pub const WRITES_LEN_MAX: usize = 1_000;

/// The context as one attempt sees it.
#[derive(Clone, Debug)]
pub struct Staged {
    snapshot: Arc<ContextData>,
    writes: ContextWrites,
    written_bytes: usize,
    value_bytes_max: usize,
    may_write: bool,
}

/// The writes at one moment, to go back to.
#[derive(Debug)]
pub struct SavePoint {
    writes: ContextWrites,
    written_bytes: usize,
}

/// Why a write was refused. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteRefusal {
    /// Only reading is allowed now.
    #[error("the context can only be read now; write in `execute` or in a hook")]
    ReadOnly,
    /// The key is malformed.
    #[error("a key has 1 to 256 bytes, no control characters, and does not begin with `engine.`")]
    InvalidKey,
    /// The value is no JSON that the engine takes.
    #[error("the value can not be kept: {0}")]
    InvalidJson(JsonError),
    /// The limit that would be passed, in bytes.
    #[error("it would pass the limit of {0} bytes; write less, or keep it elsewhere and write where")]
    TooLarge(usize),
}

impl From<WriteRefusal> for Failure {
    fn from(refusal: WriteRefusal) -> Self {
        let code = match refusal {
            WriteRefusal::ReadOnly => "context-read-only",
            WriteRefusal::InvalidKey => "invalid-key",
            WriteRefusal::InvalidJson(_) => "value-unwritable",
            WriteRefusal::TooLarge(_) => "value-too-large",
        };
        Self::new(code, format!("The context was not written: {refusal}."))
    }
}

impl Staged {
    /// A snapshot without writes, for reading only.
    #[must_use]
    pub const fn new(snapshot: Arc<ContextData>) -> Self {
        Self {
            snapshot,
            writes: ContextWrites::new(),
            written_bytes: 0,
            value_bytes_max: VALUE_BYTES_MAX,
            may_write: false,
        }
    }

    /// The same, in which no value may be larger than this; never more than [`VALUE_BYTES_MAX`].
    #[must_use]
    pub fn with_value_limit(self, bytes_max: u64) -> Self {
        let value_bytes_max = usize::try_from(bytes_max).unwrap_or(VALUE_BYTES_MAX).min(VALUE_BYTES_MAX);
        Self { value_bytes_max, ..self }
    }

    /// Lets the attempt write from now on.
    pub const fn allow_writes(&mut self) {
        self.may_write = true;
    }

    /// The value of a key, the attempt's own writes first.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self.writes.get(key) {
            Some(written) => written.as_ref(),
            None => self.snapshot.get(key),
        }
    }

    /// The keys that begin with `prefix`, in byte order.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let written = self.writes.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key);
        let kept = self.snapshot.keys().filter(|key| !self.writes.contains_key(*key));
        let keys: BTreeSet<&str> =
            written.chain(kept).map(ContextKey::as_str).filter(|key| key.starts_with(prefix)).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    /// The context with the writes so far.
    #[must_use]
    pub fn merged(&self) -> Arc<ContextData> {
        let mut merged = Arc::clone(&self.snapshot);
        if !self.writes.is_empty() {
            let data = Arc::make_mut(&mut merged);
            for (key, value) in &self.writes {
                match value {
                    Some(value) => drop(data.insert(key.clone(), value.clone())),
                    None => drop(data.remove(key)),
                }
            }
        }
        merged
    }

    /// Writes a value that is text.
    ///
    /// # Errors
    /// [`WriteRefusal`] if it may not be written, or the text is no JSON.
    pub fn set(&mut self, key: &str, value: String) -> Result<(), WriteRefusal> {
        let key = self.writable(key)?;
        if value.len() > self.value_bytes_max {
            return Err(WriteRefusal::TooLarge(self.value_bytes_max));
        }
        let value = Json::parse(value).map_err(WriteRefusal::InvalidJson)?;
        self.stage(key, Some(value))
    }

    /// Writes a value.
    ///
    /// # Errors
    /// [`WriteRefusal`] if it may not be written.
    pub fn put(&mut self, key: &str, value: Json) -> Result<(), WriteRefusal> {
        let key = self.writable(key)?;
        if value.len_bytes() > self.value_bytes_max {
            return Err(WriteRefusal::TooLarge(self.value_bytes_max));
        }
        if value.depth() > JSON_DEPTH_MAX {
            return Err(WriteRefusal::InvalidJson(JsonError::TooDeep));
        }
        self.stage(key, Some(value))
    }

    /// Removes a key, and says whether there was one.
    ///
    /// # Errors
    /// [`WriteRefusal`] if it may not be written.
    pub fn delete(&mut self, key: &str) -> Result<bool, WriteRefusal> {
        let key = self.writable(key)?;
        let existed = self.get(key.as_str()).is_some();
        self.stage(key, None)?;
        Ok(existed)
    }

    fn writable(&self, key: &str) -> Result<ContextKey, WriteRefusal> {
        if !self.may_write {
            return Err(WriteRefusal::ReadOnly);
        }
        ContextKey::new(key).map_err(|_| WriteRefusal::InvalidKey)
    }

    fn stage(&mut self, key: ContextKey, value: Option<Json>) -> Result<(), WriteRefusal> {
        let replaced = self.writes.get(key.as_str());
        let bytes = self.written_bytes - replaced.map_or(0, |old| size_bytes(&key, old.as_ref()))
            + size_bytes(&key, value.as_ref());
        let is_one_too_many = replaced.is_none() && self.writes.len() >= WRITES_LEN_MAX;
        if bytes > WRITES_BYTES_MAX || is_one_too_many {
            return Err(WriteRefusal::TooLarge(WRITES_BYTES_MAX));
        }
        self.written_bytes = bytes;
        self.writes.insert(key, value);
        Ok(())
    }

    /// Remembers the writes so far.
    #[must_use]
    pub fn save(&self) -> SavePoint {
        SavePoint { writes: self.writes.clone(), written_bytes: self.written_bytes }
    }

    /// Drops what was written since.
    pub fn go_back(&mut self, to: SavePoint) {
        self.writes = to.writes;
        self.written_bytes = to.written_bytes;
    }

    /// Takes the writes out.
    pub fn take_writes(&mut self) -> ContextWrites {
        std::mem::take(&mut self.writes)
    }

    /// The bytes of the writes, keys and values.
    #[must_use]
    pub const fn written_bytes(&self) -> usize {
        self.written_bytes
    }
}

fn size_bytes(key: &ContextKey, value: Option<&Json>) -> usize {
    key.as_str().len() + value.map_or(0, Json::len_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(keys: &[&str]) -> Staged {
        let snapshot = keys.iter().map(|key| (ContextKey::new(key).unwrap(), Json::null())).collect();
        let mut staged = Staged::new(Arc::new(snapshot));
        staged.allow_writes();
        staged
    }

    #[test]
    fn reads_see_the_snapshot_and_own_writes() {
        let mut staged = staged(&["a", "b"]);

        assert_eq!(staged.delete("a"), Ok(true));
        assert_eq!(staged.delete("a"), Ok(false));
        assert_eq!(staged.set("c", "[1]".to_owned()), Ok(()));

        assert_eq!(staged.keys(""), ["b", "c"]);
        assert!(staged.get("a").is_none());
        assert_eq!(staged.merged().keys().map(ContextKey::as_str).collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn a_refused_write_changes_nothing() {
        let mut staged = staged(&[]);

        assert_eq!(staged.set("engine.x", "1".to_owned()), Err(WriteRefusal::InvalidKey));
        assert!(matches!(staged.set("x", "{".to_owned()), Err(WriteRefusal::InvalidJson(_))));
        let deep = (0..JSON_DEPTH_MAX).fold(serde_json::json!([]), |inner, _| serde_json::json!([inner]));
        assert_eq!(staged.put("x", deep.into()), Err(WriteRefusal::InvalidJson(JsonError::TooDeep)));
        let long = format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX));
        assert_eq!(staged.set("x", long), Err(WriteRefusal::TooLarge(VALUE_BYTES_MAX)));

        assert!(staged.take_writes().is_empty());
    }

    #[test]
    fn many_writes_are_limited_together_and_overwriting_gives_room_back() {
        let mut staged = staged(&[]);
        let value = format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX - 2));

        let results: Vec<_> = (0..16).map(|at| staged.set(&format!("key{at}"), value.clone())).collect();

        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 15);
        assert_eq!(staged.set("key0", "1".to_owned()), Ok(()));
        assert_eq!(staged.set("key15", value), Ok(()));
    }

    #[test]
    fn going_back_drops_what_was_written_since() {
        let mut staged = staged(&[]);
        staged.set("kept", "1".to_owned()).unwrap();
        let point = staged.save();
        staged.set("dropped", "2".to_owned()).unwrap();

        staged.go_back(point);

        assert_eq!(staged.take_writes().len(), 1);
    }
}
