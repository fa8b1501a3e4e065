//! Who gets which worker: one that has worked for the same tenant, or a new one. No worker ever sees two tenants.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stepcell_model::attempt::{HostFault, StepCall};
use stepcell_model::id::ComponentDigest;
use stepcell_outbound::Outbound;

use super::handle::{NoAnswer, Worker};
use super::wire::WorkOrder;
use crate::child::ChildCommand;
use crate::child::nursery::Nursery;
use crate::compile::NotReady;
use crate::config::Walls;
use crate::entry::{Entry, Report};
use crate::turns::Whose;

/// How many workers that nobody has used are kept ready, so that a tenant's first attempt need not wait for one.
const FRESH_MAX: usize = 1;

/// Workers that wait for work.
pub(crate) struct Workers {
    nursery: Arc<Nursery>,
    command: ChildCommand,
    walls: Walls,
    idle_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that have worked for a tenant, longest idle first.
    idle: VecDeque<Worker>,
    fresh: Vec<Worker>,
    fresh_to_come: usize,
}

impl Workers {
    /// Workers for that many attempts at once.
    pub(crate) fn new(nursery: Arc<Nursery>, command: ChildCommand, walls: Walls, idle_max: usize) -> Arc<Self> {
        Arc::new(Self { nursery, command, walls, idle_max, state: Mutex::default() })
    }

    /// Has a worker of the tenant load code, which shows whether it can be run.
    ///
    /// # Errors
    /// [`NotReady`].
    pub(crate) async fn try_code(
        self: &Arc<Self>,
        whose: Whose,
        digest: ComponentDigest,
        artifact: &[u8],
    ) -> Result<(), NotReady> {
        let started = self.take(&whose, &digest).await;
        let mut worker = started.map_err(|error| NotReady::Died(error.to_string()))?;
        match worker.load(digest, artifact).await {
            Ok(()) => self.give_back(worker, whose),
            Err(NotReady::Died(reason)) => {
                worker.mourn(&reason);
                return Err(NotReady::Died(reason));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Enters a cell in a worker of the tenant. Dropping the future kills the worker.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        artifact: &[u8],
        call: &StepCall,
        entry: &Entry,
        outbound: &Arc<dyn Outbound>,
    ) -> Report {
        let whose = call.info.tenant.clone();
        let mut worker = match self.take(&whose, &call.component).await {
            Ok(worker) => worker,
            Err(error) => {
                tracing::error!("no worker process can be started: {error}");
                return entry.failed(no_worker());
            }
        };
        match worker.load(call.component, artifact).await {
            Ok(()) => {}
            Err(NotReady::Died(reason)) => return entry.broken(worker.find_fault(&reason).await),
            Err(error) => {
                worker.mourn(&format!("{error:?}"));
                return entry.broken(HostFault::WorkerDied);
            }
        }
        match worker.enter(call, entry, outbound).await {
            Ok(mut report) => {
                // Whoever has panicked may be left in any state.
                if report.trace_mut().host_fault.is_none() {
                    self.give_back(worker, whose);
                }
                report
            }
            Err(NoAnswer::TooLate) => {
                worker.mourn("it did not end its attempt in time");
                let mut report = entry.failed(call.limits.time_limit().exceeded());
                report.trace_mut().host_fault = Some(HostFault::WorkerDied);
                report
            }
            Err(NoAnswer::Gone(error)) => entry.broken(worker.find_fault(&error.to_string()).await),
            Err(NoAnswer::Lied(error)) => {
                worker.mourn(&error.to_string());
                entry.broken(HostFault::WorkerDied)
            }
        }
    }

    async fn take(self: &Arc<Self>, whose: &Whose, digest: &ComponentDigest) -> io::Result<Worker> {
        // One that has died while it waited is nobody's loss.
        let found = std::iter::from_fn(|| self.state().take(whose, digest))
            .find_map(|mut worker| worker.is_alive().then_some(worker));
        let taken = match found {
            Some(worker) => Ok(worker),
            None => self.start().await,
        };
        self.start_ahead();
        taken
    }

    async fn start(&self) -> io::Result<Worker> {
        Worker::start(Arc::clone(&self.nursery), self.command.clone(), WorkOrder { walls: self.walls }).await
    }

    /// Starts workers for those who come next.
    fn start_ahead(self: &Arc<Self>) {
        let mut state = self.state();
        while state.fresh.len() + state.fresh_to_come < FRESH_MAX {
            state.fresh_to_come += 1;
            let workers = Arc::clone(self);
            tokio::spawn(async move {
                let started = workers.start().await;
                let mut state = workers.state();
                state.fresh_to_come -= 1;
                // Whoever needs one tries again, and says what stands in the way.
                state.fresh.extend(started);
            });
        }
    }

    fn give_back(&self, mut worker: Worker, whose: Whose) {
        if !worker.is_fit() {
            return;
        }
        worker.whose = Some(whose);
        let mut state = self.state();
        state.idle.push_back(worker);
        if state.idle.len() > self.idle_max {
            state.idle.pop_front();
        }
    }

    /// Lets go of every worker that waits.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.idle.clear();
        state.fresh.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// One that has the code of the tenant's component, or one of the tenant's, or one that is nobody's yet.
    fn take(&mut self, whose: &Whose, digest: &ComponentDigest) -> Option<Worker> {
        let is_own = |worker: &Worker| worker.whose.as_ref() == Some(whose);
        let loaded = self.idle.iter().position(|worker| is_own(worker) && worker.has_loaded(digest));
        let own = loaded.or_else(|| self.idle.iter().position(is_own));
        own.and_then(|index| self.idle.remove(index)).or_else(|| self.fresh.pop())
    }
}

fn no_worker() -> stepcell_model::failure::Failure {
    let message = "The host could not start a process for the step.";
    stepcell_model::failure::Failure::engine(stepcell_model::failure::EngineCode::Host, message)
}
