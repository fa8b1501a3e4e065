//! What instances have to tell each other, in memory.

use std::collections::{BTreeMap, HashSet};

use stepcell_model::id::InstanceId;
use stepcell_model::letter::Letter;

use crate::query::{LIST_LEN_MAX, LetterKey};

#[derive(Debug, Default)]
pub(super) struct Letters {
    waiting: BTreeMap<LetterKey, Letter>,
    /// How many were written so far; the last one's key.
    written: u64,
}

impl Letters {
    pub(super) fn write(&mut self, letters: Vec<Letter>) {
        for letter in letters {
            self.written += 1;
            self.waiting.insert(LetterKey(self.written), letter);
        }
    }

    pub(super) fn list(&self, limit: u32) -> Vec<(LetterKey, Letter)> {
        let oldest = self.waiting.iter().take(limit.min(LIST_LEN_MAX) as usize);
        oldest.map(|(key, letter)| (*key, letter.clone())).collect()
    }

    pub(super) fn count(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// The instances that any letter is about.
    pub(super) fn about(&self) -> HashSet<InstanceId> {
        self.waiting.values().flat_map(Letter::about).collect()
    }

    pub(super) fn remove(&mut self, keys: &[LetterKey]) {
        for key in keys {
            self.waiting.remove(key);
        }
    }
}
