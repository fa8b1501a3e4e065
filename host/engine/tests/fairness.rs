//! Tenants beside each other: what one wants, however much, is no matter of the others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kit::{Answer, Backend, TestHost, done};
use serde_json::{Value, json};
use stepcell_engine::StartRequest;
use stepcell_model::id::InstanceId;
use stepcell_model::name::{TenantId, WorkflowName};
use stepcell_model::policy::Policy;
use stepcell_model::status::WorkflowStatus;
use tokio::sync::Semaphore;

async fn one_step(host: &TestHost) {
    host.register_yaml("w", "initial_step: a\nsteps: { a: { type: machine, component: a@1 } }").await;
}

async fn start_for(host: &TestHost, tenant: &str, data: Value) -> InstanceId {
    let request = StartRequest {
        tenant: Some(TenantId::new(tenant).unwrap()),
        ..StartRequest::new(WorkflowName::new("w").unwrap()).with_data(data)
    };
    host.engine.start_workflow(request).await.unwrap().identity.id
}

on_every_store! {
    async fn a_tenant_whose_steps_never_end_keeps_nobody_else_from_running(host: TestHost) {
        host.step("a", |call| if call.input.tree()["stay"] == true { Answer::Never } else { done() }).await;
        one_step(&host).await;
        for _ in 0..20 {
            start_for(&host, "greedy", json!({"stay": true})).await;
        }
        host.called("a", 4).await;

        for _ in 0..5 {
            let id = start_for(&host, "modest", json!({})).await;
            assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        }

        assert_eq!(host.calls("a").len(), 4 + 5);
    }

    async fn a_tenant_that_is_held_back_gets_all_of_its_turns(host: TestHost) {
        let gate = Arc::new(Semaphore::new(0));
        let (opened, running, most) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let peak = Arc::clone(&most);
        host.step("a", move |_| {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Answer::HoldAt(Arc::clone(&opened), Arc::clone(&running))
        })
        .await;
        one_step(&host).await;
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(start_for(&host, "greedy", json!({})).await);
        }

        gate.add_permits(20);

        for id in ids {
            assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        }
        assert!(most.load(Ordering::SeqCst) <= 4, "{most:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_runs_no_more_at_once_than_the_operator_lets_it() {
    let host = TestHost::on(Backend::Memory).await;
    let policy = "schema: stepcell-policy/v1\ntenants: { small: { concurrency: 1 }, large: { concurrency: 3 } }";
    host.engine.apply_policy(&Policy::from_text(policy).unwrap()).await.unwrap();
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    host.step("a", move |_| Answer::HoldAt(Arc::clone(&opened), Arc::default())).await;
    one_step(&host).await;
    let mut ids = Vec::new();
    for tenant in ["small", "small", "large", "large", "large", "large"] {
        ids.push(start_for(&host, tenant, json!({})).await);
    }

    host.called("a", 4).await;

    let of = |tenant: &str| {
        let calls = host.calls("a");
        calls.iter().filter(|call| call.info.tenant.as_ref().is_some_and(|of| of.as_str() == tenant)).count()
    };
    assert_eq!((of("small"), of("large")), (1, 3));
    gate.add_permits(6);
    for id in ids {
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
    }
}
