//! Who did what: one record for each request that changes something, written once its outcome is known.
//!
//! Which requests those are follows from the document: every operation with a caller that is no reading one. A record is
//! queued and written with others in the background; where the queue is full or the store fails, that is counted and logged.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use http::header::LOCATION;
use stepcell_engine::WorkflowEngine;
use stepcell_model::access::{AuditOutcome, AuditRecord};
use stepcell_model::name::ActionName;
use stepcell_store::WorkflowStore;
use tokio::sync::mpsc;

use super::Caller;
use crate::observe::RequestId;
use crate::problem::ProblemCode;

/// How many records wait to be written. Bounds memory where the store is slow.
const QUEUE_LEN_MAX: usize = 10_000;

/// How many records share one write.
const BATCH_LEN_MAX: usize = 500;

/// How often a write is tried, and how long after another.
const WRITES_MAX: u32 = 5;

/// How long a write that failed waits for the next one.
const WRITE_PAUSE: Duration = Duration::from_millis(200);

/// The longest target that is kept, in characters.
const TARGET_CHARS_MAX: usize = 512;

/// What the counter of records that could not be kept is called.
pub const AUDIT_LOST_TOTAL: &str = "stepcell_audit_lost_total";

/// Takes records and has them written.
pub(crate) struct AuditLog {
    engine: WorkflowEngine,
    /// Begins with the first record: only then is there a runtime for sure.
    queue: OnceLock<mpsc::Sender<AuditRecord>>,
}

/// What was asked for.
pub(crate) struct Asked {
    pub(crate) action: ActionName,
    pub(crate) path: String,
    pub(crate) request_id: Option<RequestId>,
}

impl AuditLog {
    pub(crate) fn new(engine: WorkflowEngine) -> Self {
        Self { engine, queue: OnceLock::new() }
    }

    /// Keeps what somebody asked for, and how it was answered.
    pub(crate) fn record(&self, caller: &Caller, asked: Asked, answer: &Response) {
        let status = answer.status();
        let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let code = answer.extensions().get::<ProblemCode>().map(|code| code.as_str());
        let record = AuditRecord {
            at: self.engine.now(),
            tenant: caller.tenant.clone(),
            user: Some(caller.user.clone()),
            key: caller.key.as_deref().and_then(|key| key.parse().ok()),
            action: asked.action,
            target: Some(location.unwrap_or(&asked.path).chars().take(TARGET_CHARS_MAX).collect()),
            outcome: outcome_of(status),
            request_id: asked.request_id.map(|id| id.as_str().to_owned()),
            details: Some(serde_json::json!({ "status": status.as_u16(), "code": code }).into()),
        };
        let queue = self.queue.get_or_init(|| start(Arc::clone(self.engine.store())));
        if queue.try_send(record).is_err() {
            lost(1, "the queue is full");
        }
    }
}

fn outcome_of(status: StatusCode) -> AuditOutcome {
    if status.is_server_error() {
        AuditOutcome::Failed
    } else if status.is_client_error() {
        AuditOutcome::Refused
    } else {
        AuditOutcome::Done
    }
}

fn start(store: Arc<dyn WorkflowStore>) -> mpsc::Sender<AuditRecord> {
    let (queue, mut records) = mpsc::channel(QUEUE_LEN_MAX);
    tokio::spawn(async move {
        let mut batch = Vec::new();
        while records.recv_many(&mut batch, BATCH_LEN_MAX).await > 0 {
            write(&*store, std::mem::take(&mut batch)).await;
        }
    });
    queue
}

async fn write(store: &dyn WorkflowStore, batch: Vec<AuditRecord>) {
    for attempt in 1..=WRITES_MAX {
        match store.append_audit(batch.clone()).await {
            Ok(()) => return,
            Err(error) if attempt == WRITES_MAX => lost(batch.len(), &error.to_string()),
            Err(_) => tokio::time::sleep(WRITE_PAUSE).await,
        }
    }
}

fn lost(count: usize, why: &str) {
    metrics::counter!(AUDIT_LOST_TOTAL).increment(count as u64);
    tracing::error!(count, why, "records of the audit log are lost");
}

/// The action of an operation, such as `instance.cancel` of `cancel_instance`.
pub(crate) fn action_of(operation_id: &str) -> Option<ActionName> {
    let (verb, noun) = operation_id.split_once('_')?;
    ActionName::new(format!("{noun}.{verb}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_a_noun_and_what_is_done_to_it() {
        for (operation, action) in [("cancel_instance", "instance.cancel"), ("create_api_key", "api_key.create")] {
            assert_eq!(action_of(operation).unwrap().as_str(), action);
        }
        assert_eq!(action_of("cancel"), None);
    }
}
