//! How one attempt goes: a fresh cell, `can-execute`, `execute`, `on-success`, and a report of all of it.
//!
//! Every entry into the guest is measured and bounded in time, and the guest's future is dropped at its deadline. What
//! it wrote is kept only if `execute` succeeded, and what `on-success` wrote only if that succeeded too.
//!
//! A gateway goes the same way in a cell of its own, with `evaluate` alone: that is in `evaluate.rs`.

mod evaluate;

use std::sync::Arc;

use stepcell_model::attempt::{
    AttemptOutcome, AttemptReport, AttemptTrace, CellLimits, ContextWrites, HookReport, StepCall, TimeLimit,
};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::json::{Json, JsonError};
use tokio::time::Instant;
use wasmtime::{Store, UpdateDeadline};

use crate::budget::{CALL_BYTES_MAX, FAILURE_DETAILS_BYTES_MAX};
use crate::cell::{Cell, CellHost};
use crate::config::Wall;
use crate::trap::failure_of;
use crate::wit::bindings::stepcell::step::types::StepFailure;
use crate::wit::bindings::{StepComponent, StepComponentPre};

pub(crate) use self::evaluate::run_gateway;

/// Runs one attempt of a step.
pub(crate) async fn run(host: &CellHost, step: &StepComponentPre<Cell>, call: Box<StepCall>) -> AttemptReport {
    let mut attempt = Attempt::begin(host, call);
    let (outcome, hook_failure) = match attempt.execute(step).await {
        Ok(Executed::Output { component, output }) => {
            let hook_failure = attempt.on_success(&component, &output).await.err();
            (AttemptOutcome::Succeeded(output), hook_failure)
        }
        Ok(Executed::Skipped) => (AttemptOutcome::Skipped, None),
        Err(failure) => (AttemptOutcome::Failed(failure), None),
    };
    attempt.report(outcome, hook_failure)
}

/// Runs the hook of a step that has failed for good.
pub(crate) async fn run_failure_hook(
    host: &CellHost,
    step: &StepComponentPre<Cell>,
    call: Box<StepCall>,
    cause: &Failure,
) -> HookReport {
    let mut attempt = Attempt::begin(host, call);
    let failure = attempt.on_failure(step, cause).await.err();
    let trace = attempt.trace(0);
    let writes = if failure.is_none() { attempt.take_writes() } else { ContextWrites::new() };
    HookReport { writes, failure, trace }
}

/// One cell, from its making to its report.
struct Attempt {
    store: Store<Cell>,
    began: Instant,
    deadline: Deadline,
}

/// What `can-execute` and `execute` came to.
enum Executed {
    Output { component: StepComponent, output: Json },
    Skipped,
}

/// When an attempt is stopped, and why.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    limit: TimeLimit,
}

impl Attempt {
    fn begin(host: &CellHost, mut call: Box<StepCall>) -> Self {
        call.limits = call.limits.within_top();
        let began = Instant::now();
        let deadline = Deadline::of(&call.limits, began);
        Self { store: new_store(host, call), began, deadline }
    }

    /// Makes the instance, asks the guard, does the work.
    async fn execute(&mut self, step: &StepComponentPre<Cell>) -> Result<Executed, Failure> {
        let input = self.store.data().call().input.text().to_owned();
        let store = &mut self.store;
        let meter = Arc::clone(store.data().meter());
        let guest = async {
            let component = step.instantiate_async(&mut *store).await?;
            let exports = component.stepcell_step_step();
            match exports.call_can_execute(&mut *store, &input).await? {
                Ok(true) => {}
                Ok(false) => return Ok(Ok(None)),
                Err(failure) => return Ok(Err(failure)),
            }
            store.data_mut().staged_mut().allow_writes();
            let output = exports.call_execute(&mut *store, &input).await?;
            Ok(output.map(|output| Some((component, output))))
        };
        let ended = self.deadline.bound(meter.measure(guest)).await?;
        match ended.map_err(|error| self.explain(&error))?.map_err(|failure| self.told(failure))? {
            Some((component, output)) => Ok(Executed::Output { component, output: self.checked_output(output)? }),
            None => Ok(Executed::Skipped),
        }
    }

    /// Calls the hook after success; what it wrote is dropped if it fails.
    async fn on_success(&mut self, component: &StepComponent, output: &Json) -> Result<(), Failure> {
        let before = self.store.data().staged().save();
        let ended = self.call_on_success(component, output).await;
        if ended.is_err() {
            self.store.data_mut().staged_mut().go_back(before);
        }
        ended
    }

    async fn call_on_success(&mut self, component: &StepComponent, output: &Json) -> Result<(), Failure> {
        let meter = Arc::clone(self.store.data().meter());
        let output = output.text().to_owned();
        let guest = component.stepcell_step_step().call_on_success(&mut self.store, &output);
        let ended = self.deadline.bound(meter.measure(guest)).await?;
        ended.map_err(|error| self.explain(&error))?.map_err(|failure| self.told(failure))
    }

    async fn on_failure(&mut self, step: &StepComponentPre<Cell>, cause: &Failure) -> Result<(), Failure> {
        let cause = StepFailure::from(cause);
        let store = &mut self.store;
        store.data_mut().staged_mut().allow_writes();
        let meter = Arc::clone(store.data().meter());
        let guest = async {
            let component = step.instantiate_async(&mut *store).await?;
            component.stepcell_step_step().call_on_failure(&mut *store, &cause).await
        };
        let ended = self.deadline.bound(meter.measure(guest)).await?;
        ended.map_err(|error| self.explain(&error))?.map_err(|failure| self.told(failure))
    }

    fn explain(&self, error: &wasmtime::Error) -> Failure {
        failure_of(error, self.store.data())
    }

    /// What a guest says that it failed with, as it may be told.
    fn told(&self, mut failure: StepFailure) -> Failure {
        let cell = self.store.data();
        // Before it is cut: a part of a secret is no secret that could be found.
        failure.message = cell.blanker().text(&failure.message).into_owned();
        let mut failure = cell.blanker().failure(from_guest(failure));
        let bytes_max = usize::try_from(cell.call().limits.failure_message_bytes_max).unwrap_or(usize::MAX);
        failure.message.truncate(failure.message.floor_char_boundary(bytes_max));
        failure
    }

    fn checked_output(&self, output: String) -> Result<Json, Failure> {
        checked_output(output, self.store.data().call().limits.output_bytes_max)
    }

    fn take_writes(&mut self) -> ContextWrites {
        self.store.data_mut().staged_mut().take_writes()
    }

    fn trace(&self, output_bytes: usize) -> AttemptTrace {
        let wall_us = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.store.data().trace(wall_us, output_bytes)
    }

    fn report(mut self, outcome: AttemptOutcome, hook_failure: Option<Failure>) -> AttemptReport {
        let (output_bytes, is_success) = match &outcome {
            AttemptOutcome::Succeeded(output) => (output.len_bytes(), true),
            AttemptOutcome::Skipped | AttemptOutcome::Failed(_) => (0, false),
        };
        let trace = self.trace(output_bytes);
        let writes = if is_success { self.take_writes() } else { ContextWrites::new() };
        AttemptReport { outcome, writes, hook_failure, trace }
    }
}

/// A store with every limit set.
fn new_store(host: &CellHost, call: Box<StepCall>) -> Store<Cell> {
    let handles_max = call.limits.handles_max as usize;
    let mut store = Store::new(&host.engine, Cell::new(call, Arc::clone(&host.outbound)));
    if host.walls.limiter == Wall::Up {
        store.limiter(|cell| cell.limiter_mut());
    }
    store.set_hostcall_fuel(CALL_BYTES_MAX);
    store.set_max_component_handles(handles_max);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|context| {
        context.data().check_at_epoch()?;
        Ok(UpdateDeadline::Yield(1))
    });
    store
}

impl Deadline {
    fn of(limits: &CellLimits, began: Instant) -> Self {
        let limit = limits.time_limit();
        Self { at: began + limit.length, limit }
    }

    /// Drops a guest's future when the time is up.
    async fn bound<F: Future>(&self, guest: F) -> Result<F::Output, Failure> {
        tokio::time::timeout_at(self.at, guest).await.map_err(|_| self.limit.exceeded())
    }
}

fn checked_output(output: String, bytes_max: u64) -> Result<Json, Failure> {
    if output.len() as u64 > bytes_max {
        let message = format!("The output has {} bytes, and may have {bytes_max}.", output.len());
        return Err(Failure::engine(EngineCode::Output, message));
    }
    Json::parse(output).map_err(|error| {
        let message = match error {
            JsonError::Malformed(reason) => format!("The output is no JSON: {reason}."),
            JsonError::TooDeep => format!("The output can not be kept: {error}."),
        };
        Failure::engine(EngineCode::InvalidOutput, message)
    })
}

/// A guest's failure, with its code checked, its message cut, and details that are no JSON or too large left out.
fn from_guest(failure: StepFailure) -> Failure {
    let StepFailure { code, message, retryable, retry_after_ms, details } = failure;
    let details =
        details.filter(|text| text.len() <= FAILURE_DETAILS_BYTES_MAX).and_then(|text| Json::parse(text).ok());
    Failure {
        retry_after_ms: retry_after_ms.filter(|_| retryable),
        details,
        ..Failure::from_guest(&code, message, retryable)
    }
}
