//! What the host believes of what a worker says.
//!
//! A worker may have been taken over by its tenant, so each answer is held to what an attempt could have come to at all:
//! the same bounds, the same grants. What passes them is the worker's to say. One that does not is no answer, and its
//! worker has died to its host.

use std::sync::Arc;

use stepcell_model::attempt::{
    AttemptOutcome, AttemptReport, AttemptTrace, CellLimits, ContextWrites, DENIALS_LEN_MAX, DENIED_NAME_BYTES_MAX,
    HookReport, HostFault, StepCall,
};
use stepcell_model::failure::{EngineCode, Failure, FailureCode, MESSAGE_LEN_BYTES_MAX};
use stepcell_model::json::{JSON_DEPTH_MAX, Json};
use stepcell_model::staged::Staged;

use super::receipt::{Measured, believe_denials, believe_receipt};
use super::wire::{Answer, Outcome};
use crate::budget::FAILURE_DETAILS_BYTES_MAX;
use crate::entry::{Entry, Report};

/// How many times longer a document gets at most where it is read and printed anew: `1e15` is `1000000000000000.0` then.
const PRINTED_ANEW_MAX: u64 = 8;

/// What was said that no worker says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker's answer has {0}")]
pub(crate) struct Unbelievable(&'static str);

/// Holds an answer to what could have been.
///
/// # Errors
/// [`Unbelievable`].
pub(crate) fn believe(
    answer: Answer,
    call: &StepCall,
    entry: &Entry,
    measured: &Measured,
) -> Result<Report, Unbelievable> {
    let Answer { outcome, writes, trace } = answer;
    let trace = believe_trace(trace, call, measured)?;
    let writes = believe_writes(writes, call)?;
    let (outcome, hook_failure) = match (outcome, entry) {
        (Outcome::Hook(failure), Entry::FailureHook(_)) => {
            let failure = failure.map(believe_failure).transpose()?;
            return Ok(Report::Hook(HookReport { writes, failure, trace }));
        }
        (Outcome::Succeeded(output, hook_failure), Entry::Step | Entry::Gateway(_)) => {
            let hook_failure = hook_failure.map(believe_failure).transpose()?;
            (AttemptOutcome::Succeeded(believe_output(output, call)?), hook_failure)
        }
        (Outcome::Skipped, Entry::Step) => (AttemptOutcome::Skipped, None),
        (Outcome::Failed(failure), Entry::Step | Entry::Gateway(_)) => {
            (AttemptOutcome::Failed(believe_failure(failure)?), None)
        }
        (Outcome::Hook(_) | Outcome::Succeeded(..) | Outcome::Skipped | Outcome::Failed(_), _) => {
            return Err(Unbelievable("another kind than was asked for"));
        }
    };
    if !writes.is_empty() && !may_have_written(&outcome, entry) {
        return Err(Unbelievable("writes of an attempt that writes nothing"));
    }
    Ok(Report::Attempt(AttemptReport { outcome, writes, hook_failure, trace }))
}

const fn may_have_written(outcome: &AttemptOutcome, entry: &Entry) -> bool {
    matches!((outcome, entry), (AttemptOutcome::Succeeded(_), Entry::Step))
}

fn believe_output(output: String, call: &StepCall) -> Result<Json, Unbelievable> {
    if output.len() as u64 > call.limits.output_bytes_max {
        return Err(Unbelievable("an output that is too large"));
    }
    Json::parse(output).map_err(|_| Unbelievable("an output that is no JSON, or too deep"))
}

/// Writes go the way that those of a cell go: through everything that bounds them.
fn believe_writes(writes: Vec<(String, Option<String>)>, call: &StepCall) -> Result<ContextWrites, Unbelievable> {
    let refused = |_| Unbelievable("writes that no cell could make");
    let mut staged = Staged::new(Arc::clone(&call.context));
    staged.allow_writes();
    for (key, value) in writes {
        if !call.grants.may_write(&key) {
            return Err(Unbelievable("writes that are not granted"));
        }
        match value {
            Some(_) if value.as_ref().is_some_and(|text| text.len() as u64 > call.limits.context_value_bytes_max) => {
                return Err(Unbelievable("a write that is too large"));
            }
            Some(text) => staged.set(&key, text).map_err(refused)?,
            None => drop(staged.delete(&key).map_err(refused)?),
        }
    }
    Ok(staged.take_writes())
}

fn believe_failure(failure: Failure) -> Result<Failure, Unbelievable> {
    let code = failure.code.as_str();
    let is_engines = EngineCode::ALL.iter().any(|known| known.as_str() == code);
    if !is_engines && FailureCode::from_guest(code) != failure.code {
        return Err(Unbelievable("a failure with a code that is none"));
    }
    if failure.message.len() > MESSAGE_LEN_BYTES_MAX {
        return Err(Unbelievable("a failure with a message that is too long"));
    }
    let is_too_much = |details: &Json| {
        details.len_bytes() as u64 > FAILURE_DETAILS_BYTES_MAX as u64 * PRINTED_ANEW_MAX
            || details.depth() > JSON_DEPTH_MAX
    };
    if failure.details.as_ref().is_some_and(is_too_much) {
        return Err(Unbelievable("a failure with details that are too much"));
    }
    Ok(failure)
}

fn believe_trace(trace: AttemptTrace, call: &StepCall, measured: &Measured) -> Result<AttemptTrace, Unbelievable> {
    check_log(&trace, &call.limits)?;
    let is_long = |denial: &stepcell_model::attempt::Denial| denial.name.len() > DENIED_NAME_BYTES_MAX;
    if trace.denials.len() > DENIALS_LEN_MAX || trace.denials.iter().any(is_long) {
        return Err(Unbelievable("too many denials"));
    }
    let are_granted = trace.secrets_read.iter().all(|name| call.secrets.contains_key(name));
    if !are_granted || !trace.secrets_read.is_sorted_by(|one, next| one < next) {
        return Err(Unbelievable("secrets that it was not told"));
    }
    let receipt = believe_receipt(trace.receipt, &call.limits, call.input.len_bytes() as u64, measured);
    let denials = believe_denials(trace.denials, &receipt);
    let host_fault = trace.host_fault.map(|_| HostFault::Panicked);
    // Who signed what is not for a worker to say.
    Ok(AttemptTrace { receipt, denials, host_fault, signed_by: None, ..trace })
}

fn check_log(trace: &AttemptTrace, limits: &CellLimits) -> Result<(), Unbelievable> {
    let line_bytes = |line: &stepcell_model::attempt::LogLine| {
        line.message.len() as u64 + line.fields.as_ref().map_or(0, |fields| fields.len_bytes() as u64)
    };
    let bytes: u64 = trace.log.iter().map(line_bytes).sum();
    let is_deep = |fields: &Json| fields.depth() > JSON_DEPTH_MAX;
    let has_long_line = trace
        .log
        .iter()
        .any(|line| line.message.len() as u64 > limits.log_line_bytes_max || line.fields.as_ref().is_some_and(is_deep));
    if trace.log.len() as u64 > u64::from(limits.log_lines_max)
        || bytes > limits.log_bytes_max * PRINTED_ANEW_MAX
        || has_long_line
    {
        return Err(Unbelievable("a log that is too long"));
    }
    Ok(())
}
