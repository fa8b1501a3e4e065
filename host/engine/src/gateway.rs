//! Gateways that are code of the host itself.

use std::fmt;

use async_trait::async_trait;
use serde_json::Value;
use stepcell_model::attempt::{AttemptOutcome, AttemptReport, ContextWrites};
use stepcell_model::failure::Failure;
use stepcell_model::name::StepName;

use crate::context::WorkflowContext;
use crate::deadline::{Deadline, checked_output};

/// Decides which steps follow: what a gateway component exports, as a Rust trait. It reads and does not write.
///
/// # Examples
/// ```
/// use async_trait::async_trait;
/// use serde_json::Value;
/// use stepcell_engine::{Gateway, WorkflowContext};
/// use stepcell_model::failure::Failure;
/// use stepcell_model::name::StepName;
///
/// struct ByAmount;
///
/// #[async_trait]
/// impl Gateway for ByAmount {
///     fn name(&self) -> &str {
///         "shop/by-amount"
///     }
///
///     async fn evaluate(&self, context: &WorkflowContext, _targets: &[StepName]) -> Result<Vec<String>, Failure> {
///         let amount = context.get("amount").and_then(Value::as_i64).unwrap_or(0);
///         Ok(vec![if amount >= 1_000 { "review" } else { "pay" }.to_owned()])
///     }
/// }
/// ```
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Names the gateway within its process; a definition asks it as `component: host:<name>`.
    fn name(&self) -> &str;

    /// What the gateway is for.
    fn description(&self) -> &str {
        ""
    }

    /// Names the steps that follow, of those in `targets`; a name given twice counts once.
    ///
    /// # Errors
    /// Fails the attempt; a retryable failure is followed by another one as the step's retry policy says.
    async fn evaluate(&self, context: &WorkflowContext, targets: &[StepName]) -> Result<Vec<String>, Failure>;
}

impl fmt::Debug for dyn Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gateway").field(&self.name()).finish()
    }
}

/// Asks a gateway once. What succeeds holds the names as they came.
pub(crate) async fn ask(gateway: &dyn Gateway, context: WorkflowContext, targets: &[StepName]) -> AttemptReport {
    let deadline = Deadline::of(context.limits());
    let names = async { checked_output(Value::from(gateway.evaluate(&context, targets).await?).into()) };
    let outcome = deadline.bound(names).await.map_or_else(AttemptOutcome::Failed, AttemptOutcome::Succeeded);
    let trace = deadline.trace(&context, &outcome);
    AttemptReport { outcome, writes: ContextWrites::new(), hook_failure: None, trace }
}
