//! What an author of a gateway writes: one type that implements [`Gateway`].

use serde::de::DeserializeOwned;

use crate::context::ReadContext;
use crate::failure::Failure;
use crate::schema::Schema;

/// A choice between the steps that follow a gateway.
///
/// It only looks: what it must know comes with the input and from the context, and what it decides is its answer.
///
/// # Examples
/// ```
/// use stepcell_sdk::{Failure, Gateway, MockContext, ReadContext};
///
/// /// Sends on what is urgent to everybody, and the rest to the first.
/// struct Triage;
///
/// impl Gateway for Triage {
///     type Input = ();
///
///     fn evaluate(_input: (), targets: &[String], ctx: &ReadContext) -> Result<Vec<String>, Failure> {
///         let is_urgent = ctx.get::<bool>("urgent")?.unwrap_or(false);
///         Ok(if is_urgent { targets.to_vec() } else { targets[..1].to_vec() })
///     }
/// }
///
/// stepcell_sdk::export_gateway!(Triage);
///
/// # fn main() {
/// let ctx = MockContext::new().with_value("urgent", true);
/// assert_eq!(ctx.evaluate::<Triage>((), &["clerk", "officer"]), Ok(vec!["clerk".to_owned(), "officer".to_owned()]));
/// # }
/// ```
pub trait Gateway {
    /// What the gateway is given. `()` for one that needs nothing, [`Value`](crate::Value) for one that takes anything.
    type Input: DeserializeOwned + Schema;

    /// Names the steps to follow, each one of `targets`: the steps that the gateway's edges lead to, in the order of
    /// the edges.
    ///
    /// A name that is none of them counts as a failed attempt with the code `engine.contract`; a name given twice counts
    /// once. Where none is named, the default edge is followed, and without one the instance fails.
    ///
    /// # Errors
    /// A failure counts as a failed attempt.
    fn evaluate(input: Self::Input, targets: &[String], ctx: &ReadContext) -> Result<Vec<String>, Failure>;
}
