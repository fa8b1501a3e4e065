//! Who may come in: tenants and their keys; what was answered to requests that may be repeated.

use std::sync::Arc;

use stepcell_model::access::{
    ApiKey, ApiKeyId, Fingerprint, IdempotencyClaim, IdempotencyRoom, KEY_RANDOM_BYTES, KeptAnswer, KeyText, Quotas,
    Reservation, Scope, Scopes, TenantRecord, TenantStatus,
};
use stepcell_model::name::Label;
use uuid::Uuid;

use super::fixture::{at, group, tenant, user};
use crate::{Admitted, Inserted, KeyFilter, KeyRoom, PageLimit, StoreError, TenantFilter, Whose, WorkflowStore};

type Outcome = Result<(), StoreError>;

const VALID: &str = "names in the suite are well formed";

/// Room for every key of the suite.
const ROOM: KeyRoom = KeyRoom { live_max: 100, kept_max: 100 };

/// An active tenant that uses every field.
pub(super) fn record(id: &str) -> TenantRecord {
    let quotas = Quotas { open_instances: Some(3), stored_bytes: Some(u64::from(u32::MAX)), ..Quotas::default() };
    let display_name = Label::new(format!("{id} & sons ü")).expect(VALID);
    TenantRecord { id: tenant(id), display_name, status: TenantStatus::Active, quotas, created_at: at(1) }
}

pub(super) const fn key_id(number: u8) -> ApiKeyId {
    ApiKeyId::from_uuid(Uuid::from_u128(number as u128))
}

/// The key with that number; greater ones are newer.
pub(super) fn key(number: u8, of: Option<&str>) -> ApiKey {
    let text = KeyText::from_random(&mut [number; KEY_RANDOM_BYTES]);
    ApiKey {
        id: key_id(number),
        prefix: text.prefix(),
        hash: text.hash(),
        name: Label::new("the build's").expect(VALID),
        tenant: of.map(tenant),
        user: user("ann"),
        groups: vec![group("b"), group("a")],
        scopes: Scopes::of(&[Scope::Worker, Scope::Author]),
        created_at: at(2),
        created_by: Some(user("bob")),
        expires_at: Some(at(900)),
        last_used_at: None,
        revoked_at: None,
    }
}

/// Puts a record in place of that of its tenant.
async fn put(store: &Arc<dyn WorkflowStore>, record: TenantRecord) -> Result<Option<TenantRecord>, StoreError> {
    let id = record.id.clone();
    let change = move |kept: &mut TenantRecord| *kept = TenantRecord { id: tenant("other"), ..record.clone() };
    store.change_tenant(&id, Box::new(change)).await
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_tenant_is_kept_once_and_changed_in_place(store: Arc<dyn WorkflowStore>) -> Outcome {
    let first = record("acme");
    assert_eq!(store.insert_tenant(first.clone()).await?, Inserted::New);
    let other = TenantRecord { status: TenantStatus::Suspended, ..record("acme") };
    assert_eq!(store.insert_tenant(other.clone()).await?, Inserted::AlreadyThere);
    assert_eq!(store.find_tenant(&tenant("acme")).await?.as_ref(), Some(&first));

    let changed = TenantRecord { quotas: Quotas::default(), created_at: at(99), ..other };
    let told = put(&store, changed.clone()).await?;
    assert_eq!(put(&store, record("nobody")).await?, None);

    let expected = TenantRecord { created_at: at(1), ..changed };
    assert_eq!(told.as_ref(), Some(&expected));
    assert_eq!(store.find_tenant(&tenant("acme")).await?, Some(expected));
    assert_eq!(store.find_tenant(&tenant("nobody")).await?, None);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn tenants_are_listed_by_id_in_pages(store: Arc<dyn WorkflowStore>) -> Outcome {
    for id in ["c", "a", "d", "b"] {
        store.insert_tenant(record(id)).await?;
    }
    put(&store, TenantRecord { status: TenantStatus::Suspended, ..record("c") }).await?;
    let ids = async |filter: TenantFilter| {
        let page = store.list_tenants(&filter).await?;
        Ok::<_, StoreError>((page.items.iter().map(|record| record.id.to_string()).collect::<Vec<_>>(), page.total))
    };

    let two = TenantFilter { limit: PageLimit::clamped(2), ..TenantFilter::default() };
    assert_eq!(ids(two.clone()).await?, (vec!["a".to_owned(), "b".to_owned()], 4));
    assert_eq!(ids(TenantFilter { after: Some(tenant("b")), ..two }).await?, (vec!["c".to_owned(), "d".to_owned()], 4));
    let suspended = TenantFilter { status: Some(TenantStatus::Suspended), ..TenantFilter::default() };
    assert_eq!(ids(suspended).await?, (vec!["c".to_owned()], 1));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_key_reads_back_by_prefix_and_by_id_and_no_two_share_either(store: Arc<dyn WorkflowStore>) -> Outcome {
    let (acme, platform) = (key(1, Some("acme")), key(2, None));
    for key in [&acme, &platform] {
        assert_eq!(store.insert_key(key.clone(), ROOM).await?, Admitted::New);
    }

    let same_prefix = ApiKey { id: key_id(9), ..acme.clone() };
    let same_id = ApiKey { prefix: key(9, None).prefix, ..acme.clone() };
    for taken in [same_prefix, same_id] {
        assert_eq!(store.insert_key(taken, ROOM).await?, Admitted::AlreadyThere);
    }

    for key in [acme, platform] {
        assert_eq!(store.find_key(key.prefix).await?.as_ref(), Some(&key));
        assert_eq!(store.find_key_by_id(key.id).await?, Some(key));
    }
    assert_eq!(store.find_key(key(9, None).prefix).await?, None);
    assert_eq!(store.find_key_by_id(key_id(9)).await?, None);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn keys_are_listed_newest_first_and_by_whose_they_are(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (number, of) in [(1, Some("acme")), (2, None), (3, Some("bolt")), (4, Some("acme")), (5, Some("acme"))] {
        store.insert_key(key(number, of), ROOM).await?;
    }
    let ids = async |whose: Whose, after: Option<u8>, limit: u32| {
        let filter = KeyFilter { whose, after: after.map(key_id), limit: PageLimit::clamped(limit) };
        let page = store.list_keys(&filter).await?;
        Ok::<_, StoreError>((page.items.iter().map(|key| key.id).collect::<Vec<_>>(), page.total))
    };

    let acme = || Whose::Of(tenant("acme"));
    assert_eq!(ids(Whose::Anybody, None, 9).await?, ([5, 4, 3, 2, 1].map(key_id).to_vec(), 5));
    assert_eq!(ids(acme(), None, 2).await?, ([5, 4].map(key_id).to_vec(), 3));
    assert_eq!(ids(acme(), Some(4), 2).await?, (vec![key_id(1)], 3));
    assert_eq!(ids(Whose::Platform, None, 2).await?, (vec![key_id(2)], 1));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_key_is_revoked_once_and_its_last_use_only_moves_on(store: Arc<dyn WorkflowStore>) -> Outcome {
    store.insert_key(key(1, None), ROOM).await?;
    store.insert_key(key(2, None), ROOM).await?;
    let found = async |number| Ok::<_, StoreError>(store.find_key_by_id(key_id(number)).await?.expect("it was kept"));

    store.note_key_uses(&[(key_id(1), at(50)), (key_id(2), at(60)), (key_id(9), at(70))]).await?;
    store.note_key_uses(&[(key_id(1), at(40))]).await?;
    assert!(store.revoke_key(key_id(1), at(80)).await?);
    assert!(store.revoke_key(key_id(1), at(90)).await?);
    assert!(!store.revoke_key(key_id(9), at(90)).await?);

    let one = found(1).await?;
    assert_eq!((one.last_used_at, one.revoked_at), (Some(at(50)), Some(at(80))));
    let two = found(2).await?;
    assert_eq!((two.last_used_at, two.revoked_at), (Some(at(60)), None));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn the_revision_of_access_grows_with_each_change_and_with_no_use(store: Arc<dyn WorkflowStore>) -> Outcome {
    let mut last = store.access_revision().await?;
    let mut has_grown = async || {
        let now = store.access_revision().await?;
        Ok::<_, StoreError>(std::mem::replace(&mut last, now) < now)
    };

    store.insert_tenant(record("acme")).await?;
    assert!(has_grown().await?);
    store.insert_tenant(record("acme")).await?;
    assert!(!has_grown().await?, "nothing changed");
    put(&store, record("acme")).await?;
    assert!(has_grown().await?);
    store.insert_key(key(1, Some("acme")), ROOM).await?;
    assert!(has_grown().await?);
    store.note_key_uses(&[(key_id(1), at(50))]).await?;
    assert!(!has_grown().await?, "a use is no change");
    store.revoke_key(key_id(1), at(60)).await?;
    assert!(has_grown().await?);
    Ok(())
}

/// Of a request with that content, at that time.
pub(super) fn claim(of: Option<&str>, key: &str, content: &[u8], ms: i64) -> IdempotencyClaim {
    IdempotencyClaim {
        tenant: of.map(tenant),
        key: key.to_owned(),
        fingerprint: Fingerprint::of(&[content]),
        at: at(ms),
    }
}

/// What was answered.
pub(super) fn answer() -> KeptAnswer {
    KeptAnswer { status: 201, location: Some("/tenants/acme".to_owned()), body: "{\"id\":\"acme\"}".to_owned() }
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_repeated_request_is_told_what_became_of_the_first(store: Arc<dyn WorkflowStore>) -> Outcome {
    let first = claim(Some("acme"), "k", b"content", 0);
    assert_eq!(store.claim_idempotency(first.clone(), IdempotencyRoom::OF_TENANT).await?, Reservation::New);

    let again = claim(Some("acme"), "k", b"content", 1);
    assert_eq!(store.claim_idempotency(again.clone(), IdempotencyRoom::OF_TENANT).await?, Reservation::InProgress);
    let other = claim(Some("acme"), "k", b"other", 1);
    assert_eq!(store.claim_idempotency(other, IdempotencyRoom::OF_TENANT).await?, Reservation::OtherContent);
    assert!(!store.answer_idempotency(&again, answer()).await?, "the key is not its");
    assert!(store.answer_idempotency(&first, answer()).await?);
    assert_eq!(store.claim_idempotency(again.clone(), IdempotencyRoom::OF_TENANT).await?, Reservation::Done(answer()));
    store.release_idempotency(&first).await?;
    assert_eq!(
        store.claim_idempotency(again, IdempotencyRoom::OF_TENANT).await?,
        Reservation::Done(answer()),
        "what is answered stays"
    );

    for elsewhere in [claim(Some("bolt"), "k", b"content", 1), claim(None, "k", b"content", 1)] {
        assert_eq!(store.claim_idempotency(elsewhere, IdempotencyRoom::OF_TENANT).await?, Reservation::New);
    }
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_request_that_came_to_nothing_frees_its_key(store: Arc<dyn WorkflowStore>) -> Outcome {
    let first = claim(None, "k", b"content", 0);
    store.claim_idempotency(first.clone(), IdempotencyRoom::OF_TENANT).await?;
    store.release_idempotency(&first).await?;
    let second = claim(None, "k", b"other", 1);
    assert_eq!(store.claim_idempotency(second.clone(), IdempotencyRoom::OF_TENANT).await?, Reservation::New);

    // Of one that a host went down in, whoever asks again takes the place; the first can not answer any more.
    let third = claim(None, "k", b"other", 300_001);
    assert_eq!(store.claim_idempotency(third.clone(), IdempotencyRoom::OF_TENANT).await?, Reservation::New);
    assert!(!store.answer_idempotency(&second, answer()).await?);
    store.release_idempotency(&second).await?;
    assert!(store.answer_idempotency(&third, answer()).await?);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn claims_are_forgotten_by_their_age(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (key, ms) in [("a", 0), ("b", 5), ("c", 10)] {
        store.claim_idempotency(claim(None, key, b"x", ms), IdempotencyRoom::OF_TENANT).await?;
    }

    assert_eq!(store.forget_idempotency(at(10)).await?, 2);
    assert_eq!(store.forget_idempotency(at(10)).await?, 0);

    assert_eq!(
        store.claim_idempotency(claim(None, "a", b"y", 11), IdempotencyRoom::OF_TENANT).await?,
        Reservation::New
    );
    assert_eq!(
        store.claim_idempotency(claim(None, "c", b"x", 11), IdempotencyRoom::OF_TENANT).await?,
        Reservation::InProgress
    );
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn of_racing_requests_with_one_key_exactly_one_is_new(store: Arc<dyn WorkflowStore>) -> Outcome {
    let racing = (0..64).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(
            async move { store.claim_idempotency(claim(None, "k", b"x", 0), IdempotencyRoom::OF_TENANT).await },
        )
    });
    let mut new = 0;
    for claimed in racing.collect::<Vec<_>>() {
        match claimed.await.expect("no claim panics")? {
            Reservation::New => new += 1,
            other => assert_eq!(other, Reservation::InProgress),
        }
    }

    assert_eq!(new, 1);
    Ok(())
}
