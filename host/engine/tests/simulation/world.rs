//! What is outside of the engine in one simulation: time, chance, whoever accepts effects, and what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use stepcell_engine::fail::{FailAction, FailPoint, TransitionKind};
use stepcell_engine::{Clock, IdSource, Sleep};
use stepcell_model::history::HistoryEntry;
use stepcell_model::id::{ExecutionId, InstanceId, TaskId};
use stepcell_model::time::Timestamp;
use stepcell_store::MemoryStore;
use tokio::time::Instant;
use uuid::Uuid;

/// When every simulation begins.
pub const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

/// Chance: the same for the same seed.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice of their own for what `what` names.
    pub fn of(seed: u64, what: impl Hash) -> Self {
        // Made anew each time, and with fixed keys: the same in every process.
        let mut hasher = DefaultHasher::new();
        (seed, what).hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The next 64 bits.
    ///
    /// Source: `SplitMix64`, <https://prng.di.unimi.it/splitmix64.c>.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `sides`.
    pub const fn roll(&mut self, sides: u64) -> u64 {
        self.bits() % if sides == 0 { 1 } else { sides }
    }

    /// Whether something happens that does so `times` in a thousand.
    pub const fn happens(&mut self, times: u64) -> bool {
        self.roll(1_000) < times
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> Option<&'a T> {
        among.get(usize::try_from(self.roll(among.len() as u64)).unwrap())
    }
}

/// A clock that runs with the runtime's paused time.
#[derive(Debug)]
pub struct VirtualClock(Instant);

impl VirtualClock {
    /// How long the simulation has run.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        START.after(self.0.elapsed())
    }

    fn sleep_until(&self, at: Timestamp) -> Sleep {
        let until = self.0 + at.since(START);
        Box::pin(tokio::time::sleep_until(until))
    }
}

/// Ids that follow from the seed.
#[derive(Debug)]
pub struct DrawnIds(Mutex<(u64, Dice)>);

impl IdSource for DrawnIds {
    fn next_id(&self) -> Uuid {
        let mut ids = self.0.lock().unwrap();
        ids.0 += 1;
        let rest = (u128::from(ids.0) << 16 | u128::from(ids.1.bits() as u16)).to_be_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&rest[6..]);
        uuid::Builder::from_unix_timestamp_millis(START.unix_ms().unsigned_abs() + ids.0, &tail).into_uuid()
    }

    fn next_secret(&self) -> [u8; 32] {
        let bits = self.0.lock().unwrap().1.bits().to_be_bytes();
        std::array::from_fn(|at| bits[at % 8])
    }
}

/// Something that the engine acknowledged, so that it must be found afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    Started { instance: InstanceId, key: String },
    Completed { task: TaskId, user: String },
    Claimed { task: TaskId, user: String },
    Canceled { instance: InstanceId },
    Paused { instance: InstanceId },
    Retried { instance: InstanceId },
    Sent { instance: InstanceId },
    Delivered { instance: InstanceId, id: String },
}

/// A fail point, with what is committed there.
pub type Place = (FailPoint, Option<TransitionKind>);

/// A place at which something goes wrong once: when it is reached for the `nth` time.
#[derive(Clone, Copy, Debug)]
pub struct Aim {
    pub place: Place,
    pub nth: usize,
    pub action: FailAction,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// What happened, line by line.
    pub trace: Vec<String>,
    pub acknowledged: Vec<Acknowledged>,
    /// What the feed of events told, by position.
    pub told: Vec<HistoryEntry>,
    /// The effects that the outside accepted: execution, attempt, and which function.
    effects: BTreeSet<(ExecutionId, u32, &'static str)>,
    /// How often attempts ran at all.
    pub attempts: usize,
    pub commits: usize,
    pub crashes: usize,
    /// How often each fail point was reached; at those of commits, with what was committed.
    pub reached: BTreeMap<Place, usize>,
    /// Where something is to go wrong, in tests that choose the place.
    pub aim: Option<Aim>,
    pub violations: Vec<String>,
    /// Short names of instances, in the order in which they were seen.
    names: BTreeMap<InstanceId, usize>,
}

/// Everything outside of the engine.
pub struct World {
    pub seed: u64,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<VirtualClock>,
    pub ids: Arc<DrawnIds>,
    seen: Mutex<Seen>,
}

impl World {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            seed,
            store: Arc::new(MemoryStore::new()),
            clock: Arc::new(VirtualClock(Instant::now())),
            ids: Arc::new(DrawnIds(Mutex::new((0, Dice::of(seed, "ids"))))),
            seen: Mutex::default(),
        })
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Notes what happens now.
    pub fn note(&self, what: impl AsRef<str>) {
        let at = self.clock.elapsed().as_millis();
        self.seen().trace.push(format!("{at:>8} ms  {}", what.as_ref()));
    }

    /// Notes that something was broken.
    pub fn violated(&self, what: String) {
        self.note(format!("VIOLATION: {what}"));
        self.seen().violations.push(what);
    }

    /// Counts that a fail point was reached; says what was chosen to happen there, if this is the time.
    pub fn reached(&self, place: Place) -> Option<FailAction> {
        let mut seen = self.seen();
        let count = seen.reached.entry(place).or_default();
        *count += 1;
        let count = *count;
        seen.aim.filter(|aim| aim.place == place && aim.nth == count).map(|aim| aim.action)
    }

    pub fn acknowledge(&self, what: Acknowledged) {
        self.seen().acknowledged.push(what);
    }

    /// A short name of an instance.
    pub fn name(&self, id: InstanceId) -> String {
        let mut seen = self.seen();
        let next = seen.names.len();
        let number = *seen.names.entry(id).or_insert(next);
        format!("i{number}")
    }

    /// Somebody outside takes an effect: never the same one twice.
    pub fn accept(&self, execution: ExecutionId, attempt: u32, function: &'static str) {
        if !self.seen().effects.insert((execution, attempt, function)) {
            self.violated(format!("the effect of `{function}` of attempt {attempt} of {execution} was taken twice"));
        }
    }
}
