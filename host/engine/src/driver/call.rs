//! What an attempt is given.

use std::sync::Arc;

use stepcell_model::attempt::{ExecutionInfo, StepCall};
use stepcell_model::definition::Outcome;
use stepcell_model::expression::{InstanceFacts, Scope};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::grants::StepGrants;
use stepcell_model::instance::Active;
use stepcell_model::json::Json;
use stepcell_model::name::StepName;
use stepcell_model::plan::{PlannedKind, PlannedMachine, PlannedStep};
use stepcell_model::trace::TraceContext;

use super::Driver;
use crate::engine::Tracing;

impl Driver {
    /// Everything that the next attempt of an execution is given; notes its input for the record.
    pub(super) fn call_for(&mut self, active: &Active) -> Result<StepCall, Failure> {
        self.inputs.remove(&active.number);
        let input = self.input_of(active)?;
        self.inputs.insert(active.number, input.clone());
        self.call_with(active, input)
    }

    /// Everything that `on-failure` of an execution is given.
    ///
    /// Its input is the one that the last attempt had, whatever other branches have written since. Where the host went
    /// down in between it is made anew, and `null` where it could not be made.
    pub(super) fn hook_call_for(&mut self, active: &Active) -> Result<StepCall, Failure> {
        match self.inputs.get(&active.number).cloned() {
            Some(input) => self.call_with(active, input),
            None => self.call_for(active).or_else(|_| self.call_with(active, Json::null())),
        }
    }

    fn call_with(&self, active: &Active, input: Json) -> Result<StepCall, Failure> {
        let machine = self.machine_of(active)?;
        let identity = &self.instance.identity;
        let now = self.inner.clock.now();
        let decided = self.inner.guard.decided();
        let policy = decided.of(identity.tenant.as_ref());
        let limits = machine.limits.at_most(&policy.limits);
        let within = limits.time_limit().length;
        let info = ExecutionInfo {
            workflow_name: identity.workflow_name.clone(),
            workflow_version: identity.workflow_version.clone(),
            definition: identity.definition,
            instance: identity.id,
            step: active.step.clone(),
            execution: active.number.id(identity.id),
            attempt: active.attempts,
            attempts_max: machine.retry.max_attempts,
            tenant: identity.tenant.clone(),
            user: self.instance.state.control.user.clone(),
            instance_started_at: identity.started_at,
            execution_started_at: active.started_at.unwrap_or(now),
            deadline: Some(now.after(within)),
            trace: self.trace_of(active),
        };
        Ok(StepCall {
            component: machine.component,
            info,
            input,
            context: Arc::clone(&self.instance.context),
            metadata: Arc::clone(&identity.metadata),
            config: Arc::clone(&machine.config),
            history: Arc::clone(&self.history),
            previous: self.instance.previous_result(active),
            limits,
            grants: StepGrants { asked: Arc::clone(&machine.grants), allowed: Arc::clone(&policy.grants) },
            secrets: Arc::default(),
        })
    }

    /// Where requests of an attempt stand in a trace: at the span of its execution where those are told of, else where the
    /// instance was started.
    fn trace_of(&self, active: &Active) -> Option<TraceContext> {
        let identity = &self.instance.identity;
        let parent = TraceContext::of_metadata(&identity.metadata);
        match self.inner.tracing {
            Tracing::Told => Some(TraceContext::of_execution(identity.id, active.number.id(identity.id), parent)),
            Tracing::PassedOn => parent,
        }
    }

    /// The value of the step's `input:`; without one, what the step before returned, or the instance's initial data.
    fn input_of(&self, active: &Active) -> Result<Json, Failure> {
        let previous = self.instance.incoming(active);
        let Some(mapping) = &self.machine_of(active)?.input else {
            return Ok(previous.unwrap_or_else(Json::null));
        };
        let identity = &self.instance.identity;
        let facts = InstanceFacts::of(identity, self.instance.state.control.user.as_ref());
        let scope = Scope {
            context: &self.instance.context,
            result: previous.as_ref(),
            metadata: &identity.metadata,
            instance: &facts,
        };
        let told =
            |error| Failure::engine(EngineCode::Expression, format!("`input` of step `{}`: {error}", active.step));
        mapping.evaluate(&scope).map_err(told)
    }

    pub(super) fn machine_of(&self, active: &Active) -> Result<&PlannedMachine, Failure> {
        let step = self.plan.find(&active.step).map(|index| self.plan.step(index));
        step.and_then(PlannedStep::machine).ok_or_else(|| {
            let message = format!("`{}` runs no component in its definition", active.step);
            Failure::engine(EngineCode::Host, message)
        })
    }

    /// The steps that a gateway's component may name, each once and in order; none for any other step.
    pub(super) fn gateway_targets(&self, active: &Active) -> Option<Vec<StepName>> {
        let step = self.plan.find(&active.step).map(|index| self.plan.step(index))?;
        let PlannedKind::GatewayComponent(_) = step.kind else { return None };
        let mut targets = Vec::new();
        for edge in step.outgoing(Outcome::Success) {
            let target = &self.plan.step(edge.target).name;
            if !targets.contains(target) {
                targets.push(target.clone());
            }
        }
        Some(targets)
    }
}
