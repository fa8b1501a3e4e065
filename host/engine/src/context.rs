//! What a host-native step sees of its instance: the data, and who is running what for whom.
//!
//! Whoever holds a `&WorkflowContext` reads, whoever holds a `&mut` one writes. Writes stay in the context: only the
//! engine makes them visible to other steps, together with the attempt's outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use stepcell_model::attempt::{CellLimits, ContextData, ContextWrites, ExecutionInfo, StepCall};
use stepcell_model::grants::StepGrants;
use stepcell_model::id::{ComponentDigest, DefinitionId, ExecutionNumber, InstanceId};
use stepcell_model::json::{Json, JsonError};
use stepcell_model::name::{StepName, TenantId, UserId, WorkflowName};
use stepcell_model::record::ExecutionRecord;
use stepcell_model::staged::{SavePoint, Staged, WriteRefusal};
use stepcell_model::time::Timestamp;

use crate::clock::{Clock as _, SystemClock};
use crate::error::EngineError;
use crate::start::values_of;

/// The data that the steps of one instance share, as one attempt sees it, with everything else that it may know.
///
/// # Examples
/// ```
/// use serde_json::json;
/// use stepcell_engine::WorkflowContext;
///
/// let mut context = WorkflowContext::new("charge".parse()?, json!({ "amount": 12 }))?;
/// assert_eq!(context.get("amount"), Some(&json!(12)));
/// assert_eq!(context.get_or("currency", "EUR"), "EUR");
///
/// context.set("charged", json!({ "cents": 1_200 }))?;
/// context.remove("amount")?;
/// assert_eq!(context.get("charged").map(|charged| &charged["cents"]), Some(&json!(1_200)));
/// assert_eq!(context.get("amount"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct WorkflowContext {
    call: StepCall,
    staged: Staged,
}

impl WorkflowContext {
    /// A context of no stored instance, to run the step `current_step` alone. `data` is a JSON object, or `null`; it is
    /// also the step's input.
    ///
    /// # Errors
    /// [`EngineError::InvalidData`] if the data is no such object, has a malformed key or is too large.
    pub fn new(current_step: StepName, data: impl Into<Json>) -> Result<Self, EngineError> {
        let data = data.into();
        let context = Arc::new(values_of("the data of the context", &data)?);
        let now = SystemClock.now();
        let instance = InstanceId::from_uuid(uuid::Uuid::now_v7());
        let info = ExecutionInfo {
            workflow_name: WorkflowName::new("alone").expect("letters are a name"),
            workflow_version: semver::Version::new(0, 0, 0),
            definition: DefinitionId::from_uuid(uuid::Uuid::now_v7()),
            instance,
            step: current_step,
            execution: ExecutionNumber(1).id(instance),
            attempt: 1,
            attempts_max: 1,
            tenant: None,
            user: None,
            instance_started_at: now,
            execution_started_at: now,
            deadline: None,
            trace: None,
        };
        Ok(Self::of(StepCall {
            component: ComponentDigest::of(&[]),
            info,
            input: data,
            context,
            metadata: Arc::default(),
            config: Arc::default(),
            history: Arc::default(),
            previous: None,
            limits: CellLimits::default(),
            grants: StepGrants::default(),
            secrets: Arc::default(),
        }))
    }

    /// The same context with values that steps read and can not write: a JSON object, or `null`.
    ///
    /// # Errors
    /// [`EngineError::InvalidData`] if it is no such object, has a malformed key or is too large.
    pub fn with_metadata(mut self, metadata: impl Into<Json>) -> Result<Self, EngineError> {
        self.call.metadata = Arc::new(values_of("the metadata of the context", &metadata.into())?);
        Ok(self)
    }

    /// The same context with settings that the step may read.
    #[must_use]
    pub fn with_config(mut self, config: BTreeMap<String, Json>) -> Self {
        self.call.config = Arc::new(config);
        self
    }

    /// The same context with what an attempt may use; the times bind every step, the rest components alone.
    #[must_use]
    pub const fn with_limits(mut self, limits: CellLimits) -> Self {
        self.call.limits = limits;
        self
    }

    /// The same context on behalf of a user.
    #[must_use]
    pub fn for_user(mut self, user: UserId) -> Self {
        self.call.info.user = Some(user);
        self
    }

    /// The same context on behalf of a tenant.
    #[must_use]
    pub fn for_tenant(mut self, tenant: TenantId) -> Self {
        self.call.info.tenant = Some(tenant);
        self
    }

    /// What an attempt is called with, as a context.
    pub(crate) fn of(call: StepCall) -> Self {
        let mut staged = Staged::new(Arc::clone(&call.context));
        staged.allow_writes();
        Self { call, staged }
    }

    /// The definition that runs, at its version.
    #[must_use]
    pub const fn workflow_id(&self) -> DefinitionId {
        self.call.info.definition
    }

    /// The instance.
    #[must_use]
    pub const fn instance_id(&self) -> InstanceId {
        self.call.info.instance
    }

    /// The data with everything that was written to this context.
    #[must_use]
    pub fn data(&self) -> Arc<ContextData> {
        self.staged.merged()
    }

    /// Values that were fixed when the instance was started.
    #[must_use]
    pub fn metadata(&self) -> &ContextData {
        &self.call.metadata
    }

    /// The step that runs.
    #[must_use]
    pub const fn current_step(&self) -> &StepName {
        &self.call.info.step
    }

    /// The executions that have ended in the instance, oldest first; at most the newest 100.
    #[must_use]
    pub fn step_history(&self) -> &[ExecutionRecord] {
        &self.call.history
    }

    /// When the instance began.
    #[must_use]
    pub const fn started_at(&self) -> Timestamp {
        self.call.info.instance_started_at
    }

    /// Who started the instance, or completed its last human task.
    #[must_use]
    pub const fn user_id(&self) -> Option<&UserId> {
        self.call.info.user.as_ref()
    }

    /// Whose instance it is.
    #[must_use]
    pub const fn tenant_id(&self) -> Option<&TenantId> {
        self.call.info.tenant.as_ref()
    }

    /// Who is running what, and for whom: the attempt's number and the idempotency key for effects outside are here.
    #[must_use]
    pub const fn info(&self) -> &ExecutionInfo {
        &self.call.info
    }

    /// The value of the step's `input:`; without one, what the step before returned, or the instance's initial data.
    #[must_use]
    pub fn input(&self) -> &Value {
        self.call.input.tree()
    }

    /// What the step before returned; none at the start, and after a step that was skipped.
    #[must_use]
    pub fn previous_result(&self) -> Option<&Value> {
        self.call.previous.as_ref().map(Json::tree)
    }

    /// A setting that the definition gives the step.
    #[must_use]
    pub fn config(&self, key: &str) -> Option<&Value> {
        self.call.config.get(key).map(Json::tree)
    }

    /// The value of a key, this context's own writes first.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.staged.get(key).map(Json::tree)
    }

    /// The value of a key, or `default` where there is none.
    #[must_use]
    pub fn get_or(&self, key: &str, default: impl Into<Value>) -> Value {
        self.get(key).cloned().unwrap_or_else(|| default.into())
    }

    /// Writes a value over whatever the key had.
    ///
    /// # Errors
    /// [`WriteRefusal`] if the key is malformed, or the value no JSON, too large or too deep; in a step, `?` makes it a
    /// failure.
    pub fn set(&mut self, key: &str, value: impl Serialize) -> Result<(), WriteRefusal> {
        let text = serde_json::to_string(&value)
            .map_err(|error| WriteRefusal::InvalidJson(JsonError::Malformed(error.to_string())))?;
        self.staged.set(key, text)
    }

    /// Removes a key, and says whether there was one.
    ///
    /// # Errors
    /// [`WriteRefusal`] if the key is malformed.
    pub fn remove(&mut self, key: &str) -> Result<bool, WriteRefusal> {
        self.staged.delete(key)
    }

    pub(crate) const fn limits(&self) -> &CellLimits {
        &self.call.limits
    }

    pub(crate) fn save(&self) -> SavePoint {
        self.staged.save()
    }

    pub(crate) fn go_back(&mut self, to: SavePoint) {
        self.staged.go_back(to);
    }

    pub(crate) fn take_writes(&mut self) -> ContextWrites {
        self.staged.take_writes()
    }

    pub(crate) const fn written_bytes(&self) -> usize {
        self.staged.written_bytes()
    }

    /// What a component is called with that sees this context.
    pub(crate) fn to_call(&self, component: ComponentDigest) -> StepCall {
        StepCall { component, context: self.data(), ..self.call.clone() }
    }

    /// A context of the same data without writes, for one attempt after `previous`.
    pub(crate) fn for_attempt(&self, previous: Option<Json>) -> Self {
        let mut call = self.to_call(self.call.component);
        if let Some(previous) = previous {
            call.input = previous.clone();
            call.previous = Some(previous);
        }
        Self::of(call)
    }

    /// Writes what a component wrote.
    pub(crate) fn stage(&mut self, writes: ContextWrites) -> Result<(), WriteRefusal> {
        for (key, value) in writes {
            match value {
                Some(value) => self.staged.put(key.as_str(), value)?,
                None => drop(self.staged.delete(key.as_str())?),
            }
        }
        Ok(())
    }

    /// Makes the data what it is now with everything that an attempt wrote.
    pub(crate) fn absorb(&mut self, writes: ContextWrites) {
        let mut data = self.data();
        let merged = Arc::make_mut(&mut data);
        for (key, value) in writes {
            match value {
                Some(value) => drop(merged.insert(key, value)),
                None => drop(merged.remove(&key)),
            }
        }
        self.call.context = data;
        self.staged = Self::of(self.call.clone()).staged;
    }
}
