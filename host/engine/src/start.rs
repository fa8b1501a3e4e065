//! Starting instances.

use std::sync::Arc;

use semver::Version;
use stepcell_model::attempt::ContextData;
use stepcell_model::id::InstanceId;
use stepcell_model::instance::WorkflowInstance;
use stepcell_model::json::Json;
use stepcell_model::name::{ContextKey, KEY_LEN_BYTES_MAX, TenantId, UserId, WorkflowName};
use stepcell_model::record::{CallbackSecret, DefinitionVersion, InstanceIdentity, InstanceSummary, ParentLink};
use stepcell_model::schema::FieldError;
use stepcell_model::transition::{CONTEXT_KEYS_MAX, CONTEXT_LEN_BYTES_MAX, start};
use stepcell_store::{Inserted, StoreError};

use crate::engine::{Inner, WorkflowEngine};
use crate::error::EngineError;

/// What an instance is started with.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The workflow.
    pub workflow: WorkflowName,
    /// Which version; the latest active release without one.
    pub version: Option<Version>,
    /// A JSON object whose fields become the context's first values, or `null`.
    pub data: Json,
    /// A JSON object of values that steps read and can not write, or `null`.
    pub metadata: Json,
    /// Whose instance it is, and who therefore says what the workflow's name means; only shared ones start without one.
    pub tenant: Option<TenantId>,
    /// Who starts it.
    pub user: Option<UserId>,
    /// Ties it to something outside.
    pub correlation_id: Option<String>,
    /// Starting twice with one key, for one tenant, gives one instance.
    pub idempotency_key: Option<String>,
}

impl StartRequest {
    /// What [`EngineError::InvalidData`] calls the data.
    pub const DATA: &str = "the initial data";
    /// What it calls the metadata.
    pub const METADATA: &str = "the metadata";
    /// What it calls the correlation id.
    pub const CORRELATION_ID: &str = "the correlation id";
}

/// An instance after its start.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// The instance.
    pub summary: InstanceSummary,
    /// Whether it was new.
    pub inserted: Inserted,
}

impl StartRequest {
    /// A start of the latest version with no data.
    #[must_use]
    pub fn new(workflow: WorkflowName) -> Self {
        Self {
            workflow,
            version: None,
            data: Json::null(),
            metadata: Json::null(),
            tenant: None,
            user: None,
            correlation_id: None,
            idempotency_key: None,
        }
    }

    /// The same start with this data.
    #[must_use]
    pub fn with_data(self, data: impl Into<Json>) -> Self {
        Self { data: data.into(), ..self }
    }
}

impl WorkflowEngine {
    /// Starts an instance: it is durable when this returns, and runs if this engine drives.
    ///
    /// # Errors
    /// [`EngineError::WorkflowNotFound`], [`EngineError::WorkflowInactive`], [`EngineError::InvalidData`] if the data
    /// does not fit, [`EngineError::QuotaExceeded`] and [`EngineError::TenantSuspended`] if its tenant may start no more.
    /// Nothing is stored then.
    pub async fn start_workflow(&self, request: StartRequest) -> Result<InstanceSummary, EngineError> {
        Ok(self.start_workflow_once(request).await?.summary)
    }

    /// Starts an instance as [`Self::start_workflow`] does, and says whether it is new: with an idempotency key it may be
    /// the one of an earlier start, whatever that was started with.
    ///
    /// # Errors
    /// As [`Self::start_workflow`].
    pub async fn start_workflow_once(&self, request: StartRequest) -> Result<Started, EngineError> {
        if self.inner.is_stopping() {
            return Err(EngineError::Stopping);
        }
        let (tenant, key) = (request.tenant.clone(), request.idempotency_key.clone());
        match self.start_anew(request).await {
            Ok(summary) => Ok(Started { summary, inserted: Inserted::New }),
            Err(EngineError::Store(StoreError::DuplicateStart { existing })) => self.started_before(existing).await,
            Err(EngineError::Store(error)) => Err(error.into()),
            Err(error) => {
                // What was started before is told, whatever may be started now.
                let Some(key) = key else { return Err(error) };
                match self.inner.store.find_started(tenant.as_ref(), &key).await? {
                    Some(existing) => self.started_before(existing).await,
                    None => Err(error),
                }
            }
        }
    }

    async fn start_anew(&self, request: StartRequest) -> Result<InstanceSummary, EngineError> {
        let view = self.registry().view(request.tenant.as_ref());
        let version = view.version_to_start(&request.workflow, request.version.as_ref()).await?;
        if !version.is_active {
            return Err(EngineError::WorkflowInactive { name: version.name, version: version.version });
        }
        let id = InstanceId::from_uuid(self.inner.ids.next_id());
        self.inner.start(id, None, version, request).await
    }

    async fn started_before(&self, existing: InstanceId) -> Result<Started, EngineError> {
        Ok(Started { summary: self.get_instance(existing).await?, inserted: Inserted::AlreadyThere })
    }
}

impl Inner {
    /// Starts an instance on a definition under an id, for a step of another instance or for nobody.
    pub(crate) async fn start(
        self: &Arc<Self>,
        id: InstanceId,
        parent: Option<ParentLink>,
        version: DefinitionVersion,
        request: StartRequest,
    ) -> Result<InstanceSummary, EngineError> {
        let plan = self.registry.plan(version.id).await?;
        if let Some(schema) = &plan.input_schema {
            refuse_if_any(StartRequest::DATA, schema.check(&request.data))?;
        }
        let context = values_of(StartRequest::DATA, &request.data)?;
        let identity = InstanceIdentity {
            id,
            definition: version.id,
            workflow_name: version.name,
            workflow_version: version.version,
            metadata: Arc::new(values_of(StartRequest::METADATA, &request.metadata)?),
            input: request.data,
            tenant: request.tenant,
            created_by: request.user,
            correlation_id: bounded(StartRequest::CORRELATION_ID, request.correlation_id)?,
            idempotency_key: bounded("the idempotency key", request.idempotency_key)?,
            parent,
            callback_secret: CallbackSecret::from_bytes(self.ids.next_secret()),
            started_at: self.clock.now(),
        };
        let data_bytes = (identity.input.len_bytes() + len_bytes(&identity.metadata)) as u64;
        let ticket = self.quotas.admit_start(identity.tenant.as_ref(), data_bytes).await?;
        let transition = start(&plan, Arc::new(identity), context);
        let instance = WorkflowInstance::created_by(&transition);
        let summary = transition.state.summary(&transition.identity, transition.seq);
        self.commit_and_drive(transition, instance, ticket).await?;
        Ok(summary)
    }
}

fn len_bytes(values: &ContextData) -> usize {
    values.iter().map(|(key, value)| key.as_str().len() + value.len_bytes()).sum()
}

fn refuse_if_any(what: &str, errors: Vec<FieldError>) -> Result<(), EngineError> {
    if errors.is_empty() { Ok(()) } else { Err(EngineError::InvalidData { what: what.to_owned(), errors }) }
}

/// Takes a JSON object apart into values by key; `null` has none.
pub(crate) fn values_of(what: &str, data: &Json) -> Result<ContextData, EngineError> {
    let wrong = |pointer: String, message: String| EngineError::InvalidData {
        what: what.to_owned(),
        errors: vec![FieldError { pointer, message }],
    };
    let fields = match data.tree() {
        serde_json::Value::Null => return Ok(ContextData::new()),
        serde_json::Value::Object(fields) => fields,
        _ => return Err(wrong(String::new(), "must be a JSON object".to_owned())),
    };
    if fields.len() > CONTEXT_KEYS_MAX || data.len_bytes() > CONTEXT_LEN_BYTES_MAX {
        let message = format!("must have at most {CONTEXT_KEYS_MAX} fields and {CONTEXT_LEN_BYTES_MAX} bytes");
        return Err(wrong(String::new(), message));
    }
    fields
        .iter()
        .map(|(name, value)| {
            let key = ContextKey::new(name).map_err(|error| wrong(format!("/{name}"), error.to_string()))?;
            Ok((key, value.clone().into()))
        })
        .collect()
}

fn bounded(what: &str, text: Option<String>) -> Result<Option<String>, EngineError> {
    let fits = |text: &String| (1..=KEY_LEN_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if text.as_ref().is_none_or(fits) {
        return Ok(text);
    }
    let message = format!("must have 1 to {KEY_LEN_BYTES_MAX} bytes and no control characters");
    Err(EngineError::InvalidData {
        what: what.to_owned(),
        errors: vec![FieldError { pointer: String::new(), message }],
    })
}
