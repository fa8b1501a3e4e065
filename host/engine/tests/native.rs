//! The cases of host-native steps, on every store: what holds for components holds for them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use stepcell_engine::{EngineError, Executed, Gateway, StartRequest, Step, WorkflowContext, execute_step};
use stepcell_model::attempt::CellLimits;
use stepcell_model::definition::{GatewayStep, Jitter, MachineStep, RetryPolicy, WorkflowDefinition};
use stepcell_model::failure::{EngineCode, Failure};
use stepcell_model::json::Json;
use stepcell_model::name::{StepName, TenantId, UserId};
use stepcell_model::record::ExecutionRecord;
use stepcell_model::status::{StepStatus, WorkflowStatus};

use crate::kit::{TestHost, done, fails, returns, user, writes};

type Work = Box<dyn Fn(&mut WorkflowContext) -> Result<Json, Failure> + Send + Sync>;
type Hook<T> = Box<dyn Fn(&mut WorkflowContext, &T) -> Result<(), Failure> + Send + Sync>;

/// A host-native step of closures.
struct Native {
    name: &'static str,
    guard: fn(&WorkflowContext) -> Result<bool, Failure>,
    work: Work,
    succeeded: Hook<Json>,
    failed: Hook<Failure>,
}

fn native(
    name: &'static str,
    work: impl Fn(&mut WorkflowContext) -> Result<Json, Failure> + Send + Sync + 'static,
) -> Native {
    Native {
        name,
        guard: |_| Ok(true),
        work: Box::new(work),
        succeeded: Box::new(|_, _| Ok(())),
        failed: Box::new(|_, _| Ok(())),
    }
}

#[async_trait]
impl Step for Native {
    fn name(&self) -> &str {
        self.name
    }

    async fn can_execute(&self, context: &WorkflowContext) -> Result<bool, Failure> {
        (self.guard)(context)
    }

    async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure> {
        (self.work)(context)
    }

    async fn on_success(&self, context: &mut WorkflowContext, result: &Json) -> Result<(), Failure> {
        (self.succeeded)(context, result)
    }

    async fn on_failure(&self, context: &mut WorkflowContext, error: &Failure) -> Result<(), Failure> {
        (self.failed)(context, error)
    }
}

/// A host-native step that writes and then never ends.
struct Endless;

#[async_trait]
impl Step for Endless {
    fn name(&self) -> &str {
        "endless"
    }

    async fn execute(&self, context: &mut WorkflowContext) -> Result<Json, Failure> {
        context.set("begun", true)?;
        std::future::pending().await
    }
}

/// A gateway that names what the context has under `way`.
struct Way;

#[async_trait]
impl Gateway for Way {
    fn name(&self) -> &str {
        "way"
    }

    async fn evaluate(&self, context: &WorkflowContext, targets: &[StepName]) -> Result<Vec<String>, Failure> {
        match context.get("way").and_then(Value::as_str) {
            Some("all") => Ok(targets.iter().map(ToString::to_string).collect()),
            Some("panic") => panic!("no way"),
            Some(way) => Ok(vec![way.to_owned()]),
            None => Err(Failure::new("lost", "`way` is not there.")),
        }
    }
}

fn json_of(value: Value) -> Result<Json, Failure> {
    Ok(value.into())
}

/// Registers a step, and a workflow `w` of it alone, which tries once.
async fn workflow_of(host: &TestHost, step: impl Step) {
    workflow_with(host, step, |_| {}).await;
}

async fn workflow_with(host: &TestHost, step: impl Step, change: impl FnOnce(&mut MachineStep)) {
    let component = format!("host:{}", step.name());
    host.engine.registry().register_step(Arc::new(step)).unwrap();
    let machine = |machine: &mut MachineStep| {
        machine.retry = RetryPolicy::never();
        change(machine);
    };
    host.register(WorkflowDefinition::builder("w", "1.0.0").machine_with("only", &component, machine).build().unwrap())
        .await;
}

async fn only_execution(host: &TestHost, data: Value) -> ExecutionRecord {
    let instance = host.run("w", data).await;
    host.executions(instance.identity.id).await.remove(0)
}

fn context(data: Value) -> WorkflowContext {
    WorkflowContext::new("only".parse().unwrap(), data).unwrap()
}

on_every_store! {
    async fn a_host_step_works_beside_components_and_what_it_writes_reaches_them(host: TestHost) {
        host.step("before", |_| returns(json!({"price": 12}))).await;
        host.step("after", |call| returns(call.context["total"].tree().clone())).await;
        let total = native("shop/total", |context| {
            let price = context.input()["price"].as_i64().unwrap();
            assert_eq!(context.previous_result(), Some(context.input()));
            let total = price * context.get_or("count", 1).as_i64().unwrap();
            context.set("total", total)?;
            context.remove("count")?;
            json_of(json!(total))
        });
        host.engine.registry().register_step(Arc::new(total)).unwrap();
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("before", "before@1")
            .machine("total", "host:shop/total")
            .machine("after", "after@1")
            .edge("before", "total")
            .edge("total", "after");
        host.register(definition.build().unwrap()).await;

        let instance = host.run("w", json!({"count": 3})).await;

        assert_eq!(instance.result, Some(json!(36).into()));
        assert_eq!(host.context(instance.identity.id).await, json!({"total": 36}));
        assert_eq!(host.path(instance.identity.id).await, ["before succeeded", "total succeeded", "after succeeded"]);
    }

    async fn a_context_tells_who_is_running_what_and_for_whom(host: TestHost) {
        let tells = native("tells", |context| {
            json_of(json!({
                "workflow_id": context.workflow_id(),
                "instance_id": context.instance_id(),
                "data": context.data().keys().map(ToString::to_string).collect::<Vec<_>>(),
                "region": context.metadata()["region"].tree(),
                "current_step": context.current_step(),
                "step_history": context.step_history().iter().map(|record| record.step.as_str()).collect::<Vec<_>>(),
                "started_at": context.started_at().to_string(),
                "user_id": context.user_id(),
                "tenant_id": context.tenant_id(),
                "currency": context.config("currency"),
                "attempt": context.info().attempt,
            }))
        });
        host.step("first", |_| done()).await;
        host.engine.registry().register_step(Arc::new(tells)).unwrap();
        let configured = |machine: &mut MachineStep| {
            machine.config.insert("currency".to_owned(), json!("EUR").into());
        };
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .machine("first", "first@1")
            .machine_with("tell", "host:tells", configured)
            .edge("first", "tell");
        host.register(definition.build().unwrap()).await;
        let request = StartRequest {
            metadata: json!({"region": "eu"}).into(),
            user: Some(UserId::new("ada").unwrap()),
            tenant: Some(TenantId::new("acme").unwrap()),
            ..StartRequest::new("w".parse().unwrap()).with_data(json!({"amount": 1}))
        };

        let id = host.engine.start_workflow(request).await.unwrap().identity.id;
        let instance = host.settled(id).await;

        let expected = json!({
            "workflow_id": instance.identity.definition,
            "instance_id": id,
            "data": ["amount"],
            "region": "eu",
            "current_step": "tell",
            "step_history": ["first"],
            "started_at": instance.identity.started_at.to_string(),
            "user_id": "ada",
            "tenant_id": "acme",
            "currency": "EUR",
            "attempt": 1,
        });
        assert_eq!(instance.result.unwrap().tree(), &expected);
    }

    async fn a_host_step_whose_guard_says_no_is_skipped_and_one_whose_guard_fails_has_failed(host: TestHost) {
        let guard = |context: &WorkflowContext| match context.get("wanted").and_then(Value::as_bool) {
            Some(wanted) => Ok(wanted),
            None => Err(Failure::new("unclear", "`wanted` is not there.")),
        };
        workflow_of(&host, Native { guard, ..native("guarded", |_| json_of(json!("did"))) }).await;

        assert_eq!(only_execution(&host, json!({"wanted": true})).await.status, StepStatus::Succeeded);
        assert_eq!(only_execution(&host, json!({"wanted": false})).await.status, StepStatus::Skipped);
        let unclear = only_execution(&host, json!({})).await;
        assert_eq!((unclear.status, unclear.failure.unwrap().code.as_str()), (StepStatus::Failed, "unclear"));
    }

    async fn what_a_failed_attempt_wrote_is_dropped_and_the_next_one_sees_a_fresh_snapshot(host: TestHost) {
        let second_time = native("second", |context| {
            assert_eq!(context.get("left"), None);
            context.set("left", context.info().attempt)?;
            if context.info().attempt == 1 {
                return Err(Failure::new("busy", "Not yet.").retryable());
            }
            json_of(json!("done"))
        });
        let whole = RetryPolicy { jitter: Jitter::None, ..RetryPolicy::default() };
        workflow_with(&host, second_time, |machine| machine.retry = whole).await;

        let id = host.start("w", json!({})).await;
        host.waits(id).await;
        assert_eq!(host.context(id).await, json!({}));
        host.clock.advance(Duration::from_secs(30));

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.context(id).await, json!({"left": 2}));
        assert_eq!(host.executions(id).await[0].attempts, 2);
    }

    async fn an_on_success_that_fails_drops_only_its_own_writes(host: TestHost) {
        let step = native("hooked", |context| {
            context.set("worked", true)?;
            json_of(json!(7))
        });
        let succeeded: Hook<Json> = Box::new(|context, result| {
            context.set("told", result.clone())?;
            Err(Failure::new("deaf", "Nobody hears."))
        });
        workflow_of(&host, Native { succeeded, ..step }).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Completed);
        assert_eq!(host.context(instance.identity.id).await, json!({"worked": true}));
        assert!(host.events(instance.identity.id).await.contains(&"hook_ended".to_owned()));
    }

    async fn on_failure_is_told_once_after_the_last_attempt_and_its_writes_are_kept(host: TestHost) {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let step = native("broken", |context| {
            context.set("half", true)?;
            Err(Failure::new("busy", "Never.").retryable())
        });
        let failed: Hook<Failure> = Box::new(move |context, error| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(context.set("cleaned", error.code.as_str())?)
        });
        let twice = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
        workflow_with(&host, Native { failed, ..step }, |machine| machine.retry = twice).await;

        let id = host.start("w", json!({})).await;
        host.waits(id).await;
        host.clock.advance(Duration::from_secs(30));
        let instance = host.settled(id).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(instance.error.unwrap().code.as_str(), "busy");
        assert_eq!(host.context(id).await, json!({"cleaned": "busy"}));
        assert_eq!(told.load(Ordering::SeqCst), 1);
    }

    async fn a_panic_of_a_host_step_costs_its_attempt_alone(host: TestHost) {
        let panics = native("panics", |context| match context.get("on").and_then(Value::as_str) {
            Some(reason) => panic!("it breaks on {reason}"),
            None => json_of(json!("fine")),
        });
        workflow_of(&host, panics).await;

        let broken = only_execution(&host, json!({"on": "mondays"})).await;
        let fine = only_execution(&host, json!({})).await;

        let failure = broken.failure.unwrap();
        assert!(failure.code == EngineCode::Trap && !failure.retryable, "{failure}");
        assert_eq!(failure.message, "The step panicked: it breaks on mondays.");
        assert_eq!(fine.status, StepStatus::Succeeded);
    }

    async fn a_host_step_that_runs_past_its_timeout_or_wall_limit_is_stopped_there(host: TestHost) {
        workflow_with(&host, Endless, |machine| machine.timeout = Some("5ms".parse().unwrap())).await;
        let within_wall = |machine: &mut MachineStep| {
            machine.retry = RetryPolicy::never();
            machine.limits.wall = Some("5ms".parse().unwrap());
        };
        let definition = WorkflowDefinition::builder("walled", "1.0.0").machine_with("only", "host:endless", within_wall);
        host.register(definition.build().unwrap()).await;

        for (workflow, code) in [("w", EngineCode::Timeout), ("walled", EngineCode::Wall)] {
            let instance = host.run(workflow, json!({})).await;
            let error = instance.error.unwrap();
            assert!(error.code == code, "{workflow}: {}", error.code);
            assert_eq!(host.context(instance.identity.id).await, json!({}));
        }
    }

    async fn what_is_too_large_or_too_deep_fails_the_host_step_and_not_the_host(host: TestHost) {
        let step = native("gives", |context| match context.get("what").and_then(Value::as_str) {
            Some("key") => Ok(context.set("engine.x", 1).map(|()| Json::null())?),
            Some("value") => Ok(context.set("x", "x".repeat(300 << 10)).map(|()| Json::null())?),
            Some("output") => json_of(json!("x".repeat(2 << 20))),
            Some("depth") => json_of((0..100).fold(json!(1), |inner, _| json!([inner]))),
            _ => json_of(json!(null)),
        });
        workflow_of(&host, step).await;

        let cases = [
            ("key", "invalid-key"),
            ("value", "value-too-large"),
            ("output", "engine.output"),
            ("depth", "engine.invalid-output"),
        ];
        for (what, code) in cases {
            let failure = only_execution(&host, json!({"what": what})).await.failure.unwrap();
            assert_eq!(failure.code.as_str(), code, "{failure}");
        }
    }

    async fn a_definition_that_names_an_unknown_host_step_is_refused_with_those_there_are(host: TestHost) {
        let definition = WorkflowDefinition::builder("w", "1.0.0").machine("only", "host:pay").build().unwrap();
        let registry = host.engine.registry();

        let none = registry.register_definition(definition.clone()).await.unwrap_err();
        registry.register_step(Arc::new(native("refund", |_| json_of(json!(1))))).unwrap();
        registry.register_step(Arc::new(native("charge", |_| json_of(json!(1))))).unwrap();
        let two = registry.register_definition(definition).await.unwrap_err();

        for (error, known) in [(none, "there are none"), (two, "there are charge, refund")] {
            let EngineError::Validation { problems } = error else { panic!("{error}") };
            assert_eq!(problems.as_slice()[0].path, "steps.only.component");
            assert!(problems.to_string().contains(known), "{problems}");
        }
    }

    async fn a_name_stands_for_one_host_step_as_long_as_the_process_lives(host: TestHost) {
        let registry = host.engine.registry();
        let step: Arc<dyn Step> = Arc::new(native("pay", |_| json_of(json!(1))));

        registry.register_step(Arc::clone(&step)).unwrap();
        registry.register_step(step).unwrap();
        let other = registry.register_step(Arc::new(native("pay", |_| json_of(json!(2))))).unwrap_err();
        let malformed = registry.register_step(Arc::new(native("no name", |_| json_of(json!(2))))).unwrap_err();

        assert!(other.to_string().contains("another step of this process has the name"), "{other}");
        assert!(matches!(malformed, EngineError::ComponentRefused { .. }), "{malformed}");
    }

    async fn a_host_step_that_is_not_registered_after_a_restart_is_tried_again_once_it_is(host: TestHost) {
        let pay = || Arc::new(native("pay", |_| json_of(json!("paid"))));
        host.engine.registry().register_step(pay()).unwrap();
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .human("review", |_| {})
            .machine("pay", "host:pay")
            .edge("review", "pay");
        host.register(definition.build().unwrap()).await;
        let id = host.run("w", json!({})).await.identity.id;

        let host = host.crash_and_restart().await;
        let review = "review".parse().unwrap();
        host.engine.complete_human_task(id, &review, user("ada"), json!({}).into()).await.unwrap();
        host.waits(id).await;
        let history = host.engine.store().list_history(id, 0, 100).await.unwrap();
        let told = serde_json::to_string(&history.last().unwrap().events).unwrap();
        host.engine.registry().register_step(pay()).unwrap();
        host.clock.advance(Duration::from_secs(30));

        assert_eq!(host.settled(id).await.result, Some(json!("paid").into()));
        assert!(told.contains("engine.host") && told.contains("no step `pay` is registered in this process"), "{told}");
    }

    async fn a_host_gateway_names_the_steps_that_follow(host: TestHost) {
        host.engine.registry().register_gateway(Arc::new(Way)).unwrap();
        host.step("go", |_| done()).await;
        let way = GatewayStep { retry: RetryPolicy::never(), ..GatewayStep::of_component("host:way".parse().unwrap()) };
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .step("choose", way)
            .machine("left", "go@1")
            .machine("right", "go@1")
            .edge("choose", "left")
            .edge("choose", "right");
        host.register(definition.build().unwrap()).await;

        for (way, path) in [
            (json!({"way": "left"}), vec!["choose succeeded", "left succeeded"]),
            (json!({"way": "all"}), vec!["choose succeeded", "left succeeded", "right succeeded"]),
            (json!({"way": "nowhere"}), vec!["choose failed"]),
            (json!({"way": "panic"}), vec!["choose failed"]),
            (json!({}), vec!["choose failed"]),
        ] {
            let id = host.run("w", way.clone()).await.identity.id;
            let mut taken = host.path(id).await;
            taken.sort();
            assert_eq!(taken, path, "{way}");
        }
    }

    async fn a_host_step_is_no_gateway_and_a_gateway_is_no_step(host: TestHost) {
        let registry = host.engine.registry();
        registry.register_gateway(Arc::new(Way)).unwrap();
        registry.register_step(Arc::new(native("work", |_| json_of(json!(1))))).unwrap();
        let definition = WorkflowDefinition::builder("w", "1.0.0")
            .step("choose", GatewayStep::of_component("host:work".parse().unwrap()))
            .machine("do", "host:way")
            .edge("choose", "do");

        let error = registry.register_definition(definition.build().unwrap()).await.unwrap_err().to_string();

        assert!(error.contains("`host:work` exports `step` and no `gateway`"), "{error}");
        assert!(error.contains("`host:way` exports `gateway` and no `step`"), "{error}");
        assert!(registry.load_step(&"host:way".parse().unwrap()).await.is_err());
        assert!(registry.register_step(Arc::new(native("way", |_| json_of(json!(1))))).is_err());
    }

    async fn a_host_step_runs_as_a_member_of_a_group_and_to_undo_what_was_done(host: TestHost) {
        let registry = host.engine.registry();
        registry.register_step(Arc::new(native("book", |_| json_of(json!("booked"))))).unwrap();
        registry.register_step(Arc::new(native("undo", |context| Ok(context.set("undone", 1).map(|()| Json::null())?)))).unwrap();
        registry.register_step(Arc::new(native("fail", |_| Err(Failure::new("broken", "It broke."))))).unwrap();
        let body = "
initial_step: trip
steps:
  trip:
    type: sequential
    steps:
      flight: { type: machine, component: host:book, compensate: host:undo }
      hotel: { type: machine, component: host:fail }
";
        host.register_yaml("w", body).await;

        let instance = host.run("w", json!({})).await;

        assert_eq!(instance.status, WorkflowStatus::Failed);
        assert_eq!(host.context(instance.identity.id).await["undone"], 1);
    }

    async fn a_component_is_run_alone_like_any_step(host: TestHost) {
        host.step_with_hook(
            "adds",
            |call| match call.previous.as_ref().and_then(|previous| previous.tree().as_i64()) {
                Some(previous) => writes("sum", previous + call.context["by"].tree().as_i64().unwrap()),
                None => fails("nothing", "there is nothing to add to"),
            },
            |_, failure| writes("said", failure.code.as_str()),
        )
        .await;
        let step = host.engine.registry().load_step(&"adds@1".parse().unwrap()).await.unwrap();
        let mut context = context(json!({"by": 2}));

        let executed = execute_step(&*step, &mut context, Some(json!(40).into())).await.unwrap();
        assert_eq!(executed, Executed::Returned(Json::null()));
        assert_eq!(context.get("sum"), Some(&json!(42)));

        let error = execute_step(&*step, &mut context, None).await.unwrap_err();
        assert!(matches!(&error, EngineError::StepExecution { cause, .. } if cause.code.as_str() == "nothing"), "{error}");
        assert_eq!(context.get("said"), Some(&json!("nothing")));
        assert_eq!((step.name(), step.execute(&mut context).await.is_err()), ("adds", true));
        let unknown = host.engine.registry().load_step(&"host:adds".parse().unwrap()).await;
        assert!(unknown.is_err_and(|error| error.to_string().contains("no step `adds` is registered")));
    }
}

#[tokio::test]
async fn a_step_alone_goes_through_all_its_hooks_and_keeps_what_it_wrote() {
    let guard = |context: &WorkflowContext| Ok(context.get("skip").is_none());
    let work = native("alone", |context| {
        context.set("worked", context.input().clone())?;
        json_of(json!("result"))
    });
    let succeeded: Hook<Json> = Box::new(|context, result| Ok(context.set("told", result.clone())?));
    let step = Native { guard, succeeded, ..work };
    let mut context = context(json!({"a": 1}));

    let executed = execute_step(&step, &mut context, Some(json!("before").into())).await.unwrap();
    assert_eq!(executed.into_output(), Some(json!("result").into()));
    assert_eq!(context.get("worked"), Some(&json!("before")));
    assert_eq!(context.get("told"), Some(&json!("result")));

    context.set("skip", true).unwrap();
    assert_eq!(execute_step(&step, &mut context, None).await.unwrap(), Executed::Skipped);
}

#[tokio::test]
async fn a_step_alone_that_fails_says_where_and_why_and_leaves_only_what_on_failure_wrote() {
    let work = native("alone", |context| {
        context.set("half", true)?;
        Err(Failure::new("declined", "The bank refuses."))
    });
    let failed: Hook<Failure> = Box::new(|context, error| Ok(context.set("told", error.code.as_str())?));
    let mut context = context(json!({})).with_limits(CellLimits::default()).for_user(UserId::new("ada").unwrap());

    let error = execute_step(&Native { failed, ..work }, &mut context, None).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "step `only` failed at attempt 1: declined: The bank refuses.; the same call will fail again, so change what it says"
    );
    assert_eq!((context.get("half"), context.get("told")), (None, Some(&json!("declined"))));
}

#[test]
fn a_context_of_its_own_takes_objects_alone() {
    assert!(WorkflowContext::new("only".parse().unwrap(), json!([1])).is_err());
    assert!(context(json!(null)).with_metadata(json!({"engine.x": 1})).is_err());
    let context = context(json!({})).with_metadata(json!({"region": "eu"})).unwrap();
    assert_eq!(context.metadata()["region"].tree(), "eu");
}
