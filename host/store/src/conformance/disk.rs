//! A disk that fails as it is told to: for tests of what a store on SQLite does then.
//!
//! It stands between SQLite and the files. By plan it fails the n-th call of a kind, stores half of a write, takes its time,
//! or loses its power: then the files hold what was flushed, and any part of what was written since. Nothing is flushed for
//! real, as the machine under a test goes on. A write within one sector is stored whole or not at all, which is what SQLite
//! relies on, too.

mod vfs;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a disk stores whole or not at all.
const SECTOR_LEN_BYTES: usize = 512;

/// A call that can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Opening a file.
    Open,
    /// Reading from it.
    Read,
    /// Writing to it.
    Write,
    /// Writing to a file that is no log; a call of [`Operation::Write`], too.
    WriteDatabase,
    /// Cutting it off.
    Truncate,
    /// Flushing it.
    Sync,
    /// Mapping the index of the write-ahead log.
    ShmMap,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Open, Self::Read, Self::Write, Self::WriteDatabase, Self::Truncate, Self::Sync, Self::ShmMap];
}

/// What a call comes to that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It fails. Of a flush, any part may have happened, and no later one makes up for the rest.
    Error,
    /// There is no room. Of a write, half is stored.
    Full,
    /// Half of a write is stored; anything else fails.
    Torn,
    /// It takes that long.
    Slow(Duration),
    /// The power fails: nothing works from here on, and [`Disk::left`] is what is found afterwards.
    PowerCut,
}

/// What is to go wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which calls are counted.
    pub operation: Operation,
    /// Which of them goes wrong, from 1.
    pub nth: u64,
    /// What it comes to.
    pub how: How,
}

/// A disk under test, as a SQLite VFS of its own. It stays until the process ends.
#[derive(Debug)]
pub struct Disk {
    name: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    has_struck: bool,
    has_power: bool,
    calls: BTreeMap<Operation, u64>,
    random: Random,
    /// What is on the medium, of files that were opened.
    media: BTreeMap<PathBuf, Medium>,
    left: BTreeMap<PathBuf, Vec<u8>>,
}

/// One file as it would be found after a power cut.
#[derive(Debug, Default)]
struct Medium {
    flushed: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Written { at: usize, bytes: Vec<u8> },
    Truncated { len: usize },
}

/// What a call is to do.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Go,
    Fail,
    Full,
    Tear,
}

impl Disk {
    /// Makes a disk on which nothing goes wrong yet, and registers it under [`Disk::name`].
    ///
    /// # Panics
    /// If SQLite can not be told of it.
    #[must_use]
    pub fn new() -> &'static Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("stepcell-disk-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let state = State { has_power: true, ..State::default() };
        let disk: &'static Self = Box::leak(Box::new(Self { name, state: Mutex::new(state) }));
        vfs::register(disk);
        disk
    }

    /// The name of the VFS, for [`SqliteOptions`](crate::SqliteOptions).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Forgets all files and plans `fault`; counts calls from here on. What chance decides follows from the seed.
    pub fn plan(&self, fault: Option<Fault>, seed: u64) {
        *self.state() = State { fault, has_power: true, random: Random(seed), ..State::default() };
    }

    /// Plans `fault`, and counts calls from here on; files stay as they are.
    pub fn fail(&self, fault: Fault) {
        let mut state = self.state();
        state.fault = Some(fault);
        state.calls.clear();
    }

    /// How often something was called since the last plan.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.state().calls.get(&operation).copied().unwrap_or(0)
    }

    /// Whether what was planned has happened.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.state().has_struck
    }

    /// Puts what a power cut has left into a folder, under the names that the files had.
    ///
    /// # Errors
    /// If the files can not be written.
    pub fn left(&self, folder: &Path) -> std::io::Result<()> {
        for (path, content) in &self.state().left {
            if let Some(name) = path.file_name() {
                std::fs::write(folder.join(name), content)?;
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and says what it is to do.
    fn call(&self, operation: Operation) -> Verdict {
        let mut state = self.state();
        if !state.has_power {
            return Verdict::Fail;
        }
        let count = state.calls.entry(operation).or_default();
        *count += 1;
        let count = *count;
        let planned = state.fault.filter(|fault| fault.operation == operation && fault.nth == count);
        let Some(fault) = planned else { return Verdict::Go };
        state.has_struck = true;
        match fault.how {
            How::Error => Verdict::Fail,
            How::Full => Verdict::Full,
            How::Torn => Verdict::Tear,
            How::Slow(time) => {
                drop(state);
                std::thread::sleep(time);
                Verdict::Go
            }
            How::PowerCut => {
                state.cut_power();
                Verdict::Fail
            }
        }
    }

    /// Begins to follow a file, as it is found.
    fn opened(&self, path: &Path) {
        let mut state = self.state();
        if state.has_power && !state.media.contains_key(path) {
            let flushed = std::fs::read(path).unwrap_or_default();
            state.media.insert(path.to_owned(), Medium { flushed, pending: Vec::new() });
        }
    }

    fn deleted(&self, path: &Path) {
        self.state().media.remove(path);
    }

    fn changed(&self, path: &Path, change: Change) {
        if let Some(medium) = self.state().media.get_mut(path) {
            medium.pending.push(change);
        }
    }

    fn flushed(&self, path: &Path) {
        if let Some(medium) = self.state().media.get_mut(path) {
            let pending = std::mem::take(&mut medium.pending);
            pending.iter().for_each(|change| change.apply(&mut medium.flushed));
        }
    }

    /// A flush failed: some of it reached the medium, and the rest never will.
    fn half_flushed(&self, path: &Path) {
        let State { media, random, .. } = &mut *self.state();
        if let Some(medium) = media.get_mut(path) {
            let pending = std::mem::take(&mut medium.pending);
            pending.iter().for_each(|change| change.apply_or_not(&mut medium.flushed, random));
        }
    }
}

impl State {
    fn cut_power(&mut self) {
        self.has_power = false;
        for (path, medium) in &mut self.media {
            for change in std::mem::take(&mut medium.pending) {
                change.apply_or_not(&mut medium.flushed, &mut self.random);
            }
            self.left.insert(path.clone(), std::mem::take(&mut medium.flushed));
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Written { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
            Self::Truncated { len } => content.resize(*len, 0),
        }
    }

    /// Applies it, or half of it, or nothing, as chance will have it.
    fn apply_or_not(&self, content: &mut Vec<u8>, random: &mut Random) {
        match (random.below(8), self) {
            (0..4, _) => self.apply(content),
            (4, Self::Written { at, bytes }) => {
                let bytes = bytes[..half(bytes.len())].to_vec();
                Self::Written { at: *at, bytes }.apply(content);
            }
            _ => {}
        }
    }
}

/// Half of a write, in whole sectors.
const fn half(len: usize) -> usize {
    len / 2 / SECTOR_LEN_BYTES * SECTOR_LEN_BYTES
}

/// Numbers that follow from a seed alone (SplitMix64).
#[derive(Clone, Copy, Debug, Default)]
pub struct Random(pub u64);

impl Random {
    /// The next number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
