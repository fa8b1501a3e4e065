//! How much of the host tenants may have, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stepcell_engine::{Acceptance, EngineError, NewComponent, NewKey, StartRequest};
use stepcell_model::access::{KeyState, Quota, Quotas, Scope, Scopes, TenantRecord, TenantStatus};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::id::InstanceId;
use stepcell_model::name::{ComponentName, Label, TenantId, UserId, WorkflowName};
use stepcell_model::status::WorkflowStatus;
use stepcell_store::{Inserted, InstanceFilter};
use tokio::sync::Notify;

use crate::kit::{Answer, Backend, START, TestHost, done};

const ONE_STEP: &str = "initial_step: a\nsteps:\n  a: { type: machine, component: a@1 }\n";

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Lets `acme` have no more than that.
async fn limits_acme(host: &TestHost, quotas: Quotas) {
    let record = TenantRecord { quotas, ..TenantRecord::new(tenant("acme"), START).unwrap() };
    if host.engine.add_tenant(record).await.unwrap() == Inserted::AlreadyThere {
        host.engine.change_tenant(&tenant("acme"), move |record| record.quotas = quotas).await.unwrap();
    }
}

fn of(name: &str) -> StartRequest {
    StartRequest { tenant: Some(tenant(name)), ..StartRequest::new(WorkflowName::new("w").unwrap()) }
}

async fn start(host: &TestHost, request: StartRequest) -> Result<InstanceId, EngineError> {
    host.engine.start_workflow(request).await.map(|summary| summary.identity.id)
}

/// Which quota an error says is used up, how much there may be, and when to come back.
fn told<T: std::fmt::Debug>(outcome: Result<T, EngineError>) -> (Quota, u64, Duration) {
    match outcome.unwrap_err() {
        EngineError::QuotaExceeded { tenant, quota, limit, retry_after } if tenant.as_str() == "acme" => {
            (quota, limit, retry_after)
        }
        other => panic!("{other}"),
    }
}

fn component(version: &str, bytes: &str) -> NewComponent {
    NewComponent {
        name: ComponentName::new("acme/pay").unwrap(),
        version: version.parse().unwrap(),
        bytes: bytes.as_bytes().into(),
        tenant: Some(tenant("acme")),
        signature: None,
        acceptance: Acceptance::AsBefore,
    }
}

on_every_store! {
    async fn a_tenant_has_no_more_open_instances_than_it_may_and_starts_again_when_one_ends(host: TestHost) {
        let gate = Arc::new(Notify::new());
        let held = Arc::clone(&gate);
        host.step("a", move |_| Answer::Hold(Arc::clone(&held))).await;
        host.register_yaml("w", ONE_STEP).await;
        limits_acme(&host, Quotas { open_instances: Some(2), ..Quotas::default() }).await;
        let first = start(&host, of("acme")).await.unwrap();
        start(&host, of("acme")).await.unwrap();

        let refused = told(start(&host, of("acme")).await);
        start(&host, of("bolt")).await.unwrap();
        start(&host, StartRequest { tenant: None, ..of("acme") }).await.unwrap();
        host.engine.cancel_workflow(first, "enough").await.unwrap();
        host.settled(first).await;

        assert_eq!(refused, (Quota::OpenInstances, 2, Duration::from_secs(1)));
        start(&host, of("acme")).await.unwrap();
        told(start(&host, of("acme")).await);
        assert_eq!(host.instances(InstanceFilter { tenant: Some(tenant("acme")), ..InstanceFilter::default() }).await.len(), 3);
    }

    async fn racing_starts_do_not_pass_the_limit(host: TestHost) {
        host.step("a", |_| Answer::Never).await;
        host.register_yaml("w", ONE_STEP).await;
        limits_acme(&host, Quotas { open_instances: Some(10), ..Quotas::default() }).await;

        let racing = (0..64).map(|_| {
            let engine = host.engine.clone();
            tokio::spawn(async move { engine.start_workflow(of("acme")).await })
        });
        let mut started = 0;
        for outcome in racing.collect::<Vec<_>>() {
            match outcome.await.unwrap() {
                Ok(_) => started += 1,
                Err(error) => assert_eq!(told::<()>(Err(error)).0, Quota::OpenInstances),
            }
        }

        assert_eq!(started, 10);
        assert_eq!(host.store().load_tenant_use(&tenant("acme"), 0).await.unwrap().open_instances, 10);
    }

    async fn starts_are_spread_over_the_seconds(host: TestHost) {
        host.named(&["a"]).await;
        host.register_yaml("w", ONE_STEP).await;
        limits_acme(&host, Quotas { starts_per_second: Some(2), ..Quotas::default() }).await;
        for _ in 0..2 {
            start(&host, of("acme")).await.unwrap();
        }

        let (quota, limit, retry_after) = told(start(&host, of("acme")).await);
        host.clock.advance(retry_after);
        start(&host, of("acme")).await.unwrap();

        assert_eq!((quota, limit, retry_after), (Quota::StartsPerSecond, 2, Duration::from_millis(501)));
        told(start(&host, of("acme")).await);
    }

    async fn what_instances_keep_is_bounded(host: TestHost) {
        host.named(&["a"]).await;
        host.register_yaml("w", ONE_STEP).await;
        limits_acme(&host, Quotas { stored_bytes: Some(3_000), ..Quotas::default() }).await;
        let filled = || of("acme").with_data(json!({"text": "x".repeat(900)}));

        let too_large = told(start(&host, of("acme").with_data(json!({"text": "x".repeat(3_000)}))).await);
        let id = start(&host, filled()).await.unwrap();
        host.settled(id).await;
        host.clock.advance(Duration::from_secs(1));
        let mut refused = start(&host, filled()).await;
        if refused.is_ok() {
            refused = start(&host, filled()).await;
        }

        assert_eq!((too_large.0, too_large.1), (Quota::StoredBytes, 3_000));
        assert_eq!(told(refused).0, Quota::StoredBytes);
        limits_acme(&host, Quotas { stored_bytes: Some(1 << 20), ..Quotas::default() }).await;
        start(&host, filled()).await.unwrap();
    }

    async fn a_tenant_registers_no_more_components_than_it_may(host: TestHost) {
        limits_acme(&host, Quotas { components: Some(2), stored_bytes: Some(30), ..Quotas::default() }).await;
        let registry = host.engine.registry();
        registry.register(component("1.0.0", "ten bytes.")).await.unwrap();

        let too_large = told(registry.register(component("1.1.0", &"x".repeat(21))).await);
        registry.register(component("1.1.0", "ten bytes!")).await.unwrap();
        let one_more = told(registry.register(component("1.2.0", "x")).await);
        let again = registry.register(component("1.1.0", "ten bytes!")).await.unwrap();

        assert_eq!((too_large.0, one_more.0, one_more.1), (Quota::StoredBytes, Quota::Components, 2));
        assert_eq!(again.inserted, Inserted::AlreadyThere);
        assert_eq!(registry.view(Some(&tenant("acme"))).list_components(None).await.unwrap().len(), 2);
    }

    async fn definitions_count_as_what_a_tenant_keeps(host: TestHost) {
        let registry = host.engine.registry();
        let acme = tenant("acme");
        let of_len = |version: &str, len: usize| {
            let definition = WorkflowDefinition::builder("own", version).human("h", |_| {}).build().unwrap();
            WorkflowDefinition { description: Some("x".repeat(len)), ..definition }
        };
        let bytes = async || host.store().load_tenant_use(&acme, 0).await.unwrap().stored_bytes;
        limits_acme(&host, Quotas { stored_bytes: Some(3_000), components: Some(0), ..Quotas::default() }).await;

        let too_large = told(registry.view(Some(&acme)).register_definition(of_len("1.0.0", 3_000)).await);
        let stored_then = bytes().await;
        let first = registry.view(Some(&acme)).register_definition(of_len("1.0.0", 1_000)).await.unwrap();
        let kept = bytes().await;
        let racing = ["1.1.0", "1.2.0", "1.3.0", "1.4.0"].map(|version| {
            let (engine, acme, definition) = (host.engine.clone(), acme.clone(), of_len(version, 1_000));
            tokio::spawn(async move { engine.registry().view(Some(&acme)).register_definition(definition).await })
        });
        let mut registered = 0;
        for outcome in racing {
            match outcome.await.unwrap() {
                Ok(_) => registered += 1,
                Err(error) => assert_eq!(told::<()>(Err(error)).0, Quota::StoredBytes),
            }
        }

        assert_eq!((too_large.0, too_large.1, stored_then), (Quota::StoredBytes, 3_000, 0));
        assert_eq!(kept, first.record.document.len_bytes() as u64);
        assert_eq!(registered, 1, "a second one of a thousand bytes and more fits, and no third");
        let again = registry.view(Some(&acme)).register_definition(of_len("1.0.0", 1_000)).await.unwrap();
        assert_eq!(again.inserted, Inserted::AlreadyThere);
        host.register(of_len("1.0.0", 3_000)).await;
    }

    async fn who_has_used_its_day_starts_again_on_the_next(host: TestHost) {
        host.step("a", |_| Answer::Costs(5_000)).await;
        host.register_yaml("w", ONE_STEP).await;
        limits_acme(&host, Quotas { cpu_ms_per_day: Some(8), ..Quotas::default() }).await;
        for _ in 0..2 {
            let id = start(&host, of("acme")).await.unwrap();
            host.settled(id).await;
            host.clock.advance(Duration::from_secs(1));
        }

        let (quota, limit, retry_after) = told(start(&host, of("acme")).await);
        host.clock.advance(retry_after);

        assert_eq!((quota, limit), (Quota::CpuMsPerDay, 8));
        assert!(retry_after <= Duration::from_secs(86_400), "{retry_after:?}");
        start(&host, of("acme")).await.unwrap();
    }

    async fn nothing_of_a_suspended_tenant_starts_and_what_runs_goes_on(host: TestHost) {
        let gate = Arc::new(Notify::new());
        let held = Arc::clone(&gate);
        host.step("a", move |_| Answer::Hold(Arc::clone(&held))).await;
        host.register_yaml("w", ONE_STEP).await;
        limits_acme(&host, Quotas::default()).await;
        let running = start(&host, of("acme")).await.unwrap();
        host.called("a", 1).await;

        host.engine.change_tenant(&tenant("acme"), |record| record.status = TenantStatus::Suspended).await.unwrap();
        let started = start(&host, of("acme")).await.unwrap_err();
        let pushed = host.engine.registry().register(component("1.0.0", "x")).await.unwrap_err();
        let definition = WorkflowDefinition::builder("own", "1.0.0").human("h", |_| {}).build().unwrap();
        let defined =
            host.engine.registry().view(Some(&tenant("acme"))).register_definition(definition).await.unwrap_err();
        gate.notify_one();

        assert!(matches!(defined, EngineError::TenantSuspended { .. }), "{defined}");
        assert!(matches!(&started, EngineError::TenantSuspended { tenant } if tenant.as_str() == "acme"), "{started}");
        assert!(matches!(pushed, EngineError::TenantSuspended { .. }), "{pushed}");
        assert_eq!(host.settled(running).await.status, WorkflowStatus::Completed);
        host.engine.change_tenant(&tenant("acme"), |record| record.status = TenantStatus::Active).await.unwrap();
        start(&host, of("acme")).await.unwrap();
    }

    async fn a_child_that_may_not_start_fails_its_step(host: TestHost) {
        host.named(&["a"]).await;
        host.register_yaml("child", ONE_STEP).await;
        host.register_yaml("w", "initial_step: w\nsteps:\n  w: { type: workflow, workflow: child }\n").await;
        limits_acme(&host, Quotas { open_instances: Some(1), ..Quotas::default() }).await;

        let parent = start(&host, of("acme")).await.unwrap();

        let ended = host.settled(parent).await;
        assert_eq!(ended.status, WorkflowStatus::Failed);
        let error = ended.error.unwrap();
        assert_eq!(error.code.as_str(), "engine.quota");
        assert!(error.message.contains("has used up its quota `open_instances`: it may have 1"), "{}", error.message);
    }

    async fn a_start_that_is_repeated_is_told_of_the_first_whatever_is_used_up(host: TestHost) {
        host.step("a", |_| Answer::Never).await;
        host.register_yaml("w", ONE_STEP).await;
        limits_acme(&host, Quotas { open_instances: Some(1), ..Quotas::default() }).await;
        let keyed = |key: &str| StartRequest { idempotency_key: Some(key.to_owned()), ..of("acme") };

        let first = start(&host, keyed("one")).await.unwrap();

        assert_eq!(start(&host, keyed("one")).await.unwrap(), first);
        assert_eq!(told(start(&host, keyed("two")).await).0, Quota::OpenInstances);
    }

    async fn a_start_that_fails_takes_nobodys_place(host: TestHost) {
        host.step("a", |_| done()).await;
        host.register_yaml("w", ONE_STEP).await;
        limits_acme(&host, Quotas { open_instances: Some(1), starts_per_second: Some(1), ..Quotas::default() }).await;

        for _ in 0..3 {
            let refused = start(&host, of("acme").with_data(json!([1]))).await.unwrap_err();
            assert!(matches!(refused, EngineError::InvalidData { .. }), "{refused}");
        }

        start(&host, of("acme")).await.unwrap();
    }

    async fn a_key_is_made_once_shown_once_and_revoked_for_good(host: TestHost) {
        limits_acme(&host, Quotas::default()).await;
        let new = || NewKey {
            name: Label::new("the build's").unwrap(),
            tenant: Some(tenant("acme")),
            user: UserId::new("ann").unwrap(),
            groups: Vec::new(),
            scopes: Scopes::of(&[Scope::Operator]),
            expires_at: Some(START.after(Duration::from_secs(60))),
            created_by: None,
        };

        let (key, text) = host.engine.create_key(new()).await.unwrap();
        let found = host.store().find_key(text.prefix()).await.unwrap().unwrap();
        assert_eq!((&found, found.hash == text.hash(), found.state(START)), (&key, true, KeyState::Active));
        let revoked = host.engine.revoke_key(key.id).await.unwrap();
        assert_eq!(revoked.state(START), KeyState::Revoked);

        for (bad, told) in [
            (NewKey { tenant: Some(tenant("nobody")), ..new() }, "there is no tenant `nobody`"),
            (NewKey { scopes: Scopes::default(), ..new() }, "name at least one"),
            (NewKey { expires_at: Some(START), ..new() }, "it is over already"),
        ] {
            let error = host.engine.create_key(bad).await.unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_starts_counts_within_a_second() {
    let host = TestHost::on(Backend::Sqlite).await;
    host.step("a", |_| Answer::Never).await;
    host.register_yaml("w", ONE_STEP).await;
    limits_acme(&host, Quotas { open_instances: Some(2), ..Quotas::default() }).await;
    start(&host, of("acme")).await.unwrap();

    host.visitor().start_workflow(of("acme")).await.unwrap();
    host.clock.advance(Duration::from_secs(1));

    assert_eq!(told(start(&host, of("acme")).await).0, Quota::OpenInstances);
    assert_eq!(told(host.visitor().start_workflow(of("acme")).await).0, Quota::OpenInstances);
}
