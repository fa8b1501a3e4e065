//! What an author writes: one type that implements [`Step`].

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::context::{Context, ReadContext};
use crate::failure::Failure;
use crate::schema::Schema;

/// The work of a step and what surrounds it.
///
/// Every attempt runs in a fresh instance, so nothing kept in memory outlives it: what must last goes through the
/// [`Context`]. Only [`Step::execute`] has to be written.
pub trait Step {
    /// What the step is given. `()` for a step that needs nothing, [`Value`] for one that takes anything.
    type Input: DeserializeOwned + Schema;

    /// What the step returns.
    type Output: Serialize + Schema;

    /// Says whether the step should run on this input; `false` marks it skipped.
    ///
    /// # Errors
    /// A failure counts as a failed attempt.
    fn can_execute(_input: &Self::Input, _ctx: &ReadContext) -> Result<bool, Failure> {
        Ok(true)
    }

    /// Does the work.
    ///
    /// It may be called again after a failure, a panic or a crash of the engine, so outside effects should carry
    /// [`idempotency_key`](crate::ExecutionInfo::idempotency_key).
    ///
    /// # Errors
    /// A failure ends the attempt and drops what it wrote to the context.
    fn execute(input: Self::Input, ctx: &mut Context) -> Result<Self::Output, Failure>;

    /// Is called in the same instance after `execute` returned `output`.
    ///
    /// # Errors
    /// A failure drops what this function wrote and is recorded; the step has succeeded all the same.
    fn on_success(_output: &Value, _ctx: &mut Context) -> Result<(), Failure> {
        Ok(())
    }

    /// Is called in an instance of its own once the step has failed for good. What it writes is kept.
    ///
    /// # Errors
    /// A failure drops what this function wrote and is recorded beside the step's own.
    fn on_failure(_failure: &Failure, _ctx: &mut Context) -> Result<(), Failure> {
        Ok(())
    }
}
