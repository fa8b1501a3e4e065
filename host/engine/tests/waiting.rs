//! The cases of timers, callbacks, signals and the times of tasks, on every store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use std::time::Duration;

use serde_json::{Value, json};
use stepcell_engine::{CallbackAddress, Delivered, Delivery, EngineError};
use stepcell_model::id::InstanceId;
use stepcell_model::json::Json;
use stepcell_model::name::{SignalName, StepName};
use stepcell_model::status::{TaskStatus, WorkflowStatus};
use stepcell_model::time::Timestamp;
use stepcell_store::TaskFilter;

use crate::kit::{START, TestHost, returns};

/// Registers a workflow of a step `w` that waits, a step `after`, which returns what it was given, and a step `late` for
/// time-outs.
async fn waiting(host: &TestHost, step: &str) {
    host.step("after", |call| returns(call.input.tree().clone())).await;
    host.register_yaml(
        "w",
        &format!(
            "initial_step: w\nsteps:\n  w: {step}\n  after: {{ type: machine, component: after@1 }}\n  late: {{ type: machine, \
             component: after@1 }}\nedges:\n  - {{ source: w, target: after }}\n  - {{ source: w, target: late, outcome: timeout \
             }}\n"
        ),
    )
    .await;
}

fn w() -> StepName {
    StepName::new("w").unwrap()
}

async fn address(host: &TestHost, id: InstanceId) -> CallbackAddress {
    host.engine.webhook_address(id, &w()).await.unwrap()
}

async fn deliver(host: &TestHost, id: InstanceId, payload: Value) -> Result<Delivered, EngineError> {
    let token = address(host, id).await.token;
    host.engine.deliver_webhook(id, &w(), &token, Delivery::of(&payload.into())).await
}

async fn signal(host: &TestHost, id: InstanceId, name: &str, payload: Value) -> Result<(), EngineError> {
    host.engine.signal(id, &SignalName::new(name).unwrap(), payload.into()).await
}

/// Lets time pass, and waits until an event of that type was told.
async fn pass(host: &TestHost, id: InstanceId, time: Duration, event: &str) {
    let mut told = host.told().await;
    host.clock.advance(time);
    let seen = async {
        while !host.events(id).await.iter().any(|known| known == event) {
            told.next().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it is told");
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

on_every_store! {
    /// Case 77.
    async fn a_timer_delays_the_next_step_by_at_least_its_time(host: TestHost) {
        waiting(&host, "{ type: timer, duration: 200ms }").await;
        let id = host.start("w", json!({"n": 1})).await;
        host.waits(id).await;

        host.clock.advance(Duration::from_millis(199));
        host.cools().await;
        let early = host.calls("after").len();
        host.clock.advance(Duration::from_millis(1));

        let instance = host.settled(id).await;
        assert_eq!(early, 0);
        assert_eq!(instance.result.unwrap().tree(), &json!({"n": 1}));
        let begun = host.calls("after")[0].info.execution_started_at;
        assert_eq!(begun, START.after(Duration::from_millis(200)));
    }

    /// Case 77.
    async fn a_timer_of_nothing_or_less_or_of_a_time_that_is_past_passes_at_once(host: TestHost) {
        for (index, (timer, data)) in [
            ("duration: 0s", json!({})),
            ("duration_key: d", json!({"d": -5})),
            ("duration_key: d", json!({"d": "-5s"})),
            ("until: '2020-01-01T00:00:00Z'", json!({})),
        ]
        .into_iter()
        .enumerate()
        {
            let body = format!("initial_step: w\nsteps: {{ w: {{ type: timer, {timer} }} }}\n");
            host.register_yaml(&format!("w{index}"), &body).await;

            let instance = host.run(&format!("w{index}"), data).await;

            assert_eq!((instance.status, instance.completed_at), (WorkflowStatus::Completed, Some(START)), "{timer}");
        }
    }

    /// Case 77.
    async fn a_timer_takes_its_duration_from_the_context(host: TestHost) {
        host.step("plan", |_| kit::writes("pause", json!("90s"))).await;
        host.register_yaml(
            "w",
            "initial_step: plan\nsteps:\n  plan: { type: machine, component: plan@1 }\n  w: { type: timer, duration_key: pause \
             }\nedges: [{ source: plan, target: w }]\n",
        )
        .await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;

        host.clock.advance(seconds(90));

        assert_eq!(host.settled(id).await.completed_at, Some(START.after(seconds(90))));
    }

    /// Case 78.
    async fn while_a_timer_is_pending_the_instance_waits_and_nobody_moves_it(host: TestHost) {
        waiting(&host, "{ type: timer, duration: 1h }").await;

        let id = host.start("w", json!({})).await;
        host.waits(id).await;
        host.cools().await;

        assert_eq!(host.engine.get_instance(id).await.unwrap().status, WorkflowStatus::Waiting);
        assert_eq!(host.path(id).await, ["w waiting"]);
    }

    /// Case 78.
    async fn a_timer_survives_a_restart(host: TestHost) {
        waiting(&host, "{ type: timer, duration: 1h }").await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;

        let host = host.crash_and_restart().await;
        host.clock.advance(seconds(3_599));
        host.cools().await;
        assert_eq!(host.path(id).await, ["w waiting"]);
        host.clock.advance(seconds(1));

        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
        assert_eq!(host.path(id).await, ["w succeeded", "after succeeded"]);
    }

    /// Case 78.
    async fn a_timer_that_came_due_while_the_host_was_down_fires_once_at_start_up(host: TestHost) {
        waiting(&host, "{ type: timer, duration: 1h }").await;
        let id = host.start("w", json!({})).await;
        host.waits(id).await;

        let store = host.store();
        let host = host.crash_and_restart_on(store, |clock| clock.advance(seconds(86_400))).await;
        host.settled(id).await;
        let host = host.crash_and_restart().await;
        host.clock.advance(seconds(86_400));
        host.cools().await;

        assert_eq!(host.path(id).await, ["w succeeded", "after succeeded"]);
        assert_eq!(host.calls("after").len(), 1);
        assert_eq!(host.engine.get_instance(id).await.unwrap().completed_at, Some(START.after(seconds(86_400))));
    }

    async fn timers_of_many_instances_fire_each_at_its_own_time(host: TestHost) {
        host.register_yaml("w", "initial_step: w\nsteps: { w: { type: timer, duration_key: d } }\n").await;
        let mut ids = Vec::new();
        for wait in [30, 10, 20] {
            let id = host.start("w", json!({"d": wait})).await;
            host.waits(id).await;
            ids.push(id);
        }

        for (seconds_passed, due) in [(10, ids[1]), (20, ids[2]), (30, ids[0])] {
            host.clock.advance(seconds(10));
            assert_eq!(host.settled(due).await.completed_at, Some(START.after(seconds(seconds_passed))));
        }
    }

    /// Case 79.
    async fn a_callback_with_the_right_token_stores_its_payload_and_resumes(host: TestHost) {
        waiting(&host, "{ type: webhook, callback_key: receipt }").await;
        let instance = host.run("w", json!({})).await;
        let id = instance.identity.id;
        assert_eq!(instance.status, WorkflowStatus::Waiting);

        assert_eq!(deliver(&host, id, json!({"paid": true})).await.unwrap(), Delivered::Accepted);

        assert_eq!(host.settled(id).await.result.unwrap().tree(), &json!({"paid": true}));
        assert_eq!(host.context(id).await, json!({"receipt": {"paid": true}}));
    }

    /// Case 79.
    async fn a_callback_with_a_wrong_token_is_refused_and_changes_nothing(host: TestHost) {
        waiting(&host, "{ type: webhook }").await;
        let id = host.run("w", json!({})).await.identity.id;
        let other = host.run("w", json!({})).await.identity.id;
        let (right, others) = (address(&host, id).await.token, address(&host, other).await.token);
        let before = host.engine.get_instance(id).await.unwrap();
        let mut flipped = right.clone();
        flipped.replace_range(0..1, if right.starts_with('A') { "B" } else { "A" });

        for wrong in ["", "x", "!!", &right[1..], &format!("{right}A"), &flipped, &others] {
            let refused = host.engine.deliver_webhook(id, &w(), wrong, Delivery::of(&Json::null())).await.unwrap_err();
            assert_eq!(refused.to_string(), "the callback was refused: the token is wrong", "{wrong}");
        }

        assert_eq!(host.engine.get_instance(id).await.unwrap(), before);
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Waiting);
    }

    /// Case 79.
    async fn a_second_delivery_has_no_effect(host: TestHost) {
        waiting(&host, "{ type: webhook, callback_key: receipt }").await;
        host.register_yaml(
            "two",
            "initial_step: w\nsteps: { w: { type: webhook, callback_key: receipt }, h: { type: human } }\nedges: [{ source: w, \
             target: h }]\n",
        )
        .await;
        let id = host.run("two", json!({})).await.identity.id;
        deliver(&host, id, json!(1)).await.unwrap();
        host.settled(id).await;
        let before = host.engine.get_instance(id).await.unwrap();

        assert_eq!(deliver(&host, id, json!(2)).await.unwrap(), Delivered::Repeated);

        assert_eq!(host.engine.get_instance(id).await.unwrap(), before);
        assert_eq!(host.context(id).await, json!({"receipt": 1}));
    }

    /// Case 79.
    async fn of_racing_deliveries_exactly_one_is_taken(host: TestHost) {
        host.register_yaml(
            "w",
            "initial_step: w\nsteps: { w: { type: webhook, callback_key: n }, h: { type: human } }\nedges: [{ source: w, target: \
             h }]\n",
        )
        .await;
        let id = host.run("w", json!({})).await.identity.id;
        let token = address(&host, id).await.token;

        let deliveries = (0..8).map(|n| {
            let (engine, token) = (host.engine.clone(), token.clone());
            let delivery = Delivery::of(&Json::from(json!(n)));
            tokio::spawn(async move { engine.deliver_webhook(id, &w(), &token, delivery).await.unwrap() })
        });
        let deliveries: Vec<_> = deliveries.collect();
        let mut outcomes = Vec::new();
        for delivery in deliveries {
            outcomes.push(delivery.await.unwrap());
        }

        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Delivered::Accepted).count(), 1);
        let taken = host.context(id).await["n"].as_u64().unwrap();
        assert_eq!(outcomes[usize::try_from(taken).unwrap()], Delivered::Accepted);
    }

    async fn a_delivery_before_its_step_is_reached_is_kept_over_a_restart_and_used(host: TestHost) {
        host.step("after", |call| returns(call.input.tree().clone())).await;
        host.register_yaml(
            "w",
            "initial_step: h\nsteps:\n  h: { type: human }\n  w: { type: webhook, callback_key: receipt }\n  after: { type: \
             machine, component: after@1 }\nedges: [{ source: h, target: w }, { source: w, target: after }]\n",
        )
        .await;
        let id = host.run("w", json!({})).await.identity.id;

        assert_eq!(deliver(&host, id, json!("early")).await.unwrap(), Delivered::Accepted);
        assert_eq!(deliver(&host, id, json!("again")).await.unwrap(), Delivered::Repeated);
        let host = host.crash_and_restart().await;
        host.completes(id, "h", json!({})).await;

        assert_eq!(host.settled(id).await.result.unwrap().tree(), "early");
        assert_eq!(host.context(id).await, json!({"receipt": "early"}));
    }

    async fn a_callback_address_stays_over_restarts_and_is_another_for_each_instance_and_step(host: TestHost) {
        host.register_yaml(
            "w",
            "initial_step: w\nsteps: { w: { type: webhook }, x: { type: webhook } }\nedges: [{ source: w, target: x }]\n",
        )
        .await;
        let (one, two) = (host.run("w", json!({})).await.identity.id, host.run("w", json!({})).await.identity.id);
        let x = StepName::new("x").unwrap();
        let before = address(&host, one).await;

        let host = host.crash_and_restart().await;

        assert_eq!(address(&host, one).await, before);
        assert_ne!(address(&host, two).await.token, before.token);
        assert_ne!(host.engine.webhook_address(one, &x).await.unwrap().token, before.token);
        assert_eq!(before.signing_secret, None);
        assert!(!format!("{before:?}").contains(&before.token), "an address does not tell its secret to a log");
    }

    /// Case 79.
    async fn a_signed_delivery_is_taken_with_the_right_signature_alone(host: TestHost) {
        waiting(&host, "{ type: webhook, signed: true }").await;
        let id = host.run("w", json!({})).await.identity.id;
        let CallbackAddress { token, signing_secret, .. } = address(&host, id).await;
        let secret = signing_secret.unwrap();
        let payload = Json::from(json!({"paid": 5}));
        let signed = |at: Timestamp, secret: &str| Delivery::of(&payload).signed("d1", at, secret).unwrap();
        let right = signed(START, &secret);
        let before = |seconds: i64| Timestamp::from_unix_ms(START.unix_ms() - seconds * 1_000);
        let changed = Delivery { body: b"{\"paid\":6}".to_vec(), ..right.clone() };
        let renamed = Delivery { id: Some("d2".into()), ..right.clone() };
        let none = "no signature in `webhook-signature` fits the body and the step's signing secret";
        let away = "`webhook-timestamp` is more than 5 minutes away from now";
        let wanted = "the step wants signed deliveries: webhook-id, webhook-timestamp and webhook-signature";

        for (delivery, why) in [
            (Delivery::of(&payload), wanted),
            (Delivery { signature: None, ..right.clone() }, wanted),
            (Delivery { timestamp: Some("soon".into()), ..right.clone() }, "`webhook-timestamp` is no number of seconds"),
            (Delivery { signature: Some("v1,AAAA v2,x".into()), ..right.clone() }, none),
            (changed, none),
            (renamed, none),
            (signed(START, "whsec_bm90IHRoZSByaWdodCBvbmU="), none),
            (signed(before(301), &secret), away),
            (signed(before(-301), &secret), away),
        ] {
            let refused = host.engine.deliver_webhook(id, &w(), &token, delivery.clone()).await.unwrap_err();
            assert_eq!(refused.to_string(), format!("the callback was refused: {why}"), "{delivery:?}");
        }
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Waiting);

        // Another key's signature beside the right one does no harm: keys are changed so.
        let both = Delivery { signature: Some(format!("v1,AAAA {}", right.signature.clone().unwrap())), ..right.clone() };
        assert_eq!(host.engine.deliver_webhook(id, &w(), &token, both).await.unwrap(), Delivered::Accepted);
        assert_eq!(host.settled(id).await.result.unwrap().tree(), &json!({"paid": 5}));
    }

    async fn a_delivery_that_is_no_json_or_too_long_is_refused_and_the_step_waits_on(host: TestHost) {
        waiting(&host, "{ type: webhook }").await;
        let id = host.run("w", json!({})).await.identity.id;
        let token = address(&host, id).await.token;

        for (body, why) in [
            (b"paid".to_vec(), "the body is no JSON"),
            (vec![0xff, 0xfe], "the body is no UTF-8 text"),
            (vec![b' '; (1 << 20) + 1], "the body has 1048577 bytes; at most 1048576"),
        ] {
            let delivery = Delivery { body, ..Delivery::default() };
            let refused = host.engine.deliver_webhook(id, &w(), &token, delivery).await.unwrap_err();
            assert!(matches!(refused, EngineError::CallbackMalformed { .. }), "{refused}");
            assert!(refused.to_string().contains(why), "{refused}");
        }
        let empty = host.engine.deliver_webhook(id, &w(), &token, Delivery::default()).await.unwrap();

        assert_eq!(empty, Delivered::Accepted);
        assert_eq!(host.settled(id).await.result.unwrap().tree(), &Value::Null);
    }

    async fn a_callback_of_a_finished_instance_or_of_another_step_is_refused(host: TestHost) {
        waiting(&host, "{ type: webhook }").await;
        let id = host.run("w", json!({})).await.identity.id;
        let after = StepName::new("after").unwrap();

        let refused = host.engine.webhook_address(id, &after).await.unwrap_err().to_string();
        assert_eq!(refused, "the callback was refused: `after` is no webhook step of the workflow; there are w");
        host.engine.cancel_workflow(id, "not needed").await.unwrap();
        let refused = deliver(&host, id, json!(1)).await.unwrap_err();

        assert!(matches!(refused, EngineError::AlreadyCompleted { .. }), "{refused}");
    }

    async fn a_signal_goes_to_the_step_that_waits_for_it_and_an_early_one_is_kept(host: TestHost) {
        host.register_yaml(
            "w",
            "initial_step: h\nsteps:\n  h: { type: human }\n  w: { type: signal, signal: go, payload_key: word }\nedges: [{ \
             source: h, target: w }]\n",
        )
        .await;
        for is_early in [true, false] {
            let id = host.run("w", json!({})).await.identity.id;

            if is_early {
                signal(&host, id, "go", json!("now")).await.unwrap();
            }
            host.completes(id, "h", json!({})).await;
            if !is_early {
                host.settled(id).await;
                signal(&host, id, "go", json!("now")).await.unwrap();
            }

            assert_eq!(host.settled(id).await.result.unwrap().tree(), "now");
            assert_eq!(host.context(id).await, json!({"word": "now"}));
        }
    }

    async fn a_signal_that_nobody_waits_for_is_refused_with_those_that_are_known(host: TestHost) {
        waiting(&host, "{ type: signal, signal: go }").await;
        let id = host.run("w", json!({})).await.identity.id;
        let before = host.engine.get_instance(id).await.unwrap();

        let refused = signal(&host, id, "og", json!(1)).await.unwrap_err();

        assert!(matches!(refused, EngineError::NobodyWaits { .. }), "{refused}");
        assert_eq!(
            refused.to_string(),
            format!("instance {id}: nobody waits for the signal `og`, and nobody will: its workflow knows go; nothing was changed")
        );
        assert_eq!(host.engine.get_instance(id).await.unwrap(), before);
    }

    /// Case 75.
    async fn reminder_and_overdue_are_told_once_each_at_their_time_also_over_a_restart(host: TestHost) {
        waiting(&host, "{ type: human, due_in: 2h, reminder_in: 1h }").await;
        let id = host.run("w", json!({})).await.identity.id;
        let overdue = |now: Timestamp| TaskFilter { overdue_at: Some(now), ..TaskFilter::default() };

        pass(&host, id, seconds(3_600), "task_reminded").await;
        assert!(!host.events(id).await.contains(&"task_overdue".to_owned()));
        assert_eq!(host.store().list_tasks(&overdue(START.after(seconds(3_600)))).await.unwrap().total, 0);
        let host = host.crash_and_restart().await;
        pass(&host, id, seconds(3_600), "task_overdue").await;
        host.clock.advance(seconds(86_400));
        host.cools().await;

        let events = host.events(id).await;
        let told = |wanted: &str| events.iter().filter(|event| *event == wanted).count();
        assert_eq!((told("task_reminded"), told("task_overdue")), (1, 1));
        assert_eq!(host.store().list_tasks(&overdue(START.after(seconds(90_000)))).await.unwrap().total, 1);
        host.completes(id, "w", json!({})).await;
        assert_eq!(host.settled(id).await.status, WorkflowStatus::Completed);
    }

    /// Case 75.
    async fn a_task_that_nobody_does_escalates_by_its_timeout_edge(host: TestHost) {
        waiting(&host, "{ type: human, timeout: 3h }").await;
        let id = host.run("w", json!({})).await.identity.id;

        pass(&host, id, seconds(3 * 3_600), "workflow_completed").await;

        assert_eq!(host.path(id).await, ["w failed", "late succeeded"]);
        assert_eq!(host.tasks(id).await[0].status, TaskStatus::Canceled);
        assert_eq!(host.context(id).await["w"]["code"], "engine.timeout");
        let refused = host.engine.complete_human_task(id, &w(), kit::user("ada"), Json::null()).await.unwrap_err();
        assert!(matches!(refused, EngineError::AlreadyCompleted { .. }), "{refused}");
    }

    async fn a_callback_or_signal_that_does_not_come_takes_the_timeout_edge_also_when_the_host_was_down(host: TestHost) {
        for (name, step) in [("hook", "type: webhook, timeout: 7d"), ("word", "type: signal, timeout: 7d")] {
            host.step("after", |_| kit::done()).await;
            host.register_yaml(
                name,
                &format!(
                    "initial_step: w\nsteps:\n  w: {{ {step} }}\n  ok: {{ type: machine, component: after@1 }}\n  late: {{ type: \
                     machine, component: after@1 }}\nedges: [{{ source: w, target: ok }}, {{ source: w, target: late, outcome: \
                     timeout }}]\n"
                ),
            )
            .await;
        }
        let ids = [host.run("hook", json!({})).await.identity.id, host.run("word", json!({})).await.identity.id];

        let store = host.store();
        let host = host.crash_and_restart_on(store, |clock| clock.advance(seconds(8 * 86_400))).await;

        for id in ids {
            let mut told = host.told().await;
            while !host.engine.get_instance(id).await.unwrap().status.is_finished() {
                told.next().await.unwrap();
            }
            assert_eq!(host.path(id).await, ["w failed", "late succeeded"]);
        }
    }
}
