//! What safety rests on: policy, blocks, signatures, secrets, and the sums of what tenants used.

use std::sync::Arc;

use serde_json::json;
use stepcell_model::attempt::{AttemptTrace, Receipt};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::guard::{BlockKind, ComponentBlock, SealedSecret, SecretRecord, Usage};
use stepcell_model::history::Event;
use stepcell_model::id::{ComponentDigest, ExecutionNumber};
use stepcell_model::name::{SecretName, TenantId};
use stepcell_model::signature::{ComponentSignature, PrivateKey};
use stepcell_model::time::Timestamp;
use stepcell_model::transition::Transition;

use super::fixture::{after, at, register, start_as, step, tenant, user};
use crate::{Admitted, GuardState, Inserted, PageLimit, SecretFilter, StoreError, UsageFilter, Whose, WorkflowStore};

type Outcome = Result<(), StoreError>;

const DAY_MS: i64 = 86_400_000;

fn block(bytes: &[u8], reason: &str) -> ComponentBlock {
    let digest = ComponentDigest::of(bytes);
    ComponentBlock { digest, kind: BlockKind::Revoked, reason: reason.to_owned(), by: Some(user("ada")), at: at(3) }
}

/// A secret of that tenant and name.
pub(super) fn secret(of: Option<&str>, name: &str, sealed: &[u8]) -> SealedSecret {
    let name = SecretName::new(name).expect("the suite's names are valid");
    let record = SecretRecord { tenant: of.map(tenant), name, updated_at: at(4) };
    SealedSecret { record, sealed: sealed.to_vec() }
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn the_guard_reads_back_and_every_change_raises_its_revision(store: Arc<dyn WorkflowStore>) -> Outcome {
    assert_eq!(store.load_guard().await?, GuardState::default());
    let signature = PrivateKey::from_bytes(&[1; 32]).sign(ComponentDigest::of(b"signed"));

    store.put_policy(json!({"schema": "old"}).into()).await?;
    store.put_policy(json!({"schema": "stepcell-policy/v1"}).into()).await?;
    assert_eq!(store.insert_block(block(b"bad", "it mines coins")).await?, Inserted::New);
    assert_eq!(store.insert_signature(signature.clone(), 10).await?, Admitted::New);
    assert!(store.put_secret(secret(None, "TOKEN", b"sealed"), 10).await?);

    let state = store.load_guard().await?;
    assert_eq!(state.policy, Some(json!({"schema": "stepcell-policy/v1"}).into()));
    assert_eq!(state.blocks, [block(b"bad", "it mines coins")]);
    assert_eq!(state.signatures, [signature]);
    assert_eq!(state.revision, 5);
    assert_eq!(store.guard_revision().await?, 5);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_component_has_one_signature_of_a_key_and_no_more_than_may_be(store: Arc<dyn WorkflowStore>) -> Outcome {
    let signed = |key: u8, bytes: &[u8]| PrivateKey::from_bytes(&[key; 32]).sign(ComponentDigest::of(bytes));
    let (first, second) = (signed(1, b"one"), signed(2, b"one"));
    let again = ComponentSignature { signature: "another one of that key".to_owned(), ..first.clone() };
    assert_eq!(store.insert_signature(first.clone(), 1).await?, Admitted::New);
    let revision = store.guard_revision().await?;

    for same in [&first, &again] {
        assert_eq!(store.insert_signature(same.clone(), 1).await?, Admitted::AlreadyThere);
    }
    assert_eq!(store.insert_signature(second.clone(), 1).await?, Admitted::Full);
    assert_eq!(store.guard_revision().await?, revision, "nothing changed");
    assert_eq!(store.load_guard().await?.signatures, [first]);

    assert_eq!(store.insert_signature(second, 2).await?, Admitted::New);
    assert_eq!(store.insert_signature(signed(3, b"other"), 1).await?, Admitted::New, "others have room of their own");
    assert_eq!(store.guard_revision().await?, revision + 2);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_block_stays_with_its_first_reason_until_it_is_removed(store: Arc<dyn WorkflowStore>) -> Outcome {
    let digest = ComponentDigest::of(b"bad");
    store.insert_block(block(b"bad", "first")).await?;
    let revision = store.guard_revision().await?;

    assert_eq!(store.insert_block(block(b"bad", "second")).await?, Inserted::AlreadyThere);
    assert_eq!(store.guard_revision().await?, revision);
    assert_eq!(store.load_guard().await?.blocks, [block(b"bad", "first")]);
    assert_eq!(store.find_block(&digest).await?, Some(block(b"bad", "first")));
    assert_eq!(store.find_block(&ComponentDigest::of(b"good")).await?, None);

    assert!(store.remove_block(&digest).await?);
    assert!(!store.remove_block(&digest).await?);
    assert!(store.load_guard().await?.blocks.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn faults_of_a_component_are_counted_until_it_may_run_again(store: Arc<dyn WorkflowStore>) -> Outcome {
    let (one, other) = (ComponentDigest::of(b"one"), ComponentDigest::of(b"other"));

    assert_eq!(store.count_host_fault(&one).await?, 1);
    assert_eq!(store.count_host_fault(&other).await?, 1);
    assert_eq!(store.count_host_fault(&one).await?, 2);
    store.remove_block(&one).await?;

    assert_eq!(store.count_host_fault(&one).await?, 1);
    assert_eq!(store.count_host_fault(&other).await?, 2);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn tenants_do_not_share_secrets(store: Arc<dyn WorkflowStore>) -> Outcome {
    let name = SecretName::new("TOKEN").expect("the suite's names are valid");
    for (of, sealed) in [(None, b"none"), (Some("acme"), b"old."), (Some("acme"), b"acme"), (Some("bolt"), b"bolt")] {
        assert!(store.put_secret(secret(of, "TOKEN", sealed), 10).await?);
    }
    let acme = tenant("acme");

    let found = store.find_secret(Some(&acme), &name).await?;

    assert_eq!(found, Some(secret(Some("acme"), "TOKEN", b"acme")));
    assert!(store.delete_secret(Some(&acme), &name).await?);
    assert!(!store.delete_secret(Some(&acme), &name).await?);
    assert_eq!(store.find_secret(Some(&acme), &name).await?, None);
    assert_eq!(store.find_secret(None, &name).await?, Some(secret(None, "TOKEN", b"none")));
    let left = [secret(None, "TOKEN", b"none").record, secret(Some("bolt"), "TOKEN", b"bolt").record];
    assert_eq!(store.list_secrets(&SecretFilter::default()).await?.items, left);
    Ok(())
}

/// A transition in which an attempt ended that cost `cpu_us` and `memory_bytes_peak`.
fn costly(transition: Transition, day: i64, cpu_us: u64, memory_bytes_peak: u64) -> Transition {
    let receipt = Receipt { cpu_us, memory_bytes_peak, denials: 1, ..Receipt::default() };
    let failed = Event::StepFailed {
        execution: ExecutionNumber(1),
        step: step("a"),
        attempt: 1,
        failure: Failure::engine(EngineCode::Cpu, "It computed for ever."),
        trace: Some(AttemptTrace { receipt, log_lines_dropped: 2, ..AttemptTrace::default() }),
    };
    Transition { events: vec![failed], at: Timestamp::from_unix_ms(day * DAY_MS + 1), ..transition }
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn what_attempts_used_is_summed_by_tenant_and_day(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let own = start_as(1, |identity| identity.tenant = Some(tenant("acme")));
    let first = costly(own, 10, 5, 100);
    let second = costly(after(&first), 10, 7, 60);
    let nobodys = costly(start_as(2, |identity| identity.tenant = None), 11, 1, 1);
    for transition in [first.clone(), second.clone(), nobodys, costly(after(&second), 12, 9, 9)] {
        store.commit(transition).await?;
    }
    assert!(store.commit(second).await.is_err(), "a stale transition is not counted");

    let used = store.list_usage(&UsageFilter { since_day: 10, ..UsageFilter::default() }).await?.items;

    let told: Vec<_> = used.iter().map(|used| (used.tenant.clone(), used.day, used.usage.attempts)).collect();
    let acme = Some(tenant("acme"));
    assert_eq!(told, [(None, 11, 1), (acme.clone(), 10, 2), (acme.clone(), 12, 1)]);
    let expected = Usage {
        attempts: 2,
        cpu_us: 12,
        memory_bytes_peak: 100,
        denials: 2,
        log_lines_dropped: 4,
        codes: [("engine.cpu".to_owned(), 2)].into(),
        ..Usage::default()
    };
    assert_eq!(used[1].usage, expected);
    assert_eq!(store.load_tenant_use(&tenant("acme"), 10).await?.cpu_us_of_day, 12);
    assert_eq!(store.load_tenant_use(&tenant("acme"), 11).await?.cpu_us_of_day, 0);
    let days = async |filter: UsageFilter| {
        let page = store.list_usage(&filter).await?;
        let days: Vec<(Option<TenantId>, i64)> = page.items.into_iter().map(|used| (used.tenant, used.day)).collect();
        Ok::<_, StoreError>((days, page.total))
    };
    let since = |since_day| UsageFilter { since_day, ..UsageFilter::default() };
    assert_eq!(days(since(12)).await?, (vec![(acme.clone(), 12)], 1));
    let one = UsageFilter { limit: PageLimit::clamped(1), ..since(10) };
    assert_eq!(days(one.clone()).await?, (vec![(None, 11)], 2));
    let rest = (vec![(acme.clone(), 10), (acme.clone(), 12)], 2);
    assert_eq!(days(UsageFilter { after: Some(None), ..one.clone() }).await?, rest);
    assert_eq!(days(UsageFilter { after: Some(acme), ..one.clone() }).await?, (vec![], 2));
    assert_eq!(days(UsageFilter { whose: Whose::Platform, ..one.clone() }).await?, (vec![(None, 11)], 1));
    assert_eq!(days(UsageFilter { whose: Whose::Of(tenant("acme")), ..one }).await?, (rest.0, 1));
    Ok(())
}
