//! The JSON that programs rely on, key by key.

use serde_json::Value;

use crate::tool::Desk;

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

const INSTANCE: [&str; 19] = [
    "id",
    "workflow_name",
    "workflow_version",
    "status",
    "current_step",
    "error",
    "data",
    "metadata",
    "result",
    "tenant_id",
    "created_by",
    "started_at",
    "completed_at",
    "history",
    "tasks",
    "correlation_id",
    "parent_id",
    "children",
    "history_total",
];
const EXECUTION: [&str; 12] = [
    "step",
    "type",
    "status",
    "attempts",
    "input",
    "output",
    "error",
    "started_at",
    "completed_at",
    "execution",
    "part_of",
    "item",
];
const TASK: [&str; 8] = ["id", "step", "title", "status", "assignee_id", "assignee_group", "due_at", "form_schema"];

#[test]
fn an_instance_has_exactly_these_fields_in_this_order_whichever_verb_prints_it() {
    let desk = Desk::with_waiting_instance();
    let (instance, task) = (desk.instance(), desk.task());

    let shown = desk.json(&["instance", "show", &instance]);
    let completed = desk.json(&["task", "complete", &task, "--user", "dana", "--data", r#"{"approved": false}"#]);
    let started = desk.json(&["start", "approval", "--data", r#"{"amount": 1}"#, "--metadata", r#"{"k": [1]}"#]);
    let waited = desk.json(&["start", "approval", "--data", r#"{"amount": 1}"#, "--wait", "--correlation-id", "c"]);
    let canceled = desk.json(&["instance", "cancel", waited["id"].as_str().unwrap(), "--reason", "x"]);
    let run = desk.json(&["run", "approval.yaml", "--data", r#"{"amount": 1}"#]);

    for instance in [&shown, &completed, &started, &waited, &canceled, &run] {
        assert_eq!(keys(instance), INSTANCE);
        assert!(!instance["history"].as_array().unwrap().is_empty());
        instance["history"].as_array().unwrap().iter().for_each(|row| assert_eq!(keys(row), EXECUTION));
        instance["tasks"].as_array().unwrap().iter().for_each(|task| assert_eq!(keys(task), TASK));
    }
    assert_eq!(shown["id"], instance.as_str());
    assert_eq!((&shown["workflow_name"], &shown["workflow_version"]), (&"approval".into(), &"1.0.0".into()));
    assert_eq!((&shown["status"], &shown["current_step"]), (&"waiting".into(), &"review".into()));
    assert_eq!(shown["tasks"][0]["assignee_id"], "dana");
    assert_eq!((&shown["error"], &shown["result"], &shown["completed_at"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(started["metadata"], serde_json::json!({ "k": [1] }));
    assert_eq!(waited["correlation_id"], "c");
    let ended: Vec<_> =
        completed["history"].as_array().unwrap().iter().map(|row| row["step"].as_str().unwrap()).collect();
    assert_eq!(ended, ["review", "route", "refuse"]);
    assert!(completed["started_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(keys(&canceled["error"]), ["code", "message", "step", "details"]);
}

#[test]
fn lists_have_their_items_and_how_many_there_are_in_all() {
    let desk = Desk::with_waiting_instance();
    for _ in 0..2 {
        desk.run(&["start", "approval", "--data", r#"{"amount": 1}"#, "--tenant", "acme"]).exits(0);
    }

    for arguments in [
        &["instance", "list"][..],
        &["task", "list"],
        &["definition", "list"],
        &["definition", "list", "--all"],
        &["component", "list"],
    ] {
        assert_eq!(keys(&desk.json(arguments)), ["items", "total"], "{arguments:?}");
    }
    let page = desk.json(&["instance", "list", "--limit", "1", "--offset", "1"]);
    assert_eq!((page["items"].as_array().unwrap().len(), &page["total"]), (1, &3.into()));
    assert_eq!(desk.json(&["instance", "list", "--tenant", "acme"])["total"], 2);
    assert_eq!(desk.json(&["instance", "list", "--workflow", "other"])["total"], 0);
    assert_eq!(desk.json(&["instance", "list", "--status", "waiting,failed"])["total"], 3);
}

#[test]
fn history_tells_every_event_in_order() {
    let desk = Desk::with_waiting_instance();

    let history = desk.json(&["instance", "history", &desk.instance()]);

    assert_eq!(keys(&history), ["items", "total", "attempts"]);
    let told: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(told, ["workflow_started", "step_activated", "task_created", "workflow_waiting"]);
}

#[test]
fn an_instance_is_drawn_with_how_far_it_has_come() {
    let desk = Desk::with_waiting_instance();
    let instance = desk.instance();

    let mermaid = desk.run(&["instance", "graph", &instance]).exits(0).stdout;
    let graph = desk.json(&["instance", "graph", &instance, "--format", "json"]);

    assert!(mermaid.contains("style review fill:#FFD700"), "{mermaid}");
    assert_eq!((&graph["nodes"][0]["state"], &graph["nodes"][1]["state"]), (&"current".into(), &Value::Null));
}
