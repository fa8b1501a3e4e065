//! Who did what: one record for each request that changes something, written once its outcome is known.
//!
//! Which requests those are follows from the document: every operation with a caller that is no reading one. A record stands in
//! the log of the tenant whose things it is about, whoever it was that did it. It is queued before the request is answered, and
//! written with others in the background: a stop that waits for [`AuditLog::flush`] loses none, a crash those that wait. Where
//! the queue is full or the store fails, that is counted and logged. So is what a caller was refused beyond so many times a
//! minute (`bounds`): nobody fills the log by being refused.

mod bounds;
mod under_way;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::response::Response;
use http::Method;
use http::StatusCode;
use http::header::LOCATION;
use stepcell_engine::WorkflowEngine;
use stepcell_model::access::{AuditOutcome, AuditRecord};
use stepcell_model::name::{ActionName, TenantId};
use stepcell_model::time::Timestamp;
use stepcell_store::WorkflowStore;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use utoipa::openapi::OpenApi;

use self::bounds::{Refusals, Waiting, Whose};
use self::under_way::{Ticket, UnderWay};
use super::authorize::{Requirement, operations};
use super::caller::{Caller, Subject};
use super::rate::name_of;
use crate::api::{ApiState, openapi_document};
use crate::observe::RequestId;
use crate::problem::ProblemCode;
use crate::routes::IDEMPOTENCY_REPLAYED;

/// How many records wait to be written. Bounds memory where the store is slow. A tenant has a share of it: [`Waiting`].
const QUEUE_LEN_MAX: usize = 10_000;

/// How many records share one write.
const BATCH_LEN_MAX: usize = 500;

/// How often a write is tried, and how long after another.
const WRITES_MAX: u32 = 5;

/// How long a write that failed waits for the next one.
const WRITE_PAUSE: Duration = Duration::from_millis(200);

/// How long [`AuditLog::flush`] waits at most: as long as a full queue takes where each write fails as often as it is tried.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of that goes at most on requests whose clients have gone, and which are still worked on.
const OVER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest target that is kept, in characters.
const TARGET_CHARS_MAX: usize = 512;

/// What the counter of records that could not be kept is called.
pub const AUDIT_LOST_TOTAL: &str = "stepcell_audit_lost_total";

/// What the counter of refused requests is called that are no records, as there were too many in a minute.
pub const AUDIT_LEFT_OUT_TOTAL: &str = "stepcell_audit_left_out_total";

/// Takes records and has them written. Cheap to clone; all clones have one queue.
///
/// # Examples
/// A program that mounts the router, and loses no record when it stops.
/// ```
/// use stepcell_server::{ApiOptions, AuditLog, router};
///
/// async fn run(engine: stepcell_engine::WorkflowEngine, serve: impl AsyncFnOnce(axum::Router)) {
///     let audit = AuditLog::new(engine.clone());
///     let options = ApiOptions { audit: Some(audit.clone()), ..ApiOptions::default() };
///     serve(router(engine, options)).await;
///     audit.flush().await;
/// }
/// ```
#[derive(Clone, Debug)]
pub struct AuditLog(Arc<Log>);

#[derive(Debug)]
struct Log {
    engine: WorkflowEngine,
    /// Begins with the first record: only then is there a runtime for sure.
    queue: OnceLock<mpsc::Sender<Entry>>,
    waiting: Arc<Mutex<Waiting>>,
    refusals: Mutex<Refusals>,
    under_way: UnderWay,
}

/// What waits in the queue.
#[derive(Debug)]
enum Entry {
    /// A record, and who asked.
    Record(AuditRecord, Whose),
    /// Answered once all before it are written, or given up.
    Mark(oneshot::Sender<()>),
}

/// What was asked for.
pub(super) struct Asked {
    pub(super) action: ActionName,
    pub(super) path: String,
    pub(super) request_id: Option<RequestId>,
    pub(super) subject: Subject,
    /// Keeps a stop waiting until the record is queued.
    pub(super) ticket: Ticket,
}

impl AuditLog {
    /// A log in the store of an engine. Nothing runs before the first record.
    #[must_use]
    pub fn new(engine: WorkflowEngine) -> Self {
        let waiting = Arc::new(Mutex::new(Waiting::new(QUEUE_LEN_MAX)));
        Self(Arc::new(Log {
            engine,
            queue: OnceLock::new(),
            waiting,
            refusals: Mutex::default(),
            under_way: UnderWay::new(),
        }))
    }

    /// Waits until what has begun before is over and written, whether anybody waits for its answer or not, or could not be; at
    /// most half a minute.
    pub async fn flush(&self) {
        if tokio::time::timeout(OVER_TIMEOUT, self.0.under_way.over()).await.is_err() {
            tracing::error!(waited = ?OVER_TIMEOUT, "requests are still worked on; what they change may be in no record");
        }
        told_left_out(locked(&self.0.refusals).end());
        let Some(queue) = self.0.queue.get() else { return };
        let (mark, reached) = oneshot::channel();
        let flushed = async {
            // Whoever is gone has nothing to write any more.
            if queue.send(Entry::Mark(mark)).await.is_ok() {
                let _ = reached.await;
            }
        };
        if tokio::time::timeout(FLUSH_TIMEOUT - OVER_TIMEOUT, flushed).await.is_err() {
            tracing::error!(waited = ?FLUSH_TIMEOUT, "records of the audit log are still not written");
        }
    }

    /// Something is about to be done that will have a record.
    pub(super) fn begin(&self) -> Ticket {
        self.0.under_way.begin()
    }

    /// Keeps what somebody asked for, and how it was answered.
    pub(super) fn record(&self, state: &ApiState, caller: &Caller, asked: Asked, answer: &Response) {
        let status = answer.status();
        let (at, outcome) = (self.0.engine.now(), outcome_of(status));
        if outcome != AuditOutcome::Done && !self.admits_refusal(caller, at) {
            return;
        }
        let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let target = location.map_or(asked.path.as_str(), |location| state.without_prefix(location));
        let code = answer.extensions().get::<ProblemCode>().map(|code| code.as_str());
        let mut details = serde_json::json!({ "status": status.as_u16(), "code": code });
        if answer.headers().contains_key(IDEMPOTENCY_REPLAYED) {
            // It was done before, and is only told again.
            details["replayed"] = true.into();
        }
        let record = AuditRecord {
            at,
            tenant: caller.tenant.clone().or_else(|| asked.subject.tenant()),
            user: Some(caller.user.clone()),
            key: caller.key.as_deref().and_then(|key| key.parse().ok()),
            action: asked.action,
            target: Some(target.chars().take(TARGET_CHARS_MAX).collect()),
            outcome,
            request_id: asked.request_id.map(|id| id.as_str().to_owned()),
            details: Some(details.into()),
        };
        let whose = caller.tenant.clone();
        if !locked(&self.0.waiting).take(&whose) {
            return lost(1, "the queue is full, or the tenant's share of it");
        }
        let queue = self.0.queue.get_or_init(|| start(Arc::clone(self.0.engine.store()), Arc::clone(&self.0.waiting)));
        if let Err(TrySendError::Full(entry) | TrySendError::Closed(entry)) =
            queue.try_send(Entry::Record(record, whose))
        {
            if let Entry::Record(_, whose) = entry {
                locked(&self.0.waiting).give_back(&whose);
            }
            lost(1, "the queue is full");
        }
        // Only now: a stop puts its mark behind the record.
        drop(asked.ticket);
    }

    /// Whether there is a record of one more request of a caller that was not done.
    fn admits_refusal(&self, caller: &Caller, at: Timestamp) -> bool {
        let (over, is_admitted) = {
            let mut refusals = locked(&self.0.refusals);
            (refusals.turn(at), refusals.admit(&caller.tenant, name_of(caller)))
        };
        told_left_out(over);
        if !is_admitted {
            metrics::counter!(AUDIT_LEFT_OUT_TOTAL).increment(1);
        }
        is_admitted
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sums up what was refused in a minute without a record.
fn told_left_out(left_out: Vec<(Whose, u64)>) {
    for (whose, count) in left_out {
        let tenant = whose.as_ref().map_or("", TenantId::as_str);
        tracing::warn!(
            tenant,
            count,
            "requests were refused that have no record in the audit log: too many in a minute"
        );
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

fn start(store: Arc<dyn WorkflowStore>, waiting: Arc<Mutex<Waiting>>) -> mpsc::Sender<Entry> {
    let (queue, mut entries) = mpsc::channel(QUEUE_LEN_MAX);
    tokio::spawn(async move {
        let mut batch = Vec::new();
        while entries.recv_many(&mut batch, BATCH_LEN_MAX).await > 0 {
            let (mut records, mut whose, mut marks) = (Vec::new(), Vec::new(), Vec::new());
            for entry in batch.drain(..) {
                match entry {
                    Entry::Record(record, of) => {
                        records.push(record);
                        whose.push(of);
                    }
                    Entry::Mark(mark) => marks.push(mark),
                }
            }
            write(&*store, records).await;
            whose.iter().for_each(|of| locked(&waiting).give_back(of));
            for mark in marks {
                // Whoever waited may have gone.
                let _ = mark.send(());
            }
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
fn action_of(operation_id: &str) -> Option<ActionName> {
    let (verb, noun) = operation_id.split_once('_')?;
    ActionName::new(format!("{noun}.{verb}")).ok()
}

/// What the audit log calls an operation; nothing if that only reads.
pub(crate) fn action_of_operation(method: &Method, operation_id: Option<&str>) -> Option<ActionName> {
    operation_id.and_then(action_of).filter(|_| !method.is_safe())
}

/// Every action that the audit log of an engine's API can tell of.
#[must_use]
pub fn audit_actions(engine: WorkflowEngine) -> BTreeSet<ActionName> {
    actions(&openapi_document(engine))
}

/// The actions of a document's operations.
pub(crate) fn actions(document: &OpenApi) -> BTreeSet<ActionName> {
    let all = document.paths.paths.values().flat_map(operations);
    // What anybody may do is in no log: there is nobody who did it.
    let known = all.filter(|(_, operation)| Requirement::of(operation) != Some(Requirement::Public));
    known.filter_map(|(method, operation)| action_of_operation(&method, operation.operation_id.as_deref())).collect()
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
