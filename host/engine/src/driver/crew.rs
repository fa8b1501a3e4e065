//! What runs for one instance: attempts, hooks, and waiting for room.
//!
//! One that runs alone runs in the driver's own task, which saves making another and waking a thread for it; what comes
//! beside it gets tasks of their own.

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::Poll;

use futures::FutureExt as _;
use futures::future::{BoxFuture, MaybeDone, maybe_done};
use stepcell_model::id::ExecutionNumber;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::work::Done;

/// What runs for one instance.
#[derive(Default)]
pub(super) struct Crew {
    /// Whatever runs in the driver's own task.
    here: Option<Here>,
    /// Everything else, those who wait for room among it.
    elsewhere: JoinSet<Done>,
    handles: HashMap<ExecutionNumber, AbortHandle>,
}

/// Work in the driver's own task; without what came of it, where it panicked.
type Here = (ExecutionNumber, MaybeDone<BoxFuture<'static, Option<Done>>>);

/// Whose work the host's own code panicked in.
pub(super) struct Panicked(pub(super) ExecutionNumber);

impl Crew {
    /// Begins to run something for an execution.
    pub(super) fn begin(&mut self, number: ExecutionNumber, work: impl Future<Output = Done> + Send + 'static) {
        self.stop(number);
        if self.is_idle() {
            let guarded = AssertUnwindSafe(work).catch_unwind().map(Result::ok);
            self.here = Some((number, maybe_done(guarded.boxed())));
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

    /// Waits for something of the driver's own while what runs here goes on: others may wait for what that holds.
    pub(super) async fn meanwhile<T>(&mut self, own: impl Future<Output = T>) -> T {
        let mut own = pin!(own);
        poll_fn(|context| {
            let polled = own.as_mut().poll(context);
            if polled.is_pending()
                && let Some((_, work)) = &mut self.here
            {
                // Its end is kept until somebody asks for it.
                let _: Poll<()> = Pin::new(work).poll(context);
            }
            polled
        })
        .await
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
async fn end_of(here: &mut Option<Here>) -> (ExecutionNumber, Option<Done>) {
    let Some((number, work)) = here else { return std::future::pending().await };
    (&mut *work).await;
    let ended = (*number, Pin::new(work).take_output().flatten());
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

#[cfg(test)]
mod tests {
    use stepcell_model::attempt::{AttemptTrace, ContextWrites, HookReport};
    use tokio::sync::oneshot;

    use super::*;

    fn done(number: ExecutionNumber) -> Done {
        Done::Hook(number, HookReport { writes: ContextWrites::new(), failure: None, trace: AttemptTrace::default() })
    }

    #[tokio::test]
    async fn what_runs_here_goes_on_while_its_driver_waits_for_what_it_holds() {
        let (release, held) = oneshot::channel();
        let number = ExecutionNumber(1);
        let mut crew = Crew::default();
        crew.begin(number, async move {
            tokio::task::yield_now().await;
            let _ = release.send(());
            done(number)
        });

        let told = crew.meanwhile(held).await;

        assert!(told.is_ok());
        assert!(crew.runs(number), "its end is not forgotten");
        assert!(matches!(crew.next().await, Ok(Done::Hook(ended, _)) if ended == number));
        assert!(crew.is_empty());
    }

    #[tokio::test]
    async fn a_panic_costs_what_panicked_and_nothing_beside_it() {
        let (here, beside) = (ExecutionNumber(1), ExecutionNumber(2));
        let mut crew = Crew::default();
        crew.begin(here, async move { panic!("it broke") });
        crew.begin(beside, async move { done(beside) });

        let mut ended = Vec::new();
        while !crew.is_empty() {
            ended.push(match crew.next().await {
                Ok(Done::Hook(number, _)) => (number, "done"),
                Ok(_) => unreachable!("nothing else was begun"),
                Err(Panicked(number)) => (number, "panicked"),
            });
        }

        ended.sort_unstable();
        assert_eq!(ended, [(here, "panicked"), (beside, "done")]);
    }

    #[tokio::test]
    async fn what_was_stopped_tells_of_no_end_even_if_its_number_runs_again() {
        let number = ExecutionNumber(1);
        let mut crew = Crew::default();
        crew.begin(ExecutionNumber(9), std::future::pending());
        crew.begin(number, async move { done(ExecutionNumber(2)) });
        crew.retain(|_| false);
        crew.begin(number, async move { done(number) });

        assert!(matches!(crew.next().await, Ok(Done::Hook(ended, _)) if ended == number));
        assert!(crew.try_next().is_none());
    }
}
