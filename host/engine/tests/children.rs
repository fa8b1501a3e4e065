//! The cases of workflows that are steps of others, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "kit/between.rs"]
mod between;
mod kit;
#[path = "kit/stopping.rs"]
mod stopping;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use stepcell_engine::EngineError;
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::id::InstanceId;
use stepcell_model::letter::{CHILD_DEPTH_MAX, Letter};
use stepcell_model::name::{TenantId, UserId, WorkflowName};
use stepcell_model::record::InstanceSummary;
use stepcell_model::status::{StepStatus, WorkflowStatus};
use stepcell_model::transition::Transition;
use stepcell_store::{Activity, InstanceFilter};
use tokio::sync::Semaphore;

use crate::kit::{Answer, Backend, TestHost, fails, returns};
use crate::stopping::{Death, StoppingStore};

/// Registers the workflow `child` of a step `c`, and the workflow `w`: a step `w` that runs the child, and `after`.
async fn parent_and_child(host: &TestHost, step: &str) {
    host.register_yaml("child", "initial_step: c\nsteps: { c: { type: machine, component: c@1 } }\n").await;
    host.named(&["after"]).await;
    host.register_yaml(
        "w",
        &format!(
            "initial_step: w\nsteps:\n  w: {{ type: workflow, workflow: child{step} }}\n  after: {{ type: machine, component: \
             after@1 }}\nedges: [{{ source: w, target: after }}]\n"
        ),
    )
    .await;
}

async fn children(host: &TestHost, id: InstanceId) -> Vec<InstanceSummary> {
    host.instances(InstanceFilter { parent: Some(id), ..InstanceFilter::default() }).await
}

async fn only_child(host: &TestHost, id: InstanceId) -> InstanceSummary {
    let mut children = children(host, id).await;
    assert_eq!(children.len(), 1);
    children.remove(0)
}

fn has_letter(transition: &Transition, is_meant: fn(&Letter) -> bool) -> bool {
    transition.letters.iter().any(is_meant)
}

/// Runs `w` on a host that dies where `choose` says, and once more on one that comes up on the same store.
async fn run_over_a_death(backend: Backend, choose: fn(&Transition) -> Death) {
    let mut first = None;
    let mut plain = None;
    let host = TestHost::on_wrapped(backend, |store| {
        let stopping = StoppingStore::new(Arc::clone(&store), choose);
        (first, plain) = (Some(Arc::clone(&stopping)), Some(store));
        stopping
    })
    .await;
    host.step("c", |call| returns(json!({"got": call.input.tree()}))).await;
    parent_and_child(&host, "").await;
    let id = {
        let mut ids = host.instances(InstanceFilter::default()).await;
        assert!(ids.is_empty());
        let started = host.try_start("w", json!({"n": 1}));
        tokio::select! {
            _ = started => first.as_ref().unwrap().died().await,
            () = first.as_ref().unwrap().died() => {}
        }
        ids = host.instances(InstanceFilter::default()).await;
        ids.iter().find(|instance| instance.identity.workflow_name.as_str() == "w").unwrap().identity.id
    };

    let plain = plain.unwrap();
    for child in host.instances(InstanceFilter { parent: Some(id), ..InstanceFilter::default() }).await {
        // What was started stays started, whatever may be started by then.
        let (name, version) = (&child.identity.workflow_name, &child.identity.workflow_version);
        assert!(plain.set_definition_active(None, name, version, Activity::Inactive).await.unwrap());
    }
    let host = host.crash_and_restart_on(plain, |_| {}).await;
    let instance = host.settled(id).await;

    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    assert_eq!(host.path(id).await, ["w succeeded", "after succeeded"]);
    assert_eq!(host.calls("after").len(), 1);
    assert_eq!(host.calls("after")[0].input.tree(), &json!({"got": {"n": 1}}));
    assert_eq!(only_child(&host, id).await.status, WorkflowStatus::Completed);
    assert_eq!(host.calls("c").len(), 1);
}

fn after_the_parent_wrote(transition: &Transition) -> Death {
    let is_so = has_letter(transition, |letter| matches!(letter, Letter::StartChild(_)));
    if is_so { Death::After } else { Death::None }
}

fn before_the_child_is_stored(transition: &Transition) -> Death {
    if transition.seq == 1 && transition.identity.parent.is_some() { Death::Before } else { Death::None }
}

fn after_the_child_is_stored(transition: &Transition) -> Death {
    if transition.seq == 1 && transition.identity.parent.is_some() { Death::After } else { Death::None }
}

fn after_the_child_ended(transition: &Transition) -> Death {
    let is_so = has_letter(transition, |letter| matches!(letter, Letter::ChildEnded { .. }));
    if is_so { Death::After } else { Death::None }
}

fn after_the_parent_was_told(transition: &Transition) -> Death {
    let is_end = |record: &&stepcell_model::record::ExecutionRecord| record.status == StepStatus::Succeeded;
    let is_so = transition.executions.iter().filter(is_end).any(|record| record.step.as_str() == "w");
    if is_so { Death::After } else { Death::None }
}

/// Makes each a test on every store.
macro_rules! deaths {
    ($($name:ident: $choose:path,)+) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn in_memory() {
                    run_over_a_death(Backend::Memory, $choose).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    run_over_a_death(Backend::Sqlite, $choose).await;
                }
            }
        )+
    };
}

deaths! {
    a_crash_between_the_parents_commit_and_the_childs_start_starts_one_child: after_the_parent_wrote,
    a_crash_before_the_childs_start_is_stored_starts_one_child: before_the_child_is_stored,
    a_crash_once_the_childs_start_is_stored_starts_no_second_one: after_the_child_is_stored,
    a_crash_between_the_childs_end_and_telling_the_parent_tells_it_once: after_the_child_ended,
    a_crash_once_the_parent_was_told_tells_it_nothing_twice: after_the_parent_was_told,
}

on_every_store! {
    async fn a_child_is_given_the_mapped_input_and_its_result_comes_back(host: TestHost) {
        host.step("c", |call| returns(json!({"sum": call.input.tree()["n"].as_i64().unwrap() + 1}))).await;
        parent_and_child(&host, ", input: \"{'n': context.n * 2}\", result_key: answer").await;

        let id = host.run("w", json!({"n": 20})).await.identity.id;

        let child = only_child(&host, id).await;
        assert_eq!(child.identity.input.tree(), &json!({"n": 40}));
        assert_eq!(host.context(child.identity.id).await, json!({"n": 40}));
        assert_eq!(host.calls("after")[0].input.tree(), &json!({"sum": 41}));
        assert_eq!(host.context(id).await, json!({"n": 20, "answer": {"sum": 41}}));
        let link = child.identity.parent.unwrap();
        assert_eq!((link.instance, link.depth), (id, 1));
    }

    async fn a_child_belongs_to_whom_its_parent_does(host: TestHost) {
        host.named(&["c"]).await;
        parent_and_child(&host, "").await;
        let request = stepcell_engine::StartRequest {
            tenant: Some(TenantId::new("acme").unwrap()),
            user: Some(UserId::new("ada").unwrap()),
            correlation_id: Some("order-7".into()),
            metadata: json!({"region": "eu"}).into(),
            ..stepcell_engine::StartRequest::new(WorkflowName::new("w").unwrap())
        };

        let id = host.engine.start_workflow(request).await.unwrap().identity.id;
        let parent = host.settled(id).await.identity;

        let child = only_child(&host, id).await.identity;
        assert_eq!(
            (&child.tenant, &child.created_by, &child.correlation_id, &child.metadata),
            (&parent.tenant, &parent.created_by, &parent.correlation_id, &parent.metadata)
        );
    }

    async fn a_childs_failure_comes_up_to_its_step_and_takes_its_failure_edge(host: TestHost) {
        host.step("c", |_| fails("no-money", "none left")).await;
        parent_and_child(&host, "").await;
        host.register_yaml(
            "handled",
            "initial_step: w\nsteps:\n  w: { type: workflow, workflow: child }\n  ok: { type: machine, component: after@1 }\n  \
             sorry: { type: machine, component: after@1 }\nedges: [{ source: w, target: ok }, { source: w, target: sorry, outcome: \
             failure }]\n",
        )
        .await;

        let failed = host.run("w", json!({})).await;
        let handled = host.run("handled", json!({})).await;

        let child = only_child(&host, failed.identity.id).await;
        let error = failed.error.unwrap();
        assert_eq!((error.code.as_str(), error.step.unwrap().as_str()), ("no-money", "w"));
        assert_eq!(
            error.message,
            format!("the workflow `child` (instance {}) did not complete: none left", child.identity.id)
        );
        assert_eq!(handled.status, WorkflowStatus::Completed);
        assert_eq!(host.path(handled.identity.id).await, ["w failed", "sorry succeeded"]);
    }

    async fn a_cancel_goes_down_to_a_running_child_and_its_children(host: TestHost) {
        host.step("c", |_| Answer::Never).await;
        parent_and_child(&host, "").await;
        host.register_yaml("top", "initial_step: t\nsteps: { t: { type: workflow, workflow: w } }\n").await;
        let id = host.start("top", json!({})).await;
        host.called("c", 1).await;
        let middle = only_child(&host, id).await.identity.id;
        let lowest = only_child(&host, middle).await.identity.id;

        host.engine.cancel_workflow(id, "not needed").await.unwrap();

        for (id, step) in [(id, "t"), (middle, "w"), (lowest, "c")] {
            assert_eq!(host.settled(id).await.status, WorkflowStatus::Canceled);
            assert_eq!(host.path(id).await, [format!("{step} canceled")]);
        }
        host.cools().await;
    }

    async fn a_cancel_of_a_child_alone_fails_the_step_that_waits_for_it(host: TestHost) {
        host.step("c", |_| Answer::Never).await;
        parent_and_child(&host, "").await;
        let id = host.start("w", json!({})).await;
        host.called("c", 1).await;

        host.engine.cancel_workflow(only_child(&host, id).await.identity.id, "by hand").await.unwrap();

        let instance = host.settled(id).await;
        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert!(instance.error.unwrap().message.ends_with("did not complete: by hand"));
    }

    async fn a_child_that_takes_too_long_is_canceled_and_its_step_takes_the_timeout_edge(host: TestHost) {
        host.named(&["late"]).await;
        host.register_yaml("child", "initial_step: h\nsteps: { h: { type: human } }\n").await;
        host.register_yaml(
            "w",
            "initial_step: w\nsteps:\n  w: { type: workflow, workflow: child, timeout: 1h }\n  ok: { type: machine, component: \
             late@1 }\n  late: { type: machine, component: late@1 }\nedges: [{ source: w, target: ok }, { source: w, target: late, \
             outcome: timeout }]\n",
        )
        .await;
        let id = host.run("w", json!({})).await.identity.id;
        let child = only_child(&host, id).await.identity.id;
        let mut told = host.told().await;

        host.clock.advance(Duration::from_secs(3_600));
        while !host.engine.get_instance(child).await.unwrap().status.is_finished() {
            told.next().await.unwrap();
        }

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.path(id).await, ["w failed", "late succeeded"]);
        assert_eq!(host.engine.get_instance(child).await.unwrap().status, WorkflowStatus::Canceled);
    }

    async fn children_for_each_item_run_at_most_so_many_at_once_with_results_in_order(host: TestHost) {
        let gate = Arc::new(Semaphore::new(0));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (opened, running, peak) = (Arc::clone(&gate), Arc::clone(&now), Arc::clone(&most));
        host.step("hold", move |_| {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            Answer::HoldAt(Arc::clone(&opened), Arc::clone(&running))
        })
        .await;
        host.step("c", |call| returns(call.context.values().next().unwrap().tree().clone())).await;
        host.register_yaml(
            "child",
            "initial_step: hold\nsteps: { hold: { type: machine, component: hold@1 }, c: { type: machine, component: c@1 } }\nedges: \
             [{ source: hold, target: c }]\n",
        )
        .await;
        host.register_yaml(
            "w",
            "initial_step: w\nsteps: { w: { type: workflow, workflow: child, for_each: orders, max_concurrency: 2 } }\n",
        )
        .await;

        let id = host.start("w", json!({"orders": [{"n": "a"}, {"n": "b"}, {"n": "c"}, {"n": "d"}, {"n": "e"}]})).await;
        host.called("hold", 2).await;
        gate.add_permits(5);
        let instance = host.settled(id).await;

        assert_eq!(instance.result.unwrap().tree(), &json!(["a", "b", "c", "d", "e"]));
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(children(&host, id).await.len(), 5);
    }

    async fn a_workflow_that_calls_itself_without_bound_ends_with_a_clear_error_and_leaves_nothing_running(host: TestHost) {
        host.register_yaml("again", "initial_step: w\nsteps: { w: { type: workflow, workflow: again } }\n").await;

        let instance = host.run("again", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        let error = instance.error.unwrap();
        assert_eq!(error.code.as_str(), "engine.iterations");
        assert!(
            error.message.contains(
                "`w` can not start `again`: 8 workflows already wait for each other above it; does one call itself without end?"
            ),
            "{}",
            error.message
        );
        let all = host.instances(InstanceFilter::default()).await;
        assert_eq!(all.len(), 1 + CHILD_DEPTH_MAX as usize);
        assert!(all.iter().all(|instance| instance.status == WorkflowStatus::Failed));
        host.cools().await;
        assert!(host.store().list_letters(10).await.unwrap().len() <= 1, "at most the last one is still to be removed");
    }

    async fn a_workflow_that_names_an_unknown_one_is_refused_at_registration_naming_the_step(host: TestHost) {
        let text = "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: w\nsteps: { w: { type: workflow, workflow: nobody } }\n";

        let refused = host.engine.registry().register_definition(WorkflowDefinition::from_text(text).unwrap()).await;

        assert_eq!(
            refused.unwrap_err().to_string(),
            "the definition is not valid:\nsteps.w.workflow: there is no workflow `nobody`; `stepcell definition list` shows those \
             there are; register it first"
        );
        assert!(matches!(host.try_start("w", json!({})).await.unwrap_err(), EngineError::WorkflowNotFound { .. }));
    }

    async fn a_child_whose_workflow_was_deactivated_since_fails_its_step_and_says_so(host: TestHost) {
        host.named(&["c"]).await;
        parent_and_child(&host, "").await;
        let (child, version) = (WorkflowName::new("child").unwrap(), semver::Version::new(1, 0, 0));
        host.store().set_definition_active(None, &child, &version, Activity::Inactive).await.unwrap();

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        let error = instance.error.unwrap();
        assert_eq!((error.code.as_str(), error.step.unwrap().as_str()), ("engine.input", "w"));
        assert!(
            error.message.ends_with("workflow `child` has no active version; the versions there are: 1.0.0"),
            "{}",
            error.message
        );
        assert!(children(&host, instance.identity.id).await.is_empty());
    }

    async fn a_child_that_its_own_schema_refuses_fails_its_step_and_says_why(host: TestHost) {
        host.named(&["c"]).await;
        host.register_yaml(
            "child",
            "input_schema: { type: object, required: [amount] }\ninitial_step: c\nsteps: { c: { type: machine, component: c@1 } }\n",
        )
        .await;
        host.register_yaml("w", "initial_step: w\nsteps: { w: { type: workflow, workflow: child } }\n").await;

        let error = host.run("w", json!({})).await.error.unwrap();

        assert_eq!(error.code.as_str(), "engine.input");
        assert!(error.message.contains("the initial data is not valid"), "{}", error.message);
        assert!(error.message.contains("amount"), "{}", error.message);
    }

    async fn a_child_starts_on_the_newest_version_that_fits_when_its_step_is_reached(host: TestHost) {
        for version in ["1.0.0", "1.2.0", "2.0.0"] {
            let text = format!(
                "schema: stepcell/v1\nname: child\nversion: {version}\ninitial_step: h\nsteps: {{ h: {{ type: timer, duration: 0s }} }}\n"
            );
            host.register(WorkflowDefinition::from_text(&text).unwrap()).await;
        }
        host.register_yaml("one", "initial_step: w\nsteps: { w: { type: workflow, workflow: child, version: '1' } }\n").await;
        host.register_yaml("any", "initial_step: w\nsteps: { w: { type: workflow, workflow: child } }\n").await;

        for (workflow, version) in [("one", "1.2.0"), ("any", "2.0.0")] {
            let id = host.run(workflow, json!({})).await.identity.id;
            assert_eq!(only_child(&host, id).await.identity.workflow_version.to_string(), version);
        }
    }

    async fn a_parent_waits_for_the_person_whom_its_child_asks(host: TestHost) {
        host.register_yaml("child", "initial_step: h\nsteps: { h: { type: human } }\n").await;
        host.register_yaml("w", "initial_step: w\nsteps: { w: { type: workflow, workflow: child } }\n").await;

        let instance = host.run("w", json!({})).await;
        let id = instance.identity.id;
        assert_eq!(instance.status, WorkflowStatus::Waiting);
        let child = only_child(&host, id).await.identity.id;
        host.completes(child, "h", json!({"ok": true})).await;

        assert_eq!(host.settled(id).await.result.unwrap().tree(), &json!({"ok": true}));
    }

    async fn a_retry_of_a_step_whose_child_failed_starts_another_child(host: TestHost) {
        let calls = Arc::new(AtomicUsize::new(0));
        host.step("c", move |_| {
            if calls.fetch_add(1, Ordering::SeqCst) == 0 { fails("broken", "it broke") } else { returns(Value::from(7)) }
        })
        .await;
        parent_and_child(&host, "").await;
        let id = host.run("w", json!({})).await.identity.id;

        host.engine.retry(id, None, None).await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        let mut statuses: Vec<_> = children(&host, id).await.iter().map(|child| child.status.to_string()).collect();
        statuses.sort();
        assert_eq!(statuses, ["completed", "failed"]);
        assert_eq!(host.path(id).await, ["w failed", "w succeeded", "after succeeded"]);
    }

    async fn a_child_that_a_cancel_reaches_with_undoing_undoes_what_it_did_too(host: TestHost) {
        host.stores_each_step().await;
        host.named(&["a"]).await;
        host.step("c", |_| Answer::Never).await;
        host.step("undo", |_| kit::done()).await;
        host.register_yaml(
            "child",
            "initial_step: a\nsteps: { a: { type: machine, component: a@1, compensate: undo@1 }, c: { type: machine, component: c@1 } \
             }\nedges: [{ source: a, target: c }]\n",
        )
        .await;
        host.register_yaml("w", "initial_step: w\nsteps: { w: { type: workflow, workflow: child } }\n").await;
        let id = host.start("w", json!({})).await;
        host.called("c", 1).await;
        let child = only_child(&host, id).await.identity.id;

        let request = stepcell_engine::CancelRequest {
            compensation: stepcell_model::transition::Compensation::Undo,
            ..stepcell_engine::CancelRequest::new("not wanted")
        };
        host.engine.cancel_workflow_with(id, request).await.unwrap();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Canceled);
        assert_eq!(host.settled(child).await.status, WorkflowStatus::Canceled);
        assert_eq!(host.path(child).await, ["a succeeded", "c canceled", "a/compensate succeeded"]);
    }
}
