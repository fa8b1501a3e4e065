//! Retry, pause and resume, compensation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use serde_json::json;
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::history::Event;
use stepcell_model::instance::Arrival;
use stepcell_model::name::StepName;
use stepcell_model::status::WorkflowStatus;
use stepcell_model::transition::{Cause, Compensation, Refusal, RetryPoint};

use crate::kit::Run;

fn yaml(body: &str) -> WorkflowDefinition {
    let text = format!("schema: stepcell/v1\nname: test\nversion: 1.0.0\n{body}");
    WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

fn line() -> WorkflowDefinition {
    let step = |name: &str, more: &str| format!("  {name}: {{ type: machine, component: a@1{more} }}\n");
    yaml(&format!(
        "initial_step: a\nsteps:\n{}{}{}edges: [{{ source: a, target: b }}, {{ source: b, target: c }}]\n",
        step("a", ""),
        step("b", ""),
        step("c", "")
    ))
}

fn retry(run: &mut Run, from: Option<RetryPoint>) -> Result<(), Refusal> {
    run.tell(Cause::Retried { from, by: None })
}

#[test]
fn a_retry_continues_from_the_failed_step_and_earlier_steps_do_not_run_again() {
    let mut run = Run::of(line());
    run.run(&["a"]);
    run.fails("b");
    assert_eq!(run.status(), WorkflowStatus::Failed);

    retry(&mut run, None).unwrap();

    assert_eq!(run.status(), WorkflowStatus::Running);
    assert_eq!(run.instance.state.error, None);
    assert_eq!(run.previous("b"), Some(json!("a")), "what came to it before comes again");
    run.run(&["b", "c"]);
    assert_eq!(run.path(), ["a succeeded", "b failed", "b succeeded", "c succeeded"]);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_retry_from_a_named_step_runs_that_and_everything_after_it() {
    let mut run = Run::of(line());
    run.run(&["a", "b"]);
    run.fails("c");

    retry(&mut run, Some(RetryPoint::new(StepName::new("a").unwrap(), Vec::<Arrival>::new()))).unwrap();
    run.run(&["a", "b", "c"]);

    assert_eq!(run.path().len(), 6);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_retry_takes_up_the_branches_that_were_canceled_with_the_failure() {
    let mut run = Run::of(yaml(
        "initial_step: s\nsteps:\n  s: { type: machine, component: a@1 }\n  a: { type: machine, component: a@1 }\n  h: { \
         type: human }\n  j: { type: machine, component: a@1 }\nedges:\n  - { source: s, target: a }\n  - { source: s, \
         target: h }\n  - { source: a, target: j }\n  - { source: h, target: j }\n",
    ));
    run.run(&["s"]);
    run.fails("a");
    assert_eq!(run.path(), ["s succeeded", "a failed", "h canceled"]);

    retry(&mut run, None).unwrap();

    assert_eq!(run.shown(), ["a scheduled", "h waiting"]);
    run.completes("h", json!({})).unwrap();
    run.run(&["a", "j"]);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

fn fork() -> WorkflowDefinition {
    yaml(
        "initial_step: s\nsteps:\n  s: { type: machine, component: a@1 }\n  p: { type: machine, component: a@1 }\n  a: { \
         type: machine, component: a@1 }\n  h: { type: human }\n  j: { type: machine, component: a@1 }\nedges:\n  - { \
         source: s, target: p }\n  - { source: p, target: a }\n  - { source: s, target: h }\n  - { source: a, target: j \
         }\n  - { source: h, target: j }\n",
    )
}

#[test]
fn a_retry_from_a_named_step_keeps_the_branches_beside_it() {
    let mut run = Run::of(fork());
    run.run(&["s", "p"]);
    run.fails("a");
    let from = RetryPoint::new(StepName::new("p").unwrap(), arrivals_at(&run, "p"));
    retry(&mut run, Some(from)).unwrap();
    assert_eq!(run.shown(), ["p scheduled", "h waiting"]);

    run.run(&["p", "a"]);
    assert_eq!(run.shown(), ["h waiting", "j pending"]);
}

#[test]
fn a_retry_from_a_named_step_keeps_what_had_come_to_a_join() {
    let mut run = Run::of(fork());
    run.run(&["s", "p"]);
    run.completes("h", json!({"ok": true})).unwrap();
    run.fails("a");
    let from = RetryPoint::new(StepName::new("a").unwrap(), arrivals_at(&run, "a"));
    retry(&mut run, Some(from)).unwrap();

    run.run(&["a"]);

    assert_eq!(run.previous("j"), Some(json!({"h": {"ok": true}, "a": "a"})));
}

/// What came to the last execution of a step that one branch came to.
fn arrivals_at(run: &Run, step: &str) -> Vec<Arrival> {
    let found = run.events.iter().rev().find_map(|event| match event {
        Event::StepActivated { step: reached, from, .. } if reached.as_str() == step => *from,
        _ => None,
    });
    let execution = found.unwrap();
    let step = run.records[&execution].step.clone();
    vec![Arrival { step, execution, has_result: true, item: None }]
}

#[test]
fn a_join_that_is_retried_is_told_with_every_branch_that_came_to_it() {
    let mut run = Run::of(fork());
    run.run(&["s", "p", "a"]);
    run.completes("h", json!({})).unwrap();
    run.fails("j");

    retry(&mut run, None).unwrap();

    let told = run.events.iter().rev().find_map(|event| match event {
        Event::StepActivated { from, with, .. } => Some((from.is_some(), with.len())),
        _ => None,
    });
    assert_eq!(told, Some((true, 1)));
    assert_eq!(run.previous("j"), Some(json!({"a": "a", "h": {}})));
}

#[test]
fn an_instance_whose_history_grows_too_large_is_undone_and_ends() {
    let mut run = Run::of(order());
    run.run(&["reserve"]);
    run.instance.state.control.history_bytes = 32 << 20;

    run.run(&["note"]);

    assert_eq!(run.shown(), ["reserve/compensate scheduled"]);
    run.run(&["reserve/compensate"]);
    assert_eq!(run.status(), WorkflowStatus::Failed);
    assert_eq!(run.instance.state.error.as_ref().unwrap().code.as_str(), "engine.output");
}

#[test]
fn a_cancel_with_compensation_does_not_wait_for_a_held_instance_to_be_resumed() {
    let mut run = Run::of(order());
    run.run(&["reserve"]);
    run.tell(Cause::Paused { by: None }).unwrap();

    run.tell(Cause::Canceled { reason: "undo it".into(), by: None, compensation: Compensation::Undo }).unwrap();

    assert_eq!(run.shown(), ["reserve/compensate scheduled"]);
}

#[test]
fn only_a_failed_instance_is_retried() {
    let mut run = Run::of(line());
    assert_eq!(
        retry(&mut run, None).unwrap_err().to_string(),
        "can not retry an instance that is running: only a failed instance can be retried"
    );
    run.run(&["a", "b", "c"]);
    assert_eq!(retry(&mut run, None), Err(Refusal::AlreadyCompleted { status: WorkflowStatus::Completed }));
}

#[test]
fn no_step_starts_while_an_instance_is_paused() {
    let mut run = Run::of(line());
    run.begin("a");
    run.tell(Cause::Paused { by: None }).unwrap();
    assert_eq!(run.status(), WorkflowStatus::Paused);

    run.end("a", kit::report(stepcell_model::attempt::AttemptOutcome::Succeeded(json!("a").into())));

    assert_eq!(run.shown(), ["b pending"]);
    assert_eq!(run.status(), WorkflowStatus::Paused);
    assert!(run.tell(Cause::Paused { by: None }).is_err());
    run.tell(Cause::Resumed { by: None }).unwrap();
    assert_eq!(run.shown(), ["b scheduled"]);
    assert!(run.tell(Cause::Resumed { by: None }).is_err());
    run.run(&["b", "c"]);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn an_attempt_can_not_begin_while_an_instance_is_paused() {
    let mut run = Run::of(line());
    run.tell(Cause::Paused { by: None }).unwrap();

    let execution = run.active("a").number;
    assert!(run.tell(Cause::AttemptStarted { execution }).is_err());
}

#[test]
fn a_timer_that_became_due_while_paused_passes_once_resumed() {
    let mut run = Run::of(yaml("initial_step: t\nsteps: { t: { type: timer, duration: 5s } }\n"));
    run.tell(Cause::Paused { by: None }).unwrap();
    assert_eq!(run.instance.state.wake_at, None);

    assert!(run.try_pass(10).is_err());
    run.tell(Cause::Resumed { by: None }).unwrap();
    run.tell(Cause::TimeCame).unwrap();

    assert_eq!(run.status(), WorkflowStatus::Completed);
}

fn order() -> WorkflowDefinition {
    yaml(
        "initial_step: reserve\nsteps:\n  reserve: { type: machine, component: a@1, compensate: undo@1 }\n  note: { type: \
         machine, component: a@1 }\n  charge: { type: machine, component: a@1, compensate: undo@1 }\n  ship: { type: \
         machine, component: a@1, retry: { max_attempts: 1 } }\nedges:\n  - { source: reserve, target: note }\n  - { \
         source: note, target: charge }\n  - { source: charge, target: ship }\n",
    )
}

#[test]
fn succeeded_executions_are_undone_in_reverse_order_when_an_instance_fails_for_good() {
    let mut run = Run::of(order());
    run.run(&["reserve", "note", "charge"]);
    run.fails("ship");

    assert_eq!(run.status(), WorkflowStatus::Running);
    assert_eq!(run.shown(), ["charge/compensate scheduled"]);
    assert_eq!(run.previous("charge/compensate"), Some(json!("charge")), "it is given what is to be undone");
    run.run(&["charge/compensate", "reserve/compensate"]);

    assert_eq!(run.status(), WorkflowStatus::Failed);
    assert_eq!(run.path()[4..], ["charge/compensate succeeded", "reserve/compensate succeeded"]);
    assert_eq!(run.instance.state.error.as_ref().unwrap().message, "it broke");
    assert_eq!(run.instance.state.current_step.as_ref().unwrap().as_str(), "ship");
    assert!(retry(&mut run, None).unwrap_err().to_string().contains("was undone"));
}

#[test]
fn what_can_not_be_undone_is_told_and_the_rest_is_undone_all_the_same() {
    let mut run = Run::of(order());
    run.run(&["reserve", "note", "charge"]);
    run.fails("ship");
    run.fails("charge/compensate");
    run.run(&["reserve/compensate"]);

    assert_eq!(run.status(), WorkflowStatus::Failed);
    assert_eq!(run.instance.state.error.as_ref().unwrap().message, "it broke; `charge/compensate` failed: it broke");
}

#[test]
fn a_cancel_undoes_only_when_asked_to() {
    let mut run = Run::of(order());
    run.run(&["reserve"]);
    run.cancel("plain");
    assert_eq!(run.status(), WorkflowStatus::Canceled);

    let mut run = Run::of(order());
    run.run(&["reserve"]);
    run.tell(Cause::Canceled { reason: "undo it".into(), by: None, compensation: Compensation::Undo }).unwrap();
    assert_eq!(run.shown(), ["reserve/compensate scheduled"]);
    run.run(&["reserve/compensate"]);
    assert_eq!(run.status(), WorkflowStatus::Canceled);
    assert_eq!(run.instance.state.error.as_ref().unwrap().message, "undo it");
}

#[test]
fn a_step_that_was_skipped_is_not_undone() {
    let mut run = Run::of(order());
    run.begin("reserve");
    run.end("reserve", kit::report(stepcell_model::attempt::AttemptOutcome::Skipped));
    run.run(&["note", "charge"]);
    run.fails("ship");

    assert_eq!(run.shown(), ["charge/compensate scheduled"]);
    run.run(&["charge/compensate"]);
    assert_eq!(run.status(), WorkflowStatus::Failed);
}

#[test]
fn members_and_items_are_undone_like_any_other_execution() {
    let mut run = Run::with(
        yaml(
            "initial_step: book\nsteps:\n  book: { type: machine, component: a@1, for_each: rooms, compensate: undo@1 }\n  \
             pay: { type: machine, component: a@1, retry: { max_attempts: 1 } }\nedges: [{ source: book, target: pay }]\n",
        ),
        json!({"rooms": ["x", "y"]}),
    );
    run.returns("book/item", json!("bx"));
    run.returns("book/item", json!("by"));
    run.fails("pay");

    assert_eq!(run.previous("book/item/compensate"), Some(json!("by")));
    run.run(&["book/item/compensate"]);
    assert_eq!(run.previous("book/item/compensate"), Some(json!("bx")));
    run.run(&["book/item/compensate"]);
    assert_eq!(run.status(), WorkflowStatus::Failed);
}

/// Two timers of the same length that lead to one step.
fn two_timers(join: &str, from: &str) -> WorkflowDefinition {
    yaml(&format!(
        "initial_step: s\nsteps:\n  s: {{ type: machine, component: a@1, compensate: undo@1 }}\n  a: {{ type: machine, \
         component: a@1, retry: {{ max_attempts: 1 }} }}\n  b: {{ type: machine, component: a@1, retry: {{ max_attempts: 1 \
         }} }}\n  x: {{ type: timer, duration: 5s }}\n  y: {{ type: timer, duration: 5s }}\n  j: {{ type: machine, \
         component: a@1, join: {join} }}\nedges:\n  - {{ source: s, target: a }}\n  - {{ source: s, target: b }}\n  - {{ \
         source: s, target: x }}\n  - {{ source: s, target: y }}\n{from}"
    ))
}

#[test]
fn of_two_branches_whose_times_come_at_once_a_join_of_any_takes_the_first_alone() {
    let edges = "  - { source: x, target: j }\n  - { source: y, target: j }\n";
    let mut run = Run::of(two_timers("any", edges));
    run.run(&["s", "a", "b"]);

    run.pass(10);

    assert_eq!(run.shown(), ["j scheduled"]);
    assert_eq!(run.previous("j"), Some(json!("s")), "as the first alone brought it");
    run.run(&["j"]);
    assert_eq!(run.status(), WorkflowStatus::Completed);
}

#[test]
fn a_host_that_went_down_in_several_failure_hooks_fails_the_instance_once() {
    let edges = "  - { source: x, target: j }\n  - { source: y, target: j }\n";
    let mut run = Run::of(two_timers("all", edges));
    run.run(&["s"]);
    for step in ["a", "b"] {
        run.begin(step);
        run.end(step, kit::report(kit::fails_for_good()));
        let execution = run.active(step).number;
        run.tell(Cause::FailureHookStarted { execution }).unwrap();
    }

    run.tell(Cause::HostRestarted).unwrap();

    assert_eq!(run.shown(), ["s/compensate scheduled"]);
    assert_eq!(run.path()[..3], ["s succeeded", "a failed", "b canceled"]);
    run.run(&["s/compensate"]);
    assert_eq!(run.status(), WorkflowStatus::Failed);
}

#[test]
fn canceling_again_takes_nothing_from_what_is_undone_unless_that_is_to_end() {
    let mut run = Run::of(order());
    run.run(&["reserve", "note", "charge"]);
    let cancel = |compensation| Cause::Canceled { reason: "no".into(), by: None, compensation };
    run.tell(cancel(Compensation::Undo)).unwrap();

    let again = run.tell(cancel(Compensation::Undo)).unwrap_err();

    assert!(again.to_string().contains("being undone already"), "{again}");
    run.run(&["charge/compensate"]);
    run.tell(cancel(Compensation::None)).unwrap();
    assert_eq!(run.path().last().unwrap(), "reserve/compensate canceled");
    assert_eq!(run.status(), WorkflowStatus::Canceled);
}
