//! What happens, told to whoever looks on.

use rustix::process::Signal;
use serde_json::Value;

use crate::tool::Desk;

const STARTED: [&str; 4] = ["workflow_started", "step_activated", "task_created", "workflow_waiting"];

const HEADING: &str =
    "POSITION  AT                        INSTANCE                              EVENT                 WHAT";

/// The events that `events --output json` prints with these arguments.
fn told(desk: &Desk, arguments: &[&str]) -> Vec<Value> {
    let said = desk.run(&[&["events", "--output", "json"], arguments].concat()).exits(0);
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Starts another instance that waits for dana. Returns its id.
fn start(desk: &Desk, arguments: &[&str]) -> String {
    let start = ["start", "approval", "--data", r#"{"amount": 5}"#];
    desk.json(&[&start, arguments].concat())["id"].as_str().unwrap().to_owned()
}

fn reassign(desk: &Desk, to: &str) {
    desk.run(&["task", "reassign", &desk.task(), "--to", to, "--reason", "holiday"]).exits(0);
}

#[test]
fn whoever_follows_sees_what_was_and_an_instance_that_another_process_starts_afterwards() {
    let desk = Desk::with_waiting_instance();
    let first = desk.instance();
    let mut following = desk.follow(&["--output", "json"]);
    let before = STARTED.map(|_| following.json());

    let second = start(&desk, &[]);
    let after = STARTED.map(|_| following.json());

    for (told, instance) in [(before, first), (after, second)] {
        assert_eq!(types(&told), STARTED);
        assert!(told.iter().all(|event| event["instance"] == instance.as_str()), "{told:?}");
    }
    assert_eq!(following.stop_by(Signal::TERM), Some(0));
}

#[test]
fn whoever_follows_from_now_on_is_told_what_happens_in_words() {
    let desk = Desk::with_waiting_instance();
    let mut following = desk.follow(&["--after", "now"]);
    assert_eq!(following.line(), HEADING);

    reassign(&desk, "eve");

    let line = following.line();
    let words: Vec<_> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!((words[2], words[3]), (desk.instance().as_str(), "task_reassigned"), "{line}");
    assert!(words[4].starts_with("`review`, ") && words[4].ends_with("from dana, to eve, reason holiday"), "{line}");
    assert_eq!(following.stop_by(Signal::INT), Some(0));
}

#[test]
fn whoever_follows_for_a_reader_that_goes_away_ends_with_0_though_nothing_happens() {
    let desk = Desk::with_waiting_instance();
    let mut following = desk.follow(&["--after", "now"]);
    assert_eq!(following.line(), HEADING);

    assert_eq!(following.lose_reader(), Some(0));
}

#[test]
fn whoever_resumes_after_a_position_is_told_exactly_the_rest() {
    let desk = Desk::with_waiting_instance();
    start(&desk, &[]);
    let all = told(&desk, &[]);
    let last = all.last().unwrap()["position"].as_u64().unwrap();

    for position in 0..=last {
        let rest: Vec<_> = all.iter().filter(|event| event["position"].as_u64().unwrap() > position).cloned().collect();
        assert_eq!(told(&desk, &["--after", &position.to_string()]), rest);
    }
    let mut following = desk.follow(&["--output", "json", "--after", &last.to_string(), "--limit", "1"]);
    let third = start(&desk, &[]);

    let told = STARTED.map(|_| following.json());
    assert!(told.iter().all(|event| event["instance"] == third.as_str()), "{told:?}");
    assert_eq!(following.end(), Some(0), "the limit was reached");
}

#[test]
fn a_limit_ends_after_a_whole_transition_and_tells_where_to_go_on() {
    let desk = Desk::with_waiting_instance();
    start(&desk, &[]);

    let first = desk.run(&["events", "--limit", "1"]).exits(0).tells("`--after 1` goes on");

    assert_eq!(first.stdout.lines().next(), Some(HEADING));
    assert!(first.stdout.lines().skip(1).all(|line| line.starts_with("1  ")), "{}", first.stdout);
    let (first, rest) = (told(&desk, &["--limit", "1"]), told(&desk, &["--after", "1"]));
    assert_eq!([first, rest].concat(), told(&desk, &[]));
}

#[test]
fn events_are_those_of_the_history_with_their_place_in_the_database() {
    let desk = Desk::with_waiting_instance();
    let task = desk.task();
    desk.run(&["task", "complete", &task, "--user", "dana", "--data", r#"{"approved": false}"#]).exits(0);

    let history = desk.json(&["instance", "history", &desk.instance()]);
    let mut events = told(&desk, &["--instance", &desk.instance()]);

    for event in &mut events {
        let keys: Vec<_> = event.as_object().unwrap().keys().take(5).cloned().collect();
        assert_eq!(keys, ["position", "seq", "instance", "at", "type"]);
        assert_eq!(event["instance"], desk.instance());
        event.as_object_mut().unwrap().retain(|name, _| !["position", "instance"].contains(&name.as_str()));
    }
    assert_eq!(Value::Array(events), history["items"]);
}

#[test]
fn events_are_found_by_type_workflow_tenant_and_instance() {
    let desk = Desk::with_waiting_instance();
    let first = desk.instance();
    reassign(&desk, "eve");
    let second = start(&desk, &["--tenant", "acme"]);

    let of_types = told(&desk, &["--type", "task_created,task_reassigned", "--instance", &first]);
    assert_eq!(types(&of_types), ["task_created", "task_reassigned"]);
    let of_tenant = told(&desk, &["--tenant", "acme", "--workflow", "approval"]);
    assert_eq!(types(&of_tenant), STARTED);
    assert!(of_tenant.iter().all(|event| event["instance"] == second.as_str()), "{of_tenant:?}");
    let said = desk.run(&["events", "--workflow", "other"]).exits(0).tells("no events");
    assert_eq!(said.stdout.trim_end(), HEADING);
    let mut command = desk.command(&["events", "--output", "json"]);
    let said = Desk::said(command.env("STEPCELL_TYPE", "workflow_started").env("STEPCELL_AFTER", "1")).exits(0);
    assert_eq!(said.stdout.lines().count(), 1, "{}", said.stdout);
}

#[test]
fn a_position_that_the_database_has_not_come_to_is_refused() {
    let desk = Desk::with_waiting_instance();
    let last = told(&desk, &[]).last().unwrap()["position"].to_string();

    assert!(told(&desk, &["--after", &last]).is_empty());
    let said = desk.run(&["events", "--follow", "--after", "999999"]).exits(3);

    said.tells("there is no event at position 999999").tells(&format!("the last one is at {last};"));
}
