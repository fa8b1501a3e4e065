//! Instances of groups, of items and of other workflows.

use serde_json::Value;

use crate::tool::Desk;

const ASKING: &str = "\
schema: stepcell/v1
name: asking
version: 1.0.0
initial_step: ask
steps:
  ask: { type: human, for_each: people, assignee_key: item }
  either:
    type: parallel
    complete_when: any
    steps: { yes: { type: signal }, no: { type: webhook } }
edges: [{ source: ask, target: either }]
";

/// Completes every task there is, each by whom it is for.
fn complete_all(desk: &Desk) {
    for task in desk.json(&["task", "list"])["items"].as_array().unwrap() {
        let (id, user) = (task["id"].as_str().unwrap(), task["assignee_id"].as_str().unwrap());
        desk.run(&["task", "complete", id, "--user", user, "--data", "{}"]).exits(0);
    }
}

fn state_of<'a>(nodes: &'a Value, id: &str) -> &'a Value {
    let find = |node: &&Value| node["id"] == id;
    &nodes.as_array().unwrap().iter().find(find).unwrap()["state"]
}

#[test]
fn history_has_a_row_for_each_item_and_each_member_with_what_it_is_a_part_of() {
    let (desk, instance) = Desk::with_instance_of(ASKING, r#"{"people": ["ada", "bob"]}"#);
    assert_eq!(desk.json(&["task", "list"])["total"], 2);
    complete_all(&desk);

    let shown = desk.json(&["instance", "signal", &instance, "yes"]);

    let row = |row: &Value| {
        let field = |name: &str| row[name].to_string().replace('"', "");
        ["step", "status", "execution", "part_of", "item"].map(field).join(" ")
    };
    let rows: Vec<_> = shown["history"].as_array().unwrap().iter().map(row).collect();
    assert_eq!(
        rows,
        [
            "ask/item succeeded 2 1 0",
            "ask/item succeeded 3 1 1",
            "ask succeeded 1 null null",
            "either/yes succeeded 5 4 null",
            "either/no canceled 6 4 null",
            "either succeeded 4 null null",
        ]
    );
    let told = desk.run(&["instance", "show", &instance]).exits(0).stdout;
    assert!(told.contains("ask/item (2)"), "{told}");
    desk.run(&["check"]).exits(0);
}

#[test]
fn members_are_drawn_with_how_far_they_have_come() {
    let (desk, instance) = Desk::with_instance_of(ASKING, r#"{"people": ["ada"]}"#);
    complete_all(&desk);
    desk.run(&["instance", "signal", &instance, "yes"]).exits(0);

    let graph = desk.json(&["instance", "graph", &instance, "--format", "json"]);
    let mermaid = desk.run(&["instance", "graph", &instance]).exits(0).stdout;
    let dot = desk.run(&["instance", "graph", &instance, "--format", "dot"]).exits(0).stdout;

    assert_eq!(state_of(&graph["nodes"], "either"), "completed");
    assert_eq!(state_of(&graph["nodes"][0]["members"], "ask/item"), "completed");
    assert_eq!(state_of(&graph["nodes"][1]["members"], "either/yes"), "completed");
    assert_eq!(state_of(&graph["nodes"][1]["members"], "either/no"), "canceled");
    assert!(mermaid.contains("style either_no fill:#D3D3D3"), "{mermaid}");
    assert!(dot.contains("fillcolor=\"#D3D3D3\""), "{dot}");
}

const PARENT: &str = "\
schema: stepcell/v1
name: parent
version: 1.0.0
initial_step: run
steps: { run: { type: workflow, workflow: asking } }
";

#[test]
fn a_child_is_found_by_its_parent_and_its_end_takes_the_parent_on() {
    let desk = Desk::new();
    desk.write("asking.yaml", ASKING);
    desk.write("parent.yaml", PARENT);
    desk.run(&["definition", "apply", "asking.yaml", "parent.yaml"]).exits(0);
    let start = ["start", "parent", "--wait", "--data", r#"{"people": ["ada"]}"#, "--correlation-id", "c7"];

    let started = desk.json(&start);

    let (parent, child) = (started["id"].as_str().unwrap(), started["children"][0]["id"].as_str().unwrap());
    assert_eq!(started["status"], "waiting");
    assert_eq!(
        started["children"],
        serde_json::json!([{ "id": child, "execution": 1, "workflow_name": "asking", "status": "waiting" }])
    );
    assert_eq!(desk.json(&["instance", "show", child])["parent_id"], parent);
    let listed = desk.json(&["instance", "list", "--parent", parent]);
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&1.into(), &child.into()));
    assert_eq!(listed["items"][0]["parent_id"], parent);
    assert_eq!(desk.json(&["instance", "list", "--correlation-id", "c7"])["total"], 2);
    assert_eq!(desk.json(&["instance", "list", "--correlation-id", "c8"])["total"], 0);
    let said = desk.run(&["instance", "show", parent]).exits(0);
    said.tells("waits for an instance of `asking`, which is waiting:")
        .tells(&format!("stepcell instance show {child}"));

    complete_all(&desk);
    desk.run(&["instance", "signal", child, "yes"]).exits(0);
    assert_eq!(desk.json(&["instance", "show", parent])["status"], "completed");
    desk.run(&["check"]).exits(0);
}

#[test]
fn a_canceled_instance_takes_those_that_it_started_along_once_somebody_drives() {
    let desk = Desk::new();
    desk.write("asking.yaml", ASKING);
    desk.write("parent.yaml", PARENT);
    desk.run(&["definition", "apply", "asking.yaml", "parent.yaml"]).exits(0);
    let started = desk.json(&["start", "parent", "--wait", "--data", r#"{"people": ["ada"]}"#]);
    let (parent, child) = (started["id"].as_str().unwrap(), started["children"][0]["id"].as_str().unwrap());

    let said = desk.run(&["instance", "cancel", parent, "--reason", "not now"]).exits(0);
    said.tells("The instances that it started are canceled by whatever process drives").tells("stepcell serve");

    let _serving = desk.serve();
    let mut following = desk.follow(&["--output", "json", "--instance", child]);
    while following.json()["type"] != "workflow_canceled" {}
}

#[test]
fn an_instance_that_waits_for_another_to_pass_a_timer_is_waited_through() {
    let desk = Desk::new();
    let child = "schema: stepcell/v1\nname: asking\nversion: 1.0.0\ninitial_step: t\nsteps: { t: { type: timer, duration: \
                 20ms } }\n";
    desk.write("child.yaml", child);
    desk.write("parent.yaml", PARENT);
    desk.run(&["definition", "apply", "child.yaml"]).exits(0);

    let done = desk.json(&["run", "parent.yaml", "--db", "stepcell.db", "--data", r#"{"n": 1}"#]);

    assert_eq!((&done["status"], &done["result"]["n"]), (&"completed".into(), &1.into()));
    assert_eq!(done["children"][0]["status"], "completed");
}
