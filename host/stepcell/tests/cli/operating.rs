//! What operators do to instances: retry, pause, resume, signal, cancel.

use rustix::process::Signal;

use crate::tool::{APPROVAL, Desk};

const NOBODY: &str = "0198c0de-0000-7000-8000-000000000000";

/// A person's word decides; without their approval no edge can be taken.
fn stuck() -> String {
    let stuck = APPROVAL.replace("  - { source: route, target: refuse, default: true }\n", "");
    stuck.replace("  refuse: { type: gateway, mode: exclusive }\n", "")
}

/// A desk with an instance that failed at `route`.
fn with_failed_instance() -> (Desk, String) {
    let (desk, instance) = Desk::with_instance_of(&stuck(), r#"{"amount": 1}"#);
    answer(&desk, r#"{"approved": false}"#, 2);
    (desk, instance)
}

fn answer(desk: &Desk, data: &str, exit: i32) {
    desk.run(&["task", "complete", &desk.task(), "--user", "dana", "--data", data]).exits(exit);
}

const SIGNALED: &str = "\
schema: stepcell/v1
name: signaled
version: 1.0.0
initial_step: word
steps:
  word: { type: signal, signal: go, payload_key: word }
  pause: { type: timer, duration: 20ms }
  last: { type: signal }
edges:
  - { source: word, target: pause }
  - { source: pause, target: last }
";

#[test]
fn a_failed_instance_is_retried_where_it_failed_and_ends_with_2_when_it_fails_again() {
    let (desk, instance) = with_failed_instance();

    let said = desk.run(&["instance", "retry", &instance, "--user", "eve"]).exits(2);

    assert!(said.stdout.contains("failed at step `route`"), "{}", said.stdout);
    let shown = desk.json(&["instance", "show", &instance]);
    let steps: Vec<_> = shown["history"].as_array().unwrap().iter().map(|row| row["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["review", "route", "route"]);
    let history = desk.json(&["instance", "history", &instance]);
    let retried =
        history["items"].as_array().unwrap().iter().find(|event| event["type"] == "workflow_retried").unwrap();
    assert_eq!((&retried["steps"], &retried["by"]), (&serde_json::json!(["route"]), &"eve".into()));
    desk.run(&["check"]).exits(0);
}

#[test]
fn a_retry_from_an_earlier_step_asks_the_person_again() {
    let (desk, instance) = with_failed_instance();

    let said = desk.run(&["instance", "retry", &instance, "--from-step", "review"]).exits(0);
    assert!(said.stdout.contains("waiting at step `review`"), "{}", said.stdout);
    said.tells("stepcell task complete");
    answer(&desk, r#"{"approved": true}"#, 0);

    assert_eq!(desk.json(&["instance", "show", &instance])["current_step"], "confirm");
    desk.run(&["check"]).exits(0);
}

#[test]
fn what_can_not_be_retried_is_refused_with_the_reason() {
    let (desk, instance) = with_failed_instance();

    let retry = |more: &[&str]| desk.run(&[&["instance", "retry", &instance], more].concat());
    retry(&["--from-step", "nothing"]).exits(3).tells("it is not a step; the steps are review, route, confirm");
    retry(&["--from-step", "confirm"]).exits(3).tells("the instance never came to it");
    retry(&["--from-step", "no step"]).exits(1).tells("can not be a step's name");
    retry(&["--from-step", "review"]).exits(0);
    retry(&[]).exits(3).tells("can not go from waiting to running: only a failed instance can be retried");
    retry(&["--from-step", "nothing"]).exits(3).tells("can not go from waiting");
    desk.run(&["instance", "cancel", &instance, "--reason", "x"]).exits(0);
    retry(&[]).exits(3).tells("is already canceled");
    retry(&["--from-step", "review"]).exits(3).tells("is already canceled");
    desk.run(&["instance", "retry", NOBODY]).exits(3).tells("instance list");
}

#[test]
fn a_paused_instance_starts_nothing_until_it_is_resumed() {
    let (desk, instance) = Desk::with_instance_of(APPROVAL, r#"{"amount": 1}"#);

    let paused = desk.run(&["instance", "pause", &instance, "--user", "eve"]).exits(0);
    paused.tells(&format!("stepcell instance resume {instance}"));
    assert_eq!(desk.json(&["instance", "show", &instance])["status"], "paused");
    desk.run(&["instance", "pause", &instance]).exits(3).tells("it is paused already");
    answer(&desk, r#"{"approved": true}"#, 0);
    assert_eq!(desk.json(&["instance", "show", &instance])["status"], "paused");

    let resumed = desk.run(&["instance", "resume", &instance, "--user", "eve"]).exits(0);
    assert!(resumed.stdout.contains("waiting at step `confirm`"), "{}", resumed.stdout);
    desk.run(&["instance", "resume", &instance]).exits(3).tells("it is not paused");
    for verb in ["pause", "resume"] {
        desk.run(&["instance", verb, NOBODY]).exits(3).tells("instance list");
    }
    desk.run(&["check"]).exits(0);
}

#[test]
fn a_signal_takes_its_instance_on_through_timers_to_the_next_one() {
    let (desk, instance) = Desk::with_instance_of(SIGNALED, "{}");

    let said = desk.run(&["instance", "signal", &instance, "go", "--data", r#"{"n": 1}"#]).exits(0);
    assert!(said.stdout.contains("waiting at step `last`"), "{}", said.stdout);
    said.tells("waits for the signal `last` at `last`:").tells(&format!("stepcell instance signal {instance} last"));
    let done = desk.json(&["instance", "signal", &instance, "last"]);

    assert_eq!((&done["status"], &done["result"]), (&"completed".into(), &serde_json::Value::Null));
    assert_eq!(done["data"]["word"]["n"], 1);
    desk.run(&["check"]).exits(0);
}

#[test]
fn a_signal_that_nobody_waits_for_is_refused_with_those_that_are_known() {
    let (desk, instance) = Desk::with_instance_of(SIGNALED, "{}");

    let signal = |name: &str, data: &str| desk.run(&["instance", "signal", &instance, name, "--data", data]);
    signal("og", "1")
        .exits(3)
        .tells("nobody waits for the signal `og`")
        .tells("its workflow knows go, last")
        .tells("instance why");
    signal("go", "{n: 1}").exits(1).tells("this is not JSON");
    signal("not a name", "1").exits(1);
    signal("go", "1").exits(0);
    signal("go", "1").exits(3).tells("nobody waits for the signal `go`");
    signal("last", "1").exits(0);
    signal("last", "1").exits(3).tells("is already completed");
    desk.run(&["instance", "signal", NOBODY, "go"]).exits(3).tells("instance list");
}

#[test]
fn beside_a_driver_an_instance_is_resumed_and_that_one_goes_on() {
    let (desk, instance) = Desk::with_instance_of(SIGNALED, "{}");
    desk.run(&["instance", "pause", &instance]).exits(0);
    let serving = desk.serve();

    let said = desk.run(&["instance", "resume", &instance]).exits(0);

    said.tells("The instance is resumed; another process goes on with the instance");
    assert_eq!(serving.stop_by(Signal::TERM).0, Some(0));
}

#[test]
fn a_cancel_that_undoes_ends_with_0_and_says_who_did() {
    let (desk, instance) = Desk::with_instance_of(SIGNALED, "{}");

    let cancel = ["instance", "cancel", &instance, "--reason", "not now", "--compensate", "--user", "eve"];
    let canceled = desk.json(&cancel);

    assert_eq!((&canceled["status"], &canceled["error"]["message"]), (&"canceled".into(), &"not now".into()));
    let history = desk.json(&["instance", "history", &instance]);
    assert_eq!(history["items"].as_array().unwrap().last().unwrap()["by"], "eve");
    desk.run(&cancel).exits(3).tells("is already canceled");
    desk.run(&["check"]).exits(0);
}

#[test]
fn a_run_in_memory_that_waits_for_a_message_says_so_and_that_it_is_gone() {
    let desk = Desk::new();
    desk.write("workflow.yaml", SIGNALED);

    let said = desk.run(&["run", "workflow.yaml"]).exits(0);

    said.tells("waits for the signal `go` at `word`:").tells("kept in memory and is gone");
}
