//! The context as one attempt sees it: a snapshot, and its own writes on top.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepcell_model::attempt::{ContextData, ContextWrites};
use stepcell_model::json::{Json, JsonError};
use stepcell_model::name::ContextKey;

use crate::budget::{CONTEXT_KEYS_MAX, CONTEXT_VALUE_BYTES_MAX, CONTEXT_WRITES_BYTES_MAX};

/// The context as one attempt sees it.
#[derive(Debug)]
pub(crate) struct Staged {
    snapshot: Arc<ContextData>,
    writes: ContextWrites,
    written_bytes: usize,
    may_write: bool,
}

/// The writes at one moment, to go back to.
#[derive(Debug)]
pub(crate) struct SavePoint {
    writes: ContextWrites,
    written_bytes: usize,
}

/// Why a write was refused. Nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum WriteRefusal {
    /// Only reading is allowed now.
    ReadOnly,
    /// The key is malformed.
    InvalidKey,
    /// The value is no JSON.
    InvalidJson(JsonError),
    /// The limit that would be passed, in bytes.
    TooLarge(usize),
}

impl Staged {
    /// A snapshot without writes, for reading only.
    pub(crate) const fn new(snapshot: Arc<ContextData>) -> Self {
        Self { snapshot, writes: ContextWrites::new(), written_bytes: 0, may_write: false }
    }

    /// Lets the attempt write from now on.
    pub(crate) const fn allow_writes(&mut self) {
        self.may_write = true;
    }

    /// The value of a key, the attempt's own writes first.
    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        match self.writes.get(key) {
            Some(written) => written.as_ref(),
            None => self.snapshot.get(key),
        }
    }

    /// The keys that begin with `prefix`, in byte order.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let written = self.writes.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key);
        let kept = self.snapshot.keys().filter(|key| !self.writes.contains_key(*key));
        let keys: BTreeSet<&str> =
            written.chain(kept).map(ContextKey::as_str).filter(|key| key.starts_with(prefix)).collect();
        keys.into_iter().map(str::to_owned).collect()
    }

    /// Writes a value.
    pub(crate) fn set(&mut self, key: &str, value: String) -> Result<(), WriteRefusal> {
        let key = self.writable(key)?;
        if value.len() > CONTEXT_VALUE_BYTES_MAX {
            return Err(WriteRefusal::TooLarge(CONTEXT_VALUE_BYTES_MAX));
        }
        let value = Json::parse(value).map_err(WriteRefusal::InvalidJson)?;
        self.stage(key, Some(value))
    }

    /// Removes a key, and says whether there was one.
    pub(crate) fn delete(&mut self, key: &str) -> Result<bool, WriteRefusal> {
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
        let is_one_too_many = replaced.is_none() && self.writes.len() >= CONTEXT_KEYS_MAX;
        if bytes > CONTEXT_WRITES_BYTES_MAX || is_one_too_many {
            return Err(WriteRefusal::TooLarge(CONTEXT_WRITES_BYTES_MAX));
        }
        self.written_bytes = bytes;
        self.writes.insert(key, value);
        Ok(())
    }

    /// Remembers the writes so far.
    pub(crate) fn save(&self) -> SavePoint {
        SavePoint { writes: self.writes.clone(), written_bytes: self.written_bytes }
    }

    /// Drops what was written since.
    pub(crate) fn go_back(&mut self, to: SavePoint) {
        self.writes = to.writes;
        self.written_bytes = to.written_bytes;
    }

    /// Takes the writes out.
    pub(crate) fn take_writes(&mut self) -> ContextWrites {
        std::mem::take(&mut self.writes)
    }

    /// The bytes of the writes, keys and values.
    pub(crate) const fn written_bytes(&self) -> usize {
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
    }

    #[test]
    fn a_refused_write_changes_nothing() {
        let mut staged = staged(&[]);

        assert_eq!(staged.set("engine.x", "1".to_owned()), Err(WriteRefusal::InvalidKey));
        assert!(matches!(staged.set("x", "{".to_owned()), Err(WriteRefusal::InvalidJson(_))));
        let long = format!("\"{}\"", "x".repeat(CONTEXT_VALUE_BYTES_MAX));
        assert_eq!(staged.set("x", long), Err(WriteRefusal::TooLarge(CONTEXT_VALUE_BYTES_MAX)));

        assert!(staged.take_writes().is_empty());
    }

    #[test]
    fn many_writes_are_limited_together_and_overwriting_gives_room_back() {
        let mut staged = staged(&[]);
        let value = format!("\"{}\"", "x".repeat(CONTEXT_VALUE_BYTES_MAX - 2));

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
