//! Workflows of people alone, from start to end.

use crate::tool::{APPROVAL, Desk};

#[test]
fn an_instance_waits_for_a_person_whose_answer_takes_it_on() {
    let desk = Desk::with_waiting_instance();
    let task = desk.task();

    let refused =
        desk.run(&["task", "complete", &task, "--user", "dana", "--data", r#"{"approved": "yes", "level": 9}"#]);
    let refused = refused.exits(1).tells("at /approved: this must be true or false").tells("at /level: ");
    assert_eq!(refused.stdout, "");
    desk.run(&["task", "complete", &task, "--user", "eve", "--data", "{}"]).exits(3).tells("`eve` may not act");
    let answer = ["task", "complete", &task, "--user", "dana", "--data", r#"{"approved": true}"#, "--comment", "fine"];
    let said = desk.run(&answer).exits(0).tells("waits for a member of finance: ");
    assert!(said.stdout.contains("waiting at step `confirm`"), "{}", said.stdout);

    desk.run(&answer).exits(3).tells("is already completed");
    let confirm = desk.task();
    let finance = ["task", "complete", &confirm, "--user", "flo", "--group", "finance", "--data", "{}"];
    let done = desk.run(&[&finance[..], &["--output", "json"]].concat()).exits(0).json();
    assert_eq!(done["status"], "completed");
    assert_eq!(done["data"]["approved"], true);
    desk.run(&["check"]).exits(0);
}

#[test]
fn the_suggested_command_is_the_one_that_completes_the_task() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);
    let said = desk.run(&["run", "approval.yaml", "--db", "a b.db", "--data", r#"{"amount": 12}"#]).exits(0);

    let suggested = said.stderr.lines().find_map(|line| line.trim().strip_prefix("stepcell ")).unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg(format!("{} {suggested}", env!("CARGO_BIN_EXE_stepcell"))).current_dir(desk.path(""));
    let done = Desk::said(&mut shell).exits(0);

    assert!(done.stdout.contains("waiting at step `confirm`"), "{}", done.stdout);
}

#[test]
fn a_task_is_claimed_reassigned_and_found_by_whose_it_is() {
    let desk = Desk::with_waiting_instance();
    let task = desk.task();

    desk.run(&["task", "claim", &task, "--user", "eve"]).exits(3).tells("dana");
    desk.run(&["task", "reassign", &task, "--to", "eve", "--reason", "holiday"]).exits(0);

    assert_eq!(desk.json(&["task", "show", &task])["assignee_id"], "eve");
    assert_eq!(desk.json(&["task", "list", "--assignee", "eve"])["total"], 1);
    assert_eq!(desk.json(&["task", "list", "--assignee", "dana"])["total"], 0);
    assert_eq!(desk.json(&["task", "list", "--overdue"])["total"], 0);
}

#[test]
fn a_canceled_instance_takes_its_tasks_along_and_is_canceled_once() {
    let desk = Desk::with_waiting_instance();
    let (instance, task) = (desk.instance(), desk.task());
    let cancel = ["instance", "cancel", &instance, "--reason", "no longer needed"];

    desk.run(&cancel).exits(0);

    desk.run(&cancel).exits(3).tells("is already canceled");
    desk.run(&["task", "complete", &task, "--user", "dana", "--data", "{}"]).exits(3).tells("is already canceled");
    assert_eq!(desk.json(&["task", "list"])["total"], 0);
    let shown = desk.json(&["instance", "show", &instance]);
    assert_eq!(shown["error"]["message"], "no longer needed");
    desk.run(&["check"]).exits(0);
}

#[test]
fn a_run_in_memory_leaves_nothing_behind_and_says_so() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);
    let mut command = desk.command(&["run", "approval.yaml", "--data", r#"{"amount": 12}"#]);

    Desk::said(command.env("STEPCELL_DB", "kept.db")).exits(0).tells("kept in memory and is gone");

    assert!(!desk.files().iter().any(|name| name.ends_with(".db")), "{:?}", desk.files());
}

#[test]
fn an_instance_is_started_once_for_each_key_and_takes_its_settings_from_the_environment() {
    let desk = Desk::new();
    desk.write("approval.yaml", APPROVAL);
    desk.run(&["definition", "apply", "approval.yaml"]).exits(0);
    let start = || {
        let mut command = desk.command(&["start", "approval", "--idempotency-key", "order-7", "--user", "ada"]);
        command.env("STEPCELL_DATA", r#"{"amount": 5}"#).env("STEPCELL_TENANT", "acme").env("STEPCELL_OUTPUT", "json");
        Desk::said(&mut command).exits(0).json()
    };

    let (first, second) = (start(), start());

    assert_eq!(first["id"], second["id"]);
    assert_eq!((&first["tenant_id"], &first["created_by"]), (&"acme".into(), &"ada".into()));
    assert_eq!(first["data"]["amount"], 5);
}

#[test]
fn a_workflow_that_fails_ends_with_2() {
    let desk = Desk::new();
    let stuck = APPROVAL.replace("  - { source: route, target: refuse, default: true }\n", "");
    let stuck = stuck.replace("  refuse: { type: gateway, mode: exclusive }\n", "");
    desk.write("stuck.yaml", &stuck);
    desk.run(&["run", "stuck.yaml", "--db", "stepcell.db", "--data", r#"{"amount": 1}"#]).exits(0);

    let task = desk.task();
    let said = desk.run(&["task", "complete", &task, "--user", "dana", "--data", r#"{"approved": false}"#]).exits(2);

    assert!(said.stdout.contains("failed at step `route`"), "{}", said.stdout);
    desk.run(&["check"]).exits(0);
}
