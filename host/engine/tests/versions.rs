//! Workflows of many versions: what a name means is found out without reading what they say, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kit/between.rs"]
mod between;
mod kit;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use semver::Version;
use serde_json::json;
use stepcell_engine::{EngineError, RegistryView, StartRequest, Versions};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::transition::Transition;
use stepcell_store::{Committed, InstanceFilter, StoreError, WorkflowStore};

use crate::between::{Between, Way};
use crate::kit::{Backend, TestHost, done};

/// A way that notes which calls read documents of definitions.
#[derive(Default)]
struct Reads(Mutex<Vec<&'static str>>);

#[async_trait]
impl Way for Reads {
    async fn there(&self, call: &'static str) -> Result<(), StoreError> {
        if ["find_definition", "find_definition_by_id", "list_definitions"].contains(&call) {
            self.0.lock().unwrap().push(call);
        }
        Ok(())
    }

    async fn back(&self, _: &'static str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&self, store: &dyn WorkflowStore, transition: Transition) -> Result<Committed, StoreError> {
        store.commit(transition).await
    }

    fn nudges(&self) -> Vec<InstanceId> {
        Vec::new()
    }
}

impl Reads {
    /// The documents that were read since the last look: each by one call.
    fn taken(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn workflow(name: &str) -> WorkflowName {
    WorkflowName::new(name).unwrap()
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

async fn register_versions(view: RegistryView<'_>, name: &str, count: u64) {
    for number in 1..=count {
        let text = format!("{number}.0.0");
        let definition = WorkflowDefinition::builder(name, &text).machine("a", "a@1").build().unwrap();
        view.register_definition(definition).await.unwrap();
    }
}

/// A host that has just come up on a store with fifty versions of a shared workflow and of one of `acme`'s.
async fn with_many_versions(backend: Backend) -> (TestHost, Arc<Reads>) {
    let host = TestHost::on(backend).await;
    host.step("a", |_| done()).await;
    let acme = TenantId::new("acme").unwrap();
    register_versions(host.engine.registry().view(None), "shared", 50).await;
    register_versions(host.engine.registry().view(Some(&acme)), "own", 50).await;
    let reads = Arc::new(Reads::default());
    let between = Between { store: host.store(), way: Arc::clone(&reads) };
    let host = host.crash_and_restart_on(Arc::new(between), |_| {}).await;
    reads.taken();
    (host, reads)
}

async fn check_starts(backend: Backend) {
    let (host, reads) = with_many_versions(backend).await;
    let start = async |name: &str, tenant: Option<&str>, wanted: Option<&str>| {
        let tenant = tenant.map(|tenant| TenantId::new(tenant).unwrap());
        let request = StartRequest { tenant, version: wanted.map(version), ..StartRequest::new(workflow(name)) };
        let started = host.engine.start_workflow(request.with_data(json!({}))).await;
        started.map(|started| started.identity.workflow_version.major)
    };

    assert_eq!(start("shared", None, None).await.unwrap(), 50);
    assert_eq!(reads.taken(), ["find_definition_by_id"], "the plan of the one that is started");
    assert_eq!(start("shared", Some("acme"), None).await.unwrap(), 50);
    assert_eq!(start("shared", Some("globex"), Some("50.0.0")).await.unwrap(), 50);
    assert_eq!(reads.taken(), [""; 0], "whose plan is at hand");
    assert_eq!(start("own", Some("acme"), Some("7.0.0")).await.unwrap(), 7);
    assert_eq!(reads.taken(), ["find_definition_by_id"]);
    let missing = start("own", Some("globex"), None).await.unwrap_err();
    assert!(matches!(missing, EngineError::WorkflowNotFound { .. }), "{missing}");
    assert_eq!(reads.taken(), [""; 0]);
}

async fn check_looks(backend: Backend) {
    let (host, reads) = with_many_versions(backend).await;
    let acme = TenantId::new("acme").unwrap();
    let (registry, own) = (host.engine.registry(), host.engine.registry().view(Some(&acme)));

    assert_eq!(registry.get_definition(&workflow("shared"), None).await.unwrap().version, version("50.0.0"));
    assert_eq!(own.get_definition(&workflow("own"), None).await.unwrap().version, version("50.0.0"));
    assert_eq!(reads.taken(), ["find_definition"; 2]);
    let seventh = Some(version("7.0.0"));
    assert_eq!(own.get_definition(&workflow("own"), seventh.as_ref()).await.unwrap().version, version("7.0.0"));
    assert_eq!(reads.taken(), ["find_definition"]);
    assert!(own.find_definition(&workflow("shared"), seventh.as_ref(), Versions::Active).await.unwrap().is_some());
    assert_eq!(reads.taken(), ["find_definition"; 2], "its own, which is not there, and the shared one");
    assert!(own.has_definition(&workflow("shared"), seventh.as_ref()).await.unwrap());
    assert_eq!(own.list_summaries(Versions::All).await.unwrap().len(), 100);
    assert_eq!(registry.list_everybodys_summaries(Versions::Active).await.unwrap().len(), 2);
    let refused = own.deactivate(&workflow("own"), &version("51.0.0")).await.unwrap_err();
    assert_eq!(reads.taken(), [""; 0]);
    let told = refused.to_string();
    assert!(told.contains("31.0.0, 32.0.0") && told.contains("50.0.0, and 30 older ones"), "{told}");
}

async fn check_children(backend: Backend) {
    let (host, reads) = with_many_versions(backend).await;
    let body = "initial_step: a\nsteps:\n  a: { type: workflow, workflow: shared }\n  \
                b: { type: workflow, workflow: shared, version: \"3\" }\nedges: [{ source: a, target: b }]\n";

    host.register_yaml("calls", body).await;
    assert_eq!(reads.taken(), ["find_definition"], "whether it is registered");
    let called = host.run("calls", json!({})).await;
    let children =
        host.instances(InstanceFilter { parent: Some(called.identity.id), ..InstanceFilter::default() }).await;
    // Their ids follow from the parent's, so that nothing tells their order in the list.
    let children: BTreeSet<_> = children.iter().map(|child| child.identity.workflow_version.major).collect();
    assert_eq!(children, [3, 50].into());
    assert_eq!(reads.taken(), ["find_definition_by_id"; 2], "the plans of both");
}

macro_rules! on_each {
    ($($name:ident: $check:ident,)+) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn in_memory() {
                    $check(Backend::Memory).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    $check(Backend::Sqlite).await;
                }
            }
        )+
    };
}

on_each! {
    a_start_of_one_of_many_versions_reads_no_other_and_none_once_its_plan_is_at_hand: check_starts,
    a_look_at_one_of_many_versions_reads_no_other: check_looks,
    children_are_found_without_reading_them: check_children,
}
