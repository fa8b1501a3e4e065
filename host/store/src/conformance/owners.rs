//! Definitions and components belong to tenants, or are shared: names of one owner say nothing of another's.

use std::sync::Arc;

use stepcell_model::id::{ComponentDigest, DefinitionId};
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::{ComponentRecord, DefinitionRecord, DefinitionVersion};
use uuid::Uuid;

use super::fixture::{component, definition, start_as, tenant, version, workflow};
use crate::{
    Activity, CatalogKey, ComponentFilter, DefinitionFilter, Deletion, Inserted, Owners, PageLimit, StoreError,
    WorkflowStore,
};

type Outcome = Result<(), StoreError>;

/// A definition of an owner; shared if the owner is empty.
fn definition_of(owner: &str, name: &str, text: &str) -> DefinitionRecord {
    let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{owner}/{name}@{text}").as_bytes());
    DefinitionRecord { id: DefinitionId::from_uuid(id), tenant: owner_of(owner), ..definition(name, text) }
}

fn component_of(owner: &str, name: &str, text: &str, bytes: &[u8]) -> ComponentRecord {
    ComponentRecord { tenant: owner_of(owner), ..component(name, text, bytes) }
}

fn owner_of(name: &str) -> Option<TenantId> {
    (!name.is_empty()).then(|| tenant(name))
}

/// Registers definitions and components under the same names: `owner/name@version`.
async fn register_all(store: &Arc<dyn WorkflowStore>, all: &[(&str, &str, &str)]) -> Outcome {
    for (owner, name, text) in all {
        store.insert_definition(definition_of(owner, name, text)).await?;
        let bytes = format!("{owner}/{name}@{text}");
        let record = component_of(owner, name, text, bytes.as_bytes());
        store.insert_component(record, bytes.as_bytes().into()).await?;
    }
    Ok(())
}

/// What is told of a place: `owner/name@version`.
fn told<N: std::fmt::Display>(key: &CatalogKey<N>) -> String {
    let owner = key.tenant.as_ref().map_or("", |tenant| tenant.as_str());
    format!("{owner}/{}@{}", key.name, key.version)
}

fn definitions_of(items: &[DefinitionRecord]) -> Vec<String> {
    items.iter().map(|record| told(&CatalogKey::of_definition(record))).collect()
}

fn told_version(found: &DefinitionVersion) -> String {
    told(&CatalogKey { name: found.name.clone(), version: found.version.clone(), tenant: found.tenant.clone() })
}

fn components_of(items: &[ComponentRecord]) -> Vec<String> {
    items.iter().map(|record| told(&CatalogKey::of_component(record))).collect()
}

const THREE_OWNERS: [(&str, &str, &str); 8] = [
    ("globex", "pay", "1.0.0"),
    ("", "pay", "10.0.0"),
    ("acme", "pay", "2.0.0"),
    ("", "pay", "2.0.0"),
    ("acme", "order", "1.0.0"),
    ("", "mail", "1.0.0"),
    ("", "mail", "1.0.0-rc.1"),
    ("acme", "pay", "10.0.0"),
];

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn each_owner_has_names_of_its_own(store: Arc<dyn WorkflowStore>) -> Outcome {
    let (name, one) = (workflow("pay"), version("1.0.0"));
    let records = ["", "acme", "globex"].map(|owner| DefinitionRecord {
        document: serde_json::json!({ "of": owner }).into(),
        ..definition_of(owner, "pay", "1.0.0")
    });
    for record in &records {
        assert_eq!(store.insert_definition(record.clone()).await?, Inserted::New);
        let bytes = format!("{:?}", record.tenant);
        let made = ComponentRecord { tenant: record.tenant.clone(), ..component("pay", "1.0.0", bytes.as_bytes()) };
        assert_eq!(store.insert_component(made, bytes.as_bytes().into()).await?, Inserted::New);
    }

    for record in &records {
        let owner = record.tenant.as_ref();
        assert_eq!(store.find_definition(owner, &name, &one).await?.as_ref(), Some(record));
        assert_eq!(store.find_definition_by_id(record.id).await?.as_ref(), Some(record));
        let found = store.find_component(owner, &component("pay", "1.0.0", b"").name, &one).await?;
        assert_eq!(found.and_then(|found| found.tenant), record.tenant);
        assert_eq!(store.insert_definition(record.clone()).await?, Inserted::AlreadyThere);
    }
    let nobody = Some(tenant("initech"));
    assert!(store.find_definition(nobody.as_ref(), &name, &one).await?.is_none());
    let other = DefinitionRecord { document: serde_json::json!({}).into(), ..records[1].clone() };
    assert!(matches!(store.insert_definition(other).await, Err(StoreError::Conflict { .. })));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn what_is_changed_of_one_owner_stays_with_the_others(store: Arc<dyn WorkflowStore>) -> Outcome {
    register_all(&store, &[("", "pay", "1.0.0"), ("acme", "pay", "1.0.0"), ("globex", "pay", "1.0.0")]).await?;
    let (acme, name, one) = (tenant("acme"), workflow("pay"), version("1.0.0"));
    store.commit(start_as(1, |identity| identity.definition = definition_of("", "pay", "1.0.0").id)).await?;

    assert!(store.set_definition_active(Some(&acme), &name, &one, Activity::Inactive).await?);
    let active = DefinitionFilter { activity: Some(Activity::Active), ..DefinitionFilter::default() };
    assert_eq!(definitions_of(&store.list_definitions(&active).await?.items), ["/pay@1.0.0", "globex/pay@1.0.0"]);
    let inactive = DefinitionFilter { activity: Some(Activity::Inactive), ..DefinitionFilter::default() };
    assert_eq!(definitions_of(&store.list_definitions(&inactive).await?.items), ["acme/pay@1.0.0"]);
    let versions = store.list_versions(&Owners::Only(Some(acme.clone())), Some(&name)).await?;
    let expected = DefinitionRecord { is_active: false, ..definition_of("acme", "pay", "1.0.0") };
    assert_eq!(versions, [expected.to_version()]);

    assert_eq!(store.delete_definition(Some(&acme), &name, &one).await?, Deletion::Deleted);
    assert_eq!(store.delete_definition(Some(&acme), &name, &one).await?, Deletion::NotThere);
    assert!(!store.set_definition_active(Some(&acme), &name, &one, Activity::Active).await?);
    assert_eq!(store.delete_definition(None, &name, &one).await?, Deletion::InUse { instances: 1 });
    let left = store.list_definitions(&DefinitionFilter::default()).await?;
    assert_eq!(definitions_of(&left.items), ["/pay@1.0.0", "globex/pay@1.0.0"]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_tenant_sees_its_own_and_the_shared_ones_of_other_names(store: Arc<dyn WorkflowStore>) -> Outcome {
    register_all(&store, &THREE_OWNERS).await?;
    let shared = ["/mail@1.0.0-rc.1", "/mail@1.0.0", "/pay@2.0.0", "/pay@10.0.0"];
    let of_acme = ["acme/order@1.0.0", "acme/pay@2.0.0", "acme/pay@10.0.0"];
    let cases: [(Owners, &[&str]); 6] = [
        (Owners::Only(None), &shared),
        (Owners::seen_by(None), &shared),
        (Owners::Only(Some(tenant("acme"))), &of_acme),
        (
            Owners::SeenBy(tenant("acme")),
            &["/mail@1.0.0-rc.1", "/mail@1.0.0", "acme/order@1.0.0", "acme/pay@2.0.0", "acme/pay@10.0.0"],
        ),
        (Owners::SeenBy(tenant("globex")), &["/mail@1.0.0-rc.1", "/mail@1.0.0", "globex/pay@1.0.0"]),
        (Owners::SeenBy(tenant("initech")), &shared),
    ];

    for (owners, expected) in cases {
        let definitions = DefinitionFilter { owners: owners.clone(), ..DefinitionFilter::default() };
        let components = ComponentFilter { owners: owners.clone(), ..ComponentFilter::default() };
        assert_eq!(definitions_of(&store.list_definitions(&definitions).await?.items), expected, "{owners:?}");
        assert_eq!(components_of(&store.list_components(&components).await?.items), expected, "{owners:?}");

        let versions = store.list_versions(&owners, None).await?;
        assert_eq!(versions.iter().map(told_version).collect::<Vec<_>>(), expected, "{owners:?}");

        let of_pay: Vec<_> = expected.iter().copied().filter(|told| told.contains("/pay@")).collect();
        let named = DefinitionFilter { name: Some(workflow("pay")), ..definitions };
        assert_eq!(definitions_of(&store.list_definitions(&named).await?.items), of_pay, "{owners:?}");
        let versions = store.list_versions(&owners, Some(&workflow("pay"))).await?;
        assert_eq!(versions.iter().map(told_version).collect::<Vec<_>>(), of_pay, "{owners:?}");
        let named = ComponentFilter { name: Some(component("pay", "1.0.0", b"").name), ..components };
        assert_eq!(components_of(&store.list_components(&named).await?.items), of_pay, "{owners:?}");
    }
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn bytes_are_shared_and_a_digest_is_found_with_whoever_may_see_it(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (owner, name) in [("globex", "first"), ("", "second"), ("acme", "third"), ("acme", "fourth")] {
        let record = component_of(owner, name, "1.0.0", b"bytes");
        assert_eq!(store.insert_component(record, b"bytes".as_slice().into()).await?, Inserted::New);
    }
    store.insert_component(component_of("acme", "own", "1.0.0", b"own"), b"own".as_slice().into()).await?;

    let found = async |bytes: &[u8], owners: Owners| {
        let record = store.find_component_by_digest(&ComponentDigest::of(bytes), &owners).await?;
        Ok::<_, StoreError>(record.map(|record| record.name.to_string()))
    };

    let cases = [
        (Owners::All, Some("first"), Some("own")),
        (Owners::Only(None), Some("second"), None),
        (Owners::Only(Some(tenant("initech"))), None, None),
        (Owners::SeenBy(tenant("acme")), Some("third"), Some("own")),
        (Owners::SeenBy(tenant("globex")), Some("first"), None),
        (Owners::SeenBy(tenant("initech")), Some("second"), None),
    ];
    for (owners, of_all, of_acme) in cases {
        assert_eq!(found(b"bytes", owners.clone()).await?.as_deref(), of_all, "{owners:?}");
        assert_eq!(found(b"own", owners.clone()).await?.as_deref(), of_acme, "{owners:?}");
    }
    let bytes = store.load_component_bytes(&ComponentDigest::of(b"own")).await?;
    assert_eq!(bytes.as_deref(), Some(b"own".as_slice()));
    Ok(())
}

/// Walks a list page by page, each after the last row of the one before.
async fn walk_definitions(
    store: &Arc<dyn WorkflowStore>,
    first: DefinitionFilter,
    total: u64,
) -> Result<Vec<String>, StoreError> {
    let (mut seen, mut filter) = (Vec::new(), first);
    loop {
        let page = store.list_definitions(&filter).await?;
        assert_eq!(page.total, total, "{filter:?}");
        let Some(last) = page.items.last() else { return Ok(seen) };
        filter.after = Some(CatalogKey::of_definition(last));
        seen.extend(definitions_of(&page.items));
    }
}

async fn walk_components(
    store: &Arc<dyn WorkflowStore>,
    first: ComponentFilter,
    total: u64,
) -> Result<Vec<String>, StoreError> {
    let (mut seen, mut filter) = (Vec::new(), first);
    loop {
        let page = store.list_components(&filter).await?;
        assert_eq!(page.total, total, "{filter:?}");
        let Some(last) = page.items.last() else { return Ok(seen) };
        filter.after = Some(CatalogKey::of_component(last));
        seen.extend(components_of(&page.items));
    }
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn definitions_and_components_are_walked_page_by_page(store: Arc<dyn WorkflowStore>) -> Outcome {
    register_all(&store, &THREE_OWNERS).await?;
    let everything = [
        "/mail@1.0.0-rc.1",
        "/mail@1.0.0",
        "acme/order@1.0.0",
        "globex/pay@1.0.0",
        "/pay@2.0.0",
        "acme/pay@2.0.0",
        "/pay@10.0.0",
        "acme/pay@10.0.0",
    ];
    for rows in [1, 2, 3, 8, 100] {
        let limit = Some(PageLimit::clamped(rows));
        let all = DefinitionFilter { limit, ..DefinitionFilter::default() };
        assert_eq!(walk_definitions(&store, all.clone(), 8).await?, everything, "{rows}");
        let of_globex = DefinitionFilter { owners: Owners::SeenBy(tenant("globex")), ..all.clone() };
        let seen = ["/mail@1.0.0-rc.1", "/mail@1.0.0", "globex/pay@1.0.0"];
        assert_eq!(walk_definitions(&store, of_globex, 3).await?, seen, "{rows}");
        let of_pay = DefinitionFilter { name: Some(workflow("pay")), ..all };
        assert_eq!(walk_definitions(&store, of_pay, 5).await?, everything[3..], "{rows}");
        let all = ComponentFilter { limit, ..ComponentFilter::default() };
        assert_eq!(walk_components(&store, all.clone(), 8).await?, everything, "{rows}");
        let one = store.list_components(&all).await?.items[0].clone();
        let same =
            store.list_components(&ComponentFilter { digest: Some(one.digest), ..ComponentFilter::default() }).await?;
        assert!(same.items.contains(&one) && same.items.iter().all(|record| record.digest == one.digest), "{rows}");
        let none = ComponentFilter { digest: Some(ComponentDigest::of(b"never")), ..ComponentFilter::default() };
        assert_eq!(store.list_components(&none).await?.total, 0);
    }
    let rest = DefinitionFilter { after: Some(place("order", "1.0.0")), ..DefinitionFilter::default() };
    let rest = store.list_definitions(&rest).await?;
    assert_eq!(
        (definitions_of(&rest.items), rest.total),
        (everything[2..].iter().map(ToString::to_string).collect(), 8)
    );
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_walk_tells_each_once_though_others_come_and_go(store: Arc<dyn WorkflowStore>) -> Outcome {
    register_all(&store, &[("", "b", "1.0.0"), ("", "d", "1.0.0"), ("", "f", "1.0.0")]).await?;
    let page = |after| DefinitionFilter { after, limit: Some(PageLimit::clamped(2)), ..DefinitionFilter::default() };

    let first = store.list_definitions(&page(None)).await?;
    register_all(&store, &[("", "a", "1.0.0"), ("", "c", "1.0.0"), ("", "e", "1.0.0")]).await?;
    store.delete_definition(None, &workflow("d"), &version("1.0.0")).await?;
    let second = store.list_definitions(&page(first.items.last().map(CatalogKey::of_definition))).await?;

    assert_eq!((definitions_of(&first.items), first.total), (vec!["/b@1.0.0".to_owned(), "/d@1.0.0".to_owned()], 3));
    assert_eq!((definitions_of(&second.items), second.total), (vec!["/e@1.0.0".to_owned(), "/f@1.0.0".to_owned()], 5));
    Ok(())
}

/// The place of a shared definition, whether it is there or not.
fn place(name: &str, text: &str) -> CatalogKey<WorkflowName> {
    CatalogKey { name: workflow(name), version: version(text), tenant: None }
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn the_shared_one_stands_before_a_tenants_of_the_same_version(store: Arc<dyn WorkflowStore>) -> Outcome {
    register_all(&store, &[("acme", "pay", "1.0.0"), ("", "pay", "1.0.0"), ("zeta", "pay", "1.0.0")]).await?;
    let after = |tenant: Option<TenantId>| ComponentFilter {
        after: Some(CatalogKey {
            name: ComponentName::new("pay").expect("letters are a name"),
            version: version("1.0.0"),
            tenant,
        }),
        ..ComponentFilter::default()
    };

    let listed = async |filter: ComponentFilter| {
        Ok::<_, StoreError>(components_of(&store.list_components(&filter).await?.items))
    };

    assert_eq!(listed(ComponentFilter::default()).await?, ["/pay@1.0.0", "acme/pay@1.0.0", "zeta/pay@1.0.0"]);
    assert_eq!(listed(after(None)).await?, ["acme/pay@1.0.0", "zeta/pay@1.0.0"]);
    assert_eq!(listed(after(Some(tenant("acme")))).await?, ["zeta/pay@1.0.0"]);
    Ok(())
}
