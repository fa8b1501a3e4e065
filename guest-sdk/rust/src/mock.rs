//! A context for tests: filled beforehand, looked into afterwards.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};

use serde::Serialize;
use serde_json::Value;

use crate::bindings::stepcell::step::context::ContextError;
use crate::bindings::stepcell::step::log::Level;
use crate::bindings::stepcell::step::types::{self, ExecutionInfo};
use crate::context::{Context, StepExecution};
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::http::{HttpError, Request, Response};
use crate::source::Source;

/// A [`Context`] for tests, which passes wherever a step wants one.
///
/// # Examples
/// ```
/// use stepcell_sdk::{Context, Failure, MockContext, Step};
///
/// struct Double;
///
/// impl Step for Double {
///     type Input = u32;
///     type Output = u32;
///
///     fn execute(input: u32, ctx: &mut Context) -> Result<u32, Failure> {
///         let factor = ctx.config::<u32>("factor")?.unwrap_or(2);
///         ctx.set("doubled", true)?;
///         Ok(input * factor)
///     }
/// }
///
/// let mut ctx = MockContext::new().with_config("factor", 3);
/// assert_eq!(Double::execute(7, &mut ctx), Ok(21));
/// assert_eq!(ctx.written("doubled"), Some(true.into()));
/// ```
#[derive(Debug)]
pub struct MockContext(Context);

/// A line that a step wrote to the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// How grave it is.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The JSON object beside it.
    pub fields: Option<Value>,
}

#[derive(Debug)]
pub(crate) struct Mock {
    values: BTreeMap<String, Value>,
    writes: BTreeMap<String, Option<Value>>,
    pub(crate) metadata: BTreeMap<String, Value>,
    pub(crate) config: BTreeMap<String, Value>,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) previous: Option<Value>,
    pub(crate) history: Vec<types::StepExecution>,
    pub(crate) info: ExecutionInfo,
    lines: RefCell<Vec<LogLine>>,
    responses: RefCell<VecDeque<Result<Response, HttpError>>>,
    requests: RefCell<Vec<Request>>,
}

impl MockContext {
    /// A context without any values, for attempt 1 of 1 of a step named `step`.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(Source::Mock(Box::new(Mock {
            values: BTreeMap::new(),
            writes: BTreeMap::new(),
            metadata: BTreeMap::new(),
            config: BTreeMap::new(),
            secrets: BTreeMap::new(),
            previous: None,
            history: Vec::new(),
            info: plain_info(),
            lines: RefCell::default(),
            responses: RefCell::default(),
            requests: RefCell::default(),
        }))))
    }

    /// Adds a value that the context had before the attempt.
    #[must_use]
    pub fn with_value(mut self, key: &str, value: impl Serialize) -> Self {
        self.mock_mut().values.insert(key.to_owned(), to_json(value));
        self
    }

    /// Adds a value fixed when the instance was started.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: impl Serialize) -> Self {
        self.mock_mut().metadata.insert(key.to_owned(), to_json(value));
        self
    }

    /// Adds a setting of the step.
    #[must_use]
    pub fn with_config(mut self, key: &str, value: impl Serialize) -> Self {
        self.mock_mut().config.insert(key.to_owned(), to_json(value));
        self
    }

    /// Grants a secret.
    #[must_use]
    pub fn with_secret(mut self, name: &str, value: &str) -> Self {
        self.mock_mut().secrets.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds the answer to the next HTTP request of which nothing is said yet. Without one a request is denied.
    #[must_use]
    pub fn with_response(self, response: Response) -> Self {
        self.mock().responses.borrow_mut().push_back(Ok(response));
        self
    }

    /// Has the next HTTP request of which nothing is said yet fail.
    #[must_use]
    pub fn with_http_error(self, error: HttpError) -> Self {
        self.mock().responses.borrow_mut().push_back(Err(error));
        self
    }

    /// Says what the step before returned.
    #[must_use]
    pub fn with_previous_result(mut self, value: impl Serialize) -> Self {
        self.mock_mut().previous = Some(to_json(value));
        self
    }

    /// Adds an execution that has ended.
    #[must_use]
    pub fn with_execution(mut self, execution: StepExecution) -> Self {
        self.mock_mut().history.push(types::StepExecution {
            step_name: execution.step_name,
            status: execution.status,
            attempts: execution.attempts,
            started_at: execution.started_at,
            completed_at: execution.completed_at,
            output: execution.output.map(|output| output.to_string()),
            failure: execution.failure.map(Into::into),
        });
        self
    }

    /// Changes who is running what.
    ///
    /// # Examples
    /// ```
    /// use stepcell_sdk::MockContext;
    ///
    /// let ctx = MockContext::new().with_info(|info| info.attempt = 2);
    /// assert_eq!(ctx.info().attempt, 2);
    /// ```
    #[must_use]
    pub fn with_info(mut self, change: impl FnOnce(&mut ExecutionInfo)) -> Self {
        change(&mut self.mock_mut().info);
        self
    }

    /// What the step wrote under a key; none where it wrote nothing or removed it.
    #[must_use]
    pub fn written(&self, key: &str) -> Option<Value> {
        self.mock().writes.get(key).cloned().flatten()
    }

    /// Everything that the step wrote, in key order; a none removes the key.
    #[must_use]
    pub fn writes(&self) -> &BTreeMap<String, Option<Value>> {
        &self.mock().writes
    }

    /// The lines that the step wrote to the log, oldest first.
    #[must_use]
    pub fn log_lines(&self) -> Vec<LogLine> {
        self.mock().lines.borrow().clone()
    }

    /// The HTTP requests that the step sent, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.mock().requests.borrow().clone()
    }

    /// Asks a gateway which of these steps to follow, and holds its answer against them.
    ///
    /// # Errors
    /// What the gateway returns.
    ///
    /// # Panics
    /// If it names a step that is none of `targets`: the engine would not take that for an answer.
    pub fn evaluate<G: Gateway>(&self, input: G::Input, targets: &[&str]) -> Result<Vec<String>, Failure> {
        let names: Vec<_> = targets.iter().map(|&name| name.to_owned()).collect();
        let chosen = G::evaluate(input, &names, self)?;
        let stranger = chosen.iter().find(|name| !names.contains(name));
        assert!(stranger.is_none(), "the gateway named {stranger:?}, which is none of its targets {names:?}");
        Ok(chosen)
    }

    fn mock(&self) -> &Mock {
        match self.0.source() {
            Source::Mock(mock) => mock,
            Source::Host => unreachable!("a mock context is made with a mock source"),
        }
    }

    fn mock_mut(&mut self) -> &mut Mock {
        match self.0.source_mut() {
            Source::Mock(mock) => mock,
            Source::Host => unreachable!("a mock context is made with a mock source"),
        }
    }
}

impl Default for MockContext {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for MockContext {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl DerefMut for MockContext {
    fn deref_mut(&mut self) -> &mut Context {
        &mut self.0
    }
}

impl Mock {
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let written = self.writes.get(key).map(Option::as_ref);
        written.unwrap_or_else(|| self.values.get(key)).map(ToString::to_string)
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), ContextError> {
        check_key(key)?;
        let value = serde_json::from_str(value).map_err(|error| ContextError::InvalidJson(error.to_string()))?;
        self.writes.insert(key.to_owned(), Some(value));
        Ok(())
    }

    pub(crate) fn delete(&mut self, key: &str) -> Result<bool, ContextError> {
        check_key(key)?;
        let existed = self.get(key).is_some();
        self.writes.insert(key.to_owned(), None);
        Ok(existed)
    }

    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let mut merged: BTreeMap<&String, bool> = self.values.keys().map(|key| (key, true)).collect();
        merged.extend(self.writes.iter().map(|(key, value)| (key, value.is_some())));
        merged
            .into_iter()
            .filter(|(key, is_there)| *is_there && key.starts_with(prefix))
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(crate) fn send(&self, request: Request) -> Result<Response, HttpError> {
        let denied = HttpError::Denied { target: format!("{} {}", request.method, request.url) };
        self.requests.borrow_mut().push(request);
        self.responses.borrow_mut().pop_front().unwrap_or(Err(denied))
    }

    pub(crate) fn log(&self, level: Level, message: &str, fields: Option<&str>) {
        let fields = fields.and_then(|text| serde_json::from_str(text).ok());
        self.lines.borrow_mut().push(LogLine { level, message: message.to_owned(), fields });
    }
}

/// Holds the engine's rule, so that a key that fails there fails in a test too.
fn check_key(key: &str) -> Result<(), ContextError> {
    let is_valid = (1..=256).contains(&key.len()) && !key.chars().any(char::is_control) && !key.starts_with("engine.");
    if is_valid { Ok(()) } else { Err(ContextError::InvalidKey) }
}

fn to_json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("a test's values are JSON")
}

fn plain_info() -> ExecutionInfo {
    ExecutionInfo {
        workflow_name: "workflow".to_owned(),
        workflow_version: "1.0.0".to_owned(),
        workflow_id: "00000000-0000-0000-0000-000000000001".to_owned(),
        instance_id: "00000000-0000-0000-0000-000000000002".to_owned(),
        step_name: "step".to_owned(),
        attempt: 1,
        max_attempts: 1,
        idempotency_key: "00000000-0000-0000-0000-000000000003".to_owned(),
        tenant_id: None,
        user_id: None,
        started_at: "2026-01-01T00:00:00.000Z".to_owned(),
        deadline: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccessError;

    #[test]
    fn reads_see_own_writes_and_deletions() {
        let mut ctx = MockContext::new().with_value("a", 1).with_value("b", 2);

        ctx.set("c", 3).unwrap();
        assert_eq!(ctx.delete("a"), Ok(true));
        assert_eq!(ctx.delete("a"), Ok(false));

        assert_eq!(ctx.get::<u32>("a"), Ok(None));
        assert_eq!(ctx.keys(""), ["b", "c"]);
        assert_eq!(ctx.writes().len(), 2);
    }

    #[test]
    fn a_value_of_another_type_is_an_error_that_names_key_and_field() {
        let ctx = MockContext::new().with_value("user", json(r#"{"age": "old"}"#));
        let error = ctx.get::<BTreeMap<String, u32>>("user").unwrap_err();

        assert!(matches!(&error, AccessError::Mismatch { .. }));
        assert!(error.to_string().starts_with("context value `user` does not fit: `age`: invalid type"), "{error}");
    }

    #[test]
    fn a_malformed_key_and_an_ungranted_secret_are_refused_by_name() {
        let mut ctx = MockContext::new().with_secret("TOKEN", "s3cret");

        assert_eq!(ctx.set("engine.x", 1), Err(AccessError::InvalidKey { key: "engine.x".to_owned() }));
        assert_eq!(ctx.secret("TOKEN").as_deref(), Ok("s3cret"));
        assert_eq!(ctx.secret("OTHER"), Err(AccessError::SecretNotGranted { name: "OTHER".to_owned() }));
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }
}
