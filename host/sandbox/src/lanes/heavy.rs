//! The heavy lane: threads on which attempts that compute long take turns.
//!
//! As many attempts compute at once as there are threads; whoever else can go on stands in line. The threads have a low
//! priority, so that whatever else the host does comes first; they still get what is left, and a part in any case.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{getpriority_process, setpriority_process};
use stepcell_model::name::TenantId;

use super::task::{Task, Work};
use super::turns::Turns;

/// How much less than the host's other threads the system prefers those of the lane, as `nice` counts: they get about a
/// tenth of the time of a processor that another one wants.
const NICE: i32 = 10;

/// The least that the system can prefer anything.
const NICE_MAX: i32 = 19;

/// Threads that run attempts until it is dropped.
#[derive(Debug)]
pub(crate) struct HeavyLane {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the lane's threads have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    line: Mutex<Line>,
    changed: Condvar,
}

#[derive(Debug)]
struct Line {
    turns: Turns<Arc<Task>>,
    is_closed: bool,
}

/// An attempt in the lane; it is stopped when this is dropped.
#[derive(Debug)]
pub(crate) struct InLane(Arc<Task>);

impl HeavyLane {
    /// Starts the threads.
    ///
    /// # Errors
    /// What the system said when it gave no thread.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let line = Line { turns: Turns::new(), is_closed: false };
        let shared = Arc::new(Shared { line: Mutex::new(line), changed: Condvar::new() });
        let mut lane = Self { shared, threads: Vec::with_capacity(threads) };
        for _ in 0..threads {
            let shared = Arc::clone(&lane.shared);
            let thread = thread::Builder::new().name("stepcell-heavy".to_owned()).spawn(move || work(&shared))?;
            lane.threads.push(thread);
        }
        Ok(lane)
    }

    /// Takes in an attempt that can go on.
    pub(crate) fn run(&self, tenant: Option<TenantId>, work: Work) -> InLane {
        let task = Task::new(Arc::downgrade(&self.shared), tenant, work);
        self.shared.line_up(Arc::clone(&task));
        InLane(task)
    }

    /// What every thread of the lane holds as long as it lives.
    #[cfg(test)]
    pub(crate) fn shared_by(&self) -> std::sync::Weak<Shared> {
        Arc::downgrade(&self.shared)
    }
}

impl InLane {
    /// How long the attempt has computed in the lane.
    pub(crate) fn cpu(&self) -> Duration {
        self.0.cpu()
    }
}

impl Drop for InLane {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Shared {
    /// Puts an attempt in line that can go on.
    pub(crate) fn line_up(&self, task: Arc<Task>) {
        let mut line = self.lock();
        let tenant = task.tenant().clone();
        line.turns.push(&tenant, task);
        drop(line);
        self.changed.notify_one();
    }

    /// Waits for whoever has the next turn; none once the lane is closed.
    fn next(&self) -> Option<Arc<Task>> {
        let mut line = self.lock();
        loop {
            if line.is_closed {
                return None;
            }
            if let Some(task) = line.turns.begin() {
                return Some(task);
            }
            line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(shared: &Shared) {
    // On Linux the priority is a thread's own.
    if let Err(error) = getpriority_process(None).and_then(|now| setpriority_process(None, (now + NICE).min(NICE_MAX)))
    {
        tracing::warn!(%error, "steps that compute long run with the priority of everything else");
    }
    while let Some(task) = shared.next() {
        let took = task.take_turn();
        shared.lock().turns.end(task.tenant(), took);
    }
}

impl Drop for HeavyLane {
    fn drop(&mut self) {
        let left = {
            let mut line = self.shared.lock();
            line.is_closed = true;
            line.turns.drain()
        };
        drop(left);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
