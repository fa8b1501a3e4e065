//! An instance once more, from its history and letters alone: both must tell the same after every transition.

use std::collections::{BTreeMap, VecDeque};

use stepcell_model::definition::Join;
use stepcell_model::history::{Event, Hook};
use stepcell_model::id::{ExecutionNumber, InstanceId};
use stepcell_model::instance::{Active, Phase, Place, WorkflowInstance};
use stepcell_model::letter::Letter;
use stepcell_model::name::StepName;
use stepcell_model::plan::{GroupMode, Plan, PlannedForEach, PlannedGroup, PlannedKind};
use stepcell_model::status::{StepType, WorkflowStatus};
use stepcell_model::transition::Transition;

/// What the events and letters of an instance say of it.
#[derive(Debug, Default)]
pub struct Ledger {
    active: BTreeMap<ExecutionNumber, Begun>,
    activated: u32,
    /// The executions that have ended, in that order.
    pub ended: Vec<ExecutionNumber>,
    /// Those that succeeded and that something can undo, in the order of their ends.
    undoable: Vec<ExecutionNumber>,
    /// Those that are still to be undone.
    to_undo: VecDeque<ExecutionNumber>,
    status: Option<WorkflowStatus>,
    children: BTreeMap<InstanceId, Child>,
}

/// An execution that has not ended.
#[derive(Debug)]
struct Begun {
    step: StepName,
    step_type: StepType,
    part_of: Option<ExecutionNumber>,
}

/// How far an instance is that was to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Child {
    Awaited,
    Ended,
    Canceled,
}

impl Ledger {
    /// Takes in what a transition tells.
    pub fn take(&mut self, plan: &Plan, transition: &Transition) {
        for letter in &transition.letters {
            match letter {
                Letter::StartChild(start) => {
                    assert_eq!(self.children.insert(start.child, Child::Awaited), None, "a child is started once");
                }
                Letter::CancelChild { child, .. } => {
                    let before = self.children.insert(*child, Child::Canceled);
                    assert_eq!(before, Some(Child::Awaited), "only a child that is awaited is canceled");
                }
                Letter::ChildEnded { .. } => {}
            }
        }
        for event in &transition.events {
            self.take_event(plan, event);
        }
    }

    fn take_event(&mut self, plan: &Plan, event: &Event) {
        match event {
            Event::StepActivated { execution, step, step_type, part_of, .. } => {
                self.activate(*execution, Begun { step: step.clone(), step_type: *step_type, part_of: *part_of });
            }
            Event::StepCompleted { execution, step, .. } => {
                self.end(*execution);
                if plan.step(plan.find(step).unwrap()).compensation.is_some() {
                    self.undoable.push(*execution);
                }
            }
            Event::StepSkipped { execution, .. } | Event::StepCanceled { execution, .. } => self.end(*execution),
            // The end of a machine step that failed is the end of its hook.
            Event::StepFailed { execution, .. } if self.active[execution].step_type == StepType::Machine => {}
            Event::StepFailed { execution, .. } | Event::HookEnded { execution, hook: Hook::OnFailure, .. } => {
                self.end(*execution);
            }
            Event::BranchJoined { step, .. } => {
                let join = plan.step(plan.find(step).unwrap()).join;
                assert_eq!(join, Join::All, "a join of any takes the first branch alone");
            }
            Event::ChildEnded { child, .. } => {
                let before = self.children.insert(*child, Child::Ended);
                assert_eq!(before, Some(Child::Awaited), "only a child that is awaited ends");
            }
            Event::CompensationStarted { executions } => {
                let latest_first: Vec<_> = self.undoable.drain(..).rev().collect();
                assert_eq!(*executions, latest_first, "what succeeded is undone, latest first");
                self.to_undo.extend(latest_first);
            }
            Event::WorkflowFailed { .. } => {
                assert!(self.to_undo.is_empty() && self.undoable.is_empty(), "failed, and not undone: {self:?}");
                self.status = Some(WorkflowStatus::Failed);
            }
            Event::WorkflowStarted { .. } | Event::WorkflowResumed { .. } | Event::WorkflowRetried { .. } => {
                self.status = Some(WorkflowStatus::Running);
            }
            Event::WorkflowWaiting => self.status = Some(WorkflowStatus::Waiting),
            Event::WorkflowPaused { .. } => self.status = Some(WorkflowStatus::Paused),
            Event::WorkflowCompleted => self.status = Some(WorkflowStatus::Completed),
            Event::WorkflowCanceled { .. } => self.status = Some(WorkflowStatus::Canceled),
            _ => {}
        }
    }

    fn activate(&mut self, execution: ExecutionNumber, begun: Begun) {
        self.activated += 1;
        assert_eq!(execution.0, self.activated, "executions are numbered as they are activated");
        if begun.step.as_str().ends_with("/compensate") {
            assert_eq!(begun.part_of, self.to_undo.pop_front(), "each is undone once, in its turn");
        } else if let Some(whole) = begun.part_of {
            assert!(self.active.contains_key(&whole), "execution {execution} is a part of what has ended");
        }
        self.active.insert(execution, begun);
    }

    fn end(&mut self, execution: ExecutionNumber) {
        assert!(self.active.remove(&execution).is_some(), "execution {execution} ends once");
        let left = self.active.values().find(|begun| begun.part_of == Some(execution));
        assert!(left.is_none(), "execution {execution} ended before its part {left:?}");
        self.ended.push(execution);
    }

    /// What is told so far is what the instance is.
    pub fn check(&self, plan: &Plan, instance: &WorkflowInstance) {
        let (state, control) = (&instance.state, &instance.state.control);
        let told: Vec<_> = self.active.iter().map(|(number, begun)| (*number, &begun.step, begun.part_of)).collect();
        let active = control.active.iter().map(|active| (active.number, &active.step, active.place.part_of()));
        assert_eq!(told, active.collect::<Vec<_>>(), "history tells of the executions that are active");
        assert_eq!((self.activated, self.ended.len()), (control.executions, control.ended as usize));
        assert_eq!(self.status, Some(state.status), "history tells the status");
        let awaited = self.children.iter().filter(|(_, child)| **child == Child::Awaited).map(|(id, _)| *id);
        let mut waiting: Vec<_> = state.children().collect();
        waiting.sort();
        assert_eq!(awaited.collect::<Vec<_>>(), waiting, "each child is awaited, has ended, or was canceled");
        for whole in control.active.iter().filter(|active| matches!(active.phase, Phase::RunningParts(_))) {
            let is_member = |active: &&Active| matches!(active.place, Place::Member { of, .. } if of == whole.number);
            let running = control.active.iter().filter(is_member).count();
            assert!(running <= at_once_max(plan, &whole.step), "{running} parts of `{}` run at once", whole.step);
        }
    }
}

fn at_once_max(plan: &Plan, step: &StepName) -> usize {
    let max = match &plan.step(plan.find(step).unwrap()).kind {
        PlannedKind::Group(PlannedGroup { mode: GroupMode::Parallel { max_concurrency, .. }, .. })
        | PlannedKind::ForEach(PlannedForEach { max_concurrency, .. }) => *max_concurrency,
        _ => Some(1),
    };
    max.map_or(usize::MAX, |max| max as usize)
}
