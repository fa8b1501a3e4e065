//! What verbs do through a server, and that they show what they show of its database.

use serde_json::{Value, json};

use super::kit::Office;
use crate::tool::APPROVAL;

const CALLED_BACK: &str = "\
schema: stepcell/v1
name: called-back
version: 1.0.0
initial_step: receipt
steps:
  receipt: { type: webhook }
  signed: { type: webhook, signed: true }
  word: { type: signal, signal: go, payload_key: word }
  pause: { type: timer, duration: 20ms }
  look: { type: human, assignee: dana }
edges:
  - { source: receipt, target: signed }
  - { source: signed, target: word }
  - { source: word, target: pause }
  - { source: pause, target: look }
";

/// A list as long as no page is; each instance is one of acme.
fn start_many(office: &Office, number: usize) {
    for _ in 0..number {
        office.desk.run(&["start", "approval", "--data", r#"{"amount": 1}"#, "--tenant", "acme"]).exits(0);
    }
}

#[test]
fn what_a_server_shows_is_what_its_database_shows() {
    let office = Office::with_waiting_instance();
    let (instance, task) = (office.desk.instance(), office.desk.task());

    for arguments in [
        &["instance", "list"][..],
        &["instance", "list", "--workflow", "approval", "--status", "waiting,failed"],
        &["instance", "show", &instance],
        &["instance", "history", &instance],
        &["instance", "why", &instance],
        &["instance", "graph", &instance],
        &["instance", "graph", &instance, "--format", "dot"],
        &["instance", "graph", &instance, "--format", "json"],
        &["task", "list"],
        &["task", "list", "--assignee", "dana", "--instance", &instance],
        &["task", "show", &task],
        &["tenant", "usage"],
    ] {
        office.assert_shown_alike(arguments);
    }
}

#[test]
fn an_instance_is_started_and_its_task_completed_by_whoever_has_the_key() {
    let office = Office::with_approval();
    let start = ["start", "approval", "--data", r#"{"amount": 12}"#, "--metadata", r#"{"k": 1}"#, "--wait"];

    let started = office.json(&start);
    let task = office.desk.task();
    let answer = ["task", "complete", &task, "--data", r#"{"approved": true}"#, "--comment", "fine"];
    office.run(&answer).exits(0).tells("The task is completed; the server goes on with the instance.");

    assert_eq!((&started["status"], &started["current_step"]), (&json!("waiting"), &json!("review")));
    assert_eq!((&started["created_by"], &started["metadata"]), (&json!("dana"), &json!({ "k": 1 })));
    let done = office.json(&["task", "show", &task]);
    assert_eq!((&done["completed_by"], &done["comment"]), (&json!("dana"), &json!("fine")));
    office.run(&answer).exits(3).tells("is already completed");
    office.assert_shown_alike(&["instance", "show", started["id"].as_str().unwrap()]);
}

#[test]
fn what_is_suggested_next_is_what_does_it_on_the_server() {
    let office = Office::with_waiting_instance();

    let said = office.run(&["instance", "show", &office.desk.instance()]).exits(0).stderr;

    let suggested = said.lines().find_map(|line| line.trim().strip_prefix("stepcell ")).unwrap();
    assert!(suggested.ends_with(&format!("--server {}", office.url())), "{suggested}");
    let mut shell = std::process::Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{} {suggested}", env!("CARGO_BIN_EXE_stepcell")))
        .env("STEPCELL_KEY", office.key("dana"));
    crate::tool::Desk::said(&mut shell).exits(0);
}

#[test]
fn a_start_with_the_same_key_is_the_same_instance_and_another_one_with_it_is_refused() {
    let office = Office::with_approval();
    let start =
        |data| office.run(&["start", "approval", "--idempotency-key", "k1", "--output", "json", "--data", data]);

    let (first, second) = (start(r#"{"amount": 1}"#).exits(0).json(), start(r#"{"amount": 1}"#).exits(0).json());

    assert_eq!(first["id"], second["id"]);
    start(r#"{"amount": 2}"#).exits(1).tells("was used for another start");
}

#[test]
fn lists_longer_than_a_page_come_as_a_whole() {
    let office = Office::with_waiting_instance();
    start_many(&office, 104);

    for page in [&["--limit", "103"][..], &["--limit", "2", "--offset", "101"], &["--offset", "900"], &["--limit", "1"]]
    {
        for list in ["instance", "task"] {
            let arguments = [&[list, "list", "--output", "json"], page].concat();
            let (of_server, of_database) = (office.run(&arguments).exits(0), office.desk.run(&arguments).exits(0));
            assert_eq!(of_server.stdout, of_database.stdout, "{arguments:?}");
        }
    }
    let of_tenant = office.run_as("acme-viewer", &["instance", "list", "--output", "json"]).exits(0).json();
    assert_eq!((of_tenant["items"].as_array().unwrap().len(), &of_tenant["total"]), (100, &json!(104)));
}

#[test]
fn an_instance_is_held_let_go_on_and_canceled() {
    let office = Office::with_waiting_instance();
    let instance = office.desk.instance();

    let paused = office.json(&["instance", "pause", &instance]);
    office.run(&["instance", "pause", &instance]).exits(3);
    let resumed = office.json(&["instance", "resume", &instance]);
    let canceled = office.json(&["instance", "cancel", &instance, "--reason", "no longer needed"]);

    assert_eq!((&paused["status"], &resumed["status"]), (&json!("paused"), &json!("waiting")));
    assert_eq!((&canceled["status"], &canceled["error"]["message"]), (&json!("canceled"), &json!("no longer needed")));
    office.run(&["instance", "cancel", &instance, "--reason", "again"]).exits(3);
    let history = office.json(&["instance", "history", &instance]);
    let by = history["items"].as_array().unwrap().iter().filter_map(|event| event["by"].as_str());
    assert_eq!(by.collect::<Vec<_>>(), ["dana", "dana", "dana"]);
}

#[test]
fn a_failed_instance_is_retried() {
    let stuck = APPROVAL.replace("  - { source: route, target: refuse, default: true }\n", "");
    let stuck = stuck.replace("  refuse: { type: gateway, mode: exclusive }\n", "");
    let (office, instance) = Office::with_instance_of(&stuck, r#"{"amount": 1}"#);
    office.run(&["task", "complete", &office.desk.task(), "--data", r#"{"approved": false}"#]).exits(0);
    office.run(&["instance", "why", &instance]).exits(0);

    office.run(&["instance", "retry", &instance, "--from-step", "review"]).exits(0).tells("the server goes on with it");

    assert_eq!(office.json(&["task", "list"])["total"], 1);
    office.run(&["instance", "retry", &instance]).exits(3);
}

#[test]
fn callbacks_and_signals_take_an_instance_on() {
    let (office, instance) = Office::with_instance_of(CALLED_BACK, "{}");
    let deliver = |step, data, id| {
        office.run(&["webhook", "deliver", "--instance", &instance, "--step", step, "--data", data, "--id", id])
    };

    let address = office.json(&["webhook", "address", "--instance", &instance, "--step", "signed"]);
    deliver("receipt", r#"{"paid": true}"#, "d1").exits(0).tells("The callback is delivered");
    deliver("receipt", r#"{"paid": false}"#, "d1").exits(0).tells("This callback was delivered before");
    deliver("signed", "1", "d2").exits(0);
    office.run(&["instance", "signal", &instance, "go", "--data", "[7]"]).exits(0);

    let of_database = office.desk.json(&["webhook", "address", "--instance", &instance, "--step", "signed"]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&address), keys(&of_database));
    assert_eq!(
        (&address["token"], &address["signing_secret"]),
        (&of_database["token"], &of_database["signing_secret"])
    );
    assert_eq!(address["path"], format!("/api/v1{}", of_database["path"].as_str().unwrap()));
    deliver("look", "1", "d3").exits(3).tells("is no webhook step");
    office.run(&["instance", "signal", &instance, "nothing"]).exits(3).tells("instance why");
    office.run(&["start", "called-back", "--wait"]).exits(0);
    office.assert_shown_alike(&["instance", "history", &instance]);
}
