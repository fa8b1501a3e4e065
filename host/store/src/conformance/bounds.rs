//! What is kept of one tenant is bounded, and what racing callers change is changed one after the other.

use std::sync::Arc;

use stepcell_model::access::{ApiKey, IdempotencyRoom, KeptAnswer, Quotas, Reservation};
use stepcell_model::name::SecretName;
use stepcell_model::webhook::WebhookSubscription;

use super::access::{answer, claim, key, key_id, record};
use super::fixture::{at, tenant};
use super::guard::secret;
use super::records::audit;
use super::webhooks::{id, subscription};
use crate::{Admitted, AuditFilter, KeyFilter, KeyRoom, PageLimit, SecretFilter, StoreError, Whose, WorkflowStore};

type Outcome = Result<(), StoreError>;

/// How many callers race.
const RACERS: u64 = 32;

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn no_more_keys_of_a_tenant_let_anybody_in_than_there_is_room_for(store: Arc<dyn WorkflowStore>) -> Outcome {
    let room = KeyRoom { live_max: 2, kept_max: 100 };
    let insert = async |number, of: Option<&str>, made| {
        let key = ApiKey { created_at: at(made), ..key(number, of) };
        store.insert_key(key, room).await
    };
    for number in [1, 2] {
        assert_eq!(insert(number, Some("acme"), 2).await?, Admitted::New);
    }

    assert_eq!(insert(3, Some("acme"), 899).await?, Admitted::Full);
    assert_eq!(store.find_key_by_id(key_id(3)).await?, None);
    for other in [Some("bolt"), None] {
        assert_eq!(
            insert(if other.is_some() { 4 } else { 5 }, other, 2).await?,
            Admitted::New,
            "others have their own"
        );
    }
    store.revoke_key(key_id(1), at(3)).await?;
    assert_eq!(insert(3, Some("acme"), 4).await?, Admitted::New, "one was revoked");
    assert_eq!(insert(6, Some("acme"), 4).await?, Admitted::Full);
    assert_eq!(insert(6, Some("acme"), 900).await?, Admitted::New, "all had expired");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn keys_that_let_nobody_in_make_room_the_oldest_first(store: Arc<dyn WorkflowStore>) -> Outcome {
    let room = KeyRoom { live_max: 2, kept_max: 3 };
    store.insert_key(key(1, Some("bolt")), room).await?;
    store.revoke_key(key_id(1), at(3)).await?;
    for number in 2..=6 {
        assert_eq!(store.insert_key(key(number, Some("acme")), room).await?, Admitted::New);
        store.revoke_key(key_id(number), at(3)).await?;
    }

    let kept = store.list_keys(&KeyFilter::default()).await?;

    assert_eq!(kept.items.iter().map(|key| key.id).collect::<Vec<_>>(), [6, 5, 4, 1].map(key_id));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_tenant_has_no_more_secrets_than_there_is_room_for_and_changes_those_it_has(
    store: Arc<dyn WorkflowStore>,
) -> Outcome {
    for name in ["A", "B"] {
        assert!(store.put_secret(secret(Some("acme"), name, b"old"), 2).await?);
    }
    let revision = store.guard_revision().await?;

    assert!(!store.put_secret(secret(Some("acme"), "C", b"one more"), 2).await?);
    assert_eq!(store.guard_revision().await?, revision);
    assert!(store.put_secret(secret(Some("acme"), "B", b"new"), 2).await?);
    assert!(store.put_secret(secret(None, "C", b"elsewhere"), 2).await?);

    let name = |name: &str| SecretName::new(name).expect("the suite's names are valid");
    let acme = tenant("acme");
    assert_eq!(store.find_secret(Some(&acme), &name("B")).await?, Some(secret(Some("acme"), "B", b"new")));
    assert_eq!(store.find_secret(Some(&acme), &name("C")).await?, None);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn secrets_are_listed_by_whose_they_are_in_pages(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (of, name) in [(Some("bolt"), "A"), (Some("acme"), "B"), (None, "C"), (Some("acme"), "A")] {
        store.put_secret(secret(of, name, b"sealed"), 9).await?;
    }
    let listed = async |whose: Whose, after: Option<(Option<&str>, &str)>, rows| {
        let name = |name: &str| SecretName::new(name).expect("the suite's names are valid");
        let after = after.map(|(of, last)| (of.map(tenant), name(last)));
        let page = store.list_secrets(&SecretFilter { whose, after, limit: PageLimit::clamped(rows) }).await?;
        let told = page.items.iter().map(|kept| {
            format!("{}/{}", kept.tenant.as_ref().map_or("", stepcell_model::name::TenantId::as_str), kept.name)
        });
        Ok::<_, StoreError>((told.collect::<Vec<_>>().join(" "), page.total))
    };

    let acme = || Whose::Of(tenant("acme"));
    assert_eq!(listed(Whose::Anybody, None, 2).await?, ("/C acme/A".to_owned(), 4));
    assert_eq!(listed(Whose::Anybody, Some((Some("acme"), "A")), 9).await?, ("acme/B bolt/A".to_owned(), 4));
    assert_eq!(listed(acme(), None, 1).await?, ("acme/A".to_owned(), 2));
    assert_eq!(listed(acme(), Some((Some("acme"), "A")), 1).await?, ("acme/B".to_owned(), 2));
    assert_eq!(listed(Whose::Platform, None, 9).await?, ("/C".to_owned(), 1));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn subscriptions_are_bounded_for_each_tenant_and_for_the_platform(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (number, of) in [(1, None), (2, None), (3, Some("acme")), (4, Some("acme")), (5, Some("bolt"))] {
        assert_eq!(store.insert_webhook(subscription(number, of), 2).await?, Admitted::New);
    }
    let revision = store.webhook_head().await?.revision;

    for of in [None, Some("acme")] {
        assert_eq!(store.insert_webhook(subscription(9, of), 2).await?, Admitted::Full);
    }

    assert_eq!(store.find_webhook(id(9)).await?, None);
    assert_eq!(store.webhook_head().await?.revision, revision);
    assert_eq!(store.insert_webhook(subscription(1, None), 2).await?, Admitted::AlreadyThere);
    store.delete_webhook(id(1)).await?;
    assert_eq!(store.insert_webhook(subscription(9, None), 2).await?, Admitted::New);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn answers_of_one_tenant_have_so_much_room_until_they_are_forgotten(
    store: Arc<dyn WorkflowStore>,
) -> Outcome {
    let two = IdempotencyRoom { requests: 2, bytes: 1_000 };
    let ask = async |of, key: &str, ms, room| store.claim_idempotency(claim(of, key, b"x", ms), room).await;
    assert_eq!(ask(Some("acme"), "a", 0, two).await?, Reservation::New);
    assert_eq!(ask(Some("acme"), "b", 5, two).await?, Reservation::New);

    assert_eq!(ask(Some("acme"), "c", 6, two).await?, Reservation::Full);
    assert_eq!(ask(Some("acme"), "a", 6, two).await?, Reservation::InProgress);
    assert_eq!(ask(None, "c", 6, two).await?, Reservation::New);
    store.release_idempotency(&claim(Some("acme"), "b", b"x", 5)).await?;
    assert_eq!(ask(Some("acme"), "c", 7, two).await?, Reservation::New, "one was let go of");
    store.forget_idempotency(at(7)).await?;
    assert_eq!(ask(Some("acme"), "d", 8, two).await?, Reservation::New, "one was forgotten");

    // Bytes count once they are answered, and again no more once what was answered goes.
    let some = IdempotencyRoom { requests: 100, bytes: 500 };
    let long = KeptAnswer { body: "x".repeat(500), ..answer() };
    store.answer_idempotency(&claim(Some("acme"), "d", b"x", 8), long).await?;
    assert_eq!(ask(Some("acme"), "e", 9, some).await?, Reservation::Full);
    let a_day_later = 86_400_000 + 8;
    assert_eq!(ask(Some("acme"), "d", a_day_later, some).await?, Reservation::New);
    assert_eq!(ask(Some("acme"), "e", a_day_later, some).await?, Reservation::New);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn old_records_of_the_audit_log_go_and_numbers_stay(store: Arc<dyn WorkflowStore>) -> Outcome {
    let records = [1, 2, 3, 4].map(|ms| audit(Some("acme"), "ann", "instance.start", ms));
    store.append_audit(records.to_vec()).await?;

    assert_eq!(store.forget_audit(at(3)).await?, 2);
    assert_eq!(store.forget_audit(at(3)).await?, 0);
    store.append_audit(vec![records[0].clone()]).await?;

    let numbers = async || {
        let page = store.list_audit(&AuditFilter::default()).await?;
        Ok::<_, StoreError>(page.items.iter().map(|entry| entry.number).collect::<Vec<_>>())
    };
    assert_eq!(numbers().await?, [5, 4, 3]);
    assert_eq!(store.forget_audit(at(9)).await?, 3);
    store.append_audit(vec![records[0].clone()]).await?;
    assert_eq!(numbers().await?, [6], "no number is used again");
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn of_racing_changes_of_one_tenant_none_is_lost(store: Arc<dyn WorkflowStore>) -> Outcome {
    let empty = stepcell_model::access::TenantRecord { quotas: Quotas::default(), ..record("acme") };
    store.insert_tenant(empty).await?;
    let racing = (0..RACERS).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let one_more = |record: &mut stepcell_model::access::TenantRecord| {
                record.quotas.components = Some(record.quotas.components.unwrap_or_default() + 1);
            };
            store.change_tenant(&tenant("acme"), Box::new(one_more)).await
        })
    });
    for changed in racing.collect::<Vec<_>>() {
        changed.await.expect("no change panics")?;
    }

    let kept = store.find_tenant(&tenant("acme")).await?.expect("it was kept");
    assert_eq!(kept.quotas.components, Some(RACERS));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn of_racing_changes_of_one_subscription_none_is_lost(store: Arc<dyn WorkflowStore>) -> Outcome {
    store.insert_webhook(subscription(1, Some("acme")), 1).await?;
    let racing = (0..RACERS).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let one_more = |kept: &mut WebhookSubscription| kept.secret.current.push(7);
            store.change_webhook(id(1), Box::new(one_more), at(50)).await
        })
    });
    for changed in racing.collect::<Vec<_>>() {
        changed.await.expect("no change panics")?;
    }

    let kept = store.find_webhook(id(1)).await?.expect("it was kept");
    let before = subscription(1, None).secret.current.len();
    assert_eq!(kept.secret.current.len(), before + RACERS as usize);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn of_racing_subscriptions_no_more_are_kept_than_there_is_room_for(store: Arc<dyn WorkflowStore>) -> Outcome {
    let racing = (0..RACERS).map(|number| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.insert_webhook(subscription(u128::from(number), None), 5).await })
    });
    let mut kept = 0;
    for inserted in racing.collect::<Vec<_>>() {
        match inserted.await.expect("no subscription panics")? {
            Admitted::New => kept += 1,
            other => assert_eq!(other, Admitted::Full),
        }
    }

    assert_eq!(kept, 5);
    Ok(())
}
