//! A component in the shape of a host-native step.

use std::sync::Arc;

use async_trait::async_trait;
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, HookReport};
use stepcell_model::failure::Failure;
use stepcell_model::id::ComponentDigest;
use stepcell_model::json::Json;
use stepcell_model::name::ComponentName;

use crate::context::WorkflowContext;
use crate::runner::StepRunner;
use crate::step::Step;

/// A component as a [`Step`], so that whoever runs one step alone need not know which kind it is.
pub(crate) struct ComponentStep {
    pub(crate) name: ComponentName,
    pub(crate) description: String,
    pub(crate) digest: ComponentDigest,
    pub(crate) runner: Arc<dyn StepRunner>,
}

#[async_trait]
impl Step for ComponentStep {
    fn name(&self) -> &str {
        self.name.as_str()
    }

    fn description(&self) -> &str {
        &self.description
    }

    /// Runs a whole attempt, guard and hook included, as a cell lives no longer; a step that is skipped returns `null`.
    async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure> {
        let report = self.attempt(context.clone()).await;
        match report.outcome {
            AttemptOutcome::Succeeded(output) => {
                context.stage(report.writes)?;
                Ok(output)
            }
            AttemptOutcome::Skipped => Ok(Json::null()),
            AttemptOutcome::Failed(failure) => Err(failure),
        }
    }

    async fn on_failure(&self, context: &mut WorkflowContext, error: &Failure) -> Result<(), Failure> {
        let report = self.failure_hook(context.clone(), error.clone()).await;
        context.stage(report.writes)?;
        report.failure.map_or(Ok(()), Err)
    }

    async fn attempt(&self, context: WorkflowContext) -> AttemptReport {
        self.runner.run(context.to_call(self.digest)).await
    }

    async fn failure_hook(&self, context: WorkflowContext, error: Failure) -> HookReport {
        self.runner.run_failure_hook(context.to_call(self.digest), error).await
    }
}
