//! What each construct tells of itself: what it waits for, and how it came to that.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kit;

use serde_json::json;
use stepcell_model::attempt::AttemptOutcome;
use stepcell_model::definition::WorkflowDefinition;
use stepcell_model::json::Json;
use stepcell_model::letter::ChildOutcome;
use stepcell_model::name::{StepName, UserId};
use stepcell_model::transition::{Cause, Compensation};
use stepcell_model::why::{Explanation, explain};

use crate::kit::{Run, fails_for_now, report};

fn yaml(body: &str) -> WorkflowDefinition {
    let text = format!("schema: stepcell/v1\nname: test\nversion: 1.0.0\n{body}");
    WorkflowDefinition::from_text(&text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A step `w` and a step `after` that follows it.
fn waiting(step: &str) -> WorkflowDefinition {
    yaml(&format!(
        "initial_step: w\nsteps:\n  w: {step}\n  after: {{ type: machine, component: a@1 }}\nedges:\n  - {{ source: w, \
         target: after }}\n"
    ))
}

fn why(run: &Run) -> Explanation {
    explain(&run.plan, &run.instance, &run.history)
}

fn now(run: &Run) -> String {
    why(run).now.into_iter().map(|point| format!("{}\n", point.text)).collect()
}

fn past(run: &Run) -> String {
    why(run).past.into_iter().map(|point| format!("{}\n", point.text)).collect()
}

fn by(name: &str) -> Option<UserId> {
    Some(UserId::new(name).unwrap())
}

const MACHINE: &str = "{ type: machine, component: a@1, retry: { max_attempts: 1 } }";

#[test]
fn a_person_is_named_with_the_task_and_its_times() {
    let step = "{ type: human, title: Look at it, assignee: dana, due_in: 1h, timeout: 2h }";
    let mut run = Run::of(waiting(step));
    insta::assert_snapshot!(now(&run), @r#"`w` waits for dana to do the task "Look at it"; it is due at 2027-01-15T09:00:00.000Z; it is given up at 2027-01-15T10:00:00.000Z."#);
    run.pass(3600);
    insta::assert_snapshot!(now(&run), @r#"`w` waits for dana to do the task "Look at it"; it was due at 2027-01-15T09:00:00.000Z and is overdue; it is given up at 2027-01-15T10:00:00.000Z."#);
    let of_group = Run::of(waiting("{ type: human, assignee_group: finance }"));
    insta::assert_snapshot!(now(&of_group), @r#"`w` waits for a member of finance to do the task "W"."#);

    run.completes("w", json!({})).unwrap_err();
    let task = run.task("w");
    run.tell(Cause::TaskReassigned { task, to: by("ada").unwrap(), reason: "holiday".into(), by: by("eve") }).unwrap();
    run.completes("w", json!({})).unwrap();
    insta::assert_snapshot!(past(&run), @"
    It was started.
    The task of `w` became overdue.
    The task of `w` went from dana to ada by eve: holiday.
    ada did the task of `w`.
    `w` succeeded.
    The edge from `w` to `after` was taken: it has no condition.
    ");
}

#[test]
fn times_callbacks_and_signals_are_told_with_when_they_are_given_up() {
    let told: String = [
        "{ type: timer, duration: 10m }",
        "{ type: webhook }",
        "{ type: webhook, signed: true, timeout: 1d }",
        "{ type: signal, signal: go, timeout: 1d }",
        "{ type: workflow, workflow: other }",
    ]
    .map(|step| now(&Run::of(waiting(step))))
    .concat();
    insta::assert_snapshot!(told, @"
    `w` waits until 2027-01-15T08:10:00.000Z.
    `w` waits for its callback.
    `w` waits for a signed callback; it is given up at 2027-01-16T08:00:00.000Z.
    `w` waits for the signal `go`; it is given up at 2027-01-16T08:00:00.000Z.
    `w` waits for instance 01a3185c-5000-7127-9774-a7b350d68cbf of `other` to finish.
    ");
}

#[test]
fn a_message_that_came_early_is_told() {
    let mut run = Run::of(yaml(&format!(
        "initial_step: a\nsteps: {{ a: {MACHINE}, w: {{ type: webhook }} }}\nedges: [{{ source: a, target: w }}]\n"
    )));
    let step = StepName::new("w").unwrap();
    run.tell(Cause::Delivered { step, id: None, payload: Json::null() }).unwrap();

    insta::assert_snapshot!(now(&run), @"
    `a` is ready, and begins as soon as there is room.
    A message for `w` came early; it is kept until the step is reached.
    ");
    run.run(&["a"]);
    insta::assert_snapshot!(past(&run), @"
    It was started.
    A message for `w` came early, and was kept.
    `a` succeeded.
    The edge from `a` to `w` was taken: it has no condition.
    `w` took the message that was kept for it.
    `w` succeeded.
    It completed: every branch had come to its end.
    ");
}

#[test]
fn an_attempt_a_retry_delay_and_a_failure_are_told_with_their_reasons() {
    let step = "{ type: machine, component: a@1, retry: { max_attempts: 2, jitter: none, initial_delay: 10s } }";
    let mut run = Run::of(waiting(step));
    insta::assert_snapshot!(now(&run), @"`w` is ready, and begins as soon as there is room.");
    run.begin("w");
    insta::assert_snapshot!(now(&run), @"`w` runs: attempt 1 of 2.");
    run.end("w", report(fails_for_now()));
    insta::assert_snapshot!(now(&run), @"`w` waits until 2027-01-15T08:00:12.000Z to be tried again: attempt 1 of 2 failed (busy: not yet).");
    run.begin("w");
    run.end("w", report(fails_for_now()));
    insta::assert_snapshot!(now(&run), @"`w` has failed (busy: not yet), and its `on-failure` runs before that is acted on.");
    let execution = run.active("w").number;
    run.tell(Cause::FailureHookStarted { execution }).unwrap();
    run.tell(Cause::FailureHookEnded { execution, input: None, report: kit::hook() }).unwrap();
    insta::assert_snapshot!(now(&run), @"
    It failed at `w`: busy: not yet.
    A retry goes on at `w`.
    ");
    insta::assert_snapshot!(past(&run), @"
    It was started.
    `w` failed at attempt 1 of 2 (busy: not yet), and was to be tried again at 2027-01-15T08:00:12.000Z.
    `w` failed: busy: not yet; its 2 attempts were used up.
    It failed at `w`: busy: not yet; no edge leads on from a failure of `w`.
    ");
}

#[test]
fn each_edge_is_told_with_its_condition_and_the_values_that_it_read() {
    let edges = "edges:
  - { source: s, target: a, condition: context.n >= 10 }
  - { source: s, target: b, condition: \"context.get('kind') == 'x'\" }
  - { source: s, target: c, default: true }
  - { source: b, target: c }
";
    let steps = |gateway: &str| {
        format!("initial_step: s\nsteps: {{ s: {gateway}, a: {MACHINE}, b: {MACHINE}, c: {MACHINE} }}\n{edges}")
    };
    let data = json!({"n": 12});

    let run = Run::with(yaml(&steps("{ type: gateway, mode: exclusive }")), data.clone());
    insta::assert_snapshot!(past(&run), @"
    It was started.
    The edge from `s` to `a` was taken: `context.n >= 10` held (context.n = 12).
    The edge from `s` to `b` was passed by: an exclusive gateway takes only the first that holds.
    The edge from `s` to `c` was passed by: it is the default, and another was taken.
    ");
    let run = Run::with(yaml(&steps("{ type: gateway, mode: inclusive }")), data);
    insta::assert_snapshot!(past(&run), @"
    It was started.
    The edge from `s` to `a` was taken: `context.n >= 10` held (context.n = 12).
    The edge from `s` to `b` was passed by: `context.get('kind') == 'x'` did not hold (context.kind = missing).
    The edge from `s` to `c` was passed by: it is the default, and another was taken.
    ");
    let mut run = Run::with(yaml(&steps("{ type: gateway, mode: inclusive }")), json!({"n": 1}));
    insta::assert_snapshot!(past(&run), @"
    It was started.
    The edge from `s` to `a` was passed by: `context.n >= 10` did not hold (context.n = 1).
    The edge from `s` to `b` was passed by: `context.get('kind') == 'x'` did not hold (context.kind = missing).
    The edge from `s` to `c` was taken: it is the default, and no other was taken.
    ");
    run.run(&["c"]);
    insta::assert_snapshot!(now(&run), @"It completed: every branch came to its end, `c` last.");
}

#[test]
fn a_gateways_component_is_told_to_have_named_its_targets() {
    let mut run = Run::of(yaml(&format!(
        "initial_step: s\nsteps: {{ s: {{ type: gateway, component: g@1 }}, a: {MACHINE}, b: {MACHINE} }}\nedges: [{{ \
         source: s, target: a }}, {{ source: s, target: b }}]\n"
    )));
    run.returns("s", json!(["b"]));
    insta::assert_snapshot!(past(&run), @"
    It was started.
    The edge from `s` to `a` was passed by: the gateway's component did not name it.
    The edge from `s` to `b` was taken: the gateway's component named it.
    ");
}

#[test]
fn a_failure_that_an_edge_leads_on_from_is_told_with_that_edge() {
    let mut run = Run::of(yaml(&format!(
        "initial_step: a\nsteps: {{ a: {MACHINE}, ok: {MACHINE}, b: {MACHINE} }}\nedges: [{{ source: a, target: ok }}, {{ \
         source: a, target: b, outcome: failure }}]\n"
    )));
    run.fails("a");
    insta::assert_snapshot!(past(&run), @"
    It was started.
    `a` failed: broken: it broke.
    The edge for failures from `a` to `b` was taken: it has no condition.
    ");
}

#[test]
fn a_join_names_the_branches_that_it_waits_for() {
    let mut run = Run::of(yaml(&format!(
        "initial_step: s\nsteps: {{ s: {MACHINE}, a: {MACHINE}, b: {{ type: human }}, j: {MACHINE} }}\nedges: [{{ source: s, \
         target: a }}, {{ source: s, target: b }}, {{ source: a, target: j }}, {{ source: b, target: j }}]\n"
    )));
    run.run(&["s", "a"]);
    insta::assert_snapshot!(now(&run), @r#"
    `b` waits for anybody to do the task "B".
    `j` waits for the other branches that can still come to it, now at `b`; it was reached from `a`.
    "#);
    run.completes("b", json!({})).unwrap();
    insta::assert_snapshot!(past(&run), @"
    It was started.
    `s` succeeded.
    The edge from `s` to `a` was taken: it has no condition.
    The edge from `s` to `b` was taken: it has no condition.
    `a` succeeded.
    The edge from `a` to `j` was taken: it has no condition.
    ada did the task of `b`.
    `b` succeeded.
    The edge from `b` to `j` was taken: it has no condition.
    The branch from `b` arrived at `j`, which waited for it.
    ");
}

#[test]
fn a_branch_that_came_too_late_is_told_to_have_ended() {
    let mut run = Run::of(yaml(&format!(
        "initial_step: s\nsteps: {{ s: {MACHINE}, a: {MACHINE}, b: {MACHINE}, j: {{ type: machine, component: a@1, join: any \
         }} }}\nedges: [{{ source: s, target: a }}, {{ source: s, target: b }}, {{ source: a, target: j }}, {{ source: b, \
         target: j }}]\n"
    )));
    run.run(&["s", "a", "j", "b"]);
    insta::assert_snapshot!(past(&run), @"
    It was started.
    `s` succeeded.
    The edge from `s` to `a` was taken: it has no condition.
    The edge from `s` to `b` was taken: it has no condition.
    `a` succeeded.
    The edge from `a` to `j` was taken: it has no condition.
    `j` succeeded.
    `b` succeeded.
    The edge from `b` to `j` was taken: it has no condition.
    The branch from `b` ended at `j`, which had run for the first one that came.
    It completed: every branch had come to its end.
    ");
}

#[test]
fn a_skipped_step_and_a_hook_that_failed_are_told() {
    let mut run = Run::of(waiting(MACHINE));
    run.begin("w");
    run.end("w", report(AttemptOutcome::Skipped));
    run.begin("after");
    let failure = stepcell_model::failure::Failure::new("no-mail", "nobody answered");
    let mut ended = report(AttemptOutcome::Succeeded(Json::null()));
    ended.hook_failure = Some(failure);
    run.end("after", ended);
    insta::assert_snapshot!(past(&run), @"
    It was started.
    `w` was skipped: its `can-execute` said no.
    The edge from `w` to `after` was taken: it has no condition.
    `after` succeeded.
    `on-success` of `after` failed, which changes nothing: no-mail: nobody answered.
    It completed: every branch had come to its end.
    ");
}

#[test]
fn a_group_tells_how_many_of_its_parts_have_ended_and_what_it_needs() {
    let group =
        "{ type: parallel, complete_when: 2, max_concurrency: 2, steps: { a: MACHINE, b: MACHINE, c: MACHINE }, \
                 callback: MACHINE }"
            .replace("MACHINE", MACHINE);
    let mut run = Run::of(waiting(&group));
    run.fails("w/a");
    insta::assert_snapshot!(now(&run), @"
    `w` waits for its members: 0 of 3 have succeeded, 1 failed, 2 under way; it needs 2.
    `w/b` is ready, and begins as soon as there is room.
    `w/c` is ready, and begins as soon as there is room.
    ");
    run.run(&["w/b", "w/c"]);
    insta::assert_snapshot!(now(&run), @"
    `w` has its results, and waits for `w/callback`.
    `w/callback` is ready, and begins as soon as there is room.
    ");

    let mut run = Run::of(waiting(&group.replace("complete_when: 2", "on_member_failure: wait")));
    run.fails("w/a");
    insta::assert_snapshot!(now(&run), @"
    `w` waits for its members: 0 of 3 have succeeded, 1 failed, 1 under way, 1 wait for room (at most 2 at once); it will fail once those under way have ended: broken: its part `w/a` failed: it broke.
    `w/b` is ready, and begins as soon as there is room.
    ");

    let one = format!("{{ type: conditional, key: kind, steps: {{ a: {MACHINE}, b: {MACHINE} }} }}");
    insta::assert_snapshot!(now(&Run::with(waiting(&one), json!({"kind": "b"}))), @"
    `w` waits for the member that was picked, `w/b`.
    `w/b` is ready, and begins as soon as there is room.
    ");
    let row = format!("{{ type: sequential, steps: {{ a: {MACHINE}, b: {MACHINE} }} }}");
    insta::assert_snapshot!(now(&Run::of(waiting(&row))), @"
    `w` waits for its members: 0 of 2 have succeeded, 1 under way, 1 follow; it needs all.
    `w/a` is ready, and begins as soon as there is room.
    ");
}

#[test]
fn items_are_told_by_their_number() {
    let mut run = Run::with(
        waiting("{ type: machine, component: a@1, for_each: rooms, retry: { max_attempts: 1 } }"),
        json!({"rooms": ["x", "y", "z"]}),
    );
    run.returns("w/item", json!(1));
    insta::assert_snapshot!(now(&run), @"
    `w` waits for its items: 1 of 3 have succeeded, 2 under way; it needs all.
    `w/item` (item 2) is ready, and begins as soon as there is room.
    `w/item` (item 3) is ready, and begins as soon as there is room.
    ");
    run.fails("w/item");
    insta::assert_snapshot!(past(&run), @"
    It was started.
    `w/item` (item 1) succeeded.
    `w/item` (item 2) failed: broken: it broke.
    `w/item` (item 3) was canceled: `w` failed: its part `w/item` failed: it broke.
    `w` failed: broken: its part `w/item` failed: it broke.
    It failed at `w`: broken: its part `w/item` failed: it broke; no edge leads on from a failure of `w`.
    ");
}

#[test]
fn whoever_was_canceled_is_told_why() {
    let group = |more: &str| format!("{{ type: parallel{more}, steps: {{ a: {MACHINE}, b: {MACHINE} }} }}");
    let mut race = Run::of(waiting(&group(", complete_when: any")));
    race.run(&["w/b"]);
    insta::assert_snapshot!(past(&race), @"
    It was started.
    `w/b` succeeded.
    `w/a` was canceled: enough of `w` had succeeded.
    `w` succeeded.
    The edge from `w` to `after` was taken: it has no condition.
    ");
    let mut failed = Run::of(waiting(&group("")));
    failed.fails("w/a");
    insta::assert_snapshot!(past(&failed), @"
    It was started.
    `w/a` failed: broken: it broke.
    `w/b` was canceled: `w` failed: its part `w/a` failed: it broke.
    `w` failed: broken: its part `w/a` failed: it broke.
    It failed at `w`: broken: its part `w/a` failed: it broke; no edge leads on from a failure of `w`.
    ");

    let mut ended = Run::of(yaml(&format!(
        "initial_step: s\nsteps: {{ s: {MACHINE}, a: {{ type: machine, component: a@1, terminate: true }}, b: {{ type: human \
         }} }}\nedges: [{{ source: s, target: a }}, {{ source: s, target: b }}]\n"
    )));
    ended.run(&["s", "a"]);
    insta::assert_snapshot!(past(&ended), @"
    It was started.
    `s` succeeded.
    The edge from `s` to `a` was taken: it has no condition.
    The edge from `s` to `b` was taken: it has no condition.
    `a` succeeded.
    `b` was canceled: `a` ended the workflow.
    It completed: every branch had come to its end.
    ");
    insta::assert_snapshot!(now(&ended), @"It completed: `a` ended every branch.");

    let mut canceled = Run::of(waiting("{ type: timer, duration: 1h }"));
    canceled.cancel("no longer needed");
    insta::assert_snapshot!(past(&canceled), @"
    It was started.
    `w` was canceled: the workflow was canceled: no longer needed.
    It was canceled: no longer needed.
    ");
    insta::assert_snapshot!(now(&canceled), @"It was canceled: no longer needed.");
}

#[test]
fn a_child_is_told_with_its_instance_and_what_it_came_to() {
    let mut run = Run::of(waiting("{ type: workflow, workflow: other }"));
    let execution = run.active("w").number;
    let child = run.child("w");
    let error = json!({"code": "no-money", "message": "none left", "step": null, "details": null});
    let outcome = ChildOutcome::Failed { error: serde_json::from_value(error).unwrap() };
    run.tell(Cause::ChildEnded { execution, child, outcome }).unwrap();
    insta::assert_snapshot!(past(&run), @"
    It was started.
    `w` started instance 01a3185c-5000-7127-9774-a7b350d68cbf.
    `w` failed: no-money: the workflow `other` (instance 01a3185c-5000-7127-9774-a7b350d68cbf) did not complete: none left.
    It failed at `w`: no-money: the workflow `other` (instance 01a3185c-5000-7127-9774-a7b350d68cbf) did not complete: none left; no edge leads on from a failure of `w`.
    ");
}

#[test]
fn an_operator_who_holds_an_instance_is_named() {
    let mut run = Run::of(waiting(MACHINE));
    run.begin("w");
    run.tell(Cause::Paused { by: by("eve") }).unwrap();
    run.end("w", report(AttemptOutcome::Succeeded(Json::null())));
    insta::assert_snapshot!(now(&run), @"
    It is held by eve: nothing new begins until it is resumed.
    `after` was reached, and begins once the instance is resumed.
    ");
    run.tell(Cause::Resumed { by: by("ada") }).unwrap();
    run.fails("after");
    run.tell(Cause::Retried { from: None, by: by("ada") }).unwrap();
    insta::assert_snapshot!(past(&run), @"
    It was started.
    It was paused by eve.
    `w` succeeded.
    The edge from `w` to `after` was taken: it has no condition.
    It was resumed by ada.
    `after` failed: broken: it broke; such a failure is not retried.
    It failed at `after`: broken: it broke; no edge leads on from a failure of `after`.
    It was retried by ada, from `after`.
    ");
}

#[test]
fn what_is_undone_is_told_while_it_lasts_and_afterwards() {
    let step = "{ type: machine, component: a@1, compensate: undo@1 }";
    let mut run = Run::of(yaml(&format!(
        "initial_step: a\nsteps: {{ a: {step}, b: {step}, c: {MACHINE} }}\nedges: [{{ source: a, target: b }}, {{ source: b, \
         target: c }}]\n"
    )));
    run.run(&["a", "b"]);
    run.fails("c");
    insta::assert_snapshot!(now(&run), @"
    What it did is being undone, with 1 more to come; then it ends as failed at `c`: it broke.
    `b/compensate` is ready, and begins as soon as there is room.
    ");
    run.run(&["b/compensate", "a/compensate"]);
    insta::assert_snapshot!(now(&run), @"
    It failed at `c`: broken: it broke.
    It can not be retried, as what it did was undone.
    ");
    insta::assert_snapshot!(past(&run), @"
    It was started.
    `a` succeeded.
    The edge from `a` to `b` was taken: it has no condition.
    `b` succeeded.
    The edge from `b` to `c` was taken: it has no condition.
    `c` failed: broken: it broke.
    What it did began to be undone, latest first: `b`, `a`.
    `b/compensate` began to undo execution 2, of `b`.
    `b/compensate` succeeded.
    `a/compensate` began to undo execution 1, of `a`.
    `a/compensate` succeeded.
    It failed at `c`: broken: it broke; no edge leads on from a failure of `c`.
    ");

    let mut run = Run::of(yaml(&format!(
        "initial_step: a\nsteps: {{ a: {step}, b: {MACHINE} }}\nedges: [{{ source: a, target: b }}]\n"
    )));
    run.run(&["a"]);
    run.tell(Cause::Canceled { reason: "not now".into(), by: by("eve"), compensation: Compensation::Undo }).unwrap();
    insta::assert_snapshot!(now(&run), @"
    What it did is being undone; then it ends as canceled at `b`: not now.
    `a/compensate` is ready, and begins as soon as there is room.
    ");
}

#[test]
fn programs_are_told_the_same_in_fields() {
    let run = Run::of(waiting("{ type: human, assignee: dana }"));
    let told = serde_json::to_value(why(&run)).unwrap();

    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&told), ["instance", "status", "now", "past"]);
    assert_eq!(
        keys(&told["now"][0]),
        [
            "at",
            "step",
            "execution",
            "about",
            "task",
            "title",
            "assignee",
            "group",
            "due_at",
            "overdue",
            "timeout_at",
            "text"
        ]
    );
    assert_eq!((&told["now"][0]["about"], &told["now"][0]["assignee"]), (&json!("person"), &json!("dana")));
    assert_eq!((&told["past"][0]["about"], &told["past"][0]["by"]), (&json!("started"), &json!(null)));
}
