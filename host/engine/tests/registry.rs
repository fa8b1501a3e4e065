//! The cases of registering workflows and components, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;

use semver::Version;
use serde_json::json;
use stepcell_engine::EngineError;
use stepcell_model::component::ComponentExports;
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::name::{ComponentName, WorkflowName};
use stepcell_model::status::WorkflowStatus;
use stepcell_store::Inserted;

use crate::kit::{Answer, TestHost, done, returns};

fn workflow(name: &str) -> WorkflowName {
    WorkflowName::new(name).unwrap()
}

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// A workflow of one step, `a`.
fn one_step(name: &str, version: &str) -> WorkflowDefinition {
    WorkflowDefinition::builder(name, version).machine("a", "a@1").build().unwrap()
}

async fn register_all(host: &TestHost, name: &str, versions: &[&str]) {
    host.step("a", |_| done()).await;
    for version in versions {
        host.register(one_step(name, version)).await;
    }
}

async fn latest(host: &TestHost, name: &str) -> Version {
    host.engine.registry().get_definition(&workflow(name), None).await.unwrap().version
}

async fn versions(host: &TestHost, name: Option<&str>) -> Vec<String> {
    let name = name.map(workflow);
    let all = host.engine.registry().list_all_definitions(name.as_ref()).await.unwrap();
    all.iter().map(|record| format!("{} {}", record.name, record.version)).collect()
}

on_every_store! {
    /// Case 9.
    async fn an_invalid_definition_is_refused_with_every_problem_and_nothing_is_stored(host: TestHost) {
        let mut definition = one_step("bad", "1.0.0");
        definition.initial_step = "nowhere".parse().unwrap();
        definition.edges.push(stepcell_model::definition::Edge::new("a".parse().unwrap(), "b".parse().unwrap()).when("1 +"));

        let error = host.engine.registry().register_definition(definition).await.unwrap_err();

        let EngineError::Validation { problems } = error else { panic!("{error}") };
        let paths: Vec<_> = problems.as_slice().iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["initial_step", "edges[0].target", "edges[0].condition", "steps.a.component"]);
        assert!(problems.to_string().contains("edge 0 from `a` to `b`"));
        assert!(problems.to_string().contains("component `a` is not registered"));
        assert_eq!(versions(&host, None).await, Vec::<String>::new());
    }

    async fn a_component_version_that_is_not_registered_is_told_with_those_there_are(host: TestHost) {
        host.step("a", |_| done()).await;
        let definition = WorkflowDefinition::builder("x", "1.0.0").machine("a", "a@2").build().unwrap();

        let error = host.engine.registry().register_definition(definition).await.unwrap_err();

        assert!(error.to_string().contains("component `a` has no version"), "{error}");
        assert!(error.to_string().contains("the versions there are: 1.0.0"), "{error}");
    }

    async fn a_machine_step_whose_component_is_no_step_is_told_what_it_exports(host: TestHost) {
        host.gateway("route", |_| returns(json!([]))).await;
        let registry = host.engine.registry();
        let pushed = registry.list_components(None).await.unwrap().remove(0);
        let definition = |reference: &str| WorkflowDefinition::builder("x", "1.0.0").machine("a", reference).build().unwrap();

        assert_eq!(pushed.exports, ComponentExports::Gateway);
        for reference in ["route@1".to_owned(), pushed.digest.to_string()] {
            let error = registry.register_definition(definition(&reference)).await.unwrap_err();

            let EngineError::Validation { problems } = error else { panic!("{error}") };
            let [problem] = problems.as_slice() else { panic!("{problems}") };
            assert_eq!(problem.path, "steps.a.component");
            let told = "component `route` 1.0.0 exports `gateway` and no `step`, which a machine step needs";
            assert!(problem.message.starts_with(told), "{problem:?}");
        }
    }

    /// Case 11.
    async fn the_latest_version_is_returned_and_each_is_retrievable(host: TestHost) {
        register_all(&host, "w", &["1.0.0", "1.1.0"]).await;

        assert_eq!(latest(&host, "w").await, version("1.1.0"));
        for asked in ["1.0.0", "1.1.0"] {
            let record = host.engine.registry().get_definition(&workflow("w"), Some(&version(asked))).await.unwrap();
            assert_eq!(record.version, version(asked));
        }
    }

    /// Case 12.
    async fn versions_are_ordered_semantically_and_pre_releases_are_below_releases(host: TestHost) {
        register_all(&host, "w", &["10.0.0", "2.0.0", "11.0.0-rc.1", "1.0.0"]).await;
        register_all(&host, "only_pre", &["1.0.0-alpha.9", "1.0.0-alpha.10"]).await;

        assert_eq!(latest(&host, "w").await, version("10.0.0"));
        assert_eq!(latest(&host, "only_pre").await, version("1.0.0-alpha.10"));
        assert_eq!(versions(&host, Some("w")).await, ["w 1.0.0", "w 2.0.0", "w 10.0.0", "w 11.0.0-rc.1"]);
    }

    /// Case 13.
    async fn an_unknown_name_or_version_is_told_with_the_versions_there_are(host: TestHost) {
        register_all(&host, "w", &["1.0.0", "2.0.0"]).await;
        let registry = host.engine.registry();

        let no_name = registry.get_definition(&workflow("nothing"), None).await.unwrap_err();
        let no_version = registry.get_definition(&workflow("w"), Some(&version("3.0.0"))).await.unwrap_err();

        assert!(matches!(&no_name, EngineError::WorkflowNotFound { known, .. } if known.is_empty()));
        assert!(no_name.to_string().contains("there is no workflow `nothing`"));
        assert_eq!(no_version.to_string(), "there is no workflow `w` 3.0.0; the versions there are: 1.0.0, 2.0.0");
        let start = host.try_start("nothing", json!({})).await.unwrap_err();
        assert!(matches!(start, EngineError::WorkflowNotFound { .. }));
    }

    /// Case 14.
    async fn removing_a_version_leaves_the_others_and_removing_the_last_the_name(host: TestHost) {
        register_all(&host, "w", &["1.0.0", "2.0.0"]).await;
        let registry = host.engine.registry();
        let name = workflow("w");

        registry.unregister(&name, &version("2.0.0")).await.unwrap();
        let after_one = versions(&host, Some("w")).await;
        registry.unregister(&name, &version("1.0.0")).await.unwrap();

        assert_eq!(after_one, ["w 1.0.0"]);
        assert!(!registry.has_definition(&name, None).await.unwrap());
        registry.unregister(&name, &version("1.0.0")).await.unwrap();
        registry.unregister(&workflow("never_was"), &version("1.0.0")).await.unwrap();
    }

    async fn a_version_that_instances_ran_on_can_not_be_removed(host: TestHost) {
        register_all(&host, "w", &["1.0.0"]).await;
        host.run("w", json!({})).await;

        let error = host.engine.registry().unregister(&workflow("w"), &version("1.0.0")).await.unwrap_err();

        assert!(matches!(error, EngineError::InUse { instances: 1, .. }), "{error}");
        assert_eq!(versions(&host, Some("w")).await, ["w 1.0.0"]);
    }

    /// Case 15.
    async fn the_list_of_active_definitions_has_the_latest_of_each_name(host: TestHost) {
        register_all(&host, "w", &["1.0.0", "2.0.0", "3.0.0"]).await;
        register_all(&host, "v", &["1.0.0"]).await;
        register_all(&host, "gone", &["1.0.0"]).await;
        let registry = host.engine.registry();
        registry.deactivate(&workflow("w"), &version("3.0.0")).await.unwrap();
        registry.deactivate(&workflow("gone"), &version("1.0.0")).await.unwrap();

        let active = registry.list_latest_definitions().await.unwrap();

        let active: Vec<_> = active.iter().map(|record| format!("{} {}", record.name, record.version)).collect();
        assert_eq!(active, ["v 1.0.0", "w 2.0.0"]);
        assert_eq!(versions(&host, None).await, ["gone 1.0.0", "v 1.0.0", "w 1.0.0", "w 2.0.0", "w 3.0.0"]);
    }

    /// Case 16.
    async fn whether_there_is_a_definition_is_answered_for_a_name_and_for_a_version(host: TestHost) {
        register_all(&host, "w", &["1.0.0"]).await;
        let registry = host.engine.registry();

        let cases = [("w", None, true), ("w", Some("1.0.0"), true), ("w", Some("2.0.0"), false), ("v", None, false)];
        for (name, asked, there) in cases {
            let asked = asked.map(version);
            assert_eq!(registry.has_definition(&workflow(name), asked.as_ref()).await.unwrap(), there, "{name} {asked:?}");
        }
    }

    async fn registering_the_same_again_changes_nothing_and_other_content_is_refused(host: TestHost) {
        register_all(&host, "w", &["1.0.0"]).await;
        let registry = host.engine.registry();
        let other = WorkflowDefinition::builder("w", "1.0.0").machine("b", "a@1").build().unwrap();

        let again = registry.register_definition(one_step("w", "1.0.0")).await.unwrap();
        let refused = registry.register_definition(other).await.unwrap_err();

        assert_eq!(again.inserted, Inserted::AlreadyThere);
        assert!(matches!(&refused, EngineError::VersionTaken { .. }), "{refused}");
        assert!(refused.to_string().contains("workflow `w` 1.0.0"), "{refused}");
    }

    async fn registering_the_same_again_keeps_the_bytes_it_was_pinned_to(host: TestHost) {
        register_all(&host, "w", &["1.0.0"]).await;
        let registry = host.engine.registry();
        let first = registry.get_definition(&workflow("w"), None).await.unwrap();
        let newer: Arc<[u8]> = b"newer".as_slice().into();
        registry.register_component(ComponentName::new("a").unwrap(), version("1.1.0"), newer).await.unwrap();

        let again = registry.register_definition(one_step("w", "1.0.0")).await.unwrap();

        assert_eq!(again.inserted, Inserted::AlreadyThere);
        assert_eq!(again.record, first);
        assert_eq!(host.run("w", json!({})).await.status, WorkflowStatus::Completed);
    }

    async fn the_newest_fitting_component_is_pinned_at_registration(host: TestHost) {
        host.step("a", |_| returns("old")).await;
        host.register(one_step("w", "1.0.0")).await;
        let registry = host.engine.registry();
        let newer: Arc<[u8]> = b"newer".as_slice().into();
        let pushed = registry.register_component(ComponentName::new("a").unwrap(), version("1.1.0"), newer).await.unwrap();

        host.register(one_step("w", "2.0.0")).await;

        let old = registry.get_definition(&workflow("w"), Some(&version("1.0.0"))).await.unwrap();
        let new = registry.get_definition(&workflow("w"), Some(&version("2.0.0"))).await.unwrap();
        assert_ne!(old.components, new.components);
        assert_eq!(new.components[0].1, pushed.record.digest);
    }

    async fn a_component_version_never_changes(host: TestHost) {
        host.step("a", |_| done()).await;
        let registry = host.engine.registry();
        let name = || ComponentName::new("a").unwrap();

        let again = registry.register_component(name(), version("1.0.0"), b"a".as_slice().into()).await.unwrap();
        let other = registry.register_component(name(), version("1.0.0"), b"b".as_slice().into()).await.unwrap_err();

        assert_eq!(again.inserted, Inserted::AlreadyThere);
        assert!(matches!(other, EngineError::VersionTaken { .. }), "{other}");
    }

    /// Case 97.
    async fn a_deactivated_version_starts_nothing_new_and_what_runs_on_it_goes_on(host: TestHost) {
        let hold = Arc::new(tokio::sync::Notify::new());
        let release = Arc::clone(&hold);
        host.step("a", move |_| Answer::Hold(Arc::clone(&hold))).await;
        host.register(one_step("w", "1.0.0")).await;
        let running = host.start("w", json!({})).await;
        host.called("a", 1).await;

        host.engine.registry().deactivate(&workflow("w"), &version("1.0.0")).await.unwrap();

        let named = stepcell_engine::StartRequest {
            version: Some(version("1.0.0")), ..stepcell_engine::StartRequest::new(workflow("w"))
        };
        let error = host.engine.start_workflow(named).await.unwrap_err();
        assert!(matches!(error, EngineError::WorkflowInactive { .. }), "{error}");
        let error = host.try_start("w", json!({})).await.unwrap_err();
        assert!(matches!(error, EngineError::WorkflowNotFound { .. }), "{error}");
        assert_eq!(host.instances(stepcell_store::InstanceFilter::default()).await.len(), 1);
        release.notify_one();
        assert_eq!(host.settled(running).await.status, WorkflowStatus::Completed);
    }
}
