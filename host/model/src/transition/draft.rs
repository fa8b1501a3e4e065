//! A transition in the making: the instance as it will be, and what is to be told about it.

use std::sync::Arc;

use super::Transition;
use crate::attempt::{ContextData, ContextWrites};
use crate::expression::{InstanceFacts, Scope};
use crate::failure::{EngineCode, Failure, InstanceError};
use crate::history::Event;
use crate::id::ExecutionNumber;
use crate::instance::{Active, InstanceState, Phase, WorkflowInstance};
use crate::json::Json;
use crate::plan::{Plan, PlannedStep, StepIndex};
use crate::record::{ExecutionRecord, TaskRecord};
use crate::status::{StepStatus, TaskStatus, WorkflowStatus};
use crate::time::Timestamp;

/// The most events of one instance. Protects the store, and whoever reads the history as a whole.
pub(super) const HISTORY_EVENTS_MAX: u32 = 10_000;

/// The most bytes of inputs, outputs, context writes and log lines of one instance. Protects the store.
pub(super) const HISTORY_BYTES_MAX: u64 = 32 << 20;

/// What a decision works on. Dropped without a trace when the decision is refused.
pub(super) struct Draft<'a> {
    pub(super) plan: &'a Plan,
    pub(super) instance: &'a WorkflowInstance,
    pub(super) now: Timestamp,
    pub(super) state: InstanceState,
    pub(super) events: Vec<Event>,
    pub(super) executions: Vec<ExecutionRecord>,
    pub(super) tasks: Vec<TaskRecord>,
    writes: ContextWrites,
    merged_context: Option<Arc<ContextData>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(plan: &'a Plan, instance: &'a WorkflowInstance, now: Timestamp) -> Self {
        Self {
            plan,
            instance,
            now,
            state: instance.state.clone(),
            events: Vec::new(),
            executions: Vec::new(),
            tasks: Vec::new(),
            writes: ContextWrites::new(),
            merged_context: None,
        }
    }

    /// The context as this transition leaves it.
    pub(super) fn context(&mut self) -> Arc<ContextData> {
        if self.writes.is_empty() {
            return Arc::clone(&self.instance.context);
        }
        let merge = || {
            let mut merged = ContextData::clone(&self.instance.context);
            for (key, value) in &self.writes {
                match value {
                    Some(value) => drop(merged.insert(key.clone(), value.clone())),
                    None => drop(merged.remove(key)),
                }
            }
            Arc::new(merged)
        };
        Arc::clone(self.merged_context.get_or_insert_with(merge))
    }

    pub(super) fn write_all(&mut self, writes: ContextWrites) {
        if !writes.is_empty() {
            self.writes.extend(writes);
            self.merged_context = None;
        }
    }

    /// Calls `evaluate` with everything that an expression may read.
    pub(super) fn with_scope<T>(&mut self, result: Option<&Json>, evaluate: impl FnOnce(&Scope<'_>) -> T) -> T {
        let context = self.context();
        let identity = &self.instance.identity;
        let facts = InstanceFacts::of(identity, self.state.control.user.as_ref());
        evaluate(&Scope { context: &context, result, metadata: &identity.metadata, instance: &facts })
    }

    /// The plan's step of an active execution, if the definition still has it.
    pub(super) fn planned(&self, active: &Active) -> (StepIndex, &'a PlannedStep) {
        let index = self.plan.find(&active.step).expect("an instance stays on the definition it started with");
        (index, self.plan.step(index))
    }

    pub(super) fn active_mut(&mut self, number: ExecutionNumber) -> Option<&mut Active> {
        self.state.control.active.iter_mut().find(|active| active.number == number)
    }

    pub(super) fn remove_active(&mut self, number: ExecutionNumber) -> Option<Active> {
        let place = self.state.control.active.iter().position(|active| active.number == number)?;
        Some(self.state.control.active.remove(place))
    }

    /// The result of an execution that ended in this transition or before.
    pub(super) fn result_of(&self, number: ExecutionNumber) -> Option<Json> {
        let fresh =
            self.executions.iter().find(|record| record.number == number).and_then(|record| record.output.clone());
        fresh.or_else(|| self.instance.results.get(&number).cloned())
    }

    /// Records an execution that has ended, in the order of ends.
    pub(super) fn record_end(&mut self, active: &Active, end: ExecutionEnd) {
        self.state.control.ended += 1;
        let record = ExecutionRecord {
            number: active.number,
            step: active.step.clone(),
            step_type: self.planned(active).1.step_type(),
            status: end.status,
            attempts: if end.status == StepStatus::Skipped { 0 } else { active.attempts },
            input: end.input,
            output: end.output,
            failure: end.failure,
            started_at: active.started_at.unwrap_or(active.activated_at),
            completed_at: Some(self.now),
            ended_order: Some(self.state.control.ended),
            assigned_to: end.task.as_ref().and_then(|task| task.assignee.clone()),
            completed_by: end.task.and_then(|task| task.completed_by),
            part_of: None, item: None,
        };
        match self.executions.iter_mut().find(|known| known.number == record.number) {
            Some(known) => *known = record,
            None => self.executions.push(record),
        }
    }

    /// Ends every active execution as canceled, with its task.
    pub(super) fn cancel_active(&mut self) {
        for active in std::mem::take(&mut self.state.control.active) {
            let task = self.pending_task(active.number).map(|task| TaskRecord {
                status: TaskStatus::Canceled,
                completed_at: Some(self.now),
                ..task
            });
            if let Some(task) = &task {
                self.events.push(Event::TaskCanceled { task: task.id, step: task.step.clone() });
                self.put_task(task.clone());
            }
            self.events.push(Event::StepCanceled { execution: active.number, step: active.step.clone() });
            self.record_end(&active, ExecutionEnd { task, ..ExecutionEnd::new(StepStatus::Canceled) });
        }
    }

    pub(super) fn pending_task(&self, number: ExecutionNumber) -> Option<TaskRecord> {
        let fresh = self.tasks.iter().find(|task| task.execution == number);
        fresh.or_else(|| self.instance.tasks.get(&number)).cloned()
    }

    pub(super) fn put_task(&mut self, task: TaskRecord) {
        match self.tasks.iter_mut().find(|known| known.id == task.id) {
            Some(known) => *known = task,
            None => self.tasks.push(task),
        }
    }

    /// Fails the instance: its other branches are canceled, and it stays at the step that failed it.
    pub(super) fn fail_instance(&mut self, error: InstanceError) {
        self.cancel_active();
        self.state.current_step.clone_from(&error.step);
        self.state.status = WorkflowStatus::Failed;
        self.events.push(Event::WorkflowFailed { error: error.clone() });
        self.state.error = Some(error);
    }

    /// Fails the instance for a reason of the engine's own.
    pub(super) fn fail_instance_by(&mut self, code: EngineCode, step: &crate::name::StepName, message: String) {
        self.fail_instance(InstanceError::of_step(step, &Failure::engine(code, message)));
    }

    /// Fails an instance whose history grows past what any may have.
    fn bound_history(&mut self) {
        let control = &mut self.state.control;
        control.events = control.events.saturating_add(u32::try_from(self.events.len()).unwrap_or(u32::MAX));
        let records = self.executions.iter().flat_map(|record| [&record.input, &record.output]).flatten();
        let values = records.chain(self.writes.values().flatten()).map(Json::len_bytes);
        let logs =
            self.events.iter().filter_map(Event::trace).flat_map(|trace| &trace.log).map(|line| line.message.len());
        control.history_bytes += values.chain(logs).sum::<usize>() as u64;
        let (events, bytes) = (control.events, control.history_bytes);
        let step = control.active.first().map(|active| active.step.clone());
        if let Some(step) = step.filter(|_| events > HISTORY_EVENTS_MAX || bytes > HISTORY_BYTES_MAX) {
            let message = format!(
                "the history of the instance has {events} events and {bytes} bytes; at most {HISTORY_EVENTS_MAX} events \
                 and {HISTORY_BYTES_MAX} bytes"
            );
            self.fail_instance_by(EngineCode::Output, &step, message);
        }
    }

    /// Concludes what the instance is now and hands the transition out.
    pub(super) fn finish(mut self) -> Transition {
        if !self.state.status.is_finished() {
            self.bound_history();
        }
        let before = if self.instance.seq == 0 { WorkflowStatus::Running } else { self.instance.state.status };
        if !self.state.status.is_finished() {
            self.conclude(before);
        }
        if self.state.status.is_finished() {
            self.state.completed_at = Some(self.now);
            self.state.wake_at = None;
        }
        Transition {
            identity: Arc::clone(&self.instance.identity),
            seq: self.instance.seq + 1,
            at: self.now,
            state: self.state,
            writes: self.writes,
            executions: self.executions,
            tasks: self.tasks,
            events: self.events,
            messages: Vec::new(), letters: Vec::new(),
        }
    }

    fn conclude(&mut self, before: WorkflowStatus) {
        let active = &self.state.control.active;
        let status = match active.as_slice() {
            [] => WorkflowStatus::Completed,
            _ if active.iter().all(|active| active.phase.is_waiting()) => WorkflowStatus::Waiting,
            _ => WorkflowStatus::Running,
        };
        self.state.current_step = match active.first() {
            Some(oldest) => Some(oldest.step.clone()),
            None => self.executions.last().map(|record| record.step.clone()),
        };
        self.state.wake_at = active.iter().filter_map(|active| wake_at(&active.phase)).min();
        self.state.status = status;
        match (before, status) {
            (_, WorkflowStatus::Completed) => self.events.push(Event::WorkflowCompleted),
            (WorkflowStatus::Running, WorkflowStatus::Waiting) => self.events.push(Event::WorkflowWaiting),
            (WorkflowStatus::Waiting, WorkflowStatus::Running) => self.events.push(Event::WorkflowResumed { by: None }),
            _ => {}
        }
    }
}

const fn wake_at(phase: &Phase) -> Option<Timestamp> {
    match phase {
        Phase::Scheduled { not_before } => *not_before,
        _ => None,
    }
}

/// How an execution ended; fields that do not apply are left out.
pub(super) struct ExecutionEnd {
    pub(super) status: StepStatus,
    pub(super) input: Option<Json>,
    pub(super) output: Option<Json>,
    pub(super) failure: Option<Failure>,
    pub(super) task: Option<TaskRecord>,
}

impl ExecutionEnd {
    pub(super) const fn new(status: StepStatus) -> Self {
        Self { status, input: None, output: None, failure: None, task: None }
    }
}
