//! The cases of gateway components, predicates, joins of the first branch, and steps that end every branch, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::sync::Arc;

use serde_json::{Value, json};
use stepcell_engine::EngineError;
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::expression::Scope;
use stepcell_model::name::{PredicateName, StepName};
use stepcell_model::status::WorkflowStatus;
use tokio::sync::Notify;

use crate::kit::{Answer, TestHost, done, fails, returns};

/// `way` asks its component, which of `b`, `c` and `d` follow; all lead to `j`.
async fn asks_a_component(host: &TestHost) {
    host.named(&["a", "b", "c", "d", "j"]).await;
    let machine = |name: &str| format!("  {name}: {{ type: machine, component: {name}@1 }}\n");
    let steps = ["a", "b", "c", "d", "j"].map(machine).concat();
    host.register_yaml(
        "w",
        &format!(
            "initial_step: a\nsteps:\n{steps}  way: {{ type: gateway, component: way@1, retry: {{ max_attempts: 1 }} }}\nedges:\n  \
             - {{ source: a, target: way }}\n  - {{ source: way, target: b }}\n  - {{ source: way, target: c }}\n  - {{ source: way, \
             target: d, default: true }}\n  - {{ source: b, target: j }}\n  - {{ source: c, target: j }}\n  - {{ source: d, target: j \
             }}\n"
        ),
    )
    .await;
}

/// The steps that ended, those that run beside each other by name.
async fn run_in_order(host: &TestHost, beside: std::ops::Range<usize>) -> Vec<String> {
    let instance = host.run("w", json!({})).await;
    assert_eq!(instance.status, WorkflowStatus::Completed, "{:?}", instance.error);
    let executions = host.executions(instance.identity.id).await;
    let mut steps: Vec<_> = executions.iter().map(|record| record.step.to_string()).collect();
    steps[beside].sort();
    steps
}

fn predicate(host: &TestHost, name: &str, decide: impl Fn(&Scope<'_>) -> Result<bool, String> + Send + Sync + 'static) {
    host.engine.registry().register_predicate(PredicateName::new(name).unwrap(), decide);
}

/// `a` leads to `b` where the predicate `name` holds, and to `c` otherwise.
fn by_predicate(name: &str) -> String {
    format!(
        "schema: stepcell/v1\nname: w\nversion: 1.0.0\ninitial_step: a\nsteps:\n  a: {{ type: machine, component: a@1 }}\n  b: {{ \
         type: machine, component: b@1 }}\n  c: {{ type: machine, component: c@1 }}\nedges:\n  - {{ source: a, target: b, \
         predicate: {name} }}\n  - {{ source: a, target: c, default: true }}\n"
    )
}

on_every_store! {
    /// Case 43.
    async fn a_gateway_component_that_names_one_target_runs_that_and_then_the_step_common_to_all(host: TestHost) {
        host.gateway("way", |_| returns(json!(["c"]))).await;
        asks_a_component(&host).await;

        assert_eq!(run_in_order(&host, 0..0).await, ["a", "way", "c", "j"]);

        assert_eq!(host.runner.targets.lock().unwrap()[0].1, ["b", "c", "d"].map(|name| StepName::new(name).unwrap()));
        assert_eq!(host.calls("c")[0].input.tree(), "a", "a gateway hands on what came to it");
    }

    /// Case 44.
    async fn a_gateway_component_that_names_several_targets_runs_exactly_those_and_then_the_join_once(host: TestHost) {
        host.gateway("way", |_| returns(json!(["d", "b"]))).await;
        asks_a_component(&host).await;

        assert_eq!(run_in_order(&host, 2..4).await, ["a", "way", "b", "d", "j"]);
        assert_eq!(host.calls("j")[0].input.tree(), &json!({"b": "b", "d": "d"}));
    }

    /// Case 44.
    async fn a_name_that_a_gateway_component_gives_twice_counts_once(host: TestHost) {
        host.gateway("way", |_| returns(json!(["b", "c", "b"]))).await;
        asks_a_component(&host).await;

        assert_eq!(run_in_order(&host, 2..4).await, ["a", "way", "b", "c", "j"]);
    }

    async fn a_gateway_component_that_names_nothing_takes_the_default_edge(host: TestHost) {
        host.gateway("way", |_| returns(json!([]))).await;
        asks_a_component(&host).await;

        assert_eq!(run_in_order(&host, 0..0).await, ["a", "way", "d", "j"]);
    }

    /// Case 43.
    async fn a_name_that_is_no_outgoing_target_of_a_gateway_fails_the_instance_with_those_there_are(host: TestHost) {
        host.gateway("way", |call| returns(call.context.get("answer").unwrap().tree().clone())).await;
        asks_a_component(&host).await;

        for (answer, told) in [
            (json!(["b", "j"]), "`j`, which no edge from it leads to"),
            (json!(["nowhere"]), "`nowhere`, which no edge from it leads to"),
            (json!([7]), "`7`, which no edge from it leads to"),
            (json!("b"), "with no list of names"),
        ] {
            let calls = host.calls("b").len();
            let instance = host.run("w", json!({"answer": answer})).await;

            let error = instance.error.unwrap();
            assert_eq!((error.code.as_str(), error.step.unwrap().as_str()), ("engine.contract", "way"));
            assert_eq!(
                error.message,
                format!("the component of gateway `way` answered {told}; it may name `b`, `c`, `d`")
            );
            assert_eq!(host.path(instance.identity.id).await, ["a succeeded", "way failed"]);
            assert_eq!(host.calls("b").len(), calls, "none of the others was begun");
        }
    }

    async fn a_gateway_component_that_fails_is_a_step_that_fails(host: TestHost) {
        host.gateway("way", |_| fails("undecided", "heads and tails")).await;
        asks_a_component(&host).await;

        let instance = host.run("w", json!({})).await;

        let error = instance.error.unwrap();
        assert_eq!((error.code.as_str(), error.message.as_str()), ("undecided", "heads and tails"));
        assert_eq!(instance.current_step.unwrap().as_str(), "way");
    }

    async fn a_gateway_component_that_the_host_went_down_in_is_asked_again(host: TestHost) {
        host.stores_each_step().await;
        host.gateway("way", |call| if call.info.attempt == 1 { Answer::Never } else { returns(json!(["b"])) }).await;
        host.named(&["b", "c"]).await;
        host.register_yaml(
            "w",
            "initial_step: way\nsteps:\n  way: { type: gateway, component: way@1, retry: { initial_delay: 0s } }\n  b: { type: \
             machine, component: b@1 }\n  c: { type: machine, component: c@1 }\nedges: [{ source: way, target: b }, { source: way, \
             target: c }]\n",
        )
        .await;
        let id = host.start("w", json!({})).await;
        host.called("way", 1).await;

        let host = host.crash_and_restart().await;

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.path(id).await, ["way succeeded", "b succeeded"]);
    }

    /// Case 41.
    async fn a_predicate_of_the_embedding_program_stands_as_a_condition_and_is_honoured(host: TestHost) {
        host.named(&["a", "b", "c"]).await;
        predicate(&host, "is-large", |scope| {
            let amount = scope.context.iter().find(|(key, _)| key.as_str() == "amount").map(|(_, value)| value.tree().clone());
            Ok(amount.and_then(|amount| amount.as_i64()).is_some_and(|amount| amount >= 1_000))
        });
        let definition = WorkflowDefinition::from_text(&by_predicate("is-large")).unwrap();
        host.register(definition.clone()).await;

        for (amount, path) in [(5_000, ["a succeeded", "b succeeded"]), (5, ["a succeeded", "c succeeded"])] {
            let id = host.run("w", json!({"amount": amount})).await.identity.id;
            assert_eq!(host.path(id).await, path);
        }
        let record = host.engine.registry().get_definition(&definition.name, None).await.unwrap();
        assert_eq!(WorkflowDefinition::from_text(record.document.text()).unwrap(), definition, "it stays data");
    }

    /// Case 41.
    async fn a_predicate_that_is_not_registered_is_refused_at_registration_naming_the_edge(host: TestHost) {
        host.named(&["a", "b", "c"]).await;
        predicate(&host, "is-large", |_| Ok(true));
        let definition = WorkflowDefinition::from_text(&by_predicate("is-lagre")).unwrap();

        let refused = host.engine.registry().register_definition(definition).await.unwrap_err();

        assert_eq!(
            refused.to_string(),
            "the definition is not valid:\nedges[0].predicate: no predicate `is-lagre` is registered; did you mean `is-large`?; only \
             a program that embeds the engine can register one: elsewhere, write a `condition`"
        );
        assert!(matches!(host.try_start("w", json!({})).await.unwrap_err(), EngineError::WorkflowNotFound { .. }));
    }

    /// Case 41.
    async fn a_predicate_that_errs_or_panics_fails_the_instance_naming_the_edge(host: TestHost) {
        host.named(&["a", "b", "c"]).await;
        predicate(&host, "moody", |scope| {
            let is_wild = scope.context.iter().any(|(key, _)| key.as_str() == "wild");
            assert!(!is_wild, "a predicate went wild");
            Err("no mood for that".to_owned())
        });
        host.register(WorkflowDefinition::from_text(&by_predicate("moody")).unwrap()).await;

        for (data, why) in [(json!({}), "no mood for that"), (json!({"wild": 1}), "the predicate `moody` panicked")] {
            let instance = host.run("w", data).await;

            assert_eq!(instance.status, WorkflowStatus::Failed);
            let error = instance.error.unwrap();
            assert_eq!((error.code.as_str(), error.step.unwrap().as_str()), ("engine.expression", "a"));
            assert_eq!(error.message, format!("the condition of edge 0 from `a` to `b` failed: {why}"));
        }
    }

    async fn a_join_of_any_runs_at_the_first_arrival_and_absorbs_the_others(host: TestHost) {
        let (hold, release) = { let hold = Arc::new(Notify::new()); (Arc::clone(&hold), hold) };
        host.named(&["s", "b", "j"]).await;
        host.step("a", move |_| Answer::Hold(Arc::clone(&hold))).await;
        let machine = |name: &str| format!("  {name}: {{ type: machine, component: {name}@1 }}\n");
        host.register_yaml(
            "w",
            &format!(
                "initial_step: s\nsteps:\n{}  j: {{ type: machine, component: j@1, join: any }}\nedges: [{{ source: s, target: a }}, {{ \
                 source: s, target: b }}, {{ source: a, target: j }}, {{ source: b, target: j }}]\n",
                ["s", "a", "b"].map(machine).concat()
            ),
        )
        .await;

        let id = host.start("w", json!({})).await;
        host.called("j", 1).await;
        release.notify_one();

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.calls("j").len(), 1);
        assert_eq!(host.calls("j")[0].input.tree(), "b");
        assert!(host.events(id).await.contains(&"branch_absorbed".to_owned()));
    }

    async fn a_terminating_step_ends_every_branch_at_once(host: TestHost) {
        host.named(&["s"]).await;
        host.step("a", |_| returns("first")).await;
        host.step("b", |_| Answer::Never).await;
        host.register_yaml(
            "w",
            "initial_step: s\nsteps:\n  s: { type: machine, component: s@1 }\n  a: { type: machine, component: a@1, terminate: true \
             }\n  b: { type: machine, component: b@1 }\n  t: { type: timer, duration: 1h }\n  h: { type: human }\nedges: [{ source: s, \
             target: b }, { source: s, target: t }, { source: s, target: h }, { source: s, target: a }]\n",
        )
        .await;

        let instance = host.run("w", json!({})).await;

        assert_eq!((instance.status, instance.result.unwrap().tree()), (WorkflowStatus::Completed, &json!("first")));
        let mut path = host.path(instance.identity.id).await;
        path.sort();
        assert_eq!(path, ["a succeeded", "b canceled", "h canceled", "s succeeded", "t canceled"]);
        host.cools().await;
    }

    /// Case 52.
    async fn a_loop_through_a_group_a_timer_and_a_gateway_ends_after_its_rounds(host: TestHost) {
        host.step("count", |call| {
            let n = call.context.get("n").map_or(0, |n| n.tree().as_i64().unwrap());
            kit::writes("n", n + 1)
        })
        .await;
        host.step("end", |_| done()).await;
        host.register_yaml(
            "w",
            "initial_step: g\nsteps:\n  g: { type: parallel, steps: { count: { type: machine, component: count@1 }, side: { type: \
             machine, component: end@1 } } }\n  t: { type: timer, duration: 0s }\n  way: { type: gateway, mode: exclusive }\n  end: { \
             type: machine, component: end@1 }\nedges: [{ source: g, target: t }, { source: t, target: way }, { source: way, target: g, \
             condition: context.n < 3 }, { source: way, target: end, default: true }]\n",
        )
        .await;

        let id = host.run("w", json!({})).await.identity.id;

        let executions = host.executions(id).await;
        let rounds = |step: &str| executions.iter().filter(|record| record.step.as_str() == step).count();
        assert_eq!(["g", "g/count", "g/side", "t", "way", "end"].map(rounds), [3, 3, 3, 3, 3, 1]);
        assert_eq!(host.context(id).await, json!({"n": 3}));
    }

    /// Case 52.
    async fn an_iteration_limit_stops_a_loop_of_group_members_and_of_timers_alike(host: TestHost) {
        host.named(&["a"]).await;
        for (name, step) in [("members", "type: sequential, steps: { a: { type: machine, component: a@1 } }"), ("timers", "type: timer, duration: 0s")] {
            host.register_yaml(
                name,
                &format!(
                    "initial_step: l\nlimits: {{ iterations: 9 }}\nterminal_steps: [e]\nsteps: {{ l: {{ {step} }}, e: {{ type: timer, \
                     duration: 0s }} }}\nedges: [{{ source: l, target: e, condition: 'false' }}, {{ source: l, target: l, default: true \
                     }}]\n"
                ),
            )
            .await;

            let instance = host.run(name, Value::Null).await;

            assert_eq!(instance.status, WorkflowStatus::Failed);
            assert_eq!(instance.error.unwrap().code.as_str(), "engine.iterations");
            assert_eq!(host.executions(instance.identity.id).await.len(), 9, "{name}");
        }
    }
}
