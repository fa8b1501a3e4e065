//! Attempts of machine steps: begin, end, retry, fail for good.

use std::time::Duration;

use super::Refusal;
use super::draft::{Done, Draft, ExecutionEnd};
use super::flow::Leaving;
use crate::attempt::{AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport};
use crate::component::Purity;
use crate::failure::{EngineCode, Failure};
use crate::history::{Event, Hook};
use crate::id::{ExecutionNumber, InstanceId};
use crate::instance::{Active, Phase};
use crate::json::Json;
use crate::name::ContextKey;
use crate::plan::{PlannedKind, PlannedMachine};
use crate::status::StepStatus;

/// The most bytes of keys and values that the context of an instance may have.
pub const CONTEXT_LEN_BYTES_MAX: usize = 4 << 20;

/// The most keys that the context of an instance may have.
pub const CONTEXT_KEYS_MAX: usize = 1_000;

/// How often a pure step runs again after a crash of the host, beyond what its retry policy allows.
pub(crate) const PURE_REPEATS_MAX: u32 = 3;

impl Draft<'_> {
    pub(super) fn attempt_started(&mut self, execution: ExecutionNumber) -> Result<(), Refusal> {
        let now = self.now;
        self.expect_unpaused(execution)?;
        let active =
            self.expect_phase(execution, StepStatus::Running, |phase| matches!(phase, Phase::Scheduled { .. }))?;
        active.phase = Phase::Running;
        active.parked = None;
        active.attempts += 1;
        active.started_at.get_or_insert(now);
        let (step, attempt) = (active.step.clone(), active.attempts);
        self.events.push(Event::StepStarted { execution, step, attempt });
        Ok(())
    }

    /// Holds an execution back. It is ready again, whatever time it waited for, once its component may run.
    pub(super) fn attempt_parked(&mut self, execution: ExecutionNumber, reason: String) -> Result<(), Refusal> {
        let active =
            self.expect_phase(execution, StepStatus::Scheduled, |phase| matches!(phase, Phase::Scheduled { .. }))?;
        active.phase = Phase::Scheduled { not_before: None };
        active.parked = Some(reason.clone());
        let step = active.step.clone();
        self.events.push(Event::StepParked { execution, step, reason });
        Ok(())
    }

    pub(super) fn attempt_ended(
        &mut self,
        execution: ExecutionNumber,
        input: Json,
        report: AttemptReport,
    ) -> Result<(), Refusal> {
        let active = self.expect_phase(execution, StepStatus::Succeeded, |phase| *phase == Phase::Running)?.clone();
        match report.outcome {
            AttemptOutcome::Succeeded(names) if self.is_gateway(&active) => {
                self.gateway_decided(&active, input, &names, report.trace);
            }
            AttemptOutcome::Succeeded(output) => match self.check_context_size(&report.writes) {
                Ok(()) => {
                    let hook_failure = report.hook_failure;
                    self.succeed(&active, input, output, report.writes, report.trace, hook_failure);
                }
                Err(failure) => self.fail_attempt(&active, Some(input), failure, Some(report.trace)),
            },
            AttemptOutcome::Skipped => self.skip(&active, input, report.trace),
            AttemptOutcome::Failed(failure) => self.fail_attempt(&active, Some(input), failure, Some(report.trace)),
        }
        Ok(())
    }

    fn is_gateway(&self, active: &Active) -> bool {
        matches!(self.planned(active).1.kind, PlannedKind::GatewayComponent(_))
    }

    fn gateway_decided(&mut self, active: &Active, input: Json, names: &Json, trace: AttemptTrace) {
        let done = Done { input: Some(input.clone()), trace: Some(trace.clone()), ..Done::default() };
        if let Err(failure) = self.leave_gateway(active, done, names) {
            self.fail_attempt(active, Some(input), failure, Some(trace));
        }
    }

    fn succeed(
        &mut self,
        active: &Active,
        input: Json,
        output: Json,
        writes: ContextWrites,
        trace: AttemptTrace,
        hook_failure: Option<Failure>,
    ) {
        let wrote = keys_of(&writes);
        self.write_all(writes);
        let (input, trace) = (Some(input), Some(trace));
        self.complete(active, Done { input, output: Some(output.clone()), wrote, trace, task: None });
        if let Some(failure) = hook_failure {
            let (execution, step, hook) = (active.number, active.step.clone(), Hook::OnSuccess);
            let failure = Some(failure);
            self.events.push(Event::HookEnded { execution, step, hook, failure, wrote: Vec::new(), trace: None });
        }
        self.leave(Leaving::succeeded(active.clone(), Some(output)));
    }

    fn skip(&mut self, active: &Active, input: Json, trace: AttemptTrace) {
        let (execution, step) = (active.number, active.step.clone());
        self.record_end(active, ExecutionEnd { input: Some(input), ..ExecutionEnd::new(StepStatus::Skipped) });
        self.remove_active(execution);
        self.events.push(Event::StepSkipped { execution, step, trace: Some(trace) });
        self.leave(Leaving::succeeded(active.clone(), None));
    }

    /// Schedules the next attempt if the policy allows one, else lets `on-failure` run.
    fn fail_attempt(&mut self, active: &Active, input: Option<Json>, failure: Failure, trace: Option<AttemptTrace>) {
        let machine = self.machine_of(active);
        let (execution, step, attempt) = (active.number, active.step.clone(), active.attempts);
        if failure.retryable && attempt < machine.retry.max_attempts {
            let spread = spread_of(self.instance.identity.id, execution, attempt);
            let at_least = failure.retry_after().min(Duration::from_secs(24 * 3600));
            let retry_at = machine.retry.retry_at(self.now, attempt, spread, at_least);
            self.set_phase(execution, Phase::Scheduled { not_before: Some(retry_at) });
            self.events.push(Event::StepRetryScheduled { execution, step, attempt, failure, retry_at, trace });
            return;
        }
        self.events.push(Event::StepFailed { execution, step, attempt, failure: failure.clone(), trace });
        if self.is_gateway(active) {
            // A gateway has no hooks.
            return self.fail(active, input, &failure);
        }
        self.set_phase(execution, Phase::FailureHook { failure, begun: false });
    }

    pub(super) fn failure_hook_started(&mut self, execution: ExecutionNumber) -> Result<(), Refusal> {
        self.expect_unpaused(execution)?;
        let is_due = |phase: &Phase| matches!(phase, Phase::FailureHook { begun: false, .. });
        let active = self.expect_phase(execution, StepStatus::Failed, is_due)?;
        if let Phase::FailureHook { begun, .. } = &mut active.phase {
            *begun = true;
        }
        Ok(())
    }

    pub(super) fn failure_hook_ended(
        &mut self,
        execution: ExecutionNumber,
        input: Option<Json>,
        report: HookReport,
    ) -> Result<(), Refusal> {
        let is_due = |phase: &Phase| matches!(phase, Phase::FailureHook { .. });
        let active = self.expect_phase(execution, StepStatus::Failed, is_due)?.clone();
        let Phase::FailureHook { failure, .. } = &active.phase else { return Ok(()) };
        let (writes, hook_failure) = match self.check_context_size(&report.writes) {
            Ok(()) => (report.writes, report.failure),
            Err(too_large) => (ContextWrites::new(), report.failure.or(Some(too_large))),
        };
        let wrote = keys_of(&writes);
        self.write_all(writes);
        self.events.push(Event::HookEnded {
            execution,
            step: active.step.clone(),
            hook: Hook::OnFailure,
            failure: hook_failure,
            wrote,
            trace: Some(report.trace),
        });
        self.fail(&active, input, failure);
        Ok(())
    }

    /// Ends an execution as failed; what follows is up to its edges, its group, or the instance fails.
    pub(super) fn fail(&mut self, active: &Active, input: Option<Json>, failure: &Failure) {
        let end = ExecutionEnd { input, failure: Some(failure.clone()), ..ExecutionEnd::new(StepStatus::Failed) };
        self.record_end(active, end);
        self.remove_active(active.number);
        self.leave_failed(active, failure);
    }

    /// Fails an execution that could not even begin to do what its step does.
    pub(super) fn fail_unbegun(&mut self, active: &Active, failure: &Failure) {
        self.fail_and_tell(active, self.incoming(active), failure);
    }

    /// Tells that an execution failed which no attempt has told of, and ends it so.
    pub(super) fn fail_and_tell(&mut self, active: &Active, input: Option<Json>, failure: &Failure) {
        let (execution, step, attempt) = (active.number, active.step.clone(), active.attempts);
        self.events.push(Event::StepFailed { execution, step, attempt, failure: failure.clone(), trace: None });
        self.fail(active, input, failure);
    }

    /// Whatever was under way when the host went down has failed, and may be tried again.
    pub(super) fn host_restarted(&mut self) {
        let numbers: Vec<_> = self.state.control.active.iter().map(|active| active.number).collect();
        for number in numbers {
            // What came before may have canceled it, or changed where its branch ends.
            let Some(active) = self.state.control.find_active(number).cloned() else { continue };
            match &active.phase {
                Phase::Running => self.attempt_interrupted(&active),
                Phase::FailureHook { failure, begun: true } => {
                    let crashed = Failure::engine(EngineCode::Crashed, "the host went down during `on-failure`");
                    self.events.push(Event::HookEnded {
                        execution: active.number,
                        step: active.step.clone(),
                        hook: Hook::OnFailure,
                        failure: Some(crashed),
                        wrote: Vec::new(),
                        trace: None,
                    });
                    self.fail(&active, None, failure);
                }
                Phase::FailureHook { begun: false, .. }
                | Phase::Joining
                | Phase::Scheduled { .. }
                | Phase::AwaitingTask { .. }
                | Phase::AwaitingTime { .. }
                | Phase::AwaitingMessage { .. }
                | Phase::AwaitingChild { .. }
                | Phase::RunningParts(_) => {}
            }
        }
    }

    /// An attempt was cut off by the host's end. Nobody can tell that of a pure step, so it runs again at once, even where
    /// its policy allows no retry; a bound keeps one that brings the host down itself from doing so for ever.
    fn attempt_interrupted(&mut self, active: &Active) {
        let failure = Failure::engine(EngineCode::Crashed, "the host went down during this attempt");
        let machine = self.machine_of(active);
        let attempts_max = machine.retry.max_attempts.saturating_add(PURE_REPEATS_MAX);
        if machine.purity == Purity::Effectful || active.attempts >= attempts_max {
            return self.fail_attempt(active, None, failure, None);
        }
        let (execution, step, attempt, retry_at) = (active.number, active.step.clone(), active.attempts, self.now);
        self.set_phase(execution, Phase::Scheduled { not_before: None });
        self.events.push(Event::StepRetryScheduled { execution, step, attempt, failure, retry_at, trace: None });
    }

    fn machine_of(&self, active: &Active) -> &PlannedMachine {
        self.planned(active).1.machine().expect("only steps that run a component are attempted")
    }

    /// Checks that the context stays within its bounds with these writes.
    pub(super) fn check_context_size(&self, writes: &ContextWrites) -> Result<(), Failure> {
        if writes.is_empty() {
            return Ok(());
        }
        let kept = self.instance.context.iter().filter(|(key, _)| !writes.contains_key(*key));
        let added = writes.iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
        let (keys, bytes) = kept
            .chain(added)
            .fold((0, 0), |(keys, bytes), (key, value)| (keys + 1, bytes + key.as_str().len() + value.len_bytes()));
        if keys > CONTEXT_KEYS_MAX || bytes > CONTEXT_LEN_BYTES_MAX {
            let message = format!(
                "the context would have {keys} keys and {bytes} bytes; at most {CONTEXT_KEYS_MAX} keys and {CONTEXT_LEN_BYTES_MAX} bytes"
            );
            return Err(Failure::engine(EngineCode::Output, message));
        }
        Ok(())
    }

    fn expect_unpaused(&self, execution: ExecutionNumber) -> Result<(), Refusal> {
        let (from, why) = ("paused", "an operator holds the instance");
        match self.state.control.paused_at {
            None => Ok(()),
            Some(_) => Err(Refusal::InvalidTransition { execution, from, to: StepStatus::Running, why }),
        }
    }

    pub(super) fn expect_phase(
        &mut self,
        execution: ExecutionNumber,
        to: StepStatus,
        fits: impl FnOnce(&Phase) -> bool,
    ) -> Result<&mut Active, Refusal> {
        let refusal = |from, why| Refusal::InvalidTransition { execution, from, to, why };
        match self.active_mut(execution) {
            None => Err(refusal("ended", "it is not active any more")),
            Some(active) if fits(&active.phase) => Ok(active),
            Some(active) => Err(refusal(active.phase.status().as_str(), "it is not where this can happen")),
        }
    }
}

fn keys_of(writes: &ContextWrites) -> Vec<ContextKey> {
    writes.keys().cloned().collect()
}

/// A number from 0 to 1 for full jitter: the same for the same attempt, different for each.
fn spread_of(instance: InstanceId, execution: ExecutionNumber, attempt: u32) -> f64 {
    let name = format!("spread/{execution}/{attempt}");
    let mixed = uuid::Uuid::new_v5(instance.as_uuid(), name.as_bytes()).as_u64_pair().1;
    f64::from((mixed & u64::from(u32::MAX)) as u32) / f64::from(u32::MAX)
}
