//! The forms of texts: what a name, an id or a word may be, as schemas that clients can check before they ask.
//!
//! The rules are those of the model's parsers, told a second time in the words of JSON Schema; a test holds the two
//! against each other. What counts bytes there counts characters here, as schemas know nothing else.

use stepcell_model::access::{AuditOutcome, Scope, TenantStatus};
use stepcell_model::event_type::EventType;
use stepcell_model::name::{KEY_LEN_BYTES_MAX, NAME_LEN_BYTES_MAX, STEP_PATH_LEN_BYTES_MAX};
use stepcell_model::secret::{SECRET_BYTES_MAX, SECRET_BYTES_MIN};
use stepcell_model::status::{StepStatus, StepType, TaskStatus, WorkflowStatus};
use stepcell_model::webhook::{DeliveryStatus, WEBHOOK_URL_BYTES_MAX};
use utoipa::openapi::schema::SchemaFormat;
use utoipa::openapi::{Object, RefOr, Schema};

use crate::page::CURSOR_LEN_BYTES_MAX;

/// Names of workflows, components and actions.
const PATH: &str = "^[A-Za-z][A-Za-z0-9_-]*([/.][A-Za-z0-9_-]+)*$";

/// Names of secrets and signals.
const IDENTIFIER: &str = "^[A-Za-z_][A-Za-z0-9_-]*$";

/// Names of steps, of members of groups too.
const STEP: &str = "^[A-Za-z_][A-Za-z0-9_-]{0,63}(/[A-Za-z_][A-Za-z0-9_-]{0,63})*$";

/// Ids of users, groups and tenants, and what people call a thing.
const ID: &str = r"^[^\u0000-\u001f\u007f-\u009f]+$";

/// Semantic versions, with numbers that every reader takes. Source: <https://semver.org>.
const VERSION: &str = concat!(
    r"^(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,14})",
    r"(-(0|[1-9][0-9]{0,14}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]{0,14}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?",
    r"(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$",
);

/// Digests of components.
const DIGEST: &str = "^sha256:[0-9a-f]{64}$";

/// What `component sign` writes, in one line.
const SIGNATURE: &str = concat!(
    r#"^\{"digest":"sha256:[0-9a-f]{64}","key":"ed25519:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=","#,
    r#""signature":"[A-Za-z0-9+/]{86}=="\}$"#,
);

/// What a header's value may hold of an idempotency key.
const VISIBLE: &str = "^[!-~]+$";

/// What cursors are written with.
const CURSOR: &str = "^[A-Za-z0-9_-]+$";

/// Addresses of webhooks, of which the server takes a few more kinds.
const URL: &str =
    r#"^https?://[a-z][a-z0-9]*(-[a-z0-9]+)*(\.[a-z][a-z0-9]*(-[a-z0-9]+)*)*(:[1-9][0-9]{0,3})?(/[!"$-\[\]-~]*)?$"#;

/// Places in a stream of events.
const PLACE: &str = r"^[0-9]{1,15}(\.[0-9]{1,6})?$";

/// What a text may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// The name of a workflow, a component or an action.
    Path,
    /// The name of a secret or a signal.
    Identifier,
    /// The name of a step.
    Step,
    /// The id of a user, a group or a tenant, or what people call something.
    Id,
    /// Anything that names a version.
    Version,
    /// The digest of a component.
    Digest,
    /// A component's signature.
    Signature,
    /// A UUID.
    Uuid,
    /// A place in a list.
    Cursor,
    /// What makes a request safe to repeat.
    IdempotencyKey,
    /// A place in a stream of events.
    Place,
    /// The address of a webhook.
    Url,
    /// The value of a secret.
    SecretValue,
    /// One of some words.
    Words(fn() -> Vec<&'static str>),
    /// Some of some words, with commas between.
    WordList(fn() -> Vec<&'static str>),
    /// An object whose fields have names that the context takes.
    Fields,
}

impl Form {
    /// Says in a schema what its texts may be; where it is a list, what is in it.
    pub(super) fn shape(self, schema: &mut RefOr<Schema>) {
        match schema {
            RefOr::T(Schema::Object(object)) => self.shape_object(object),
            RefOr::T(Schema::Array(array)) => {
                if let utoipa::openapi::schema::ArrayItems::RefOrSchema(items) = &mut array.items {
                    self.shape(items);
                }
            }
            RefOr::T(_) | RefOr::Ref(_) => {}
        }
    }

    fn shape_object(self, object: &mut Object) {
        match self {
            Self::Path => pattern(object, PATH, NAME_LEN_BYTES_MAX),
            Self::Identifier => pattern(object, IDENTIFIER, NAME_LEN_BYTES_MAX),
            Self::Step => pattern(object, STEP, STEP_PATH_LEN_BYTES_MAX),
            Self::Id => pattern(object, ID, KEY_LEN_BYTES_MAX),
            Self::Version => object.pattern = Some(VERSION.to_owned()),
            Self::Digest => object.pattern = Some(DIGEST.to_owned()),
            Self::Signature => object.pattern = Some(SIGNATURE.to_owned()),
            Self::Uuid => object.format = Some(SchemaFormat::Custom("uuid".to_owned())),
            Self::Cursor => pattern(object, CURSOR, CURSOR_LEN_BYTES_MAX),
            Self::IdempotencyKey => pattern(object, VISIBLE, KEY_LEN_BYTES_MAX),
            Self::Place => object.pattern = Some(PLACE.to_owned()),
            Self::Url => pattern(object, URL, WEBHOOK_URL_BYTES_MAX),
            Self::SecretValue => lengths(object, SECRET_BYTES_MIN, SECRET_BYTES_MAX),
            Self::Words(words) => {
                // A value that may be left out may be null, and null is then one of the words.
                let null = is_nullable(object).then_some(serde_json::Value::Null);
                object.enum_values = Some(words().into_iter().map(Into::into).chain(null).collect());
            }
            Self::WordList(words) => {
                let one = words().join("|");
                object.pattern = Some(format!("^({one})(,({one}))*$"));
            }
            Self::Fields => {
                let mut names = Object::new();
                pattern(&mut names, ID, KEY_LEN_BYTES_MAX);
                object.property_names = Some(Box::new(Schema::Object(names)));
            }
        }
    }
}

fn pattern(object: &mut Object, pattern: &str, len_max: usize) {
    object.pattern = Some(pattern.to_owned());
    lengths(object, 1, len_max);
}

const fn lengths(object: &mut Object, min: usize, max: usize) {
    object.min_length = Some(min);
    object.max_length = Some(max);
}

fn is_nullable(object: &Object) -> bool {
    use utoipa::openapi::schema::{SchemaType, Type};
    matches!(&object.schema_type, SchemaType::Array(types) if types.contains(&Type::Null))
}

/// Statuses of instances.
fn instance_statuses() -> Vec<&'static str> {
    WorkflowStatus::ALL.iter().map(|status| status.as_str()).collect()
}

/// Statuses of tasks.
fn task_statuses() -> Vec<&'static str> {
    TaskStatus::ALL.iter().map(|status| status.as_str()).collect()
}

/// Statuses of tasks, and the word for all of them.
fn task_statuses_or_all() -> Vec<&'static str> {
    task_statuses().into_iter().chain(["all"]).collect()
}

fn execution_statuses() -> Vec<&'static str> {
    StepStatus::ALL.iter().map(|status| status.as_str()).collect()
}

fn step_types() -> Vec<&'static str> {
    StepType::ALL.iter().map(|kind| kind.as_str()).collect()
}

fn tenant_statuses() -> Vec<&'static str> {
    TenantStatus::ALL.iter().map(|status| status.as_str()).collect()
}

fn event_types() -> Vec<&'static str> {
    EventType::ALL.iter().map(|kind| kind.as_str()).collect()
}

fn delivery_statuses() -> Vec<&'static str> {
    DeliveryStatus::ALL.iter().map(|status| status.as_str()).collect()
}

fn outcomes() -> Vec<&'static str> {
    AuditOutcome::ALL.iter().map(|outcome| outcome.as_str()).collect()
}

fn scopes() -> Vec<&'static str> {
    Scope::ALL.iter().map(|scope| scope.as_str()).collect()
}

/// The form of a parameter, by the name of its operation and its own. A row without an operation is for all others.
pub(super) fn of_parameter(operation: &str, name: &str) -> Option<Form> {
    find(PARAMETERS, operation, name)
}

/// The form of a property, by the name of its schema and its own. A row without a schema is for all others.
pub(super) fn of_property(schema: &str, name: &str) -> Option<Form> {
    find(PROPERTIES, schema, name)
}

fn find(rows: &[(&str, &str, Form)], place: &str, name: &str) -> Option<Form> {
    let of = |wanted: &str| rows.iter().find(|row| row.0 == wanted && row.1 == name).map(|row| row.2);
    of(place).or_else(|| of(""))
}

const PARAMETERS: &[(&str, &str, Form)] = &[
    ("", "Component-Signature", Form::Signature),
    ("", "Idempotency-Key", Form::IdempotencyKey),
    ("", "action", Form::Path),
    ("", "after", Form::Place),
    ("", "assignee_group", Form::Id),
    ("", "assignee_id", Form::Id),
    ("", "cursor", Form::Cursor),
    ("", "definition_name", Form::Path),
    ("", "id", Form::Uuid),
    ("get_tenant", "id", Form::Id),
    ("update_tenant", "id", Form::Id),
    ("", "instance", Form::Uuid),
    ("", "instance_id", Form::Uuid),
    ("", "name", Form::Path),
    ("delete_secret", "name", Form::Identifier),
    ("set_secret", "name", Form::Identifier),
    ("signal_instance", "name", Form::Identifier),
    ("", "parent_id", Form::Uuid),
    ("list_webhook_deliveries", "status", Form::Words(delivery_statuses)),
    ("list_instances", "status", Form::WordList(instance_statuses)),
    ("list_tasks", "status", Form::Words(task_statuses_or_all)),
    ("list_tenants", "status", Form::Words(tenant_statuses)),
    ("", "step", Form::Step),
    ("", "tenant_id", Form::Id),
    ("", "types", Form::WordList(event_types)),
    ("", "user_id", Form::Id),
    ("", "version", Form::Version),
];

const PROPERTIES: &[(&str, &str, Form)] = &[
    ("", "assignee_group", Form::Id),
    ("", "assignee_id", Form::Id),
    ("", "completed_by", Form::Id),
    ("", "correlation_id", Form::Id),
    ("", "created_by", Form::Id),
    ("", "current_step", Form::Step),
    ("", "definition_name", Form::Path),
    ("", "digest", Form::Digest),
    ("", "display_name", Form::Id),
    ("", "from_step", Form::Step),
    ("", "groups", Form::Id),
    ("", "input_data", Form::Fields),
    ("", "metadata", Form::Fields),
    ("", "scopes", Form::Words(scopes)),
    ("", "step", Form::Step),
    ("", "tenant_id", Form::Id),
    ("", "to", Form::Id),
    ("", "types", Form::Words(event_types)),
    ("", "user_id", Form::Id),
    ("", "version", Form::Version),
    ("", "workflow_name", Form::Path),
    ("", "workflow_version", Form::Version),
    ("ApiKey", "name", Form::Id),
    ("AuditRow", "action", Form::Path),
    ("AuditRow", "outcome", Form::Words(outcomes)),
    ("ChangeTenant", "status", Form::Words(tenant_statuses)),
    ("ChangeWebhook", "url", Form::Url),
    ("ChildInstance", "status", Form::Words(instance_statuses)),
    ("CompleteTask", "data", Form::Fields),
    ("Component", "name", Form::Path),
    ("Component", "tenant", Form::Id),
    ("CreateKey", "name", Form::Id),
    ("CreateTenant", "id", Form::Id),
    ("CreateWebhook", "url", Form::Url),
    ("Definition", "name", Form::Path),
    ("DefinitionDetail", "name", Form::Path),
    ("Delivery", "status", Form::Words(delivery_statuses)),
    ("DeliveryRow", "status", Form::Words(delivery_statuses)),
    ("Execution", "status", Form::Words(execution_statuses)),
    ("Execution", "type", Form::Words(step_types)),
    ("Instance", "status", Form::Words(instance_statuses)),
    ("InstanceRow", "status", Form::Words(instance_statuses)),
    ("InstanceTask", "status", Form::Words(task_statuses)),
    ("Secret", "name", Form::Identifier),
    ("SetSecret", "value", Form::SecretValue),
    ("Task", "status", Form::Words(task_statuses)),
    ("Tenant", "id", Form::Id),
    ("Tenant", "status", Form::Words(tenant_statuses)),
    ("UpdateWebhook", "url", Form::Url),
];
