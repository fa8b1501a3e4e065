//! The attempts of an instance, put together from its history.

use serde_json::{Value, json};

use super::event::{object, trace_fields};
use stepcell::model::attempt::AttemptTrace;
use stepcell::model::failure::Failure;
use stepcell::model::history::{Event, HistoryEntry};
use stepcell::model::id::ExecutionNumber;
use stepcell::model::name::StepName;
use stepcell::model::time::Timestamp;

/// One try of one execution of a step.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    pub(crate) step: &'a StepName,
    pub(crate) execution: ExecutionNumber,
    pub(crate) number: u32,
    /// `running`, `succeeded`, `failed`, `skipped` or `canceled`.
    pub(crate) status: &'static str,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) failure: Option<&'a Failure>,
    pub(crate) trace: Option<&'a AttemptTrace>,
}

impl Attempt<'_> {
    /// The attempt as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let mut fields = object(json!({
            "step": self.step,
            "execution": self.execution,
            "attempt": self.number,
            "status": self.status,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "error": self.failure,
        }));
        fields.extend(trace_fields(self.trace.unwrap_or(&AttemptTrace::default())));
        if self.trace.is_none() {
            fields["receipt"] = Value::Null;
        }
        Value::Object(fields)
    }
}

/// How an attempt ended.
#[derive(Clone, Copy)]
struct End<'a> {
    step: &'a StepName,
    execution: ExecutionNumber,
    number: u32,
    status: &'static str,
    failure: Option<&'a Failure>,
    trace: Option<&'a AttemptTrace>,
}

/// Every attempt, in the order in which they began; one that was never on its own in history began when it ended.
pub(crate) fn of(history: &[HistoryEntry]) -> Vec<Attempt<'_>> {
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    for entry in history {
        for event in &entry.events {
            if let Event::StepStarted { execution, step, attempt } = event {
                attempts.push(Attempt {
                    step,
                    execution: *execution,
                    number: *attempt,
                    status: "running",
                    started_at: Some(entry.at),
                    ended_at: None,
                    failure: None,
                    trace: None,
                });
            } else if let Some(end) = end_of(event, &attempts) {
                note_end(&mut attempts, end, entry.at);
            }
        }
    }
    attempts
}

fn end_of<'a>(event: &'a Event, attempts: &[Attempt<'a>]) -> Option<End<'a>> {
    let end = |step, execution, number, status| End { step, execution, number, status, failure: None, trace: None };
    Some(match event {
        Event::StepRetryScheduled { execution, step, attempt, failure, trace, .. } => {
            End { failure: Some(failure), trace: trace.as_ref(), ..end(step, *execution, *attempt, "failed") }
        }
        Event::StepFailed { execution, step, attempt, failure, trace } if *attempt > 0 => {
            End { failure: Some(failure), trace: trace.as_ref(), ..end(step, *execution, *attempt, "failed") }
        }
        Event::StepCompleted { execution, step, attempt, trace, .. } if *attempt > 0 => {
            End { trace: trace.as_ref(), ..end(step, *execution, *attempt, "succeeded") }
        }
        Event::StepSkipped { execution, step, trace } => End {
            trace: trace.as_ref(),
            ..end(step, *execution, last_of(attempts, *execution).unwrap_or(1), "skipped")
        },
        Event::StepCanceled { execution, step } => {
            end(step, *execution, last_running(attempts, *execution)?, "canceled")
        }
        _ => return None,
    })
}

fn last_of(attempts: &[Attempt<'_>], execution: ExecutionNumber) -> Option<u32> {
    attempts.iter().rev().find(|attempt| attempt.execution == execution).map(|attempt| attempt.number)
}

fn last_running(attempts: &[Attempt<'_>], execution: ExecutionNumber) -> Option<u32> {
    let last = attempts.iter().rev().find(|attempt| attempt.execution == execution)?;
    last.ended_at.is_none().then_some(last.number)
}

fn note_end<'a>(attempts: &mut Vec<Attempt<'a>>, end: End<'a>, at: Timestamp) {
    let began = attempts.iter_mut().rev().find(|known| known.execution == end.execution && known.number == end.number);
    let started_at = began.as_ref().and_then(|known| known.started_at);
    let ended = Attempt {
        step: end.step,
        execution: end.execution,
        number: end.number,
        status: end.status,
        started_at,
        ended_at: Some(at),
        failure: end.failure,
        trace: end.trace,
    };
    match began {
        Some(known) => *known = ended,
        None => attempts.push(ended),
    }
}
