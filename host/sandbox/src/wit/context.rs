//! `stepcell:step/context`: the data that the steps of one instance share.

use stepcell_model::attempt::{self, Wanted};
use stepcell_model::failure::Failure;
use stepcell_model::json::Json;
use stepcell_model::record::ExecutionRecord;
use stepcell_model::staged::WriteRefusal;
use stepcell_model::status::StepStatus as Status;

use crate::budget::HISTORY_BYTES_MAX;
use crate::cell::Cell;
use crate::wit::bindings::stepcell::step::context::{ContextError, Host};
use crate::wit::bindings::stepcell::step::types::{self, ExecutionInfo, StepExecution, StepFailure, StepStatus};

impl Host for Cell {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        if !self.call().grants.may_read(&key) {
            self.deny(Wanted::ContextRead, &key);
            return Ok(None);
        }
        let value = self.staged().get(&key).map(|value| value.text().to_owned());
        Ok(self.give(value))
    }

    fn set(&mut self, key: String, value: String) -> wasmtime::Result<Result<(), ContextError>> {
        self.count_host_call()?;
        if !self.may_write(&key) {
            return Ok(Err(ContextError::Denied));
        }
        Ok(self.staged_mut().set(&key, value).map_err(ContextError::from))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<bool, ContextError>> {
        self.count_host_call()?;
        if !self.may_write(&key) {
            return Ok(Err(ContextError::Denied));
        }
        Ok(self.staged_mut().delete(&key).map_err(ContextError::from))
    }

    fn keys(&mut self, prefix: String) -> wasmtime::Result<Vec<String>> {
        self.count_host_call()?;
        let mut keys = self.staged().keys(&prefix);
        let grants = &self.call().grants;
        if !grants.may_read_all() {
            keys.retain(|key| grants.may_read(key));
        }
        Ok(keys)
    }

    fn metadata(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        let value = self.call().metadata.get(key.as_str()).map(|value| value.text().to_owned());
        Ok(self.give(value))
    }

    fn info(&mut self) -> wasmtime::Result<ExecutionInfo> {
        self.count_host_call()?;
        Ok(ExecutionInfo::from(&self.call().info))
    }

    fn history(&mut self) -> wasmtime::Result<Vec<StepExecution>> {
        self.count_host_call()?;
        let ended = looked_back(&self.call().history);
        let outputs = ended.iter().filter_map(|execution| execution.output.as_ref());
        let bytes = outputs.map(|output| output.len() as u64).sum();
        self.count_given(bytes);
        Ok(ended)
    }

    fn previous_result(&mut self) -> wasmtime::Result<Option<String>> {
        self.count_host_call()?;
        let value = self.call().previous.as_ref().map(|value| value.text().to_owned());
        Ok(self.give(value))
    }
}

impl types::Host for Cell {}

impl Cell {
    /// Whether a key may be written; that it may not is noted.
    fn may_write(&mut self, key: &str) -> bool {
        let may_write = self.call().grants.may_write(key);
        if !may_write {
            self.deny(Wanted::ContextWrite, key);
        }
        may_write
    }
}

impl From<WriteRefusal> for ContextError {
    fn from(refusal: WriteRefusal) -> Self {
        match refusal {
            WriteRefusal::ReadOnly => Self::ReadOnly,
            WriteRefusal::InvalidKey => Self::InvalidKey,
            WriteRefusal::InvalidJson(error) => Self::InvalidJson(error.to_string()),
            WriteRefusal::TooLarge(limit_bytes) => Self::TooLarge(limit_bytes as u64),
        }
    }
}

impl From<&attempt::ExecutionInfo> for ExecutionInfo {
    fn from(info: &attempt::ExecutionInfo) -> Self {
        Self {
            workflow_name: info.workflow_name.to_string(),
            workflow_version: info.workflow_version.to_string(),
            workflow_id: info.definition.to_string(),
            instance_id: info.instance.to_string(),
            step_name: info.step.to_string(),
            attempt: info.attempt,
            max_attempts: info.attempts_max,
            idempotency_key: info.execution.to_string(),
            tenant_id: info.tenant.as_ref().map(ToString::to_string),
            user_id: info.user.as_ref().map(ToString::to_string),
            started_at: info.instance_started_at.to_string(),
            deadline: info.deadline.map(|deadline| deadline.to_string()),
        }
    }
}

impl From<&Failure> for StepFailure {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code.to_string(),
            message: failure.message.clone(),
            retryable: failure.retryable,
            retry_after_ms: failure.retry_after_ms,
            details: failure.details.as_ref().map(Json::to_string),
        }
    }
}

/// What a step may know of an execution; none while it is active.
/// What a step sees of the executions before it, oldest first; outputs past the budget, counted from the newest, are
/// left out.
fn looked_back(history: &[ExecutionRecord]) -> Vec<StepExecution> {
    let newest = history.len().saturating_sub(attempt::STEP_HISTORY_LEN_MAX);
    let mut left_bytes = HISTORY_BYTES_MAX;
    let mut seen: Vec<_> = history[newest..].iter().rev().filter_map(|record| ended(record, &mut left_bytes)).collect();
    seen.reverse();
    seen
}

fn ended(record: &ExecutionRecord, left_bytes: &mut usize) -> Option<StepExecution> {
    let output = record.output.as_ref().filter(|output| output.len_bytes() <= *left_bytes);
    *left_bytes -= output.map_or(0, Json::len_bytes);
    Some(StepExecution {
        step_name: record.step.to_string(),
        status: ended_status(record.status)?,
        attempts: record.attempts,
        started_at: record.started_at.to_string(),
        completed_at: record.completed_at?.to_string(),
        output: output.map(Json::to_string),
        failure: record.failure.as_ref().map(StepFailure::from),
    })
}

const fn ended_status(status: Status) -> Option<StepStatus> {
    match status {
        Status::Succeeded => Some(StepStatus::Succeeded),
        Status::Failed => Some(StepStatus::Failed),
        Status::Skipped => Some(StepStatus::Skipped),
        Status::Canceled => Some(StepStatus::Canceled),
        Status::Pending | Status::Scheduled | Status::Running | Status::Waiting => None,
    }
}

#[cfg(test)]
mod tests {
    use stepcell_model::id::ExecutionNumber;
    use stepcell_model::name::StepName;
    use stepcell_model::status::StepType;
    use stepcell_model::time::Timestamp;

    use super::*;

    fn record(number: u32, output_bytes: usize) -> ExecutionRecord {
        let at = Timestamp::from_unix_ms(0);
        ExecutionRecord {
            number: ExecutionNumber(number),
            step: StepName::new("s").unwrap(),
            step_type: StepType::Machine,
            status: Status::Succeeded,
            attempts: 1,
            input: None,
            output: Some(serde_json::Value::from("x".repeat(output_bytes - 2)).into()),
            failure: None,
            started_at: at,
            completed_at: Some(at),
            ended_order: Some(number),
            assigned_to: None,
            completed_by: None,
            part_of: None,
            item: None,
        }
    }

    #[test]
    fn looking_back_gives_the_newest_outputs_that_fit_and_every_execution() {
        let half = HISTORY_BYTES_MAX / 2;
        let history: Vec<_> = [(1, half), (2, half), (3, half + 1), (4, 10)].map(|(n, bytes)| record(n, bytes)).into();

        let seen = looked_back(&history);

        let has_output: Vec<_> = seen.iter().map(|execution| execution.output.is_some()).collect();
        assert_eq!(has_output, [false, false, true, true]);
    }
}
