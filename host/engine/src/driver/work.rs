//! What runs for an instance right now, and what comes of it.

use std::collections::HashSet;
use std::sync::Arc;

use stepcell_model::attempt::{AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport, StepCall};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::id::{ComponentDigest, ExecutionNumber};
use stepcell_model::instance::{Active, Phase};
use stepcell_model::name::StepName;
use stepcell_model::signature::PublicKey;
use stepcell_model::transition::Cause;

use super::Driver;
use super::crew::Panicked;
use crate::engine::Inner;
use crate::error::EngineError;
use crate::room::{Entered, Permit, Waiting};

/// Something that an instance waited for.
pub(super) enum Done {
    /// There is room for one more attempt.
    Room(ExecutionNumber, Permit),
    /// An attempt has ended.
    Attempt(ExecutionNumber, AttemptReport),
    /// `on-failure` has ended.
    Hook(ExecutionNumber, HookReport),
}

/// Something that begins once the commit that says so is done.
pub(super) struct Begun {
    number: ExecutionNumber,
    room: Permit,
}

impl Driver {
    /// Decides that everything begins that is ready and has room; the rest waits for room.
    pub(super) fn begin_ready(&mut self) -> Vec<Begun> {
        if self.inner.is_stopping() {
            return Vec::new();
        }
        if self.instance.state.control.paused_at.is_some() {
            // Room that nobody uses is others' room.
            self.waiting_for_room.clear();
            self.room.clear();
            return Vec::new();
        }
        let parked = self.park_blocked();
        self.waiting_for_room.retain(|number| !parked.contains(number));
        self.room.retain(|number, _| !parked.contains(number));
        let now = self.inner.clock.now();
        let is_ready = |active: &&Active| match active.phase {
            Phase::Scheduled { not_before } => not_before.is_none_or(|not_before| not_before <= now),
            Phase::FailureHook { begun, .. } => !begun,
            _ => false,
        };
        let ready: Vec<_> = self
            .instance
            .state
            .control
            .active
            .iter()
            .filter(is_ready)
            .filter(|active| !parked.contains(&active.number))
            .map(|active| (active.number, active.phase.clone()))
            .collect();
        ready.into_iter().filter_map(|(number, phase)| self.begin(number, &phase)).collect()
    }

    fn begin(&mut self, number: ExecutionNumber, phase: &Phase) -> Option<Begun> {
        if self.waiting_for_room.contains(&number) {
            return None;
        }
        let room = match self.room.remove(&number) {
            Some(room) => room,
            None => match self.enter() {
                Entered::Now(room) => room,
                Entered::Later(waiting) => {
                    self.wait_for_room(number, waiting);
                    return None;
                }
            },
        };
        self.decide(match phase {
            Phase::FailureHook { .. } => Cause::FailureHookStarted { execution: number },
            _ => Cause::AttemptStarted { execution: number },
        });
        Some(Begun { number, room })
    }

    /// Holds back whatever would run a component that may not run, says so of each once, and names them.
    fn park_blocked(&mut self) -> HashSet<ExecutionNumber> {
        let decided = self.inner.guard.decided();
        if decided.blocks.is_empty() {
            return HashSet::new();
        }
        let scheduled = self.instance.state.control.active.iter();
        let scheduled = scheduled.filter(|active| matches!(active.phase, Phase::Scheduled { .. }));
        let blocked: Vec<_> = scheduled
            .filter_map(|active| {
                let block = decided.blocks.get(&self.machine_of(active).ok()?.component)?;
                let reason = block.sentence();
                let is_told = active.parked.as_ref() == Some(&reason);
                Some((active.number, (!is_told).then_some(reason)))
            })
            .collect();
        for (execution, reason) in &blocked {
            if let Some(reason) = reason.clone() {
                self.decide(Cause::AttemptParked { execution: *execution, reason });
            }
        }
        blocked.into_iter().map(|(execution, _)| execution).collect()
    }

    /// Asks for room for one more attempt, within what the policy gives the tenant.
    fn enter(&self) -> Entered {
        let tenant = self.instance.identity.tenant.as_ref();
        let limit = self.inner.guard.decided().of(tenant).concurrency;
        self.inner.room.enter(tenant, limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    fn wait_for_room(&mut self, number: ExecutionNumber, waiting: Waiting) {
        self.waiting_for_room.insert(number);
        let inner = Arc::clone(&self.inner);
        self.crew.wait_for(async move {
            let permit = waiting.permit().await;
            let _ = fail_point!(inner, RoomGiven);
            Done::Room(number, permit)
        });
    }

    /// Stops waiting for room, because the engine is stopping.
    pub(super) fn give_up_waiting(&mut self) {
        self.waiting_for_room.clear();
    }

    /// Runs what has begun, now that it may.
    pub(super) fn launch(&mut self, begun: Vec<Begun>) {
        for Begun { number, room } in begun {
            let Some(active) = self.instance.state.control.find_active(number).cloned() else { continue };
            let inner = Arc::clone(&self.inner);
            match active.phase.clone() {
                Phase::Running => match self.call_for(&active) {
                    Ok(call) => {
                        let targets = self.gateway_targets(&active);
                        let attempt = async move { attempt(&inner, call, targets, room).await };
                        self.crew.begin(number, async move { Done::Attempt(number, attempt.await) });
                    }
                    Err(failure) => self.crew.begin(number, async move { Done::Attempt(number, failed(failure)) }),
                },
                Phase::FailureHook { failure, begun: true } => match self.hook_call_for(&active) {
                    Ok(call) => {
                        let hook = async move { hook(&inner, call, failure, room).await };
                        self.crew.begin(number, async move { Done::Hook(number, hook.await) });
                    }
                    Err(failure) => self.crew.begin(number, async move { Done::Hook(number, hook_failed(failure)) }),
                },
                _ => {}
            }
        }
    }

    /// Takes in what has ended.
    pub(super) fn take(&mut self, ended: Result<Done, Panicked>) {
        match ended {
            Ok(Done::Room(number, room)) => {
                if self.waiting_for_room.remove(&number) {
                    self.room.insert(number, room);
                }
            }
            Ok(Done::Attempt(number, report)) => self.attempt_ended(number, report),
            Ok(Done::Hook(number, report)) => self.hook_ended(number, report),
            Err(Panicked(number)) => self.work_panicked(number),
        }
    }

    fn attempt_ended(&mut self, number: ExecutionNumber, report: AttemptReport) {
        let input = self.inputs.get(&number).cloned().unwrap_or_else(stepcell_model::json::Json::null);
        self.decide(Cause::AttemptEnded { execution: number, input, report });
    }

    fn hook_ended(&mut self, number: ExecutionNumber, report: HookReport) {
        let input = self.inputs.remove(&number);
        self.decide(Cause::FailureHookEnded { execution: number, input, report });
    }

    /// The host's own code failed in an attempt: that costs the attempt, and nobody else anything.
    fn work_panicked(&mut self, number: ExecutionNumber) {
        let failure = Failure::engine(EngineCode::Host, "the host failed while it ran this attempt");
        tracing::error!(id = %self.instance.identity.id, execution = %number, "running an attempt panicked");
        let is_hook = self
            .instance
            .state
            .control
            .find_active(number)
            .is_some_and(|active| matches!(active.phase, Phase::FailureHook { .. }));
        if is_hook {
            self.hook_ended(number, hook_failed(failure));
        } else {
            self.attempt_ended(number, failed(failure));
        }
    }
}

/// Runs an attempt; where there are targets, it is a gateway's.
async fn attempt(inner: &Inner, call: StepCall, targets: Option<Vec<StepName>>, room: Permit) -> AttemptReport {
    let enter = |call| async {
        match targets {
            None => inner.runner.run(call).await,
            Some(targets) => inner.runner.run_gateway(call, targets).await,
        }
    };
    let _ = fail_point!(inner, GuestBegins);
    let report = guarded(inner, call, room, failed, |report| &mut report.trace, enter).await;
    let _ = fail_point!(inner, GuestEnds);
    report
}

async fn hook(inner: &Inner, call: StepCall, failure: Failure, room: Permit) -> HookReport {
    let enter = |call| inner.runner.run_failure_hook(call, failure);
    let _ = fail_point!(inner, HookBegins);
    let report = guarded(inner, call, room, hook_failed, |report| &mut report.trace, enter).await;
    let _ = fail_point!(inner, HookEnds);
    report
}

/// Enters a cell, if the guard lets the call and as long as it does, and says what that used.
async fn guarded<R, F: Future<Output = R>>(
    inner: &Inner,
    mut call: StepCall,
    mut room: Permit,
    failed: fn(Failure) -> R,
    trace_of: fn(&mut R) -> &mut AttemptTrace,
    enter: impl FnOnce(StepCall) -> F,
) -> R {
    let component = call.component;
    let admitted = admitted(inner, &mut call).await;
    room.begin();
    let mut report = match admitted {
        Ok(signed_by) => {
            let mut report = tokio::select! {
                biased;
                report = enter(call) => report,
                block = inner.guard.blocked(component) => failed(block.failure()),
            };
            trace_of(&mut report).signed_by = signed_by;
            report
        }
        Err(failure) => failed(failure),
    };
    let trace = trace_of(&mut report);
    note_fault(inner, component, trace).await;
    room.end(trace);
    report
}

/// Makes the component ready and gives the call what it is granted; says whose signature the component has.
async fn admitted(inner: &Inner, call: &mut StepCall) -> Result<Option<PublicKey>, Failure> {
    let signed_by = inner.guard.admit(call).await?;
    let prepared = inner.registry.prepare(call.component).await;
    prepared.map_err(|error| host_failure("The component could not be made ready on this host.", &error))?;
    Ok(signed_by)
}

/// The failure of an attempt that the host could not begin. What the store says is for the operator's log alone.
pub(crate) fn host_failure(told: &str, error: &EngineError) -> Failure {
    if let EngineError::Store(_) = error {
        tracing::error!(%error, "an attempt could not begin");
        return Failure::engine(EngineCode::Host, told);
    }
    Failure::engine(EngineCode::Host, error.to_string())
}

async fn note_fault(inner: &Inner, component: ComponentDigest, trace: &AttemptTrace) {
    if trace.host_fault.is_some()
        && let Err(error) = inner.guard.note_host_fault(component, inner.clock.now()).await
    {
        inner.report_fault(&error);
    }
}

fn failed(failure: Failure) -> AttemptReport {
    AttemptReport {
        outcome: AttemptOutcome::Failed(failure),
        writes: ContextWrites::new(),
        hook_failure: None,
        trace: AttemptTrace::default(),
    }
}

fn hook_failed(failure: Failure) -> HookReport {
    HookReport { writes: ContextWrites::new(), failure: Some(failure), trace: AttemptTrace::default() }
}
