//! Timers, callbacks, signals, child workflows, joins of the first branch, terminating steps.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use serde_json::{Value, json};
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::history::Event;
use stepcell_model::id::ExecutionNumber;
use stepcell_model::json::Json;
use stepcell_model::letter::{ChildOutcome, Letter};
use stepcell_model::name::{SignalName, StepName};
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::{Cause, KEPT_MESSAGES_MAX, MESSAGE_LEN_BYTES_MAX, Refusal};

use crate::kit::Run;

fn yaml(body: &str) -> WorkflowDefinition {
    let text = format!("schema: stepcell/v1\nname: test\nversion: 1.0.0\n{body}");
    WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A step `w` and a step `after` that is given its result.
fn waiting(step: &str) -> WorkflowDefinition {
    yaml(&format!(
        "initial_step: w\nsteps:\n  w: {step}\n  after: {{ type: machine, component: a@1 }}\nedges:\n  - {{ source: w, \
         target: after }}\n"
    ))
}

fn deliver(run: &mut Run, id: Option<&str>, payload: Value) -> Result<(), Refusal> {
    let step = StepName::new("w").unwrap();
    run.tell(Cause::Delivered { step, id: id.map(str::to_owned), payload: payload.into() })
}

fn signal(run: &mut Run, name: &str, payload: Value) -> Result<(), Refusal> {
    run.tell(Cause::Signaled { signal: SignalName::new(name).unwrap(), payload: payload.into() })
}

#[test]
fn a_timer_passes_at_its_time_and_hands_on_what_came() {
    let mut run = Run::with(waiting("{ type: timer, duration: 2s }"), json!({"n": 1}));
    assert_eq!(run.status(), WorkflowStatus::Waiting);
    assert_eq!(run.tell(Cause::TimeCame), Err(Refusal::NothingDue));

    run.pass(2);

    assert_eq!(run.previous("after"), Some(json!({"n": 1})));
    assert_eq!(run.tell(Cause::TimeCame), Err(Refusal::NothingDue), "a timer passes once");
}

#[test]
fn a_time_that_is_past_and_no_duration_pass_at_once() {
    for (step, data) in [
        ("{ type: timer, duration: 0s }", json!({})),
        ("{ type: timer, until: '2020-01-01T00:00:00Z' }", json!({})),
        ("{ type: timer, duration_key: d }", json!({"d": 0})),
        ("{ type: timer, duration_key: d }", json!({"d": -5})),
        ("{ type: timer, duration_key: d }", json!({"d": "-5s"})),
    ] {
        let run = Run::with(waiting(step), data);
        assert_eq!(run.shown(), ["after scheduled"], "{step}");
    }
}

#[test]
fn a_duration_comes_from_the_context_as_seconds_or_text() {
    for duration in [json!(1.5), json!("1500ms")] {
        let mut run = Run::with(waiting("{ type: timer, duration_key: d }"), json!({"d": duration}));
        assert_eq!(run.shown(), ["w waiting"]);
        run.pass(2);
        assert_eq!(run.shown(), ["after scheduled"]);
    }
    for (data, found) in [(json!({}), "has no value"), (json!({"d": "soon"}), "holds no duration")] {
        let run = Run::with(waiting("{ type: timer, duration_key: d }"), data);
        let error = run.instance.state.error.clone().unwrap();
        assert!(error.message.contains(found), "{}", error.message);
    }
}

#[test]
fn a_callback_stores_its_payload_and_resumes_and_a_second_one_has_no_effect() {
    let mut run = Run::of(waiting("{ type: webhook, callback_key: receipt }"));
    assert_eq!(run.status(), WorkflowStatus::Waiting);

    deliver(&mut run, None, json!({"paid": true})).unwrap();

    assert_eq!(run.previous("after"), Some(json!({"paid": true})));
    assert_eq!(run.instance.context["receipt"].tree(), &json!({"paid": true}));
    let second = deliver(&mut run, None, json!({"paid": false}));
    assert_eq!(second, Err(Refusal::Repeated { step: StepName::new("w").unwrap() }));
}

#[test]
fn an_early_callback_is_kept_and_used_and_a_repeated_one_is_not_kept_twice() {
    let mut run = Run::of(yaml(
        "initial_step: a\nsteps: { a: { type: machine, component: a@1 }, w: { type: webhook } }\nedges: [{ source: a, \
         target: w }]\n",
    ));

    deliver(&mut run, Some("d1"), json!(1)).unwrap();
    assert_eq!(run.instance.messages.len(), 1);
    assert!(deliver(&mut run, Some("d1"), json!(1)).is_err());
    assert!(deliver(&mut run, Some("d2"), json!(2)).is_err());
    run.run(&["a"]);

    assert_eq!(run.status(), WorkflowStatus::Completed);
    assert_eq!(run.instance.state.result.as_ref().unwrap().tree(), &json!(1));
    assert!(run.instance.messages.is_empty());
}

#[test]
fn a_callback_of_a_step_that_is_none_or_of_a_finished_instance_is_refused() {
    let mut run = Run::of(waiting("{ type: webhook }"));
    let step = StepName::new("after").unwrap();
    let refused = run.tell(Cause::Delivered { step, id: None, payload: Json::null() }).unwrap_err();
    assert_eq!(refused.to_string(), "nobody waits for a callback of `after`, and nobody will: its workflow knows w");

    deliver(&mut run, None, json!(1)).unwrap();
    run.run(&["after"]);
    assert_eq!(deliver(&mut run, None, json!(1)), Err(Refusal::AlreadyCompleted { status: WorkflowStatus::Completed }));
}

#[test]
fn a_signal_goes_to_the_step_that_waits_for_it_and_an_early_one_is_kept() {
    let definition = "initial_step: a\nsteps:\n  a: { type: machine, component: a@1 }\n  w: { type: signal, signal: go, \
                      payload_key: word }\n  x: { type: signal, signal: go }\nedges: [{ source: a, target: w }, { source: \
                      w, target: x }]\n";
    let mut run = Run::of(yaml(definition));
    signal(&mut run, "go", json!("early")).unwrap();
    run.run(&["a"]);
    assert_eq!(run.instance.context["word"].tree(), "early");
    assert_eq!(run.shown(), ["x waiting"]);

    signal(&mut run, "go", json!("late")).unwrap();

    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_signal_that_nobody_waits_for_is_refused_with_those_that_are_known() {
    let mut run = Run::of(waiting("{ type: signal, signal: go }"));

    let refused = signal(&mut run, "og", json!(1)).unwrap_err();
    assert_eq!(refused.to_string(), "nobody waits for the signal `og`, and nobody will: its workflow knows go");

    signal(&mut run, "go", json!(1)).unwrap();
    assert!(matches!(signal(&mut run, "go", json!(1)), Err(Refusal::NobodyWaits { .. })), "its step has passed");
}

#[test]
fn messages_that_are_kept_are_bounded_in_number_and_in_size() {
    let mut run = Run::of(yaml(
        "initial_step: a\nsteps: { a: { type: machine, component: a@1 }, w: { type: signal, signal: go } }\nedges: [{ \
         source: a, target: w }]\n",
    ));
    for number in 0..KEPT_MESSAGES_MAX {
        signal(&mut run, "go", json!(number)).unwrap();
    }
    assert!(matches!(signal(&mut run, "go", json!(1)), Err(Refusal::TooManyMessages { .. })));

    let mut run = Run::of(waiting("{ type: signal, signal: go }"));
    let large = json!("x".repeat(MESSAGE_LEN_BYTES_MAX));
    assert!(matches!(signal(&mut run, "go", large), Err(Refusal::InvalidData { .. })));
}

#[test]
fn what_waits_too_long_takes_its_timeout_edge() {
    for step in ["type: webhook", "type: signal", "type: human", "type: workflow, workflow: other"] {
        let mut run = Run::of(yaml(&format!(
            "initial_step: w\nsteps:\n  w: {{ {step}, timeout: 3s }}\n  late: {{ type: machine, component: a@1 }}\n  ok: {{ \
             type: machine, component: a@1 }}\nedges: [{{ source: w, target: ok }}, {{ source: w, target: late, outcome: \
             timeout }}]\n"
        )));

        run.pass(3);

        assert_eq!(run.shown(), ["late scheduled"], "{step}");
        assert!(run.instance.tasks.is_empty());
        assert_eq!(run.instance.context["w"].tree()["code"], "engine.timeout");
    }
}

#[test]
fn reminder_and_overdue_are_told_once_each_at_their_time() {
    let mut run = Run::of(waiting("{ type: human, due_in: 20s, reminder_in: 10s }"));
    let told = |run: &Run| {
        let of_interest = |event: &&Event| matches!(event, Event::TaskReminded { .. } | Event::TaskOverdue { .. });
        run.events.iter().filter(of_interest).map(|event| event.event_type().to_string()).collect::<Vec<_>>()
    };

    run.pass(10);
    assert_eq!(told(&run), ["task_reminded"]);
    run.pass(10);
    assert_eq!(told(&run), ["task_reminded", "task_overdue"]);
    assert_eq!(run.instance.state.wake_at, None);

    run.completes("w", json!({})).unwrap();
}

fn letters(run: &Run) -> Vec<&'static str> {
    let kind = |letter: &Letter| match letter {
        Letter::StartChild(_) => "start",
        Letter::CancelChild { .. } => "cancel",
        Letter::ChildEnded { .. } => "ended",
    };
    run.letters.iter().map(kind).collect()
}

fn child_ended(run: &mut Run, outcome: ChildOutcome) -> Result<(), Refusal> {
    let execution = run.active("w").number;
    let child = run.child("w");
    run.tell(Cause::ChildEnded { execution, child, outcome })
}

#[test]
fn a_child_workflow_is_given_its_input_and_its_result_is_the_steps() {
    let step = "{ type: workflow, workflow: other, input: \"{'n': context.n}\", result_key: r }";
    let mut run = Run::with(waiting(step), json!({"n": 5}));
    let Some(Letter::StartChild(start)) = run.letters.first() else { panic!("{:?}", run.letters) };
    assert_eq!((start.workflow.as_str(), start.data.tree()), ("other", &json!({"n": 5})));
    assert_eq!(run.status(), WorkflowStatus::Waiting);

    child_ended(&mut run, ChildOutcome::Completed { result: Some(json!("done").into()) }).unwrap();

    assert_eq!(run.previous("after"), Some(json!("done")));
    assert_eq!(run.instance.context["r"].tree(), "done");
}

#[test]
fn a_child_workflow_that_fails_fails_its_step() {
    let mut run = Run::of(waiting("{ type: workflow, workflow: other }"));
    let error =
        serde_json::from_value(json!({"code": "no-money", "message": "none left", "step": null, "details": null}));

    child_ended(&mut run, ChildOutcome::Failed { error: error.unwrap() }).unwrap();

    assert_eq!(run.status(), WorkflowStatus::Failed);
    let error = run.instance.state.error.clone().unwrap();
    assert_eq!(error.code.as_str(), "no-money");
    assert!(error.message.contains("none left"), "{}", error.message);
}

#[test]
fn canceling_goes_down_to_the_child_and_an_end_that_nobody_waits_for_is_refused() {
    let mut run = Run::of(waiting("{ type: workflow, workflow: other }"));
    let child = run.child("w");

    run.cancel("enough");

    assert_eq!(letters(&run), ["start", "cancel"]);
    let outcome = ChildOutcome::Completed { result: None };
    let late = run.tell(Cause::ChildEnded { execution: ExecutionNumber(1), child, outcome });
    assert_eq!(late, Err(Refusal::AlreadyCompleted { status: WorkflowStatus::Canceled }));
}

#[test]
fn a_join_of_any_runs_at_the_first_arrival_and_absorbs_the_others() {
    let mut run = Run::of(yaml(
        "initial_step: s\nsteps:\n  s: { type: machine, component: a@1 }\n  a: { type: machine, component: a@1 }\n  b: { \
         type: machine, component: a@1 }\n  j: { type: machine, component: a@1, join: any }\n  k: { type: machine, \
         component: a@1 }\nedges:\n  - { source: s, target: a }\n  - { source: s, target: b }\n  - { source: a, target: j \
         }\n  - { source: b, target: j }\n  - { source: j, target: k }\n",
    ));

    run.run(&["s", "b", "j", "k"]);
    assert_eq!(run.shown(), ["a scheduled"]);
    run.run(&["a"]);

    assert_eq!(run.path(), ["s succeeded", "b succeeded", "j succeeded", "k succeeded", "a succeeded"]);
    assert!(run.events.iter().any(|event| matches!(event, Event::BranchAbsorbed { .. })));
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_join_of_all_does_not_wait_for_a_branch_that_a_join_of_any_will_absorb() {
    let mut run = Run::of(yaml(
        "initial_step: s\nsteps:\n  s: { type: machine, component: a@1 }\n  a: { type: machine, component: a@1 }\n  b: { \
         type: human }\n  j: { type: machine, component: a@1, join: any }\n  d: { type: machine, component: a@1 }\n  k: { \
         type: machine, component: a@1 }\nedges:\n  - { source: s, target: a }\n  - { source: s, target: b }\n  - { source: \
         s, target: d }\n  - { source: a, target: j }\n  - { source: b, target: j }\n  - { source: j, target: k }\n  - { \
         source: d, target: k }\n",
    ));

    run.run(&["s", "a", "d", "j"]);

    assert_eq!(run.shown(), ["b waiting", "k scheduled"]);
}

#[test]
fn a_join_of_any_in_a_loop_runs_in_each_round() {
    let mut run = Run::of(yaml(
        "initial_step: j\nsteps:\n  j: { type: machine, component: a@1, join: any }\n  a: { type: machine, component: a@1 \
         }\n  end: { type: machine, component: a@1 }\nedges:\n  - { source: j, target: a }\n  - { source: a, target: j, \
         condition: \"result == 'again'\" }\n  - { source: a, target: end, default: true }\n",
    ));

    run.run(&["j"]);
    run.returns("a", json!("again"));
    run.run(&["j", "a", "end"]);

    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_terminating_step_ends_all_branches_at_once() {
    let mut run = Run::of(yaml(
        "initial_step: s\nsteps:\n  s: { type: machine, component: a@1 }\n  a: { type: machine, component: a@1, terminate: \
         true }\n  b: { type: human }\nedges:\n  - { source: s, target: a }\n  - { source: s, target: b }\n",
    ));

    run.run(&["s"]);
    run.returns("a", json!("first"));

    assert_eq!(run.status(), WorkflowStatus::Completed);
    assert_eq!(run.instance.state.result.as_ref().unwrap().tree(), "first");
    assert_eq!(run.instance.state.current_step.as_ref().unwrap().as_str(), "a");
    assert_eq!(run.path(), ["s succeeded", "a succeeded", "b canceled"]);
}
