//! What a step may do: read and write the instance's data, read its settings, write log lines.

use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::access::AccessError;
use crate::bindings::stepcell::step::context::ContextError;
use crate::bindings::stepcell::step::log::Level;
use crate::bindings::stepcell::step::secrets::SecretError;
use crate::bindings::stepcell::step::types::{self, ExecutionInfo, StepStatus};
use crate::failure::Failure;
use crate::source::Source;

/// What a step may do: everything of [`ReadContext`], and writing.
///
/// Writes become visible to other steps together with the attempt's success; after a failure or a panic they are
/// dropped. Reads see the step's own writes.
#[derive(Debug)]
pub struct Context(ReadContext);

/// What a guard or a gateway may do: read the instance's data and the step's settings, and write log lines.
#[derive(Debug)]
pub struct ReadContext {
    pub(crate) source: Source,
}

/// One finished execution of a step in this workflow instance.
#[derive(Clone, Debug, PartialEq)]
pub struct StepExecution {
    /// The step's name in the workflow.
    pub step_name: String,
    /// How it ended.
    pub status: StepStatus,
    /// The attempts it took; 0 when it was skipped.
    pub attempts: u32,
    /// When its first attempt began, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339.
    pub completed_at: String,
    /// What it returned, when it succeeded.
    pub output: Option<Value>,
    /// Why it failed, when it failed.
    pub failure: Option<Failure>,
}

impl Context {
    pub(crate) const fn new(source: Source) -> Self {
        Self(ReadContext { source })
    }

    /// Writes a value over whatever the key had.
    ///
    /// # Errors
    /// [`AccessError`] if the key is malformed or not granted, or the value is too large or no JSON.
    pub fn set(&mut self, key: &str, value: impl Serialize) -> Result<(), AccessError> {
        let text = serde_json::to_string(&value)
            .map_err(|error| AccessError::Unwritable { key: key.to_owned(), reason: error.to_string() })?;
        self.0.source.set(key, &text).map_err(|error| refusal(key, error))
    }

    /// Removes a key, and says whether there was one.
    ///
    /// # Errors
    /// [`AccessError`] if the key is malformed or not granted.
    pub fn delete(&mut self, key: &str) -> Result<bool, AccessError> {
        self.0.source.delete(key).map_err(|error| refusal(key, error))
    }

    pub(crate) const fn source(&self) -> &Source {
        &self.0.source
    }

    pub(crate) const fn source_mut(&mut self) -> &mut Source {
        &mut self.0.source
    }
}

impl Deref for Context {
    type Target = ReadContext;

    fn deref(&self) -> &ReadContext {
        &self.0
    }
}

impl ReadContext {
    /// The value of a key; none where there is none, or `null` for a type that does not take it.
    ///
    /// # Errors
    /// [`AccessError::Mismatch`] if the value does not fit the type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, AccessError> {
        typed(self.source.get(key), || format!("context value `{key}`"))
    }

    /// The keys that begin with `prefix`, in byte order. The empty prefix gives all.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.source.keys(prefix)
    }

    /// A value fixed when the instance was started.
    ///
    /// # Errors
    /// [`AccessError::Mismatch`] if the value does not fit the type.
    pub fn metadata<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, AccessError> {
        typed(self.source.metadata(key), || format!("metadata `{key}`"))
    }

    /// Who is running what, and for whom.
    #[must_use]
    pub fn info(&self) -> ExecutionInfo {
        self.source.info()
    }

    /// The executions that have ended in this instance, oldest first; at most the newest 100.
    #[must_use]
    pub fn history(&self) -> Vec<StepExecution> {
        self.source.history().into_iter().map(StepExecution::from).collect()
    }

    /// What the step before this one returned; none at the start and after a step that was skipped.
    ///
    /// # Errors
    /// [`AccessError::Mismatch`] if the value does not fit the type.
    pub fn previous_result<T: DeserializeOwned>(&self) -> Result<Option<T>, AccessError> {
        typed(self.source.previous_result(), || "the previous result".to_owned())
    }

    /// A setting that whoever deployed the step gave it.
    ///
    /// # Errors
    /// [`AccessError::Mismatch`] if the value does not fit the type.
    pub fn config<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, AccessError> {
        typed(self.source.config(key), || format!("setting `{key}`"))
    }

    /// The value of a secret. Each call is audited by name.
    ///
    /// # Errors
    /// [`AccessError::SecretNotGranted`] or [`AccessError::SecretEmpty`].
    pub fn secret(&self, name: &str) -> Result<String, AccessError> {
        self.source.secret(name).map_err(|error| match error {
            SecretError::NotGranted => AccessError::SecretNotGranted { name: name.to_owned() },
            SecretError::NoValue => AccessError::SecretEmpty { name: name.to_owned() },
        })
    }

    /// Writes one line to the instance's log. What the step prints comes to the same log.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        self.source.log(level, message.as_ref(), None);
    }

    /// Writes one line to the instance's log, with a JSON object beside it.
    ///
    /// # Examples
    /// ```
    /// use stepcell_sdk::{Level, MockContext, json};
    ///
    /// let ctx = MockContext::new();
    /// ctx.log_with(Level::Warn, "slow", json!({ "ms": 900 }));
    /// assert_eq!(ctx.log_lines()[0].message, "slow");
    /// ```
    pub fn log_with(&self, level: Level, message: impl AsRef<str>, fields: impl Serialize) {
        let fields = serde_json::to_string(&fields).ok();
        self.source.log(level, message.as_ref(), fields.as_deref());
    }
}

impl From<types::StepExecution> for StepExecution {
    fn from(execution: types::StepExecution) -> Self {
        Self {
            step_name: execution.step_name,
            status: execution.status,
            attempts: execution.attempts,
            started_at: execution.started_at,
            completed_at: execution.completed_at,
            output: execution.output.and_then(|text| serde_json::from_str(&text).ok()),
            failure: execution.failure.map(Failure::from),
        }
    }
}

fn refusal(key: &str, error: ContextError) -> AccessError {
    let key = key.to_owned();
    match error {
        ContextError::ReadOnly => AccessError::ReadOnly,
        ContextError::InvalidKey => AccessError::InvalidKey { key },
        ContextError::InvalidJson(reason) => AccessError::Unwritable { key, reason },
        ContextError::TooLarge(limit_bytes) => AccessError::TooLarge { key, limit_bytes },
        ContextError::Denied => AccessError::Denied { key },
    }
}

/// Reads a value into a type; `null` is no value, unless the type takes it.
fn typed<T: DeserializeOwned>(text: Option<String>, what: impl Fn() -> String) -> Result<Option<T>, AccessError> {
    let Some(text) = text else { return Ok(None) };
    match parse(&text) {
        Ok(value) => Ok(Some(value)),
        Err(_) if text.trim() == "null" => Ok(None),
        Err(reason) => Err(AccessError::Mismatch { what: what(), reason }),
    }
}

/// Reads JSON into a type; the error names the field that does not fit.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.into_inner().to_string();
        if path == "." { reason } else { format!("`{path}`: {reason}") }
    })
}
