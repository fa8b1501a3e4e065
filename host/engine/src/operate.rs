//! What operators do to an instance: cancel, hold, let go on, try again, send it a message.

use std::collections::BTreeMap;

use stepcell_model::history::Event;
use stepcell_model::id::{ExecutionNumber, InstanceId};
use stepcell_model::instance::{Arrival, WorkflowInstance};
use stepcell_model::json::Json;
use stepcell_model::name::{SignalName, StepName, UserId};
use stepcell_model::plan::Plan;
use stepcell_model::record::ExecutionRecord;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::{Cause, Compensation, RetryPoint};
use stepcell_store::LIST_LEN_MAX;

use crate::engine::WorkflowEngine;
use crate::error::EngineError;

/// How an instance is canceled.
#[derive(Clone, Debug)]
pub struct CancelRequest {
    /// Why, for whoever reads its history.
    pub reason: String,
    /// Who cancels it.
    pub by: Option<UserId>,
    /// What becomes of what it did.
    pub compensation: Compensation,
}

impl CancelRequest {
    /// A cancel by nobody in particular that leaves what was done as it is.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), by: None, compensation: Compensation::None }
    }
}

impl WorkflowEngine {
    /// Cancels an instance. What runs is interrupted; pending tasks, timers and callbacks go in the same transaction.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`], [`EngineError::AlreadyCompleted`].
    pub async fn cancel_workflow(&self, id: InstanceId, reason: &str) -> Result<(), EngineError> {
        self.cancel_workflow_with(id, CancelRequest::new(reason)).await
    }

    /// Cancels an instance, and says who does and what becomes of what it did.
    ///
    /// With [`Compensation::Undo`] it is canceled once everything that can be undone is.
    ///
    /// # Errors
    /// As [`Self::cancel_workflow`].
    pub async fn cancel_workflow_with(&self, id: InstanceId, request: CancelRequest) -> Result<(), EngineError> {
        let cause_for = |_: &mut WorkflowInstance| {
            let CancelRequest { reason, by, compensation } = request.clone();
            Ok(Cause::Canceled { reason, by, compensation })
        };
        self.inner.change(id, cause_for).await
    }

    /// Holds an instance: what runs ends, and nothing new starts until it is resumed.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`], [`EngineError::AlreadyCompleted`]; [`EngineError::InvalidTransition`] if it
    /// is held already.
    pub async fn pause(&self, id: InstanceId, by: Option<UserId>) -> Result<(), EngineError> {
        self.inner.change(id, |_| Ok(Cause::Paused { by: by.clone() })).await
    }

    /// Lets an instance go on that was held.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`], [`EngineError::AlreadyCompleted`]; [`EngineError::InvalidTransition`] if it
    /// is not held.
    pub async fn resume(&self, id: InstanceId, by: Option<UserId>) -> Result<(), EngineError> {
        self.inner.change(id, |_| Ok(Cause::Resumed { by: by.clone() })).await
    }

    /// Sends an instance a message by name: the step that waits for it takes it; for one that is still to come it is kept.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`], [`EngineError::AlreadyCompleted`]; [`EngineError::NobodyWaits`] if no step
    /// waits for such a message, and none that is still to come will.
    pub async fn signal(&self, id: InstanceId, signal: &SignalName, payload: Json) -> Result<(), EngineError> {
        let cause_for =
            |_: &mut WorkflowInstance| Ok(Cause::Signaled { signal: signal.clone(), payload: payload.clone() });
        self.inner.change(id, cause_for).await
    }

    /// Lets a failed instance go on: where it failed, or at an earlier step of its graph and everything after it.
    ///
    /// What it did stays in its history, and its context is as it was; each step that runs again is a new execution.
    ///
    /// # Errors
    /// [`EngineError::InstanceNotFound`]; [`EngineError::InvalidTransition`] if it has not failed, if what it did was
    /// undone, or if there is no such step or it was never reached.
    pub async fn retry(
        &self,
        id: InstanceId,
        from_step: Option<&StepName>,
        by: Option<UserId>,
    ) -> Result<(), EngineError> {
        let Some(step) = from_step else {
            return self.inner.change(id, |_| Ok(Cause::Retried { from: None, by: by.clone() })).await;
        };
        let instance = self.inner.load(id).await?;
        let plan = self.inner.registry.plan(instance.identity.definition).await?;
        match instance.state.status {
            WorkflowStatus::Failed => {}
            status if status.is_finished() => return Err(EngineError::AlreadyCompleted { id, status }),
            status => return Err(not_from(id, status, step, "only a failed instance can be retried".to_owned())),
        }
        check_step(id, &plan, step)?;
        let executions = self.inner.store.list_executions(id).await?;
        let arrivals = self.arrivals_at(id, step, &executions).await?;
        let results: BTreeMap<_, _> =
            executions.into_iter().filter_map(|record| Some((record.number, record.output?))).collect();
        let cause_for = |loaded: &mut WorkflowInstance| {
            // Gateways and people are shown what came to them in the decision itself.
            let meant =
                arrivals.iter().filter_map(|arrival| Some((arrival.execution, results.get(&arrival.execution)?)));
            loaded.results.extend(meant.map(|(number, result)| (number, result.clone())));
            let from = (loaded.state.current_step.as_ref() != Some(step))
                .then(|| RetryPoint::new(step.clone(), arrivals.clone()));
            Ok(Cause::Retried { from, by: by.clone() })
        };
        self.inner.change(id, cause_for).await
    }

    /// What came to the last execution of a step, by the events that told so.
    async fn arrivals_at(
        &self,
        id: InstanceId,
        step: &StepName,
        executions: &[ExecutionRecord],
    ) -> Result<Vec<Arrival>, EngineError> {
        let mut last = None;
        let mut after = 0;
        loop {
            let page = self.inner.store.list_history(id, after, LIST_LEN_MAX).await?;
            let Some(end) = page.last() else { break };
            after = end.seq;
            for event in page.into_iter().flat_map(|entry| entry.events) {
                match event {
                    Event::StepActivated { execution, step: reached, from, with, .. } if reached == *step => {
                        last = Some((execution, from.into_iter().chain(with).collect::<Vec<_>>()));
                    }
                    Event::BranchJoined { execution, from, .. } => {
                        if let Some((known, arrivals)) = &mut last
                            && *known == execution
                        {
                            arrivals.push(from);
                        }
                    }
                    _ => {}
                }
            }
        }
        let never = || {
            not_from(
                id,
                WorkflowStatus::Failed,
                step,
                "the instance never came to it; name a step of its history".to_owned(),
            )
        };
        let (_, from) = last.ok_or_else(never)?;
        let arrival = |number: ExecutionNumber| {
            let record = executions.iter().find(|record| record.number == number)?;
            let (step, has_result) = (record.step.clone(), record.output.is_some());
            Some(Arrival { step, execution: number, has_result, item: None })
        };
        Ok(from.into_iter().filter_map(arrival).collect())
    }
}

fn check_step(id: InstanceId, plan: &Plan, step: &StepName) -> Result<(), EngineError> {
    if plan.definition.steps.contains_key(step) {
        return Ok(());
    }
    let known = plan.definition.steps.keys().map(StepName::as_str).collect::<Vec<_>>().join(", ");
    let why = match plan.find(step) {
        Some(_) => format!("it is a part of `{}`; name that", step.top()),
        None => format!("it is not a step; the steps are {known}"),
    };
    Err(not_from(id, WorkflowStatus::Failed, step, why))
}

fn not_from(id: InstanceId, from: WorkflowStatus, step: &StepName, why: String) -> EngineError {
    EngineError::InvalidTransition {
        what: format!("instance {id}"),
        from: from.to_string(),
        to: format!("running from `{step}`"),
        why,
    }
}
