//! Steps that are code of the host itself, and everything else seen as one: the four functions, and how they are called.
//!
//! A host-native step runs without walls, in the process of whoever embeds the engine. What holds for components holds
//! for it all the same: each attempt has a snapshot of its own, writes go with the outcome, a panic costs the attempt
//! alone, and time is limited. What it does not hold is memory and CPU: those limits need a cell.

use std::fmt;

use async_trait::async_trait;
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, ContextWrites, HookReport};
use stepcell_model::failure::Failure;
use stepcell_model::json::Json;

use crate::context::WorkflowContext;
use crate::deadline::{Deadline, checked_output};

/// A step: what a component exports, as a Rust trait.
///
/// Of the six functions the first four are the step; the last two say how they are called, and stay as they are.
/// The time limit ends a step where it waits: code that keeps a thread busy belongs into
/// [`spawn_blocking`](tokio::task::spawn_blocking).
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use serde_json::{Value, json};
/// use stepcell_engine::{Step, WorkflowContext};
/// use stepcell_model::failure::Failure;
/// use stepcell_model::json::Json;
///
/// struct Total;
///
/// #[async_trait]
/// impl Step for Total {
///     fn name(&self) -> &str {
///         "shop/total"
///     }
///
///     async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure> {
///         let prices = context.get("prices").and_then(Value::as_array);
///         let prices = prices.ok_or_else(|| Failure::new("no-prices", "`prices` is no list."))?;
///         let total: i64 = prices.iter().filter_map(Value::as_i64).sum();
///         context.set("total", json!(total))?;
///         Ok(json!(total).into())
///     }
/// }
/// ```
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// Names the step within its process; a definition runs it as `component: host:<name>`.
    fn name(&self) -> &str;

    /// What the step is for.
    fn description(&self) -> &str {
        ""
    }

    /// Says whether there is anything to do; without it the step is skipped. It reads and does not write.
    ///
    /// # Errors
    /// A failure is one of the attempt.
    async fn can_execute(&self, _context: &WorkflowContext) -> Result<bool, Failure> {
        Ok(true)
    }

    /// Does the work. What it returns goes to the next step; what it wrote is dropped if it fails.
    ///
    /// # Errors
    /// Fails the attempt; a retryable failure is followed by another one as the step's retry policy says.
    async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure>;

    /// Is told of the result, in the same attempt.
    ///
    /// # Errors
    /// Drops only what this hook wrote, and is recorded: it can not change the outcome.
    async fn on_success(&self, _context: &mut WorkflowContext, _result: &Json) -> Result<(), Failure> {
        Ok(())
    }

    /// Is told that the step has failed for good. What it writes is kept.
    ///
    /// # Errors
    /// Drops what this hook wrote, and is recorded beside the failure.
    async fn on_failure(&self, _context: &mut WorkflowContext, _error: &Failure) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes one attempt: guard, work, hook.
    async fn attempt(&self, context: WorkflowContext) -> AttemptReport {
        attempt(self, context).await
    }

    /// Calls the hook of a step that has failed for good.
    async fn failure_hook(&self, context: WorkflowContext, error: Failure) -> HookReport {
        failure_hook(self, context, error).await
    }
}

impl fmt::Debug for dyn Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Step").field(&self.name()).finish()
    }
}

async fn attempt<S: Step + ?Sized>(step: &S, mut context: WorkflowContext) -> AttemptReport {
    let deadline = Deadline::of(context.limits());
    let work = async {
        if !step.can_execute(&context).await? {
            return Ok(None);
        }
        step.execute(&mut context).await.and_then(checked_output).map(Some)
    };
    let (outcome, hook_failure) = match deadline.bound(work).await {
        Ok(Some(output)) => {
            let before = context.save();
            let hook_failure = deadline.bound(step.on_success(&mut context, &output)).await.err();
            if hook_failure.is_some() {
                context.go_back(before);
            }
            (AttemptOutcome::Succeeded(output), hook_failure)
        }
        Ok(None) => (AttemptOutcome::Skipped, None),
        Err(failure) => (AttemptOutcome::Failed(failure), None),
    };
    let writes = match outcome {
        AttemptOutcome::Succeeded(_) => context.take_writes(),
        AttemptOutcome::Skipped | AttemptOutcome::Failed(_) => ContextWrites::new(),
    };
    let trace = deadline.trace(&context, &outcome);
    AttemptReport { outcome, writes, hook_failure, trace }
}

async fn failure_hook<S: Step + ?Sized>(step: &S, mut context: WorkflowContext, error: Failure) -> HookReport {
    let deadline = Deadline::of(context.limits());
    let failure = deadline.bound(step.on_failure(&mut context, &error)).await.err();
    let trace = deadline.trace(&context, &AttemptOutcome::Skipped);
    let writes = if failure.is_none() { context.take_writes() } else { ContextWrites::new() };
    HookReport { writes, failure, trace }
}
