//! What runs for one instance: attempts, hooks, and waiting for room.
//!
//! One that runs alone runs in the driver's own task, which saves making another and waking a thread for it; what comes
//! beside it gets tasks of their own.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use stepcell_model::id::ExecutionNumber;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::work::Done;

/// What runs for one instance.
#[derive(Default)]
pub(super) struct Crew {
    /// Whatever runs in the driver's own task.
    here: Option<(ExecutionNumber, BoxFuture<'static, Option<Done>>)>,
    /// Everything else, those who wait for room among it.
    elsewhere: JoinSet<Done>,
    handles: HashMap<ExecutionNumber, AbortHandle>,
}

/// Whose work the host's own code panicked in.
pub(super) struct Panicked(pub(super) ExecutionNumber);

impl Crew {
    /// Begins to run something for an execution.
    pub(super) fn begin(&mut self, number: ExecutionNumber, work: impl Future<Output = Done> + Send + 'static) {
        self.stop(number);
        if self.is_idle() {
            let guarded = AssertUnwindSafe(work).catch_unwind().map(Result::ok);
            self.here = Some((number, guarded.boxed()));
        } else {
            let handle = self.elsewhere.spawn(work);
            self.handles.insert(number, handle);
        }
    }

    /// Begins to wait for something that is no execution's work.
    pub(super) fn wait_for(&mut self, what: impl Future<Output = Done> + Send + 'static) {
        self.elsewhere.spawn(what);
    }

    /// Whether something runs for an execution.
    pub(super) fn runs(&self, number: ExecutionNumber) -> bool {
        self.here.as_ref().is_some_and(|(here, _)| *here == number) || self.handles.contains_key(&number)
    }

    /// Whether nothing runs for any execution.
    pub(super) fn is_idle(&self) -> bool {
        self.here.is_none() && self.handles.is_empty()
    }

    /// Whether there is nothing whose end is still to come.
    pub(super) fn is_empty(&self) -> bool {
        self.here.is_none() && self.elsewhere.is_empty()
    }

    /// Stops whatever runs for executions that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(ExecutionNumber) -> bool) {
        self.here.take_if(|(number, _)| !keep(*number));
        self.handles.retain(|number, work| {
            let kept = keep(*number);
            if !kept {
                work.abort();
            }
            kept
        });
    }

    /// Stops everything, those who wait for room too.
    pub(super) fn disband(&mut self) {
        self.here = None;
        self.handles.clear();
        self.elsewhere.abort_all();
        self.elsewhere.detach_all();
    }

    /// The next end; never, where nothing runs.
    pub(super) async fn next(&mut self) -> Result<Done, Panicked> {
        let Self { here, elsewhere, handles } = self;
        loop {
            let ended = tokio::select! {
                biased;
                (number, done) = end_of(here) => {
                    return done.ok_or(Panicked(number));
                }
                Some(ended) = elsewhere.join_next_with_id() => ended,
                else => std::future::pending().await,
            };
            if let Some(ended) = end_elsewhere(handles, ended) {
                return ended;
            }
        }
    }

    /// The next end, if there is one by now.
    pub(super) fn try_next(&mut self) -> Option<Result<Done, Panicked>> {
        while let Some(ended) = self.elsewhere.try_join_next_with_id() {
            if let Some(ended) = end_elsewhere(&mut self.handles, ended) {
                return Some(ended);
            }
        }
        None
    }

    fn stop(&mut self, number: ExecutionNumber) {
        self.retain(|kept| kept != number);
    }
}

/// Waits for what runs here; forever, where nothing does.
async fn end_of(
    here: &mut Option<(ExecutionNumber, BoxFuture<'static, Option<Done>>)>,
) -> (ExecutionNumber, Option<Done>) {
    let Some((number, work)) = here else { return std::future::pending().await };
    let ended = (*number, work.await);
    *here = None;
    ended
}

/// What an end elsewhere means; nothing, where it was stopped: its number may be another's by now.
fn end_elsewhere(
    handles: &mut HashMap<ExecutionNumber, AbortHandle>,
    ended: Result<(Id, Done), JoinError>,
) -> Option<Result<Done, Panicked>> {
    match ended {
        Ok((_, room @ Done::Room(..))) => Some(Ok(room)),
        Ok((id, done)) => whose(handles, id).map(|_| Ok(done)),
        Err(error) if error.is_panic() => whose(handles, error.id()).map(|number| Err(Panicked(number))),
        Err(_) => None,
    }
}

/// Takes the execution that a task works for, if it still does.
fn whose(handles: &mut HashMap<ExecutionNumber, AbortHandle>, id: Id) -> Option<ExecutionNumber> {
    let number = handles.iter().find(|(_, work)| work.id() == id).map(|(number, _)| *number)?;
    handles.remove(&number);
    Some(number)
}
