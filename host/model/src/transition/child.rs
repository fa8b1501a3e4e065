//! Steps that are workflows: the child is another instance, and letters go between the two.

use super::draft::Draft;
use super::{MESSAGE_LEN_BYTES_MAX, Refusal};
use crate::failure::{EngineCode, Failure};
use crate::history::Event;
use crate::id::{ExecutionNumber, InstanceId};
use crate::instance::{Active, Phase};
use crate::json::Json;
use crate::letter::{CHILD_DEPTH_MAX, ChildOutcome, ChildStart, Letter};
use crate::plan::{PlannedKind, PlannedWorkflow};
use crate::record::ParentLink;
use crate::status::{StepStatus, WorkflowStatus};

/// The most bytes that the children have as initial data together that one decision starts.
///
/// Protects memory and store; with `max_concurrency` fewer start at once.
const STARTED_LEN_BYTES_MAX: usize = 16 << 20;

impl Draft<'_> {
    pub(super) fn begin_child(&mut self, active: &Active, planned: &PlannedWorkflow) {
        let data = match self.child_data(active, planned) {
            Ok(data) => data,
            Err(failure) => return self.fail_unbegun(active, &failure),
        };
        if let Err(failure) = self.check_child_data(active, &data) {
            return self.fail_unbegun(active, &failure);
        }
        let identity = &self.instance.identity;
        let child = active.number.child_id(identity.id, self.now);
        let depth = identity.parent.map_or(0, |parent| parent.depth) + 1;
        let parent = ParentLink { instance: identity.id, execution: active.number, depth };
        self.letters.push(Letter::StartChild(ChildStart {
            child,
            parent,
            workflow: planned.workflow.clone(),
            version: planned.version.clone(),
            data: data.clone(),
        }));
        let timeout_at = planned.timeout.map(|timeout| self.now.after(timeout.length()));
        self.set_phase(active.number, Phase::AwaitingChild { child, timeout_at });
        self.record_begun(active.number, Some(data));
        self.events.push(Event::ChildStarted { execution: active.number, step: active.step.clone(), child });
    }

    fn child_data(&mut self, active: &Active, planned: &PlannedWorkflow) -> Result<Json, Failure> {
        let depth = self.instance.identity.parent.map_or(0, |parent| parent.depth);
        if depth >= CHILD_DEPTH_MAX {
            let message = format!(
                "`{}` can not start `{}`: {CHILD_DEPTH_MAX} workflows already wait for each other above it; does one \
                 call itself without end?",
                active.step, planned.workflow
            );
            return Err(Failure::engine(EngineCode::Iterations, message));
        }
        let came = self.incoming(active);
        let Some(mapping) = &planned.input else { return Ok(came.unwrap_or_else(Json::null)) };
        self.with_scope(came.as_ref(), |scope| mapping.evaluate(scope)).map_err(|error| {
            Failure::engine(EngineCode::Expression, format!("`input` of step `{}`: {error}", active.step))
        })
    }

    /// Checks what a child is given: by itself, and together with that of the others that this decision starts.
    fn check_child_data(&self, active: &Active, data: &Json) -> Result<(), Failure> {
        let too_large = |what: &str, bytes: usize, bytes_max: usize| {
            let message = format!("{what} of `{}` has {bytes} bytes; at most {bytes_max}", active.step);
            Err(Failure::engine(EngineCode::Output, message))
        };
        if data.len_bytes() > MESSAGE_LEN_BYTES_MAX {
            return too_large("the initial data", data.len_bytes(), MESSAGE_LEN_BYTES_MAX);
        }
        let given = self.letters.iter().map(|letter| match letter {
            Letter::StartChild(start) => start.data.len_bytes(),
            Letter::CancelChild { .. } | Letter::ChildEnded { .. } => 0,
        });
        let bytes = given.sum::<usize>() + data.len_bytes();
        if bytes > STARTED_LEN_BYTES_MAX {
            return too_large("the initial data of all children that start at once", bytes, STARTED_LEN_BYTES_MAX);
        }
        Ok(())
    }

    /// Goes on after the instance that a step waited for has finished.
    pub(super) fn child_ended(
        &mut self,
        execution: ExecutionNumber,
        child: InstanceId,
        outcome: ChildOutcome,
    ) -> Result<(), Refusal> {
        let waits = |phase: &Phase| matches!(phase, Phase::AwaitingChild { child: known, .. } if *known == child);
        let active = self.expect_phase(execution, StepStatus::Succeeded, waits)?.clone();
        self.events.push(Event::ChildEnded { execution, step: active.step.clone(), child });
        let PlannedKind::Workflow(planned) = &self.planned(&active).1.kind else { return Ok(()) };
        let input = self.given(&active);
        match outcome {
            ChildOutcome::Completed { result } => {
                self.complete_wait(&active, input, planned.result_key.as_ref(), result);
            }
            ChildOutcome::Failed { error } => {
                let failure = Failure {
                    code: error.code,
                    retryable: false,
                    details: error.details,
                    ..Failure::engine(
                        EngineCode::Host,
                        format!(
                            "the workflow `{}` (instance {child}) did not complete: {}",
                            planned.workflow, error.message
                        ),
                    )
                };
                self.fail_and_tell(&active, input, &failure);
            }
        }
        Ok(())
    }

    /// Tells the instance that waits for this one how it finished.
    pub(super) fn tell_parent(&mut self) {
        let identity = &self.instance.identity;
        let Some(parent) = identity.parent else { return };
        let outcome = match (self.state.status, &self.state.error) {
            (WorkflowStatus::Completed, _) => ChildOutcome::Completed { result: self.state.result.clone() },
            (_, Some(error)) => ChildOutcome::Failed { error: error.clone() },
            (_, None) => return,
        };
        self.letters.push(Letter::ChildEnded { parent, child: identity.id, outcome });
    }
}
