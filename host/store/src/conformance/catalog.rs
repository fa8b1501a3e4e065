//! Components and definitions: immutable, versioned, found by name or content.

use std::sync::Arc;

use serde_json::json;
use stepcell_model::component::ComponentExports;
use stepcell_model::definition::VERSIONS_MAX;
use stepcell_model::id::{ComponentDigest, DefinitionId};
use stepcell_model::json::Json;
use stepcell_model::name::ComponentName;
use stepcell_model::record::{ComponentRecord, DefinitionRecord};
use uuid::Uuid;

use super::fixture::{at, component, definition, register, start, start_as, tenant, version, workflow};
use crate::{
    Activity, CatalogKey, ComponentFilter, DefinitionFilter, Deletion, Inserted, Owners, PageLimit, StoreError,
    WorkflowStore,
};

type Outcome = Result<(), StoreError>;

/// Registers a component with the given content.
async fn push(store: &Arc<dyn WorkflowStore>, name: &str, text: &str, bytes: &[u8]) -> Result<Inserted, StoreError> {
    store.insert_component(component(name, text, bytes), bytes.into()).await
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_component_reads_back_by_version_and_by_digest(store: Arc<dyn WorkflowStore>) -> Outcome {
    let record = component("acme/pay", "1.0.0", b"bytes");
    assert_eq!(push(&store, "acme/pay", "1.0.0", b"bytes").await?, Inserted::New);
    assert_eq!(push(&store, "acme/again", "3.0.0", b"bytes").await?, Inserted::New);

    assert_eq!(
        store.find_component(record.tenant.as_ref(), &record.name, &record.version).await?.as_ref(),
        Some(&record)
    );
    assert_eq!(store.find_component_by_digest(&record.digest, &Owners::All).await?.as_ref(), Some(&record));
    assert_eq!(store.load_component_bytes(&record.digest).await?.as_deref(), Some(b"bytes".as_slice()));
    assert!(store.find_component(record.tenant.as_ref(), &record.name, &version("1.0.1")).await?.is_none());
    assert!(store.find_component_by_digest(&ComponentDigest::of(b"other"), &Owners::All).await?.is_none());
    assert!(store.load_component_bytes(&ComponentDigest::of(b"other")).await?.is_none());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn what_a_component_exports_is_kept(store: Arc<dyn WorkflowStore>) -> Outcome {
    for &exports in ComponentExports::ALL {
        let bytes = exports.as_str().as_bytes();
        let record = ComponentRecord { exports, ..component(exports.as_str(), "1.0.0", bytes) };
        store.insert_component(record.clone(), bytes.into()).await?;

        assert_eq!(
            store.find_component(record.tenant.as_ref(), &record.name, &record.version).await?.as_ref(),
            Some(&record)
        );
        assert_eq!(store.find_component_by_digest(&record.digest, &Owners::All).await?.as_ref(), Some(&record));
        let of_name = ComponentFilter { name: Some(record.name.clone()), ..ComponentFilter::default() };
        assert_eq!(store.list_components(&of_name).await?.items, [record]);
    }
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_component_is_registered_once_and_never_changed(store: Arc<dyn WorkflowStore>) -> Outcome {
    push(&store, "acme/pay", "1.0.0", b"bytes").await?;

    assert_eq!(push(&store, "acme/pay", "1.0.0", b"bytes").await?, Inserted::AlreadyThere);
    let other = push(&store, "acme/pay", "1.0.0", b"other").await;

    let Err(StoreError::Conflict { what }) = other else { panic!("other bytes came to {other:?}") };
    assert_eq!(what, "component acme/pay@1.0.0");
    assert!(store.load_component_bytes(&ComponentDigest::of(b"other")).await?.is_none());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn components_are_listed_by_name_and_then_by_semantic_version(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (name, text) in [("b", "10.0.0"), ("b", "2.0.0"), ("a", "3.0.0"), ("b", "2.0.0-rc.1")] {
        push(&store, name, text, format!("{name}@{text}").as_bytes()).await?;
    }

    let listed = async |name: Option<&ComponentName>| {
        let filter = ComponentFilter { name: name.cloned(), ..ComponentFilter::default() };
        let page = store.list_components(&filter).await?;
        assert_eq!(page.total, page.items.len() as u64);
        let names = page.items.iter().map(|record| format!("{}@{}", record.name, record.version));
        Ok::<_, StoreError>(names.collect::<Vec<_>>())
    };

    assert_eq!(listed(None).await?, ["a@3.0.0", "b@2.0.0-rc.1", "b@2.0.0", "b@10.0.0"]);
    assert_eq!(listed(Some(&component("a", "1.0.0", b"").name)).await?, ["a@3.0.0"]);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_definition_reads_back_by_version_and_by_id(store: Arc<dyn WorkflowStore>) -> Outcome {
    let record = definition("expense", "1.0.0");
    let bare = DefinitionRecord {
        description: None,
        components: Vec::new(),
        is_active: false,
        ..definition("bare", "0.1.0-rc.1+build")
    };
    for record in [&record, &bare] {
        assert_eq!(store.insert_definition(record.clone()).await?, Inserted::New);
    }

    for record in [&record, &bare] {
        assert_eq!(store.find_definition(None, &record.name, &record.version).await?.as_ref(), Some(record));
        assert_eq!(store.find_definition_by_id(record.id).await?.as_ref(), Some(record));
    }
    assert!(store.find_definition(None, &record.name, &version("1.0.1")).await?.is_none());
    assert!(store.find_definition_by_id(DefinitionId::from_uuid(Uuid::from_u128(404))).await?.is_none());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_definition_is_registered_once_and_never_changed(store: Arc<dyn WorkflowStore>) -> Outcome {
    let record = definition("expense", "1.0.0");
    store.insert_definition(record.clone()).await?;

    let again = DefinitionRecord {
        id: DefinitionId::from_uuid(Uuid::from_u128(404)),
        document: Json::trusted(r#"{ "version": "1.0.0", "name": "expense", "factor": 1.50 }"#.to_owned()),
        components: record.components.iter().rev().cloned().collect(),
        created_at: at(99),
        ..record.clone()
    };
    assert_eq!(store.insert_definition(again).await?, Inserted::AlreadyThere);

    let other_document = DefinitionRecord { document: json!({}).into(), ..record.clone() };
    let other_components = DefinitionRecord { components: Vec::new(), ..record.clone() };
    for other in [other_document, other_components] {
        let outcome = store.insert_definition(other).await;
        let Err(StoreError::Conflict { what }) = outcome else { panic!("other content came to {outcome:?}") };
        assert_eq!(what, "workflow expense@1.0.0");
    }
    assert_eq!(store.find_definition(None, &record.name, &record.version).await?, Some(record));
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn definitions_are_listed_in_semantic_version_order(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (name, text) in [("b", "10.0.0"), ("b", "2.0.0"), ("a", "3.0.0"), ("b", "2.0.0-rc.1")] {
        store.insert_definition(definition(name, text)).await?;
    }

    let of = |name| DefinitionFilter { name: Some(workflow(name)), ..DefinitionFilter::default() };
    let of_b = store.list_definitions(&of("b")).await?.items;

    let versions = ["2.0.0-rc.1", "2.0.0", "10.0.0"];
    assert_eq!(of_b, versions.map(|text| definition("b", text)));
    let all = store.list_definitions(&DefinitionFilter::default()).await?;
    assert_eq!((all.total, &all.items[0]), (4, &definition("a", "3.0.0")));
    assert!(store.list_definitions(&of("c")).await?.items.is_empty());
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_definition_is_deactivated_and_activated_again(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let (name, one) = (workflow("expense"), version("1.0.0"));

    for activity in [Activity::Inactive, Activity::Inactive, Activity::Active] {
        assert!(store.set_definition_active(None, &name, &one, activity).await?);
        let record = store.find_definition(None, &name, &one).await?.expect("the definition was stored");
        assert_eq!(record.is_active, activity.is_active());
    }
    assert!(!store.set_definition_active(None, &name, &version("2.0.0"), Activity::Active).await?);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_definition_that_instances_refer_to_is_not_deleted(store: Arc<dyn WorkflowStore>) -> Outcome {
    register(&store).await?;
    let unused = definition("expense", "2.0.0");
    store.insert_definition(unused.clone()).await?;
    store.commit(start(1)).await?;
    store.commit(start(2)).await?;

    let used = store.delete_definition(None, &workflow("expense"), &version("1.0.0")).await?;

    assert_eq!(used, Deletion::InUse { instances: 2 });
    assert!(store.find_definition(None, &workflow("expense"), &version("1.0.0")).await?.is_some());
    assert_eq!(store.delete_definition(None, &unused.name, &unused.version).await?, Deletion::Deleted);
    assert_eq!(store.delete_definition(None, &unused.name, &unused.version).await?, Deletion::NotThere);
    assert!(store.find_definition_by_id(unused.id).await?.is_none());
    let start_on_it = store.commit(start_as(3, |identity| identity.definition = unused.id)).await;
    assert!(matches!(start_on_it, Err(StoreError::UnknownDefinition { .. })));
    assert_eq!(store.insert_definition(unused).await?, Inserted::New);
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn definitions_are_listed_without_their_documents_too(store: Arc<dyn WorkflowStore>) -> Outcome {
    for (name, text) in [("b", "10.0.0"), ("b", "2.0.0"), ("a", "3.0.0"), ("b", "2.0.0-rc.1")] {
        store.insert_definition(definition(name, text)).await?;
    }
    store.set_definition_active(None, &workflow("b"), &version("2.0.0"), Activity::Inactive).await?;

    let inactive = DefinitionFilter { activity: Some(Activity::Inactive), ..DefinitionFilter::default() };
    let of_b = DefinitionFilter { name: Some(workflow("b")), ..DefinitionFilter::default() };
    let short = DefinitionFilter { limit: Some(PageLimit::clamped(2)), ..DefinitionFilter::default() };
    let rest = DefinitionFilter { after: Some(CatalogKey::of_definition(&definition("b", "2.0.0"))), ..short.clone() };
    for filter in [DefinitionFilter::default(), inactive, of_b, short, rest] {
        let whole = store.list_definitions(&filter).await?;
        let shown = store.list_definition_summaries(&filter).await?;
        assert_eq!(shown.items, whole.items.iter().map(DefinitionRecord::to_summary).collect::<Vec<_>>(), "{filter:?}");
        assert_eq!(shown.total, whole.total, "{filter:?}");
    }
    Ok(())
}

#[expect(missing_docs, reason = "the name is the promise")]
pub async fn a_workflow_has_no_more_versions_than_it_may(store: Arc<dyn WorkflowStore>) -> Outcome {
    let of = |number: usize| {
        let id = DefinitionId::from_uuid(Uuid::from_u128(number as u128));
        DefinitionRecord { id, ..definition("many", &format!("{number}.0.0")) }
    };
    let mut inserted = tokio::task::JoinSet::new();
    for number in 0..VERSIONS_MAX {
        let store = Arc::clone(&store);
        inserted.spawn(async move { store.insert_definition(of(number)).await });
    }
    for outcome in inserted.join_all().await {
        assert_eq!(outcome?, Inserted::New);
    }

    let refused = store.insert_definition(of(VERSIONS_MAX)).await;

    let Err(StoreError::TooManyVersions { name, max }) = refused else { panic!("one more came to {refused:?}") };
    assert_eq!((name, max), (workflow("many"), VERSIONS_MAX));
    assert_eq!(store.list_versions(&Owners::All, None).await?.len(), VERSIONS_MAX);
    assert_eq!(store.insert_definition(of(7)).await?, Inserted::AlreadyThere);
    let others = [
        DefinitionRecord { tenant: Some(tenant("acme")), ..of(VERSIONS_MAX) },
        DefinitionRecord { id: DefinitionId::from_uuid(Uuid::from_u128(1 << 64)), ..definition("other", "1.0.0") },
    ];
    for other in others {
        assert_eq!(store.insert_definition(other).await?, Inserted::New);
    }
    store.delete_definition(None, &workflow("many"), &version("0.0.0")).await?;
    let again = DefinitionRecord { id: DefinitionId::from_uuid(Uuid::from_u128(1 << 65)), ..of(VERSIONS_MAX) };
    assert_eq!(store.insert_definition(again).await?, Inserted::New);
    Ok(())
}
