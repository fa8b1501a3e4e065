//! Definitions and components of tenants, on every store: what a name means depends on whose view it is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use semver::Version;
use serde_json::json;
use stepcell_engine::{EngineError, NewComponent, RegistryView, StartRequest, Versions};
use stepcell_model::component::Capability;
use stepcell_model::definition::{ComponentRef, WorkflowDefinition};
use stepcell_model::id::ComponentDigest;
use stepcell_model::name::{ComponentName, TenantId, WorkflowName};
use stepcell_model::record::InstanceSummary;
use stepcell_model::status::WorkflowStatus;
use stepcell_store::{Inserted, InstanceFilter};

use crate::kit::{TestHost, returns};

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn workflow(name: &str) -> WorkflowName {
    WorkflowName::new(name).unwrap()
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// A workflow of one step that runs the component `a@1`.
fn one_step(name: &str, version: &str) -> WorkflowDefinition {
    WorkflowDefinition::builder(name, version).machine("s", "a@1").build().unwrap()
}

/// Has the step `bytes` return its own name, shared as `<bytes>@1.0.0`.
async fn script(host: &TestHost, bytes: &'static str) {
    host.step(bytes, move |_| returns(bytes)).await;
}

/// Registers those bytes as the tenant's own.
async fn push(view: RegistryView<'_>, name: &str, text: &str, bytes: &str) {
    let name = ComponentName::new(name).unwrap();
    view.register_component(name, version(text), bytes.as_bytes().into()).await.unwrap();
}

async fn start_as(host: &TestHost, of: Option<&str>, name: &str) -> Result<InstanceSummary, EngineError> {
    let request = StartRequest { tenant: of.map(tenant), ..StartRequest::new(workflow(name)) };
    host.engine.start_workflow(request).await
}

/// What the instance's one step returned.
async fn result_of(host: &TestHost, of: Option<&str>, name: &str) -> serde_json::Value {
    let id = start_as(host, of, name).await.unwrap().identity.id;
    let settled = host.settled(id).await;
    assert_eq!(settled.status, WorkflowStatus::Completed, "{:?}", settled.error);
    settled.result.unwrap().tree().clone()
}

/// Problems of a definition, as one text.
fn refusal(error: EngineError) -> String {
    let EngineError::Validation { problems } = error else { panic!("{error}") };
    problems.to_string()
}

async fn names(view: RegistryView<'_>, versions: Versions) -> Vec<String> {
    let listed = view.list_definitions(versions).await.unwrap();
    listed.iter().map(|record| format!("{} {}", record.name, record.version)).collect()
}

on_every_store! {
    async fn a_tenants_own_definition_is_started_before_a_shared_one_of_its_name(host: TestHost) {
        for bytes in ["a", "own"] {
            script(&host, bytes).await;
        }
        host.register(one_step("w", "2.0.0")).await;
        let acme = tenant("acme");
        let view = host.engine.registry().view(Some(&acme));
        assert_eq!(result_of(&host, Some("acme"), "w").await, json!("a"), "as long as it has none of its own");

        push(view, "a", "1.0.0", "own").await;
        view.register_definition(one_step("w", "1.0.0")).await.unwrap();

        assert_eq!(result_of(&host, Some("acme"), "w").await, json!("own"));
        assert_eq!(result_of(&host, Some("globex"), "w").await, json!("a"));
        assert_eq!(result_of(&host, None, "w").await, json!("a"));
    }

    async fn a_name_of_its_own_hides_every_shared_version_of_it(host: TestHost) {
        script(&host, "a").await;
        host.register(one_step("w", "1.0.0")).await;
        host.register(one_step("w", "3.0.0")).await;
        let acme = tenant("acme");
        let view = host.engine.registry().view(Some(&acme));
        view.register_definition(one_step("w", "2.0.0")).await.unwrap();

        assert_eq!(view.get_definition(&workflow("w"), None).await.unwrap().version, version("2.0.0"));
        let error = view.get_definition(&workflow("w"), Some(&version("3.0.0"))).await.unwrap_err();
        assert!(matches!(&error, EngineError::WorkflowNotFound { known, .. } if *known == [version("2.0.0")]), "{error}");
        view.deactivate(&workflow("w"), &version("2.0.0")).await.unwrap();
        let error = start_as(&host, Some("acme"), "w").await.unwrap_err();
        assert!(matches!(error, EngineError::WorkflowNotFound { .. }), "nothing else takes its place: {error}");
        view.unregister(&workflow("w"), &version("2.0.0")).await.unwrap();
        let started = start_as(&host, Some("acme"), "w").await.unwrap();
        assert_eq!(started.identity.workflow_version, version("3.0.0"));
    }

    async fn what_belongs_to_a_tenant_is_not_there_for_others(host: TestHost) {
        script(&host, "a").await;
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        let registry = host.engine.registry();
        registry.view(Some(&acme)).register_definition(one_step("w", "1.0.0")).await.unwrap();

        for (view, of) in [(registry.view(None), None), (registry.view(Some(&globex)), Some("globex"))] {
            assert!(!view.has_definition(&workflow("w"), None).await.unwrap());
            let started = start_as(&host, of, "w").await.unwrap_err();
            assert!(matches!(&started, EngineError::WorkflowNotFound { known, .. } if known.is_empty()), "{started}");
            let error = view.deactivate(&workflow("w"), &version("1.0.0")).await.unwrap_err();
            assert!(matches!(&error, EngineError::WorkflowNotFound { known, .. } if known.is_empty()), "{error}");
            view.unregister(&workflow("w"), &version("1.0.0")).await.unwrap();
        }
        assert_eq!(result_of(&host, Some("acme"), "w").await, json!("a"), "nobody else changed anything");
    }

    async fn a_tenant_changes_nothing_that_is_shared(host: TestHost) {
        script(&host, "a").await;
        host.register(one_step("w", "1.0.0")).await;
        let acme = tenant("acme");
        let view = host.engine.registry().view(Some(&acme));

        let error = view.deactivate(&workflow("w"), &version("1.0.0")).await.unwrap_err();
        view.unregister(&workflow("w"), &version("1.0.0")).await.unwrap();

        assert!(matches!(error, EngineError::WorkflowNotFound { .. }), "{error}");
        assert_eq!(result_of(&host, Some("acme"), "w").await, json!("a"));
        assert_eq!(result_of(&host, None, "w").await, json!("a"));
    }

    async fn a_start_sees_at_once_what_this_process_has_changed(host: TestHost) {
        for bytes in ["a", "own"] {
            script(&host, bytes).await;
        }
        let acme = tenant("acme");
        let registry = host.engine.registry();
        host.register(one_step("w", "1.0.0")).await;
        for of in [None, Some("acme")] {
            assert_eq!(start_as(&host, of, "w").await.unwrap().identity.workflow_version, version("1.0.0"));
        }

        host.register(one_step("w", "2.0.0")).await;
        for of in [None, Some("acme")] {
            assert_eq!(start_as(&host, of, "w").await.unwrap().identity.workflow_version, version("2.0.0"));
        }
        registry.view(Some(&acme)).register_definition(one_step("w", "1.5.0")).await.unwrap();
        assert_eq!(start_as(&host, Some("acme"), "w").await.unwrap().identity.workflow_version, version("1.5.0"));
        registry.deactivate(&workflow("w"), &version("2.0.0")).await.unwrap();
        assert_eq!(start_as(&host, None, "w").await.unwrap().identity.workflow_version, version("1.0.0"));
        assert_eq!(host.instances(InstanceFilter::default()).await.len(), 6);
    }

    async fn a_shared_definition_names_shared_components_alone(host: TestHost) {
        script(&host, "shared").await;
        let acme = tenant("acme");
        let registry = host.engine.registry();
        let view = registry.view(Some(&acme));
        push(view, "a", "1.0.0", "own").await;
        let by_digest = |bytes: &str| {
            let digest = ComponentRef::Digest(ComponentDigest::of(bytes.as_bytes())).to_string();
            WorkflowDefinition::builder("d", "1.0.0").machine("s", &digest).build().unwrap()
        };

        let by_name = refusal(registry.register_definition(one_step("w", "1.0.0")).await.unwrap_err());
        let refused = refusal(registry.register_definition(by_digest("own")).await.unwrap_err());
        let globex = tenant("globex");
        let of_another = refusal(registry.view(Some(&globex)).register_definition(by_digest("own")).await.unwrap_err());

        assert!(by_name.contains("component `a` is not registered"), "{by_name}");
        for refused in [refused, of_another] {
            assert!(refused.contains("no component with this digest is registered"), "{refused}");
        }
        view.register_definition(one_step("w", "1.0.0")).await.unwrap();
        view.register_definition(by_digest("own")).await.unwrap();
        registry.view(Some(&globex)).register_definition(by_digest("shared")).await.unwrap();
    }

    async fn a_component_of_its_own_hides_every_shared_version_of_its_name(host: TestHost) {
        for bytes in ["a", "own"] {
            script(&host, bytes).await;
        }
        let acme = tenant("acme");
        let view = host.engine.registry().view(Some(&acme));
        push(view, "a", "2.0.0", "own").await;

        let refused = refusal(view.register_definition(one_step("w", "1.0.0")).await.unwrap_err());
        let shown = view.get_component(&"a@2".parse().unwrap()).await.unwrap();
        let hidden = view.get_component(&"a@1".parse().unwrap()).await.unwrap_err();

        assert!(refused.contains("component `a` has no version 1; the versions there are: 2.0.0"), "{refused}");
        assert_eq!(shown.tenant, Some(acme.clone()));
        assert!(matches!(&hidden, EngineError::ComponentNotFound { known, .. } if *known == [version("2.0.0")]), "{hidden}");
        let listed = view.list_components(None).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|record| format!("{} {}", record.name, record.version)).collect();
        assert_eq!(listed, ["a 2.0.0", "own 1.0.0"]);
        assert_eq!(view.load_step(&"a@2".parse().unwrap()).await.unwrap().name(), "a");
        assert!(view.load_step(&"a@1".parse().unwrap()).await.is_err());
    }

    async fn what_a_version_may_want_more_is_measured_against_its_owners_alone(host: TestHost) {
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        let registry = host.engine.registry();
        let wants = |bytes: &str, capabilities: &[Capability]| {
            let digest = ComponentDigest::of(bytes.as_bytes());
            host.runner.capabilities.lock().unwrap().insert(digest, capabilities.to_vec());
        };
        wants("quiet", &[]);
        wants("loud", &[Capability::Http]);
        let new = |tenant: Option<&TenantId>, text: &str, bytes: &str| NewComponent {
            name: ComponentName::new("pay").unwrap(),
            version: version(text),
            bytes: bytes.as_bytes().into(),
            tenant: tenant.cloned(),
            signature: None,
            acceptance: stepcell_engine::Acceptance::AsBefore,
        };
        registry.register(new(None, "1.0.0", "quiet")).await.unwrap();
        registry.register(new(Some(&globex), "1.0.0", "quiet")).await.unwrap();

        let first = registry.register(new(Some(&acme), "2.0.0", "loud")).await.unwrap();
        let second = registry.register(new(Some(&globex), "2.0.0", "loud")).await.unwrap_err();

        assert_eq!(first.inserted, Inserted::New);
        assert!(matches!(second, EngineError::WantsMore { .. }), "{second}");
    }

    async fn two_tenants_register_the_same_version_with_different_content(host: TestHost) {
        script(&host, "a").await;
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        let registry = host.engine.registry();
        let other = WorkflowDefinition::builder("w", "1.0.0").machine("t", "a@1").build().unwrap();

        let first = registry.view(Some(&acme)).register_definition(one_step("w", "1.0.0")).await.unwrap();
        let second = registry.view(Some(&globex)).register_definition(other.clone()).await.unwrap();
        let again = registry.view(Some(&acme)).register_definition(one_step("w", "1.0.0")).await.unwrap();
        let refused = registry.view(Some(&acme)).register_definition(other).await.unwrap_err();

        assert_eq!((first.inserted, second.inserted, again.inserted), (Inserted::New, Inserted::New, Inserted::AlreadyThere));
        assert_eq!((&first.record.tenant, &second.record.tenant), (&Some(acme), &Some(globex)));
        assert_ne!(first.record.id, second.record.id);
        assert_eq!(again.record, first.record);
        assert!(matches!(refused, EngineError::VersionTaken { .. }), "{refused}");
    }

    async fn a_child_is_what_its_name_means_to_the_owner_of_its_parents_definition(host: TestHost) {
        for bytes in ["a", "own"] {
            script(&host, bytes).await;
        }
        let calls = "initial_step: c\nsteps: { c: { type: workflow, workflow: child } }\n";
        host.register(one_step("child", "1.0.0")).await;
        host.register_yaml("shared", calls).await;
        let acme = tenant("acme");
        let view = host.engine.registry().view(Some(&acme));
        push(view, "a", "1.0.0", "own").await;
        view.register_definition(one_step("child", "1.0.0")).await.unwrap();
        let text = format!("schema: stepcell/v1\nname: mine\nversion: 1.0.0\n{calls}");
        view.register_definition(WorkflowDefinition::from_text(&text).unwrap()).await.unwrap();

        assert_eq!(result_of(&host, Some("acme"), "mine").await, json!("own"));
        assert_eq!(result_of(&host, Some("acme"), "shared").await, json!("a"), "nobody gets in between what is shared");
        let all = host.instances(InstanceFilter::default()).await;
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|instance| instance.identity.tenant == Some(acme.clone())), "whose child it is does not change");
    }

    async fn a_shared_definition_calls_no_workflow_of_a_tenant(host: TestHost) {
        script(&host, "a").await;
        let acme = tenant("acme");
        let registry = host.engine.registry();
        registry.view(Some(&acme)).register_definition(one_step("child", "1.0.0")).await.unwrap();
        let text = "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: c\nsteps: { c: { type: workflow, workflow: child } }\n";
        let definition = WorkflowDefinition::from_text(text).unwrap();

        let refused = refusal(registry.register_definition(definition.clone()).await.unwrap_err());

        assert!(refused.contains("register it first"), "{refused}");
        registry.view(Some(&acme)).register_definition(definition).await.unwrap();
    }

    async fn definitions_are_listed_by_view_and_of_everybody(host: TestHost) {
        script(&host, "a").await;
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        let registry = host.engine.registry();
        for (owner, name, text) in [
            (None, "mail", "1.0.0"),
            (None, "pay", "1.0.0"),
            (None, "pay", "2.0.0"),
            (Some(&acme), "pay", "1.0.0"),
            (Some(&acme), "pay", "1.1.0"),
            (Some(&globex), "order", "1.0.0"),
        ] {
            registry.view(owner).register_definition(one_step(name, text)).await.unwrap();
        }

        assert_eq!(names(registry.view(None), Versions::Active).await, ["mail 1.0.0", "pay 2.0.0"]);
        assert_eq!(names(registry.view(Some(&acme)), Versions::Active).await, ["mail 1.0.0", "pay 1.1.0"]);
        assert_eq!(names(registry.view(Some(&acme)), Versions::All).await, ["mail 1.0.0", "pay 1.0.0", "pay 1.1.0"]);
        assert_eq!(names(registry.view(Some(&globex)), Versions::Active).await, ["mail 1.0.0", "order 1.0.0", "pay 2.0.0"]);
        let everybodys = registry.list_everybodys_summaries(Versions::Active).await.unwrap();
        let told: Vec<_> = everybodys
            .iter()
            .map(|record| format!("{}/{} {}", record.tenant.as_ref().map_or("", |of| of.as_str()), record.name, record.version))
            .collect();
        assert_eq!(told, ["/mail 1.0.0", "globex/order 1.0.0", "/pay 2.0.0", "acme/pay 1.1.0"]);
        assert_eq!(registry.list_everybodys_summaries(Versions::All).await.unwrap().len(), 6);
    }
}
