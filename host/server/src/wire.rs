//! What is sent: instances, tasks, definitions and components as JSON. The command line prints the same.
//!
//! Fields stand in a fixed order, what is not there is `null`, and new fields come last. Times are RFC 3339 in UTC.

mod access;
mod component;
mod definition;
mod event;
mod graph;
mod instance;
mod task;
mod usage;
mod webhook;

pub use self::access::{
    ApiKey, AuditRow, NewApiKey, QuotaChanges, Quotas, Secret, Stats, Tenant, TenantDetail, TenantUsed,
};
pub use self::component::{BlockedComponent, Component};
pub use self::definition::{Definition, DefinitionDetail};
pub use self::event::{EventRow, event_fields, trace_fields};
pub use self::graph::{graph_json, state_of};
pub use self::instance::{ChildInstance, Execution, Instance, InstanceRow};
pub use self::task::{InstanceTask, Task};
pub use self::usage::Usage;
pub use self::webhook::{Delivery, DeliveryRow, Webhook, WebhookWithSecret};
