//! Who did what, and how much there is: the audit log, what tenants use, and the counts that operators look at.

use std::sync::Arc;

use serde_json::json;
use stepcell_model::access::{ApiKeyId, AuditOutcome, AuditRecord, TenantUse};
use stepcell_model::name::ActionName;
use stepcell_model::record::ComponentRecord;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::Transition;
use uuid::Uuid;

use super::fixture::{
    after, at, component, execution, full_start, instance, key, register, start_as, task, tenant, user, with_status,
};
use crate::{AuditFilter, PageLimit, PruneFilter, StoreError, StoreStats, Whose, WorkflowStore};

type Outcome = Result<(), StoreError>;

/// A record of that action at that time.
pub(super) fn audit(of: Option<&str>, by: &str, action: &str, ms: i64) -> AuditRecord {
    AuditRecord {
        at: at(ms),
        tenant: of.map(tenant),
        user: Some(user(by)),
        key: None,
        action: ActionName::new(action).expect("actions in the suite are well formed"),
        target: None,
        outcome: AuditOutcome::Done,
        request_id: None,
        details: None,
    }
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_record_of_the_audit_log_reads_back_with_every_field(store: Arc<dyn WorkflowStore>) -> Outcome {
    let full = AuditRecord {
        key: Some(ApiKeyId::from_uuid(Uuid::from_u128(7))),
        target: Some("ü/17".to_owned()),
        outcome: AuditOutcome::Refused,
        request_id: Some("req-1".to_owned()),
        details: Some(json!({"code": "quota_exceeded"}).into()),
        ..audit(Some("acme"), "ann", "instance.start", 1)
    };
    let bare = AuditRecord { user: None, ..audit(None, "ann", "tenant.create", 2) };

    store.append_audit(vec![full.clone(), bare.clone()]).await?;
    store.append_audit(Vec::new()).await?;

    let page = store.list_audit(&AuditFilter::default()).await?;
    assert_eq!(page.total, 2);
    assert_eq!(page.items.iter().map(|entry| entry.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(page.items.into_iter().map(|entry| entry.record).collect::<Vec<_>>(), [bare, full]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn the_audit_log_is_filtered_by_every_part_and_paged_newest_first(store: Arc<dyn WorkflowStore>) -> Outcome {
    let records = [
        audit(Some("acme"), "ann", "instance.start", 1),
        audit(Some("acme"), "bob", "instance.start", 2),
        audit(None, "ann", "tenant.create", 3),
        audit(Some("acme"), "ann", "instance.cancel", 4),
        audit(Some("bolt"), "ann", "instance.start", 5),
    ];
    store.append_audit(records.to_vec()).await?;
    let numbers = async |filter: AuditFilter| {
        let page = store.list_audit(&filter).await?;
        Ok::<_, StoreError>((page.items.iter().map(|entry| entry.number).collect::<Vec<_>>(), page.total))
    };
    let all = AuditFilter::default;
    let acme = || AuditFilter { whose: Whose::Of(tenant("acme")), ..all() };

    assert_eq!(numbers(acme()).await?, (vec![4, 2, 1], 3));
    assert_eq!(numbers(AuditFilter { whose: Whose::Platform, ..all() }).await?, (vec![3], 1));
    assert_eq!(numbers(AuditFilter { user: Some(user("bob")), ..all() }).await?, (vec![2], 1));
    let starts = ActionName::new("instance.start").expect("it is well formed");
    assert_eq!(numbers(AuditFilter { action: Some(starts), ..all() }).await?, (vec![5, 2, 1], 3));
    assert_eq!(numbers(AuditFilter { since: Some(at(2)), until: Some(at(4)), ..all() }).await?, (vec![3, 2], 2));
    let second = AuditFilter { after: Some(4), limit: PageLimit::clamped(1), ..acme() };
    assert_eq!(numbers(second).await?, (vec![2], 3), "the total is that of the whole list");
    Ok(())
}

/// What the store says that `acme` keeps.
async fn bytes_of_acme(store: &Arc<dyn WorkflowStore>) -> Result<u64, StoreError> {
    Ok(store.load_tenant_use(&tenant("acme"), 0).await?.stored_bytes)
}

fn events_len(transition: &Transition) -> u64 {
    serde_json::to_string(&transition.events).expect("events of the suite are JSON").len() as u64
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn what_an_instance_keeps_is_summed_with_each_transition(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let first = start_as(1, |identity| identity.tenant = Some(tenant("acme")));
    store.commit(first.clone()).await?;
    let started = r#"{"number":"1"}"#.len() as u64 + events_len(&first);
    assert_eq!(bytes_of_acme(&store).await?, started);

    let mut second = after(&first);
    second.writes = [(key("k"), Some(json!("four").into())), (key("gone"), None)].into();
    second.executions = vec![execution(1, 1)];
    second.tasks = vec![task(1, 2)];
    store.commit(second.clone()).await?;

    let written = "k".len() + "gone".len() + r#""four""#.len();
    let executed = r#"{"given":1}"#.len() + r#"{"returned":1}"#.len();
    let added = (written + executed + "Approve expense".len()) as u64 + events_len(&second);
    assert_eq!(bytes_of_acme(&store).await?, started + added);

    assert!(store.commit(second).await.is_err());
    assert_eq!(bytes_of_acme(&store).await?, started + added, "a stale transition adds nothing");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn what_a_pruned_instance_kept_is_kept_no_more(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let mut done = start_as(1, |identity| identity.tenant = Some(tenant("acme")));
    done.state = with_status(WorkflowStatus::Completed);
    done.state.completed_at = Some(at(5));
    store.commit(done).await?;
    store.commit(start_as(2, |_| {})).await?;
    assert!(bytes_of_acme(&store).await? > 0);

    let filter = PruneFilter { ended_before: at(6), statuses: Vec::new(), workflow: None, tenant: None };
    assert_eq!(store.prune(&filter, &[instance(1)]).await?.instances.len(), 1);

    assert_eq!(store.load_tenant_use(&tenant("acme"), 0).await?, TenantUse::default());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn what_a_tenant_has_is_counted_without_that_of_others(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    store.insert_component(component("acme/pay", "1.0.0", b"twelve bytes"), b"twelve bytes".as_slice().into()).await?;
    let shared = ComponentRecord { tenant: None, ..component("pay", "1.0.0", b"other") };
    store.insert_component(shared, b"other".as_slice().into()).await?;
    for (number, of, status) in [
        (1, Some("acme"), WorkflowStatus::Running),
        (2, Some("acme"), WorkflowStatus::Paused),
        (3, Some("acme"), WorkflowStatus::Failed),
        (4, Some("bolt"), WorkflowStatus::Waiting),
        (5, None, WorkflowStatus::Running),
    ] {
        let started = start_as(number, |identity| identity.tenant = of.map(tenant));
        store.commit(Transition { state: with_status(status), ..started }).await?;
    }

    let acme = store.load_tenant_use(&tenant("acme"), 0).await?;
    let bolt = store.load_tenant_use(&tenant("bolt"), 0).await?;

    assert_eq!((acme.open_instances, acme.components), (2, 1));
    assert_eq!((bolt.open_instances, bolt.components), (1, 0));
    assert_eq!(acme.stored_bytes - 12, 3 * bolt.stored_bytes, "each was started with as much");
    assert_eq!(store.load_tenant_use(&tenant("nobody"), 0).await?, TenantUse::default());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn stats_count_what_there_is_of_one_tenant_or_of_all(store: Arc<dyn WorkflowStore>) -> Outcome {
    assert_eq!(
        store.load_stats(None, at(0)).await?,
        StoreStats { letters: Some(0), ..StoreStats::default() },
        "an empty store"
    );
    register(&store).await?;
    let mut full = full_start(1);
    full.tasks[0].status = stepcell_model::status::TaskStatus::Pending;
    let letters = full.letters.len() as u64;
    store.commit(full).await?;
    let mut other = start_as(2, |_| {});
    other.tasks = vec![task(2, 1)];
    store.commit(other).await?;

    let all = store.load_stats(None, at(1_001)).await?;
    let acme = store.load_stats(Some(&tenant("acme")), at(1_000)).await?;

    assert_eq!(all.instances, [(WorkflowStatus::Running, 1), (WorkflowStatus::Waiting, 1)].into());
    assert_eq!((all.tasks_pending, all.tasks_overdue, all.letters), (2, 1, Some(letters)));
    assert_eq!((all.definitions, all.components), (1, 0));
    assert_eq!(acme.instances, [(WorkflowStatus::Waiting, 1)].into());
    assert_eq!((acme.tasks_pending, acme.tasks_overdue, acme.letters), (1, 0, None));
    assert!(acme.stored_bytes > 0 && acme.stored_bytes < all.stored_bytes);
    Ok(())
}
