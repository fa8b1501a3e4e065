//! What is kept for safety: which components may not run, who signed what, which secrets there are, what tenants used.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attempt::AttemptTrace;
use crate::failure::{EngineCode, Failure};
use crate::history::Event;
use crate::id::ComponentDigest;
use crate::name::{SecretName, TenantId, UserId};
use crate::status::{UnknownWord, words};
use crate::time::Timestamp;
use crate::transition::Transition;

/// How often a component may break the host's side before it is not run any more.
pub const HOST_FAULTS_MAX: u32 = 2;

words! {
    /// Why a component may not run.
    BlockKind {
        /// Somebody revoked it.
        Revoked = "revoked",
        /// It broke the host's side too often.
        Quarantined = "quarantined",
    }
}

impl BlockKind {
    /// The code of an attempt that is stopped for this.
    #[must_use]
    pub const fn code(self) -> EngineCode {
        match self {
            Self::Revoked => EngineCode::Revoked,
            Self::Quarantined => EngineCode::Quarantined,
        }
    }
}

/// A component that may not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentBlock {
    /// The component.
    pub digest: ComponentDigest,
    /// Why, in one word.
    pub kind: BlockKind,
    /// Why, in words of whoever decided it.
    pub reason: String,
    /// Who decided it.
    pub by: Option<UserId>,
    /// Since when.
    pub at: Timestamp,
}

impl ComponentBlock {
    /// The whole story in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("The component {} is {}: {}.", self.digest.short(), self.kind, self.reason.trim_end_matches('.'))
    }

    /// What an attempt that is stopped for this has failed with.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure { retryable: true, ..Failure::engine(self.kind.code(), self.sentence()) }
    }
}

/// A secret without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRecord {
    /// Whose it is; of instances without a tenant where there is none.
    pub tenant: Option<TenantId>,
    /// Its name.
    pub name: SecretName,
    /// When it was set last.
    pub updated_at: Timestamp,
}

/// A secret as it is kept: encrypted with the host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// Which one.
    pub record: SecretRecord,
    /// The nonce and the encrypted value.
    pub sealed: Vec<u8>,
}

/// What attempts used, summed up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// How many attempts, hooks among them.
    pub attempts: u64,
    /// Time on a CPU, in microseconds.
    pub cpu_us: u64,
    /// Time in which guests computed, in microseconds.
    pub guest_us: u64,
    /// Time on the wall, in microseconds.
    pub wall_us: u64,
    /// The most linear memory that one attempt had, in bytes.
    pub memory_bytes_peak: u64,
    /// Calls of the host.
    pub host_calls: u64,
    /// Bytes of input and context that were given.
    pub bytes_in: u64,
    /// Bytes of output and context that came back.
    pub bytes_out: u64,
    /// Denials.
    pub denials: u64,
    /// Outbound HTTP requests.
    pub http_requests: u64,
    /// Log lines that were dropped.
    pub log_lines_dropped: u64,
    /// How often attempts ended with each of the engine's codes.
    #[serde(default)]
    pub codes: BTreeMap<String, u64>,
}

/// What one tenant used on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantUsage {
    /// Whose; of instances without a tenant where there is none.
    pub tenant: Option<TenantId>,
    /// The day in UTC, counted from 1970-01-01.
    pub day: i64,
    /// What it used.
    pub usage: Usage,
}

impl Usage {
    /// Adds another sum to this one.
    pub fn add(&mut self, other: &Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.cpu_us = self.cpu_us.saturating_add(other.cpu_us);
        self.guest_us = self.guest_us.saturating_add(other.guest_us);
        self.wall_us = self.wall_us.saturating_add(other.wall_us);
        self.memory_bytes_peak = self.memory_bytes_peak.max(other.memory_bytes_peak);
        self.host_calls = self.host_calls.saturating_add(other.host_calls);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
        self.denials = self.denials.saturating_add(other.denials);
        self.http_requests = self.http_requests.saturating_add(other.http_requests);
        self.log_lines_dropped = self.log_lines_dropped.saturating_add(other.log_lines_dropped);
        for (code, count) in &other.codes {
            *self.codes.entry(code.clone()).or_default() += count;
        }
    }

    fn add_trace(&mut self, trace: &AttemptTrace) {
        let receipt = &trace.receipt;
        self.attempts += 1;
        self.cpu_us = self.cpu_us.saturating_add(receipt.cpu_us);
        self.guest_us = self.guest_us.saturating_add(receipt.guest_us);
        self.wall_us = self.wall_us.saturating_add(receipt.wall_us);
        self.memory_bytes_peak = self.memory_bytes_peak.max(receipt.memory_bytes_peak);
        self.host_calls = self.host_calls.saturating_add(receipt.host_calls);
        self.bytes_in = self.bytes_in.saturating_add(receipt.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(receipt.bytes_out);
        self.denials = self.denials.saturating_add(receipt.denials);
        self.http_requests = self.http_requests.saturating_add(u64::from(receipt.http_requests));
        self.log_lines_dropped = self.log_lines_dropped.saturating_add(u64::from(trace.log_lines_dropped));
    }

    fn add_failure(&mut self, failure: &Failure) {
        if failure.code.is_engine() {
            *self.codes.entry(failure.code.to_string()).or_default() += 1;
        }
    }
}

impl Transition {
    /// What the attempts used that ended with this transition; none where none did.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        let mut usage = Usage::default();
        for event in &self.events {
            let Some(trace) = event.trace() else { continue };
            usage.add_trace(trace);
            if let Event::StepRetryScheduled { failure, .. }
            | Event::StepFailed { failure, .. }
            | Event::HookEnded { failure: Some(failure), .. } = event
            {
                usage.add_failure(failure);
            }
        }
        (usage != Usage::default()).then_some(usage)
    }

    /// The day in UTC on which it happened, counted from 1970-01-01.
    #[must_use]
    pub const fn day(&self) -> i64 {
        self.at.unix_ms().div_euclid(86_400_000)
    }
}
