//! The three ways into a cell, and what comes back of each; the same in the host's own process and in a worker's.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use serde::{Deserialize, Serialize};
use stepcell_model::attempt::{
    AttemptOutcome, AttemptReport, AttemptTrace, ContextWrites, HookReport, HostFault, StepCall,
};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::name::StepName;

use crate::attempt;
use crate::cell::CellHost;
use crate::compile::Linked;

/// What a cell is entered for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// An attempt of a step.
    Step,
    /// Asking a gateway which of these to follow.
    Gateway(Vec<StepName>),
    /// The hook of a step that has failed for good.
    FailureHook(Failure),
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) enum Report {
    /// Of a step or a gateway.
    Attempt(AttemptReport),
    /// Of a hook.
    Hook(HookReport),
}

/// Enters a fresh cell. Whatever happens is in the report.
///
/// The call is boxed: it is handed through several futures, each of which would hold and move all of it.
pub(crate) async fn enter(host: &CellHost, linked: &Linked, call: Box<StepCall>, entry: &Entry) -> Report {
    match entry {
        Entry::Step => match linked.step() {
            Ok(step) => caught(attempt::run(host, step, call)).await.map(Report::Attempt),
            Err(failure) => return entry.failed(failure),
        },
        Entry::Gateway(targets) => match linked.gateway() {
            Ok(gateway) => caught(attempt::run_gateway(host, gateway, call, targets)).await.map(Report::Attempt),
            Err(failure) => return entry.failed(failure),
        },
        Entry::FailureHook(cause) => match linked.step() {
            Ok(step) => caught(attempt::run_failure_hook(host, step, call, cause)).await.map(Report::Hook),
            Err(failure) => return entry.failed(failure),
        },
    }
    .unwrap_or_else(|fault| entry.broken(fault))
}

impl Entry {
    /// The report of an entry that came to nothing.
    pub(crate) fn failed(&self, failure: Failure) -> Report {
        let (writes, trace) = (ContextWrites::new(), AttemptTrace::default());
        match self {
            Self::Step | Self::Gateway(_) => {
                let outcome = AttemptOutcome::Failed(failure);
                Report::Attempt(AttemptReport { outcome, writes, hook_failure: None, trace })
            }
            Self::FailureHook(_) => Report::Hook(HookReport { writes, failure: Some(failure), trace }),
        }
    }

    /// The report of an entry that the host could not bring to an end; and how it broke the host's side, if it did.
    pub(crate) fn broken(&self, fault: impl Into<Option<HostFault>>) -> Report {
        let mut report = self.failed(Failure::engine(EngineCode::Host, "The host could not run the step."));
        report.trace_mut().host_fault = fault.into();
        report
    }
}

impl Report {
    /// What it cost and said.
    pub(crate) const fn trace_mut(&mut self) -> &mut AttemptTrace {
        match self {
            Self::Attempt(report) => &mut report.trace,
            Self::Hook(report) => &mut report.trace,
        }
    }

    /// The report of a step or a gateway.
    pub(crate) fn into_attempt(self) -> AttemptReport {
        match self {
            Self::Attempt(report) => report,
            Self::Hook(_) => unreachable!("an entry and its report are of one kind"),
        }
    }

    /// The report of a hook.
    pub(crate) fn into_hook(self) -> HookReport {
        match self {
            Self::Hook(report) => report,
            Self::Attempt(_) => unreachable!("an entry and its report are of one kind"),
        }
    }
}

/// Runs a future and turns a panic of the host into a value. The future is not polled again after one.
async fn caught<F: Future>(future: F) -> Result<F::Output, HostFault> {
    let mut future = pin!(future);
    poll_fn(|waker| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(waker))) {
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_) => Poll::Ready(Err(HostFault::Panicked)),
    })
    .await
}
