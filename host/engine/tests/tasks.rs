//! The cases of human tasks, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::time::Duration;

use serde_json::{Value, json};
use stepcell_engine::EngineError;
use stepcell_model::definition::{HumanStep, WorkflowDefinition};
use stepcell_model::id::{InstanceId, TaskId};
use stepcell_model::name::{GroupId, StepName, UserId};
use stepcell_model::record::TaskRecord;
use stepcell_model::status::{TaskStatus, WorkflowStatus};
use stepcell_model::transition::{Actor, Standing};
use stepcell_store::TaskFilter;

use crate::kit::{START, TestHost, returns, user};

fn user_id(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn group(name: &str) -> GroupId {
    GroupId::new(name).unwrap()
}

/// Registers `a`, then a task as `change` makes it, then `b`, which returns the context's `approved`.
async fn review(host: &TestHost, name: &str, change: impl FnOnce(&mut HumanStep)) {
    host.step("a", |_| returns("made")).await;
    host.step("b", |call| returns(call.context.get("approved").map_or(json!(null), |value| value.tree().clone())))
        .await;
    let definition = WorkflowDefinition::builder(name, "1.0.0")
        .machine("a", "a@1")
        .human("review", change)
        .machine("b", "b@1")
        .edge("a", "review")
        .edge("review", "b")
        .build()
        .unwrap();
    host.register(definition).await;
}

/// Runs until the task is there.
async fn task_of(host: &TestHost, workflow: &str, data: Value) -> TaskRecord {
    let id = host.run(workflow, data).await.identity.id;
    host.tasks(id).await.remove(0)
}

async fn complete(host: &TestHost, id: InstanceId, step: &str, who: Actor, data: Value) -> Result<(), EngineError> {
    host.engine.complete_human_task(id, &StepName::new(step).unwrap(), who, data.into()).await
}

async fn complete_by_id(host: &TestHost, task: TaskId, who: Actor) -> Result<(), EngineError> {
    host.engine.complete_task(task, who, json!({"approved": true}).into(), None).await
}

async fn listed(host: &TestHost, filter: TaskFilter) -> Vec<String> {
    let filter = TaskFilter { status: Some(TaskStatus::Pending), ..filter };
    host.engine.store().list_tasks(&filter).await.unwrap().items.into_iter().map(|task| task.title).collect()
}

on_every_store! {
    /// Cases 63 and 70.
    async fn a_run_that_reaches_a_human_step_waits_with_one_pending_task(host: TestHost) {
        let form = json!({"type": "object", "properties": {"approved": {"type": "boolean"}}});
        let schema = form.clone();
        review(&host, "w", |task| {
            task.title = Some("Approve {context.amount} for {context.who}".into());
            task.description = Some("{context.lacking} and {context.who".into());
            task.form_schema = Some(schema.into());
            task.assignee_key = Some("manager".parse().unwrap());
            task.assignee_group = Some(group("finance"));
            task.due_in = Some("2d".parse().unwrap());
            task.reminder_in = Some("1d".parse().unwrap());
        })
        .await;

        let instance = host.run("w", json!({"amount": 12, "who": "Ada", "manager": "bob"})).await;

        let id = instance.identity.id;
        assert_eq!(instance.status, WorkflowStatus::Waiting);
        assert_eq!(instance.current_step.unwrap().as_str(), "review");
        let tasks = host.tasks(id).await;
        assert_eq!(tasks.len(), 1);
        let task = &tasks[0];
        assert_eq!(task.status, TaskStatus::Pending);
        assert_eq!(task.title, "Approve 12 for Ada");
        assert_eq!(task.description.as_deref(), Some("{context.lacking} and {context.who"));
        assert_eq!(task.form_schema.as_ref().unwrap().tree(), &form);
        assert_eq!(task.assignee, Some(user_id("bob")));
        assert_eq!(task.group, Some(group("finance")));
        assert_eq!(task.due_at, Some(START.after(Duration::from_secs(2 * 86_400))));
        assert_eq!(task.reminder_at, Some(START.after(Duration::from_secs(86_400))));
        assert_eq!(host.path(id).await, ["a succeeded", "review waiting"]);
    }

    /// Case 70: a task that is meant for one person is nobody else's when that person is not known.
    async fn an_assignee_key_that_names_nobody_fails_its_step(host: TestHost) {
        review(&host, "w", |task| task.assignee_key = Some("manager".parse().unwrap())).await;

        for (data, found) in [(json!({}), "has no value"), (json!({"manager": 17}), "holds no user's id")] {
            let instance = host.run("w", data).await;

            let error = instance.error.unwrap();
            assert_eq!((instance.status, error.code.as_str()), (WorkflowStatus::Failed, "engine.input"));
            assert!(error.message.contains(found), "{}", error.message);
            assert!(host.tasks(instance.identity.id).await.is_empty());
        }
    }

    /// Case 64.
    async fn completing_a_task_merges_its_data_and_the_run_goes_on_to_its_end(host: TestHost) {
        review(&host, "w", |_| {}).await;
        let task = task_of(&host, "w", json!({"approved": false, "kept": 1})).await;
        host.clock.advance(Duration::from_secs(60));

        let said = Some("looks good".to_owned());
        host.engine.complete_task(task.id, user("ada"), json!({"approved": true}).into(), said).await.unwrap();

        let instance = host.settled(task.instance).await;
        assert_eq!(instance.status, WorkflowStatus::Completed);
        assert_eq!(instance.result.unwrap().tree(), &json!(true));
        assert_eq!(host.context(task.instance).await, json!({"approved": true, "kept": 1}));
        let task = host.engine.get_task(task.id).await.unwrap();
        assert_eq!(task.status, TaskStatus::Completed);
        assert_eq!(task.completed_by, Some(user_id("ada")));
        assert_eq!(task.completed_at, Some(START.after(Duration::from_secs(60))));
        assert_eq!(task.comment.as_deref(), Some("looks good"));
        let execution = &host.executions(task.instance).await[1];
        assert_eq!(execution.completed_by, Some(user_id("ada")));
        assert_eq!(execution.output.as_ref().unwrap().tree(), &json!({"approved": true}));
        assert_eq!(host.calls("b")[0].info.user, Some(user_id("ada")));
    }

    /// Case 67.
    async fn completing_what_does_not_wait_is_refused_and_nothing_changes(host: TestHost) {
        review(&host, "w", |_| {}).await;
        let task = task_of(&host, "w", json!({})).await;
        let nobody: InstanceId = "00000000-0000-7000-8000-000000000000".parse().unwrap();

        let wrong_step = complete(&host, task.instance, "a", user("ada"), json!({})).await.unwrap_err();
        let unknown_step = complete(&host, task.instance, "zzz", user("ada"), json!({})).await.unwrap_err();
        let unknown = complete(&host, nobody, "review", user("ada"), json!({})).await.unwrap_err();
        let no_task = host.engine.get_task(task.execution.task_id(nobody)).await.unwrap_err();

        assert!(matches!(wrong_step, EngineError::TaskNotFound { .. }), "{wrong_step}");
        assert!(matches!(unknown_step, EngineError::TaskNotFound { .. }), "{unknown_step}");
        assert!(matches!(unknown, EngineError::InstanceNotFound { .. }), "{unknown}");
        assert!(matches!(no_task, EngineError::TaskNotFound { .. }), "{no_task}");
        assert_eq!(host.engine.get_task(task.id).await.unwrap(), task);
    }

    /// Case 68.
    async fn a_second_completion_is_refused_and_nothing_changes(host: TestHost) {
        review(&host, "w", |_| {}).await;
        let task = task_of(&host, "w", json!({})).await;
        complete_by_id(&host, task.id, user("ada")).await.unwrap();
        host.settled(task.instance).await;
        let before = host.engine.get_task(task.id).await.unwrap();

        let by_id = complete_by_id(&host, task.id, user("bob")).await.unwrap_err();
        let by_step = complete(&host, task.instance, "review", user("bob"), json!({})).await.unwrap_err();

        assert!(matches!(by_id, EngineError::TaskAlreadyCompleted { .. }), "{by_id}");
        assert!(matches!(by_step, EngineError::AlreadyCompleted { .. }), "{by_step}");
        assert_eq!(host.engine.get_task(task.id).await.unwrap(), before);
    }

    /// Case 68.
    async fn of_racing_completions_exactly_one_wins(host: TestHost) {
        review(&host, "w", |_| {}).await;
        let task = task_of(&host, "w", json!({})).await;

        let racers = (0..8).map(|racer| {
            let (engine, id) = (host.engine.clone(), task.id);
            tokio::spawn(async move {
                engine.complete_task(id, user(&format!("u{racer}")), json!({"by": racer}).into(), None).await
            })
        });
        let mut won = Vec::new();
        for (racer, result) in racers.collect::<Vec<_>>().into_iter().enumerate() {
            match result.await.unwrap() {
                Ok(()) => won.push(racer),
                Err(error) => assert!(matches!(error, EngineError::TaskAlreadyCompleted { .. }), "{error}"),
            }
        }

        assert_eq!(won.len(), 1);
        assert_eq!(host.settled(task.instance).await.status, WorkflowStatus::Completed);
        assert_eq!(host.context(task.instance).await, json!({"by": won[0]}));
        assert_eq!(host.calls("b").len(), 1);
    }

    /// Case 69.
    async fn data_that_does_not_fit_the_form_is_refused_by_field_and_the_task_stays(host: TestHost) {
        let form = json!({
            "type": "object", "required": ["approved", "score", "way"],
            "properties": {
                "approved": {"type": "boolean"}, "score": {"type": "integer", "minimum": 1, "maximum": 5},
                "way": {"enum": ["mail", "phone"]}
            }
        });
        review(&host, "w", |task| task.form_schema = Some(form.into())).await;
        let task = task_of(&host, "w", json!({})).await;

        let data = json!({"score": 9, "way": "fax"});
        let error = complete(&host, task.instance, "review", user("ada"), data).await.unwrap_err();
        let no_object = complete(&host, task.instance, "review", user("ada"), json!("yes")).await.unwrap_err();

        let EngineError::InvalidData { errors, .. } = &error else { panic!("{error}") };
        let told = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(errors.len(), 3, "{told}");
        for field in ["approved", "score", "way"] {
            assert!(told.contains(field), "{told}");
        }
        assert!(matches!(no_object, EngineError::InvalidData { .. }), "{no_object}");
        assert_eq!(host.engine.get_task(task.id).await.unwrap(), task);
        assert_eq!(host.context(task.instance).await, json!({}));
    }

    async fn an_answer_that_would_burst_the_context_is_refused_and_the_task_stays(host: TestHost) {
        review(&host, "w", |_| {}).await;
        let task = task_of(&host, "w", json!({"there": "x".repeat(3 << 20)})).await;

        let data = json!({"more": "x".repeat(2 << 20)});
        let error = complete(&host, task.instance, "review", user("ada"), data).await.unwrap_err();

        assert!(matches!(&error, EngineError::InvalidData { .. }), "{error}");
        assert!(error.to_string().contains("the context would have"), "{error}");
        assert_eq!(host.engine.get_task(task.id).await.unwrap(), task);
    }

    /// Case 71.
    async fn only_who_may_do_a_task_completes_it(host: TestHost) {
        review(&host, "adas", |task| task.assignee = Some(user_id("ada"))).await;
        review(&host, "finances", |task| task.assignee_group = Some(group("finance"))).await;
        review(&host, "anyones", |_| {}).await;
        let member = Actor { groups: vec![group("finance")], ..user("carl") };
        let admin = Actor { standing: Standing::Admin, ..user("root") };

        for (workflow, who, may) in [
            ("adas", user("ada"), true),
            ("adas", user("bob"), false),
            ("adas", admin.clone(), true),
            ("finances", member, true),
            ("finances", user("bob"), false),
            ("finances", admin, true),
            ("anyones", user("bob"), true),
        ] {
            let task = task_of(&host, workflow, json!({})).await;
            let result = complete_by_id(&host, task.id, who.clone()).await;
            let refused = matches!(result, Err(EngineError::TaskUnauthorized { .. }));
            assert_eq!((result.is_ok(), refused), (may, !may), "{workflow} by {}", who.user);
        }
    }

    /// Case 72.
    async fn a_claimed_task_is_mine_and_can_not_be_claimed_again(host: TestHost) {
        review(&host, "w", |_| {}).await;
        let task = task_of(&host, "w", json!({})).await;

        host.engine.claim_task(task.id, user("ada")).await.unwrap();

        for who in ["ada", "bob"] {
            let error = host.engine.claim_task(task.id, user(who)).await.unwrap_err();
            assert!(matches!(error, EngineError::TaskUnauthorized { .. }), "{error}");
        }
        assert_eq!(host.engine.get_task(task.id).await.unwrap().assignee, Some(user_id("ada")));
        assert_eq!(host.executions(task.instance).await[1].assigned_to, Some(user_id("ada")));
        assert!(complete_by_id(&host, task.id, user("bob")).await.is_err());
        complete_by_id(&host, task.id, user("ada")).await.unwrap();
    }

    /// Case 73.
    async fn a_reassigned_task_is_the_others_and_history_says_why(host: TestHost) {
        review(&host, "w", |task| task.assignee = Some(user_id("ada"))).await;
        let task = task_of(&host, "w", json!({})).await;

        host.engine.reassign_task(task.id, user_id("bob"), "on holiday", None).await.unwrap();

        let history = host.engine.store().list_history(task.instance, 0, 100).await.unwrap();
        let told = serde_json::to_value(&history.last().unwrap().events).unwrap();
        assert_eq!(
            told,
            json!([{
                "type": "task_reassigned", "task": task.id, "step": "review", "from": "ada", "to": "bob",
                "reason": "on holiday"
            }])
        );
        let of = |name: &str| TaskFilter { assignee: Some(user_id(name)), ..TaskFilter::default() };
        assert_eq!(listed(&host, of("bob")).await, ["Review"]);
        assert_eq!(listed(&host, of("ada")).await, Vec::<String>::new());
        assert_eq!(host.executions(task.instance).await[1].assigned_to, Some(user_id("bob")));
        assert!(complete_by_id(&host, task.id, user("ada")).await.is_err());
        complete_by_id(&host, task.id, user("bob")).await.unwrap();
        let late = host.engine.reassign_task(task.id, user_id("ada"), "back", None).await.unwrap_err();
        assert!(matches!(late, EngineError::TaskAlreadyCompleted { .. }), "{late}");
    }

    /// Cases 74 and 75.
    async fn tasks_are_listed_by_who_may_do_them_and_by_when_they_are_due(host: TestHost) {
        for (name, assignee, in_group, due_in) in [
            ("never", None, None, None),
            ("late", Some("ada"), None, Some("3d")),
            ("soon", None, Some("finance"), Some("1d")),
            ("bobs", Some("bob"), None, Some("2d")),
        ] {
            review(&host, name, |task| {
                task.title = Some(name.into());
                task.assignee = assignee.map(user_id);
                task.assignee_group = in_group.map(group);
                task.due_in = due_in.map(|due| due.parse().unwrap());
            })
            .await;
            host.run(name, json!({})).await;
        }
        let done = task_of(&host, "soon", json!({})).await;
        let member = Actor { groups: vec![group("finance")], ..user("ada") };
        complete_by_id(&host, done.id, member).await.unwrap();

        let overdue = START.after(Duration::from_secs(2 * 86_400 + 1));
        let all = TaskFilter::default();
        let of_ada = TaskFilter { assignee: Some(user_id("ada")), ..TaskFilter::default() };
        let of_sales = TaskFilter { group: Some(group("sales")), ..TaskFilter::default() };
        let past_due = TaskFilter { overdue_at: Some(overdue), ..TaskFilter::default() };
        for (filter, expected) in [
            (all, vec!["soon", "bobs", "late", "never"]),
            (of_ada, vec!["soon", "late", "never"]),
            (of_sales, vec!["bobs", "late", "never"]),
            (past_due, vec!["soon", "bobs"]),
        ] {
            assert_eq!(listed(&host, filter.clone()).await, expected, "{filter:?}");
        }
    }

    /// Case 76.
    async fn cancelling_the_instance_cancels_its_task_and_completing_it_afterwards_is_refused(host: TestHost) {
        review(&host, "w", |_| {}).await;
        let task = task_of(&host, "w", json!({})).await;

        host.engine.cancel_workflow(task.instance, "not needed").await.unwrap();

        assert_eq!(host.engine.get_task(task.id).await.unwrap().status, TaskStatus::Canceled);
        let history = host.engine.store().list_history(task.instance, 0, 100).await.unwrap();
        let last = serde_json::to_value(&history.last().unwrap().events).unwrap();
        let types: Vec<_> = last.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["task_canceled", "step_canceled", "workflow_canceled"], "in one transaction");
        let error = complete_by_id(&host, task.id, user("ada")).await.unwrap_err();
        assert!(matches!(error, EngineError::TaskAlreadyCompleted { status: TaskStatus::Canceled, .. }), "{error}");
        assert!(listed(&host, TaskFilter::default()).await.is_empty());
    }
}
