//! One step alone: called as in a workflow, with nothing stored.

use stepcell_model::attempt::AttemptOutcome;
use stepcell_model::json::Json;

use crate::context::WorkflowContext;
use crate::error::EngineError;
use crate::step::Step;

/// What a step that was run alone came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Executed {
    /// It returned this.
    Returned(Json),
    /// `can_execute` said no.
    Skipped,
}

impl Executed {
    /// What the step returned, if it was not skipped.
    #[must_use]
    pub fn into_output(self) -> Option<Json> {
        match self {
            Self::Returned(output) => Some(output),
            Self::Skipped => None,
        }
    }
}

/// Makes one attempt of a step with all its hooks. What it wrote is in `context` afterwards, under the same rules as in
/// a workflow: nothing of an attempt that failed, nothing of a hook that failed.
///
/// A hook that fails is told to the log alone, as there is no record to tell it in.
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use serde_json::json;
/// use stepcell_engine::{Executed, Step, WorkflowContext, execute_step};
/// use stepcell_model::failure::Failure;
/// use stepcell_model::json::Json;
///
/// struct Double;
///
/// #[async_trait]
/// impl Step for Double {
///     fn name(&self) -> &str {
///         "double"
///     }
///
///     async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure> {
///         let doubled = json!(context.input().as_i64().unwrap_or(0) * 2);
///         context.set("doubled", doubled.clone())?;
///         Ok(doubled.into())
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let mut context = WorkflowContext::new("double".parse()?, json!({}))?;
/// let executed = execute_step(&Double, &mut context, Some(json!(21).into())).await?;
/// assert_eq!(executed, Executed::Returned(json!(42).into()));
/// assert_eq!(context.get("doubled"), Some(&json!(42)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`EngineError::StepExecution`] with the cause if the step failed; `on_failure` has been called then.
pub async fn execute_step(
    step: &dyn Step,
    context: &mut WorkflowContext,
    previous: Option<Json>,
) -> Result<Executed, EngineError> {
    let report = step.attempt(context.for_attempt(previous.clone())).await;
    if let Some(failure) = report.hook_failure {
        tracing::warn!(step = step.name(), %failure, "on_success failed");
    }
    let cause = match report.outcome {
        AttemptOutcome::Succeeded(output) => {
            context.absorb(report.writes);
            return Ok(Executed::Returned(output));
        }
        AttemptOutcome::Skipped => return Ok(Executed::Skipped),
        AttemptOutcome::Failed(cause) => cause,
    };
    let hook = step.failure_hook(context.for_attempt(previous), cause.clone()).await;
    if let Some(failure) = hook.failure {
        tracing::warn!(step = step.name(), %failure, "on_failure failed");
    }
    context.absorb(hook.writes);
    let (step, attempt) = (context.current_step().clone(), context.info().attempt);
    Err(EngineError::StepExecution { step, attempt, cause })
}
