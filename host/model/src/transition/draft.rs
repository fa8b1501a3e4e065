//! A transition in the making: the instance as it will be, and what is to be told about it.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use super::{Compensation, Transition};
use crate::attempt::{AttemptTrace, ContextData, ContextWrites};
use crate::expression::{InstanceFacts, Scope};
use crate::failure::{EngineCode, Failure};
use crate::history::Event;
use crate::id::{ExecutionNumber, InstanceId};
use crate::instance::{Active, Arrival, InstanceState, Phase, Place, WorkflowInstance};
use crate::json::Json;
use crate::letter::Letter;
use crate::name::{ContextKey, StepName};
use crate::plan::{Plan, PlannedKind, PlannedStep, StepIndex};
use crate::record::{ExecutionRecord, MessageChange, TaskRecord};
use crate::status::{StepStatus, TaskStatus, WorkflowStatus};
use crate::time::Timestamp;

/// The most events of one instance. Protects the store, and whoever reads the history as a whole.
pub const HISTORY_EVENTS_MAX: u32 = 10_000;

/// The most bytes of inputs, outputs, context writes and log lines of one instance. Protects the store.
pub const HISTORY_BYTES_MAX: u64 = 32 << 20;

/// For a step and the steps that are not passed: for each step of the graph, whether a branch can come there.
type Ways = HashMap<(StepIndex, BTreeSet<StepName>), Rc<[bool]>>;

/// What a decision works on. Dropped without a trace when the decision is refused.
pub(super) struct Draft<'a> {
    pub(super) plan: &'a Plan,
    pub(super) instance: &'a WorkflowInstance,
    pub(super) now: Timestamp,
    pub(super) state: InstanceState,
    pub(super) events: Vec<Event>,
    pub(super) executions: Vec<ExecutionRecord>,
    pub(super) tasks: Vec<TaskRecord>,
    pub(super) messages: Vec<MessageChange>,
    pub(super) letters: Vec<Letter>,
    /// What becomes of what the children did that are canceled.
    pub(super) children: Compensation,
    /// Which steps can come to which past which others, as far as it was asked.
    pub(super) ways: RefCell<Ways>,
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
            messages: Vec::new(),
            letters: Vec::new(),
            children: Compensation::Undo,
            ways: RefCell::default(),
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

    /// The result of an execution that ended in this transition or before; of a group that runs, what it was given.
    pub(super) fn result_of(&self, number: ExecutionNumber) -> Option<Json> {
        let fresh = self.executions.iter().find(|record| record.number == number).and_then(|record| {
            let given = record.input.as_ref().filter(|_| record.ended_order.is_none());
            record.output.as_ref().or(given).cloned()
        });
        fresh.or_else(|| self.instance.results.get(&number).cloned())
    }

    /// What the step before returned: see [`crate::instance::WorkflowInstance::previous_result`].
    pub(super) fn previous_result(&self, active: &Active) -> Option<Json> {
        crate::instance::combine_results(active, |number| self.result_of(number))
    }

    /// What came to an execution: what the step before returned, at the start the instance's initial data.
    pub(super) fn incoming(&self, active: &Active) -> Option<Json> {
        match active.is_start() {
            true => self.result_of(ExecutionNumber::INPUT),
            false => self.previous_result(active),
        }
    }

    /// What an execution that waits or runs its parts was given, as it is recorded.
    pub(super) fn given(&self, active: &Active) -> Option<Json> {
        match active.phase {
            Phase::RunningParts(_) | Phase::AwaitingChild { .. } => self.result_of(active.number),
            Phase::AwaitingTask { .. } | Phase::AwaitingTime { .. } | Phase::AwaitingMessage { .. } => {
                self.incoming(active)
            }
            Phase::Joining | Phase::Scheduled { .. } | Phase::Running | Phase::FailureHook { .. } => None,
        }
    }

    pub(super) fn set_phase(&mut self, number: ExecutionNumber, phase: Phase) {
        if let Some(active) = self.active_mut(number) {
            active.phase = phase;
        }
    }

    /// Records an execution that has ended, in the order of ends.
    pub(super) fn record_end(&mut self, active: &Active, end: ExecutionEnd) {
        self.state.control.ended += 1;
        let assigned_to = end.task.as_ref().and_then(|task| task.assignee.clone());
        let record = ExecutionRecord {
            status: end.status,
            attempts: if end.status == StepStatus::Skipped { 0 } else { active.attempts },
            input: end.input,
            output: end.output,
            failure: end.failure,
            completed_at: Some(self.now),
            ended_order: Some(self.state.control.ended),
            assigned_to,
            completed_by: end.task.and_then(|task| task.completed_by),
            ..self.record_of(active)
        };
        self.put_record(record);
    }

    /// The record of an execution that has not ended.
    pub(super) fn record_of(&self, active: &Active) -> ExecutionRecord {
        let item = match active.place {
            Place::Member { of, slot } if self.is_for_each(of) => Some(slot),
            Place::Graph | Place::Member { .. } | Place::Callback { .. } | Place::Undo { .. } => None,
        };
        ExecutionRecord {
            number: active.number,
            step: active.step.clone(),
            step_type: self.planned(active).1.step_type(),
            status: active.phase.status(),
            attempts: active.attempts,
            input: None,
            output: None,
            failure: None,
            started_at: active.started_at.unwrap_or(active.activated_at),
            completed_at: None,
            ended_order: None,
            assigned_to: None,
            completed_by: None,
            part_of: active.place.part_of(),
            item,
        }
    }

    fn is_for_each(&self, of: ExecutionNumber) -> bool {
        let group = self.state.control.find_active(of);
        group.is_some_and(|group| matches!(self.planned(group).1.kind, PlannedKind::ForEach(_)))
    }

    /// Records an execution that waits or runs its parts, with what it was given.
    pub(super) fn record_begun(&mut self, number: ExecutionNumber, input: Option<Json>) {
        if let Some(active) = self.state.control.find_active(number) {
            let record = ExecutionRecord { input, ..self.record_of(active) };
            self.put_record(record);
        }
    }

    pub(super) fn put_record(&mut self, record: ExecutionRecord) {
        match self.executions.iter_mut().find(|known| known.number == record.number) {
            Some(known) => *known = record,
            None => self.executions.push(record),
        }
    }

    /// Ends an execution that succeeded: it is active no more, recorded, told, and may have to be undone one day.
    pub(super) fn complete(&mut self, active: &Active, done: Done) {
        let (execution, step) = (active.number, active.step.clone());
        let end = ExecutionEnd {
            input: done.input,
            output: done.output.clone(),
            task: done.task,
            ..ExecutionEnd::new(StepStatus::Succeeded)
        };
        self.record_end(active, end);
        self.remove_active(execution);
        if self.planned(active).1.compensation.is_some() {
            let has_result = done.output.is_some();
            self.state.control.undoable.push(Arrival { step: step.clone(), execution, has_result, item: None });
        }
        let (attempt, wrote, trace) = (active.attempts, done.wrote, done.trace);
        self.events.push(Event::StepCompleted { execution, step, attempt, wrote, trace });
    }

    /// Ends every active execution as canceled, with its task, and lets its child be canceled.
    pub(super) fn cancel_active(&mut self, why: &str) {
        let whole = |active: &&Active| active.place.group().is_none();
        for active in self.state.control.active.iter().filter(whole).cloned().collect::<Vec<_>>() {
            self.cancel_with_parts(&active, why);
        }
    }

    /// Ends an active execution as canceled, its parts before it.
    pub(super) fn cancel_with_parts(&mut self, active: &Active, why: &str) {
        self.cancel_parts(active.number, why);
        self.cancel_one(active, why);
    }

    /// Ends the parts of an active execution as canceled, and theirs.
    pub(super) fn cancel_parts(&mut self, of: ExecutionNumber, why: &str) {
        let is_part = |active: &&Active| active.place.group() == Some(of);
        for part in self.state.control.active.iter().filter(is_part).cloned().collect::<Vec<_>>() {
            self.cancel_with_parts(&part, why);
        }
    }

    /// Ends one active execution as canceled.
    fn cancel_one(&mut self, active: &Active, why: &str) {
        let task = self.pending_task(active.number).map(|task| TaskRecord {
            status: TaskStatus::Canceled,
            completed_at: Some(self.now),
            ..task
        });
        if let Some(task) = &task {
            self.events.push(Event::TaskCanceled { task: task.id, step: task.step.clone() });
            self.put_task(task.clone());
        }
        if let Phase::AwaitingChild { child, .. } = active.phase {
            self.cancel_child(child, why);
        }
        let input = self.given(active);
        self.events.push(Event::StepCanceled { execution: active.number, step: active.step.clone() });
        self.record_end(active, ExecutionEnd { input, task, ..ExecutionEnd::new(StepStatus::Canceled) });
        self.remove_active(active.number);
    }

    /// Lets a child be canceled; one that was yet to be told to start never is.
    pub(super) fn cancel_child(&mut self, child: InstanceId, why: &str) {
        let letters = self.letters.len();
        self.letters.retain(|letter| !matches!(letter, Letter::StartChild(start) if start.child == child));
        if self.letters.len() == letters {
            let (reason, compensation) = (why.to_owned(), self.children);
            self.letters.push(Letter::CancelChild { child, reason, compensation });
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
        // What is undone is bounded by what was done.
        let first = control.active.first().filter(|_| control.undoing.is_none()).cloned();
        if let Some(first) = first.filter(|_| events > HISTORY_EVENTS_MAX || bytes > HISTORY_BYTES_MAX) {
            let message = format!(
                "the history of the instance has {events} events and {bytes} bytes; at most {HISTORY_EVENTS_MAX} events \
                 and {HISTORY_BYTES_MAX} bytes"
            );
            self.fail_instance_by(EngineCode::Output, &first, message);
        }
    }

    /// Concludes what the instance is now and hands the transition out.
    pub(super) fn finish(mut self) -> Transition {
        if !self.state.status.is_finished() {
            self.bound_history();
            // What is to be undone then begins.
            self.settle();
        }
        let before = if self.instance.seq == 0 { WorkflowStatus::Running } else { self.instance.state.status };
        if !self.state.status.is_finished() {
            self.conclude(before);
        }
        if self.state.status.is_finished() {
            self.state.completed_at = Some(self.now);
            self.state.wake_at = None;
            if self.state.status != WorkflowStatus::Failed {
                self.forget_messages();
            }
            self.tell_parent();
        }
        Transition {
            identity: Arc::clone(&self.instance.identity),
            seq: self.instance.seq + 1,
            chain: self.instance.chain,
            at: self.now,
            state: self.state,
            writes: self.writes,
            executions: self.executions,
            tasks: self.tasks,
            messages: self.messages,
            letters: self.letters,
            events: self.events,
        }
    }

    fn conclude(&mut self, before: WorkflowStatus) {
        let control = &self.state.control;
        let active = &control.active;
        let status = match active.as_slice() {
            [] => WorkflowStatus::Completed,
            _ if control.paused_at.is_some() => WorkflowStatus::Paused,
            _ if active.iter().all(|active| active.phase.is_waiting()) => WorkflowStatus::Waiting,
            _ => WorkflowStatus::Running,
        };
        let wakes = active.iter().filter_map(|active| active.phase.wake_at()).min();
        self.state.current_step = match active.first() {
            Some(oldest) => Some(oldest.step.clone()),
            None => self.last_ended(),
        };
        self.state.wake_at = wakes.filter(|_| status != WorkflowStatus::Paused);
        self.state.status = status;
        match (before, status) {
            (_, WorkflowStatus::Completed) => self.events.push(Event::WorkflowCompleted),
            (WorkflowStatus::Waiting, WorkflowStatus::Waiting) => {}
            (_, WorkflowStatus::Waiting) => self.events.push(Event::WorkflowWaiting),
            (WorkflowStatus::Waiting, WorkflowStatus::Running) => self.events.push(Event::WorkflowResumed { by: None }),
            _ => {}
        }
    }

    /// The step of the graph that ended last by itself.
    fn last_ended(&self) -> Option<StepName> {
        let by_itself =
            self.executions.iter().filter(|record| record.part_of.is_none() && record.status != StepStatus::Canceled);
        by_itself.max_by_key(|record| record.ended_order).map(|record| record.step.clone())
    }
}

/// How an execution succeeded; fields that do not apply are left out.
#[derive(Default)]
pub(super) struct Done {
    pub(super) input: Option<Json>,
    pub(super) output: Option<Json>,
    pub(super) wrote: Vec<ContextKey>,
    pub(super) trace: Option<AttemptTrace>,
    pub(super) task: Option<TaskRecord>,
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
