//! What bounds an attempt of host-native code: its time, its panics, and the size of what it returns.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use futures::FutureExt as _;
use stepcell_model::attempt::{AttemptOutcome, AttemptTrace, CellLimits, OUTPUT_BYTES_MAX, Receipt, TimeLimit};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::json::{JSON_DEPTH_MAX, Json};
use tokio::time::Instant;

use crate::context::WorkflowContext;

/// When an attempt is stopped, and why.
pub(crate) struct Deadline {
    began: Instant,
    limit: TimeLimit,
}

impl Deadline {
    /// When an attempt that begins now is stopped.
    pub(crate) fn of(limits: &CellLimits) -> Self {
        Self { began: Instant::now(), limit: limits.time_limit() }
    }

    /// Ends work when the time is up, and makes a panic of it a failure like a trap of a component.
    pub(crate) async fn bound<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let work = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout_at(self.began + self.limit.length, work).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(panic)) => Err(Failure::engine(EngineCode::Trap, format!("The step panicked: {}.", said(&*panic)))),
            Err(_) => Err(self.limit.exceeded()),
        }
    }

    /// What the attempt cost so far; `outcome` is what it came to.
    pub(crate) fn trace(&self, context: &WorkflowContext, outcome: &AttemptOutcome) -> AttemptTrace {
        let output_bytes = match outcome {
            AttemptOutcome::Succeeded(output) => output.len_bytes(),
            AttemptOutcome::Skipped | AttemptOutcome::Failed(_) => 0,
        };
        let receipt = Receipt {
            wall_us: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            bytes_out: (output_bytes + context.written_bytes()) as u64,
            ..Receipt::default()
        };
        AttemptTrace { receipt, ..AttemptTrace::default() }
    }
}

/// What a step returned, if it can be kept.
pub(crate) fn checked_output(output: Json) -> Result<Json, Failure> {
    if output.len_bytes() > OUTPUT_BYTES_MAX {
        let message = format!("The output has {} bytes, and may have {OUTPUT_BYTES_MAX}.", output.len_bytes());
        return Err(Failure::engine(EngineCode::Output, message));
    }
    if output.depth() > JSON_DEPTH_MAX {
        let message = format!("The output nests deeper than {JSON_DEPTH_MAX}; flatten the value.");
        return Err(Failure::engine(EngineCode::InvalidOutput, message));
    }
    Ok(output)
}

/// The text that a panic was raised with.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}
