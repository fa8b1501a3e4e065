//! Counts what an engine does: plain numbers that cost next to nothing to keep, for whoever watches it.
//!
//! Nothing here is kept over a restart, and nothing is told by tenant, workflow or step: whoever wants that asks history.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use stepcell_model::event_type::EventType;
use stepcell_model::failure::Failure;
use stepcell_model::history::Event;
use tokio::time::Instant;

use crate::engine::WorkflowEngine;

/// The upper ends of the classes that commits are put into by how long they took, in microseconds; one more class has the rest.
pub const COMMIT_CLASSES_US: [u64; 12] =
    [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000];

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptClass {
    /// It succeeded.
    Succeeded,
    /// `can-execute` said no.
    Skipped,
    /// The step said that it failed.
    Failed,
    /// The engine ended it: a limit, a trap, a component that may not run.
    Ended,
}

impl AttemptClass {
    /// Every class.
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Skipped, Self::Failed, Self::Ended];

    /// The class in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }

    fn of_failure(failure: &Failure) -> Self {
        if failure.code.as_str().starts_with("engine.") { Self::Ended } else { Self::Failed }
    }

    /// How an attempt ended, where an event tells of the end of one.
    fn of_event(event: &Event) -> Option<Self> {
        match event {
            Event::StepCompleted { attempt: 1.., .. } => Some(Self::Succeeded),
            Event::StepSkipped { .. } => Some(Self::Skipped),
            Event::StepFailed { attempt: 1.., failure, .. } | Event::StepRetryScheduled { failure, .. } => {
                Some(Self::of_failure(failure))
            }
            _ => None,
        }
    }
}

/// What an engine has done since it was made, and what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineCounts {
    /// How many events of each type were committed.
    pub events: Vec<(EventType, u64)>,
    /// How many attempts ended in each way.
    pub attempts: Vec<(AttemptClass, u64)>,
    /// How many commits took no longer than each end in [`COMMIT_CLASSES_US`], those of the classes before among them.
    pub commits_by_class: Vec<u64>,
    /// How many transitions, or runs of them, were committed.
    pub commits: u64,
    /// How long all of those took together.
    pub commits_took: Duration,
    /// How many the store refused or could not take.
    pub commits_refused: u64,
    /// How many attempts may run at once.
    pub room: usize,
    /// How many do.
    pub room_in_use: usize,
    /// How many wait for room.
    pub room_waiting: usize,
    /// How many instances are being moved.
    pub drivers: usize,
    /// For how long the first instance has waited to be woken whose time has come.
    pub due_lag: Duration,
}

/// What the engine keeps of that.
#[derive(Debug)]
pub(crate) struct Counts {
    events: [AtomicU64; EventType::ALL.len()],
    attempts: [AtomicU64; AttemptClass::ALL.len()],
    commit_classes: [AtomicU64; COMMIT_CLASSES_US.len() + 1],
    commits_took_us: AtomicU64,
    commits_refused: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            events: std::array::from_fn(|_| AtomicU64::new(0)),
            attempts: std::array::from_fn(|_| AtomicU64::new(0)),
            commit_classes: std::array::from_fn(|_| AtomicU64::new(0)),
            commits_took_us: AtomicU64::new(0),
            commits_refused: AtomicU64::new(0),
        }
    }
}

/// What a commit will have done, noted before it is handed over.
#[derive(Debug)]
pub(crate) struct Committing {
    since: Instant,
    /// The indexes of what is counted: types of events, and classes of attempts.
    events: Vec<(usize, Option<usize>)>,
}

impl Committing {
    pub(crate) fn of(events: &[Event]) -> Self {
        let index = |event: &Event| {
            let class = AttemptClass::of_event(event);
            (event.event_type() as usize, class.map(|class| class as usize))
        };
        Self { since: Instant::now(), events: events.iter().map(index).collect() }
    }
}

impl Counts {
    /// A commit was taken.
    pub(crate) fn committed(&self, committing: &Committing) {
        let took_us = u64::try_from(committing.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let class = COMMIT_CLASSES_US.partition_point(|end_us| *end_us < took_us);
        self.commit_classes[class].fetch_add(1, Ordering::Relaxed);
        self.commits_took_us.fetch_add(took_us, Ordering::Relaxed);
        for (event, attempt) in &committing.events {
            self.events[*event].fetch_add(1, Ordering::Relaxed);
            if let Some(attempt) = attempt {
                self.attempts[*attempt].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A commit was not taken.
    pub(crate) fn refused(&self) {
        self.commits_refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl WorkflowEngine {
    /// What the engine has done by now, and what it does.
    #[must_use]
    pub fn counts(&self) -> EngineCounts {
        let inner = &self.inner;
        let counts = &inner.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut commits = 0;
        let sums = counts.commit_classes.iter().map(|class| {
            commits += read(class);
            commits
        });
        let mut commits_by_class: Vec<_> = sums.collect();
        commits_by_class.pop();
        let (room, room_in_use, room_waiting) = inner.room.occupancy();
        let now = inner.clock.now();
        EngineCounts {
            events: EventType::ALL.iter().copied().zip(counts.events.iter().map(read)).collect(),
            attempts: AttemptClass::ALL.into_iter().zip(counts.attempts.iter().map(read)).collect(),
            commits_by_class,
            commits,
            commits_took: Duration::from_micros(read(&counts.commits_took_us)),
            commits_refused: read(&counts.commits_refused),
            room,
            room_in_use,
            room_waiting,
            drivers: inner.drivers.load(Ordering::Relaxed),
            due_lag: inner.wakes.peek().map_or(Duration::ZERO, |due| now.since(due)),
        }
    }
}
