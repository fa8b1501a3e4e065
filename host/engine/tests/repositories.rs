//! The cases of the repositories, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::time::Duration;

use semver::Version;
use serde_json::{Value, json};
use stepcell_engine::{
    EngineError, HumanTaskRepository, StartRequest, StepExecutionRepository, Versions, WorkflowDefinitionRepository,
    WorkflowInstanceRepository,
};
use stepcell_model::definition::{HumanStep, WorkflowDefinition};
use stepcell_model::id::InstanceId;
use stepcell_model::name::{GroupId, TenantId, UserId, WorkflowName};
use stepcell_model::record::{DefinitionRecord, InstanceSummary, TaskRecord};
use stepcell_model::status::{TaskStatus, WorkflowStatus};
use stepcell_store::{Page, PageLimit};

use crate::kit::{TestHost, done, fails, returns, user};

fn workflow(name: &str) -> WorkflowName {
    name.parse().unwrap()
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

fn user_id(name: &str) -> UserId {
    name.parse().unwrap()
}

/// Registers workflow `w` of step `a` alone, in these versions.
async fn versions_of_w(host: &TestHost, versions: &[&str]) -> WorkflowDefinitionRepository {
    host.step("a", |_| done()).await;
    for version in versions {
        host.register(WorkflowDefinition::builder("w", version).machine("a", "a@1").build().unwrap()).await;
    }
    WorkflowDefinitionRepository::new(&host.engine)
}

fn named(records: impl IntoIterator<Item = DefinitionRecord>) -> Vec<String> {
    records.into_iter().map(|record| format!("{} {}", record.name, record.version)).collect()
}

/// Registers a workflow of one human step, `review`.
async fn review(host: &TestHost, name: &str, change: impl FnOnce(&mut HumanStep)) {
    host.register(WorkflowDefinition::builder(name, "1.0.0").human("review", change).build().unwrap()).await;
}

/// Starts an instance for somebody, and waits until it waits or is finished.
async fn run_for(host: &TestHost, name: &str, user: &str, tenant: &str) -> InstanceSummary {
    let request = StartRequest {
        user: Some(user_id(user)),
        tenant: Some(TenantId::new(tenant).unwrap()),
        ..StartRequest::new(workflow(name))
    };
    let id = host.engine.start_workflow(request).await.unwrap().identity.id;
    host.settled(id).await
}

fn ids(page: &Page<InstanceSummary>) -> Vec<InstanceId> {
    page.items.iter().map(|instance| instance.identity.id).collect()
}

fn titles(page: Page<TaskRecord>) -> Vec<String> {
    page.items.into_iter().map(|task| task.title).collect()
}

async fn only_task(host: &TestHost, name: &str, data: Value) -> TaskRecord {
    let id = host.run(name, data).await.identity.id;
    HumanTaskRepository::new(&host.engine).find_by_instance(id).await.unwrap().items.remove(0)
}

on_every_store! {
    async fn a_definition_is_found_by_name_in_its_latest_active_version_or_in_the_one_named(host: TestHost) {
        let definitions = versions_of_w(&host, &["1.0.0", "2.0.0", "10.0.0"]).await;
        let name = workflow("w");
        assert!(definitions.deactivate_version(&name, &version("10.0.0")).await.unwrap());

        let cases = [
            (None, Versions::Active, Some("w 2.0.0")),
            (None, Versions::All, Some("w 10.0.0")),
            (Some("1.0.0"), Versions::Active, Some("w 1.0.0")),
            (Some("10.0.0"), Versions::Active, None),
            (Some("10.0.0"), Versions::All, Some("w 10.0.0")),
            (Some("3.0.0"), Versions::All, None),
        ];
        for (asked, versions, expected) in cases {
            let asked = asked.map(version);
            let found = definitions.get_by_name(&name, asked.as_ref(), versions).await.unwrap();
            assert_eq!(named(found).first().map(String::as_str), expected, "{asked:?} {versions:?}");
        }
        assert_eq!(named(definitions.get_latest_version(&name).await.unwrap()), ["w 2.0.0"]);
        assert!(definitions.get_latest_version(&workflow("v")).await.unwrap().is_none());
    }

    async fn active_versions_are_listed_and_a_deactivated_one_is_not(host: TestHost) {
        let definitions = versions_of_w(&host, &["1.0.0", "2.0.0", "3.0.0"]).await;

        assert!(definitions.deactivate_version(&workflow("w"), &version("2.0.0")).await.unwrap());
        assert!(!definitions.deactivate_version(&workflow("w"), &version("4.0.0")).await.unwrap());

        assert_eq!(named(definitions.list_active().await.unwrap()), ["w 1.0.0", "w 3.0.0"]);
        let registry = host.engine.registry();
        assert_eq!(named(registry.list_definitions(Versions::Active).await.unwrap()), ["w 3.0.0"]);
        assert_eq!(named(registry.list_definitions(Versions::All).await.unwrap()), ["w 1.0.0", "w 2.0.0", "w 3.0.0"]);
    }

    /// Case 96.
    async fn instances_are_found_by_workflow_user_tenant_and_by_whether_they_run(host: TestHost) {
        versions_of_w(&host, &["1.0.0"]).await;
        review(&host, "r", |_| {}).await;
        let done = run_for(&host, "w", "ada", "acme").await.identity.id;
        let waits = run_for(&host, "r", "ada", "acme").await.identity.id;
        let other = run_for(&host, "r", "bob", "globex").await.identity.id;
        let instances = WorkflowInstanceRepository::new(&host.engine);

        let page = instances.find_by_workflow(&workflow("r"), None, PageLimit::clamped(1), 1).await.unwrap();
        assert_eq!((ids(&page), page.total), (vec![waits], 2));
        let completed = Some(WorkflowStatus::Completed);
        let none = instances.find_by_workflow(&workflow("r"), completed, PageLimit::MAX, 0).await.unwrap();
        assert_eq!(none.total, 0);
        assert_eq!(ids(&instances.find_by_user(&user_id("ada"), None).await.unwrap()), [waits, done]);
        assert_eq!(ids(&instances.find_by_user(&user_id("ada"), completed).await.unwrap()), [done]);
        let acme = TenantId::new("acme").unwrap();
        let of_acme = instances.find_by_tenant(&acme, None, PageLimit::MAX, 0).await.unwrap();
        assert_eq!((ids(&of_acme), of_acme.total), (vec![waits, done], 2));
        assert_eq!(ids(&instances.find_running().await.unwrap()), [other, waits]);
    }

    async fn the_status_of_an_instance_is_changed_only_to_one_that_somebody_may_bring_it_to(host: TestHost) {
        review(&host, "r", |_| {}).await;
        let id = host.run("r", json!({})).await.identity.id;
        let instances = WorkflowInstanceRepository::new(&host.engine);

        for status in [WorkflowStatus::Pending, WorkflowStatus::Waiting, WorkflowStatus::Completed, WorkflowStatus::Failed] {
            let error = instances.update_status(id, status, None).await.unwrap_err();
            let EngineError::InvalidTransition { from, to, .. } = &error else { panic!("{error}") };
            assert_eq!((from.as_str(), to.as_str()), ("waiting", status.as_str()));
        }
        let runs = instances.update_status(id, WorkflowStatus::Running, None).await.unwrap_err();
        let paused = instances.update_status(id, WorkflowStatus::Paused, None).await.unwrap().unwrap();
        let resumed = instances.update_status(id, WorkflowStatus::Running, None).await.unwrap().unwrap();
        let canceled = instances.update_status(id, WorkflowStatus::Canceled, Some("too late")).await.unwrap().unwrap();
        let again = instances.update_status(id, WorkflowStatus::Canceled, None).await.unwrap_err();
        let nobody = InstanceId::from_uuid(uuid::Uuid::nil());

        assert!(matches!(runs, EngineError::InvalidTransition { .. }), "{runs}");
        assert_eq!((paused.status, resumed.status), (WorkflowStatus::Paused, WorkflowStatus::Waiting));
        assert_eq!((canceled.status, canceled.error.unwrap().message.as_str()), (WorkflowStatus::Canceled, "too late"));
        assert!(matches!(again, EngineError::AlreadyCompleted { .. }), "{again}");
        assert!(instances.update_status(nobody, WorkflowStatus::Canceled, None).await.unwrap().is_none());
    }

    async fn executions_are_found_by_instance_by_step_and_by_failure(host: TestHost) {
        host.step("a", |_| returns("once")).await;
        host.step("b", |_| fails("broken", "it broke")).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0").machine("a", "a@1").machine("b", "b@1").edge("a", "b");
        host.register(definition.build().unwrap()).await;
        let first = host.run("w", json!({})).await.identity.id;
        let second = host.run("w", json!({})).await.identity.id;
        let executions = StepExecutionRepository::new(&host.engine);

        let of_first: Vec<_> =
            executions.find_by_instance(first).await.unwrap().iter().map(|record| record.step.to_string()).collect();
        let a = executions.find_by_step_name(first, &"a".parse().unwrap()).await.unwrap().unwrap();
        let failed = executions.find_failed(None).await.unwrap();

        assert_eq!(of_first, ["a", "b"]);
        assert_eq!(a.output, Some(json!("once").into()));
        assert!(executions.find_by_step_name(first, &"c".parse().unwrap()).await.unwrap().is_none());
        assert_eq!(failed.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [second, first]);
        let of_second = executions.find_failed(Some(second)).await.unwrap();
        assert_eq!(of_second[0].1.failure.as_ref().unwrap().code.as_str(), "broken");
        assert_eq!(of_second.len(), 1);
    }

    async fn the_latest_execution_of_a_step_in_a_loop_is_found(host: TestHost) {
        host.step("count", |call| {
            let round = call.context["round"].tree().as_i64().unwrap() + 1;
            kit::Answer::Output(json!(round), vec![("round", json!(round))])
        })
        .await;
        host.step("end", |_| done()).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("count", "count@1")
            .machine("end", "end@1")
            .edge_when("count", "count", "context.get('round') < 3")
            .edge_with("count", "end", stepcell_model::definition::Edge::by_default);
        host.register(definition.build().unwrap()).await;
        let id = host.run("w", json!({"round": 0})).await.identity.id;

        let latest = StepExecutionRepository::new(&host.engine).find_by_step_name(id, &"count".parse().unwrap()).await;

        assert_eq!(latest.unwrap().unwrap().output, Some(json!(3).into()));
    }

    async fn tasks_are_found_by_who_may_do_them_by_instance_and_by_being_overdue(host: TestHost) {
        for (name, assignee, group, due_in) in
            [("free", None, None, None), ("adas", Some("ada"), None, Some("1d")), ("sales", None, Some("sales"), Some("3d"))]
        {
            review(&host, name, |task| {
                task.title = Some(name.to_owned());
                task.assignee = assignee.map(user_id);
                task.assignee_group = group.map(|group| GroupId::new(group).unwrap());
                task.due_in = due_in.map(|due| due.parse().unwrap());
            })
            .await;
            host.run(name, json!({})).await;
        }
        let tasks = HumanTaskRepository::new(&host.engine);
        let finance = GroupId::new("finance").unwrap();

        assert_eq!(titles(tasks.find_pending(None, None).await.unwrap()), ["adas", "sales", "free"]);
        assert_eq!(titles(tasks.find_pending(Some(&user_id("bob")), None).await.unwrap()), ["sales", "free"]);
        assert_eq!(titles(tasks.find_pending(None, Some(&finance)).await.unwrap()), ["adas", "free"]);
        assert_eq!(titles(tasks.find_overdue().await.unwrap()), Vec::<String>::new());
        host.clock.advance(Duration::from_secs(2 * 86_400));
        assert_eq!(titles(tasks.find_overdue().await.unwrap()), ["adas"]);
    }

    async fn a_task_is_completed_by_its_id_with_what_its_form_asks_for(host: TestHost) {
        let form = json!({"type": "object", "required": ["approved"]});
        review(&host, "r", |task| task.form_schema = Some(form.into())).await;
        let task = only_task(&host, "r", json!({})).await;
        let tasks = HumanTaskRepository::new(&host.engine);
        let yes = || json!({"approved": true}).into();

        let empty = tasks.complete_task(task.id, user("ada"), json!({}).into()).await.unwrap_err();
        let completed = tasks.complete_task(task.id, user("ada"), yes()).await.unwrap().unwrap();
        let again = tasks.complete_task(task.id, user("bob"), yes()).await.unwrap_err();
        let nothing = stepcell_model::id::TaskId::from_uuid(uuid::Uuid::nil());

        assert!(matches!(empty, EngineError::InvalidData { .. }), "{empty}");
        assert_eq!((completed.status, completed.completed_by), (TaskStatus::Completed, Some(user_id("ada"))));
        assert!(matches!(again, EngineError::TaskAlreadyCompleted { .. }), "{again}");
        assert!(tasks.complete_task(nothing, user("ada"), yes()).await.unwrap().is_none());
        assert_eq!(host.settled(task.instance).await.status, WorkflowStatus::Completed);
    }

    async fn cancelling_a_task_cancels_the_instance_that_waits_for_it_alone(host: TestHost) {
        review(&host, "r", |_| {}).await;
        let task = only_task(&host, "r", json!({})).await;
        let tasks = HumanTaskRepository::new(&host.engine);

        let canceled = tasks.cancel_task(task.id).await.unwrap().unwrap();
        let again = tasks.cancel_task(task.id).await.unwrap_err();

        assert_eq!(canceled.status, TaskStatus::Canceled);
        let instance = host.engine.get_instance(task.instance).await.unwrap();
        assert_eq!(instance.error.unwrap().message, "the task of step `review` was canceled");
        assert!(matches!(again, EngineError::TaskAlreadyCompleted { status: TaskStatus::Canceled, .. }), "{again}");
        assert!(tasks.cancel_task(stepcell_model::id::TaskId::from_uuid(uuid::Uuid::nil())).await.unwrap().is_none());
    }

    async fn cancelling_the_task_of_a_groups_only_member_cancels_the_instance(host: TestHost) {
        host.register_yaml(
            "w",
            "initial_step: group\nsteps: { group: { type: sequential, steps: { ask: { type: human }, then: { type: human } } } }",
        )
        .await;
        let task = only_task(&host, "w", json!({})).await;

        HumanTaskRepository::new(&host.engine).cancel_task(task.id).await.unwrap();

        assert_eq!(host.engine.get_instance(task.instance).await.unwrap().status, WorkflowStatus::Canceled);
    }

    async fn cancelling_a_task_is_refused_where_other_branches_would_go_with_it(host: TestHost) {
        host.step("fork", |_| done()).await;
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("fork", "fork@1")
            .human("left", |_| {})
            .human("right", |_| {})
            .edge("fork", "left")
            .edge("fork", "right");
        host.register(definition.build().unwrap()).await;
        let task = only_task(&host, "w", json!({})).await;

        let error = HumanTaskRepository::new(&host.engine).cancel_task(task.id).await.unwrap_err();

        assert!(matches!(error, EngineError::InvalidTransition { .. }), "{error}");
        assert!(error.to_string().contains("cancel the instance with `cancel_workflow`"), "{error}");
        assert_eq!(host.engine.get_task(task.id).await.unwrap().status, TaskStatus::Pending);
    }
}
