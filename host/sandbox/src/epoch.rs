//! The clock tick by which computing guests are interrupted.
//!
//! A thread of its own raises the epoch every few milliseconds while any attempt runs, and sleeps otherwise. At each
//! tick a guest gives way to others on its thread and its CPU time is looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

/// How often a computing guest is interrupted. Also how exact its CPU limit is.
pub(crate) const TICK: Duration = Duration::from_millis(2);

/// Raises the epoch of one engine until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    is_stopped: AtomicBool,
}

/// Keeps the ticker awake while an attempt runs, on whatever thread.
#[derive(Debug)]
pub(crate) struct Running(Arc<Shared>);

impl Ticker {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system said when it gave no thread.
    pub(crate) fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("stepcell-epoch".to_owned()).spawn(move || tick(&engine, &of_thread))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Keeps the epoch rising until the answer is dropped.
    pub(crate) fn keep_ticking(&self) -> Running {
        if self.shared.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.wake();
        }
        Running(Arc::clone(&self.shared))
    }

    fn wake(&self) {
        self.thread.as_ref().map(JoinHandle::thread).map(Thread::unpark).unwrap_or_default();
    }
}

fn tick(engine: &wasmtime::Engine, shared: &Shared) {
    while !shared.is_stopped.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) == 0 {
            thread::park();
        } else {
            thread::sleep(TICK);
            engine.increment_epoch();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
