//! What happens between executions and around them: edges, tasks, messages, other instances, undoing.

use super::super::{Found, Rule};
use super::{Awaits, Life, Path, ToldTask};
use crate::definition::Join;
use crate::history::{EdgeDecision, Event};
use crate::id::{ExecutionNumber, TaskId};
use crate::name::StepName;
use crate::status::TaskStatus;

impl Path<'_> {
    /// Follows what is about none of the instance as a whole and no execution alone.
    pub(super) fn follow_other(&mut self, event: &Event, found: &mut Found) {
        match event {
            Event::EdgesDecided { execution, step, edges } => self.decided(*execution, step, edges, found),
            Event::BranchJoined { execution, step, from, edge } => {
                self.open(*execution, step, found);
                found.expect(Rule::Edges, !self.came.contains(&(*from, step.clone())), || {
                    format!("the branch from execution {from} comes to `{step}` a second time")
                });
                self.check_way(*from, step, *edge, found);
                let joins = self.planned(step, found).is_none_or(|planned| planned.join == Join::All);
                found.expect(Rule::Edges, joins, || format!("`{step}` takes the first branch alone, and is joined"));
            }
            Event::BranchAbsorbed { step, from, edge } => self.check_way(*from, step, *edge, found),
            Event::CompensationStarted { executions } => {
                let latest_first: Vec<_> = self.undoable.drain(..).rev().collect();
                let is_all = self.plan.is_none() || *executions == latest_first;
                found.expect(Rule::Path, is_all, || {
                    format!("executions {executions:?} are to be undone, and those that can be are {latest_first:?}")
                });
                self.to_undo = executions.iter().rev().copied().collect();
            }
            Event::MessageKept { message, step } => {
                let next = self.messages_kept.last().map_or(1, |last| last + 1);
                found.expect(Rule::Path, *message == next, || {
                    format!("message {message} for `{step}` is kept, and the next one is {next}")
                });
                self.messages_kept.insert(*message);
            }
            Event::MessageTaken { execution, step, message } => {
                self.wait_begins(*execution, step, Awaits::TakenMessage, found);
                let Some(message) = message else { return };
                let is_there = self.messages_kept.contains(message) && self.messages_taken.insert(*message);
                found.expect(Rule::Path, is_there, || format!("`{step}` takes message {message}, which is not kept"));
            }
            Event::ChildStarted { execution, step, child } => {
                self.wait_begins(*execution, step, Awaits::Child(*child), found);
                let before = self.children.insert(*child, *execution);
                found.expect(Rule::Path, before.is_none(), || format!("instance {child} is started a second time"));
            }
            Event::ChildEnded { execution, step, child } => {
                let awaits = self.open(*execution, step, found).map(|life| life.awaits);
                found.expect(Rule::Path, awaits.is_none_or(|awaits| awaits == Awaits::Child(*child)), || {
                    format!("execution {execution} of `{step}` is told of instance {child}, and waits for another")
                });
                found.expect(Rule::Path, self.children_ended.insert(*child), || {
                    format!("instance {child} ends a second time")
                });
            }
            _ => self.follow_task(event, found),
        }
    }

    fn follow_task(&mut self, event: &Event, found: &mut Found) {
        match event {
            Event::TaskCreated { task, execution, step, assignee, .. } => {
                self.wait_begins(*execution, step, Awaits::Task(*task), found);
                found.expect(Rule::Tasks, *task == execution.task_id(self.id), || {
                    format!("task {task} is not that of execution {execution} of `{step}`")
                });
                let told = ToldTask {
                    execution: *execution,
                    assignee: assignee.clone(),
                    status: TaskStatus::Pending,
                    completed_by: None,
                    is_reminded: false,
                    is_overdue: false,
                };
                let before = self.tasks.insert(*task, told);
                found.expect(Rule::Tasks, before.is_none(), || format!("task {task} is created a second time"));
            }
            Event::TaskClaimed { task, user, .. } => {
                if let Some(told) = self.pending(*task, "is claimed", found) {
                    told.assignee = Some(user.clone());
                }
            }
            Event::TaskReassigned { task, to, .. } => {
                if let Some(told) = self.pending(*task, "is reassigned", found) {
                    told.assignee = Some(to.clone());
                }
            }
            Event::TaskReminded { task, .. } => {
                let Some(told) = self.pending(*task, "is reminded of", found) else { return };
                let is_first = !std::mem::replace(&mut told.is_reminded, true);
                found.expect(Rule::Timers, is_first, || format!("task {task} is reminded of a second time"));
            }
            Event::TaskOverdue { task, .. } => {
                let Some(told) = self.pending(*task, "is overdue", found) else { return };
                let is_first = !std::mem::replace(&mut told.is_overdue, true);
                found.expect(Rule::Timers, is_first, || format!("task {task} becomes overdue a second time"));
            }
            Event::TaskCompleted { task, user, .. } => {
                if let Some(told) = self.pending(*task, "is completed", found) {
                    told.status = TaskStatus::Completed;
                    told.completed_by = Some(user.clone());
                }
            }
            Event::TaskCanceled { task, .. } => {
                if let Some(told) = self.pending(*task, "is canceled", found) {
                    told.status = TaskStatus::Canceled;
                }
            }
            _ => found.note(Rule::Path, format!("nothing is known of `{}`", event.event_type())),
        }
    }

    fn pending(&mut self, task: TaskId, what: &str, found: &mut Found) -> Option<&mut ToldTask> {
        let told = self.tasks.get_mut(&task);
        let stands = told.as_ref().map_or("not there", |told| told.status.as_str());
        let pending = told.filter(|told| told.status == TaskStatus::Pending);
        found.expect(Rule::Tasks, pending.is_some(), || format!("task {task} {what}, and is {stands}"));
        pending
    }

    /// An execution begins to wait for what it waits for once in its life.
    fn wait_begins(&mut self, number: ExecutionNumber, step: &StepName, awaits: Awaits, found: &mut Found) {
        let Some(life) = self.open(number, step, found) else { return };
        found.expect(Rule::Path, life.awaits == Awaits::Nothing, || {
            format!("execution {number} of `{step}` comes to {awaits:?} after {:?}", life.awaits)
        });
        life.awaits = awaits;
    }

    fn decided(&mut self, number: ExecutionNumber, step: &StepName, edges: &[EdgeDecision], found: &mut Found) {
        let has_ended = self.lives.get(&number).is_some_and(Life::has_ended);
        found.expect(Rule::Edges, has_ended, || {
            format!("the edges of execution {number} of `{step}` are decided on, and it has not ended")
        });
        for decision in edges {
            if let Some(plan) = self.plan {
                let edge = plan.definition.edges.get(decision.edge as usize);
                let fits = edge.is_some_and(|edge| edge.source == *step && edge.target == decision.target);
                found.expect(Rule::Edges, fits, || {
                    format!("edge {} does not lead from `{step}` to `{}`", decision.edge, decision.target)
                });
            }
            let before = self.ways.insert((number, decision.edge), decision.taken);
            found.expect(Rule::Edges, before.is_none(), || {
                format!("edge {} is decided on a second time for execution {number} of `{step}`", decision.edge)
            });
            if decision.taken {
                self.to_come.push((number, decision.target.clone()));
            }
        }
    }

    /// Whether an edge was to be taken from an execution to a step.
    pub(super) fn check_way(&mut self, from: ExecutionNumber, to: &StepName, edge: u32, found: &mut Found) {
        found.expect(Rule::Edges, self.ways.get(&(from, edge)) == Some(&true), || {
            format!("`{to}` is reached over edge {edge} from execution {from}, which was not to be taken")
        });
        self.came.insert((from, to.clone()));
        let Some(plan) = self.plan else { return };
        let fits = plan.definition.edges.get(edge as usize).is_some_and(|edge| edge.target == *to);
        found.expect(Rule::Edges, fits, || format!("edge {edge} does not lead to `{to}`"));
    }
}
