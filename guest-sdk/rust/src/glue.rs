//! What [`export!`](crate::export) puts between the component's functions and a [`Step`], and
//! [`export_gateway!`](crate::export_gateway) between them and a [`Gateway`]. Not for authors.

use std::cell::RefCell;
use std::io::Write;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bindings::stepcell::step::types::StepFailure;
use crate::context::{Context, parse};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::source::Source;
use crate::step::Step;

/// An input that a guard has parsed, kept for the `execute` that follows in the same instance.
pub type Parsed<S> = RefCell<Option<(String, <S as Step>::Input)>>;

/// Runs the guard.
///
/// # Errors
/// What the step returns, or `invalid-input`.
pub fn can_execute<S: Step>(input: String, parsed: &Parsed<S>) -> Result<bool, StepFailure> {
    let value: S::Input = parse_input(&input)?;
    let answer = flushed(S::can_execute(&value, &host()))?;
    *parsed.borrow_mut() = Some((input, value));
    Ok(answer)
}

/// Runs the step.
///
/// # Errors
/// What the step returns, `invalid-input`, or `invalid-output`.
pub fn execute<S: Step>(input: &str, parsed: &Parsed<S>) -> Result<String, StepFailure> {
    let value = match parsed.borrow_mut().take() {
        Some((text, value)) if text == input => value,
        _ => parse_input(input)?,
    };
    let output = flushed(S::execute(value, &mut host()))?;
    serde_json::to_string(&output).map_err(|error| {
        Failure::new("invalid-output", format!("The output can not be written as JSON: {error}")).into()
    })
}

/// Runs the hook after success.
///
/// # Errors
/// What the step returns.
pub fn on_success<S: Step>(output: &str) -> Result<(), StepFailure> {
    let output: Value = parse(output).unwrap_or_default();
    flushed(S::on_success(&output, &mut host())).map_err(StepFailure::from)
}

/// Runs the hook after failure.
///
/// # Errors
/// What the step returns.
pub fn on_failure<S: Step>(failure: StepFailure) -> Result<(), StepFailure> {
    flushed(S::on_failure(&failure.into(), &mut host())).map_err(StepFailure::from)
}

/// Runs the gateway.
///
/// # Errors
/// What the gateway returns, or `invalid-input`.
pub fn evaluate<G: Gateway>(input: &str, targets: &[String]) -> Result<Vec<String>, StepFailure> {
    flushed(G::evaluate(parse_input(input)?, targets, &host())).map_err(StepFailure::from)
}

const fn host() -> Context {
    Context::new(Source::Host)
}

/// Sends what was printed without a line break on its way: nothing else does, as the instance is dropped, not exited.
fn flushed<T>(answer: T) -> T {
    // The log takes everything, and a step could do nothing about it if it did not.
    let _ = std::io::stdout().flush();
    answer
}

fn parse_input<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    parse(text).map_err(|reason| Failure::new("invalid-input", format!("The input does not fit: {reason}")))
}
